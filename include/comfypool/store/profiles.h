/* Profiles of ended jobs: one, pages of them, and the runs of a baseline. */
#ifndef COMFYPOOL_STORE_PROFILES_H
#define COMFYPOOL_STORE_PROFILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/err.h"
#include "comfypool/base/str.h"
#include "comfypool/base/time.h"

struct store;

/* A profile of an ended job. Texts are borrowed. */
struct profile_row {
    int64_t seq;
    struct wall_us completed_at;
    const char *job_id;
    struct str json;
};

/* Selects ended jobs' profiles, each of the job's last attempt. */
struct profile_query {
    struct wall_us since;      /* completedAt, inclusive */
    struct wall_us until;      /* exclusive */
    const char *workflow_hash; /* "": any */
    const char *backend;       /* "": any */
    const char *client;        /* NULL: all */
};

/*
 * Lists a page in order of completed_at, after `after` (seq 0: from the beginning): up to some
 * dozens and about a megabyte. more: there may be others; *last is where the next page begins. Runs
 * off the loop.
 */
struct profile_place {
    struct wall_us completed_at;
    int64_t seq;
};
typedef void (*store_profiles_fn)(void *ctx, enum err e, const struct profile_row *rows, size_t n,
                                  bool more, struct profile_place last);
/* look (NULL: none) gets the rows first, on the reading thread: for long work. */
typedef void (*store_look_fn)(void *ctx, const struct profile_row *rows, size_t n);
void store_list_profiles(struct store *s, const struct profile_query *q, struct profile_place after,
                         store_look_fn look, store_profiles_fn done, void *ctx);

/* Selects the completed, profiled runs of a baseline: the last `limit` with an executed node, never
   the job except_seq. */
struct baseline_query {
    const char
        *cost_key; /* whole, or only its first WORKFLOW_KEY_PREFIX characters: the structure */
    const char *backend; /* "": any */
    int64_t except_seq;
    unsigned limit;
    const char *client; /* NULL: all */
};
void store_list_baseline(struct store *s, const struct baseline_query *q, store_look_fn look,
                         store_profiles_fn done, void *ctx);

#endif
