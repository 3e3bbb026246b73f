/*
 * The life of a job in memory, from its submission until the store has its end. Only active jobs
 * are in memory; ended ones are on disk. Invariants: only job_apply changes a job's state; an end
 * is told only when it is durable.
 */
#include "jobs.h"

#include <stdlib.h>

#include "comfypool/base/log.h"
#include "comfypool/base/pending.h"
#include "comfypool/core/credentials.h"
#include "comfypool/core/retry.h"
#include "comfypool/core/submission.h"
#include "comfypool/files/output_copies.h"
#include "comfypool/files/output_stamps.h"
#include "comfypool/notify/otlp.h"
#include "comfypool/notify/webhooks.h"
#include "comfypool/pool/intake.h"
#include "comfypool/store/attempts.h"
#include "comfypool/store/jobs.h"
#include "comfypool/store/outputs.h"
#include "comfypool/store/store.h"

#include "attempt.h"
#include "backends.h"
#include "batches.h"
#include "clients.h"
#include "clock.h"
#include "dependencies.h"
#include "dispatch.h"
#include "eligible.h"
#include "event_publish.h"
#include "inputs.h"
#include "job_texts.h"
#include "known_jobs.h"
#include "output_inputs.h"
#include "review.h"
#include "shun.h"
#include "state.h"
#include "strays.h"

/* How long a job that failed on a backend waits for another one. */
enum { PREFER_MS = 30000 };
static void job_register(struct job *j)
{
    (void)map_put(&j->pool->jobs, (struct str){j->r.id, UUID_TEXT}, j);
}

/* Merges the job's policy with the configured defaults. */
static struct job_policy merge_policy(const struct job_policy *defaults,
                                      const struct job_policy *own)
{
    struct job_policy p = *own;
#define X(symbol, name, member, least, most, value)                                                \
    p.member = own->member == POLICY_UNSET ? defaults->member : own->member;
    JOB_POLICY_TABLE(X)
#undef X
    p.retry_on = own->retry_on == RETRY_ON_UNSET ? defaults->retry_on : own->retry_on;
    return p;
}

static void settle_in(struct job *j)
{
    job_count_texts(j);
    job_register(j);
    client_join(j);
    inputs_join(j);
}

struct job *job_loaded(struct pool *p, struct store_active *take, struct store_batch *batch)
{
    struct job *j = mem_zero(1, sizeof *j);
    j->pool = p;
    j->r = take->job;
    take->job = (struct job_record){0};
    job_take_stored_texts(j, take);
    j->spec = j->r.spec == NULL ? NULL : job_options_read(str_of(j->r.spec));
    if (j->r.batch_id[0] != '\0') {
        batch_join_again(j, batch);
    }
    settle_in(j);
    job_become_variant(j);
    return j;
}

struct job *job_resumed(struct pool *p, struct store_active *take)
{
    struct job *j = job_loaded(p, take, NULL);
    /* The monotonic clock may have restarted: convert by the wall clock. Not later than now, since
       the wall clock may have been set back. */
    const struct time_anchor now = time_anchor_now();
    j->times.anchor = now;
    j->times.queued = mono_min(now.mono, anchor_mono(&now, j->r.waiting_since));
    j->times.submitted = mono_min(now.mono, anchor_mono(&now, j->r.budget_since));
    j->times.changed_at = now.mono;
    j->end.cancel_durable = j->r.cancel_requested;
    j->insert.stored = true;
    if (j->r.state == JOB_QUEUED && j->r.attempts > 0) {
        j->past.elsewhere = j->r.backend != NULL;
        j->past.failed_on = mem_strdup(j->r.backend);
    }
    return j;
}

