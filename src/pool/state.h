/*
 * The pool itself. Ownership is a tree: pool -> backends, jobs -> attempt. An attempt is on its
 * backend's list from its beginning to its end.
 */
#ifndef COMFYPOOL_SRC_POOL_STATE_H
#define COMFYPOOL_SRC_POOL_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "comfypool/base/map.h"
#include "comfypool/base/pending.h"
#include "comfypool/base/time.h"
#include "comfypool/core/breaker.h"
#include "comfypool/core/job.h"
#include "comfypool/core/queue.h"
#include "comfypool/core/scheduler.h"
#include "comfypool/files/streamed_images.h"
#include "comfypool/loop/deadlines.h"
#include "comfypool/notify/events.h"
#include "comfypool/pool/pool.h"

#include "eligible.h"
#include "review.h"

struct attempt;
struct backend;
struct copies;
struct file_servers;
struct samplers;
struct http_client;
struct job;
struct measures;
struct retrying;
struct source;
struct stamps;
struct store;
struct uploads;
struct ws_client;

/*
 * Calls from lower to higher files. A file calls the files that it includes; to call one that
 * includes it (an attempt its job, trust the dispatch) it uses this table. pool.c fills it.
 */
struct pool_ops {
    void (*give_jobs)(struct pool *p);                         /* pool_dispatch */
    void (*review_jobs)(struct pool *p);                       /* review_begin */
    void (*settle_backend)(struct backend *b);                 /* backend_settle */
    void (*reap_backend)(struct backend *b);                   /* backend_maybe_reap */
    bool (*is_able)(struct job *j, const struct backend *but); /* dispatch_is_able */
    bool (*conclude_job)(struct job *j, enum job_event e, struct attempt *a, char *take_outputs,
                         struct str profile, struct str measurement);   /* job_conclude */
    void (*requeue_job)(struct job *j);                                 /* job_wait_again */
    void (*end_job)(struct job *j, enum err code, const char *message); /* job_end_queued */
    void (*admit_job)(struct job *j);                                   /* job_admit */
    void (*end_job_soon)(struct job *j, enum err code,
                         const char *message); /* job_end_queued_soon */
    void (*defer_job)(struct job *j);          /* job_wait_for_store */
    bool (*may_wait)(struct job *j);           /* job_may_wait */
    void (*time_job)(struct job *j);           /* job_set_timers */
    void (*show_job)(struct job *j);           /* job_has_changed */
    void (*texts_came)(struct job *j);         /* job_texts_came */
    void (*wrote_images)(struct attempt *a);   /* attempt_images_written */
};

/*
 * The parts of the pool. Each names the file that changes it; members that several files change are
 * in struct pool itself.
 */

/* pool_stop.c: whom to tell when no work is under way. */
struct pool_stopping {
    struct deadline late;    /* tells then, or looks again */
    struct mono_us patience; /* nothing is awaited longer than this */
    void (*done)(void *ctx);
    void *ctx;
};

/* trust.c: backends that are not fully trusted; there are few. */
struct pool_distrust {
    size_t suspects;          /* backends with a failure since their last success */
    struct backend **limited; /* backends that refuse a size, or files */
    size_t limited_len;
    struct deadline breaker_closing; /* when the first breaker half-opens */
};

/* shun.c: jobs that shun a backend, the one that tried its backend longest ago first. */
struct pool_shunning {
    struct job *first, **end;
};

/* dispatch.c. */
struct pool_dispatching {
    bool is_running;
    struct deadline held; /* when a job that is held for a better backend is looked at again */
    size_t passed;        /* see dispatch_passed */
};

/* job_texts.c: the texts of jobs. */
struct pool_texts {
    size_t bytes;  /* in memory */
    size_t coming; /* reads of them under way */
};

/* jobs.c and job_state.c: counts since the start, for GET /stats. */
struct pool_counts {
    uint64_t ends[JOB_STATE_COUNT];
    uint64_t bad_transitions;
    unsigned minute[60]; /* jobs that ended in each of the last 60 s */
    int64_t minute_at;
};

/* run_measurement.c: measurements that wait to be folded into roll-ups. */
struct pool_folding {
    struct deadline due;
    bool is_running;
    unsigned unfolded; /* ends since the last fold */
};

/* Delay before a failed read of the store is tried again. */
enum { STORE_PAUSE_MS = 1000 };

struct pool {
    const struct pool_ops *ops;
    uv_loop_t *loop;
    struct store *store;
    struct http_client *http;
    struct ws_client *ws;
    struct pool_callers callers; /* wake NULL: the daemon stops */
    struct pool_options options;
    struct backend **backends;
    size_t backends_len;
    uint32_t last_backend_id;
    struct map backends_by_name;
    struct map jobs;      /* active jobs, by id */
    struct map clients;   /* by name */
    struct map batches;   /* with active jobs, by id */
    struct map known;     /* see known_jobs.h; by id */
    struct map key_looks; /* first lookup of each Idempotency-Key; see key_look.h */
    struct map keys; /* submissions under way, later their jobs and batches, by Idempotency-Key */
    size_t attempts; /* jobs with an attempt, so not queued */
    struct pool_texts texts;
    struct events events;
    struct uploads *uploads;
    struct file_servers *file_servers;
    struct stamps *stamps;
    struct copies *copies;
    struct streamed_writes streamed_writes;
    struct source *sources;   /* outputs on their way to jobs */
    struct retrying *retries; /* POST /retry, while its job is read; see job_requests.c */
    struct webhooks *webhooks;
    struct hooks *hooks;
    struct otlp *otlp;
    uint64_t previews; /* counted so far */
    struct samplers *samplers;
    struct measures *measures;
    struct pool_folding folding;
    struct mono_us eta_at; /* when the queue was last simulated; 0: never */
    struct positions {
        struct mono_us counted;
        int64_t took_us;
    } positions;
    struct queue queue;
    struct scheduler scheduler;
    struct breaker breaker;
    struct pool_distrust distrust;
    struct eligibility eligibility;
    struct review review;
    struct pool_shunning shunning;
    struct pool_dispatching dispatch;
    struct deadlines deadlines;
    struct deadline prune;
    bool paused;
    bool stopping;
    struct pending pending; /* work under way in all rooms that a stop awaits */
    struct pool_stopping on_stop;
    struct mono_us began;
    struct pool_counts counts;
};

/* Called when no work is under way: completes a stop. pool: a struct pool. */
void pool_look_for_end(void *pool);
/* Completes the stop when no work is under way, or after this time. */
void pool_await_stop(struct pool *p, struct dur_us most);

/* Wakes the holder of a ticket, unless the daemon stops. */
void pool_wake(struct pool *p, uint64_t ticket);
/* True if the ticket's holder still waits. */
bool pool_is_waiting(const struct pool *p, uint64_t ticket);

#endif
