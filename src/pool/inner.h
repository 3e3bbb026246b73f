/*
 * What the files of pool/ share. Ownership is a tree: pool -> backends, jobs -> attempt. An attempt
 * is on its backend's list from its beginning to its end.
 */
#ifndef COMFYPOOL_SRC_POOL_INNER_H
#define COMFYPOOL_SRC_POOL_INNER_H

#include "comfypool/base/json_write.h"
#include "comfypool/base/map.h"
#include "comfypool/core/ability.h"
#include "comfypool/core/measures.h"
#include "comfypool/core/profiler.h"
#include "comfypool/core/progress.h"
#include "comfypool/core/queue.h"
#include "comfypool/core/scheduler.h"
#include "comfypool/core/server_clock.h"
#include "comfypool/core/spec.h"
#include "comfypool/core/splice.h"
#include "comfypool/core/timeline.h"
#include "comfypool/loop/apart.h"
#include "comfypool/loop/deadlines.h"
#include "comfypool/pool/pool.h"
#include "comfypool/render/render.h"
#include "copies.h"
#include "stamps.h"
#include "streamed.h"
#include "unlisted.h"
#include "eligible.h"
#include "events.h"
#include "hooks.h"
#include "inputs.h"
#include "refusals.h"
#include "otlp.h"
#include "sampling.h"
#include "trust.h"
#include "uploads.h"
#include "walls.h"
#include "webhooks.h"

/* What people said of a backend; on disk as these numbers. */
enum backend_admin { ADMIN_NONE = 0, ADMIN_DRAINED = 1, ADMIN_QUARANTINED = 2 };

enum { BYSTANDERS = 16 };

struct backend {
    struct slot slot;
    struct pool *pool;
    uint32_t id; /* never used again */
    char *name;
    char *url; /* without credentials */
    struct comfy_backend *comfy;
    struct attempt *attempts;  /* in flight */
    unsigned refs;             /* attempts that still need it: ended ones too */
    struct stray *strays;      /* prompts that nobody waits for */
    struct server_clock clock; /* over all connections */
    bool tells_no_creation;    /* its history has no create_time */
    char *version;             /* "" until known */
    char *devices;             /* JSON array */
    int64_t vram;              /* bytes of its devices together; 0: unknown */
    char *labels;              /* JSON array */
    struct names label_names;  /* the same */
    struct knowledge knows;
    struct unlisted unlisted;
    struct sent sent;
    struct copying copying;
    char *last_error; /* or NULL */
    /* The link. */
    bool up;                   /* the socket is open and was not found to be deaf */
    struct mono_us refused_at; /* its port refused a connection then: whatever was there before is
                                  gone; 0: never */
    struct mono_us
        refuses_since;          /* ... and all since then; 0: somebody took one, or nobody knows */
    struct dur_us refused_lost; /* so long, and it counts as gone; 0: never */
    struct deadline refused_long;
    struct mono_us ended_at;         /* an attempt there did last */
    uint64_t bystanders[BYSTANDERS]; /* the last types of messages, as hashes, that came while
                                        nothing ran: they tell nothing of what runs */
    unsigned bystanders_len;
    struct mono_us up_since;   /* while up */
    struct mono_us down_since; /* while not up */
    struct deadline gone;      /* down for too long: it is no place for a job any more */
    struct mono_us last_status;
    struct deadline deaf_check; /* a POST was answered: its `status` must have come by then */
    struct mono_us deaf_since;  /* ... since here */
    int64_t queue_remaining;    /* as its last status said; -1: unknown */
    int64_t leaving;            /* prompts of ours that ended and that it may still count */
    /* What is in its memory; see learn.c. */
    char warm_hash[DIGEST_HEX_SIZE];   /* of the workflow that began last; "": nobody knows */
    char warm_models[DIGEST_HEX_SIZE]; /* the set that it named; "": none */
    bool foreign;                      /* a prompt of somebody else's came meanwhile */
    unsigned settling;                 /* attempts that ended since its last status */
    struct sampling sampling;
    struct heap_node eta_node; /* see eta.c */
    struct mono_us eta_free_at;
    const char *told_state; /* by backend:state; NULL: nothing yet. Static */
    /* What people changed. */
    const struct pool_backend_options *configured; /* NULL: it came by POST /backends */
    struct backend_record own; /* as the store has it; name NULL: nothing was changed */
    enum backend_admin admin;
    bool removing; /* goes as soon as nothing of ours is there */
    struct deadline reap;
    struct trust trust;
    unsigned places; /* prompts at once, as people want it */
    uint64_t ends[ATTEMPT_OUTCOME_COUNT];
    int64_t busy_us; /* time with a prompt in flight */
    struct mono_us busy_since;
};

/* Requests to be asked again. */
struct waiters {
    struct http_ref *list;
    size_t len, cap;
};

/* Whoever jobs are submitted for, while it has active ones. */
struct client {
    char *name; /* "": those who name none */
    size_t active;
    size_t running;
    bool held;        /* jobs.maxRunningPerClient are running */
    struct job *jobs; /* the active ones */
};

/* A job that waits for another one's end; in a list of each. */
struct edge {
    struct job *waits, *for_job;
    struct edge *next_dep, **dep_link;             /* of waits->deps */
    struct edge *next_dependent, **dependent_link; /* of for_job->dependents */
};

