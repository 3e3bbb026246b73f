/* One try to run a job on a backend, from its intent to its stored end. */
#ifndef COMFYPOOL_SRC_POOL_ATTEMPT_H
#define COMFYPOOL_SRC_POOL_ATTEMPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/err.h"
#include "comfypool/base/map.h"
#include "comfypool/base/str.h"
#include "comfypool/base/time.h"
#include "comfypool/core/job.h"
#include "comfypool/core/progress.h"
#include "comfypool/core/server_clock.h"
#include "comfypool/core/splice.h"
#include "comfypool/core/timeline.h"
#include "comfypool/loop/deadlines.h"

#include "sampling.h"
#include "streamed.h"

struct backend;
struct comfy_locate;
struct frame;
struct http_call;
struct job;
struct profiler;
struct workflow;

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
/* The end that a terminal message means. */
void attempt_end_by_message(struct attempt *a, struct mono_us now, const struct frame *f);
/* ui: valid JSON. */
/* Whether the outputs of this node are wanted. */
bool attempt_includes(const struct attempt *a, struct str node_id);

#endif
