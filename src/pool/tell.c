/*
 * What is told of jobs and backends: the data of each event, made when it happens. Durable ones are
 * told when they are true on disk (queued and the ends), or seen (accepted, started, outputs); the
 * others only when somebody listens. Progress is told at most PROGRESS_A_SECOND times a second for
 * a job, its last value always.
 */
#include <stdlib.h>

#include "attempt.h"
#include "backends.h"
#include "clock.h"
#include "comfypool/notify/events.h"
#include "comfypool/notify/hooks.h"
#include "jobs.h"
#include "state.h"
#include "tell.h"
#include "comfypool/notify/webhooks.h"

enum {
    PROGRESS_PAUSE_MS = 100,
    /* Of the failed attempt's message: in a brief Job, escaped, it must fit into the data of an
       event. */
    RETRY_MESSAGE = 1000,
    /* A preview image that is kept although nobody listens. */
    PREVIEW_MOST = 8 << 20,
};

/* ---- the Job --------------------------------------------------------------------------------- */

static struct event_subject subject_of(const struct job *j)
{
    return (struct event_subject){j->r.id, j->r.client};
}

static void tell_job(struct job *j, enum event_type type, int64_t seq)
{
    struct buf data;
    buf_init(&data, BUF_NO_LIMIT);
    event_render_job(&j->r, NULL, &data);
    hooks_tell(j->pool->hooks, type, buf_str(&data));
    events_add(&j->pool->events, type, subject_of(j), &data, seq,
               seq == 0 ? 0 : job_told_attempt(&j->r));
}

void tell_queued(struct job *j)
{
    tell_job(j, EVENT_QUEUED, 0);
}

void tell_end(struct job *j)
{
    const bool has_profile = j->r.state == JOB_COMPLETED && j->r.profiled;
    tell_job(j, event_of_end(j->r.state), has_profile ? j->r.seq : 0);
}

/* "failedAttempt": what ended, and "retryAt": when the next one may begin. Owner: the caller. */
char *tell_render_retry(const struct job *j, const struct attempt *a)
{
    AUTO_BUF struct buf b;
    buf_init(&b, BUF_NO_LIMIT);
    struct js_out o = js_out_to(&b);
    js_key(&o, "failedAttempt");
    js_open(&o, '{');
    js_member_int(&o, "attempt", a->r.number);
    js_member_string(&o, "backend", a->r.backend == NULL ? "" : a->r.backend);
    js_member_string(&o, "outcome", attempt_outcome_name(a->end.outcome));
    if (a->end.error.code != ERR_NONE) {
        js_key(&o, "error");
        js_open(&o, '{');
        js_member_string(&o, "code", err_code(a->end.error.code));
        const char *message = a->end.error.message;
        js_member_str(&o, "message",
                      str_clip(str_of(message == NULL ? err_title(a->end.error.code) : message),
                               RETRY_MESSAGE));
        js_close(&o, '}');
    }
    js_close(&o, '}');
    js_member_ms(&o, "retryAt", anchor_wall(&j->times.anchor, j->timers.delay.at).us);
    return buf_take(&b);
}

void tell_retrying(struct job *j)
{
    struct buf data;
    buf_init(&data, BUF_NO_LIMIT);
    event_render_job(&j->r, j->end.retry, &data);
    free(j->end.retry);
    j->end.retry = NULL;
    hooks_tell(j->pool->hooks, EVENT_RETRYING, buf_str(&data));
    events_add(&j->pool->events, EVENT_RETRYING, subject_of(j), &data, 0, 0);
}

/* ---- attempts -------------------------------------------------------------------------------- */

static void begin_data(struct js_out *o, struct buf *b, const struct attempt *a)
{
    buf_init(b, BUF_NO_LIMIT);
    *o = js_out_to(b);
    js_open(o, '{');
    js_member_string(o, "jobId", a->job->r.id);
    js_member_int(o, "attempt", a->r.number);
}

static void add_backend(struct js_out *o, const struct attempt *a)
{
    js_member_string(o, "backend", a->r.backend);
    js_member_string(o, "promptId", a->r.prompt_id);
}

