/* Prompts that nobody waits for and that may still be on a backend. */
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

/* See store/attempts.h: a prompt that may be on a backend though nobody waits for it. strays.c
   alone changes it. */
struct stray {
    struct stray_record r;
    struct backend *backend;
    struct stray *stray_next, **stray_link; /* of backend->strays */
    struct job *job;                        /* that waits, or goes on without it; NULL: it ended */
    struct stray *job_next, **job_link;
    struct attempt *kept;     /* the attempt as it was given up; NULL: from before a restart */
    struct attempt_past past; /* ... then: as the store has it */
    struct store_read reading;
    enum attempt_evidence evidence; /* EVIDENCE_HAD: the backend surely had it */
    bool alive;                     /* it gave a sign of life since it was given up */
    struct mono_us since;           /* it was given up */
    struct stray_search {
        struct comfy_locate *locate; /* the question under way, or NULL */
        struct deadline poll;
        int64_t poll_ms;
        unsigned absent; /* answers in a row that found it nowhere */
        bool in_doubt;   /* its backend came back and was not asked yet: the job waits for it */
        struct mono_us asked;
    } search;
};

/* The prompt of an attempt that is over for us and perhaps not for its backend. */
struct stray_record stray_record_of(const struct attempt *a);
/* j: whose attempt it was; NULL: it is over, or the job is. NULL: there are too many there. */
struct stray *stray_begin(struct backend *b, struct stray_record *take,
                          enum attempt_evidence evidence, struct job *j);
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

#endif
