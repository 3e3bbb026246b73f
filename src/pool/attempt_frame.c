/* What the frames of an attempt's prompt mean. Called by backends.c for attempts that were POSTed.
 */
#include "attempt_frame.h"

#include "comfypool/notify/events.h"

#include "attempt.h"
#include "backends.h"
#include "clock.h"
#include "event_publish.h"
#include "jobs.h"
#include "state.h"

/* Notes the phase that the frame shows: started, or a node runs. */
static void note_phase(struct attempt *a, struct mono_us now, const struct frame *f)
{
    if (f->type == FRAME_START) {
        attempt_started(a, now, f->stamp_ms);
        return;
    }
    if (!a->timeline.started.set && frame_proves_start(f)) {
        attempt_started(a, now, 0);
    }
    if (a->state.phase == PHASE_STARTED && (f->type == FRAME_EXECUTING || f->type == FRAME_STATE)) {
        attempt_happens(a, ATTEMPT_EVENT_NODE);
        attempt_watch_nodes(a, now);
    }
}

static void note_progress(struct attempt *a, struct mono_us now, const struct frame *f)
{
    const uint64_t changes = a->progress.changes;
    progress_feed(&a->progress, f, events_wanted(&a->job->pool->events) ? publish_node : NULL, a);
    if (f->type == FRAME_PROGRESS && a->progress.changes != changes) {
        publish_progress(a, now);
    }
    if (a->progress.changes != changes) {
        a->job->pool->ops->show_job(a->job);
    }
}

void attempt_frame(struct attempt *a, const struct comfy_event *e)
{
    const struct mono_us now = e->came_at.us != 0 ? e->came_at : e->now;
    const struct frame *f = e->frame;
    if (attempt_is_over(&a->state)) {
        return;
    }
    if (clock_frame(a, e)) {
        attempt_missed(a);
    }
    attempt_heard(a, now, f->type != FRAME_START);
    note_phase(a, now, f);
    if (a->profiler != NULL) {
        profiler_feed(a->profiler, now, f);
    }
    note_progress(a, now, f);
    if (f->type == FRAME_EXECUTED && f->node.p != NULL) {
        attempt_add_output(a, f->node, f->output);
    }
    if (frame_is_terminal(f)) {
        a->backend->load.leaving++;
        attempt_end_by_message(a, now, f);
    }
}
