/*
 * A mergeable sketch of a distribution: counts in buckets that grow by a constant factor, so that
 * any quantile is known within SKETCH_ERROR of its value, for any number of values. Merging two
 * equals one sketch of all values. Pure.
 */
#ifndef COMFYPOOL_CORE_SKETCH_H
#define COMFYPOOL_CORE_SKETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/str.h"

#define SKETCH_ERROR 0.02

struct sketch_bucket {
    int32_t index; /* of values v: ceil(log(v) / log(growth)); 0: up to 1, reported as 0 */
    uint64_t count;
};

struct sketch {
    struct sketch_bucket *buckets; /* sorted by index */
    size_t len, cap;
    uint64_t count;
};

void sketch_done(struct sketch *s);
/* value: 0 or more; below 1 it counts as at most 1. Cost: O(buckets); a range of a factor of 1000
   has 173. */
void sketch_add(struct sketch *s, double value);
void sketch_merge(struct sketch *s, const struct sketch *from);
/* q from 0 to 1; NaN when the sketch is empty. */
double sketch_quantile(const struct sketch *s, double q);

/* Appends it in binary form. */
void sketch_write(const struct sketch *s, struct buf *out);
/* Reads one from the front of *text, which is advanced; s must be empty. False: it is none. */
bool sketch_read(struct sketch *s, struct str *text);

#endif
