/* Asking a backend what became of a prompt. */
#ifndef COMFYPOOL_SRC_POOL_RECONCILE_H
#define COMFYPOOL_SRC_POOL_RECONCILE_H

#include <stdbool.h>
#include <stdint.h>

#include "comfypool/base/time.h"
#include "comfypool/loop/deadlines.h"

struct attempt;
struct backend;
struct comfy_locate;

/* Whether the backend's worker is known to run the prompt; then silence proves nothing. */
enum attempt_worker {
    WORKER_UNSEEN,
    WORKER_PROBED, /* ... and the socket was renewed to see whether a node runs */
    WORKER_SEEN,   /* a frame came after execution_start, or may have been missed */
};

/* The part of an attempt that reconcile.c owns: what was seen of its prompt, and questions about
   it. attempt_unwatch ends them. */
struct attempt_watch {
    bool trusted; /* the socket missed nothing since the last frame, and the backend answers */
    bool missed;  /* the socket missed something: /history must be asked at the end */
    bool doubted; /* the server's queue fell, and no end of ours explains it */
    bool untold;  /* the last answer was not ComfyUI's */
    enum attempt_worker worker;
    struct comfy_locate *locate; /* the question under way, or NULL */
    struct deadline poll;
    int64_t poll_ms;
    int64_t doubt_ms;                 /* last delay of a doubt; 0: none yet */
    unsigned absent;                  /* consecutive answers without the prompt */
    struct mono_us unreachable_since; /* 0: reachable */
    struct mono_us last_sign;
};

/* Starts watching a new attempt: the socket is trusted. */
void attempt_watch_begin(struct attempt *a);
/* Starts watching a resumed attempt. */
void attempt_watch_again(struct attempt *a);
/* Asks from now on until the prompt's fate is known. reason (static): the socket misses frames, so
   a gap begins; NULL: it does not. */
void attempt_distrust(struct attempt *a, struct mono_us now, const char *reason);
/* Notes that the socket missed frames of the prompt. */
void attempt_missed(struct attempt *a);
/* Asks in `ms` milliseconds, unless an earlier question is planned. */
void attempt_ask_in(struct attempt *a, int64_t ms);
/* Handles a status with this queue length; b->said.queue still has the earlier one. Asks about our
   pending prompts if somebody else may have removed one. */
void reconcile_status(struct backend *b, int64_t remaining);
/* Handles a deaf socket: asks about all prompts there, and opens a fresh connection with a fresh
   client id. */
void reconcile_deaf(struct backend *b, struct mono_us now);
/* Starts the deadline for the status frame that follows the answer to a POST. */
void reconcile_expect_status(struct backend *b, struct mono_us posted_at);
/* Returns how long a trusted socket may be silent before the backend is asked. */
int64_t attempt_quiet_ms(const struct attempt *a);
/* Notes a frame of this prompt: the socket works. proves_worker: the frame comes after
   execution_start. */
void attempt_heard(struct attempt *a, struct mono_us now, bool proves_worker);
/* Notes a sign of life that names no prompt and may be of this one. */
void attempt_sign(struct attempt *a, struct mono_us now, bool proves_worker);
/* Notes that a frame came after execution_start, or may have been missed. */
void attempt_worker_seen(struct attempt *a);

#endif
