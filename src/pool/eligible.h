/*
 * Which backends can run a workflow at all: by the names and labels that the job asks for, by hard
 * rules of the configuration, and by the backends' catalogs (core/catalog.h).
 */
#ifndef COMFYPOOL_SRC_POOL_ELIGIBLE_H
#define COMFYPOOL_SRC_POOL_ELIGIBLE_H

#include <stdbool.h>
#include <stdint.h>

#include "comfypool/base/json_write.h"
#include "comfypool/base/str.h"
#include "comfypool/core/catalog.h"
#include "comfypool/core/job_options.h"
#include "comfypool/core/need.h"
#include "comfypool/loop/deadlines.h"

#include "submission_check.h"

struct pool;
struct job;
struct backend;
struct attempt;
struct comfy_ask;
struct intake;
struct refusal;

/* A workflow that would do, and where it may run. */
struct wish {
    struct need *need;
    const struct job_where *where; /* NULL: anywhere */
    const char *hash;
};

/* The part of the pool that eligible.c owns. */
struct eligibility {
    struct catalog_pool classes;
    struct needs needs;
    uint64_t generation;      /* counts changes of anything that decides */
    struct recheck *rechecks; /* submissions that wait for answers of backends */
    size_t rechecks_len;
};

/* What rules look at, of a job or a submission. */
struct wish_traits {
    const char *metadata; /* JSON, or NULL */
    const struct job_options *spec;
    uint64_t largest; /* largest file, in bytes */
};

/* ---- wishes ---------------------------------------------------------------------------------- */

/* Returns how many workflows would do: 1 unless there are variants. wish_outputs: the wanted
   outputs. */
size_t wish_count(const struct job_options *s);
const struct names *wish_outputs(const struct job_options *s);
/* A need_text_fn of a struct job_variant. */
struct str wish_variant_text(void *variant, struct buf *room);
/* True if the backend's catalog meets the need, or does not count. */
bool wish_is_met(struct need *n, const struct wish_traits *t, const struct backend *b);
bool wish_is_able(struct pool *p, const struct wish *w, const struct wish_traits *t,
                  const struct backend *b);
/* Lists what the backend lacks: as elements of an array, or as text for people. */
void wish_list_missing(struct pool *p, const struct wish *w, const struct wish_traits *t,
                       const struct backend *b, struct js_out *o);
void wish_why_not(struct pool *p, const struct wish *w, const struct wish_traits *t,
                  const struct backend *b, struct buf *out);
/* Makes j->able.wishes, as far as the texts are in memory. */
void job_make_wishes(struct job *j);
/* Judges a job again whose texts have been read. */
void eligible_texts_came(struct job *j);
struct wish_traits job_traits(const struct job *j);

/* ---- jobs ------------------------------------------------------------------------------------ */

void eligible_init(struct pool *p);
/* Called after jobs and backends are gone. */
void eligible_done(struct pool *p);
/* Returns the first of the job's variants (0 if it has none) that the backend can run; -1: none. A
   backend whose classes are unknown can run all. */
int eligible_variant(struct job *j, const struct backend *b);
/* True if some backend cannot run it or is preferred; O(backends), cached until something changes.
 */
bool eligible_is_restricted(struct job *j);
/* Returns the need of a variant; NULL: its text is not in memory. */
struct need *eligible_need(struct job *j, size_t variant);
struct need *eligible_need_of_attempt(const struct attempt *a);
void eligible_leave(struct job *j);

/* Appends what keeps the job from the backend, for people. */
void eligible_why(struct job *j, const struct backend *b, struct buf *out);
/* True if a soft rule of the configuration or the job itself prefers the backend. */
bool eligible_is_preferred(const struct job *j, const struct backend *b);

#endif
