/* Strays: prompts that may still be on a backend though no job waits for them. */
#ifndef COMFYPOOL_SRC_POOL_STRAYS_H
#define COMFYPOOL_SRC_POOL_STRAYS_H

#include <stdbool.h>
#include <stdint.h>

#include "comfypool/base/str.h"
#include "comfypool/base/time.h"
#include "comfypool/core/attempt.h"
#include "comfypool/core/frame.h"
#include "comfypool/loop/deadlines.h"
#include "comfypool/store/attempts.h"
#include "comfypool/store/finds.h"

#include "attempt_return.h"

struct attempt;
struct backend;
struct comfy_locate;
struct job;
struct pool;

/* A stray; see store/attempts.h. Only strays.c changes it. */
struct stray {
    struct stray_record r;
    struct backend *backend;
    struct stray *stray_next, **stray_link; /* of backend->strays */
    struct job *job;                        /* waits, or goes on without it; NULL: ended */
    struct stray *job_next, **job_link;
    struct attempt *kept;     /* the given-up attempt; NULL: from before a restart */
    struct attempt_past past; /* the stored attempt, if from before a restart */
    struct store_read reading;
    enum attempt_evidence evidence; /* EVIDENCE_HAD: the backend had it */
    bool alive;                     /* gave a sign of life since it was given up */
    struct mono_us since;           /* when it was given up */
    struct stray_search {
        struct comfy_locate *locate; /* the question under way, or NULL */
        struct deadline poll;
        int64_t poll_ms;
        unsigned absent; /* consecutive answers without it */
        bool in_doubt;   /* the backend came back and was not asked yet; the job waits */
        struct mono_us asked;
    } search;
};

/* Makes the record of an attempt's prompt that the backend may still have. */
struct stray_record stray_record_of(const struct attempt *a);
/* Begins a stray. j: the job that it may be resumed for, or NULL. Returns NULL if there are too
   many strays there. */
struct stray *stray_begin(struct backend *b, struct stray_record *take,
                          enum attempt_evidence evidence, struct job *j);
/* Keeps the given-up attempt (taken), in case the prompt is found. */
void stray_keep(struct stray *s, struct attempt *take);
/* Has the strays of a job stopped soon: strays_leave when it leaves memory, strays_hurry when it
   was cancelled or its retry is POSTed. */
void strays_leave(struct job *j);
void strays_hurry(struct job *j);
/* Reattaches strays to a job that is retried. O(strays). */
void strays_rejoin(struct job *j);
/* Attaches all loaded strays to their jobs. */
void strays_join(struct pool *p);
/* True if a backend is being asked about an earlier attempt that may have completed. */
bool strays_doubt(const struct job *j);
/* Asks about all strays of a backend that came up. */
void strays_up(struct backend *b);
/* Asks soon after a status frame: the queue changed. */
void strays_status(struct backend *b);
/* Handles a frame of a prompt without attempt. */
void strays_frame(struct backend *b, struct str prompt_id, enum frame_type type);
void strays_free(struct backend *b);

#endif