/* A batch with active jobs. */
struct batch {
    struct pool *pool;
    struct batch_record r;
    char *workflow;
    size_t workflow_len;
    char *extra_data;  /* or NULL */
    char *credentials; /* the account keys of its jobs, or NULL; see core/credentials.h */
    struct job *jobs;  /* active ones, in their order */
    struct job **last;
    size_t active;
    bool stored;
    bool ending; /* its end is being stored */
    bool cancelling;
    struct making *making; /* its jobs are not all there, or not stored yet */
    struct job *next;      /* the first that is still to be queued, or cancelled */
    struct deadline work;  /* some of them at a time */
    struct outbox outbox;
};

struct job {
    struct pool *pool;
    struct client *client;
    struct job *client_next, **client_link; /* of client->jobs */
    struct wish *wishes;      /* one for each of its variants; NULL: not made yet. See eligible.h */
    size_t variant;           /* which of them runs, or ran last */
    bool restricted;          /* some backend cannot run it, or is preferred */
    uint64_t able_generation; /* ... as of then */
    struct mono_us held_until; /* see routing.c; 0: it is not held */
    struct spec *spec;         /* NULL: nothing was asked */
    struct batch *batch;       /* or NULL */
    struct job *batch_next, **batch_link;
    struct edge *deps;       /* what it waits for */
    struct edge *dependents; /* who waits for it */
    struct input *inputs;    /* files that its nodes are given */
    size_t inputs_len;
    uint64_t largest_input; /* bytes */
    size_t body_bytes;      /* of its texts, when they were in memory last */
    bool blocked;           /* it waits for others */
    bool was_blocked;       /* it did */
    struct deadline doom;   /* it ends then, without an attempt, for this */
    enum err doom_code;     /* ERR_NONE: nothing of the kind */
    char *doom_why;
    bool sent_anew;         /* its files, to a backend that had lost them */
    struct job_record r;    /* as told to everybody */
    struct job_record next; /* what it becomes when the store has it; valid while `ending` */
    bool stored;            /* its row is durable: it may be told */
    bool ending;
    bool cancel_durable;      /* cancel_requested is in the store */
    bool timed_out;           /* jobTimeoutMs is over, seen while its end was being stored */
    struct job_error refusal; /* of the last backend that refused its workflow */
    bool elsewhere;       /* its last attempt failed on r.backend: somewhere else, if possible */
    bool never_back;      /* ... however long another able one is busy */
    char *failed_on;      /* where that was: a name, or NULL */
    bool doubted;         /* a probe of it failed, perhaps by its own fault: that is spared once */
    bool spared;          /* a probe of it was */
    uint32_t shuns;       /* the backend that it leaves to others: see shun.c; 0: none */
    unsigned shuns_epoch; /* ... in this one of the backend */
    struct job *shun_next, **shun_link;
    bool wants_memory; /* ... for want of memory: where there is more than here */
    int64_t vram;
    struct mono_us prefers_until; /* no longer than this it waits for a better one */
    struct deadline settles;      /* then */
    struct queue_entry entry;
    size_t reviewed_as;    /* its place in the pool's review, from 1; 0: none */
    struct deadline delay; /* before it is queued again */
    struct deadline queue_timer;
    struct deadline job_timer;
    struct time_anchor anchor;
    struct mono_us queued;    /* r.waiting_since */
    struct mono_us submitted; /* r.budget_since */
    char *workflow; /* NULL while it waits and too much text is in memory: see job_texts.c */
    size_t workflow_len;
    char *extra_data;  /* without account keys; or NULL */
    char *credentials; /* they, where they are its own and not its batch's; or NULL */
    char *key;         /* its Idempotency-Key, while the insert is under way; or NULL */
    enum job_phase phase;
    struct attempt *attempt;   /* or NULL */
    struct stray *strays;      /* attempts before it that may still be somewhere */
    unsigned withdraw;         /* an attempt that was never POSTed; its row goes with the next write
                                  that ends one; 0: none */
    struct waiters waiters;    /* for its end */
    struct waiters watchers;   /* for any change of its live profile */
    struct mono_us changed_at; /* the last one */
    struct deadline wake;      /* of the watchers: at the end of the turn */
    struct mono_us eta_asked;  /* see eta.c: the play that it was in */
    int64_t position;          /* as counted last, see position.c; -1: not known */
    bool eta_known;
    struct mono_us eta_starts;
    struct mono_us eta_completes;
    struct outbox outbox;      /* of the write under way */
    struct streamed streamed;  /* until that write is done: what its row of copies names */
    char *kept_files;          /* of that row; NULL: none */
    char *retry;               /* what job:retrying tells of the attempt that ended; or NULL */
    struct http_ref submitter; /* who waits for the insert */
};

static inline struct str job_hash(const struct job *j)
{
    return (struct str){j->r.workflow_hash, DIGEST_HEX_SIZE - 1};
}

static inline bool job_has_variants(const struct job *j)
{
    return j->spec != NULL && j->spec->variants_len > 0;
}

struct output {
    char *json;
    size_t bytes; /* as they came */
    size_t files; /* that are listed of it, and texts */
    char node_id[];
};

/* What was told of an attempt's progress, and what is to be told. */
enum {
    PROGRESS_A_SECOND = 9, /* with the one at the end of the job: 10 at most */
    PROGRESS_AT_ENDS = 4,  /* of these only for the last values of nodes */
};
struct told_progress {
    bool owed;
    char *node_id;
    double value, max;
    struct mono_us at[PROGRESS_A_SECOND]; /* the last ones; next is the oldest */
    unsigned next;
    struct deadline timer;
};

