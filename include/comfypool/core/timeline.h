/*
 * The key times of one attempt, and the server's clock carried to ours. Kept for every attempt,
 * profiled or not, since a Job tells them too. Pure: `now` is an argument.
 *
 * The server stamps its start and end in whole milliseconds of its own clock; what we see is when
 * the frame arrived, which may be late (the server was busy). What carries a stamp to our clock is
 * judged for each attempt by core/server_clock.h.
 */
#ifndef COMFYPOOL_CORE_TIMELINE_H
#define COMFYPOOL_CORE_TIMELINE_H

#include <stdbool.h>
#include <stdint.h>

#include "comfypool/base/time.h"

/* A point of an attempt: when we learned of it, and the server's stamp of it. */
struct time_mark {
    bool set;
    struct mono_us received;
    int64_t stamp_ms; /* 0: none */
    bool by_history;  /* its stamp was read in /history: when it was received says little */
};

/* What an attempt knows of its server's clock: made by server_clock_judge. An offset is our
   monotonic clock minus the server's epoch clock. */
struct clock_reading {
    bool known;
    int64_t offset_us;     /* of its start */
    int64_t end_offset_us; /* of its end: clocks drift while a prompt runs */
    int64_t tolerance_us;  /* a frame that is later than this was late */
    int64_t jitter_us;     /* one that is later than this was later than most are */
    bool wide; /* its first frames came late, or its clock is another one now: create_time tells */
    bool unbounded; /* neither did a POST bound its start for long, nor create_time: it may drift */
    bool drifted;   /* it waited, and its own frames alone tell its clock */
    bool unsettled; /* it is wide, and nothing else speaks for it so far */
    bool doubtful;  /* ... nor did when it was over: its first frames may have been late */
    bool changed;   /* the clock was set while it ran: its stamps mean nothing */
    bool end_doubtful; /* its end came too late to be believed: the clock may have been set back */
    bool trickled;     /* ... and frames were read one by one behind it, so they may be late too */
    struct mono_us changed_from; /* the last mark that is trusted, else the POST */
};

struct timeline {
    struct time_anchor anchor;
    struct mono_us queued;
    struct time_mark intent;
    struct time_mark posted; /* POST /prompt was sent; not set when nobody knows when */
    struct time_mark accepted;
    struct time_mark started;
    struct time_mark planned; /* execution_cached */
    struct time_mark ended;
    int64_t created_ms;       /* extra_data.create_time by the server's clock; 0: not known */
    struct mono_us unseen;    /* its first frame, which was no execution_start; 0: it was one */
    struct mono_us unplanned; /* its first node's frame, before which there was no execution_cached;
                                 0: there was */
    struct mono_us read;      /* the last frame of its prompt */
    struct mono_us burst;     /* where the frames began that came close together with it */
    struct mono_us watched;   /* the last frame before those; 0: none */
    bool idle;                /* and no node was open when that was read */
    bool began;               /* a node did, by one of those that came close together */
    struct clock_reading clock;
};

/* Frames of one prompt that come closer than this to each other may have waited together. */
enum { TIMELINE_BURST_US = 5000 };

void timeline_init(struct timeline *t, struct time_anchor anchor, struct mono_us queued);

/* A frame of its prompt was read; runs: by those before it a node is open. O(1). */
void timeline_heard(struct timeline *t, struct mono_us now, bool runs);
/* ... by which a node began. */
void timeline_node_began(struct timeline *t);
/*
 * execution_start, or the first sign that it runs (stamp_ms 0). A later mark with a stamp mends an
 * earlier one without. Returns false when it changed nothing.
 */
bool timeline_start(struct timeline *t, struct mono_us now, int64_t stamp_ms);
/* The same, as /history tells it. */
void timeline_start_told(struct timeline *t, struct mono_us now, int64_t stamp_ms);
/* execution_cached; only the first one counts. */
void timeline_planned(struct timeline *t, struct mono_us now, int64_t stamp_ms, bool by_history);
void timeline_end(struct timeline *t, struct mono_us now, int64_t stamp_ms);

/* A stamp that can be one. */
static inline bool time_mark_is_stamped(const struct time_mark *m)
{
    return m->set && m->stamp_ms > 0 && m->stamp_ms <= INT64_MAX / 2000;
}

/*
 * Where a mark lies on our clock: min(stamp carried by the offset, received). Without an offset the
 * stamp is taken as if the server's wall clock were ours.
 */
struct mono_us timeline_point(const struct timeline *t, const struct time_mark *m);
/* The stamp carried to our clock, also when that is later than it was received; of one that a clock
   stamped that was set, when it was received. */
struct mono_us timeline_carried(const struct timeline *t, const struct time_mark *m);

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

/* Its start and its end are known, and how far apart they are. */
bool timeline_is_told(const struct timeline *t);

#endif
