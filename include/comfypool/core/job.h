/*
 * A job as the API shows it (job_record), and the one table of its states.
 *
 *   queued -> running -> completed | failed | cancelled
 *      ^         |
 *      +--retry--+          (also queued -> failed | cancelled)
 *
 * A client may retry a failed or cancelled one: it is then queued as after a submission.
 */
#ifndef COMFYPOOL_CORE_JOB_H
#define COMFYPOOL_CORE_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "comfypool/base/digest.h"
#include "comfypool/base/err.h"
#include "comfypool/base/str.h"
#include "comfypool/base/time.h"
#include "comfypool/base/uuid.h"
#include "comfypool/core/webhook.h"
#include "comfypool/core/workflow.h"

/* "TRACEID-SPANID" of a traceparent, 32 and 16 hex digits. */
enum { JOB_TRACE_SIZE = 32 + 1 + 16 + 1 };

/* symbol, public name, terminal */
#define JOB_STATE_TABLE(X)                                                                         \
    X(JOB_QUEUED, "queued", false)                                                                 \
    X(JOB_RUNNING, "running", false)                                                               \
    X(JOB_COMPLETED, "completed", true)                                                            \
    X(JOB_FAILED, "failed", true)                                                                  \
    X(JOB_CANCELLED, "cancelled", true)

enum job_state {
#define X(symbol, name, terminal) symbol,
    JOB_STATE_TABLE(X)
#undef X
        JOB_STATE_COUNT
};

/* Events of a job. symbol, name */
#define JOB_EVENT_TABLE(X)                                                                         \
    X(JOB_EVENT_ASSIGN, "assign")     /* assigned to a backend */                                  \
    X(JOB_EVENT_REQUEUE, "requeue")   /* attempt ended, another one follows */                     \
    X(JOB_EVENT_COMPLETE, "complete") /* prompt succeeded */                                       \
    X(JOB_EVENT_FAIL, "fail")                                                                      \
    X(JOB_EVENT_CANCEL, "cancel") /* by a client while queued, or reported by the backend */       \
    X(JOB_EVENT_RETRY, "retry")   /* a client retries an ended job */

enum job_event {
#define X(symbol, name) symbol,
    JOB_EVENT_TABLE(X)
#undef X
        JOB_EVENT_COUNT
};

/* How an attempt ended; its profile has the same outcome. */
#define ATTEMPT_OUTCOME_TABLE(X)                                                                   \
    X(ATTEMPT_OPEN, "")                                                                            \
    X(ATTEMPT_COMPLETED, "completed")                                                              \
    X(ATTEMPT_FAILED, "failed")                                                                    \
    X(ATTEMPT_CANCELLED, "cancelled")                                                              \
    X(ATTEMPT_LOST, "lost")                                                                        \
    X(ATTEMPT_TIMED_OUT, "timed_out")                                                              \
    X(ATTEMPT_REJECTED, "rejected")

enum attempt_outcome {
#define X(symbol, name) symbol,
    ATTEMPT_OUTCOME_TABLE(X)
#undef X
        ATTEMPT_OUTCOME_COUNT
};

/* Failures that may be retried. symbol, public name, by default */
#define RETRY_CLASS_TABLE(X)                                                                       \
    X(RETRY_TRANSIENT, "transient", true)         /* 5xx, 429, disconnected before acceptance */   \
    X(RETRY_LOST, "lost", true)                   /* the backend had it and lost it */             \
    X(RETRY_OUT_OF_MEMORY, "out_of_memory", true) /* once */                                       \
    X(RETRY_TIMEOUT, "timeout", true)             /* start and node timeouts */                    \
    X(RETRY_NODE_ERROR, "node_error", false)                                                       \
    X(RETRY_SERVER_FAULT, "server_fault", true) /* device, driver, disk or host memory */

enum retry_class {
#define X(symbol, name, by_default) symbol,
    RETRY_CLASS_TABLE(X)
#undef X
        RETRY_CLASS_COUNT
};

/*
 * Policy that a job may override; the configuration has the defaults under the same names
 * (jobs.NAME). symbol, public name, member, least, most, default. Times in milliseconds, 0: off.
 */
#define JOB_POLICY_TABLE(X)                                                                        \
    X(POLICY_MAX_ATTEMPTS, "maxAttempts", max_attempts, 1, 20, 3)                                  \
    X(POLICY_RETRY_DELAY, "retryDelayMs", retry_delay_ms, 0, 86400000, 1000)                       \
    X(POLICY_QUEUE_TIMEOUT, "queueTimeoutMs", queue_timeout_ms, 0, JOB_TIMEOUT_MOST_MS, 0)         \
    X(POLICY_START_TIMEOUT, "executionStartTimeoutMs", start_timeout_ms, 0, JOB_TIMEOUT_MOST_MS,   \
      60000)                                                                                       \
    X(POLICY_NODE_TIMEOUT, "nodeExecutionTimeoutMs", node_timeout_ms, 0, JOB_TIMEOUT_MOST_MS, 0)   \
    X(POLICY_JOB_TIMEOUT, "jobTimeoutMs", job_timeout_ms, 0, JOB_TIMEOUT_MOST_MS, 0)
#define JOB_TIMEOUT_MOST_MS 31536000000 /* a year */

enum policy_member {
#define X(symbol, name, member, least, most, value) symbol,
    JOB_POLICY_TABLE(X)
#undef X
        POLICY_MEMBER_COUNT
};

struct job_policy {
#define X(symbol, name, member, least, most, value) int64_t member;
    JOB_POLICY_TABLE(X)
#undef X
    unsigned retry_on; /* set of 1u << retry_class */
};

