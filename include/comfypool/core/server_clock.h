/*
 * A server's clock relative to ours, learned attempt by attempt. Kept over all connections of one
 * server. Pure: `now` is in the marks.
 *
 * Bounds from an attempt on the offset O (our monotonic clock minus the server's epoch clock):
 *   - no frame is read before it is stamped: O <= receipt - stamp, of every stamped frame;
 *   - no prompt begins before it was POSTed: O >= POST sent - stamp of execution_start;
 *   - create_time is stamped while the POST runs: POST sent <= create_time + O <= POST answered.
 *
 * Frames may be late, never early, so the smallest receipt minus stamp of the last attempts is the
 * offset, within these bounds. An attempt whose bounds contradict the known offset shows that the
 * clock was set before it: the offset is forgotten. One whose own bounds conflict shows that it was
 * set while the attempt ran.
 *
 * Invariant: a lag is never taken for the offset where anything bounds it. Where nothing does, the
 * reading is marked doubtful.
 */
#ifndef COMFYPOOL_CORE_SERVER_CLOCK_H
#define COMFYPOOL_CORE_SERVER_CLOCK_H

#include "comfypool/core/timeline.h"

enum {
    SERVER_CLOCK_RUNS = 8,  /* attempts whose smallest lag counts */
    SERVER_CLOCK_LAGS = 16, /* frames that measure the usual jitter */
};

struct server_clock {
    struct clock_run {
        int64_t offset_us; /* smallest receipt minus stamp of an attempt */
        struct mono_us at;
    } runs[SERVER_CLOCK_RUNS]; /* a ring; next is the oldest when full */
    unsigned len, next;
    struct clock_run doubted;  /* the last attempt with a doubtful lag; at 0: none */
    int64_t doubted_waited_us; /* from its POST to the reading of its start */
    int64_t
        lags[SERVER_CLOCK_LAGS]; /* a ring, of stamped frames but ends: those are usually late */
    unsigned lags_next;
    unsigned unbounded;   /* attempts since the last start bounded by a POST or create_time */
    int64_t tolerance_us; /* from these; 0: none yet */
    int64_t jitter_us;
};

/*
 * Judges the clock for this attempt, which may still run (t->ended not set). Reads the marks, not
 * t->clock. O(1).
 */
struct clock_reading server_clock_judge(const struct server_clock *c, const struct timeline *t);

/* Learns from an ended attempt; t->clock is its judgement. Call again when create_time becomes
   known. */
void server_clock_learn(struct server_clock *c, const struct timeline *t);

#endif
