/*
 * One attempt to run a job, as a state machine. Its phase is its progress, its evidence what is
 * known of whether the backend has its prompt; one table moves both. Once it ended, its verdict
 * says what that means for the job and for the backend. Pure.
 */
#ifndef COMFYPOOL_CORE_ATTEMPT_H
#define COMFYPOOL_CORE_ATTEMPT_H

#include <stdbool.h>

#include "comfypool/core/job.h"

/* Progress of an attempt. symbol, name */
#define ATTEMPT_PHASE_TABLE(X)                                                                     \
    X(PHASE_INTENT, "intent")    /* storing its intent */                                          \
    X(PHASE_SENDING, "sending")  /* sending input files to the backend */                          \
    X(PHASE_POSTED, "posted")    /* POST /prompt sent, just now or before a restart */             \
    X(PHASE_STARTED, "started")  /* execution_start, or proof of it, was seen */                   \
    X(PHASE_RUNNING, "running")  /* a node was seen running */                                     \
    X(PHASE_ENDED, "ended")      /* outcome known */                                               \
    X(PHASE_GIVEN_UP, "givenUp") /* its job waits for a retry; its prompt may turn up */

enum attempt_phase {
#define X(symbol, name) symbol,
    ATTEMPT_PHASE_TABLE(X)
#undef X
        PHASE_COUNT
};

/* What is known of whether the backend has the prompt. symbol, name */
#define ATTEMPT_EVIDENCE_TABLE(X)                                                                  \
    X(EVIDENCE_UNSENT, "unsent")     /* never POSTed */                                            \
    X(EVIDENCE_OPEN, "open")         /* POST not answered yet */                                   \
    X(EVIDENCE_DOUBTFUL, "doubtful") /* POST answered badly, or before a restart */                \
    X(EVIDENCE_HAD, "had")           /* accepted, found, or reported by the backend */             \
    X(EVIDENCE_NEVER, "never")       /* certainly never arrived */                                 \
    X(EVIDENCE_GONE, "gone")         /* the backend had it and certainly lost or ended it */

enum attempt_evidence {
#define X(symbol, name) symbol,
    ATTEMPT_EVIDENCE_TABLE(X)
#undef X
        EVIDENCE_COUNT
};

/* What happens to an attempt. symbol, name */
#define ATTEMPT_EVENT_TABLE(X)                                                                     \
    X(ATTEMPT_EVENT_SEND, "send")      /* intent stored, files to send */                          \
    X(ATTEMPT_EVENT_POST, "post")      /* POST /prompt goes out */                                 \
    X(ATTEMPT_EVENT_DOUBT, "doubt")    /* POST answered badly or not at all */                     \
    X(ATTEMPT_EVENT_ACCEPT, "accept")  /* POST answered with 200 */                                \
    X(ATTEMPT_EVENT_SEE, "see")        /* seen in the queue, the history or a frame */             \
    X(ATTEMPT_EVENT_START, "start")    /* execution started */                                     \
    X(ATTEMPT_EVENT_NODE, "node")      /* a node runs */                                           \
    X(ATTEMPT_EVENT_DENY, "deny")      /* refused, or its server is gone: it never arrived */      \
    X(ATTEMPT_EVENT_VANISH, "vanish")  /* the backend ended it, or no longer has it */             \
    X(ATTEMPT_EVENT_END, "end")        /* outcome known */                                         \
    X(ATTEMPT_EVENT_GIVE_UP, "giveUp") /* its job waits for a retry, its prompt may go on */       \
    X(ATTEMPT_EVENT_FIND, "find")      /* its prompt was found again */

enum attempt_event {
#define X(symbol, name) symbol,
    ATTEMPT_EVENT_TABLE(X)
#undef X
        ATTEMPT_EVENT_COUNT
};

/* Where an attempt came from. */
enum attempt_origin {
    ORIGIN_BEGUN,   /* begun by this daemon */
    ORIGIN_ADOPTED, /* of a job that was running at startup */
    ORIGIN_FOUND,   /* given up, and found again */
};

/* What an attempt's end means for its job and backend. symbol, name */
#define ATTEMPT_VERDICT_TABLE(X)                                                                   \
    X(VERDICT_NONE, "none")           /* not ended */                                              \
    X(VERDICT_COMPLETED, "completed") /* the job has its result */                                 \
    X(VERDICT_CANCELLED, "cancelled") /* as requested */                                           \
    X(VERDICT_COUNTED, "counted")     /* uses up one of policy.max_attempts */                     \
    X(VERDICT_FAULT, "fault")         /* server fault: RETRY_MAX_FAULTS of them are free */        \
    X(VERDICT_FREE, "free")           /* ended by our own doing */                                 \
    X(VERDICT_CUT_OFF, "cutOff")      /* our restart came before the backend took it */            \
    X(VERDICT_ELSEWHERE, "elsewhere") /* refused there; another backend may run it */              \
    X(VERDICT_SPARED, "spared")       /* probed a backend that had failed before */                \
    X(VERDICT_SETTLED, "settled")     /* found again: counted when it was given up */

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

