/* A job in memory: its parts, each with the file that owns it. */
#ifndef COMFYPOOL_SRC_POOL_JOB_H
#define COMFYPOOL_SRC_POOL_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/digest.h"
#include "comfypool/base/err.h"
#include "comfypool/base/str.h"
#include "comfypool/base/time.h"
#include "comfypool/core/job.h"
#include "comfypool/core/queue.h"
#include "comfypool/files/streamed_images.h"
#include "comfypool/loop/deadlines.h"
#include "comfypool/notify/webhooks.h"
#include "comfypool/store/finds.h"

struct attempt;
struct batch;
struct client;
struct edge;
struct intake;
struct input;
struct pool;
struct job_options;
struct known_jobs;
struct stray;
struct wish;

/* Tickets (see pool.h) that wait for something of a job. */
struct waiters {
    uint64_t *list;
    size_t len, cap;
};

/*
 * The parts of a job. Each names the file that changes it; members that several files change are in
 * struct job itself.
 */

/* job_texts.c: the texts that the job was submitted with. */
struct job_source {
    char *workflow; /* NULL while it waits and texts are spared */
    size_t workflow_len;
    char *extra_data;  /* without account keys; or NULL */
    char *credentials; /* account keys, unless its batch has them; or NULL */
    struct store_read reading;
    bool are_lost;     /* the last read failed */
    size_t body_bytes; /* length of these texts when they were last in memory */
};

/* dependencies.c: the jobs before and after it in a chain. */
struct job_chain {
    struct edge *deps;        /* the jobs that it waits for */
    struct edge *dependents;  /* the jobs that wait for it */
    struct known_jobs *known; /* set while the store is asked about other jobs */
    struct deadline again;    /* when the store is asked again */
    bool row_is_behind;       /* its row names jobs that it no longer waits for */
    bool blocked;             /* waits for others */
    bool was_blocked;         /* waited for others earlier */
};

/* eta.c: when it is expected to run. */
struct job_outlook {
    struct mono_us asked; /* time of the simulation that included it */
    bool known;
    struct mono_us starts;
    struct mono_us completes;
};

/* jobs.c: what earlier attempts say about where the next one should run. */
struct job_past {
    struct job_error refusal; /* of the last backend that refused its workflow */
    bool elsewhere;    /* the last attempt failed on r.backend: try another one if possible */
    bool never_back;   /* ... however long the other able backends are busy */
    char *failed_on;   /* the name of that backend, or NULL */
    bool doubted;      /* failed as a probe, perhaps by its own fault, and was spared; only once */
    bool spared;       /* spared as a probe */
    bool wants_memory; /* ran out of memory: try a backend with more than `vram` */
    int64_t vram;      /* bytes, of that backend */
    struct mono_us prefers_until; /* waits for a better backend until then */
    struct deadline settles;      /* fires then */
};

/* intake.c: the insert of its row. */
struct job_insert {
    bool stored;           /* the row is durable, so the job may be told of */
    char *key;             /* its Idempotency-Key while the insert is under way, or NULL */
    struct intake *intake; /* the submission that waits for the insert, or NULL */
};

/* jobs.c: the write that ends it, or its attempt. */
struct job_end {
    struct job_record next; /* the record after the write; valid while `ending` */
    bool ending;
    bool awaits_texts;   /* the write waits for the texts: its profile needs the nodes */
    bool cancel_durable; /* cancel_requested has been stored */
    bool timed_out;      /* jobTimeoutMs ran out while the end was being stored */
    struct outbox outbox;
    struct streamed streamed; /* streamed images that its row of copies names */
    char *kept_files;         /* the files of that row, or NULL */
    char *retry;              /* what job:retrying says about the attempt that ended, or NULL */
    unsigned withdraw; /* number of an attempt that was never POSTed; its row goes with the next
                          end; 0: none */
};

/* jobs.c: its record's points in time, on the monotonic clock. */
struct job_times {
    struct time_anchor anchor;
    struct mono_us queued;     /* r.waiting_since */
    struct mono_us submitted;  /* r.budget_since */
    struct mono_us changed_at; /* last change of its live profile */
};

/* inputs.c: the files that its nodes are given. */
struct job_files {
    struct input *inputs;
    size_t len;
    uint64_t largest; /* bytes */
    bool sent_anew;   /* sent again, once, to a backend that had lost them */
};

/* eligible.c: where it can run. */
struct job_able {
    struct wish *wishes; /* one per variant; NULL: not made yet */
    bool restricted;     /* at least one backend cannot run it, or is preferred */
    uint64_t generation; /* generation of knowledge for which `restricted` is valid */
};

/* clients.c */
struct job_of_client {
    struct client *client;
    struct job *next, **link; /* of client->jobs */
};

/* jobs.c: its end without an attempt, at `due`, for this reason. */
struct job_doom {
    struct deadline due;
    enum err code; /* ERR_NONE: no such end is planned */
    char *why;
};

/* routing.c: where it goes. */
struct job_route {
    struct mono_us held_until; /* held for a better backend until then; 0: not held */
    size_t variant;            /* the variant that runs, or ran last */
};

/* shun.c: the backend that it leaves to other jobs, after it failed there. */
struct job_shun {
    uint32_t backend; /* 0: none */
    unsigned epoch;   /* the backend's trust.epoch at that time */
    struct job *next, **link;
};

/* jobs.c: tickets that wait for it. */
struct job_waits {
    struct waiters for_end;
    struct waiters for_texts;  /* for its texts */
    struct waiters for_change; /* for any change of its live profile */
    struct deadline wake;      /* wakes for_change at the end of the turn */
};

struct job_timers {
    struct deadline delay; /* when it is queued again */
    struct deadline queue;
    struct deadline job;
};

struct job {
    struct pool *pool;
    struct job_record r;      /* as shown to clients */
    struct job_options *spec; /* NULL: the submission has no options */
    struct batch *batch;      /* or NULL */
    struct job *batch_next, **batch_link;
    struct queue_entry entry;
    size_t counted_place;    /* place in the queue, from 1, when last counted; 0: unknown */
    size_t reviewed_as;      /* place in the pool's review, from 1; 0: none */
    struct attempt *attempt; /* or NULL */
    struct stray *strays;    /* earlier prompts that may still be on a backend */
    struct job_source texts;
    struct job_files files;
    struct job_of_client of_client;
    struct job_chain chain;
    struct job_insert insert;
    struct job_able able;
    struct job_route route;
    struct job_shun shun;
    struct job_past past;
    struct job_doom doom;
    struct job_timers timers;
    struct job_times times;
    struct job_outlook forecast;
    struct job_end end;
    struct job_waits waits;
};

#endif
