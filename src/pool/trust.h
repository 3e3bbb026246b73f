/*
 * Whether the daemon trusts a backend with jobs, apart from its link and the operator's settings:
 * consecutive failures and quarantine, probation after it, and refusals by the server or a gateway
 * in front of it. A part of the backend.
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

/* The part of an attempt that trust.c owns. */
struct attempt_trial {
    enum attempt_probe probe;
    bool own_fault; /* the server fault is the job's own */
};

/* Why the daemon itself gives the backend no job. */
enum quarantine {
    QUARANTINE_NONE,
    QUARANTINE_FAILURES, /* too many failures in a row: probed after a while */
    QUARANTINE_HELD,     /* a prompt holds its slot: dead worker, or it does not stop */
};

/* One prompt at a time, until one succeeds. */
enum probation {
    PROBATION_NONE,
    PROBATION_REFUSAL,    /* until one is accepted */
    PROBATION_QUARANTINE, /* until one completes */
};

struct trust {
    struct streak streak;
    bool suspect; /* the streak is not empty; counted in the pool */
    bool well;    /* completed something since its last fault */
    enum quarantine quarantine;
    char *reason;          /* of the quarantine, or NULL */
    bool link_lost;        /* link lost since quarantine, perhaps with the process */
    bool failed;           /* quarantined for failures, also before it was held */
    struct deadline probe; /* when it leaves quarantine to be probed */
    int64_t probe_ms;
    unsigned failed_probes; /* in a row */
    unsigned epoch;         /* counts reasons for another try: a success, an operator */
    unsigned life;          /* counts connections: each may be another process */
    unsigned fault_life;    /* connection of the last fault */
    enum probation probation;
    struct barred barred; /* by the server, or a gateway in front of it */
    uint64_t doubts;      /* hash of a client whose prompts all failed here with one exception while
                             others run elsewhere: held until those end; 0: none */
    struct deadline doubting; /* its end */
    struct deadline again;    /* after a refusal */
    char *fault;              /* last fault, for people; NULL: completed something since */
    int64_t fault_job;        /* seq of the job that had it */
    const char *remedy;       /* advice for it; static, or NULL */
};

void trust_init(struct backend *b);
void trust_done(struct backend *b);

/* True if nothing here bars jobs. */
bool trust_allows(const struct backend *b);
/* Sets the slots: as configured, as far as trust allows. */
void trust_set_places(struct backend *b);

void backend_quarantine(struct backend *b, enum quarantine why, const char *reason);
/* Ends the quarantine: on probation, unless an operator did it (by_hand) or nothing had failed. */
void backend_lift_quarantine(struct backend *b, bool by_hand);
/* Handles a new connection: clears what a restart repairs. */
void trust_up(struct backend *b);

/* Notes at the start of an attempt whether it probes a backend on probation. */
void trust_try(struct attempt *a);
/*
 * Judges a server fault: it is the job's own if two healthy servers had it with that job; then ret
 * gets the job's error and no server is blamed.
 */
void trust_judge_fault(struct attempt *a, struct job_error *ret);
/*
 * True if the fault counts against the job, which fails with the fifth. Faults of probes usually do
 * not: the server was sick before. But in a new process, and if such a probe was spared before, the
 * job may be the cause.
 */
bool trust_fault_counts(const struct attempt *a);
/* Returns what is wrong, for people; NULL: nothing. */
const char *trust_trouble(const struct backend *b);
/* Judges a failed probe: whether it costs the job an attempt. */
void trust_judge_probe(struct attempt *a);
/* Judges the end of an attempt: consequences for this backend and others. */
void trust_note_end(struct attempt *a);

/* Bars what a refused request of the attempt shows; trust.barred.why says why. */
void trust_refused(struct attempt *a, const struct barred_request *q);
void trust_accepted(struct backend *b);
void trust_file_accepted(struct backend *b);
/* Forgets refusals after an operator's change: everything is tried again. */
void trust_forget_refusals(struct backend *b);
/* True if the job's body, or a file, is too large for some gateway (trust_bars_anywhere, O(1)) or
   for that backend's. */
bool trust_bars_anywhere(const struct job *j);
/* Appends to a lane's key what tells jobs apart here. */
void trust_add_lane(const struct job *j, struct buf *key);
bool trust_bars(const struct backend *b, const struct job *j);

#endif