/* The newest preview image of an attempt, kept while somebody listens for them. */
struct preview {
    uint64_t n; /* counts up over all attempts; 0: there is none */
    char *node_id;
    const char *media_type;
    struct buf image;
};

/* Why an attempt is told to stop. */
enum stop { STOP_NONE, STOP_CANCEL, STOP_TIMEOUT };

struct attempt {
    struct job *job;
    struct backend *backend;
    struct attempt *next, **link; /* in backend->attempts; link NULL: not in it any more */
    struct attempt_record r;
    struct workflow *workflow;
    struct profiler *profiler; /* NULL: not profiled */
    struct progress progress;
    struct timeline timeline;
    int64_t sent_created_ms;    /* create_time as the client gave it; 0: it did not */
    bool clock_judged;          /* it is over, and its timeline has the reading */
    struct server_clock before; /* what was known of the clock then, without it */
    struct splices splices;     /* what it changes in the workflow's text */
    /* Submission. */
    struct http_call *submit;
    bool intent_stored;
    bool sending;        /* its inputs, before the POST */
    bool reuses_files;   /* some of them had been sent before it */
    bool waits_for_file; /* for the one that is sent, or failed, just now */
    bool posted;
    bool known;       /* the backend surely had it: accepted, seen in its queue, or spoke of it */
    bool adopted;     /* from before a restart of the daemon */
    bool cut_off;     /* by it: free of charge */
    char *auto_seeds; /* while it is kept by a stray: what its job said of it; or NULL */
    char *placement;
    bool found_again; /* it was given up before, and its job waited meanwhile */
    bool probes;      /* its backend is on probation, after a quarantine */
    bool free;        /* of charge, since what ended it was our own doing */
    struct mono_us posted_at;
    unsigned submit_status; /* of an ambiguous POST; 0: no answer */
    bool submit_page;       /* ... which was a gateway's */
    /* Stopping it. */
    enum stop stop;
    enum err stop_code; /* of STOP_TIMEOUT */
    bool stop_durable;  /* ... and the store has it: after a restart it is ours, too */
    bool cancel_sent;
    struct deadline grace; /* told to stop: it must have ended by then */
    struct deadline start_timer;
    struct deadline node_timer;
    bool looked;     /* it was late, and what had come meanwhile was read first */
    bool start_late; /* the start timer is over: whether something else runs there decides */
    /* Telling. */
    bool told_accepted;
    bool told_started;
    struct told_progress told_progress;
    struct preview preview;
    struct streamed streamed;
    bool awaits_images; /* it has ended; one of pool.writes */
    /* Watching. */
    bool trusted;   /* the socket saw everything so far, and the backend answered well */
    bool missed;    /* the socket did not see everything: history must be asked at the end */
    bool probed;    /* its socket was made anew to see whether a node runs */
    bool planned;   /* something came after execution_start, or may have come unseen */
    bool node_seen; /* a node was seen to run */
    struct comfy_locate *locate;
    struct deadline poll;
    int64_t poll_ms;
    unsigned absent;  /* polls in a row that found it nowhere */
    bool doubted;     /* the server's queue fell, and nothing of ours explains it */
    int64_t doubt_ms; /* how long that waited the last time; 0: never */
    bool unreachable;
    struct mono_us unreachable_since;
    bool untold; /* the last answer was no ComfyUI's */
    struct mono_us last_sign;
    bool cold; /* see learn.c */
    struct attempt_samples sampled;
    /* The end. */
    bool ended;   /* the outcome is known */
    int executed; /* nodes that were, as far as anybody saw */
    struct mono_us ended_at;
    bool gone;          /* surely nowhere any more: the server said so, or restarted */
    bool left_dead;     /* its backend died under it */
    bool holds_slot;    /* it goes on there: the backend gets no other job */
    bool elsewhere;     /* rejected: another backend may run it */
    bool own_fault;     /* the fault of its server is the job's own */
    bool spared;        /* it was a probe: its failure costs the job nothing but time */
    bool proves_sick;   /* ... and its backend is no better than before */
    char *exception;    /* of the node that threw: type and first line, in one line; or NULL */
    const char *remedy; /* of a fault of its server; static, or NULL */
    bool from_history;
    unsigned history_tries;
    struct deadline patience; /* with the POST's answer, or history, after the end */
    enum attempt_outcome outcome;
    struct job_error error;
    struct job_error job_error; /* of the job, where that is another one */
    bool runs;                  /* it counts among those of its client that run */
    struct output **outputs;    /* as they came */
    size_t outputs_len, outputs_cap;
    struct map outputs_by_id;
    size_t outputs_bytes;
    size_t outputs_files;
    bool outputs_truncated; /* some are left out */
    char *node_errors;      /* of a 200 that runs in part */
};

/* See store.h: a prompt that may be on a backend though nobody waits for it. */
struct stray {
    struct stray_record r;
    struct backend *backend;
    struct stray *next, **link; /* in backend->strays */
    struct job *job;            /* that waits, or goes on without it; NULL: it ended */
    struct stray *next_of_job, **job_link;
    struct attempt *kept; /* the attempt as it was given up; NULL: from before a restart */
    struct comfy_locate *locate;
    struct deadline poll;
    int64_t poll_ms;
    bool seen;     /* the backend surely had it */
    bool alive;    /* it gave a sign of life since it was given up */
    bool in_doubt; /* its backend came back and was not asked yet: the job waits for the answer */
    unsigned absent;
    struct mono_us since;
    struct mono_us asked;
};

