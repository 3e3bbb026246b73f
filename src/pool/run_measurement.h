/* Measurements of runs, and estimates made of them. */
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

/* At the start: loads recent times and folds waiting measurements. */
void measurement_begin(struct pool *p);
/* Sets the cost key of a job that an older version stored without one. */
void measurement_key(struct job *j);
/* Events that may make a backend's memory cold: a status frame, a foreign prompt, a lost link. */
void measurement_status(struct backend *b);
void measurement_foreign(struct backend *b);
void measurement_lost(struct backend *b);
/* Notes at the start of an attempt whether the run is cold. */
void measurement_start(struct attempt *a);
/* Writes the measurement of a job that ends in `state`. profile: NULL if not profiled. */
void measurement_end(struct attempt *a, enum job_state state, const struct profile *profile,
                     struct buf *out);
/* Estimates how long such a run takes there; false: not measured yet. */
bool measurement_expect(const struct job *j, const struct backend *b, struct dur_us *ret);

#endif
