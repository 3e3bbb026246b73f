/*
 * One try to run a job as a state machine. Its phase says how far it is, its evidence what is known
 * of whether the backend has its prompt; one table moves both. When it has ended, its verdict says
 * what that means for the job and for the backend. Pure.
 */
#ifndef COMFYPOOL_CORE_ATTEMPT_H
#define COMFYPOOL_CORE_ATTEMPT_H

#include <stdbool.h>

#include "comfypool/core/job.h"

/* How far it is. symbol, name */
#define ATTEMPT_PHASE_TABLE(X)                                                                     \
    X(PHASE_INTENT, "intent")    /* its intent is being stored */                                  \
    X(PHASE_SENDING, "sending")  /* the files of its inputs go to the backend */                   \
    X(PHASE_POSTED, "posted")    /* POST /prompt went out, just now or before a restart */         \
    X(PHASE_STARTED, "started")  /* execution_start was seen, or something that proves it */       \
    X(PHASE_RUNNING, "running")  /* a node was seen to run */                                      \
    X(PHASE_ENDED, "ended")      /* its outcome is known */                                        \
    X(PHASE_GIVEN_UP, "givenUp") /* its job waits for a retry, and its prompt may turn up */

enum attempt_phase {
#define X(symbol, name) symbol,
    ATTEMPT_PHASE_TABLE(X)
#undef X
        PHASE_COUNT
};

/* What is known of whether the backend has its prompt. symbol, name */
#define ATTEMPT_EVIDENCE_TABLE(X)                                                                  \
    X(EVIDENCE_UNSENT, "unsent")     /* it was never POSTed */                                     \
    X(EVIDENCE_OPEN, "open")         /* the POST is not answered yet */                            \
    X(EVIDENCE_DOUBTFUL, "doubtful") /* the POST was not answered well, or before a restart */     \
    X(EVIDENCE_HAD, "had")           /* accepted, found there, or the backend spoke of it */       \
    X(EVIDENCE_NEVER, "never")       /* surely it never got there */                               \
    X(EVIDENCE_GONE, "gone")         /* the backend had it and surely has it no more */

enum attempt_evidence {
#define X(symbol, name) symbol,
    ATTEMPT_EVIDENCE_TABLE(X)
#undef X
        EVIDENCE_COUNT
};

/* What happens to it. symbol, name */
#define ATTEMPT_EVENT_TABLE(X)                                                                     \
    X(ATTEMPT_EVENT_SEND, "send")      /* its intent is stored, and it has files to send */        \
    X(ATTEMPT_EVENT_POST, "post")      /* POST /prompt goes out */                                 \
    X(ATTEMPT_EVENT_DOUBT, "doubt")    /* the POST was not answered well */                        \
    X(ATTEMPT_EVENT_ACCEPT, "accept")  /* the POST was answered with 200 */                        \
    X(ATTEMPT_EVENT_SEE, "see")        /* it is in the queue, in the history or in a frame */      \
    X(ATTEMPT_EVENT_START, "start")    /* it runs */                                               \
    X(ATTEMPT_EVENT_NODE, "node")      /* one of its nodes runs */                                 \
    X(ATTEMPT_EVENT_DENY, "deny")      /* refused, or its server is gone: it never got there */    \
    X(ATTEMPT_EVENT_VANISH, "vanish")  /* the backend has ended it, or has it no more */           \
    X(ATTEMPT_EVENT_END, "end")        /* its outcome is known */                                  \
    X(ATTEMPT_EVENT_GIVE_UP, "giveUp") /* its job waits for a retry, its prompt may go on */       \
    X(ATTEMPT_EVENT_FIND, "find")      /* its prompt was found meanwhile */

enum attempt_event {
#define X(symbol, name) symbol,
    ATTEMPT_EVENT_TABLE(X)
#undef X
        ATTEMPT_EVENT_COUNT
};

/* How this daemon came by it. */
enum attempt_origin {
    ORIGIN_BEGUN,   /* it made it */
    ORIGIN_ADOPTED, /* its job was running at the start */
    ORIGIN_FOUND,   /* it was given up, and found again */
};

/* What the end of an attempt means for its job and its backend. */
#define ATTEMPT_VERDICT_TABLE(X)                                                                   \
    X(VERDICT_NONE, "none")           /* it has not ended */                                       \
    X(VERDICT_COMPLETED, "completed") /* the job has its result */                                 \
    X(VERDICT_CANCELLED, "cancelled") /* as somebody asked */                                      \
    X(VERDICT_COUNTED, "counted")     /* one of policy.max_attempts is used up */                  \
    X(VERDICT_FAULT, "fault")         /* of its server: RETRY_MAX_FAULTS of them are free */       \
    X(VERDICT_FREE, "free")           /* our own doing ended it */                                 \
    X(VERDICT_CUT_OFF, "cutOff")      /* our restart came before the backend took it */            \
    X(VERDICT_ELSEWHERE, "elsewhere") /* refused there; another backend may run it */              \
    X(VERDICT_SPARED, "spared")       /* it tried a backend that had failed before */              \
    X(VERDICT_SETTLED, "settled")     /* it was found again: counted when it was given up */

