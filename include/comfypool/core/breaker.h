/*
 * What is remembered of pairs (backend, workflow hash): that a backend refused such a workflow (it
 * lacks a class, a model or a file), and how often in a row it failed on it (the breaker). Pure.
 * Bounded: the oldest hashes are forgotten beyond ABILITY_MAX. A hash of which nothing is known
 * costs one lookup.
 */
#ifndef COMFYPOOL_CORE_BREAKER_H
#define COMFYPOOL_CORE_BREAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/map.h"
#include "comfypool/base/str.h"
#include "comfypool/base/time.h"

enum { ABILITY_MAX = 4096 };

struct breaker_limits {
    unsigned failures;        /* in a row: then the breaker opens */
    struct dur_us open;       /* for so long */
    struct dur_us remembered; /* how long a refusal counts for jobs that come after it */
};

struct breaker {
    struct breaker_limits limits;
    struct map by_hash;
    struct breaker_hash *oldest, *newest;
};

/* What is known of one pair. */
struct breaker_view {
    bool refused;
    struct mono_us refused_at;
    const char *reason; /* of the refusal; lives until the next change */
    bool open;          /* the breaker */
    struct mono_us open_until;
    bool trying; /* it has been open, and nothing completed since: one prompt at a time */
};

void breaker_init(struct breaker *a, const struct breaker_limits *limits);
void breaker_done(struct breaker *a);

/* False: nothing is known of this workflow on any backend. */
bool breaker_knows(const struct breaker *a, struct str hash);
struct breaker_view breaker_view(const struct breaker *a, struct str hash, uint32_t backend,
                                 struct mono_us now);

/* The backend refused it. */
void breaker_refused(struct breaker *a, struct str hash, uint32_t backend, struct mono_us now,
                     const char *reason);
/* An attempt failed and the backend is to blame. True when that opened the breaker; it is open
   until *ret_until. */
bool breaker_failed(struct breaker *a, struct str hash, uint32_t backend, struct mono_us now,
                    struct mono_us *ret_until);
/* One of the failures proved to be the job's own. */
void breaker_forgive(struct breaker *a, struct str hash, uint32_t backend);
/* Whether that is the server's fault is an open question: no more of it there until `until`, or
   breaker_release. */
void breaker_hold(struct breaker *a, struct str hash, uint32_t backend, struct mono_us until);
void breaker_release(struct breaker *a, struct str hash, uint32_t backend);
/* When the next of the open breakers closes; false: none is open. O(pairs). */
bool breaker_next_close(const struct breaker *a, struct mono_us now, struct mono_us *ret_at);
/* The backend ran it: it is able, and no failure counts any more. */
void breaker_worked(struct breaker *a, struct str hash, uint32_t backend);
/* The backend has started anew: it may have other classes and models. */
void breaker_forget_refusals(struct breaker *a, uint32_t backend);
/* It may be well by now: open breakers let one prompt try it at once; or, when somebody mended it,
   no failure counts any more. */
void breaker_try_again(struct breaker *a, uint32_t backend, bool mended);
/* The backend is gone for good. */
void breaker_forget_backend(struct breaker *a, uint32_t backend);

/* A job of this workflow left two backends dead: it is shown as poison. */
void breaker_poisoned(struct breaker *a, struct str hash);
/* The poisonous hashes one by one: start with *at NULL; NULL at the end. */
const char *breaker_next_poison(const struct breaker *a, const void **at);

#endif
