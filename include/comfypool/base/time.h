/*
 * Time with types: points on the monotonic clock, points on the wall clock and spans are three
 * structs, so that mixing them does not compile. All are whole microseconds.
 *
 * One file reads the clocks (src/base/time.c); core never does, it is given `now`.
 */
#ifndef COMFYPOOL_BASE_TIME_H
#define COMFYPOOL_BASE_TIME_H

#include <stdbool.h>
#include <stdint.h>

/* A point on CLOCK_MONOTONIC. */
struct mono_us {
    int64_t us;
};

/* A point on the wall clock: microseconds since the Unix epoch, UTC. */
struct wall_us {
    int64_t us;
};

/* A span of time; may be negative. */
struct dur_us {
    int64_t us;
};

/*
 * One reading of both clocks, to convert monotonic points to wall points. A clock step after the
 * reading does not affect conversions.
 */
struct time_anchor {
    struct mono_us mono;
    struct wall_us wall;
};

struct mono_us time_mono(void);
struct wall_us time_wall(void);
struct time_anchor time_anchor_now(void);

static inline struct dur_us dur_ms(int64_t ms)
{
    return (struct dur_us){ms * 1000};
}

static inline struct dur_us mono_diff(struct mono_us later, struct mono_us earlier)
{
    return (struct dur_us){later.us - earlier.us};
}

static inline struct mono_us mono_add(struct mono_us t, struct dur_us d)
{
    return (struct mono_us){t.us + d.us};
}

static inline bool mono_before(struct mono_us a, struct mono_us b)
{
    return a.us < b.us;
}

static inline struct mono_us mono_min(struct mono_us a, struct mono_us b)
{
    return a.us < b.us ? a : b;
}

static inline struct mono_us mono_max(struct mono_us a, struct mono_us b)
{
    return a.us > b.us ? a : b;
}

static inline struct wall_us anchor_wall(const struct time_anchor *a, struct mono_us t)
{
    return (struct wall_us){a->wall.us + (t.us - a->mono.us)};
}

static inline struct mono_us anchor_mono(const struct time_anchor *a, struct wall_us t)
{
    return (struct mono_us){a->mono.us + (t.us - a->wall.us)};
}

#endif
