/*
 * The loop and the watch over its turns: from one sleep in the kernel to the next, idle time
 * excluded. The watch's two handles do not keep the loop alive.
 */
#include "comfypool/loop/loop.h"

#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/log.h"
#include "comfypool/base/time.h"

enum { SLOW_TURN_US = 50000 };

static struct {
    uv_prepare_t before_sleep;
    struct mono_us turn_began;
    uint64_t idle_before; /* ns */
    const char *doing;
    struct mono_us since;
    const char *longest;
    int64_t longest_us;
} watch;

void loop_note(const char *what)
{
    const struct mono_us now = time_mono();
    const int64_t took = mono_diff(now, watch.since).us;
    if (took > watch.longest_us) {
        watch.longest_us = took;
        watch.longest = watch.doing;
    }
    watch.doing = what;
    watch.since = now;
}

static void turn_ends(uv_prepare_t *handle)
{
    loop_note("sleep");
    const uint64_t idle = uv_metrics_idle_time(handle->loop);
    const int64_t slept_us = (int64_t)((idle - watch.idle_before) / 1000);
    const int64_t busy_us = mono_diff(watch.since, watch.turn_began).us - slept_us;
    if (busy_us > SLOW_TURN_US) {
        LOG(LOG_WARN, "slow turn", LOG_I("ms", busy_us / 1000),
            LOG_S("longest", watch.longest == NULL ? "?" : watch.longest));
    }
    watch.idle_before = idle;
    watch.turn_began = watch.since;
    watch.longest = NULL;
    watch.longest_us = 0;
}

void loop_init(uv_loop_t *loop)
{
    const int error = uv_loop_init(loop);
    if (error != 0) {
        LOG(LOG_ERROR, "cannot make the event loop", LOG_S("error", uv_strerror(error)));
        abort();
    }
    (void)uv_loop_configure(loop, UV_METRICS_IDLE_TIME);
    (void)uv_prepare_init(loop, &watch.before_sleep);
    (void)uv_prepare_start(&watch.before_sleep, turn_ends);
    uv_unref((uv_handle_t *)&watch.before_sleep);
    watch.turn_began = watch.since = time_mono();
    watch.doing = "start";
}

static void count_handle(uv_handle_t *handle, void *arg)
{
    int *count = arg;
    (*count)++;
    LOG(LOG_ERROR, "a handle outlived the loop",
        LOG_S("type", uv_handle_type_name(uv_handle_get_type(handle))));
}

int loop_finish(uv_loop_t *loop)
{
    (void)uv_prepare_stop(&watch.before_sleep);
    uv_close((uv_handle_t *)&watch.before_sleep, NULL);
    (void)uv_run(loop, UV_RUN_DEFAULT);
    if (uv_loop_close(loop) == 0) {
        return 0;
    }
    int alive = 0;
    uv_walk(loop, count_handle, &alive);
    return alive == 0 ? 1 : alive;
}
