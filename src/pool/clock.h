/* What an attempt learns of its server's clock. */
#ifndef COMFYPOOL_SRC_POOL_CLOCK_H
#define COMFYPOOL_SRC_POOL_CLOCK_H

#include <stdbool.h>

#include "comfypool/base/err.h"
#include "comfypool/core/server_clock.h"
#include "comfypool/core/timeline.h"

struct attempt;
struct comfy_event;
struct history_answer;

/* Of an attempt. */
struct attempt_clock {
    bool judged;                /* it is over, and its timeline has the reading */
    struct server_clock before; /* what was known of the clock then, without it */
};

/* What is known so far of its server's clock, for this attempt. */
struct clock_reading clock_read(const struct attempt *a);
/* Its timeline with that. */
struct timeline clock_timeline(const struct attempt *a);
/* It is over: judges its clock, and what that teaches of the server's. Also when more is known. */
void clock_settle(struct attempt *a);
/* It is over, and create_time would tell whether its first frames were late. */
bool clock_wants_history(const struct attempt *a);
/* What /history says of it; false: nothing yet. */
bool clock_history(struct attempt *a, const struct history_answer *h);
/* A frame of its prompt, before anybody else is given it. True: what shows that others before it
   were lost. */
bool clock_frame(struct attempt *a, const struct comfy_event *e) MUST_CHECK;
/* It has not ended after all. */
void clock_undone(struct attempt *a);

#endif
