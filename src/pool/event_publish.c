/*
 * Publishes events of jobs and backends; the data is made when the event happens. Durable events
 * are published when they are true on disk (queued, ends) or seen (accepted, started, outputs); the
 * others only while there are listeners. Progress is published at most PROGRESS_A_SECOND times a
 * second for a job, its last value always.
 */
#include "event_publish.h"

#include <stdlib.h>

#include "comfypool/notify/event_data.h"
#include "comfypool/notify/events.h"
#include "comfypool/notify/hooks.h"
#include "comfypool/notify/webhooks.h"

#include "attempt.h"
#include "backends.h"
#include "clock.h"
#include "jobs.h"
#include "state.h"

/* Largest preview image that is kept, in bytes. */
enum { PREVIEW_MOST = 8 << 20 };

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

void publish_queued(struct job *j)
{
    tell_job(j, EVENT_QUEUED, 0);
}

void publish_end(struct job *j)
{
    const bool has_profile = j->r.state == JOB_COMPLETED && j->r.profiled;
    tell_job(j, event_of_end(j->r.state), has_profile ? j->r.seq : 0);
}

static struct event_attempt facts_of(const struct attempt *a)
{
    return (struct event_attempt){
        .job_id = a->job->r.id,
        .number = a->r.number,
        .backend = a->r.backend,
        .prompt_id = a->r.prompt_id,
        .nodes_done = a->progress.nodes_done,
        .nodes_total = a->job->r.nodes_total,
    };
}

/* Owner of the text: the caller. */
char *publish_render_retry(const struct job *j, const struct attempt *a)
{
    AUTO_BUF struct buf b;
    buf_init(&b, BUF_NO_LIMIT);
    const struct event_attempt facts = facts_of(a);
    event_render_retry(&facts, a->end.outcome, &a->end.error,
                       anchor_wall(&j->times.anchor, j->timers.delay.at), &b);
    return buf_take(&b);
}

void publish_retrying(struct job *j)
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

static void tell_hooks(struct attempt *a, enum event_type type, struct str data)
{
    hooks_tell(a->job->pool->hooks, type, data);
    webhooks_send(a->job->pool->webhooks, &a->job->r, type, data);
}

/* Publishes an event of an attempt; takes data. */
static void tell_attempt(struct attempt *a, enum event_type type, struct buf *data)
{
    if (data->len <= EVENT_DATA_MOST) {
        tell_hooks(a, type, buf_str(data));
    }
    events_add(&a->job->pool->events, type, subject_of(a->job), data, 0, 0);
}

static void tell_begin(struct attempt *a, enum event_type type, const char *member,
                       struct wall_us at)
{
    struct buf b;
    buf_init(&b, BUF_NO_LIMIT);
    const struct event_attempt facts = facts_of(a);
    event_render_begin(&facts, member, at, &b);
    tell_attempt(a, type, &b);
    a->job->pool->ops->show_job(a->job);
}

void publish_accepted(struct attempt *a)
{
    if (a->told.of < TOLD_ACCEPTED) {
        a->told.of = TOLD_ACCEPTED;
        tell_begin(a, EVENT_ACCEPTED, "acceptedAt", anchor_wall(&a->timeline.anchor, time_mono()));
    }
}

void publish_started(struct attempt *a)
{
    publish_accepted(a); /* the answer to the POST may still be on its way */
    if (a->told.of != TOLD_STARTED) {
        a->told.of = TOLD_STARTED;
        const struct timeline t = clock_timeline(a);
        tell_begin(a, EVENT_STARTED, "startedAt",
                   anchor_wall(&t.anchor, timeline_point(&t, &t.started)));
    }
}

size_t publish_output(struct attempt *a, struct str node_id, struct str ui)
{
    struct buf b;
    buf_init(&b, BUF_NO_LIMIT);
    const struct event_attempt facts = facts_of(a);
    size_t bare = 0;
    const size_t outputs = event_render_output(&facts, node_id, ui, &bare, &b);
    if (b.len > EVENT_DATA_MOST) { /* too many files: hooks and webhooks are told without them */
        AUTO_BUF struct buf data;
        buf_init(&data, BUF_NO_LIMIT);
        buf_add_str(&data, (struct str){b.data, bare});
        buf_add_char(&data, '}');
        tell_hooks(a, EVENT_OUTPUT, buf_str(&data));
    }
    tell_attempt(a, EVENT_OUTPUT, &b);
    return outputs;
}

/* ---- what nobody keeps ----------------------------------------------------------------------- */

static void tell_once(const struct attempt *a, enum event_type type, const struct buf *data)
{
    events_tell(&a->job->pool->events, type, subject_of(a->job), buf_str(data));
}

static void send_progress(struct attempt *a, struct mono_us now)
{
    AUTO_BUF struct buf b;
    buf_init(&b, BUF_NO_LIMIT);
    const struct event_attempt facts = facts_of(a);
    progress_pace_told(&a->told.pace, now);
    event_render_progress(&facts, &a->told.pace, &b);
    tell_once(a, EVENT_PROGRESS, &b);
}

static void progress_is_due(void *ctx)
{
    struct attempt *a = ctx;
    if (a->told.pace.owed) {
        send_progress(a, time_mono());
    }
}

void publish_progress(struct attempt *a, struct mono_us now)
{
    if (!events_wanted(&a->job->pool->events) || a->progress.node_id == NULL) {
        return;
    }
    progress_pace_note(&a->told.pace, a->progress.node_id, a->progress.value, a->progress.max);
    const struct mono_us due = progress_pace_due(&a->told.pace);
    if (!mono_before(now, due)) {
        send_progress(a, now);
    } else {
        deadline_set(&a->job->pool->deadlines, &a->told.later, due, progress_is_due, a);
    }
}

void publish_last_progress(struct attempt *a)
{
    deadline_clear(&a->job->pool->deadlines, &a->told.later);
    progress_is_due(a);
}

void publish_node(void *attempt, const struct progress_change *c)
{
    struct attempt *a = attempt;
    struct progress_pace *t = &a->told.pace;
    /* The last value is published before the node's end, or not at all if that would be too many.
     */
    if (t->owed && c->status != PROFILE_EXECUTING && str_is(c->node_id, t->node_id)) {
        const bool is_last = a->progress.nodes_done >= a->job->r.nodes_total;
        t->owed = is_last || progress_pace_has_room(t, time_mono());
        publish_last_progress(a);
    }
    const struct workflow_node *n = c->expanded ? NULL : workflow_find(a->workflow, c->node_id);
    const struct event_attempt facts = facts_of(a);
    AUTO_BUF struct buf b;
    buf_init(&b, BUF_NO_LIMIT);
    event_render_node(&facts, c, n == NULL ? (struct str){NULL, 0} : n->class_type, &b);
    tell_once(a, EVENT_NODE, &b);
}

void publish_preview(struct attempt *a, const struct frame_preview *f)
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

void publish_backend(struct backend *b, const char *state)
{
    /* Attempts to connect are not news. */
    if (b->told_state == state || (strcmp(state, "connecting") == 0 && b->told_state == NULL)) {
        return;
    }
    b->told_state = state;
    struct buf data;
    buf_init(&data, BUF_NO_LIMIT);
    event_render_backend(b->name, state, &data);
    events_add(&b->pool->events, EVENT_BACKEND, (struct event_subject){"", NULL}, &data, 0, 0);
}
