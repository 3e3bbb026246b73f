/*
 * Knowledge about pairs (backend, workflow hash): whether the backend refused the workflow (it
 * lacks a class, a model or a file), and how often in a row it failed on it (the breaker). Pure.
 * Bounded: beyond ABILITY_MAX the oldest hashes are forgotten. Unknown hashes cost one lookup.
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
    unsigned failures;        /* in a row that open the breaker */
    struct dur_us open;       /* how long it stays open */
    struct dur_us remembered; /* how long a refusal counts for later jobs */
};

struct breaker {
    struct breaker_limits limits;
    struct map by_hash;
    struct breaker_hash *oldest, *newest;
};

/* The state of one pair. */
struct breaker_view {
    bool refused;
    struct mono_us refused_at;
    const char *reason; /* of the refusal; lives until the next change */
    bool open;          /* the breaker */
    struct mono_us open_until;
    bool trying; /* half-open since its last failure: one prompt at a time */
};

void breaker_init(struct breaker *a, const struct breaker_limits *limits);
void breaker_done(struct breaker *a);

/* False: nothing is known of this workflow on any backend. */
bool breaker_knows(const struct breaker *a, struct str hash);
struct breaker_view breaker_view(const struct breaker *a, struct str hash, uint32_t backend,
                                 struct mono_us now);

/* Notes that the backend refused it. */
void breaker_refused(struct breaker *a, struct str hash, uint32_t backend, struct mono_us now,
                     const char *reason);
/* Counts a failure that the backend is to blame for. True when it opened the breaker, until
 *ret_until. */
bool breaker_failed(struct breaker *a, struct str hash, uint32_t backend, struct mono_us now,
                    struct mono_us *ret_until);
/* Takes back a failure that proved to be the job's own. */
void breaker_forgive(struct breaker *a, struct str hash, uint32_t backend);
/* Bars the pair until `until` or breaker_release, while it is unclear whether the server is to
   blame. */
void breaker_hold(struct breaker *a, struct str hash, uint32_t backend, struct mono_us until);
void breaker_release(struct breaker *a, struct str hash, uint32_t backend);
/* Finds when the next open breaker closes; false: none is open. O(pairs). */
bool breaker_next_close(const struct breaker *a, struct mono_us now, struct mono_us *ret_at);
/* Notes a success: forgets refusals and failures. */
void breaker_worked(struct breaker *a, struct str hash, uint32_t backend);
/* Forgets refusals after a restart of the backend: it may have other classes and models. */
void breaker_forget_refusals(struct breaker *a, uint32_t backend);
/* Lets one prompt through each open breaker at once; mended: forgets all failures too. */
void breaker_try_again(struct breaker *a, uint32_t backend, bool mended);
/* Forgets a removed backend. */
void breaker_forget_backend(struct breaker *a, uint32_t backend);

/* Marks a workflow whose job left two backends dead as poison. */
void breaker_poisoned(struct breaker *a, struct str hash);
/* Walks the poisonous hashes: start with *at NULL; NULL at the end. */
const char *breaker_next_poison(const struct breaker *a, const void **at);

#endif
