/* The age of roll-ups; see the header. */
#include "comfypool/core/rollup_age.h"

#include <stdbool.h>

enum { WEEK_HOURS = 7 * 24, KEPT_DAYS = 400 };

static const int64_t HOUR_US = INT64_C(3600) * 1000000;

static int64_t hour_at(struct wall_us at)
{
    return at.us / HOUR_US;
}

static int64_t day_start(int64_t hour)
{
    return hour - hour % ROLLUP_DAY;
}

struct rollup_span rollup_hour_of(struct wall_us at)
{
    return (struct rollup_span){hour_at(at), ROLLUP_HOUR};
}

struct rollup_span rollup_day_of(struct rollup_span hour)
{
    return (struct rollup_span){day_start(hour.start), ROLLUP_DAY};
}

/* Whole days only: a day that is half hours would be counted by halves. */
int64_t rollup_hours_from(struct wall_us now)
{
    return day_start(hour_at(now)) - WEEK_HOURS;
}

int64_t rollup_days_from(struct wall_us now)
{
    return hour_at(now) - (int64_t)KEPT_DAYS * ROLLUP_DAY;
}

struct wall_us rollup_since(struct wall_us since, struct wall_us now)
{
    const int64_t hour = hour_at(since);
    const bool is_old = hour < hour_at(now) - WEEK_HOURS;
    return (struct wall_us){(is_old ? day_start(hour) : hour) * HOUR_US};
}