/* Makes the job that a submission describes, without its texts. */
static struct job *describe(struct pool *p, const struct submission *from, const char *trace)
{
    struct job *j = mem_zero(1, sizeof *j);
    j->pool = p;
    j->times.anchor = time_anchor_now();
    j->times.queued = j->times.submitted = j->times.changed_at = j->times.anchor.mono;
    j->r = (struct job_record){
        .seq = store_next_seq(p->store),
        .state = JOB_QUEUED,
        .priority = from->priority,
        .queued_at = j->times.anchor.wall,
        .waiting_since = j->times.anchor.wall,
        .budget_since = j->times.anchor.wall,
        .policy = merge_policy(&p->options.policy, &from->policy),
        .nodes_total = (unsigned)from->nodes_total,
        .profiled = from->profile == UNSET ? p->options.profiling : from->profile == ON,
        .executed = -1,
        .client = mem_strdup(from->client),
        .not_before = from->not_before,
        .attachments = inputs_write(from),
        .keep = from->keep == UNSET ? p->options.keep_outputs : from->keep == ON,
        .after = mem_strdup(from->after),
        .metadata = mem_strdup(from->metadata),
        .trace = trace[0] == '\0' ? NULL : mem_strdup(trace),
        .hook = {.url = mem_strdup(from->webhook.url),
                 .events = from->webhook.events,
                 .secret = mem_strdup(from->webhook.secret)},
    };
    uuid_v7(j->times.anchor.wall, j->r.id);
    memcpy(j->r.workflow_hash, from->hash, sizeof j->r.workflow_hash);
    memcpy(j->r.cost_key, from->cost_key, sizeof j->r.cost_key);
    if (!job_options_is_empty(&from->spec)) {
        AUTO_BUF struct buf spec;
        buf_init(&spec, BUF_NO_LIMIT);
        job_options_write(&from->spec, &spec);
        j->r.spec = buf_take(&spec);
        j->spec = job_options_read(str_of(j->r.spec));
    }
    return j;
}

struct job *job_new(struct pool *p, struct submission *take, const struct known_jobs *known,
                    const char *trace)
{
    struct job *j = describe(p, take, trace);
    job_take_texts(j, take);
    settle_in(j);
    dependencies_begin(j, known);
    return j;
}

struct job *job_new_of_batch(struct pool *p, const struct submission *from,
                             const struct known_jobs *known, const char *trace, struct batch *b,
                             struct str overrides)
{
    struct job *j = describe(p, from, trace);
    memcpy(j->r.batch_id, b->r.id, sizeof j->r.batch_id);
    j->r.overrides = mem_copy(overrides);
    j->r.credentials = credentials_in(str_of(b->credentials));
    batch_join(j, b);
    settle_in(j);
    if (b->jobs != j) { /* what the first job found, perhaps in an earlier turn */
        free(j->r.after);
        j->r.after = mem_strdup(b->jobs->r.after);
    }
    dependencies_begin(j, known);
    return j;
}

void job_free(struct job *j)
{
    struct pool *p = j->pool;
    if (map_get(&p->jobs, (struct str){j->r.id, UUID_TEXT}) == j) {
        (void)map_remove(&p->jobs, (struct str){j->r.id, UUID_TEXT});
    }
    queue_remove(&p->queue, &j->entry);
    review_leave(j);
    deadline_clear(&p->deadlines, &j->timers.delay);
    deadline_clear(&p->deadlines, &j->doom.due);
    free(j->doom.why);
    deadline_clear(&p->deadlines, &j->past.settles);
    shun_leave(j);
    deadline_clear(&p->deadlines, &j->timers.queue);
    deadline_clear(&p->deadlines, &j->timers.job);
    deadline_clear(&p->deadlines, &j->waits.wake);
    if (j->insert.intake != NULL) {
        j->insert.intake->job = NULL;
    }
    if (j->insert.key != NULL) {
        (void)map_remove(&p->keys, str_of(j->insert.key));
        free(j->insert.key);
    }
    if (j->attempt != NULL) {
        attempt_free(j->attempt);
    }
    strays_leave(j);
    inputs_leave(j);
    eligible_leave(j);
    dependencies_forget(j);
    dependencies_untie(j);
    batch_leave(j);
    client_leave(j);
    job_options_free(j->spec);
    streamed_done(&j->end.streamed);
    free(j->end.kept_files);
    job_record_done(&j->r);
    job_record_done(&j->end.next);
    job_error_done(&j->past.refusal);
    outbox_done(&j->end.outbox);
    if (j->texts.reading.find != NULL) { /* dispatch may wait for them */
        dispatch_again(p, time_mono());
    }
    job_drop_texts(j);
    free(j->texts.credentials);
    free(j->waits.for_end.list);
    free(j->waits.for_texts.list);
    free(j->waits.for_change.list);
    free(j->end.retry);
    free(j->past.failed_on);
    free(j);
}

/* Wakes all tickets and empties the list. */
static void wake(struct pool *p, struct waiters *w)
{
    struct waiters all = *w;
    *w = (struct waiters){.list = NULL};
    for (size_t i = 0; i < all.len; i++) {
        pool_wake(p, all.list[i]);
    }
    free(all.list);
}

