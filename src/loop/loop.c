/*
 * The loop and the watch over its turns. libuv notes the time when it wakes and when it begins a
 * turn; a check handle (after the I/O) and a prepare handle (after the timers) measure how long ago
 * that is. A process stopped while it polls does not notice: it wakes, reads what came meanwhile,
 * and only then do timers run. So, on request, a timer beats, and what is read when its beat is
 * overdue, or in the next poll, may have waited since the poll began. The three do not keep the
 * loop alive.
 */
#include "comfypool/loop/loop.h"

#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/log.h"
#include "comfypool/base/time.h"

/* POLLED_AT_ONCE_US: a longer poll found nothing waiting. */
enum { SLOW_TURN_MS = 50, BEAT_MS = 100, POLLED_AT_ONCE_US = 2000 };

/* A poll that woke this long after its input came was not scheduled. Three ticks of a kernel that
   counts by 4 ms; and what is within the tolerance of clocks. */
enum { STOOD_MANY_US = 12000, STOOD_US = 20000 };

static struct {
    uv_prepare_t behind_timers;
    uv_check_t behind_io;
    const char *doing;
    struct mono_us since;
    const char *longest;
    int64_t longest_us;
    /* For loop_waited_since and loop_stood_since. */
    uv_loop_t *loop;
    uv_timer_t beat;
    unsigned beats_for;
    struct mono_us beat_at;
    bool asked;            /* something was read since the poll */
    struct mono_us polled; /* start of the poll; 0: not in I/O now */
    unsigned polls;
    struct mono_us idle_from; /* start of the poll before, if it read nothing; else 0 */
    struct mono_us woke;      /* end of that poll */
    struct mono_us slow_from; /* start of the previous part, if slow; else 0 */
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

/* Returns when libuv last read its clock: the start of the turn, or of its I/O. */
static struct mono_us part_began(void)
{
    return (struct mono_us){(int64_t)uv_now(watch.loop) * 1000};
}

/* Ends a part of a turn. True if it was slow. */
static bool part_ends(void)
{
    loop_note("something without a name");
    const int64_t busy_ms = mono_diff(watch.since, part_began()).us / 1000;
    const bool slow = busy_ms > SLOW_TURN_MS;
    if (slow) {
        LOG(LOG_WARN, "slow turn", LOG_I("ms", busy_ms),
            LOG_S("longest", watch.longest == NULL ? "?" : watch.longest));
    }
    watch.longest = NULL;
    watch.longest_us = 0;
    return slow;
}

static bool beat_is_overdue(struct mono_us now)
{
    return watch.beats_for > 0 &&
           mono_diff(now, watch.beat_at).us > (BEAT_MS + SLOW_TURN_MS) * INT64_C(1000);
}

static void timers_done(uv_prepare_t *handle)
{
    (void)handle;
    const struct mono_us began = part_began();
    if (part_ends() && watch.slow_from.us == 0) {
        watch.slow_from = began;
    }
    watch.polled = watch.since;
    watch.polls++;
    if (mono_diff(watch.polled, watch.woke).us > POLLED_AT_ONCE_US) {
        watch.idle_from.us = 0; /* it handled something other than frames */
    }
}

static void io_done(uv_check_t *handle)
{
    (void)handle;
    const struct mono_us began = part_began();
    const bool slow = part_ends();
    /* A poll ended by a signal, as by SIGCONT, reads nothing: the next one does. */
    watch.slow_from = beat_is_overdue(watch.since) && !watch.asked ? watch.polled
                      : slow                                       ? began
                                                                   : (struct mono_us){0};
    watch.idle_from = watch.asked ? (struct mono_us){0} : watch.polled;
    watch.woke = began;
    watch.polled = (struct mono_us){0};
    watch.asked = false;
}

/* ---- what waited ----------------------------------------------------------------------------- */

struct mono_us loop_waited_since(struct mono_us now)
{
    if (watch.polled.us == 0) {
        return (struct mono_us){0};
    }
    watch.asked = true;
    const struct mono_us woke = part_began();
    if (watch.slow_from.us != 0 && mono_diff(woke, watch.polled).us <= POLLED_AT_ONCE_US) {
        return watch.slow_from;
    }
    if (beat_is_overdue(now)) {
        return watch.polled;
    }
    return mono_diff(now, woke).us > SLOW_TURN_MS * INT64_C(1000) ? woke : (struct mono_us){0};
}

unsigned loop_poll(void)
{
    return watch.beats_for > 0 && watch.polled.us != 0 ? watch.polls : 0;
}

struct mono_us loop_stood_since(struct mono_us last_came, bool many)
{
    const struct mono_us since = watch.idle_from.us != 0 ? watch.idle_from : watch.polled;
    const int64_t late = mono_diff(part_began(), last_came).us;
    const bool stood = mono_before(since, last_came) && late > (many ? STOOD_MANY_US : STOOD_US);
    return stood ? since : (struct mono_us){0};
}

static void beats(uv_timer_t *timer)
{
    (void)timer;
    watch.beat_at = time_mono();
}

void loop_beat_begin(void)
{
    if (watch.beats_for++ == 0) {
        watch.beat_at = time_mono();
        (void)uv_timer_start(&watch.beat, beats, BEAT_MS, BEAT_MS);
    }
}

void loop_beat_end(void)
{
    if (--watch.beats_for == 0) {
        (void)uv_timer_stop(&watch.beat);
    }
}

/* ---- life ------------------------------------------------------------------------------------ */

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
    (void)uv_timer_init(loop, &watch.beat);
    uv_unref((uv_handle_t *)&watch.beat);
    watch.loop = loop;
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
    uv_close((uv_handle_t *)&watch.beat, NULL);
    (void)uv_run(loop, UV_RUN_DEFAULT);
    if (uv_loop_close(loop) == 0) {
        return 0;
    }
    int alive = 0;
    uv_walk(loop, count_handle, &alive);
    return alive == 0 ? 1 : alive;
}
