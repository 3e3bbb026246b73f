/*
 * The clocks of the backends: what an attempt teaches about its server's clock
 * (core/server_clock.h), and when /history is asked for more. It is asked once, at the end of an
 * attempt whose first frames may have been late without any other evidence: as a rule the first
 * prompt that had to wait at a server, and every ninth where all prompts wait behind others, since
 * a clock could drift there unseen. Servers before 0.3.69 have no create_time: they are not asked,
 * and not believed when they pass on a client's.
 */
#include "clock.h"

#include <stdio.h>

#include "comfypool/comfy/backend.h"

#include "attempt.h"
#include "backends.h"

struct clock_reading clock_read(const struct attempt *a)
{
    return a->clock.judged ? a->timeline.clock
                           : server_clock_judge(&a->backend->clock, &a->timeline);
}

struct timeline clock_timeline(const struct attempt *a)
{
    struct timeline t = a->timeline;
    t.clock = clock_read(a);
    return t;
}

/* Judges an attempt's clock, again when more is known, but never by what the attempt itself taught.
 */
void clock_settle(struct attempt *a)
{
    if (!a->clock.judged) {
        a->clock.before = a->backend->clock;
        a->clock.judged = true;
    }
    a->timeline.clock = server_clock_judge(&a->clock.before, &a->timeline);
    server_clock_learn(&a->backend->clock, &a->timeline);
}

/* True if the server's version has create_time. Older servers pass on a client's create_time, and a
   server that tells no version may be old. */
static bool tells_creation(const struct backend *b)
{
    static const unsigned first[3] = {0, 3, 69};
    unsigned v[3] = {0};
    if (b->said.no_creation || sscanf(b->said.version, "%u.%u.%u", &v[0], &v[1], &v[2]) < 2) {
        return false;
    }
    for (int i = 0; i < 3; i++) {
        if (v[i] != first[i]) {
            return v[i] > first[i];
        }
    }
    return true;
}

bool clock_wants_history(const struct attempt *a)
{
    const struct clock_reading *r = &a->timeline.clock;
    return (r->wide || r->unbounded) && a->timeline.created_ms == 0 && a->profiler != NULL &&
           tells_creation(a->backend);
}

bool clock_history(struct attempt *a, const struct history_answer *h)
{
    if (h->found && tells_creation(a->backend)) {
        /* A create_time that we sent came from the client. */
        a->timeline.created_ms = h->created_ms != a->post.created_ms ? h->created_ms : 0;
        a->backend->said.no_creation = h->created_ms == 0;
    }
    return h->found;
}

void clock_undone(struct attempt *a)
{
    a->clock.judged = false;
}

/* ---- frames ---------------------------------------------------------------------------------- */

/* Notes a lost execution_start: the first frame is another one though the socket was trusted.
   /history is asked for it at the end. */
static void start_was_missed(struct attempt *a, struct mono_us now, enum frame_type first)
{
    a->timeline.unseen = now;
    if (first == FRAME_CACHED) {
        return; /* no other frame lies between the two */
    }
    progress_gap(&a->progress);
    if (a->profiler != NULL) {
        profiler_begins_unwatched(a->profiler);
    }
}

/* True if execution_cached, which is always sent, was lost: a node's frame came without it.
   /history has what was cached. A progress_state does not count: the check for changes may show
   progress before the plan. */
static bool plan_was_missed(const struct attempt *a, const struct frame *f)
{
    const bool of_node =
        f->type == FRAME_EXECUTED || (f->type == FRAME_EXECUTING && f->node.p != NULL);
    return of_node && a->profiler != NULL && a->timeline.started.set && !a->timeline.planned.set &&
           !a->watch.missed;
}

/* Tells the profiler when the frame lay unread because the loop was busy. */
static void note_late(struct profiler *p, const struct comfy_event *e)
{
    profiler_late(p, e->waited_since, e->now, "daemon_busy");
    if (e->came_at.us != 0) {
        profiler_punctual(p, e->came_at);
    }
}

bool clock_frame(struct attempt *a, const struct comfy_event *e)
{
    const struct frame *f = e->frame;
    struct timeline *t = &a->timeline;
    const struct mono_us now = e->came_at.us != 0 ? e->came_at : e->now;
    timeline_heard(t, e->now, a->progress.running_len > 0 || a->progress.missed);
    if (f->type == FRAME_EXECUTING && f->node.p != NULL) {
        timeline_node_began(t);
    }
    const bool starts_unseen =
        f->type != FRAME_START && !t->started.set && !a->watch.missed && frame_proves_start(f);
    const bool lacks_plan = !starts_unseen && plan_was_missed(a, f);
    if (f->type == FRAME_START) {
        t->unseen = (struct mono_us){0};
    } else if (starts_unseen) {
        start_was_missed(a, now, f->type);
    } else if (lacks_plan) {
        t->unplanned = now;
    }
    if (f->type == FRAME_CACHED) {
        timeline_planned(t, now, f->stamp_ms, false);
    }
    if (e->waited_since.us != 0 && a->profiler != NULL) {
        note_late(a->profiler, e);
    }
    return starts_unseen || lacks_plan;
}