void job_forget(struct job *j)
{
    struct pool *p = j->pool;
    struct waiters waiters = j->waits.for_end;
    struct waiters watchers = j->waits.for_change;
    struct waiters readers = j->waits.for_texts;
    j->waits.for_end = j->waits.for_change = j->waits.for_texts = (struct waiters){.list = NULL};
    job_free(j);
    wake(p, &readers);
    wake(p, &waiters);
    wake(p, &watchers);
}

/* Drops tickets that no longer wait; amortised O(1) per ticket. */
static void forget_gone(struct pool *p, struct waiters *w)
{
    size_t kept = 0;
    for (size_t i = 0; i < w->len; i++) {
        if (pool_is_waiting(p, w->list[i])) {
            w->list[kept++] = w->list[i];
        }
    }
    w->len = kept;
}

static void add_waiter(struct pool *p, struct waiters *w, uint64_t ticket)
{
    if (w->len == w->cap) {
        forget_gone(p, w);
    }
    if (w->len * 2 >= w->cap) {
        w->cap = w->cap == 0 ? 4 : w->cap * 2;
        w->list = mem_grow(w->list, w->cap * sizeof *w->list);
    }
    w->list[w->len++] = ticket;
}

bool job_must_wait_for_texts(struct job *j, uint64_t ticket, bool *ret_lost)
{
    const enum texts t = j->attempt != NULL ? TEXTS_HERE : job_want_texts(j);
    *ret_lost = t == TEXTS_LOST;
    if (t == TEXTS_COMING) {
        add_waiter(j->pool, &j->waits.for_texts, ticket);
    }
    return t == TEXTS_COMING;
}

void job_add_waiter(struct job *j, uint64_t ticket)
{
    add_waiter(j->pool, &j->waits.for_end, ticket);
}

void job_add_watcher(struct job *j, uint64_t ticket)
{
    add_waiter(j->pool, &j->waits.for_change, ticket);
}

/* Wakes watchers once for many changes, in a turn of its own. */
static void wake_watchers(void *ctx)
{
    struct job *j = ctx;
    wake(j->pool, &j->waits.for_change);
}

void job_has_changed(struct job *j)
{
    j->times.changed_at = time_mono();
    if (j->waits.for_change.len > 0) {
        deadline_set(&j->pool->deadlines, &j->waits.wake, j->times.changed_at, wake_watchers, j);
    }
}

/* ---- timers ---------------------------------------------------------------------------------- */

static void queue_time_is_over(void *ctx)
{
    job_end_queued(ctx, ERR_QUEUE_TIMEOUT, "it waited in the queue longer than queueTimeoutMs");
}

static void job_time_is_over(void *ctx)
{
    struct job *j = ctx;
    j->end.timed_out = true; /* seen when the write under way is done */
    if (job_waits(j)) {
        job_end_queued(j, ERR_JOB_TIMEOUT, "it took longer than jobTimeoutMs");
    } else if (j->attempt != NULL && !attempt_is_over(&j->attempt->state)) {
        attempt_stop(j->attempt, STOP_TIMEOUT, ERR_JOB_TIMEOUT);
    }
}

void job_set_timers(struct job *j)
{
    struct deadlines *d = &j->pool->deadlines;
    const struct job_policy *policy = &j->r.policy;
    if (policy->job_timeout_ms > 0 && !j->end.timed_out) {
        deadline_set(d, &j->timers.job,
                     mono_add(j->times.submitted, dur_ms(policy->job_timeout_ms)), job_time_is_over,
                     j);
    }
    if (policy->queue_timeout_ms > 0 && j->r.state == JOB_QUEUED) {
        deadline_set(d, &j->timers.queue,
                     mono_add(j->times.queued, dur_ms(policy->queue_timeout_ms)),
                     queue_time_is_over, j);
    }
}

/* ---- waiting --------------------------------------------------------------------------------- */

void job_enqueue(struct job *j)
{
    AUTO_BUF struct buf lane;
    buf_init(&lane, 4096);
    dispatch_lane_key(j, &lane); /* reads the texts, so before they are spared */
    job_spare_texts(j);
    queue_push(&j->pool->queue, &j->entry, buf_str(&lane), str_of(j->of_client.client->name),
               j->r.priority, j->r.seq);
    job_set_timers(j);
}

