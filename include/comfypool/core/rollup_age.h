/*
 * How roll-ups age: one an hour for a week, then one a day, deleted after 400 days. Hours and days
 * are in UTC. Pure.
 */
#ifndef COMFYPOOL_CORE_ROLLUP_AGE_H
#define COMFYPOOL_CORE_ROLLUP_AGE_H

#include <stdint.h>

#include "comfypool/base/time.h"

enum { ROLLUP_HOUR = 1, ROLLUP_DAY = 24 };

/* The time that a roll-up covers. The numbers are on disk. */
struct rollup_span {
    int64_t start; /* hours since the epoch */
    int hours;     /* ROLLUP_HOUR, ROLLUP_DAY */
};

/* Returns the hour of a measurement. */
struct rollup_span rollup_hour_of(struct wall_us at);
/* Returns the day of an hour. */
struct rollup_span rollup_day_of(struct rollup_span hour);
/* Returns the start before which hours become days. */
int64_t rollup_hours_from(struct wall_us now);
/* Returns the start before which days are deleted. */
int64_t rollup_days_from(struct wall_us now);
/* Rounds `since` down to what roll-ups resolve: its hour, or its day when that is over a week
   ago. */
struct wall_us rollup_since(struct wall_us since, struct wall_us now);

#endif
