/*
 * The local hook: a program of the operator's, run once for each event with the event on its stdin,
 * as sent to a webhook's receiver. Nothing waits for it; events beyond a limit of waiting ones are
 * dropped and counted.
 */
#ifndef COMFYPOOL_NOTIFY_HOOKS_H
#define COMFYPOOL_NOTIFY_HOOKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "comfypool/base/str.h"
#include "comfypool/base/time.h"
#include "comfypool/core/event.h"

struct hooks;

struct hooks_options {
    const char *exec; /* a program; NULL: none */
    unsigned events;  /* set of 1u << event_type */
    struct dur_us timeout;
    unsigned concurrency;
};

struct hooks_stats {
    size_t running, waiting;
    uint64_t completed, failed, timed_out, dropped; /* since the start */
};

/* options is copied. */
struct hooks *hooks_new(uv_loop_t *loop, const struct hooks_options *options);
/* Runs the program for an event of a job; data is the webhook's. */
void hooks_tell(struct hooks *h, enum event_type type, struct str data);
/* True if the configured program wants this event. */
bool hooks_want(const struct hooks *h, enum event_type type);
void hooks_count(const struct hooks *h, struct hooks_stats *ret);
/* Ends runs and drops waiting ones; no more begin. */
void hooks_stop(struct hooks *h);
/* Call after hooks_stop. */
void hooks_free(struct hooks *h);

#endif