/* Queues the job; its waiting time counts from now. */
static void begin_to_wait(struct job *j)
{
    j->times.anchor = time_anchor_now();
    j->times.queued = j->times.submitted = j->times.anchor.mono;
    j->r.waiting_since = j->r.budget_since = j->times.anchor.wall;
    job_enqueue(j);
}

static void its_time_has_come(void *ctx)
{
    struct job *j = ctx;
    begin_to_wait(j);
    j->pool->ops->give_jobs(j->pool);
}

void job_admit(struct job *j)
{
    struct pool *p = j->pool;
    AUTO_FREE char *why = NULL;
    const struct time_anchor now = time_anchor_now();
    const enum tied tied = j->r.after == NULL ? TIED_TO_NOBODY : dependencies_tie(j, &why);
    if (tied == TIED_ASKING) {
        return;
    }
    if (tied == TIED) {
        dependencies_block(j);
    } else if (tied == TIED_FAILED) {
        job_end_queued(j, ERR_DEPENDENCY_FAILED, why);
    } else if (output_inputs_wait(j)) {
        dependencies_block(j);
    } else if (j->r.not_before.us > now.wall.us) {
        job_spare_texts(j);
        deadline_set(&p->deadlines, &j->timers.delay, anchor_mono(&now, j->r.not_before),
                     its_time_has_come, j);
    } else if (j->r.not_before.us > j->r.waiting_since.us || j->chain.was_blocked) {
        begin_to_wait(j);
    } else {
        job_enqueue(j);
    }
}

bool job_may_wait(struct job *j)
{
    AUTO_BUF struct buf why;
    buf_init(&why, 65536);
    buf_add_text(&why, "no backend can run this workflow");
    if (j->r.cancel_requested) { /* cancelled while the store wrote */
        job_end_queued(j, ERR_NONE, NULL);
    } else if (j->end.timed_out) {
        job_end_queued(j, ERR_JOB_TIMEOUT, "it took longer than jobTimeoutMs");
    } else if (!dispatch_is_supported(j, &why)) {
        job_end_queued(j, ERR_WORKFLOW_NOT_SUPPORTED, buf_text(&why));
    } else {
        return true;
    }
    return false;
}

static void settles_for_less(void *ctx)
{
    struct pool *p = ((struct job *)ctx)->pool;
    p->ops->give_jobs(p);
}

/* Lets the job wait for a better backend than the one that it failed on, for a limited time: the
   better one may be busy for hours. */
static void prefer_for_a_while(struct job *j)
{
    if (j->past.elsewhere || j->past.wants_memory) {
        j->past.prefers_until = mono_add(time_mono(), dur_ms(PREFER_MS));
        deadline_set(&j->pool->deadlines, &j->past.settles, j->past.prefers_until, settles_for_less,
                     j);
    }
}

static void delay_is_over(void *ctx);

void job_wait_for_store(struct job *j)
{
    queue_remove(&j->pool->queue, &j->entry);
    deadline_set(&j->pool->deadlines, &j->timers.delay,
                 mono_add(time_mono(), dur_ms(STORE_PAUSE_MS)), delay_is_over, j);
}

static void delay_is_over(void *ctx)
{
    struct job *j = ctx;
    prefer_for_a_while(j);
    job_enqueue(j);
    j->pool->ops->give_jobs(j->pool);
}

/* ---- the end of an attempt, and of a job ----------------------------------------------------- */

static void count_end(struct pool *p, enum job_state state)
{
    p->counts.ends[state]++;
    const int64_t second = time_mono().us / 1000000;
    for (; p->counts.minute_at < second; p->counts.minute_at++) {
        p->counts.minute[(p->counts.minute_at + 1) % 60] = 0;
        if (second - p->counts.minute_at > 60) {
            p->counts.minute_at = second - 60;
        }
    }
    p->counts.minute[second % 60]++;
}

void job_wait_again(struct job *j)
{
    struct pool *p = j->pool;
    if (!job_may_wait(j)) {
        p->ops->review_jobs(p); /* others may wait for the same reason */
        return;
    }
    if (!mono_before(time_mono(), j->timers.delay.at)) {
        prefer_for_a_while(j);
        job_enqueue(j);
        p->ops->give_jobs(p);
    } else {
        deadline_set(&p->deadlines, &j->timers.delay, j->timers.delay.at, delay_is_over, j);
        job_set_timers(j);
    }
}

