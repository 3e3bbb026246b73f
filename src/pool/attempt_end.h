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

/* Of an attempt. */
struct attempt_end {
    enum attempt_outcome outcome;
    enum attempt_excuse excuse;
    enum attempt_remains remains;
    enum attempt_phase reached; /* its phase until then */
    struct mono_us at;
    struct job_error error;
    struct job_error job_error; /* of the job, where that is another one */
    char *exception;            /* of the node that threw: type and first line; or NULL */
    const char *remedy;         /* of a fault of its server; static, or NULL */
    int executed;               /* nodes that were, as far as anybody saw */
    bool by_history;            /* what /history knows is in it */
    bool awaits_images;         /* they are being written; one of pool.writes */
    unsigned history_tries;
    struct comfy_locate *history; /* the question under way, or NULL */
    struct deadline patience;     /* with the POST's answer, or history */
};

extern const char poison_message[];

struct job_error attempt_error(enum err code, const char *message);
/* Of one that was told to stop since a time was over. */
struct job_error attempt_timeout_error(enum err code);
/* The outcome is known; error is taken. Frees the slot at once. stamp_ms 0: the server said none.
 */
void attempt_end(struct attempt *a, struct mono_us now, int64_t stamp_ms,
                 enum attempt_outcome outcome, struct job_error *take_error);
/* The same of one that its backend is not done with. */
void attempt_end_leaving(struct attempt *a, struct mono_us now, enum attempt_outcome outcome,
                         enum attempt_remains remains, struct job_error *take_error);
/* The backend refused the workflow; elsewhere: another one may run it. */
void attempt_end_rejected(struct attempt *a, struct mono_us now, bool elsewhere,
                          struct job_error *take_error);
/* The end that a terminal message means. */
void attempt_end_by_message(struct attempt *a, struct mono_us now, const struct frame *f);
/* It ended because it was told to. */
void attempt_end_stopped(struct attempt *a, struct mono_us now, int64_t stamp_ms);
/* In history: it ended while nobody listened. */
void attempt_found_ended(struct attempt *a, struct mono_us now, const struct history_answer *h);
/* POST /prompt, or the upload of a file of so many bytes (0: none), was refused by the server or a
   gateway before it. */
void attempt_refused(struct attempt *a, unsigned status, bool page, uint64_t file);
/* The same of one whose POST was answered by a gateway's page, and nobody says whether it is there:
   it leaves a stray. */
void attempt_refused_perhaps(struct attempt *a);
/* Its backend is in the configuration no more: r's job goes on without it. */
void attempt_orphaned(struct job *j, struct attempt_record *r);
/* Nothing was sent: the attempt never was. It is freed. */
void attempt_withdraw(struct attempt *a);
/* Concludes an ended attempt when nothing more is waited for. */
void attempt_conclude(struct attempt *a);
/* The same; its images are written. */
void attempt_images_written(struct attempt *a);
/* It was given up and is found again: it has not ended. */
void attempt_end_undone(struct attempt *a);

#endif