enum attempt_verdict {
#define X(symbol, name) symbol,
    ATTEMPT_VERDICT_TABLE(X)
#undef X
        VERDICT_COUNT
};

struct attempt_state {
    enum attempt_phase phase;
    enum attempt_evidence evidence;
    enum attempt_origin origin;
    enum attempt_verdict verdict;
};

/* What made it end, where that excuses its job. */
enum attempt_excuse {
    EXCUSE_NONE,
    EXCUSE_OURS, /* our interrupt of another prompt hit it */
    EXCUSE_HERE, /* rejected for what is so on this backend alone */
};

/* What a prompt that is over for us leaves on its backend. */
enum attempt_remains {
    REMAINS_NOTHING,
    REMAINS_DEAD, /* the server died under it, and is another one now */
    REMAINS_HUNG, /* its worker died: the prompt holds its slot */
    REMAINS_HELD, /* it was told to stop and goes on: it holds its slot */
};

/* Whether it tried a backend that is on probation after a quarantine, and what it proved. */
enum attempt_probe {
    PROBE_NONE,
    PROBE_TRIES,
    PROBE_SPARED, /* it failed, and that proves nothing: its job is spared */
    PROBE_SICK,   /* it failed as those before: its job is spared, its backend is not */
};

/* What is known of an end. */
struct attempt_ending {
    enum attempt_outcome outcome;
    enum err error;
    enum attempt_excuse excuse;
    enum attempt_remains remains;
    enum attempt_probe probe;
    bool fault_counts; /* a fault of the server counts for the job */
};

/* What an end of the job is decided by, beside its attempt. */
struct attempt_job_facts {
    bool time_is_over; /* jobTimeoutMs */
    bool own_error;    /* the job has an error of its own: no backend is to blame */
};

const char *attempt_phase_name(enum attempt_phase p);
const char *attempt_evidence_name(enum attempt_evidence e);
const char *attempt_event_name(enum attempt_event e);
const char *attempt_verdict_name(enum attempt_verdict v);

/* One that this daemon begins. */
struct attempt_state attempt_state_begun(void);
/* One that ran when the daemon started: POSTed, perhaps. */
struct attempt_state attempt_state_adopted(void);
/* One that was given up before the daemon started. */
struct attempt_state attempt_state_given_up(void);
/* One whose backend does not exist any more: its end is known. */
struct attempt_state attempt_state_orphaned(void);

/*
 * The one setter of phase and evidence. False when the table does not have the event there, which
 * is a bug of the caller: it logs and counts, and nothing has changed.
 */
bool attempt_apply(struct attempt_state *s, enum attempt_event e) MUST_CHECK;

/* It has been POSTed, as far as anybody knows. */
static inline bool attempt_is_posted(const struct attempt_state *s)
{
    return s->evidence != EVIDENCE_UNSENT;
}

/* The backend has it, or had it. */
static inline bool attempt_was_there(const struct attempt_state *s)
{
    return s->evidence == EVIDENCE_HAD || s->evidence == EVIDENCE_GONE;
}

/* It is surely on no backend. */
static inline bool attempt_is_nowhere(const struct attempt_state *s)
{
    return s->evidence == EVIDENCE_UNSENT || s->evidence == EVIDENCE_NEVER ||
           s->evidence == EVIDENCE_GONE;
}

/* It runs: between its start and its end. */
static inline bool attempt_is_started(const struct attempt_state *s)
{
    return s->phase == PHASE_STARTED || s->phase == PHASE_RUNNING;
}

static inline bool attempt_is_over(const struct attempt_state *s)
{
    return s->phase >= PHASE_ENDED;
}

/* The prompt that is left behind holds a slot of its backend. */
static inline bool attempt_holds_slot(enum attempt_remains r)
{
    return r == REMAINS_HUNG || r == REMAINS_HELD;
}

/* The server died while it ran the prompt. */
static inline bool attempt_left_dead(enum attempt_remains r)
{
    return r == REMAINS_DEAD || r == REMAINS_HUNG;
}

/*
 * What the end of an attempt means. job: its counters do not count this attempt yet. VERDICT_NONE
 * when it has not ended.
 */
enum attempt_verdict attempt_judge(const struct attempt_state *s, const struct attempt_ending *e,
                                   const struct job_record *job);
/* Counts it among the job's attempts of its kind. */
void attempt_count(const struct attempt_state *s, const struct attempt_ending *e,
                   struct job_record *job);
/* What its end makes of the job, whose counters count it. */
enum job_event attempt_decide(const struct attempt_state *s, const struct attempt_ending *e,
                              const struct job_record *job, struct attempt_job_facts facts);

/* It costs the job no pause before the next attempt. */
bool attempt_verdict_is_at_once(enum attempt_verdict v);
/* It may say something of its backend: it was no doing of ours. */
bool attempt_verdict_tells(enum attempt_verdict v);

#endif