/* Called when the end is durable: a terminal job leaves memory and its waiters are woken; others
   wait again. */
static void concluded(void *ctx)
{
    struct job *j = ctx;
    struct pool *p = j->pool;
    j->end.next.cancel_requested = j->r.cancel_requested;
    job_record_done(&j->r);
    j->r = j->end.next;
    j->end.next = (struct job_record){0};
    j->end.ending = false;
    webhooks_take(p->webhooks, &j->end.outbox);
    if (!job_state_is_terminal(j->r.state)) {
        job_has_changed(j);
        publish_retrying(j);
        job_wait_again(j);
        pending_remove(&p->pending);
        return;
    }
    count_end(p, j->r.state);
    publish_end(j);
    copies_begin(p->copies, &j->r, j->end.kept_files);
    streamed_done(&j->end.streamed);
    stamps_begin(p->stamps, &j->r);
    if (j->r.profiled) {
        otlp_add(p->otlp, j->r.id);
    }
    known_jobs_ended(j);
    dependencies_ended(j);
    job_forget(j);
    pending_remove(&p->pending);
}

void job_wait_first(struct job *j)
{
    if (job_may_wait(j)) {
        job_admit(j);
        j->pool->ops->give_jobs(j->pool);
    }
}

/* Copies the record, to be changed into the next one. */
static struct job_record copy_record(const struct job_record *r)
{
    struct job_record c = *r;
    c.backend = mem_strdup(r->backend);
    c.faulted_on = mem_strdup(r->faulted_on);
    c.metadata = mem_strdup(r->metadata);
    c.node_errors = mem_strdup(r->node_errors);
    c.outputs = mem_strdup(r->outputs);
    c.trace = mem_strdup(r->trace);
    c.client = mem_strdup(r->client);
    c.after = mem_strdup(r->after);
    c.spec = mem_strdup(r->spec);
    c.overrides = mem_strdup(r->overrides);
    c.attachments = mem_strdup(r->attachments);
    c.auto_seeds = mem_strdup(r->auto_seeds);
    c.placement = mem_strdup(r->placement);
    c.hook.url = mem_strdup(r->hook.url);
    c.hook.secret = mem_strdup(r->hook.secret);
    job_error_copy(&c.error, &r->error);
    return c;
}

static struct wall_us when(const struct timeline *t, struct mono_us at)
{
    return anchor_wall(&t->anchor, at);
}

/* Sets the times of the attempt's row and of the job's. */
static void note_times(struct attempt *a, struct job_record *next)
{
    const struct timeline_points at = timeline_points(&a->timeline);
    if (a->timeline.accepted.set) {
        a->r.submitted_at = when(&a->timeline, at.accepted);
    }
    a->r.completed_at = when(&a->timeline, at.ended);
    a->r.started_at = (struct wall_us){0};
    if (at.has_started) {
        a->r.started_at = when(&a->timeline, at.started);
    }
    next->started_at = a->r.started_at;
    next->completed_at = a->r.completed_at;
}

/* Prepares the next record of a job that is queued again; the next attempt's profile counts from
   here. */
static void prepare_requeue(struct job *j, struct attempt *a)
{
    j->times.anchor = time_anchor_now();
    j->times.queued = j->times.anchor.mono;
    j->end.next.waiting_since = j->times.anchor.wall;
    j->end.next.started_at = j->end.next.completed_at = (struct wall_us){0};
    job_error_done(&j->end.next.error);
    const enum err code = a->end.error.code;
    const bool at_once = attempt_verdict_is_at_once(a->state.verdict);
    const bool spared = a->state.verdict == VERDICT_SPARED;
    if (a->end.outcome == ATTEMPT_REJECTED && code != ERR_BACKEND_REFUSED) {
        job_error_done(&j->past.refusal);
        job_error_copy(&j->past.refusal, &a->end.error);
    }
    if (!at_once || spared) { /* else the earlier failure still counts */
        free(j->past.failed_on);
        j->past.failed_on = a->backend == NULL ? NULL : mem_strdup(a->backend->name);
        j->past.elsewhere = true;
        j->past.never_back = spared || code == ERR_SERVER_FAULT;
        j->past.wants_memory = code == ERR_OUT_OF_MEMORY;
        j->past.vram = j->past.wants_memory && a->backend != NULL ? a->backend->said.vram : 0;
    }
    j->past.spared = j->past.spared || spared;
    const bool refused = code == ERR_BACKEND_REFUSED;
    if (a->backend != NULL && (spared || (refused && a->backend->trust.barred.all))) {
        shun_begin(j, a->backend);
    }
    const unsigned failures = j->r.attempts - j->r.free_attempts + j->r.faults;
    const uint32_t random = (uint32_t)map_hash((struct str){j->r.prompt_id, UUID_TEXT});
    const struct dur_us first = dur_ms(j->r.policy.retry_delay_ms);
    j->past.prefers_until = (struct mono_us){INT64_MAX};
    j->timers.delay.at = at_once
                             ? j->times.anchor.mono
                             : mono_add(j->times.anchor.mono, retry_delay(first, failures, random));
}

