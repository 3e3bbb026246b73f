/* The key times of an attempt; see the header. */
#include "comfypool/core/timeline.h"

void timeline_init(struct timeline *t, struct time_anchor anchor, struct mono_us queued)
{
    *t = (struct timeline){.anchor = anchor, .queued = queued};
}

void timeline_heard(struct timeline *t, struct mono_us now, bool runs)
{
    if (t->read.us == 0 || mono_diff(now, t->read).us > TIMELINE_BURST_US) {
        t->watched = t->read;
        t->burst = now;
        t->idle = !runs;
        t->began = false;
    }
    t->read = now;
}

void timeline_node_began(struct timeline *t)
{
    t->began = true;
}

bool timeline_start(struct timeline *t, struct mono_us now, int64_t stamp_ms)
{
    if (t->started.set && (t->started.stamp_ms != 0 || stamp_ms == 0)) {
        return false;
    }
    const struct mono_us received = t->started.set ? mono_min(t->started.received, now) : now;
    t->started = (struct time_mark){true, received, stamp_ms, false};
    return true;
}

void timeline_start_told(struct timeline *t, struct mono_us now, int64_t stamp_ms)
{
    if (timeline_start(t, now, stamp_ms)) {
        t->started.by_history = true;
    }
}

void timeline_planned(struct timeline *t, struct mono_us now, int64_t stamp_ms, bool by_history)
{
    if (!t->planned.set) {
        t->planned = (struct time_mark){true, now, stamp_ms, by_history};
    }
}

void timeline_end(struct timeline *t, struct mono_us now, int64_t stamp_ms)
{
    if (!t->ended.set) {
        t->ended = (struct time_mark){true, now, stamp_ms, false};
    }
}

struct mono_us timeline_carried(const struct timeline *t, const struct time_mark *m)
{
    const bool end_is_doubtful = m == &t->ended && t->clock.end_doubtful;
    if (!time_mark_is_stamped(m) || t->clock.changed || end_is_doubtful) {
        return m->received;
    }
    const int64_t stamp_us = m->stamp_ms * 1000;
    const int64_t offset = m == &t->ended ? t->clock.end_offset_us : t->clock.offset_us;
    return t->clock.known ? (struct mono_us){stamp_us + offset}
                          : anchor_mono(&t->anchor, (struct wall_us){stamp_us});
}

struct mono_us timeline_point(const struct timeline *t, const struct time_mark *m)
{
    return mono_min(timeline_carried(t, m), m->received);
}

static struct mono_us clamp(struct mono_us t, struct mono_us low, struct mono_us high)
{
    return mono_max(low, mono_min(t, high));
}

struct timeline_points timeline_points(const struct timeline *t)
{
    struct timeline_points p = {.queued = t->queued, .has_started = t->started.set};
    p.ended = mono_max(p.queued, timeline_point(t, &t->ended));
    p.intent = p.ended;
    p.started = p.ended;
    if (t->intent.set) {
        /* An end converted to before our own POST is wrong: causality wins. */
        p.ended = mono_max(p.ended, t->intent.received);
        p.intent = clamp(t->intent.received, p.queued, p.ended);
        p.started = p.ended;
    }
    if (t->started.set) {
        p.started = clamp(timeline_point(t, &t->started), p.intent, p.ended);
    }
    p.accepted = p.started;
    if (t->accepted.set) {
        p.accepted = clamp(t->accepted.received, p.intent, p.started);
    }
    return p;
}

bool timeline_is_told(const struct timeline *t)
{
    const bool start_missed = t->unseen.us != 0 && t->started.stamp_ms == 0;
    return t->started.set && !start_missed && !t->clock.changed && !t->clock.doubtful &&
           !t->clock.end_doubtful;
}