/* The jobs that are looked at anew; see review.c. */
struct review {
    struct job **list; /* NULL: none is under way; NULL in it: one that was freed */
    size_t len, at;
    bool wanted; /* another one, after it */
    struct deadline turn;
};

struct pool {
    uv_loop_t *loop;
    struct store *store;
    struct http_client *http;
    struct ws_client *ws;
    struct http_server *server;
    struct pool_options options;
    struct backend **backends;
    size_t backends_len;
    uint32_t last_backend_id;
    struct map backends_by_name;
    struct map jobs;    /* active ones, by id */
    struct map clients; /* by name */
    struct map batches; /* with active jobs, by id */
    struct map keys;    /* jobs whose insert is under way, by Idempotency-Key */
    size_t attempts;    /* jobs with an attempt: they are not queued */
    size_t text_bytes;  /* of the jobs' texts in memory */
    struct events events;
    struct uploads uploads;
    struct copies copies;
    struct stamps stamps;
    struct streamed_writes streamed_writes;
    struct source *sources; /* outputs on their way to jobs */
    struct webhooks webhooks;
    struct hooks hooks;
    struct otlp otlp;
    uint64_t previews;      /* so far */
    struct host_gpus *gpus; /* NULL: not needed yet */
    struct measures *measures;
    struct deadline fold;
    bool folding;
    unsigned unfolded;     /* ends since the last fold */
    struct mono_us eta_at; /* when estimates were made last; 0: never */
    struct positions {
        struct mono_us counted;
        int64_t took_us;
    } positions;
    struct queue queue;
    struct scheduler scheduler;
    struct ability ability;
    size_t suspects; /* backends on which something failed since they last completed something */
    struct backend **limited; /* those that refuse a size, or files */
    size_t limited_len;
    struct eligibility eligibility;
    struct review review;
    struct job *shunners, **shunners_end; /* the one that tried its backend longest ago is first */
    struct deadline held;    /* a job waits for a better backend: looked at anew then */
    size_t passed;           /* see dispatch_passed */
    struct deadline breaker; /* the first to close again */
    struct deadlines deadlines;
    struct aparts *aparts; /* large profiles that are rendered */
    struct deadline prune;
    bool paused;
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
/* A new job from a request's submission (taken); its id is set. Not stored yet. */
struct job *job_new(struct pool *p, struct http_request *rq);
/* One of a batch: the submission is shared. */
struct job *job_new_of_batch(struct pool *p, const struct http_request *rq, struct batch *b,
                             struct str overrides);
/* One that the store had; taken. Its clocks are the caller's to set. */
struct job *job_loaded(struct pool *p, struct store_active *take);
void job_free(struct job *j);
/* It is queued, whatever it waits for. */
bool job_waits(const struct job *j);
/* Its row is durable: it waits for other jobs, for its time, or in the queue. */
void job_admit(struct job *j);
/* The same, and whoever waits for it is told (asked again: there is no such job in memory). */
void job_forget(struct job *j);
struct job *job_find(struct pool *p, struct str id);
/* What a job holds of texts is counted from now on; or not any more. */
void job_count_texts(struct job *j);
void job_drop_texts(struct job *j);
/* Cuts the account keys out of extra data. *ret_keys: an object of them, or NULL; owner: the
   caller. Returns which there were, as in job_record. */
unsigned job_cut_credentials(char **extra_data, char **ret_keys);
/* The workflow of the variant that its placement names is its own from now on. */
void job_become_variant(struct job *j);
/* It waits, durably: its texts leave memory when there are too many. */
void job_spare_texts(struct job *j);
/* They are in memory, or read from the store. False: the store cannot be read. */
bool job_need_texts(struct job *j) MUST_CHECK;
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
 * The job's attempt is over: stores what the job becomes. What the attempt holds (errors, its
 * node_errors) and outputs (may be NULL) are taken. profile and measurement (see learn_end) may be
 * empty. Returns the stray that its prompt is now, or NULL.
 */
struct stray *job_conclude(struct job *j, enum job_event e, struct attempt *a, char *take_outputs,
                           struct str profile, struct str measurement);
/* It is not queued, nor about to be: somebody has it. */
void job_stop_waiting(struct job *j);
/* Ends a queued job without another attempt. code ERR_NONE: it is cancelled; else it fails. */
void job_end_queued(struct job *j, enum err code, const char *message);
/* The same of one of many, whose profiles take their time: as deadlines have it, some a turn. It
   fails with the first reason that was given. */
void job_end_queued_soon(struct job *j, enum err code, const char *message);
/* After POST /retry: a terminal job (from store_load_job; taken) is queued again. */
struct job *job_revive(struct pool *p, struct store_active *take);
/* True when it may wait (again); else its end is on its way, with each backend's reason. */
bool job_may_wait(struct job *j);
/* x is asked again when the job has ended; or at the next change of its live profile. */
void job_add_waiter(struct job *j, struct http_ref x);
void job_add_watcher(struct job *j, struct http_ref x);
/* Its live profile is another one now. */
void job_has_changed(struct job *j);
/* The profile of a job as far as it is known, as of its last change: the same text until the next
   one. Of a job that is not profiled: the states of its nodes, without times. */
void job_live_profile(struct job *j, struct buf *out);

/* ---- shun.c ------------------------------------------------------------------------------------
 */

/* It tried that backend: others go there first from now on. */
void shun_begin(struct job *j, const struct backend *b);
void shun_leave(struct job *j);
bool shun_bars(const struct job *j, const struct backend *b);
/* Of the jobs that shun it and could go there: the one that tried it longest ago, or NULL. */
struct job *shun_first(const struct backend *b);

