/*
 * What the files of pool/ share. Ownership is a tree: pool -> backends, jobs -> attempt. An attempt
 * is on its backend's list from its beginning to its end.
 */
#ifndef COMFYPOOL_SRC_POOL_INNER_H
#define COMFYPOOL_SRC_POOL_INNER_H

#include "comfypool/base/map.h"
#include "comfypool/core/profiler.h"
#include "comfypool/core/progress.h"
#include "comfypool/core/queue.h"
#include "comfypool/core/scheduler.h"
#include "comfypool/core/timeline.h"
#include "comfypool/loop/deadlines.h"
#include "comfypool/pool/pool.h"
#include "comfypool/render/render.h"

struct backend {
    struct slot slot;
    struct pool *pool;
    char *name;
    char *url; /* without credentials */
    struct comfy_backend *comfy;
    struct attempt *attempts;      /* in flight */
    struct server_clock clock;     /* as seen on this connection */
    struct server_clock old_clock; /* on the one before */
    char *version;                 /* "" until known */
    char *devices;                 /* JSON array */
    char *last_error;              /* or NULL */
    bool refused; /* its port refused a connection since it was last up: it restarted, or is gone */
    int64_t queue_remaining; /* as its last status said; -1: unknown */
    uint64_t ends[ATTEMPT_OUTCOME_COUNT];
    int64_t busy_us; /* time with a prompt in flight */
    struct mono_us busy_since;
};

struct job {
    struct pool *pool;
    struct job_record r;    /* as told to everybody */
    struct job_record next; /* what it becomes when the store has it; valid while `ending` */
    bool ending;
    bool cancel_durable; /* cancel_requested is in the store */
    struct queue_entry entry;
    struct deadline delay; /* before it is queued again */
    struct time_anchor anchor;
    struct mono_us queued;
    char *workflow;
    size_t workflow_len;
    char *extra_data; /* or NULL */
    enum job_phase phase;
    struct attempt *attempt; /* or NULL */
    struct http_ref *waiters;
    size_t waiters_len, waiters_cap;
    struct http_ref submitter; /* who waits for the insert */
};

struct output {
    char *node_id;
    char *json;
};

struct attempt {
    struct job *job;
    struct backend *backend;
    struct attempt *next, **link; /* in backend->attempts; link NULL: not in it any more */
    struct attempt_record r;
    struct workflow *workflow;
    struct profiler *profiler; /* NULL: not profiled */
    struct progress progress;
    struct timeline timeline;
    /* Submission. */
    struct http_call *submit;
    bool intent_stored;
    bool posted;
    bool known;   /* the backend surely had it: accepted, seen in its queue, or spoke of it */
    bool adopted; /* from before a restart of the daemon */
    bool cut_off; /* by it: free of charge */
    struct mono_us posted_at;
    unsigned submit_status; /* of an ambiguous POST; 0: no answer */
    /* Watching. */
    bool trusted; /* the socket saw everything so far, and the backend answered well */
    bool missed;  /* the socket did not see everything: history must be asked at the end */
    bool cancel_sent;
    struct comfy_locate *locate;
    struct deadline poll;
    int64_t poll_ms;
    unsigned absent; /* polls in a row that found it nowhere */
    bool unreachable;
    struct mono_us unreachable_since;
    struct mono_us last_sign;
    /* The end. */
    bool ended; /* the outcome is known */
    bool from_history;
    unsigned history_tries;
    struct deadline patience; /* with the POST's answer, or history, after the end */
    enum attempt_outcome outcome;
    struct job_error error;
    struct output *outputs;
    size_t outputs_len;
    size_t outputs_bytes;
    char *node_errors; /* of a 200 that runs in part */
};

