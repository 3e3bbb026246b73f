/*
 * What must hold for every profile, whatever a server said: DESIGN section 5 as assertions. A fuzz
 * target feeds a profiler through this, so that it is known apart from the profiler which nodes
 * were ever heard of.
 */
#ifndef COMFYPOOL_TESTS_FUZZ_PROFILE_CHECK_H
#define COMFYPOOL_TESTS_FUZZ_PROFILE_CHECK_H

#include "comfypool/base/map.h"
#include "comfypool/core/profiler.h"
#include "comfypool/core/server_clock.h"

/* Aborts when it does not hold. */
void must(bool holds);

/* One attempt under test. */
struct watched {
    struct workflow *workflow;
    struct profiler *profiler;
    struct timeline timeline;
    struct server_clock clock;
    struct map heard; /* node id -> struct heard */
};

/* text: a workflow that workflow_parse takes; NULL when it does not. Owner: watched_free. */
struct watched *watched_new(struct str text, struct mono_us now);
void watched_free(struct watched *w);

void watched_feed(struct watched *w, struct mono_us now, const struct frame *f);
void watched_history(struct watched *w, struct mono_us now, const struct frame *messages,
                     size_t len, const struct str *done, size_t done_len);

/* Ends a copy of the timeline at `now` (if it has not ended) and checks the profile, twice. */
void watched_check(struct watched *w, struct mono_us now, enum attempt_outcome outcome);

#endif
