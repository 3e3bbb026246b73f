/*
 * A server's clock beside ours, learned attempt by attempt. Kept over all connections of one
 * server. Pure: `now` is in the marks.
 *
 * What an attempt says of the offset O (our monotonic clock minus the server's epoch clock):
 *   - no frame is read before it is stamped:          O <= receipt - stamp, of every stamped frame;
 *   - no prompt begins before it was POSTed:          O >= POST sent - stamp of execution_start;
 *   - create_time is stamped while the POST runs:     POST sent <= create_time + O <= POST
 * answered. Frames may be late, never early, so the smallest receipt minus stamp of the last
 * attempts is the offset, within these bounds. An attempt whose bounds forbid what was known shows
 * that the clock was set before it: what was known is forgotten. One that forbids itself shows that
 * it was set while the attempt ran.
 *
 * Invariant: a lag is never taken for the offset where anything bounds it. Where nothing does, the
 * reading is doubtful, and says so.
 */
#ifndef COMFYPOOL_CORE_SERVER_CLOCK_H
#define COMFYPOOL_CORE_SERVER_CLOCK_H

#include "comfypool/core/timeline.h"

enum {
    SERVER_CLOCK_RUNS = 8,  /* attempts whose smallest lag counts */
    SERVER_CLOCK_LAGS = 16, /* frames by which the usual jitter is told */
};

struct server_clock {
    struct clock_run {
        int64_t offset_us; /* the smallest receipt minus stamp of an attempt */
        struct mono_us at;
    } runs[SERVER_CLOCK_RUNS]; /* a ring; next is the oldest when it is full */
    unsigned len, next;
    struct clock_run doubted;  /* the last attempt whose lag was in doubt; at 0: none */
    int64_t doubted_waited_us; /* from its POST to its start, as that was read */
    int64_t
        lags[SERVER_CLOCK_LAGS]; /* a ring, of stamped frames but ends: those are late as a rule */
    unsigned lags_next;
    unsigned unbounded;   /* attempts since the last one whose start a POST or create_time bounds */
    int64_t tolerance_us; /* by these; 0: there are none yet */
    int64_t jitter_us;
};

/*
 * What is known of the clock for this attempt, which may still run (t->ended not set). Reads the
 * marks, not t->clock. O(1).
 */
struct clock_reading server_clock_judge(const struct server_clock *c, const struct timeline *t);

/* The attempt is over, and t->clock is what was judged of it. May be told again when more is known
   of it (create_time). */
void server_clock_learn(struct server_clock *c, const struct timeline *t);

#endif