/* Sets the job's error from the attempt's. */
static void set_error(struct job *j, enum job_event e, const struct attempt *a)
{
    const bool asked_for = e == JOB_EVENT_CANCEL && j->r.cancel_requested;
    job_error_done(&j->end.next.error);
    if (a->end.job_error.code != ERR_NONE) {
        job_error_copy(&j->end.next.error, &a->end.job_error);
    } else if (e != JOB_EVENT_COMPLETE && !asked_for) {
        job_error_copy(&j->end.next.error, &a->end.error);
    }
}

/* Sets j->end.next to the record after event e. */
static void prepare_next(struct job *j, enum job_event e)
{
    j->end.next = copy_record(&j->r);
    j->end.ending = true;
    if (!job_transition(j->r.state, e, &j->end.next.state)) {
        (void)job_apply(j, e); /* logs and counts the bad transition */
        j->end.next.state = JOB_FAILED;
    }
    if (j->end.next.credentials != 0 && job_state_is_terminal(j->end.next.state)) {
        j->end.next.credentials |= CREDENTIALS_GONE; /* the store removes them with this write */
    }
}

/* Collects what is written together with the end or the requeue. */
static struct store_beside prepare_beside(struct job *j, struct str measurement)
{
    const enum event_type type =
        job_state_is_terminal(j->end.next.state) ? event_of_end(j->end.next.state) : EVENT_RETRYING;
    webhooks_of_job(j->pool->webhooks, &j->end.next, type,
                    type == EVENT_RETRYING ? j->end.retry : NULL, &j->end.outbox);
    struct store_beside beside = outbox_beside(&j->end.outbox);
    beside.measurement = measurement;
    return beside;
}

/* Notes the outcome in the attempt's row. An attempt that was given up keeps its first outcome. */
static void note_outcome(struct attempt *a)
{
    const enum attempt_outcome outcome = a->end.outcome;
    if (a->state.origin == ORIGIN_FOUND) {
        a->r.late = outcome == ATTEMPT_LOST        ? ATTEMPT_OPEN /* unknown */
                    : outcome == ATTEMPT_TIMED_OUT ? ATTEMPT_CANCELLED
                                                   : outcome;
        return;
    }
    job_error_copy(&a->r.error, &a->end.error);
    a->r.outcome = outcome;
}

/* Deletes the stray's row of an attempt whose prompt is surely gone. */
static void forget_stray(const struct attempt *a)
{
    if (a->state.origin == ORIGIN_FOUND && a->r.late == ATTEMPT_OPEN) {
        struct stray_record r = stray_record_of(a);
        store_end_stray(a->job->pool->store, &r, ATTEMPT_OPEN);
        stray_record_done(&r);
    }
}

