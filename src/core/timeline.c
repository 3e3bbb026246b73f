/* The key times of an attempt; see the header. */
#include "comfypool/core/timeline.h"

void server_clock_observe(struct server_clock *c, struct mono_us now, int64_t stamp_ms)
{
    if (stamp_ms <= 0 || stamp_ms > INT64_MAX / 2000) {
        return;
    }
    const int64_t offset = now.us - stamp_ms * 1000;
    if (!c->known || offset < c->offset_us) {
        c->known = true;
        c->offset_us = offset;
    }
}

void timeline_init(struct timeline *t, struct time_anchor anchor, struct mono_us queued)
{
    *t = (struct timeline){.anchor = anchor, .queued = queued};
}

bool timeline_start(struct timeline *t, struct mono_us now, int64_t stamp_ms)
{
    if (t->started.set && (t->started.stamp_ms != 0 || stamp_ms == 0)) {
        return false;
    }
    const struct mono_us received = t->started.set ? mono_min(t->started.received, now) : now;
    t->started = (struct time_mark){true, received, stamp_ms};
    return true;
}

void timeline_end(struct timeline *t, struct mono_us now, int64_t stamp_ms)
{
    if (!t->ended.set) {
        t->ended = (struct time_mark){true, now, stamp_ms};
    }
}

struct mono_us timeline_point(const struct timeline *t, const struct time_mark *m)
{
    if (m->stamp_ms <= 0 || m->stamp_ms > INT64_MAX / 2000) {
        return m->received;
    }
    const int64_t stamp_us = m->stamp_ms * 1000;
    const struct mono_us carried = t->clock.known
                                       ? (struct mono_us){stamp_us + t->clock.offset_us}
                                       : anchor_mono(&t->anchor, (struct wall_us){stamp_us});
    return mono_min(carried, m->received);
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
        /* An end carried to before our own POST would be a clock that lies: causality wins. */
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

int64_t timeline_stamped_end(const struct timeline *t)
{
    if (t->ended.stamp_ms != 0 || !t->clock.known) {
        return t->ended.stamp_ms;
    }
    return (t->ended.received.us - t->clock.offset_us) / 1000;
}