static void tell_hooks(struct attempt *a, enum event_type type, struct str data)
{
    hooks_tell(a->job->pool->hooks, type, data);
    webhooks_send(a->job->pool->webhooks, &a->job->r, type, data);
}

static void end_data(struct js_out *o, struct buf *b, enum event_type type, struct attempt *a)
{
    js_close(o, '}');
    if (b->len <= EVENT_DATA_MOST) {
        tell_hooks(a, type, buf_str(b));
    }
    events_add(&a->job->pool->events, type, subject_of(a->job), b, 0, 0);
}

void tell_accepted(struct attempt *a)
{
    if (a->told.of >= TOLD_ACCEPTED) {
        return;
    }
    a->told.of = TOLD_ACCEPTED;
    struct buf b;
    struct js_out o;
    begin_data(&o, &b, a);
    add_backend(&o, a);
    js_member_ms(&o, "acceptedAt", anchor_wall(&a->timeline.anchor, time_mono()).us);
    end_data(&o, &b, EVENT_ACCEPTED, a);
    a->job->pool->ops->show_job(a->job);
}

void tell_started(struct attempt *a)
{
    tell_accepted(a); /* its answer may still be on the way */
    if (a->told.of == TOLD_STARTED) {
        return;
    }
    a->told.of = TOLD_STARTED;
    const struct timeline t = clock_timeline(a);
    struct buf b;
    struct js_out o;
    begin_data(&o, &b, a);
    add_backend(&o, a);
    js_member_ms(&o, "startedAt", anchor_wall(&t.anchor, timeline_point(&t, &t.started)).us);
    end_data(&o, &b, EVENT_STARTED, a);
    a->job->pool->ops->show_job(a->job);
}

/* Hooks and webhooks are told of it, but not of its files: there are too many. */
static void tell_long_output(struct attempt *a, struct str begun)
{
    AUTO_BUF struct buf data;
    buf_init(&data, BUF_NO_LIMIT);
    buf_add_str(&data, begun);
    buf_add_char(&data, '}');
    tell_hooks(a, EVENT_OUTPUT, buf_str(&data));
}

size_t tell_output(struct attempt *a, struct str node_id, struct str ui)
{
    struct buf b;
    struct js_out o;
    begin_data(&o, &b, a);
    js_member_str(&o, "nodeId", node_id);
    const size_t without_files = b.len;
    const size_t outputs = render_output_files(ui, &o);
    if (b.len + 1 > EVENT_DATA_MOST) { /* with its brace */
        tell_long_output(a, (struct str){b.data, without_files});
    }
    end_data(&o, &b, EVENT_OUTPUT, a);
    return outputs;
}

/* ---- what nobody keeps ----------------------------------------------------------------------- */

static void add_done(struct js_out *o, const struct attempt *a)
{
    js_member_int(o, "nodesDone", (int64_t)a->progress.nodes_done);
    js_member_int(o, "nodesTotal", a->job->r.nodes_total);
}

static void tell_and_drop(struct js_out *o, struct buf *b, enum event_type type,
                          const struct attempt *a)
{
    js_close(o, '}');
    events_tell(&a->job->pool->events, type, subject_of(a->job), buf_str(b));
    buf_done(b);
}

static void send_progress(struct attempt *a, struct mono_us now)
{
    struct told_progress *t = &a->told.progress;
    t->owed = false;
    t->at[t->oldest] = now;
    t->oldest = (t->oldest + 1) % PROGRESS_A_SECOND;
    struct buf b;
    struct js_out o;
    begin_data(&o, &b, a);
    js_member_string(&o, "nodeId", t->node_id);
    js_key(&o, "value");
    js_real(&o, t->value);
    js_key(&o, "max");
    js_real(&o, t->max);
    add_done(&o, a);
    tell_and_drop(&o, &b, EVENT_PROGRESS, a);
}

/* When there were less than `most` in the second before. */
static struct mono_us second_is_over(const struct told_progress *t, unsigned most)
{
    return mono_add(t->at[(t->oldest + PROGRESS_A_SECOND - most) % PROGRESS_A_SECOND],
                    dur_ms(1000));
}

