/*
 * The loop and the watch over its turns. libuv notes the time when it wakes and when it begins a
 * turn; a check handle (behind the I/O) and a prepare handle (behind the timers) see how long that
 * is ago. The two do not keep the loop alive.
 */
#include "comfypool/loop/loop.h"

#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/log.h"
#include "comfypool/base/time.h"

enum { SLOW_TURN_MS = 50 };

static struct {
    uv_prepare_t behind_timers;
    uv_check_t behind_io;
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

/* A part of a turn ends: how long is it since libuv read its clock? */
static void part_ends(uv_loop_t *loop)
{
    loop_note("something without a name");
    const int64_t busy_ms = watch.since.us / 1000 - (int64_t)uv_now(loop);
    if (busy_ms > SLOW_TURN_MS) {
        LOG(LOG_WARN, "slow turn", LOG_I("ms", busy_ms),
            LOG_S("longest", watch.longest == NULL ? "?" : watch.longest));
    }
    watch.longest = NULL;
    watch.longest_us = 0;
}

static void timers_done(uv_prepare_t *handle)
{
    part_ends(handle->loop);
}

static void io_done(uv_check_t *handle)
{
    part_ends(handle->loop);
}

void loop_init(uv_loop_t *loop)
{
    const int error = uv_loop_init(loop);
    if (error != 0) {
        LOG(LOG_ERROR, "cannot make the event loop", LOG_S("error", uv_strerror(error)));
        abort();
    }
    (void)uv_prepare_init(loop, &watch.behind_timers);
    (void)uv_prepare_start(&watch.behind_timers, timers_done);
    (void)uv_check_init(loop, &watch.behind_io);
    (void)uv_check_start(&watch.behind_io, io_done);
    uv_unref((uv_handle_t *)&watch.behind_timers);
    uv_unref((uv_handle_t *)&watch.behind_io);
    watch.since = time_mono();
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
    uv_close((uv_handle_t *)&watch.behind_timers, NULL);
    uv_close((uv_handle_t *)&watch.behind_io, NULL);
    (void)uv_run(loop, UV_RUN_DEFAULT);
    if (uv_loop_close(loop) == 0) {
        return 0;
    }
    int alive = 0;
    uv_walk(loop, count_handle, &alive);
    return alive == 0 ? 1 : alive;
}