/* ---- review.c ----------------------------------------------------------------------------------
 */

/* Every job that waits is looked at anew, soon: it fails when no backend can run it any more, else
   it goes to the lane that is right now. */
void review_begin(struct pool *p);
/* The same, if any workflow was refused anywhere. */
void review_refused(struct pool *p);
/* The job is to be freed. */
void review_leave(struct job *j);

/* ---- clients.c ---------------------------------------------------------------------------------
 */

/* The job is one of its client's from now on, until client_leave. */
void client_join(struct job *j);
void client_leave(struct job *j);
/* An attempt of the client's runs, or not any more. */
void client_runs(struct attempt *a);
void client_rests(struct attempt *a);
/* True when it may have `more` jobs beside those that it has. */
bool client_has_room(struct pool *p, const char *name, size_t more);
void clients_done(struct pool *p);

/* ---- after.c -----------------------------------------------------------------------------------
 */

/* Whether all ids of `after` (JSON, or NULL) name jobs that are seen there (see walls.h); else the
   first that does not, and its place. */
enum err after_check(struct pool *p, const char *wall, const char *after, struct str *ret_id,
                     size_t *ret_place) MUST_CHECK;
/* Ties the job to those that it still waits for. False: it waits for nobody, and *ret_why tells of
   one that did not complete; NULL: all did. Owner of the text: the caller. */
bool after_tie(struct job *j, char **ret_why);
/* The job has ended: those that wait for it go on, or fail. */
void after_ended(struct job *j);
/* It leaves memory: nobody waits for it, and it for nobody. */
void after_untie(struct job *j);

/* ---- batches.c ---------------------------------------------------------------------------------
 */

