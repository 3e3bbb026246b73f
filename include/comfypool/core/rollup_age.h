/*
 * How roll-ups age: there is one an hour for a week, then one a day, and after 400 days none. Hours
 * and days are those of UTC. Pure.
 */
#ifndef COMFYPOOL_CORE_ROLLUP_AGE_H
#define COMFYPOOL_CORE_ROLLUP_AGE_H

#include <stdint.h>

#include "comfypool/base/time.h"

enum { ROLLUP_HOUR = 1, ROLLUP_DAY = 24 };

/* The stretch of time that a roll-up is of. The numbers are on disk. */
struct rollup_span {
    int64_t start; /* hours since the epoch */
    int hours;     /* ROLLUP_HOUR, ROLLUP_DAY */
};

/* Where a measurement of this time counts. */
struct rollup_span rollup_hour_of(struct wall_us at);
/* The day that an hour belongs to. */
struct rollup_span rollup_day_of(struct rollup_span hour);
/* Hours that start before this are made into days. */
int64_t rollup_hours_from(struct wall_us now);
/* Days that start before this are deleted. */
int64_t rollup_days_from(struct wall_us now);
/* `since` as roll-ups can tell it: the beginning of its hour, or of its day when that is over a
   week ago. */
struct wall_us rollup_since(struct wall_us since, struct wall_us now);

#endif
