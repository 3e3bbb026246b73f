/*
 * A job as everybody sees it (job_record), and the one table of what may become of it.
 *
 *   queued -> running -> completed | failed | cancelled
 *      ^         |
 *      +--retry--+          (also queued -> failed | cancelled)
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

/* What happens to a job. */
#define JOB_EVENT_TABLE(X)                                                                         \
    X(JOB_EVENT_ASSIGN, "assign")     /* a backend takes it */                                     \
    X(JOB_EVENT_REQUEUE, "requeue")   /* its attempt is over, another one will follow */           \
    X(JOB_EVENT_COMPLETE, "complete") /* its prompt succeeded */                                   \
    X(JOB_EVENT_FAIL, "fail")                                                                      \
    X(JOB_EVENT_CANCEL, "cancel") /* by a client in the queue, or by the backend's word */

enum job_event {
#define X(symbol, name) symbol,
    JOB_EVENT_TABLE(X)
#undef X
        JOB_EVENT_COUNT
};

/* Inside running. */
enum job_phase {
    JOB_PHASE_NONE,
    JOB_PHASE_ASSIGNED,  /* the intent is being stored, or the POST is on its way */
    JOB_PHASE_SUBMITTED, /* the backend accepted the prompt */
    JOB_PHASE_STARTED,   /* execution_start was seen */
};

/* How an attempt ended; the profile of an attempt has the same outcome. */
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

/* Why a job or attempt did not complete. Texts are owned by whoever owns the struct. */
struct job_error {
    enum err code; /* ERR_NONE: no error */
    char *message;
    char *node_id;     /* or NULL */
    char *node_type;   /* or NULL */
    char *node_errors; /* valid JSON: ComfyUI's node_errors, or NULL */
    char *traceback;   /* valid JSON: a list of lines, or NULL */
};

/* What the API shows of a job; also what the store keeps of it. Owns its texts. */
struct job_record {
    char id[UUID_SIZE];
    int64_t seq; /* order of submission, from 1; the store's key */
    enum job_state state;
    int priority;
    struct wall_us queued_at;
    struct wall_us started_at;   /* 0: not started */
    struct wall_us completed_at; /* 0: not ended */
    char *backend;               /* of the last attempt, or NULL */
    char prompt_id[UUID_SIZE];   /* of the last attempt, or "" */
    unsigned attempts;           /* how many there are */
    unsigned max_attempts;
    unsigned cut_off; /* attempts that a restart of the daemon cut off before the backend took them;
                         they do not count against max_attempts */
    unsigned nodes_total;
    bool profiled;
    bool cancel_requested;
    bool partial; /* the backend refused some outputs and ran the rest */
    char workflow_hash[DIGEST_HEX_SIZE];
    char *metadata;    /* valid JSON object as the client sent it, or NULL */
    char *node_errors; /* valid JSON: of a partial job, or NULL */
    char *outputs;     /* valid JSON: {nodeId: ui output}, or NULL */
    struct job_error error;
};

/* One try to run a job. Owns its texts. */
struct attempt_record {
    unsigned number; /* from 1 */
    enum attempt_outcome outcome;
    char *backend;     /* its name */
    char *backend_url; /* without credentials: finds the backend again when its name changed */
    char prompt_id[UUID_SIZE];
    char client_id[UUID_SIZE];   /* the WebSocket client id that its events go to */
    struct wall_us intent_at;    /* when the intent was stored */
    struct wall_us submitted_at; /* when the backend accepted it; 0: it did not, or nobody saw it */
    struct wall_us started_at;   /* 0: never */
    struct wall_us completed_at; /* 0: open */
    struct job_error error;
};

const char *job_state_name(enum job_state s);
bool job_state_is_terminal(enum job_state s);
/* The state of this name; JOB_STATE_COUNT when there is none. */
enum job_state job_state_from_name(struct str name);
const char *job_event_name(enum job_event e);

/*
 * The transition table: what event makes of state. Returns false (and leaves *ret alone) when the
 * pair is not in the table, which is a bug of the caller: it logs and counts, and changes nothing.
 */
bool job_transition(enum job_state from, enum job_event event, enum job_state *ret) MUST_CHECK;

const char *attempt_outcome_name(enum attempt_outcome o);
enum attempt_outcome attempt_outcome_from_name(struct str name);

void job_error_done(struct job_error *e);
void job_error_copy(struct job_error *to, const struct job_error *from);
void job_record_done(struct job_record *r);
void attempt_record_done(struct attempt_record *r);

#endif
