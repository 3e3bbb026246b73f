/* What keeps a job from a backend, its lane in the queue, and giving jobs away. */
#ifndef COMFYPOOL_SRC_POOL_DISPATCH_H
#define COMFYPOOL_SRC_POOL_DISPATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/time.h"

struct backend;
struct buf;
struct job;
struct pool;

/* Gives away what can be given away, then. */
void dispatch_again(struct pool *p, struct mono_us at);
/* A job was looked at for nothing: it stands in another lane now. bytes: of its texts, if they were
   made for that. What bars one may bar thousands: after some of them the others have to wait for
   the next turn; until then nothing is given away. */
void dispatch_passed(struct pool *p, size_t bytes);
bool dispatch_rests(const struct pool *p);
/* Whether the backend may have the job as things are, apart from its places. */
bool dispatch_allows(struct job *j, const struct backend *b, unsigned level);
/* Something is known of its workflow, or of one of its variants. */
bool dispatch_is_known(const struct job *j);
/* The same when nobody better wants it: whatever may be overlooked is, and that the job shuns it.
 */
bool dispatch_allows_reluctant(struct job *j, const struct backend *b);
/* The first level at which any backend would do; false: none does. */
bool dispatch_level(struct job *j, unsigned *ret);
/* Gives queued jobs to free backends. Called whenever either may have changed. */
void pool_dispatch(struct pool *p);
/* The key of the lane that a job waits in; see core/queue.h. */
void dispatch_lane_key(struct job *j, struct buf *ret);
/* It waits in the lane that is right now: true when it had to be moved. */
bool dispatch_change_lane(struct job *j);
/* Some backend but this one could have it, as things are. */
bool dispatch_is_able(struct job *j, const struct backend *but);
/* False: every backend refused the job, or is gone; the reasons are then in ret_why. */
bool dispatch_is_supported(struct job *j, struct buf *ret_why);
/* Why a queued job waits, for the API; NULL: it is simply not its turn. Static. */
const char *dispatch_waiting_reason(struct job *j);

#endif
