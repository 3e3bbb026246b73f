/*
 * The life of a job in memory: from its submission to the moment when the store has its end. Only
 * active jobs are here; ended ones live on disk. Invariants: a job's state changes in job_apply
 * alone; nobody is told an end before it is durable.
 */
#include <stdlib.h>

#include "comfypool/base/log.h"
#include "comfypool/core/retry.h"
#include "inner.h"

bool job_apply(struct job *j, enum job_event e)
{
    if (job_transition(j->r.state, e, &j->r.state)) {
        return true;
    }
    j->pool->bad_transitions++;
    LOG(LOG_ERROR, "a transition that is not in the table (a bug)", LOG_S("job", j->r.id),
        LOG_S("state", job_state_name(j->r.state)), LOG_S("event", job_event_name(e)));
    return false;
}

struct job *job_find(struct pool *p, struct str id)
{
    return map_get(&p->jobs, id);
}

static void job_register(struct job *j)
{
    (void)map_put(&j->pool->jobs, (struct str){j->r.id, UUID_TEXT}, j);
}

struct job *job_new(struct pool *p, struct submission *take)
{
    struct job *j = mem_zero(1, sizeof *j);
    j->pool = p;
    j->anchor = time_anchor_now();
    j->queued = j->anchor.mono;
    j->r = (struct job_record){
        .seq = store_next_seq(p->store),
        .state = JOB_QUEUED,
        .priority = take->priority,
        .queued_at = j->anchor.wall,
        .max_attempts =
            take->max_attempts == 0 ? p->options.max_attempts : (unsigned)take->max_attempts,
        .nodes_total = (unsigned)take->nodes_total,
        .profiled = take->profile == UNSET ? p->options.profiling : take->profile == ON,
        .metadata = take->metadata,
    };
    uuid_v7(j->anchor.wall, j->r.id);
    memcpy(j->r.workflow_hash, take->hash, sizeof j->r.workflow_hash);
    j->workflow = take->workflow;
    j->workflow_len = take->workflow_len;
    j->extra_data = take->extra_data;
    take->workflow = take->metadata = take->extra_data = NULL;
    job_register(j);
    return j;
}

void job_free(struct job *j)
{
    struct pool *p = j->pool;
    if (map_get(&p->jobs, (struct str){j->r.id, UUID_TEXT}) == j) {
        (void)map_remove(&p->jobs, (struct str){j->r.id, UUID_TEXT});
    }
    queue_remove(&p->queue, &j->entry);
    deadline_clear(&p->deadlines, &j->delay);
    if (j->attempt != NULL) {
        attempt_free(j->attempt);
    }
    job_record_done(&j->r);
    job_record_done(&j->next);
    free(j->workflow);
    free(j->extra_data);
    free(j->waiters);
    free(j);
}

/* Those whose wait is over or who hung up; amortised O(1) a waiter. */
static void forget_gone_waiters(struct job *j)
{
    size_t kept = 0;
    for (size_t i = 0; i < j->waiters_len; i++) {
        if (http_is_open(j->pool->server, j->waiters[i])) {
            j->waiters[kept++] = j->waiters[i];
        }
    }
    j->waiters_len = kept;
}

void job_add_waiter(struct job *j, struct http_ref x)
{
    if (j->waiters_len == j->waiters_cap) {
        forget_gone_waiters(j);
    }
    if (j->waiters_len * 2 >= j->waiters_cap) {
        j->waiters_cap = j->waiters_cap == 0 ? 4 : j->waiters_cap * 2;
        j->waiters = mem_grow(j->waiters, j->waiters_cap * sizeof *j->waiters);
    }
    j->waiters[j->waiters_len++] = x;
}

void job_enqueue(struct job *j)
{
    j->phase = JOB_PHASE_NONE;
    queue_push(&j->pool->queue, &j->entry, j->r.priority, j->r.seq);
}

static void delay_is_over(void *ctx)
{
    struct job *j = ctx;
    job_enqueue(j);
    pool_dispatch(j->pool);
}

/* ---- the end of an attempt, and of a job ------------------------------------------------------
 */

static void count_end(struct pool *p, enum job_state state)
{
    p->ends[state]++;
    const int64_t second = time_mono().us / 1000000;
    for (; p->minute_at < second; p->minute_at++) {
        p->minute[(p->minute_at + 1) % 60] = 0;
        if (second - p->minute_at > 60) {
            p->minute_at = second - 60;
        }
    }
    p->minute[second % 60]++;
}

/* The store has it: a terminal job leaves memory and its waiters are told; others wait again. */
static void concluded(void *ctx, enum err e)
{
    struct job *j = ctx;
    struct pool *p = j->pool;
    (void)e; /* such a write is kept until it succeeds */
    j->next.cancel_requested = j->r.cancel_requested;
    job_record_done(&j->r);
    j->r = j->next;
    j->next = (struct job_record){0};
    j->ending = false;
    if (!job_state_is_terminal(j->r.state)) {
        if (j->r.cancel_requested) { /* while the store wrote */
            job_cancel_queued(j);
        } else if (!mono_before(time_mono(), j->delay.at)) {
            job_enqueue(j);
            pool_dispatch(p);
        } else {
            deadline_set(&p->deadlines, &j->delay, j->delay.at, delay_is_over, j);
        }
        pool_one_less(p, &p->writes);
        return;
    }
    count_end(p, j->r.state);
    struct http_ref *waiters = j->waiters;
    const size_t n = j->waiters_len;
    j->waiters = NULL;
    (void)map_remove(&p->jobs, (struct str){j->r.id, UUID_TEXT});
    job_free(j);
    for (size_t i = 0; i < n && p->server != NULL; i++) {
        http_again(p->server, waiters[i]);
    }
    free(waiters);
    pool_one_less(p, &p->writes);
}

