/*
 * Whether the daemon trusts a backend with jobs, beside its link and what people said of it:
 * failures in a row and quarantine, probation after it, and refusals by the server or by a gateway
 * before it. Belongs to the backend.
 */
#ifndef COMFYPOOL_SRC_POOL_TRUST_H
#define COMFYPOOL_SRC_POOL_TRUST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/buf.h"
#include "comfypool/core/attempt.h"
#include "comfypool/core/barred.h"
#include "comfypool/core/job.h"
#include "comfypool/core/streak.h"
#include "comfypool/loop/deadlines.h"

struct attempt;
struct backend;
struct job;
struct pool;

/* Of an attempt: what it says of its backend. */
struct attempt_trial {
    enum attempt_probe probe;
    bool own_fault; /* the fault of its server is the job's own */
};

/* Why the daemon itself gives a backend no job. */
enum quarantine {
    QUARANTINE_NONE,
    QUARANTINE_FAILURES, /* too much failed in a row: tried again after a while */
    QUARANTINE_HELD,     /* a prompt holds its slot: its worker is dead, or it does not stop */
};

/* One prompt at a time, until one went well. */
enum probation {
    PROBATION_NONE,
    PROBATION_REFUSAL,    /* ... is accepted */
    PROBATION_QUARANTINE, /* ... completed */
};

struct trust {
    struct streak streak;
    bool suspect; /* the streak is not empty: counted in the pool */
    bool well;    /* something completed there since its last fault */
    enum quarantine quarantine;
    char *reason;          /* of the quarantine, or NULL */
    bool link_lost;        /* since it was quarantined: perhaps with its process */
    bool failed;           /* it is, or was before it was held, since too much failed */
    struct deadline probe; /* out of quarantine, to be tried */
    int64_t probe_ms;
    unsigned failed_probes; /* in a row */
    unsigned epoch;         /* counts what makes it worth another try: a success, people */
    unsigned life;          /* counts its connections: each may be another process... */
    unsigned fault_life;    /* ... and the one that had a fault last */
    enum probation probation;
    struct barred barred; /* by it, or by a gateway before it */
    uint64_t doubts; /* a client, as a hash: all its prompts failed here with one exception, and
                        others of it run elsewhere: it waits for their word; 0: none */
    struct deadline doubting; /* its end */
    struct deadline again;    /* after a refusal */
    char *fault;              /* the last one, for people; NULL: something completed since */
    int64_t fault_job;        /* whose it was: a seq */
    const char *remedy;       /* of it; static, or NULL */
};

void trust_init(struct backend *b);
void trust_done(struct backend *b);

/* Nothing of this keeps jobs from it. */
bool trust_allows(const struct backend *b);
/* As many prompts at once as people want and trust allows. */
void trust_set_places(struct backend *b);

void backend_quarantine(struct backend *b, enum quarantine why, const char *reason);
/* It may be tried: on probation, unless people said so (by_hand), or nothing had failed. */
void backend_lift_quarantine(struct backend *b, bool by_hand);
/* A new connection: what a restart mends is over. */
void trust_up(struct backend *b);

/* The attempt begins: whether it tries a backend that is on probation. */
void trust_try(struct attempt *a);
/*
 * An attempt failed by a fault of its server: whether it is the job's own by now. Two servers that
 * were well had it with that job: then nobody else is blamed, and ret gets the job's error.
 */
void trust_judge_fault(struct attempt *a, struct job_error *ret);
/*
 * Whether that fault counts for its job, which fails with the fifth. That of a probe does not, as a
 * rule: the server was sick before. But when its process is a new one, and such a probe of the job
 * was spared before, the job may have brought it.
 */
bool trust_fault_counts(const struct attempt *a);
/* What is wrong with it, for people; NULL: nothing. */
const char *trust_trouble(const struct backend *b);
/* An attempt on probation failed: whether that costs its job nothing but time. */
void trust_judge_probe(struct attempt *a);
/* An attempt ended here: what that means for the backend, and for others. */
void trust_note_end(struct attempt *a);

/* A request of the attempt was refused. What that bars is barred; trust.barred.why tells why. */
void trust_refused(struct attempt *a, const struct barred_request *q);
void trust_accepted(struct backend *b);
void trust_file_accepted(struct backend *b);
/* Somebody changed something: everything is tried again. */
void trust_forget_refusals(struct backend *b);
/* Its body, or a file of it, is too large for some gateway (O(1)), or for the one there. */
bool trust_bars_anywhere(const struct job *j);
/* What of this tells the lanes of jobs apart. Appends. */
void trust_add_lane(const struct job *j, struct buf *key);
bool trust_bars(const struct backend *b, const struct job *j);

#endif