static void progress_is_due(void *ctx)
{
    struct attempt *a = ctx;
    if (a->told.progress.owed) {
        send_progress(a, time_mono());
    }
}

void tell_progress(struct attempt *a, struct mono_us now)
{
    struct told_progress *t = &a->told.progress;
    if (!events_wanted(&a->job->pool->events) || a->progress.node_id == NULL) {
        return;
    }
    if (t->node_id == NULL || strcmp(t->node_id, a->progress.node_id) != 0) {
        free(t->node_id);
        t->node_id = mem_strdup(a->progress.node_id);
    }
    t->value = a->progress.value;
    t->max = a->progress.max;
    t->owed = true;
    const struct mono_us last = t->at[(t->oldest + PROGRESS_A_SECOND - 1) % PROGRESS_A_SECOND];
    const struct mono_us due = mono_max(second_is_over(t, PROGRESS_A_SECOND - PROGRESS_AT_ENDS),
                                        mono_add(last, dur_ms(PROGRESS_PAUSE_MS)));
    if (!mono_before(now, due)) {
        send_progress(a, now);
    } else {
        deadline_set(&a->job->pool->deadlines, &t->timer, due, progress_is_due, a);
    }
}

void tell_last_progress(struct attempt *a)
{
    deadline_clear(&a->job->pool->deadlines, &a->told.progress.timer);
    progress_is_due(a);
}

void tell_node(void *attempt, const struct progress_change *c)
{
    struct attempt *a = attempt;
    struct told_progress *t = &a->told.progress;
    const struct workflow_node *n = c->expanded ? NULL : workflow_find(a->workflow, c->node_id);
    /* Its last value goes before its end, or, when that were too many, not at all. */
    if (t->owed && c->status != PROFILE_EXECUTING && str_is(c->node_id, t->node_id)) {
        const bool is_last = a->progress.nodes_done >= a->job->r.nodes_total;
        t->owed = is_last || !mono_before(time_mono(), second_is_over(t, PROGRESS_A_SECOND));
        tell_last_progress(a);
    }
    struct buf b;
    struct js_out o;
    begin_data(&o, &b, a);
    js_member_str(&o, "nodeId", c->node_id);
    if (n != NULL && n->class_type.p != NULL) {
        js_member_str(&o, "type", n->class_type);
    }
    if (c->display.p != NULL) {
        js_member_str(&o, "displayNodeId", c->display);
    }
    js_member_string(&o, "status", profile_status_name(c->status));
    add_done(&o, a);
    tell_and_drop(&o, &b, EVENT_NODE, a);
}

void tell_preview(struct attempt *a, const struct frame_preview *f)
{
    struct preview *v = &a->preview;
    if (f->image.n > PREVIEW_MOST && a->job->pool->events.preview_listeners == 0) {
        return;
    }
    const char *running = a->progress.node_id == NULL ? "" : a->progress.node_id;
    v->n = ++a->job->pool->previews;
    v->media_type = f->media_type;
    free(v->node_id);
    v->node_id = f->node_id.p == NULL ? mem_strdup(running) : mem_copy(f->node_id);
    buf_clear(&v->image);
    buf_add_str(&v->image, f->image);
    events_preview(&a->job->pool->events);
}

/* ---- backends -------------------------------------------------------------------------------- */

void tell_backend(struct backend *b, const char *state)
{
    /* Its tries to connect are nobody's news. */
    if (b->told_state == state || (strcmp(state, "connecting") == 0 && b->told_state == NULL)) {
        return;
    }
    b->told_state = state;
    struct buf data;
    buf_init(&data, BUF_NO_LIMIT);
    struct js_out o = js_out_to(&data);
    js_open(&o, '{');
    js_member_string(&o, "backend", b->name);
    js_member_string(&o, "state", state);
    js_close(&o, '}');
    events_add(&b->pool->events, EVENT_BACKEND, (struct event_subject){"", NULL}, &data, 0, 0);
}