/* In a submission: not given, use the default. */
enum { POLICY_UNSET = -1 };
#define RETRY_ON_UNSET (~0u)

/* Why a job or attempt did not complete. The struct's owner owns the texts. */
struct job_error {
    enum err code; /* ERR_NONE: no error */
    char *message;
    char *node_id;     /* or NULL */
    char *node_type;   /* or NULL */
    char *node_errors; /* valid JSON: ComfyUI's node_errors, or NULL */
    char *traceback;   /* valid JSON: a list of lines, or NULL */
};

/* A job as the API shows it and the store keeps it. Owns its texts. */
struct job_record {
    char id[UUID_SIZE];
    int64_t seq; /* order of submission, from 1; the store's key */
    enum job_state state;
    int priority;
    struct wall_us queued_at;
    struct wall_us started_at;    /* 0: not started */
    struct wall_us completed_at;  /* 0: not ended */
    char *backend;                /* of the last attempt, or NULL */
    char prompt_id[UUID_SIZE];    /* of the last attempt, or "" */
    struct wall_us waiting_since; /* last queued: start of queue_timeout_ms and of the next
                                     attempt's profile */
    struct wall_us budget_since;  /* submission or POST /retry: start of job_timeout_ms */
    unsigned attempts;            /* number of all attempts */
    unsigned free_attempts;       /* of these, those that do not count against policy.max_attempts:
                                     rejected, cut off, ended by our own doing, and all before POST
                                     /retry */
    unsigned lost_by_restart; /* attempts cut off by a restart of the daemon before the backend took
                                 them */
    unsigned oom;             /* attempts that ran out of memory, since budget_since */
    unsigned left_dead;       /* attempts that left their backend dead, since budget_since */
    unsigned result_of;       /* attempt of its result and profile; 0: the last one */
    unsigned faults;          /* attempts ended by a server fault, since budget_since */
    char *faulted_on;         /* the first such server that was well before, or NULL */
    struct job_policy policy;
    unsigned nodes_total;
    bool profiled;
    bool cancel_requested;
    bool partial; /* the backend refused some outputs and ran the rest */
    bool keep;    /* copy its outputs when it completes */
    char workflow_hash[DIGEST_HEX_SIZE];
    char cost_key[WORKFLOW_KEY_SIZE]; /* "": unknown, from an older store */
    int executed;                     /* nodes run in its last attempt, once ended; -1: unknown */
    char *trace; /* "TRACEID-SPANID" of its submission's traceparent, or NULL */
    struct webhook hook;
    unsigned credentials;      /* as submitted: see core/credentials.h */
    char *client;              /* or NULL */
    char batch_id[UUID_SIZE];  /* "": in no batch */
    struct wall_us not_before; /* 0: at once */
    char *after;               /* valid JSON: ids of jobs it still waits for, or NULL */
    char *spec;                /* valid JSON: see core/job_options.h, or NULL */
    char *attachments;         /* valid JSON: see pool/inputs.c, or NULL */
    char *overrides;           /* valid JSON: of a batch's job, see core/batch.h, or NULL */
    char *auto_seeds;          /* valid JSON: {nodeId: number} of the last attempt, or NULL */
    char *placement;           /* valid JSON: why it runs where it runs, or NULL */
    char *metadata;            /* valid JSON object as the client sent it, or NULL */
    bool outputs_truncated;    /* some outputs are missing: too many, or no room */
    char *node_errors;         /* valid JSON: of a partial job, or NULL */
    char *outputs;             /* valid JSON: {nodeId: ui output}, or NULL */
    struct job_error error;
};

/* Returns the attempt that its profile is of; 0: none. */
static inline unsigned job_told_attempt(const struct job_record *r)
{
    return r->result_of > 0 ? r->result_of : r->attempts;
}

/* One attempt to run a job. Owns its texts. */
struct attempt_record {
    unsigned number; /* from 1 */
    enum attempt_outcome outcome;
    char *backend;     /* its name */
    char *backend_url; /* without credentials: finds the backend after a rename */
    char prompt_id[UUID_SIZE];
    char client_id[UUID_SIZE];   /* WebSocket client id for its events */
    struct wall_us intent_at;    /* when the intent was stored */
    struct wall_us submitted_at; /* when the backend accepted it; 0: never, or not seen */
    struct wall_us started_at;   /* 0: never */
    struct wall_us completed_at; /* 0: open */
    enum attempt_outcome late;   /* how its prompt ended after it was given up; ATTEMPT_OPEN:
                                    unknown, or not given up */
    struct job_error error;
};

const char *job_state_name(enum job_state s);
bool job_state_is_terminal(enum job_state s);
/* Finds a state by name; JOB_STATE_COUNT: none. */
enum job_state job_state_from_name(struct str name);
const char *job_event_name(enum job_event e);

/*
 * Looks up the transition. False (leaving *ret alone) when the table has none, which is a bug of
 * the caller: it logs and counts, and changes nothing.
 */
bool job_transition(enum job_state from, enum job_event event, enum job_state *ret) MUST_CHECK;

const char *attempt_outcome_name(enum attempt_outcome o);
const char *retry_class_name(enum retry_class c);
/* RETRY_CLASS_COUNT: none of this name. */
enum retry_class retry_class_from_name(struct str name);
/* Returns the table's defaults. */
struct job_policy job_policy_default(void);
enum attempt_outcome attempt_outcome_from_name(struct str name);

void job_error_done(struct job_error *e);
void job_error_copy(struct job_error *to, const struct job_error *from);
void job_record_done(struct job_record *r);
void attempt_record_done(struct attempt_record *r);

#endif
