/*
 * The life of an attempt in memory: made, on its backend's list from its beginning to its end, the
 * attempt of its job until that goes on without it, freed. Invariant: it takes a slot of its
 * backend just while it is on the list.
 */
#include "attempt.h"

#include <stdlib.h>

#include "comfypool/base/list.h"
#include "comfypool/base/log.h"
#include "comfypool/base/pending.h"
#include "comfypool/loop/loop.h"

#include "backends.h"
#include "clients.h"
#include "jobs.h"
#include "run_measurement.h"
#include "state.h"

/* The submission was checked; NULL means that the stored text was damaged since. */
static struct workflow *read_workflow(const struct job *j)
{
    struct workflow *w = workflow_reparse((struct str){j->texts.workflow, j->texts.workflow_len});
    if (w == NULL) {
        LOG(LOG_ERROR, "the stored workflow of a job is damaged", LOG_S("job", j->r.id));
    }
    return w;
}

struct attempt *attempt_new(struct job *j, struct backend *b, struct attempt_state state)
{
    struct workflow *w = read_workflow(j);
    if (w == NULL) {
        return NULL;
    }
    struct attempt *a = mem_zero(1, sizeof *a);
    a->backend = b;
    a->state = state;
    a->workflow = w;
    progress_init(&a->progress, a->workflow);
    if (j->r.profiled) {
        a->profiler = profiler_new(a->workflow, j->pool->options.max_progress_events);
    }
    timeline_init(&a->timeline, j->times.anchor, j->times.queued);
    buf_init(&a->preview.image, BUF_NO_LIMIT);
    a->pool = j->pool;
    attempt_init_streamed(a);
    return a;
}

void attempt_join(struct attempt *a, struct job *j)
{
    a->job = j;
    j->attempt = a;
    j->pool->attempts++;
    client_runs(j);
    a->backend->load.refs++;
    deadline_clear(&j->pool->deadlines, &j->timers.queue);
}

void attempt_link(struct attempt *a)
{
    struct backend *b = a->backend;
    const bool is_only = b->load.attempts == NULL;
    list_push(&b->load.attempts, a, backend_next, backend_link);
    if (is_only) {
        b->load.busy_since = time_mono();
    }
    /* A new attempt is POSTed with the connection's own id. */
    if (is_only || a->state.origin == ORIGIN_BEGUN) {
        comfy_pin(b->comfy, a->r.client_id);
    }
    if (a->profiler != NULL) {
        loop_beat_begin();
    }
    scheduler_take(&b->pool->scheduler, &b->slot);
}

void attempt_unlink(struct attempt *a)
{
    if (a->backend_link == NULL) {
        return;
    }
    struct backend *b = a->backend;
    list_remove(a, backend_next, backend_link);
    if (a->profiler != NULL) {
        loop_beat_end();
    }
    b->load.settling += attempt_is_posted(&a->state) ? 1 : 0;
    if (b->load.attempts == NULL) {
        b->load.busy_us += mono_diff(time_mono(), b->load.busy_since).us;
        comfy_unpin(b->comfy);
    }
    scheduler_release(&b->pool->scheduler, &b->slot);
    if (b->load.attempts == NULL && b->knows.due) {
        b->pool->ops->settle_backend(b);
    }
}

void attempt_started(struct attempt *a, struct mono_us now, int64_t stamp_ms)
{
    if (!a->timeline.started.set) {
        measurement_start(a);
    }
    (void)timeline_start(&a->timeline, now, stamp_ms);
    if (a->profiler != NULL && a->sampled == NULL && !attempt_is_over(&a->state)) {
        a->sampled = sampled_run_begin(a->backend->sampler);
    }
    attempt_happens(a, ATTEMPT_EVENT_START);
    deadline_clear(&a->backend->pool->deadlines, &a->timers.start);
    publish_started(a);
}

void attempt_unwatch(struct attempt *a)
{
    struct deadlines *d = &a->backend->pool->deadlines;
    deadline_clear(d, &a->watch.poll);
    deadline_clear(d, &a->stop.grace);
    deadline_clear(d, &a->timers.start);
    deadline_clear(d, &a->timers.node);
    if (a->watch.locate != NULL) {
        comfy_locate_cancel(a->watch.locate);
        a->watch.locate = NULL;
    }
}

void attempt_leave(struct attempt *a)
{
    struct backend *b = a->backend;
    struct pool *p = b->pool;
    attempt_cancel_post(a);
    attempt_unwatch(a);
    if (a->end.history != NULL) {
        comfy_locate_cancel(a->end.history);
    }
    deadline_clear(&p->deadlines, &a->end.patience);
    deadline_clear(&p->deadlines, &a->told.later);
    attempt_unlink(a);
    if (!attempt_is_over(&a->state)) {
        client_rests(a->job);
    }
    sampled_run_free(a->sampled);
    a->sampled = NULL;
    a->job->attempt = NULL;
    a->job = NULL;
    p->attempts--;
    b->load.refs--;
    p->ops->reap_backend(b);
}

void attempt_free(struct attempt *a)
{
    if (a->job != NULL) {
        attempt_leave(a);
    }
    progress_pace_done(&a->told.pace);
    if (a->end.awaits_images) {
        pending_remove(&a->pool->pending); /* the backend may be gone */
    }
    streamed_done(&a->streamed);
    free(a->preview.node_id);
    buf_done(&a->preview.image);
    splices_done(&a->splices);
    profiler_free(a->profiler);
    progress_done(&a->progress);
    workflow_free(a->workflow);
    attempt_record_done(&a->r);
    job_error_done(&a->end.error);
    job_error_done(&a->end.job_error);
    attempt_outputs_done(&a->outputs);
    free(a->post.node_errors);
    free(a->end.exception);
    free(a->texts.auto_seeds);
    free(a->texts.placement);
    free(a);
}