bool job_conclude(struct job *j, enum job_event e, struct attempt *a, char *take_outputs,
                  struct str profile, struct str measurement)
{
    struct pool *p = j->pool;
    prepare_next(j, e);
    free(j->end.next.outputs);
    j->end.next.outputs = take_outputs;
    j->end.next.executed = a->end.executed;
    set_error(j, e, a);
    if (a->post.node_errors != NULL) {
        free(j->end.next.node_errors);
        j->end.next.node_errors = mem_strdup(a->post.node_errors);
        j->end.next.partial = true;
    }
    j->end.next.result_of = a->r.number < j->r.attempts ? a->r.number : 0;
    note_times(a, &j->end.next);
    note_outcome(a);
    if (e == JOB_EVENT_REQUEUE) {
        prepare_requeue(j, a);
        free(j->end.retry);
        j->end.retry = publish_render_retry(j, a);
    }
    struct store_beside beside = prepare_beside(j, measurement);
    j->end.next.outputs_truncated = a->outputs.truncated;
    struct kept_record kept =
        copies_row(p->copies, &j->end.next, a->streamed.len > 0, streamed_has, &a->streamed);
    beside.kept = &kept;
    if (kept.files != NULL) {
        free(j->end.kept_files);
        j->end.kept_files = mem_strdup(kept.files);
        streamed_move(&j->end.streamed, &a->streamed); /* kept until the row is durable */
    }
    beside.withdraw = j->end.withdraw;
    j->end.withdraw = 0;
    pending_add(&p->pending);
    struct stray *left = NULL;
    if (attempt_is_nowhere(&a->state) || a->end.outcome == ATTEMPT_COMPLETED) {
        store_end_attempt(p->store, &j->end.next, &a->r, profile, NULL, &beside, concluded, j);
        forget_stray(a);
    } else {
        struct stray_record stray = stray_record_of(a);
        store_end_attempt(p->store, &j->end.next, &a->r, profile, &stray, &beside, concluded, j);
        left = stray_begin(a->backend, &stray, a->state.evidence,
                           job_state_is_terminal(j->end.next.state) ? NULL : j);
    }
    kept_record_done(&kept);
    if (left == NULL || e != JOB_EVENT_REQUEUE) {
        return false;
    }
    attempt_give_up(a); /* the prompt may be found again while the job waits */
    stray_keep(left, a);
    return true;
}

/* Renders the profile of a job without attempts, whose texts are in memory: all nodes are pending.
 */
static void render_waiting_profile(struct job *j, enum attempt_outcome outcome, struct mono_us at,
                                   struct buf *out)
{
    struct workflow *w = workflow_reparse((struct str){j->texts.workflow, j->texts.workflow_len});
    if (w == NULL) {
        return;
    }
    struct profiler *profiler = profiler_new(w, 0);
    struct timeline t;
    timeline_init(&t, j->times.anchor, j->times.queued);
    timeline_end(&t, at, 0);
    struct profile profile;
    profiler_finish(profiler, &t, outcome, &profile);
    profile.job_id = j->r.id;
    profile.prompt_id = "";
    render_profile_json(&profile, out);
    profiler_free(profiler);
    workflow_free(w);
    job_spare_texts(j);
}

/* True if the job's end gets a profile with all nodes pending. */
static bool has_waiting_profile(const struct job *j)
{
    return j->r.profiled && j->r.attempts == 0;
}

static void store_end_of_queued(struct job *j)
{
    struct pool *p = j->pool;
    const struct job_record *next = &j->end.next;
    AUTO_BUF struct buf profile;
    buf_init(&profile, BUF_NO_LIMIT);
    j->end.awaits_texts = false;
    if (has_waiting_profile(j) && j->texts.workflow != NULL) {
        render_waiting_profile(j,
                               next->state == JOB_CANCELLED ? ATTEMPT_CANCELLED : ATTEMPT_TIMED_OUT,
                               anchor_mono(&j->times.anchor, next->completed_at), &profile);
    }
    const struct store_beside beside = prepare_beside(j, STR(""));
    pending_add(&p->pending);
    store_end_attempt(p->store, next, NULL, buf_str(&profile), NULL, &beside, concluded, j);
}

void job_end_queued(struct job *j, enum err code, const char *message)
{
    struct pool *p = j->pool;
    const bool cancelled = code == ERR_NONE;
    j->chain.blocked = false;
    dependencies_forget(j);
    output_inputs_leave(j);
    queue_remove(&p->queue, &j->entry);
    deadline_clear(&p->deadlines, &j->timers.delay);
    deadline_clear(&p->deadlines, &j->doom.due);
    deadline_clear(&p->deadlines, &j->timers.queue);
    deadline_clear(&p->deadlines, &j->timers.job);
    prepare_next(j, cancelled ? JOB_EVENT_CANCEL : JOB_EVENT_FAIL);
    job_error_done(&j->end.next.error);
    if (code == ERR_WORKFLOW_NOT_SUPPORTED) { /* the last backend's reason */
        job_error_copy(&j->end.next.error, &j->past.refusal);
    }
    if (!cancelled) {
        free(j->end.next.error.message);
        j->end.next.error.code = code;
        j->end.next.error.message = mem_strdup(message);
    }
    j->end.next.completed_at = anchor_wall(&j->times.anchor, time_mono());
    j->end.awaits_texts = has_waiting_profile(j) && job_want_texts(j) == TEXTS_COMING;
    if (!j->end.awaits_texts) {
        store_end_of_queued(j);
    }
}

