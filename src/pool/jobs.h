/* The life of a job: made, queued, run, ended; one setter of its state. */
#ifndef COMFYPOOL_SRC_POOL_JOBS_H
#define COMFYPOOL_SRC_POOL_JOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/digest.h"
#include "comfypool/base/err.h"
#include "comfypool/base/str.h"
#include "comfypool/base/time.h"
#include "comfypool/core/job.h"
#include "comfypool/core/queue.h"
#include "comfypool/loop/deadlines.h"
#include "comfypool/core/spec.h"

#include "comfypool/files/streamed_images.h"
#include "comfypool/notify/webhooks.h"

struct attempt;
struct batch;
struct buf;
struct client;
struct edge;
struct intake;
struct input;
struct pool;
struct spec;
struct store_active;
struct stray;
struct submission;
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

/* after.c: jobs before and after it. */
struct job_chain {
    struct edge *deps;       /* what it waits for */
    struct edge *dependents; /* who waits for it */
    bool blocked;            /* it waits for others */
    bool was_blocked;        /* it did */
};

/* eta.c and position.c: when it may run. */
struct job_outlook {
    struct mono_us asked; /* the play that it was in */
    bool known;
    struct mono_us starts;
    struct mono_us completes;
    int64_t position; /* as counted last; -1: not known */
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

static inline struct str job_hash(const struct job *j)
{
    return (struct str){j->r.workflow_hash, DIGEST_HEX_SIZE - 1};
}

static inline bool job_has_variants(const struct job *j)
{
    return j->spec != NULL && j->spec->variants_len > 0;
}

/* The one setter of a job's state; false when the pair is not in the table (logged, counted). */
bool job_apply(struct job *j, enum job_event e);
/* A new job from a submission (its texts are taken); its id is set. Not stored yet. trace: of
   its caller, or "". */
struct job *job_new(struct pool *p, struct submission *take, const char *trace);
/* One of a batch: the submission is shared. */
struct job *job_new_of_batch(struct pool *p, const struct submission *from, const char *trace,
                             struct batch *b, struct str overrides);
/* One that the store had; taken. Its clocks are the caller's to set. */
struct job *job_loaded(struct pool *p, struct store_active *take);
/* The same at the pool's start, with its clocks carried over. */
struct job *job_resumed(struct pool *p, struct store_active *take);
void job_free(struct job *j);
/* It is queued, whatever it waits for. */
bool job_waits(const struct job *j);
/* Its row is durable: it waits for other jobs, for its time, or in the queue. */
void job_admit(struct job *j);
/* The same, and whoever waits for it is told (asked again: there is no such job in memory). */
void job_forget(struct job *j);
struct job *job_find(struct pool *p, struct str id);
/* Queues a job whose row is durable (again), and sets its timers. */
void job_enqueue(struct job *j);
/* The same after its pause, if there is one; or its end, when somebody cancelled it, its time is
   over or no backend is left for it. */
void job_wait_again(struct job *j);
/* Of one that had no attempt yet: its end, as above, or job_admit. */
void job_wait_first(struct job *j);
/* Its workflow could not be read: in a moment again. */
void job_wait_for_store(struct job *j);
/* Sets the timers of a job that is queued or running, from its record. */
void job_set_timers(struct job *j);
/*
 * The job's attempt is over: stores what the job becomes. outputs are taken, and may be NULL;
 * profile and measurement (see learn_end) may be empty. True: the attempt is given up and kept by
 * the stray that its prompt is now, since the job waits for a retry.
 */
bool job_conclude(struct job *j, enum job_event e, struct attempt *a, char *take_outputs,
                  struct str profile, struct str measurement);
/* It is not queued, nor about to be: somebody has it. */
void job_stop_waiting(struct job *j);
/* Ends a queued job without another attempt. code ERR_NONE: it is cancelled; else it fails. */
void job_end_queued(struct job *j, enum err code, const char *message);
/* The same of one of many, whose profiles take their time: as deadlines have it, some a turn. It
   fails with the first reason that was given. */
void job_end_queued_soon(struct job *j, enum err code, const char *message);
/* A cancel of a job that has not ended: noted once; what it means depends on where the job is. */
void job_cancel(struct job *j);
/* After POST /retry: a terminal job (from store_load_job; taken) is queued again. */
struct job *job_revive(struct pool *p, struct store_active *take);
/* True when it may wait (again); else its end is on its way, with each backend's reason. */
bool job_may_wait(struct job *j);
/* The ticket is woken when the job has ended; or at the next change of its live profile. */
void job_add_waiter(struct job *j, uint64_t ticket);
void job_add_watcher(struct job *j, uint64_t ticket);
/* Its live profile is another one now. */
void job_has_changed(struct job *j);
/* The profile of a job as far as it is known, as of its last change: the same text until the next
   one. Of a job that is not profiled: the states of its nodes, without times. */
void job_live_profile(struct job *j, struct buf *out);

#endif