/* Why an end does not count against the job. */
enum attempt_excuse {
    EXCUSE_NONE,
    EXCUSE_OURS, /* hit by our interrupt of another prompt */
    EXCUSE_HERE, /* rejected for reasons of this backend alone */
};

/* What an ended prompt leaves on its backend. */
enum attempt_remains {
    REMAINS_NOTHING,
    REMAINS_DEAD, /* the server died under it and was replaced */
    REMAINS_HUNG, /* its worker died: the prompt holds its slot */
    REMAINS_HELD, /* it ignores its interrupt: it holds its slot */
};

/* Whether it probed a backend on probation after a quarantine, and what it proved. */
enum attempt_probe {
    PROBE_NONE,
    PROBE_TRIES,
    PROBE_SPARED, /* failed without proof: spares its job */
    PROBE_SICK,   /* failed like those before: spares its job, not its backend */
};

/* The facts of an attempt's end. */
struct attempt_ending {
    enum attempt_outcome outcome;
    enum err error;
    enum attempt_excuse excuse;
    enum attempt_remains remains;
    enum attempt_probe probe;
    bool fault_counts; /* a server fault counts for the job */
};

/* The job's facts that decide its end, beside the attempt's. */
struct attempt_job_facts {
    bool time_is_over; /* jobTimeoutMs is over */
    bool own_error;    /* the job itself is at fault: no backend is to blame */
};

const char *attempt_phase_name(enum attempt_phase p);
const char *attempt_evidence_name(enum attempt_evidence e);
const char *attempt_event_name(enum attempt_event e);
const char *attempt_verdict_name(enum attempt_verdict v);

/* State of an attempt that this daemon begins. */
struct attempt_state attempt_state_begun(void);
/* State of an attempt that ran at startup: perhaps POSTed. */
struct attempt_state attempt_state_adopted(void);
/* State of an attempt given up before startup. */
struct attempt_state attempt_state_given_up(void);
/* State of an attempt whose backend no longer exists: it has ended. */
struct attempt_state attempt_state_orphaned(void);

/*
 * Applies an event; the only setter of phase and evidence. False when the table has no such row,
 * which is a bug of the caller: it logs and counts, and nothing has changed.
 */
bool attempt_apply(struct attempt_state *s, enum attempt_event e) MUST_CHECK;

/* True if it was POSTed, as far as known. */
static inline bool attempt_is_posted(const struct attempt_state *s)
{
    return s->evidence != EVIDENCE_UNSENT;
}

/* True if the backend has it, or had it. */
static inline bool attempt_was_there(const struct attempt_state *s)
{
    return s->evidence == EVIDENCE_HAD || s->evidence == EVIDENCE_GONE;
}

/* True if it is certainly on no backend. */
static inline bool attempt_is_nowhere(const struct attempt_state *s)
{
    return s->evidence == EVIDENCE_UNSENT || s->evidence == EVIDENCE_NEVER ||
           s->evidence == EVIDENCE_GONE;
}

/* True between its start and its end. */
static inline bool attempt_is_started(const struct attempt_state *s)
{
    return s->phase == PHASE_STARTED || s->phase == PHASE_RUNNING;
}

static inline bool attempt_is_over(const struct attempt_state *s)
{
    return s->phase >= PHASE_ENDED;
}

/* True if the abandoned prompt holds a slot of its backend. */
static inline bool attempt_holds_slot(enum attempt_remains r)
{
    return r == REMAINS_HUNG || r == REMAINS_HELD;
}

/* True if the server died while running the prompt. */
static inline bool attempt_left_dead(enum attempt_remains r)
{
    return r == REMAINS_DEAD || r == REMAINS_HUNG;
}

/*
 * Judges the end of an attempt. job: its counters do not include this attempt yet. VERDICT_NONE
 * when it has not ended.
 */
enum attempt_verdict attempt_judge(const struct attempt_state *s, const struct attempt_ending *e,
                                   const struct job_record *job);
/* Counts the attempt in the job's counters. */
void attempt_count(const struct attempt_state *s, const struct attempt_ending *e,
                   struct job_record *job);
/* Decides what the end means for the job, whose counters include it. */
enum job_event attempt_decide(const struct attempt_state *s, const struct attempt_ending *e,
                              const struct job_record *job, struct attempt_job_facts facts);

/* True if the next attempt needs no pause. */
bool attempt_verdict_is_at_once(enum attempt_verdict v);
/* True if the end may tell about its backend: we did not cause it. */
bool attempt_verdict_tells(enum attempt_verdict v);

#endif
