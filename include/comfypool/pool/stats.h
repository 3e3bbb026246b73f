/* Counters of the pool, for GET /stats and monitoring. Those "since the start" only go up. */
#ifndef COMFYPOOL_POOL_STATS_H
#define COMFYPOOL_POOL_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/core/job.h"
#include "comfypool/files/output_copies.h"
#include "comfypool/notify/hooks.h"
#include "comfypool/notify/otlp.h"
#include "comfypool/notify/webhooks.h"

struct pool;

struct pool_stats {
    int64_t uptime_us;
    size_t queued; /* jobs without an attempt */
    size_t queue_limit;
    bool paused;
    unsigned ended_last_minute;     /* jobs */
    uint64_t ends[JOB_STATE_COUNT]; /* jobs since the start */
    uint64_t bad_transitions;       /* since the start; any is a bug */
    struct {
        size_t files;
        uint64_t bytes;
    } uploads;
    struct copies_stats copies;
    struct {
        size_t streams, kept, bytes;
        uint64_t slow_readers; /* since the start */
    } events;
    struct webhooks_stats webhooks;
    struct hooks_stats hooks;
    struct otlp_stats otlp;
};

/* True if some backend takes jobs: up, and neither drained nor quarantined. */
bool pool_has_able_backend(const struct pool *p);
bool pool_is_stopping(const struct pool *p);
void pool_get_stats(struct pool *p, struct pool_stats *ret);

#endif