/* A copy of what a job is now, to be changed into what it becomes. */
static struct job_record copy_record(const struct job_record *r)
{
    struct job_record c = *r;
    c.backend = mem_strdup(r->backend);
    c.metadata = mem_strdup(r->metadata);
    c.node_errors = mem_strdup(r->node_errors);
    c.outputs = mem_strdup(r->outputs);
    job_error_copy(&c.error, &r->error);
    return c;
}

static struct wall_us when(const struct timeline *t, struct mono_us at)
{
    return anchor_wall(&t->anchor, at);
}

/* Times of the attempt's row and of the job's. */
static void note_times(struct attempt *a, struct job_record *next)
{
    const struct timeline_points at = timeline_points(&a->timeline);
    if (a->timeline.accepted.set) {
        a->r.submitted_at = when(&a->timeline, a->timeline.accepted.received);
    }
    a->r.completed_at = when(&a->timeline, at.ended);
    a->r.started_at = (struct wall_us){0};
    if (at.has_started) {
        a->r.started_at = when(&a->timeline, at.started);
    }
    next->started_at = a->r.started_at;
    next->completed_at = a->r.completed_at;
}

/* Queued again: the next attempt's profile counts from here. */
static void prepare_requeue(struct job *j, struct attempt *a)
{
    j->anchor = time_anchor_now();
    j->queued = j->anchor.mono;
    j->next.started_at = j->next.completed_at = (struct wall_us){0};
    job_error_done(&j->next.error);
    uint32_t random = (uint32_t)map_hash((struct str){j->r.prompt_id, UUID_TEXT});
    j->delay.at = a->cut_off
                      ? j->anchor.mono
                      : mono_add(j->anchor.mono, retry_delay(j->pool->options.retry_delay,
                                                             j->r.attempts - j->r.cut_off, random));
}

void job_conclude(struct job *j, enum job_event e, struct attempt *a, struct job_error *take_error,
                  char *take_outputs, struct str profile)
{
    struct pool *p = j->pool;
    j->next = copy_record(&j->r);
    j->ending = true;
    if (!job_transition(j->r.state, e, &j->next.state)) {
        (void)job_apply(j, e); /* logs and counts it */
        j->next.state = JOB_FAILED;
    }
    free(j->next.outputs);
    j->next.outputs = take_outputs;
    if (take_error != NULL) {
        job_error_done(&j->next.error);
        j->next.error = *take_error;
        *take_error = (struct job_error){0};
    }
    if (a != NULL) {
        if (a->node_errors != NULL) {
            free(j->next.node_errors);
            j->next.node_errors = a->node_errors;
            j->next.partial = true;
            a->node_errors = NULL;
        }
        note_times(a, &j->next);
        job_error_copy(&a->r.error, &j->next.error);
        a->r.outcome = a->outcome;
    } else {
        j->next.completed_at = anchor_wall(&j->anchor, time_mono());
    }
    if (e == JOB_EVENT_REQUEUE) {
        prepare_requeue(j, a);
    }
    p->writes++;
    store_end_attempt(p->store, &j->next, a == NULL ? NULL : &a->r, profile, concluded, j);
}

/* The profile of a job that has no attempt: everything is pending. */
static void render_waiting_profile(struct job *j, enum attempt_outcome outcome, struct buf *out)
{
    struct workflow *w = NULL;
    struct workflow_problem problem;
    if (!workflow_parse((struct str){j->workflow, j->workflow_len}, &w, &problem)) {
        buf_done(&problem.pointer);
        return;
    }
    struct profiler *profiler = profiler_new(w, 0);
    struct timeline t;
    timeline_init(&t, j->anchor, j->queued);
    timeline_end(&t, time_mono(), 0);
    struct profile profile;
    profiler_finish(profiler, &t, outcome, &profile);
    profile.job_id = j->r.id;
    profile.prompt_id = "";
    render_profile_json(&profile, out);
    profiler_free(profiler);
    workflow_free(w);
}

void job_cancel_queued(struct job *j)
{
    queue_remove(&j->pool->queue, &j->entry);
    deadline_clear(&j->pool->deadlines, &j->delay);
    AUTO_BUF struct buf profile;
    buf_init(&profile, BUF_NO_LIMIT);
    if (j->r.profiled && j->r.attempts == 0) {
        render_waiting_profile(j, ATTEMPT_CANCELLED, &profile);
    }
    job_conclude(j, JOB_EVENT_CANCEL, NULL, NULL, NULL, buf_str(&profile));
}

void job_live_profile(struct job *j, struct buf *out)
{
    struct attempt *a = j->attempt;
    if (a == NULL) {
        render_waiting_profile(j, ATTEMPT_OPEN, out);
        return;
    }
    if (a->profiler == NULL) {
        return;
    }
    struct timeline t = a->timeline;
    t.clock = backend_clock(a->backend);
    timeline_end(&t, time_mono(), 0);
    struct profile profile;
    profiler_finish(a->profiler, &t, ATTEMPT_OPEN, &profile);
    profile.job_id = j->r.id;
    profile.prompt_id = a->r.prompt_id;
    profile.backend = a->r.backend;
    profile.attempt = a->r.number;
    render_profile_json(&profile, out);
}
