/*
 * The key times of one attempt, and the server's clock carried to ours. Kept for every attempt,
 * profiled or not, since a Job tells them too. Pure: `now` is an argument.
 *
 * The server stamps its start and end in whole milliseconds of its own clock; what we see is when
 * the frame arrived, which may be late (a garbage collection, a stalled reader beside us). The
 * smallest receipt minus stamp of a connection is the offset between the clocks plus the smallest
 * delay; a stamp carried by it is never later than the receipt should have been.
 */
#ifndef COMFYPOOL_CORE_TIMELINE_H
#define COMFYPOOL_CORE_TIMELINE_H

#include <stdbool.h>
#include <stdint.h>

#include "comfypool/base/time.h"

/* What is known of a server's clock; belongs to a connection. */
struct server_clock {
    bool known;
    int64_t offset_us; /* our monotonic clock minus the server's epoch clock, smallest seen */
};

/* A stamped frame was received now. */
void server_clock_observe(struct server_clock *c, struct mono_us now, int64_t stamp_ms);

/* A point of an attempt: when we learned of it, and the server's stamp of it. */
struct time_mark {
    bool set;
    struct mono_us received;
    int64_t stamp_ms; /* 0: none */
};

struct timeline {
    struct time_anchor anchor;
    struct mono_us queued;
    struct time_mark intent;
    struct time_mark accepted;
    struct time_mark started;
    struct time_mark ended;
    struct server_clock clock; /* of the connection that the attempt was seen on */
};

void timeline_init(struct timeline *t, struct time_anchor anchor, struct mono_us queued);

/*
 * execution_start, or the first sign that it runs (stamp_ms 0). A later mark with a stamp mends an
 * earlier one without. Returns false when it changed nothing.
 */
bool timeline_start(struct timeline *t, struct mono_us now, int64_t stamp_ms);
void timeline_end(struct timeline *t, struct mono_us now, int64_t stamp_ms);

/*
 * Where a mark lies on our clock: min(stamp carried by the offset, received). Without an offset the
 * stamp is taken as if the server's wall clock were ours.
 */
struct mono_us timeline_point(const struct timeline *t, const struct time_mark *m);

/* The points in order: queued <= intent <= started <= ended. Unset ones end with the attempt. */
struct timeline_points {
    struct mono_us queued;
    struct mono_us intent;   /* ended when there was none */
    struct mono_us accepted; /* the POST's answer or the start, whichever came first */
    struct mono_us started;  /* ended when it never started */
    struct mono_us ended;
    bool has_started;
};
struct timeline_points timeline_points(const struct timeline *t);

/* Its end by the server's clock, in ms since the epoch: as it said, else as its clock is known; 0:
   neither. */
int64_t timeline_stamped_end(const struct timeline *t);

#endif