struct pool {
    uv_loop_t *loop;
    struct store *store;
    struct http_client *http;
    struct ws_client *ws;
    struct http_server *server;
    struct pool_options options;
    struct backend *backends;
    size_t backends_len;
    struct map backends_by_name;
    struct map jobs; /* active ones, by id */
    struct queue queue;
    struct scheduler scheduler;
    struct deadlines deadlines;
    struct deadline prune;
    bool stopping;
    bool dispatching;
    unsigned writes; /* store operations under way */
    unsigned submits;
    struct deadline stop_late;
    void (*stopped)(void *ctx);
    void *stopped_ctx;
    struct mono_us began;
    uint64_t ends[JOB_STATE_COUNT]; /* since the start */
    uint64_t bad_transitions;
    unsigned minute[60]; /* jobs ended in each of the last 60 s */
    int64_t minute_at;
};

/* ---- jobs.c ---------------------------------------------------------------------------------- */

/* The one setter of a job's state; false when the pair is not in the table (logged, counted). */
bool job_apply(struct job *j, enum job_event e);
/* A new job from a submission (taken); its id is set. Not stored yet. */
struct job *job_new(struct pool *p, struct submission *take);
void job_free(struct job *j);
struct job *job_find(struct pool *p, struct str id);
/* Queues a job whose row is durable (again). */
void job_enqueue(struct job *j);
/*
 * The job's attempt (NULL: it had none) is over: stores what it becomes. error is taken, outputs
 * and node_errors too (may be NULL). profile may be empty.
 */
void job_conclude(struct job *j, enum job_event e, struct attempt *a, struct job_error *take_error,
                  char *take_outputs, struct str profile);
/* Ends a queued job without an attempt. */
void job_cancel_queued(struct job *j);
/* x is asked again when the job has ended. */
void job_add_waiter(struct job *j, struct http_ref x);
/* The profile of a job as far as it is known; empty when there is none. */
void job_live_profile(struct job *j, struct buf *out);

/* ---- pool.c -----------------------------------------------------------------------------------
 */

/* What is known of the server's clock: on this connection, else on the one before. */
struct server_clock backend_clock(const struct backend *b);
/* Gives queued jobs to free backends. Called whenever either may have changed. */
void pool_dispatch(struct pool *p);
/* A store operation or a submit has ended: perhaps the stop is complete. */
void pool_one_less(struct pool *p, unsigned *counter);

/* ---- attempt.c ------------------------------------------------------------------------------- */

void attempt_begin(struct job *j, struct backend *b);
/* An attempt from before a restart, on the backend that it ran on. */
void attempt_adopt(struct job *j, struct backend *b, struct attempt_record *take);
void attempt_frame(struct attempt *a, struct mono_us now, const struct frame *f);
/* The outcome is known; error is taken. Frees the slot at once. stamp_ms 0: the server said none.
 */
void attempt_end(struct attempt *a, struct mono_us now, int64_t stamp_ms,
                 enum attempt_outcome outcome, struct job_error *take_error);
/* Concludes an ended attempt when nothing more is waited for. */
void attempt_conclude(struct attempt *a);
void attempt_cancel(struct attempt *a);
void attempt_free(struct attempt *a);
void attempt_add_output(struct attempt *a, struct str node_id, struct str ui);
struct job_error attempt_error(enum err code, const char *message);

/* ---- reconcile.c ----------------------------------------------------------------------------- */

/* Ask from here on until it is known what became of it. reason (static): the socket does not see
   everything either, a gap begins; NULL: it does. */
void attempt_distrust(struct attempt *a, struct mono_us now, const char *reason);
/* Asks in `ms` milliseconds, unless an earlier question is planned. */
void attempt_ask_in(struct attempt *a, int64_t ms);
/* A frame of this prompt came: the socket speaks to us. */
void attempt_heard(struct attempt *a, struct mono_us now);
/* Puts what /history knows into the attempt. */
void attempt_apply_history(struct attempt *a, struct mono_us now, const struct history_answer *h);
/* The end that a terminal message means. */
void attempt_end_by_message(struct attempt *a, struct mono_us now, const struct frame *f);

/* ---- serve.c, output.c ----------------------------------------------------------------------- */

void serve_output(struct pool *p, struct http_request *rq, struct http_ref x);
/* The Job's JSON of an active job. */
void serve_render_active(struct job *j, bool traceback, struct buf *out);

#endif