void serve_batch_submit(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_batch(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_batch_cancel(struct pool *p, struct http_request *rq, struct http_ref x);
/* Batches whose end was not told, at the start; before jobs are loaded. False: the store failed. */
bool batches_load(struct pool *p) MUST_CHECK;
/* The jobs are loaded: what has ended meanwhile is told. */
void batches_settle(struct pool *p);
void batch_join(struct job *j, struct batch *b);
/* The same for a job from the store, whose batch may have ended, or be in memory. */
void batch_join_again(struct job *j);
/* While the jobs of its batch are made: what its classes and models depend on, in place of its
   workflow. Appends; false: it is no such job. */
bool batch_skeleton_of(const struct job *j, struct buf *out);
/* Its last job's leaving ends the batch. */
void batch_leave(struct job *j);
void batches_done(struct pool *p);
/* Ends all of its jobs, some at a time. */
void batch_cancel(struct batch *b);

/* ---- file_answer.c -----------------------------------------------------------------------------
 */

/* Answers with a file of ours (its descriptor is taken), or the part that is asked for; status,
   ETag and ranges of `a` are set here. */
void file_answer(struct pool *p, const struct http_request *rq, struct http_ref x, int fd,
                 uint64_t size, const char *sha256, struct http_answer *a);

/* ---- rules.c -----------------------------------------------------------------------------------
 */

/* No hard rule keeps such a job from the backend; a soft one prefers it. */
bool rules_allow(const struct pool *p, const char *hash, const char *metadata,
                 const struct spec *spec, const char *backend);
bool rules_prefer(const struct pool *p, const char *hash, const char *metadata,
                  const struct spec *spec, const char *backend);

/* ---- routing.c ---------------------------------------------------------------------------------
 */

/* A job and the backend that is to have it, now. */
struct route {
    struct job *job;
    struct backend *backend;
    const char *reason;  /* static */
    int64_t expected_us; /* that the run will take; -1: not known */
    bool warm;
};
/* False: nothing can be given to anybody now. */
bool routing_next(struct pool *p, struct route *ret);
/* Gives away what can be given away, then. */
void dispatch_again(struct pool *p, struct mono_us at);
/* A job was looked at for nothing: it stands in another lane now. bytes: of its texts, if they were
   made for that. What bars one may bar thousands: after some of them the others have to wait for
   the next turn; until then nothing is given away. */
void dispatch_passed(struct pool *p, size_t bytes);
bool dispatch_rests(const struct pool *p);
/* Whether the backend may have the job as things are, apart from its places. */
bool dispatch_allows(struct job *j, const struct backend *b, unsigned level);
/* Something is known of its workflow, or of one of its variants. */
bool dispatch_is_known(const struct job *j);
/* The same when nobody better wants it: whatever may be overlooked is, and that the job shuns it.
 */
bool dispatch_allows_reluctant(struct job *j, const struct backend *b);
/* The first level at which any backend would do; false: none does. */
bool dispatch_level(struct job *j, unsigned *ret);

/* ---- eligible.c --------------------------------------------------------------------------------
 */

/* Some backend can run what is submitted, or might later; else (and for ?dryRun) the request is
   answered, or asked again when the backends were. */
bool eligible_serve(struct pool *p, struct http_request *rq, struct http_ref x);
/* The same of one job of a batch whose jobs are being made: whether any backend can run it (asked:
   they were, for this one); the batch's request is asked again when backends that lack something
   were (false: none was); it is refused, with the place in its body. */
enum chance eligible_chance(struct job *j, bool asked);
bool eligible_ask_again(struct job *j, struct http_ref x);
void eligible_refuse(struct job *j, struct http_ref x, const char *pointer);
/* Whether that backend can run it, as far as the backend has said on this connection; before that,
   and while it is down: whether the job is for it by name, label and rule. */
bool eligible_may_be(struct job *j, const struct backend *b);
/* The largest value of a number that a node class takes there, as far as is known. */
uint64_t eligible_input_max(const struct backend *b, struct str class_type, const char *input);

/* ---- prompt.c ----------------------------------------------------------------------------------
 */

/* The texts that the attempt POSTs: seeds are chosen. Before the intent is stored. */
void prompt_prepare(struct attempt *a);
/* The body of POST /prompt. */
void prompt_render(struct attempt *a, struct buf *body);

/* ---- pool.c -----------------------------------------------------------------------------------
 */

/* A store operation or a submit has ended: perhaps the stop is complete. */
void pool_one_less(struct pool *p, unsigned *counter);

/* ---- dispatch.c ------------------------------------------------------------------------------ */

/* Gives queued jobs to free backends. Called whenever either may have changed. */
void pool_dispatch(struct pool *p);
/* The key of the lane that a job waits in; see core/queue.h. */
void dispatch_lane_key(struct job *j, struct buf *ret);
/* It waits in the lane that is right now: true when it had to be moved. */
bool dispatch_change_lane(struct job *j);
/* Some backend but this one could have it, as things are. */
bool dispatch_is_able(struct job *j, const struct backend *but);
/* False: every backend refused the job, or is gone; the reasons are then in ret_why. */
bool dispatch_is_supported(struct job *j, struct buf *ret_why);
/* Why a queued job waits, for the API; NULL: it is simply not its turn. Static. */
const char *dispatch_waiting_reason(struct job *j);
/* The next breaker that closes again wakes the queue. */
void dispatch_plan_breaker(struct pool *p);

/* ---- backends.c ------------------------------------------------------------------------------ */

/* Makes a backend and connects it. configured and own (taken) as in struct backend; one of them may
   be NULL. */
struct backend *backend_new(struct pool *p, const struct pool_backend_options *configured,
                            struct backend_record *take_own);
void backend_free(struct backend *b);
/* The headers of its configuration, which may be others now. */
void backend_take_headers(struct backend *b);
/* Makes all that are configured or were added. False: the store failed. */
bool backends_load(struct pool *p) MUST_CHECK;
/* The one of this name that is configured; NULL: none is. */
const struct pool_backend_options *backend_configured(const struct pool *p, const char *name);
/* Whether it gets jobs has perhaps changed. */
void backend_settle(struct backend *b);
/* down, connecting, up, draining or quarantined. */
const char *backend_state_name(const struct backend *b);
/* A fresh connection; under the same client id while a prompt is in flight. */
void backend_renew(struct backend *b, struct mono_us now);
/* Its socket says nothing: replaced by a fresh connection with a fresh client id. */
void backend_is_deaf(struct backend *b, struct mono_us now);
/* A POST of ours was answered: a status frame must come. */
void backend_expect_status(struct backend *b, struct mono_us posted_at);
/* As many places as people want and trust allows. */
void backend_set_places(struct backend *b);
/* Its port has refused everything for so long that its process is gone. */
bool backend_is_gone(const struct backend *b, struct mono_us now);
/* Removed as soon as nothing of ours is there any more. */
void backend_maybe_reap(struct backend *b);
/* The same for all, when jobs and strays are loaded. */
void backends_reap(struct pool *p);
/* With credentials, as it was given. */
bool backend_has_url(const struct backend *b, const char *url);
/* Applies what people changed (weight, slots, labels, admin) to the running backend. */
void backend_apply_own(struct backend *b);

/* ---- strays.c -------------------------------------------------------------------------------- */

/* The prompt of an attempt that is over for us and perhaps not for its backend. */
struct stray_record stray_record_of(const struct attempt *a);
/* j: whose attempt it was; NULL: it is over, or the job is. */
struct stray *stray_begin(struct backend *b, struct stray_record *take, bool seen, struct job *j);
/* The attempt as it was given up, for the case that it is found again; taken. */
void stray_keep(struct stray *s, struct attempt *take);
/* Those of a job that leaves memory, or was cancelled, are told to stop soon; so are those of one
   whose retry is POSTed. */
void strays_leave(struct job *j);
void strays_hurry(struct job *j);
/* A job that had ended is queued again: those of its attempts are its own again. O(strays). */
void strays_rejoin(struct job *j);
/* The store has them all: each learns of its job. */
void strays_join(struct pool *p);
/* An earlier attempt of it may have gone well: a backend is being asked. */
bool strays_doubt(const struct job *j);
/* The backend is up: everything is asked for. */
void strays_up(struct backend *b);
/* A status frame: something was put into its queue. */
void strays_status(struct backend *b);
/* A frame of a prompt that no attempt waits for. */
void strays_frame(struct backend *b, struct str prompt_id, enum frame_type type);
void strays_free(struct backend *b);

/* ---- attempt.c ------------------------------------------------------------------------------- */

extern const char poison_message[];
void attempt_begin(struct job *j, struct backend *b);
/* An attempt from before a restart, on the backend that it ran on. False: its job cannot be read,
   and nothing was taken. */
bool attempt_adopt(struct job *j, struct backend *b, struct attempt_record *take);
void attempt_frame(struct attempt *a, struct mono_us now, const struct frame *f);
/* It runs; stamp_ms 0: the server said no time of its start. */
void attempt_started(struct attempt *a, struct mono_us now, int64_t stamp_ms);
/* The outcome is known; error is taken. Frees the slot at once. stamp_ms 0: the server said none.
 */
void attempt_end(struct attempt *a, struct mono_us now, int64_t stamp_ms,
                 enum attempt_outcome outcome, struct job_error *take_error);
/* Concludes an ended attempt when nothing more is waited for. */
void attempt_conclude(struct attempt *a);
/* It has ended, and its images are written. */
void attempt_images_written(struct attempt *a);
/* Its job goes on without it. */
void attempt_leave(struct attempt *a);
void attempt_free(struct attempt *a);
/* POST /prompt, or the upload of a file of so many bytes (0: none), was refused by the server or a
   gateway before it. */
void attempt_refused(struct attempt *a, unsigned status, bool page, uint64_t file);
/* The same of one whose POST was answered by a gateway's page, and nobody says whether it is there:
   it leaves a stray. */
void attempt_refused_perhaps(struct attempt *a);
/*
 * An attempt that was given up is found again while its job waits: it is the job's attempt again.
 * kept: as it was given up (then it is taken), or NULL. goes_on: it has not ended. NULL: it cannot
 * be had just now.
 */
struct attempt *attempt_take_up(struct job *j, struct backend *b, unsigned number,
                                struct attempt *kept, bool goes_on);
/* It goes on there: followed like any other. */
void attempt_follow(struct attempt *a);
/* Its inputs are there: the prompt goes out, or the attempt is withdrawn. */
void attempt_post(struct attempt *a);
/* It was told to stop: true when it was sending its inputs, and is freed now. */
bool attempt_give_up_sending(struct attempt *a);
void attempt_add_output(struct attempt *a, struct str node_id, struct str ui);
/* ... and a list "streamed" to it, in place of one that is there. */
void attempt_add_streamed(struct attempt *a, struct str node_id, struct str list);
struct job_error attempt_error(enum err code, const char *message);

/* ---- stop.c -----------------------------------------------------------------------------------
 */

/* execution_start must come within the job's time after `since`. */
void attempt_watch_start(struct attempt *a, struct mono_us since);
/* A node runs: signs of life must come from now on. */
void attempt_watch_nodes(struct attempt *a, struct mono_us now);
void attempt_clear_timers(struct attempt *a);
/* Tells its prompt to stop; code: of STOP_TIMEOUT. */
void attempt_stop(struct attempt *a, enum stop why, enum err code);
/* The link came or went: what was asked for goes on. False: the attempt is over, and freed. */
bool attempt_stop_again(struct attempt *a);
/* The start timer is over; whether something else runs there is known now. */
void attempt_start_is_late(struct attempt *a, bool others_run);
/* It ended because it was told to. */
void attempt_end_stopped(struct attempt *a, struct mono_us now, int64_t stamp_ms);

/* ---- reconcile.c ----------------------------------------------------------------------------- */

/* Ask from here on until it is known what became of it. reason (static): the socket does not see
   everything either, a gap begins; NULL: it does. */
void attempt_distrust(struct attempt *a, struct mono_us now, const char *reason);
/* Asks in `ms` milliseconds, unless an earlier question is planned. */
void attempt_ask_in(struct attempt *a, int64_t ms);
/* A status came, which tells that many prompts; b->queue_remaining is as of the one before. Asks
   for those of ours that wait there when somebody else's doing may have taken one. */
void reconcile_status(struct backend *b, int64_t remaining);
/* How long a trusted socket may be silent before the backend is asked. */
int64_t attempt_quiet_ms(const struct attempt *a);
/* A frame of this prompt came: the socket speaks to us. */
void attempt_heard(struct attempt *a, struct mono_us now);
/* In history: it ended while nobody listened. */
void attempt_found_ended(struct attempt *a, struct mono_us now, const struct history_answer *h);
/* Puts what /history knows into the attempt. */
void attempt_apply_history(struct attempt *a, struct mono_us now, const struct history_answer *h);
/* The end that a terminal message means. */
void attempt_end_by_message(struct attempt *a, struct mono_us now, const struct frame *f);

/* ---- clock.c -----------------------------------------------------------------------------------
 */

/* What is known so far of its server's clock, for this attempt. */
struct clock_reading clock_read(const struct attempt *a);
/* Its timeline with that. */
struct timeline clock_timeline(const struct attempt *a);
/* It is over: judges its clock, and what that teaches of the server's. Also when more is known. */
void clock_settle(struct attempt *a);
/* It is over, and create_time would tell whether its first frames were late. */
bool clock_wants_history(const struct attempt *a);
/* What /history says of it; false: nothing yet. */
bool clock_history(struct attempt *a, const struct history_answer *h);
/* A frame of its prompt, before anybody else is given it. */
void clock_frame(struct attempt *a, const struct comfy_event *e);

/* ---- learn.c -----------------------------------------------------------------------------------
 */

/* At the start: what the store remembers, and what waits there is folded. */
void learn_begin(struct pool *p);
/* Of a job that an older daemon stored, whose cost key it did not know yet. */
void learn_key(struct job *j);
/* A status frame came; a prompt of somebody else's was seen; its link was lost, perhaps with it. */
void learn_status(struct backend *b);
void learn_foreign(struct backend *b);
void learn_lost(struct backend *b);
/* The attempt runs: is it cold? */
void learn_start(struct attempt *a);
/* The job ends as `state`: writes its measurement. profile: NULL when it is not profiled. */
void learn_end(struct attempt *a, enum job_state state, const struct profile *profile,
               struct buf *out);
/* What such a run takes there; false: nothing was measured yet. */
bool learn_expect(const struct job *j, const struct backend *b, struct dur_us *ret);

/* ---- eta.c -------------------------------------------------------------------------------------
 */

/* "eta": {startsAt, completesAt} of an active job, or null, as a member. */
void eta_render(struct job *j, struct js_out *o);
/* "eta": when the last of a batch's active jobs (NULL: none) will be done, or null, as a member. */
void eta_render_batch(struct job *jobs, struct js_out *o);

/* ---- tell.c ------------------------------------------------------------------------------------
 */

/* What job:retrying says of the attempt that ended, for a rendered Job. */
char *tell_render_retry(const struct job *j, const struct attempt *a);
/* A Job as events and webhooks tell it, with that (NULL: none); it is bounded. Appends. */
void tell_render_job(const struct job_record *r, const char *retry, struct buf *out);
void tell_queued(struct job *j);
void tell_retrying(struct job *j);
void tell_end(struct job *j);
/* Each once an attempt. */
void tell_accepted(struct attempt *a);
void tell_started(struct attempt *a);
/* ui: valid JSON. */
/* Whether the outputs of this node are wanted. */
bool attempt_includes(const struct attempt *a, struct str node_id);
/* Returns how many outputs it has, as render_output_files. */
size_t tell_output(struct attempt *a, struct str node_id, struct str ui);
/* A progress_fn for an attempt; only when events_wanted. */
void tell_node(void *attempt, const struct progress_change *c);
void tell_progress(struct attempt *a, struct mono_us now);
/* The attempt is over: what is owed goes first. */
void tell_last_progress(struct attempt *a);
void tell_preview(struct attempt *a, const struct frame_preview *f);
/* If its state is another one than was told. */
void tell_backend(struct backend *b);

/* ---- serve.c, submit.c, operate.c, stats.c, output.c ----------------------------------------- */

typedef void (*route_fn)(struct pool *p, struct http_request *rq, struct http_ref x);

/* Answers with a problem of this code, in words of its own where it has some. */
void serve_problem(struct pool *p, struct http_ref x, enum err e);
/* Answers with the Job; active_status is 200, or 202 for a submission whose job goes on. */
void serve_answer_job(struct pool *p, struct http_request *rq, struct http_ref x, struct str id,
                      unsigned active_status);
/* True when so many more jobs would be beyond queue.limit, or jobs.maxPerClient: the request is
   then answered. */
bool serve_queue_is_full(struct pool *p, size_t more, struct http_ref x);
bool serve_client_is_full(struct pool *p, const char *client, size_t more, struct http_ref x);
/* The jobs that it is to follow are there; else the request is answered. */
bool serve_after(struct pool *p, const struct http_request *rq, struct http_ref x);
/* True when the request was answered (or is held) because of its key. */
bool serve_key_decides(struct pool *p, struct http_request *rq, struct http_ref x, const char *key);
/* The Job's JSON of an active job. */
void serve_render_active(struct job *j, bool traceback, struct buf *out);
/* The Job's JSON of any job, without its profile; null when there is none (any more). */
void serve_render_job(struct pool *p, struct str id, struct buf *out);
/* ERR_NONE when there is such a job, active or ended. */
enum err serve_is_stored(struct pool *p, const char *id);
void serve_events(struct pool *p, struct http_request *rq, struct http_ref x);

struct str serve_id(const char *id);
/* Who it is for: the token's name, or what the body says. False: it may not say that, and the
   request is answered. */
bool serve_client(struct pool *p, struct http_request *rq, struct http_ref x);
/* An Idempotency-Key as the store has it. Owner: the caller; NULL: none was sent. */
char *serve_key(const struct http_request *rq);
/* Seconds until a place is free, by the rate at which jobs ended in the last minute. */
int serve_drain_seconds(const struct pool *p);
/* The address of its webhook may be told at once; else the request is answered. */
bool serve_may_call(struct pool *p, const struct http_request *rq, struct http_ref x);
/* A cancel of a job that has not ended; noted once. */
void serve_request_cancel(struct job *j);
void serve_submit(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_output(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_preview(struct pool *p, struct http_request *rq, struct http_ref x);
/* One backend as GET /backends shows it. */
void stats_render_backend(struct js_out *o, const struct backend *b);
void serve_backends(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_backend(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_profile(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_attempt_profile(struct pool *p, struct http_request *rq, struct http_ref x);
/* A job and its profiles as a trace; everything is borrowed. */
void profiles_render_trace(struct pool *p, const struct job_record *r, const struct str *profiles,
                           size_t len, struct render_trace *ret);
void serve_export(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_deliveries(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_redeliver(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_compare(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_summary(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_stats(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_healthz(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_readyz(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_openapi(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_backend_add(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_backend_change(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_backend_remove(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_backend_admin(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_backend_refresh(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_queue_pause(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_change(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_retry(struct pool *p, struct http_request *rq, struct http_ref x);
/* Jobs ended in the last 60 s. */
unsigned stats_ended_last_minute(const struct pool *p);

/* ---- position.c --------------------------------------------------------------------------------
 */

/* How many jobs are before this one, as things are; -1: it does not wait for its turn (or for a
   time), or nobody knows. */
int64_t position_of(struct job *j);

/* ---- dry_run.c ---------------------------------------------------------------------------------
 */

/* The member "problems": what this backend would refuse in the graph w, which was parsed from the
   submission's text; null: its classes are not known. wanted as in core/graph_check.h. */
void dry_run_problems(const struct backend *b, const struct submission *s, const struct workflow *w,
                      const bool *wanted, struct js_out *o);

#endif
