/*
 * The local hook: a program of the operator's, run once for each event with the event on its stdin,
 * as a webhook's receiver would be told it. Nothing waits for it; what comes while too many wait is
 * dropped and counted.
 */
#ifndef COMFYPOOL_SRC_POOL_HOOKS_H
#define COMFYPOOL_SRC_POOL_HOOKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/str.h"
#include "comfypool/core/event.h"

struct pool;
struct hook_run;

struct hooks {
    struct hook_run *first, *last; /* waiting */
    struct hook_run *running;
    size_t waiting_len;
    size_t running_len;
    uint64_t completed, failed, timed_out, dropped; /* since the start */
};

/* Tells it an event of a job; data is the webhook's. */
void hooks_tell(struct pool *p, enum event_type type, struct str data);
/* The configured program wants this event. */
bool hooks_want(const struct pool *p, enum event_type type);
/* Those that run are ended, those that wait are forgotten. */
void hooks_stop(struct pool *p);

#endif
