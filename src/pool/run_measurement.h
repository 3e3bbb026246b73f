/* What runs took where: measurements, and what they let us expect. */
#ifndef COMFYPOOL_SRC_POOL_RUN_MEASUREMENT_H
#define COMFYPOOL_SRC_POOL_RUN_MEASUREMENT_H

#include <stdbool.h>

#include "comfypool/core/job.h"

struct attempt;
struct backend;
struct buf;
struct dur_us;
struct job;
struct pool;
struct profile;

/* At the start: what the store remembers, and what waits there is folded. */
void measurement_begin(struct pool *p);
/* Of a job that an older daemon stored, whose cost key it did not know yet. */
void measurement_key(struct job *j);
/* A status frame came; a prompt of somebody else's was seen; its link was lost, perhaps with it. */
void measurement_status(struct backend *b);
void measurement_foreign(struct backend *b);
void measurement_lost(struct backend *b);
/* The attempt runs: is it cold? */
void measurement_start(struct attempt *a);
/* The job ends as `state`: writes its measurement. profile: NULL when it is not profiled. */
void measurement_end(struct attempt *a, enum job_state state, const struct profile *profile,
                     struct buf *out);
/* What such a run takes there; false: nothing was measured yet. */
bool measurement_expect(const struct job *j, const struct backend *b, struct dur_us *ret);

#endif
