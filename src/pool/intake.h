/* Limits that submissions share with retries. */
#ifndef COMFYPOOL_SRC_POOL_INTAKE_H
#define COMFYPOOL_SRC_POOL_INTAKE_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/refusal.h"

struct intake;
struct pool;

/* True if there is room for `more` jobs in the queue, or of that client. */
bool intake_queue_has_room(struct pool *p, size_t more, struct refusal *ret);
bool intake_client_has_room(struct pool *p, const char *client, size_t more, struct refusal *ret);
/* Takes the reserved key from the intake and gives its place in p->keys to holder (a job, a batch).
   NULL: no key. Owner: the caller. */
char *intake_pass_key(struct intake *in, void *holder);
/* Gives the key back to the intake. */
void intake_take_key(struct intake *in, char *take_key);
/* Returns how many jobs ended in the last 60 s. */
unsigned pool_ended_last_minute(const struct pool *p);

#endif
