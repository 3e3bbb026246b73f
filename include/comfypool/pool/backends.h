/*
 * Backends as other rooms see them: their present state, and changes by operators. Changes survive
 * a restart and override the configuration.
 */
#ifndef COMFYPOOL_POOL_BACKENDS_H
#define COMFYPOOL_POOL_BACKENDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/refusal.h"
#include "comfypool/base/time.h"
#include "comfypool/core/backend_change.h"
#include "comfypool/core/job.h"
#include "comfypool/pool/pool.h"
#include "comfypool/sampling/sampler.h"

/* A backend as it is now. Pointers are valid until the loop turns. */
struct backend_view {
    const char *name;
    const char *url;               /* without credentials */
    const char *state;             /* down, connecting, up, draining or quarantined */
    const char *quarantine_reason; /* or NULL */
    unsigned in_flight;
    unsigned max_in_flight;
    double weight;
    const char *labels;  /* JSON array */
    int64_t queue;       /* prompts in its queue, as last told; -1: unknown */
    const char *version; /* NULL: unknown */
    int64_t classes;     /* number of node classes; -1: unknown */
    bool is_reading;     /* its classes are being read */
    const char *devices; /* JSON array */
    struct sampling_view sampling;
    const char *last_error; /* or NULL */
    const uint64_t *ends;   /* of attempts, by enum attempt_outcome */
    int64_t busy_us;        /* time with a prompt in flight */
};

/* Checks the URL of a backend; false with a message for people. */
bool pool_url_check(const char *url, char *why, size_t why_size);

size_t pool_backends(const struct pool *p);
void pool_view_backend(const struct pool *p, size_t i, struct backend_view *ret);
/* False: no backend has this name. */
bool pool_find_backend(const struct pool *p, const char *name, struct backend_view *ret);
/* Returns the hash of the next workflow that left two backends dead; *at NULL: the first. NULL: no
   more. */
const char *pool_next_poison(const struct pool *p, const void **at);

/* The functions below return false if they refuse; else `done` is called once, when the change is
   durable. */
enum backend_wish { BACKEND_RESUME, BACKEND_DRAIN, BACKEND_QUARANTINE };
/* Adds a backend. What `take` points to is taken. ret_name: its name; owner: the caller. */
bool pool_add_backend(struct pool *p, struct backend_change *take, pool_done_fn done, void *ctx,
                      char **ret_name, struct refusal *ret);
bool pool_change_backend(struct pool *p, const char *name, struct backend_change *take,
                         pool_done_fn done, void *ctx, struct refusal *ret);
bool pool_steer_backend(struct pool *p, const char *name, enum backend_wish wish, pool_done_fn done,
                        void *ctx, struct refusal *ret);
/* Removes a backend once its prompts have ended. */
bool pool_remove_backend(struct pool *p, const char *name, pool_done_fn done, void *ctx,
                         struct refusal *ret);
/* Reads at once what it can run. Nothing is stored. */
bool pool_refresh_backend(struct pool *p, const char *name, struct refusal *ret);

/* Pauses or resumes the queue: no job is dispatched while it is paused. */
bool pool_pause(struct pool *p, bool paused, pool_done_fn done, void *ctx, struct refusal *ret);
bool pool_is_paused(const struct pool *p);

#endif
