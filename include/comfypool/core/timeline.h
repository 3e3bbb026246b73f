/*
 * The key times of one attempt, and the server's clock converted to ours. Kept for every attempt,
 * profiled or not, since a Job shows them too. Pure: `now` is an argument.
 *
 * The server stamps its start and end in whole milliseconds of its own clock; we only see when the
 * frame arrived, perhaps late (the server was busy). core/server_clock.h judges for each attempt
 * how to convert a stamp to our clock.
 */
#ifndef COMFYPOOL_CORE_TIMELINE_H
#define COMFYPOOL_CORE_TIMELINE_H

#include <stdbool.h>
#include <stdint.h>

#include "comfypool/base/time.h"

/* An event of an attempt: when we saw it, and the server's stamp. */
struct time_mark {
    bool set;
    struct mono_us received;
    int64_t stamp_ms; /* 0: none */
    bool by_history;  /* stamp read in /history: the time of receipt says little */
};

/* What an attempt knows of its server's clock: made by server_clock_judge. An offset is our
   monotonic clock minus the server's epoch clock. */
struct clock_reading {
    bool known;
    int64_t offset_us;     /* at its start */
    int64_t end_offset_us; /* at its end: clocks drift while a prompt runs */
    int64_t tolerance_us;  /* later frames count as late */
    int64_t jitter_us;     /* frames later than this were later than most */
    bool wide;             /* first frames late, or the clock was set: create_time tells */
    bool unbounded;        /* starts long unbounded by a POST, and no create_time: it may drift */
    bool drifted;          /* it waited, and only its own frames show the clock */
    bool unsettled;        /* wide, and nothing else confirms it so far */
    bool doubtful;         /* still unsettled at its end: its first frames may have been late */
    bool changed;          /* the clock was set while it ran: its stamps are void */
    bool end_doubtful;     /* its end came incredibly late: the clock may have been set back */
    bool trickled;         /* ... and frames came one by one after it, perhaps late too */
    struct mono_us changed_from; /* the last trusted mark, else the POST */
};

struct timeline {
    struct time_anchor anchor;
    struct mono_us queued;
    struct time_mark intent;
    struct time_mark posted; /* POST /prompt was sent; not set if unknown when */
    struct time_mark accepted;
    struct time_mark started;
    struct time_mark planned; /* execution_cached */
    struct time_mark ended;
    int64_t created_ms;       /* extra_data.create_time by the server's clock; 0: unknown */
    struct mono_us unseen;    /* first frame, if not execution_start; 0: it was */
    struct mono_us unplanned; /* first node's frame, if no execution_cached came before; 0: one
                                 did */
    struct mono_us read;      /* the last frame of the prompt */
    struct mono_us burst;     /* start of the burst of frames that includes it */
    struct mono_us watched;   /* the last frame before the burst; 0: none */
    bool idle;                /* no node was open then */
    bool began;               /* a node began within the burst */
    struct clock_reading clock;
};

/* Frames of one prompt closer together than this may have waited together. */
enum { TIMELINE_BURST_US = 5000 };

void timeline_init(struct timeline *t, struct time_anchor anchor, struct mono_us queued);

/* Notes a frame of the prompt; runs: a node is open by those before. O(1). */
void timeline_heard(struct timeline *t, struct mono_us now, bool runs);
/* Notes that a node began by that frame. */
void timeline_node_began(struct timeline *t);
/*
 * Notes execution_start, or the first sign of running (stamp_ms 0). A later mark with a stamp
 * repairs an earlier one without. False: nothing changed.
 */
bool timeline_start(struct timeline *t, struct mono_us now, int64_t stamp_ms);
/* Like timeline_start, from /history. */
void timeline_start_told(struct timeline *t, struct mono_us now, int64_t stamp_ms);
/* Notes execution_cached; only the first one counts. */
void timeline_planned(struct timeline *t, struct mono_us now, int64_t stamp_ms, bool by_history);
void timeline_end(struct timeline *t, struct mono_us now, int64_t stamp_ms);

/* True if it has a plausible stamp. */
static inline bool time_mark_is_stamped(const struct time_mark *m)
{
    return m->set && m->stamp_ms > 0 && m->stamp_ms <= INT64_MAX / 2000;
}

/*
 * Returns a mark's time on our clock: min(converted stamp, received). Without an offset the
 * server's wall clock is taken to be ours.
 */
struct mono_us timeline_point(const struct timeline *t, const struct time_mark *m);
/* Returns the stamp converted to our clock, even if later than its receipt; the time of receipt if
   the clock was set. */
struct mono_us timeline_carried(const struct timeline *t, const struct time_mark *m);

/* The points in order: queued <= intent <= started <= ended. Unset ones end with the attempt. */
struct timeline_points {
    struct mono_us queued;
    struct mono_us intent;   /* `ended` if there was none */
    struct mono_us accepted; /* the POST's answer or the start, whichever came first */
    struct mono_us started;  /* `ended` if it never started */
    struct mono_us ended;
    bool has_started;
};
struct timeline_points timeline_points(const struct timeline *t);

/* True if start and end are known, and the time between. */
bool timeline_is_told(const struct timeline *t);

#endif
