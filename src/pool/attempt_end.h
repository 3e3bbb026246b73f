/* The end of an attempt: what is known of it, what it means, and when it is told. */
#ifndef COMFYPOOL_SRC_POOL_ATTEMPT_END_H
#define COMFYPOOL_SRC_POOL_ATTEMPT_END_H

#include <stdbool.h>
#include <stdint.h>

#include "comfypool/base/time.h"
#include "comfypool/core/attempt.h"
#include "comfypool/core/job.h"
#include "comfypool/loop/deadlines.h"

struct attempt;
struct comfy_locate;
struct frame;
struct history_answer;
struct job;

/* The part of an attempt that attempt_end.c owns. */
struct attempt_end {
    enum attempt_outcome outcome;
    enum attempt_excuse excuse;
    enum attempt_remains remains;
    enum attempt_phase reached; /* phase before the end */
    struct mono_us at;
    struct job_error error;
    struct job_error job_error; /* the job's error where it differs */
    char *exception;            /* type and first line of the node's exception; or NULL */
    const char *remedy;         /* advice for a server fault; static, or NULL */
    int executed;               /* nodes executed, as far as seen */
    bool by_history;            /* /history was applied */
    bool awaits_images;         /* images are being written */
    unsigned history_tries;
    struct comfy_locate *history; /* the question under way, or NULL */
    struct deadline patience;     /* for the POST's answer, or /history */
};

extern const char poison_message[];

struct job_error attempt_error(enum err code, const char *message);
/* Returns the error of a timeout. */
struct job_error attempt_timeout_error(enum err code);
/* Ends the attempt with an outcome; takes error. Frees the slot at once. stamp_ms 0: the server
   gave no time. */
void attempt_end(struct attempt *a, struct mono_us now, int64_t stamp_ms,
                 enum attempt_outcome outcome, struct job_error *take_error);
/* Ends an attempt whose prompt the backend still has. */
void attempt_end_leaving(struct attempt *a, struct mono_us now, enum attempt_outcome outcome,
                         enum attempt_remains remains, struct job_error *take_error);
/* Ends an attempt whose workflow the backend rejected; elsewhere: another backend may run it. */
void attempt_end_rejected(struct attempt *a, struct mono_us now, bool elsewhere,
                          struct job_error *take_error);
/* Ends the attempt by a terminal message. */
void attempt_end_by_message(struct attempt *a, struct mono_us now, const struct frame *f);
/* Ends an attempt that stopped because it was told to. */
void attempt_end_stopped(struct attempt *a, struct mono_us now, int64_t stamp_ms);
/* Ends an attempt found in /history: it ended unseen. */
void attempt_found_ended(struct attempt *a, struct mono_us now, const struct history_answer *h);
/* Ends an attempt whose POST /prompt, or whose upload of `file` bytes (0: none), was refused by the
   server or by a gateway in front of it. */
void attempt_refused(struct attempt *a, unsigned status, bool page, uint64_t file);
/* As attempt_refused, when a gateway's page leaves open whether the prompt was taken: leaves a
   stray. */
void attempt_refused_perhaps(struct attempt *a);
/* Ends an attempt whose backend is no longer configured; the job goes on without it. */
void attempt_orphaned(struct job *j, struct attempt_record *r);
/* Withdraws an attempt of which nothing was sent, and frees it. */
void attempt_withdraw(struct attempt *a);
/* Concludes an ended attempt when nothing more is waited for. */
void attempt_conclude(struct attempt *a);
/* Called when the attempt's images are written; concludes it. */
void attempt_images_written(struct attempt *a);
/* Undoes the end of an attempt that was given up and found again. */
void attempt_end_undone(struct attempt *a);

#endif
