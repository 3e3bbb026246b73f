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

struct attempt;
struct batch;
struct client;
struct edge;
struct intake;
struct input;
struct pool;
struct spec;
struct stray;
struct wish;

/* Who waits for something of a job, by their tickets (see pool.h). */
struct waiters {
    uint64_t *list;
    size_t len, cap;
};

/* The parts of a job, each written by the file that it names. */

/* job_texts.c: what it was POSTed as. */
struct job_source {
    char *workflow; /* NULL while it waits and too much text is in memory */
    size_t workflow_len;
    char *extra_data;  /* without account keys; or NULL */
    char *credentials; /* they, where they are its own and not its batch's; or NULL */
    size_t body_bytes; /* of these texts, when they were in memory last */
};

/* dependencies.c: jobs before and after it. */
struct job_chain {
    struct edge *deps;       /* what it waits for */
    struct edge *dependents; /* who waits for it */
    bool row_is_behind;      /* it waits for less than its row says */
    bool blocked;            /* it waits for others */
    bool was_blocked;        /* it did */
};

/* eta.c: when it may run. */
struct job_outlook {
    struct mono_us asked; /* the play that it was in */
    bool known;
    struct mono_us starts;
    struct mono_us completes;
};

/* jobs.c: what its attempts before this one say of the next one's place. */
struct job_past {
    struct job_error refusal; /* of the last backend that refused its workflow */
    bool elsewhere;    /* its last attempt failed on r.backend: somewhere else, if possible */
    bool never_back;   /* ... however long another able one is busy */
    char *failed_on;   /* where that was: a name, or NULL */
    bool doubted;      /* a probe of it failed, perhaps by its own fault: that is spared once */
    bool spared;       /* a probe of it was */
    bool wants_memory; /* it failed for want of memory: where there is more than here */
    int64_t vram;      /* here: bytes */
    struct mono_us prefers_until; /* no longer than this it waits for a better one */
    struct deadline settles;      /* then */
};

/* intake.c: the insert of its row. */
struct job_insert {
    bool stored;           /* its row is durable: it may be told */
    char *key;             /* its Idempotency-Key, while the insert is under way; or NULL */
    struct intake *intake; /* who waits for the insert under way; or NULL */
};

/* jobs.c: the write that ends it, or its attempt. */
struct job_end {
    struct job_record next; /* what it becomes when the store has it; valid while `ending` */
    bool ending;
    bool cancel_durable; /* cancel_requested is in the store */
    bool timed_out;      /* jobTimeoutMs is over, seen while its end was being stored */
    struct outbox outbox;
    struct streamed streamed; /* until that write is done: what its row of copies names */
    char *kept_files;         /* of that row; NULL: none */
    char *retry;              /* what job:retrying tells of the attempt that ended; or NULL */
    unsigned withdraw;        /* an attempt that was never POSTed; its row goes with the next write
                                 that ends one; 0: none */
};

/* jobs.c: the clocks of its record. */
struct job_times {
    struct time_anchor anchor;
    struct mono_us queued;     /* r.waiting_since */
    struct mono_us submitted;  /* r.budget_since */
    struct mono_us changed_at; /* its live profile, last */
};

/* inputs.c: files that its nodes are given. */
struct job_files {
    struct input *inputs;
    size_t len;
    uint64_t largest; /* bytes */
    bool sent_anew;   /* to a backend that had lost them */
};

/* eligible.c: where it can run. */
struct job_able {
    struct wish *wishes; /* one for each of its variants; NULL: not made yet */
    bool restricted;     /* some backend cannot run it, or is preferred */
    uint64_t generation; /* ... as of then */
};

/* clients.c */
struct job_of_client {
    struct client *client;
    struct job *next, **link; /* of client->jobs */
};

/* jobs.c: it ends then, without an attempt, for this. */
struct job_doom {
    struct deadline due;
    enum err code; /* ERR_NONE: nothing of the kind */
    char *why;
};

/* routing.c */
struct job_route {
    struct mono_us held_until; /* 0: it is not held */
    size_t variant;            /* which of them runs, or ran last */
};

/* shun.c: the backend that it leaves to others. */
struct job_shun {
    uint32_t backend; /* 0: none */
    unsigned epoch;   /* ... in this one of the backend */
    struct job *next, **link;
};

/* jobs.c: callers that are held until it changes. */
struct job_waits {
    struct waiters for_end;
    struct waiters for_change; /* any change of its live profile */
    struct deadline wake;      /* of these: at the end of the turn */
};

struct job_timers {
    struct deadline delay; /* before it is queued again */
    struct deadline queue;
    struct deadline job;
};

struct job {
    struct pool *pool;
    struct job_record r; /* as told to everybody */
    struct spec *spec;   /* NULL: nothing was asked */
    struct batch *batch; /* or NULL */
    struct job *batch_next, **batch_link;
    struct queue_entry entry;
    size_t counted_place;    /* in the queue, from 1, as position.c counted it last; 0: unknown */
    size_t reviewed_as;      /* its place in the pool's review, from 1; 0: none */
    struct attempt *attempt; /* or NULL */
    struct stray *strays;    /* attempts before it that may still be somewhere */
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
