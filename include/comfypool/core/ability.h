/*
 * What is remembered of pairs (backend, workflow hash): that a backend refused such a workflow (it
 * lacks a class, a model or a file), and how often in a row it failed on it (the breaker). Pure.
 * Bounded: the oldest hashes are forgotten beyond ABILITY_MAX. A hash of which nothing is known
 * costs one lookup.
 */
#ifndef COMFYPOOL_CORE_ABILITY_H
#define COMFYPOOL_CORE_ABILITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/map.h"
#include "comfypool/base/str.h"
#include "comfypool/base/time.h"

enum { ABILITY_MAX = 4096 };

struct ability_limits {
    unsigned failures;        /* in a row: then the breaker opens */
    struct dur_us open;       /* for so long */
    struct dur_us remembered; /* how long a refusal counts for jobs that come after it */
};

struct ability {
    struct ability_limits limits;
    struct map by_hash;
    struct ability_hash *oldest, *newest;
};

/* What is known of one pair. */
struct ability_view {
    bool refused;
    struct mono_us refused_at;
    const char *reason; /* of the refusal; lives until the next change */
    bool open;          /* the breaker */
    struct mono_us open_until;
    bool trying; /* it has been open, and nothing completed since: one prompt at a time */
};

void ability_init(struct ability *a, const struct ability_limits *limits);
void ability_done(struct ability *a);

/* False: nothing is known of this workflow on any backend. */
bool ability_knows(const struct ability *a, struct str hash);
struct ability_view ability_view(const struct ability *a, struct str hash, uint32_t backend,
                                 struct mono_us now);

/* The backend refused it. */
void ability_refused(struct ability *a, struct str hash, uint32_t backend, struct mono_us now,
                     const char *reason);
/* An attempt failed and the backend is to blame. True when that opened the breaker; it is open
   until *ret_until. */
bool ability_failed(struct ability *a, struct str hash, uint32_t backend, struct mono_us now,
                    struct mono_us *ret_until);
/* One of the failures proved to be the job's own. */
void ability_forgive(struct ability *a, struct str hash, uint32_t backend);
/* Whether that is the server's fault is an open question: no more of it there until `until`, or
   ability_release. */
void ability_hold(struct ability *a, struct str hash, uint32_t backend, struct mono_us until);
void ability_release(struct ability *a, struct str hash, uint32_t backend);
/* When the next of the open breakers closes; false: none is open. O(pairs). */
bool ability_next_close(const struct ability *a, struct mono_us now, struct mono_us *ret_at);
/* The backend ran it: it is able, and no failure counts any more. */
void ability_worked(struct ability *a, struct str hash, uint32_t backend);
/* The backend has started anew: it may have other classes and models. */
void ability_forget_refusals(struct ability *a, uint32_t backend);
/* It may be well by now: open breakers let one prompt try it at once; or, when somebody mended it,
   no failure counts any more. */
void ability_try_again(struct ability *a, uint32_t backend, bool mended);
/* The backend is gone for good. */
void ability_forget_backend(struct ability *a, uint32_t backend);

/* A job of this workflow left two backends dead: it is shown as poison. */
void ability_poisoned(struct ability *a, struct str hash);
/* The poisonous hashes one by one: start with *at NULL; NULL at the end. */
const char *ability_next_poison(const struct ability *a, const void **at);

#endif
