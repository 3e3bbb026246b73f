/* Attempts: the intent before a prompt is POSTed, the end, and prompts left behind. */
#ifndef COMFYPOOL_STORE_ATTEMPTS_H
#define COMFYPOOL_STORE_ATTEMPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/err.h"
#include "comfypool/base/str.h"
#include "comfypool/base/time.h"
#include "comfypool/base/uuid.h"
#include "comfypool/core/job.h"
#include "comfypool/store/store.h"

/* Stores an intent: job is running and has one more attempt. Sets state, backend, prompt_id,
   attempts, auto_seeds, placement. */
void store_begin_attempt(struct store *s, const struct job_record *job,
                         const struct attempt_record *attempt, const struct store_beside *beside,
                         store_kept_fn done, void *ctx);

/*
 * A prompt that may still be (or turn up) on a backend though no job waits for it: its job was
 * cancelled while the backend could not be reached, or its attempt was given up. It is searched for
 * and stopped, also after a restart of the daemon.
 */
struct stray_record {
    char prompt_id[UUID_SIZE];
    char client_id[UUID_SIZE];
    char *backend; /* name, and URL without credentials, as in attempt_record */
    char *backend_url;
    int64_t seq;     /* of its job */
    unsigned number; /* of its attempt */
    struct wall_us since;
    bool holds_slot; /* ignored its interrupt, or its server fell silent: the backend is quarantined
                        with its slot taken */
    bool stopped;    /* a stop was requested */
    bool silent;     /* its server's worker was taken for dead, and counted so */
    bool started;    /* one of its nodes may have run */
};
void stray_record_done(struct stray_record *r);

/*
 * Stores the end of an attempt and job's whole record: queued again, or terminal. attempt NULL (or
 * number 0): the job ended without one. profile (JSON, n == 0: none) belongs to attempt->number (0
 * for none). stray (NULL: none) remembers its prompt. An attempt with `late` set was given up
 * before and has ended now: its stray is removed.
 */
void store_end_attempt(struct store *s, const struct job_record *job,
                       const struct attempt_record *attempt, struct str profile,
                       const struct stray_record *stray, const struct store_beside *beside,
                       store_kept_fn done, void *ctx);

/* Removes a stray. late: how its prompt ended (ATTEMPT_OPEN: unknown), noted in its attempt. */
void store_end_stray(struct store *s, const struct stray_record *stray, enum attempt_outcome late);

/* Deletes the open attempt `number` of a job that is requeued: it was never POSTed. */
void store_withdraw_attempt(struct store *s, const struct job_record *job, unsigned number,
                            store_kept_fn done, void *ctx);

/* Calls `each` for every stray. Blocks; at start-up only. The callee takes texts by clearing them.
 */
enum err store_load_strays(struct store *s, void (*each)(void *ctx, struct stray_record *r),
                           void *ctx) MUST_CHECK;

#endif
