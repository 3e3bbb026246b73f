/* Reads and writes points in time as text. */
#ifndef COMFYPOOL_BASE_TIME_TEXT_H
#define COMFYPOOL_BASE_TIME_TEXT_H

#include <stdbool.h>

#include "comfypool/base/str.h"
#include "comfypool/base/time.h"

/*
 * Milliseconds since the Unix epoch (with up to three decimals; not seconds), or RFC 3339 such as
 * 2026-11-25T18:15:00.5+01:00 (a date alone is its beginning in UTC). Where a "+" was read as a
 * blank, as in a query, the blank is taken for it. False when it is neither, or before 1970.
 */
bool time_read(struct str text, struct wall_us *ret);

/* True for milliseconds since the epoch that are meant as seconds: before 1973, but not 0. */
static inline bool time_ms_is_seconds(double ms)
{
    return ms > 0 && ms < 1e11;
}
/* The accepted forms, for messages. */
#define TIME_SHAPE "milliseconds since the epoch (not seconds), or RFC 3339"

/* RFC 3339 in UTC with milliseconds: "2026-11-25T18:15:00.123Z". */
enum { TIME_TEXT_SIZE = 32 };
void time_write(struct wall_us t, char ret[TIME_TEXT_SIZE]);

#endif
