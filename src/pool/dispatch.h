/* What bars a job from a backend, its lane in the queue, and dispatch. */
#ifndef COMFYPOOL_SRC_POOL_DISPATCH_H
#define COMFYPOOL_SRC_POOL_DISPATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/time.h"

struct backend;
struct buf;
struct job;
struct pool;

/* Runs pool_dispatch at that time. */
void dispatch_again(struct pool *p, struct mono_us at);
/* Notes that a job was looked at in vain and changed its lane. bytes: of its texts, if they were
   made for that. What bars one job may bar thousands: after some of them, dispatch rests until the
   next turn. */
void dispatch_passed(struct pool *p, size_t bytes);
bool dispatch_rests(const struct pool *p);
/* True if the backend may get the job now, free slots aside. */
bool dispatch_allows(struct job *j, const struct backend *b, unsigned level);
/* True if a refusal or failure of its workflow, or of one of its variants, is remembered. */
bool dispatch_is_known(const struct job *j);
/* As dispatch_allows, overlooking all that may be overlooked, and that the job shuns the backend.
 */
bool dispatch_allows_reluctant(struct job *j, const struct backend *b);
/* Returns the first level at which some backend would do; false: none. */
bool dispatch_level(struct job *j, unsigned *ret);
/* Gives queued jobs to free backends. Called whenever either may have changed. */
void pool_dispatch(struct pool *p);
/* The key of the lane that a job waits in; see core/queue.h. */
void dispatch_lane_key(struct job *j, struct buf *ret);
/* Moves a waiting job to its current lane; true if it had to move. */
bool dispatch_change_lane(struct job *j);
/* True if some other backend could run the job now. */
bool dispatch_is_able(struct job *j, const struct backend *but);
/* False if every backend refused the job or is gone; ret_why has the reasons. */
bool dispatch_is_supported(struct job *j, struct buf *ret_why);
/* Returns why a queued job waits, for the API; NULL: merely queued. Static. */
const char *dispatch_waiting_reason(struct job *j);

#endif
