/* What an attempt learns about its server's clock. */
#ifndef COMFYPOOL_SRC_POOL_CLOCK_H
#define COMFYPOOL_SRC_POOL_CLOCK_H

#include <stdbool.h>

#include "comfypool/base/err.h"
#include "comfypool/core/server_clock.h"
#include "comfypool/core/timeline.h"

struct attempt;
struct comfy_event;
struct history_answer;

/* The part of an attempt that clock.c owns. */
struct attempt_clock {
    bool judged;                /* the attempt is over and its timeline has the reading */
    struct server_clock before; /* the clock as known before this attempt */
};

/* Returns the server's clock as known so far for this attempt. */
struct clock_reading clock_read(const struct attempt *a);
/* Returns the attempt's timeline with that reading. */
struct timeline clock_timeline(const struct attempt *a);
/* Judges the clock of an attempt that is over, and learns from it. Again when more is known. */
void clock_settle(struct attempt *a);
/* True if the attempt is over and create_time would tell whether its first frames were late. */
bool clock_wants_history(const struct attempt *a);
/* Takes what /history says of the attempt; false: nothing yet. */
bool clock_history(struct attempt *a, const struct history_answer *h);
/* Looks at a frame of the prompt before others do. True if it shows that earlier frames were lost.
 */
bool clock_frame(struct attempt *a, const struct comfy_event *e) MUST_CHECK;
/* Undoes clock_settle for an attempt that is resumed. */
void clock_undone(struct attempt *a);

#endif
