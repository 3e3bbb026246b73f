/*
 * Which backends can run a workflow at all: by the names and labels that its job asks for, by hard
 * rules of the configuration, and by what the backends know (core/catalog.h).
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

/* One workflow that would do, and where. */
struct wish {
    struct need *need;
    const struct job_where *where; /* NULL: anywhere */
    const char *hash;
};

/* For struct pool. */
struct eligibility {
    struct catalog_pool classes;
    struct needs needs;
    uint64_t generation;      /* counts changes of whatever decides */
    struct recheck *rechecks; /* submissions for which backends are asked */
    size_t rechecks_len;
};

/* What rules are about, of a job or of a submission. */
struct wish_traits {
    const char *metadata; /* JSON, or NULL */
    const struct job_options *spec;
    uint64_t largest; /* of its files, in bytes */
};

/* ---- wishes ---------------------------------------------------------------------------------- */

/* How many workflows would do (1 unless there are variants), and which outputs are wanted. */
size_t wish_count(const struct job_options *s);
const struct names *wish_outputs(const struct job_options *s);
/* A need_text_fn of a struct job_variant. */
struct str wish_variant_text(void *variant, struct buf *room);
/* What the backend said of what it has meets the need, or does not count. */
bool wish_is_met(struct need *n, const struct wish_traits *t, const struct backend *b);
bool wish_is_able(struct pool *p, const struct wish *w, const struct wish_traits *t,
                  const struct backend *b);
/* What it lacks: as elements of an array, and for people. */
void wish_list_missing(struct pool *p, const struct wish *w, const struct wish_traits *t,
                       const struct backend *b, struct js_out *o);
void wish_why_not(struct pool *p, const struct wish *w, const struct wish_traits *t,
                  const struct backend *b, struct buf *out);
/* j->able.wishes are there. */
void job_make_wishes(struct job *j);
/* The texts of a job that was judged without them are in memory. */
void eligible_texts_came(struct job *j);
struct wish_traits job_traits(const struct job *j);

/* ---- jobs ------------------------------------------------------------------------------------ */

void eligible_init(struct pool *p);
/* After the jobs and backends are gone. */
void eligible_done(struct pool *p);
/* The first of the job's workflows (0 unless it has variants) that the backend can run; -1: none.
   True for a backend whose classes nobody knows. */
int eligible_variant(struct job *j, const struct backend *b);
/* Whether there is a backend that cannot; O(backends), remembered until something changes. */
bool eligible_is_restricted(struct job *j);
/* The need of a variant; NULL: its text cannot be read now. */
struct need *eligible_need(struct job *j, size_t variant);
struct need *eligible_need_of_attempt(const struct attempt *a);
void eligible_leave(struct job *j);

/* What keeps the job from the backend, for people. */
void eligible_why(struct job *j, const struct backend *b, struct buf *out);
/* Soft rules of the configuration and the job's own preference. */
bool eligible_is_preferred(const struct job *j, const struct backend *b);

#endif