/* Judges a waiting job whose needs are known only now. False: no backend can run it, so it ends. */
static bool judge_anew(struct job *j)
{
    eligible_texts_came(j);
    if (dispatch_is_known(j) && !job_may_wait(j)) {
        return false;
    }
    if (j->entry.flow != NULL) {
        (void)dispatch_change_lane(j);
    }
    return true;
}

void job_texts_came(struct job *j)
{
    struct pool *p = j->pool;
    char id[UUID_SIZE];
    memcpy(id, j->r.id, sizeof id);
    wake(p, &j->waits.for_texts);
    if (j->end.awaits_texts) {
        store_end_of_queued(j);
    } else if (job_waits(j) && (j->texts.are_lost || judge_anew(j))) {
        strays_hurry(j);
    }
    p->ops->give_jobs(p);
    if (job_find(p, (struct str){id, UUID_TEXT}) == j && job_waits(j) && !strays_doubt(j)) {
        job_spare_texts(j); /* another job went first */
    }
}

static void doom_has_come(void *ctx)
{
    struct job *j = ctx;
    job_end_queued(j, j->doom.code, j->doom.why);
}

void job_end_queued_soon(struct job *j, enum err code, const char *message)
{
    if (j->doom.code != ERR_NONE) {
        return;
    }
    j->doom.code = code;
    j->doom.why = mem_strdup(message);
    deadline_set(&j->pool->deadlines, &j->doom.due, time_mono(), doom_has_come, j);
}

struct job *job_revive(struct pool *p, struct store_active *take, struct store_batch *batch)
{
    struct job *j = job_loaded(p, take, batch);
    j->times.anchor = time_anchor_now();
    j->times.queued = j->times.submitted = j->times.changed_at = j->times.anchor.mono;
    (void)job_apply(j, JOB_EVENT_RETRY);
    struct job_record *r = &j->r;
    r->waiting_since = r->budget_since = j->times.anchor.wall;
    strays_rejoin(j);
    r->started_at = r->completed_at = (struct wall_us){0};
    r->free_attempts = r->attempts;
    r->lost_by_restart = r->oom = r->left_dead = r->faults = r->result_of = 0;
    free(r->faulted_on);
    r->faulted_on = NULL;
    r->executed = -1;
    r->cancel_requested = r->partial = r->outputs_truncated = false;
    copies_forget(p->copies, r->id);
    job_error_done(&r->error);
    free(r->outputs);
    free(r->node_errors);
    r->outputs = r->node_errors = NULL;
    return j;
}

/* Makes the profile of a running attempt so far. */
static void finish_so_far(struct attempt *a, struct profiler *profiler, struct profile *ret)
{
    struct timeline t = clock_timeline(a);
    timeline_end(&t, time_mono(), 0);
    profiler_finish(profiler, &t, ATTEMPT_OPEN, ret);
    ret->job_id = a->job->r.id;
    ret->prompt_id = a->r.prompt_id;
    ret->backend = a->r.backend;
    ret->attempt = a->r.number;
}

void job_live_profile(struct job *j, struct buf *out)
{
    struct attempt *a = j->attempt;
    struct profile profile;
    if (a == NULL) {
        render_waiting_profile(j, ATTEMPT_OPEN, time_mono(), out);
    } else if (a->profiler != NULL) {
        finish_so_far(a, a->profiler, &profile);
        render_profile_json(&profile, out);
    } else {
        struct profiler *nothing = profiler_new(a->workflow, 0);
        finish_so_far(a, nothing, &profile);
        progress_mark(&a->progress, &profile);
        render_profile_json(&profile, out);
        profiler_free(nothing);
    }
}

/* ---- cancel ---------------------------------------------------------------------------------- */

void job_cancel(struct job *j)
{
    j->r.cancel_requested = true;
    if (j->end.ending) {
        return; /* seen when the attempt's end is durable */
    }
    if (job_waits(j)) {
        job_end_queued(j, ERR_NONE, NULL);
    } else if (j->attempt != NULL) {
        attempt_stop(j->attempt, STOP_CANCEL, ERR_NONE);
    }
}
