/* Asking a backend what became of a prompt. */
#ifndef COMFYPOOL_SRC_POOL_RECONCILE_H
#define COMFYPOOL_SRC_POOL_RECONCILE_H

#include <stdint.h>

#include "comfypool/base/time.h"

struct attempt;
struct backend;
struct history_answer;

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

#endif
