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

/* Whether the worker of its backend is known to work on it: then silence proves nothing. */
enum attempt_worker {
    WORKER_UNSEEN,
    WORKER_PROBED, /* ... and its socket was made anew to see whether a node runs */
    WORKER_SEEN,   /* something came after execution_start, or may have come unseen */
};

/* Of an attempt: what is seen of its prompt, and the questions for it. They end with it, by
   attempt_unwatch. */
struct attempt_watch {
    bool
        trusted; /* the socket saw everything since its last frame, and the backend answered well */
    bool missed; /* the socket did not see everything: history must be asked at the end */
    bool doubted; /* the server's queue fell, and nothing of ours explains it */
    bool untold;  /* the last answer was no ComfyUI's */
    enum attempt_worker worker;
    struct comfy_locate *locate; /* the question under way, or NULL */
    struct deadline poll;
    int64_t poll_ms;
    int64_t doubt_ms;                 /* how long a doubt waited the last time; 0: never */
    unsigned absent;                  /* polls in a row that found it nowhere */
    struct mono_us unreachable_since; /* 0: the backend can be reached */
    struct mono_us last_sign;
};

/* A new attempt: the socket is trusted. */
void attempt_watch_begin(struct attempt *a);
/* One that was given up and is found again. */
void attempt_watch_again(struct attempt *a);
/* Ask from here on until it is known what became of it. reason (static): the socket does not see
   everything either, a gap begins; NULL: it does. */
void attempt_distrust(struct attempt *a, struct mono_us now, const char *reason);
/* The socket has missed something of it. */
void attempt_missed(struct attempt *a);
/* Asks in `ms` milliseconds, unless an earlier question is planned. */
void attempt_ask_in(struct attempt *a, int64_t ms);
/* A status came, which tells that many prompts; b->said.queue is as of the one before. Asks
   for those of ours that wait there when somebody else's doing may have taken one. */
void reconcile_status(struct backend *b, int64_t remaining);
/* The socket of a backend says nothing: its prompts are asked for, and it gets a fresh connection
   with a fresh client id. */
void reconcile_deaf(struct backend *b, struct mono_us now);
/* A POST of ours was answered: a status frame must come. */
void reconcile_expect_status(struct backend *b, struct mono_us posted_at);
/* How long a trusted socket may be silent before the backend is asked. */
int64_t attempt_quiet_ms(const struct attempt *a);
/* A frame of this prompt came: the socket speaks to us. proves_worker: it comes behind
   execution_start. */
void attempt_heard(struct attempt *a, struct mono_us now, bool proves_worker);
/* A sign of life that names no prompt, and may be its. */
void attempt_sign(struct attempt *a, struct mono_us now, bool proves_worker);
/* Something came behind its execution_start, or may have. */
void attempt_worker_seen(struct attempt *a);

#endif
