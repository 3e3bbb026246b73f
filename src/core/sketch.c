/*
 * The sketch; see the header. Source: Masson, Rim, Lee, "DDSketch: a fast and fully-mergeable
 * quantile sketch with relative-error guarantees" (VLDB 2019), section 2.
 */
#include "comfypool/core/sketch.h"

#include <math.h>
#include <stdlib.h>

#include "comfypool/base/pack.h"

/* Growth factor of bucket bounds. */
#define GROWTH ((1 + SKETCH_ERROR) / (1 - SKETCH_ERROR))

enum { MAX_INDEX = 1 << 20, MAX_BUCKETS = 1 << 16 };

void sketch_done(struct sketch *s)
{
    free(s->buckets);
    *s = (struct sketch){.buckets = NULL};
}

static int32_t index_of(double value)
{
    const double i = value <= 1 || isnan(value) ? 0 : ceil(log(value) / log(GROWTH));
    return i > MAX_INDEX ? MAX_INDEX : (int32_t)i;
}

/* Finds or inserts the bucket with this index. */
static struct sketch_bucket *bucket_at(struct sketch *s, int32_t index)
{
    size_t low = 0;
    size_t high = s->len;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (s->buckets[middle].index < index) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low < s->len && s->buckets[low].index == index) {
        return &s->buckets[low];
    }
    if (s->len == s->cap) {
        s->cap = s->cap == 0 ? 8 : s->cap * 2;
        s->buckets = mem_grow(s->buckets, s->cap * sizeof *s->buckets);
    }
    memmove(&s->buckets[low + 1], &s->buckets[low], (s->len - low) * sizeof *s->buckets);
    s->buckets[low] = (struct sketch_bucket){index, 0};
    s->len++;
    return &s->buckets[low];
}

void sketch_add(struct sketch *s, double value)
{
    bucket_at(s, index_of(value))->count++;
    s->count++;
}

void sketch_merge(struct sketch *s, const struct sketch *from)
{
    for (size_t i = 0; i < from->len; i++) {
        bucket_at(s, from->buckets[i].index)->count += from->buckets[i].count;
    }
    s->count += from->count;
}

double sketch_quantile(const struct sketch *s, double q)
{
    if (s->count == 0) {
        return NAN;
    }
    const double rank = ceil(q * (double)s->count); /* nearest rank, from 1; q 0 is rank 1 */
    uint64_t up_to = 0;
    size_t i = 0;
    for (; i + 1 < s->len; i++) {
        up_to += s->buckets[i].count;
        if ((double)up_to >= rank) {
            break;
        }
    }
    /* The point with equal relative distance to both ends. */
    return s->buckets[i].index == 0 ? 0 : 2 * pow(GROWTH, s->buckets[i].index) / (GROWTH + 1);
}

void sketch_write(const struct sketch *s, struct buf *out)
{
    int32_t last = 0;
    pack_uint(out, s->len);
    for (size_t i = 0; i < s->len; i++) {
        pack_uint(out, (uint64_t)(s->buckets[i].index - last));
        pack_uint(out, s->buckets[i].count);
        last = s->buckets[i].index;
    }
}

bool sketch_read(struct sketch *s, struct str *text)
{
    uint64_t len = 0;
    uint64_t index = 0;
    if (!unpack_uint(text, &len) || len > MAX_BUCKETS) {
        return false;
    }
    for (uint64_t i = 0; i < len; i++) {
        uint64_t step = 0;
        uint64_t count = 0;
        if (!unpack_uint(text, &step) || !unpack_uint(text, &count) || step > MAX_INDEX ||
            index + step > MAX_INDEX) {
            return false;
        }
        index += step;
        bucket_at(s, (int32_t)index)->count += count;
        s->count += count;
    }
    return true;
}
