/*
 * The one file that reads the clocks. Everything else is given the time or converts it with an
 * anchor.
 */
#include "comfypool/base/time.h"

#include <time.h>

static int64_t clock_us(clockid_t id)
{
    struct timespec ts;
    /* Cannot fail for these two clocks with a valid pointer. */
    (void)clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

struct mono_us time_mono(void)
{
    return (struct mono_us){clock_us(CLOCK_MONOTONIC)};
}

struct wall_us time_wall(void)
{
    return (struct wall_us){clock_us(CLOCK_REALTIME)};
}

struct time_anchor time_anchor_now(void)
{
    return (struct time_anchor){.mono = time_mono(), .wall = time_wall()};
}
