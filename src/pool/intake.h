/* Limits that submissions share with whatever else makes jobs. */
#ifndef COMFYPOOL_SRC_POOL_INTAKE_H
#define COMFYPOOL_SRC_POOL_INTAKE_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/refusal.h"

struct intake;
struct pool;

/* There is room for so many more jobs in the queue, and for so many of that client. */
bool intake_queue_has_room(struct pool *p, size_t more, struct refusal *ret);
bool intake_client_has_room(struct pool *p, const char *client, size_t more, struct refusal *ret);
/* The key that is reserved for it, with its place in p->keys, which is holder's (a job, a batch)
   from now on. NULL: it has none. Owner: the caller. */
char *intake_pass_key(struct intake *in, void *holder);
/* The way back: holder's key is the intake's again. */
void intake_take_key(struct intake *in, char *take_key);
/* Jobs that ended in the last 60 s. */
unsigned pool_ended_last_minute(const struct pool *p);

#endif
