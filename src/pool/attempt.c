/*
 * One try to run a job: the intent is stored, then the prompt is POSTed (once), then the backend is
 * listened to until it says how it ended. The slot is free at that moment; the end is told when the
 * store has it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/json_read.h"
#include "comfypool/base/json_write.h"
#include "comfypool/base/log.h"
#include "comfypool/core/fault.h"
#include "comfypool/core/retry.h"
#include "comfypool/loop/loop.h"
#include "attempt.h"
#include "backends.h"
#include "clients.h"
#include "clock.h"
#include "dispatch.h"
#include "comfypool/notify/events.h"
#include "inputs.h"
#include "job_texts.h"
#include "jobs.h"
#include "learn.h"
#include "prompt.h"
#include "reconcile.h"
#include "refusals.h"
#include "sampling.h"
#include "state.h"
#include "stop.h"
#include "strays.h"
#include "streamed.h"
#include "tell.h"
#include "trust.h"
#include "unlisted.h"

enum {
    /* How long the end of a job waits for the answer to its own POST. */
    ANSWER_PATIENCE_MS = 1000,
    /* History may lag behind execution_success: by some milliseconds, or by what a node left in the
       server's executor. */
    HISTORY_TRIES = 20,
    HISTORY_PAUSE_MS = 150,
    HISTORY_AWAY_MS = 500,
    HISTORY_MOST_MS = 10000,
    /* Where only its time is wanted, which is asked for once. */
    CLOCK_MOST_MS = 300,
};

struct job_error attempt_error(enum err code, const char *message)
{
    return (struct job_error){.code = code, .message = mem_strdup(message)};
}

/* ---- beginning ------------------------------------------------------------------------------- */

static void link_attempt(struct attempt *a)
{
    struct backend *b = a->backend;
    a->next = b->attempts;
    a->link = &b->attempts;
    if (a->next != NULL) {
        a->next->link = &a->next;
    }
    if (b->attempts == NULL) {
        b->busy_since = time_mono();
    }
    if (b->attempts == NULL || !a->adopted) { /* a new one is POSTed with the connection's own id */
        comfy_pin(b->comfy, a->r.client_id);
    }
    b->attempts = a;
    if (a->profiler != NULL) {
        loop_beat_begin();
    }
    scheduler_take(&b->pool->scheduler, &b->slot);
}

static void unlink_attempt(struct attempt *a)
{
    if (a->link == NULL) {
        return;
    }
    struct backend *b = a->backend;
    *a->link = a->next;
    if (a->next != NULL) {
        a->next->link = a->link;
    }
    a->link = NULL;
    if (a->profiler != NULL) {
        loop_beat_end();
    }
    b->settling += a->posted ? 1 : 0;
    if (b->attempts == NULL) {
        b->busy_us += mono_diff(time_mono(), b->busy_since).us;
        comfy_unpin(b->comfy);
    }
    scheduler_release(&b->pool->scheduler, &b->slot);
    if (b->attempts == NULL && b->knows.due) {
        backend_settle(b);
    }
}

/* It was checked at its submission; NULL: on disk it was damaged since. */
static struct workflow *read_workflow(const struct job *j)
{
    struct workflow *w = workflow_reparse((struct str){j->workflow, j->workflow_len});
    if (w == NULL) {
        LOG(LOG_ERROR, "the stored workflow of a job is damaged", LOG_S("job", j->r.id));
    }
    return w;
}

static bool is_readable(const struct job *j)
{
    struct workflow *w = read_workflow(j);
    workflow_free(w);
    return w != NULL;
}

/* NULL: its workflow cannot be read. */
static struct attempt *attempt_new(struct job *j, struct backend *b)
{
    struct workflow *w = read_workflow(j);
    if (w == NULL) {
        return NULL;
    }
    struct attempt *a = mem_zero(1, sizeof *a);
    a->job = j;
    a->backend = b;
    a->workflow = w;
    progress_init(&a->progress, a->workflow);
    if (j->r.profiled) {
        a->profiler = profiler_new(a->workflow, j->pool->options.max_progress_events);
    }
    timeline_init(&a->timeline, j->anchor, j->queued);
    buf_init(&a->preview.image, BUF_NO_LIMIT);
    streamed_init(&a->streamed, j->pool);
    a->trusted = true;
    a->last_sign = time_mono();
    j->attempt = a;
    j->pool->attempts++;
    client_runs(a);
    b->refs++;
    deadline_clear(&j->pool->deadlines, &j->queue_timer);
    return a;
}

/* What the job tells of its last attempt. */
static void tell_job(struct attempt *a)
{
    struct job *j = a->job;
    free(j->r.backend);
    j->r.backend = mem_strdup(a->r.backend);
    memcpy(j->r.prompt_id, a->r.prompt_id, sizeof j->r.prompt_id);
    j->phase = JOB_PHASE_ASSIGNED;
}

static void intent_stored(void *ctx, enum err e);

void attempt_begin(struct job *j, struct backend *b)
{
    struct attempt *a = attempt_new(j, b);
    if (a == NULL) {
        job_end_queued(j, ERR_WORKFLOW_INVALID, "its stored workflow is damaged");
        return;
    }
    if (!job_apply(j, JOB_EVENT_ASSIGN)) {
        attempt_free(a);
        return;
    }
    a->r = (struct attempt_record){
        .number = ++j->r.attempts,
        .backend = mem_strdup(b->name),
        .backend_url = mem_strdup(b->url),
        .intent_at = anchor_wall(&j->anchor, time_mono()),
    };
    a->probes = b->trust.probation == PROBATION_QUARANTINE;
    uuid_v4(a->r.prompt_id);
    memcpy(a->r.client_id, comfy_client_id(b->comfy), UUID_SIZE);
    prompt_prepare(a);
    tell_job(a);
    link_attempt(a);
    job_has_changed(j);
    j->pool->writes++;
    store_begin_attempt(j->pool->store, &j->r, &a->r, NULL, intent_stored, j);
}

bool attempt_adopt(struct job *j, struct backend *b, struct attempt_record *take)
{
    struct attempt *a = attempt_new(j, b);
    if (a == NULL) {
        return false;
    }
    a->r = *take;
    *take = (struct attempt_record){0};
    free(a->r.backend); /* it may have another name by now */
    a->r.backend = mem_strdup(b->name);
    a->adopted = a->intent_stored = a->posted = true;
    const struct mono_us intent = mono_min(j->anchor.mono, anchor_mono(&j->anchor, a->r.intent_at));
    a->timeline.intent = (struct time_mark){.set = true, .received = intent};
    a->posted_at = a->timeline.intent.received;
    tell_job(a);
    j->phase = JOB_PHASE_SUBMITTED;
    link_attempt(a);
    attempt_distrust(a, a->timeline.intent.received, "daemon_restart");
    attempt_ask_in(a, 1000); /* also when the backend never comes back */
    attempt_watch_start(a, a->timeline.intent.received);
    if (j->r.cancel_requested) {
        a->stop = STOP_CANCEL; /* when it is known where it is */
    } else if (a->r.error.code != ERR_NONE) {
        a->stop = STOP_TIMEOUT;
        a->stop_code = a->r.error.code;
        a->stop_durable = true;
    }
    return true;
}

/* ---- POST /prompt ---------------------------------------------------------------------------- */

/* Nothing was sent: the attempt never was. */
static void withdraw(struct attempt *a);

static void withdrawn(void *ctx, enum err e)
{
    struct job *j = ctx;
    (void)e; /* such a write is kept until it succeeds */
    struct pool *p = j->pool;
    job_wait_again(j);
    pool_one_less(p, &p->writes);
}

static void withdraw(struct attempt *a)
{
    struct job *j = a->job;
    struct pool *p = j->pool;
    const unsigned number = a->r.number;
    j->r.attempts--;
    (void)job_apply(j, JOB_EVENT_REQUEUE);
    free(j->r.backend);
    j->r.backend = NULL;
    j->r.prompt_id[0] = '\0';
    j->phase = JOB_PHASE_NONE;
    attempt_free(a);
    p->writes++;
    store_withdraw_attempt(p->store, &j->r, number, withdrawn, j);
    pool_dispatch(p); /* its slot is free */
}

static void rejected(struct attempt *a, struct comfy_submit_answer *answer)
{
    struct prompt_answer *said = &answer->answer;
    struct job_error e = attempt_error(ERR_WORKFLOW_INVALID,
                                       said->message.len > 0 ? buf_text(&said->message)
                                                             : "the backend refused the workflow");
    if (said->node_errors.len > 0) {
        e.node_errors = buf_take(&said->node_errors);
    }
    if (said->node_id.len > 0) {
        e.node_id = buf_take(&said->node_id);
    }
    if (said->node_type.len > 0) {
        e.node_type = buf_take(&said->node_type);
    }
    const struct mono_us now = time_mono();
    a->gone = true;
    a->elsewhere = verdict_may_run_elsewhere(a->workflow, said->error_type, buf_str(&said->message),
                                             said->errors, said->errors_len);
    if (a->elsewhere && !inputs_are_lost(a, said->errors, said->errors_len)) {
        refusals_add(a, now, e.message);
    }
    attempt_end(a, now, 0, ATTEMPT_REJECTED, &e);
}

static void accepted(struct attempt *a, struct comfy_submit_answer *answer)
{
    const struct mono_us now = time_mono();
    a->known = true;
    trust_accepted(a->backend);
    a->timeline.accepted = (struct time_mark){.set = true, .received = now};
    if (answer->answer.node_errors.len > 0) {
        a->node_errors = buf_take(&answer->answer.node_errors);
    } else {
        unlisted_learn(a);
    }
    if (a->ended) {
        attempt_conclude(a);
        return;
    }
    tell_accepted(a);
    if (a->job->phase == JOB_PHASE_ASSIGNED) {
        a->job->phase = JOB_PHASE_SUBMITTED;
    }
    a->last_sign = now;
    attempt_watch_start(a, now);
    backend_expect_status(a->backend, a->posted_at);
    attempt_ask_in(a, a->trusted ? attempt_quiet_ms(a) : 0);
    (void)attempt_stop_again(a);
}

static void end_refused(struct attempt *a, unsigned status, bool page, uint64_t file)
{
    AUTO_BUF struct buf why;
    buf_init(&why, 4096);
    trust_refused(a, status, page, file, &why);
    struct job_error e = attempt_error(ERR_BACKEND_REFUSED, buf_text(&why));
    a->sending = false;
    a->elsewhere = true;
    attempt_end(a, time_mono(), 0, ATTEMPT_REJECTED, &e);
}

void attempt_refused(struct attempt *a, unsigned status, bool page, uint64_t file)
{
    a->gone = true; /* it never was there */
    end_refused(a, status, page, file);
}

void attempt_refused_perhaps(struct attempt *a)
{
    end_refused(a, a->submit_status, a->submit_page, 0);
}

static void submit_answered(void *ctx, struct comfy_submit_answer *answer)
{
    struct attempt *a = ctx;
    struct pool *p = a->backend->pool;
    a->submit = NULL;
    if (answer->result == COMFY_ACCEPTED) {
        accepted(a, answer);
    } else if (a->ended) {
        attempt_conclude(a);
    } else if (answer->result == COMFY_REJECTED) {
        rejected(a, answer);
    } else if (answer->result == COMFY_REFUSED) {
        attempt_refused(a, answer->status, false, 0);
    } else if (answer->result == COMFY_AMBIGUOUS) {
        LOG(LOG_WARN, "the POST of a prompt was not answered well: asking",
            LOG_S("job", a->job->r.id), LOG_S("backend", a->backend->name),
            LOG_S("why", answer->message));
        a->submit_status = answer->status;
        a->submit_page = answer->is_page;
        attempt_distrust(a, time_mono(), NULL);
        attempt_watch_start(a, a->posted_at);
        attempt_ask_in(a, 1000);
        (void)attempt_stop_again(a);
    } else {
        struct job_error e = attempt_error(ERR_BACKEND_ERROR, answer->message);
        a->gone = true; /* it never was there */
        attempt_end(a, time_mono(), 0, ATTEMPT_FAILED, &e);
    }
    pool_one_less(p, &p->submits);
}

void attempt_post(struct attempt *a)
{
    struct pool *p = a->job->pool;
    if (a->stop != STOP_NONE || p->stopping || !a->backend->up) {
        withdraw(a);
        return;
    }
    AUTO_BUF struct buf body;
    buf_init(&body, BUF_NO_LIMIT);
    prompt_render(a, &body);
    a->posted = true;
    strays_hurry(a->job); /* those before it are told to stop now */
    a->posted_at = time_mono();
    a->timeline.posted = (struct time_mark){.set = true, .received = a->posted_at};
    p->submits++;
    a->submit = comfy_submit(a->backend->comfy, buf_str(&body), submit_answered, a);
}

bool attempt_give_up_sending(struct attempt *a)
{
    if (!a->sending) {
        return false;
    }
    a->sending = false;
    withdraw(a);
    return true;
}

static void intent_stored(void *ctx, enum err e)
{
    struct job *j = ctx;
    struct attempt *a = j->attempt;
    struct pool *p = j->pool;
    (void)e;                             /* such a write is kept until it succeeds */
    if (a == NULL || a->intent_stored) { /* an earlier attempt took its place meanwhile */
        pool_one_less(p, &p->writes);
        return;
    }
    a->intent_stored = true;
    a->timeline.intent = (struct time_mark){.set = true, .received = time_mono()};
    if (j->inputs_len > 0 && a->stop == STOP_NONE && !p->stopping && a->backend->up) {
        inputs_send(a);
    } else {
        attempt_post(a);
    }
    pool_one_less(p, &p->writes);
}

/* ---- frames ---------------------------------------------------------------------------------- */

/* A node's output, or all of them, may be text; beyond this they are no outputs any more. */
enum { MAX_OUTPUTS = 16 << 20, MAX_MESSAGE = 16384, MAX_EXCEPTION = 1000 };

/* Of a job that names its outputs only those count, and what is inside of expanded nodes. */
bool attempt_includes(const struct attempt *a, struct str node_id)
{
    const struct spec *s = a->job->spec;
    if (s == NULL || s->include_outputs.len == 0 || workflow_find(a->workflow, node_id) == NULL) {
        return true;
    }
    AUTO_FREE char *id = mem_copy(node_id);
    return names_have(&s->include_outputs, id);
}

static struct output *add_output(struct attempt *a, struct str node_id)
{
    struct output *o = mem_zero(1, sizeof *o + node_id.n + 1);
    memcpy(o->node_id, node_id.p, node_id.n);
    if (a->outputs_len == a->outputs_cap) {
        a->outputs_cap = a->outputs_cap == 0 ? 8 : a->outputs_cap * 2;
        a->outputs = mem_grow(a->outputs, a->outputs_cap * sizeof(struct output *));
    }
    a->outputs[a->outputs_len++] = o;
    (void)map_put(&a->outputs_by_id, (struct str){o->node_id, node_id.n}, o);
    return o;
}

/* of: what the node has said before, which this replaces; or NULL. */
static bool has_room_for(struct attempt *a, const struct output *of, size_t bytes)
{
    const size_t others = a->outputs_bytes - (of == NULL ? 0 : of->bytes);
    if (bytes <= MAX_OUTPUTS && others + bytes <= MAX_OUTPUTS) {
        return true;
    }
    LOG(LOG_WARN, "an output is left out: outputs of a job may have 16 MiB in all",
        LOG_S("job", a->job->r.id), LOG_I("bytes", bytes));
    a->outputs_truncated = true;
    return false;
}

/* They are kept with the others, but nobody sees them in lists. */
static void count_files(struct attempt *a, struct output *of, size_t files)
{
    a->outputs_files += files - of->files;
    of->files = files;
    if (a->outputs_files > RENDER_OUTPUTS_MOST && !a->outputs_truncated) {
        LOG(LOG_WARN, "a job has more outputs than are listed", LOG_S("job", a->job->r.id),
            LOG_I("listed", RENDER_OUTPUTS_MOST));
        a->outputs_truncated = true;
    }
}

void attempt_add_output(struct attempt *a, struct str node_id, struct str ui)
{
    struct output *to = map_get(&a->outputs_by_id, node_id);
    if (ui.n == 0 || !attempt_includes(a, node_id) || !has_room_for(a, to, ui.n)) {
        return;
    }
    AUTO_BUF struct buf clean;
    buf_init(&clean, BUF_NO_LIMIT);
    if (!js_clean(ui, &clean) || (to != NULL && str_is(buf_str(&clean), to->json))) {
        return; /* said twice, or history says it too */
    }
    const size_t files = tell_output(a, node_id, buf_str(&clean));
    if (to == NULL) {
        to = add_output(a, node_id);
    }
    count_files(a, to, files);
    free(to->json);
    to->json = buf_take(&clean);
    a->outputs_bytes += ui.n - to->bytes;
    to->bytes = ui.n;
}

/* The members of an output but `streamed`. */
static void copy_members(struct str ui, struct js_out *to)
{
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    struct js_reader r;
    js_read_checked(&r, ui);
    (void)js_next(&r);
    for (struct js_token key = js_next(&r); key.kind == JS_KEY; key = js_next(&r)) {
        const struct str value = js_skip(&r);
        if (!js_is(key, "streamed")) {
            buf_clear(&scratch);
            js_key_str(to, js_text(key, &scratch));
            js_raw(to, value);
        }
    }
}

void attempt_add_streamed(struct attempt *a, struct str node_id, struct str list)
{
    const struct output *o = map_get(&a->outputs_by_id, node_id);
    AUTO_BUF struct buf ui;
    buf_init(&ui, BUF_NO_LIMIT);
    struct js_out to = js_out_to(&ui);
    js_open(&to, '{');
    js_member_raw(&to, "streamed", list);
    if (o != NULL) {
        copy_members(str_of(o->json), &to);
    }
    js_close(&to, '}');
    attempt_add_output(a, node_id, buf_str(&ui));
}

void attempt_started(struct attempt *a, struct mono_us now, int64_t stamp_ms)
{
    if (!a->timeline.started.set) {
        learn_start(a);
    }
    (void)timeline_start(&a->timeline, now, stamp_ms);
    sampling_begin(a);
    a->job->phase = JOB_PHASE_STARTED;
    deadline_clear(&a->backend->pool->deadlines, &a->start_timer);
    tell_started(a);
}

/* An /interrupt that we sent for another prompt may have hit this one. */
static bool is_hit_by_us(const struct attempt *a, struct mono_us now)
{
    const struct backend *b = a->backend;
    return interrupts_are_global(b->version) &&
           interrupts_reach(comfy_interrupts(b->comfy), a->r.prompt_id,
                            a->timeline.started.received, now);
}

/* True: the interruption was our own doing. */
static bool end_by_us(struct attempt *a, struct mono_us now, int64_t stamp_ms)
{
    if (a->stop != STOP_NONE) {
        interrupts_hit(comfy_interrupts(a->backend->comfy), a->r.prompt_id);
        attempt_end_stopped(a, now, stamp_ms);
        return true;
    }
    if (is_hit_by_us(a, now)) {
        struct job_error e =
            attempt_error(ERR_LOST, "it was hit by our own interrupt of another job: its server "
                                    "stops whatever runs; it is tried again at no cost");
        a->free = true;
        attempt_end(a, now, stamp_ms, ATTEMPT_LOST, &e);
        return true;
    }
    return false;
}

/* "TYPE: first line". Owner: the caller. */
static char *name_exception(struct str type, struct str message)
{
    AUTO_BUF struct buf b;
    buf_init(&b, BUF_NO_LIMIT);
    const struct str line = str_clip(fault_first_line(message), MAX_EXCEPTION);
    buf_add_str(&b, str_clip(type, MAX_EXCEPTION));
    buf_add_text(&b, type.n > 0 && line.n > 0 ? ": " : "");
    buf_add_str(&b, line);
    return buf_take(&b);
}

void attempt_end_by_message(struct attempt *a, struct mono_us now, const struct frame *f)
{
    a->gone = true; /* whatever it says: the server is done with it */
    if (f->type == FRAME_SUCCESS) {
        attempt_end(a, now, f->stamp_ms, ATTEMPT_COMPLETED, NULL);
        return;
    }
    if (f->type == FRAME_INTERRUPTED && end_by_us(a, now, f->stamp_ms)) {
        return;
    }
    struct job_error e = {0};
    if (f->type == FRAME_INTERRUPTED) {
        e = attempt_error(ERR_INTERRUPTED, "somebody else interrupted it on the backend");
    } else {
        struct str message = f->message;
        while (message.n > 0 && message.p[message.n - 1] == '\n') {
            message.n--;
        }
        message.n = message.n > MAX_MESSAGE ? MAX_MESSAGE : message.n;
        e.code = fault_judge(f->error_type, message, &a->remedy);
        e.message = mem_copy(message);
        a->exception = name_exception(f->error_type, message);
        AUTO_BUF struct buf clean;
        buf_init(&clean, BUF_NO_LIMIT);
        if (f->traceback.n > 0 && js_clean(f->traceback, &clean)) {
            e.traceback = buf_take(&clean);
        }
    }
    if (e.code != ERR_NONE) {
        e.node_id = f->node.p == NULL ? NULL : mem_copy(f->node);
        e.node_type = f->node_type.p == NULL ? NULL : mem_copy(f->node_type);
    }
    attempt_end(a, now, f->stamp_ms,
                f->type == FRAME_INTERRUPTED ? ATTEMPT_CANCELLED : ATTEMPT_FAILED, &e);
}

void attempt_frame(struct attempt *a, struct mono_us now, const struct frame *f)
{
    if (a->ended) {
        return;
    }
    attempt_heard(a, now);
    if (f->type == FRAME_START) {
        attempt_started(a, now, f->stamp_ms);
    } else if (!a->timeline.started.set && frame_proves_start(f)) {
        attempt_started(a, now, 0);
    }
    if (f->type != FRAME_START) {
        a->planned = true;
        if (!a->node_seen && (f->type == FRAME_EXECUTING || f->type == FRAME_STATE)) {
            attempt_watch_nodes(a, now);
        }
    }
    if (a->profiler != NULL) {
        profiler_feed(a->profiler, now, f);
    }
    const uint64_t changes = a->progress.changes;
    progress_feed(&a->progress, f, events_wanted(&a->job->pool->events) ? tell_node : NULL, a);
    if (f->type == FRAME_PROGRESS && a->progress.changes != changes) {
        tell_progress(a, now);
    }
    if (a->progress.changes != changes) {
        job_has_changed(a->job);
    }
    if (f->type == FRAME_EXECUTED && f->node.p != NULL) {
        attempt_add_output(a, f->node, f->output);
    }
    if (frame_is_terminal(f)) {
        a->backend->leaving++;
        attempt_end_by_message(a, now, f);
    }
}

/* ---- the end --------------------------------------------------------------------------------- */

/* {nodeId: ui} in the order of the workflow, then expanded nodes as they came; NULL: none. */
static char *render_outputs(const struct attempt *a)
{
    if (a->outputs_len == 0) {
        return NULL;
    }
    AUTO_BUF struct buf b;
    buf_init(&b, BUF_NO_LIMIT);
    struct js_out o = js_out_to(&b);
    js_open(&o, '{');
    for (size_t i = 0; i < a->workflow->len; i++) {
        const struct output *of = map_get(&a->outputs_by_id, a->workflow->nodes[i].id);
        if (of != NULL) {
            js_member_raw(&o, of->node_id, str_of(of->json));
        }
    }
    for (size_t i = 0; i < a->outputs_len; i++) {
        const struct output *of = a->outputs[i];
        if (workflow_find(a->workflow, str_of(of->node_id)) == NULL) {
            js_member_raw(&o, of->node_id, str_of(of->json));
        }
    }
    js_close(&o, '}');
    return buf_take(&b);
}

/* What the end of the attempt makes of its job; its counters count the attempt. */
static enum job_event event_of(const struct attempt *a)
{
    const struct job_record *r = &a->job->r;
    if (a->outcome == ATTEMPT_COMPLETED) {
        return JOB_EVENT_COMPLETE;
    }
    if (a->outcome == ATTEMPT_REJECTED && a->elsewhere) {
        return JOB_EVENT_REQUEUE; /* job_wait_again sees whether a backend is left, or a cancel */
    }
    /* Told to stop, and it did not run to an end of its own: that is what was asked for. */
    const bool gone = a->outcome == ATTEMPT_LOST || a->error.code == ERR_BACKEND_ERROR ||
                      a->error.code == ERR_UPLOAD_FAILED;
    if (a->outcome == ATTEMPT_CANCELLED || (r->cancel_requested && gone)) {
        return JOB_EVENT_CANCEL;
    }
    const bool time_is_over = a->stop_code == ERR_JOB_TIMEOUT || a->job->timed_out;
    const bool again =
        a->cut_off || a->free || a->spared || retry_wanted(r, a->outcome, a->error.code);
    return again && !time_is_over && a->job_error.code == ERR_NONE ? JOB_EVENT_REQUEUE
                                                                   : JOB_EVENT_FAIL;
}

/* The same of one that was given up before. What it did then was counted then: it completes its
   job, or the job waits for its retry as it did. */
static enum job_event event_of_found(const struct attempt *a)
{
    const struct job *j = a->job;
    return a->outcome == ATTEMPT_COMPLETED                   ? JOB_EVENT_COMPLETE
           : j->r.cancel_requested                           ? JOB_EVENT_CANCEL
           : a->job_error.code != ERR_NONE                   ? JOB_EVENT_FAIL
           : j->timed_out || a->stop_code == ERR_JOB_TIMEOUT ? JOB_EVENT_FAIL
                                                             : JOB_EVENT_REQUEUE;
}

/* The job's counters, from the attempt that is over. */
static void count_attempt(struct attempt *a)
{
    struct job_record *r = &a->job->r;
    /* Our own restart came between its intent and its acceptance: that costs the job nothing. */
    a->cut_off =
        a->adopted && !a->known && a->outcome == ATTEMPT_LOST && r->cut_off < RETRY_MAX_CUT_OFF;
    r->cut_off += a->cut_off ? 1 : 0;
    const bool fault = a->outcome == ATTEMPT_FAILED && a->error.code == ERR_SERVER_FAULT;
    const bool refused = a->outcome == ATTEMPT_REJECTED && a->elsewhere;
    r->faults += fault && trust_fault_counts(a) ? 1 : 0;
    a->spared = a->spared && r->faults < RETRY_MAX_FAULTS;
    r->free_attempts += a->cut_off || a->free || refused || fault || a->spared ? 1 : 0;
    r->oom += a->outcome == ATTEMPT_FAILED && a->error.code == ERR_OUT_OF_MEMORY ? 1 : 0;
    r->left_dead += a->left_dead ? 1 : 0;
}

const char poison_message[] = "two backends died while they ran it: it is not given to another one";

/* Two backends died under it: nobody wants to be the third. */
static void judge_poison(struct attempt *a)
{
    const bool lost = a->left_dead || a->outcome == ATTEMPT_LOST; /* deaths may be told later */
    if (!lost || a->job->r.left_dead <= RETRY_MAX_LEFT_DEAD) {
        return;
    }
    ability_poisoned(&a->backend->pool->ability, job_hash(a->job));
    a->job_error = attempt_error(ERR_BACKEND_ERROR, poison_message);
}

/* What its end says of the job and of the backend, before the backend gets another one. */
static void judge(struct attempt *a)
{
    if (!a->found_again) {
        trust_judge_probe(a);
        trust_judge_fault(a);
        count_attempt(a);
    } else { /* it was counted when it was given up */
        a->job->r.left_dead += a->left_dead ? 1 : 0;
    }
    judge_poison(a);
    trust_note_end(a);
}

static void patience_is_over(void *ctx);

/* Waits for nothing for ever: patience ends it. */
static bool must_wait(struct attempt *a)
{
    if (a->submit == NULL) {
        return false;
    }
    if (!heap_holds(&a->patience.node)) {
        deadline_set(&a->backend->pool->deadlines, &a->patience,
                     mono_add(time_mono(), dur_ms(ANSWER_PATIENCE_MS)), patience_is_over, a);
    }
    return true;
}

static void finish_profile(struct attempt *a, struct profile *ret)
{
    profiler_finish(a->profiler, &a->timeline, a->outcome, ret);
    sampling_account(a, ret);
    ret->job_id = a->job->r.id;
    ret->prompt_id = a->r.prompt_id;
    ret->backend = a->r.backend;
    ret->attempt = a->r.number;
}

static void conclude_now(struct attempt *a)
{
    struct job *j = a->job;
    AUTO_BUF struct buf json;
    AUTO_BUF struct buf measurement;
    buf_init(&json, BUF_NO_LIMIT);
    buf_init(&measurement, BUF_NO_LIMIT);
    struct profile profile;
    const bool profiled = a->profiler != NULL;
    if (a->history_tries > 0) {
        clock_settle(a);
    }
    if (profiled) {
        finish_profile(a, &profile);
        render_profile_json(&profile, &json);
    }
    a->executed = (int)(profiled ? profile.executed : a->progress.executed);
    const enum job_event e = a->found_again ? event_of_found(a) : event_of(a);
    streamed_end(a);
    enum job_state state = j->r.state;
    if (job_transition(j->r.state, e, &state) && job_state_is_terminal(state)) {
        learn_end(a, state, profiled ? &profile : NULL, &measurement);
    }
    struct stray *s =
        job_conclude(j, e, a, render_outputs(a), buf_str(&json), buf_str(&measurement));
    if (s != NULL && e == JOB_EVENT_REQUEUE) {
        /* Its prompt may be found again while the job waits. */
        a->auto_seeds = mem_strdup(j->r.auto_seeds);
        a->placement = mem_strdup(j->r.placement);
        attempt_leave(a);
        stray_keep(s, a);
    } else {
        attempt_free(a);
    }
}

static void patience_is_over(void *ctx)
{
    struct attempt *a = ctx;
    if (a->submit != NULL) {
        http_call_cancel(a->submit);
        a->submit = NULL;
        a->backend->pool->submits--;
    }
    attempt_conclude(a);
}

/* What the socket missed is in /history, perhaps a moment later. */
static void history_came(void *ctx, struct comfy_locate_answer *answer);

static void ask_history(void *ctx)
{
    struct attempt *a = ctx;
    a->locate = comfy_locate(a->backend->comfy, a->r.prompt_id, history_came, a);
}

static void history_came(void *ctx, struct comfy_locate_answer *answer)
{
    struct attempt *a = ctx;
    a->locate = NULL;
    a->history_tries++;
    if (!a->missed) {
        (void)clock_history(a, &answer->history);
        conclude_now(a);
    } else if (answer->place == COMFY_ENDED) {
        attempt_apply_history(a, time_mono(), &answer->history);
        conclude_now(a);
    } else if (a->history_tries >= HISTORY_TRIES || a->job->timed_out ||
               a->job->r.cancel_requested ||
               mono_diff(time_mono(), a->ended_at).us > (int64_t)HISTORY_MOST_MS * 1000) {
        LOG(LOG_WARN, "a job ended and its history cannot be had: outputs may be missing",
            LOG_S("job", a->job->r.id), LOG_S("backend", a->backend->name));
        conclude_now(a);
    } else {
        const int64_t ms = comfy_place_is_told(answer->place) ? HISTORY_PAUSE_MS : HISTORY_AWAY_MS;
        deadline_set(&a->backend->pool->deadlines, &a->patience, mono_add(time_mono(), dur_ms(ms)),
                     ask_history, a);
    }
}

/* Nobody waits longer for what only makes its times better. */
static void clock_is_over(void *ctx)
{
    struct attempt *a = ctx;
    comfy_locate_cancel(a->locate);
    a->locate = NULL;
    conclude_now(a);
}

/* Nobody has them but us: a shutdown waits for them, too. */
static bool await_images(struct attempt *a)
{
    if (a->streamed.pending > 0 && !a->awaits_images) {
        a->awaits_images = true;
        a->backend->pool->writes++;
    }
    return a->streamed.pending > 0;
}

void attempt_images_written(struct attempt *a)
{
    struct pool *p = a->backend->pool;
    const bool awaited = a->awaits_images;
    a->awaits_images = false;
    attempt_conclude(a);
    if (awaited) {
        pool_one_less(p, &p->writes);
    }
}

void attempt_conclude(struct attempt *a)
{
    if (must_wait(a) || a->locate != NULL || await_images(a)) {
        return;
    }
    deadline_clear(&a->backend->pool->deadlines, &a->patience);
    /* Only what the server itself ended. */
    const bool history_may_know =
        a->gone && (a->outcome == ATTEMPT_COMPLETED || a->outcome == ATTEMPT_FAILED ||
                    a->outcome == ATTEMPT_CANCELLED || a->outcome == ATTEMPT_TIMED_OUT);
    const bool wants_history = a->missed || clock_wants_history(a);
    if (!history_may_know || !wants_history || a->from_history || !a->known) {
        conclude_now(a);
        return;
    }
    ask_history(a);
    if (!a->missed) {
        deadline_set(&a->backend->pool->deadlines, &a->patience,
                     mono_add(time_mono(), dur_ms(CLOCK_MOST_MS)), clock_is_over, a);
    }
}

void attempt_end(struct attempt *a, struct mono_us now, int64_t stamp_ms,
                 enum attempt_outcome outcome, struct job_error *take_error)
{
    struct pool *p = a->backend->pool;
    a->ended = true;
    a->ended_at = a->backend->ended_at = time_mono();
    a->outcome = outcome;
    if (take_error != NULL) {
        a->error = *take_error;
        *take_error = (struct job_error){0};
    }
    attempt_clear_timers(a);
    tell_last_progress(a);
    timeline_end(&a->timeline, now, stamp_ms);
    a->timeline.ended.by_history = a->from_history;
    clock_settle(a);
    if (a->locate != NULL) {
        comfy_locate_cancel(a->locate);
        a->locate = NULL;
    }
    unlink_attempt(a);
    client_rests(a);
    judge(a);
    pool_dispatch(p); /* the next job's intent goes first: somebody's backend is idle */
    attempt_conclude(a);
}

void attempt_leave(struct attempt *a)
{
    struct backend *b = a->backend;
    struct pool *p = b->pool;
    if (a->submit != NULL) {
        http_call_cancel(a->submit);
        p->submits--;
    }
    if (a->locate != NULL) {
        comfy_locate_cancel(a->locate);
    }
    attempt_clear_timers(a);
    deadline_clear(&p->deadlines, &a->patience);
    deadline_clear(&p->deadlines, &a->told_progress.timer);
    a->submit = NULL;
    a->locate = NULL;
    unlink_attempt(a);
    client_rests(a);
    sampling_end(a);
    a->job->attempt = NULL;
    a->job = NULL;
    p->attempts--;
    b->refs--;
    backend_maybe_reap(b);
}

static void outputs_done(struct attempt *a)
{
    for (size_t i = 0; i < a->outputs_len; i++) {
        free(a->outputs[i]->json);
        free(a->outputs[i]);
    }
    free(a->outputs);
    map_done(&a->outputs_by_id);
}

void attempt_free(struct attempt *a)
{
    if (a->job != NULL) {
        attempt_leave(a);
    }
    free(a->told_progress.node_id);
    a->streamed.pool->writes -= a->awaits_images ? 1 : 0; /* its backend may be gone */
    streamed_done(&a->streamed);
    free(a->preview.node_id);
    buf_done(&a->preview.image);
    splices_done(&a->splices);
    profiler_free(a->profiler);
    progress_done(&a->progress);
    workflow_free(a->workflow);
    attempt_record_done(&a->r);
    job_error_done(&a->error);
    job_error_done(&a->job_error);
    outputs_done(a);
    free(a->node_errors);
    free(a->exception);
    free(a->auto_seeds);
    free(a->placement);
    free(a);
}

/* ---- given up, and found again -----------------------------------------------------------------
 */

static void retry_withdrawn(void *ctx, enum err e)
{
    struct pool *p = ctx;
    (void)e; /* such a write is kept until it succeeds */
    pool_one_less(p, &p->writes);
}

/* Its retry was not POSTed: it never was. Where the earlier one goes on its row goes now, so that a
   restart finds a job that waits; else with the end of the job. */
static void take_back_retry(struct job *j, bool goes_on)
{
    struct attempt *retry = j->attempt;
    struct pool *p = j->pool;
    if (retry == NULL) {
        return;
    }
    const unsigned number = retry->r.number;
    j->r.attempts--;
    attempt_free(retry);
    (void)job_apply(j, JOB_EVENT_REQUEUE);
    if (goes_on) {
        p->writes++;
        store_withdraw_attempt(p->store, &j->r, number, retry_withdrawn, p);
    } else {
        j->withdraw = number;
    }
}

/* What the job says of the attempt that it has is this one's. Of one from before a restart that is
   only known when none came after it. */
static void restore_told(struct attempt *a, bool kept)
{
    struct job *j = a->job;
    if (!kept && a->r.number == j->r.attempts) {
        return;
    }
    free(j->r.auto_seeds);
    free(j->r.placement);
    j->r.auto_seeds = a->auto_seeds;
    j->r.placement = a->placement;
    a->auto_seeds = a->placement = NULL;
    job_become_variant(j);
}

/* As the store has it; since: when it began to wait. False: it has it not yet, or not any more. */
static bool find_record(struct job *j, unsigned number, struct attempt_record *ret,
                        struct wall_us *ret_since)
{
    struct attempt_record *list = NULL;
    size_t len = 0;
    bool found = false;
    const bool read = store_get_attempts(j->pool->store, j->r.seq, &list, &len) == ERR_NONE;
    for (size_t i = 0; i < len; i++) {
        if (read && list[i].number == number && list[i].outcome != ATTEMPT_OPEN) {
            found = true;
            *ret_since = i == 0 ? j->r.queued_at : list[i - 1].completed_at;
            *ret = list[i];
            list[i] = (struct attempt_record){0};
        }
        attempt_record_done(&list[i]);
    }
    free(list);
    return found;
}

/* One from before a restart of the daemon. */
static struct attempt *attempt_from_record(struct job *j, struct backend *b,
                                           struct attempt_record *take, struct wall_us since)
{
    const struct time_anchor now = time_anchor_now();
    const struct mono_us intent = mono_min(now.mono, anchor_mono(&now, take->intent_at));
    struct attempt *a = attempt_new(j, b);
    if (a == NULL) {
        abort(); /* who asks has read its workflow */
    }
    timeline_init(&a->timeline, now, mono_min(now.mono, anchor_mono(&now, since)));
    a->timeline.intent = (struct time_mark){.set = true, .received = intent};
    a->posted_at = intent;
    a->r = *take;
    *take = (struct attempt_record){0};
    attempt_leave(a);
    return a;
}

/* As it was when it was given up, but that it goes on. */
static void attempt_return(struct attempt *a, struct job *j)
{
    a->job = j;
    j->attempt = a;
    j->pool->attempts++;
    client_runs(a);
    a->backend->refs++;
    job_error_done(&a->error);
    a->found_again = a->adopted = a->intent_stored = a->posted = a->known = true;
    a->ended = a->gone = a->holds_slot = a->left_dead = a->start_late = a->clock_judged = false;
    a->from_history = a->unreachable = a->cut_off = a->probes = a->probed = false;
    a->outcome = ATTEMPT_OPEN;
    a->stop = STOP_NONE;
    a->stop_code = ERR_NONE;
    a->stop_durable = a->cancel_sent = false;
    a->absent = a->history_tries = 0;
    a->timeline.ended = (struct time_mark){0};
}

struct attempt *attempt_take_up(struct job *j, struct backend *b, unsigned number,
                                struct attempt *kept, bool goes_on)
{
    struct attempt_record r = {0};
    struct wall_us since_wall = {0};
    if (!job_need_texts(j) || (kept == NULL && !is_readable(j)) ||
        (kept == NULL && !find_record(j, number, &r, &since_wall))) {
        return NULL;
    }
    take_back_retry(j, goes_on);
    job_stop_waiting(j);
    struct attempt *a = kept != NULL ? kept : attempt_from_record(j, b, &r, since_wall);
    if (!job_apply(j, JOB_EVENT_ASSIGN)) {
        abort(); /* who asks has seen that it waits */
    }
    const struct mono_us since = a->ended ? a->ended_at : a->timeline.intent.received;
    attempt_return(a, j);
    restore_told(a, kept != NULL);
    tell_job(a);
    attempt_distrust(a, since, "given_up");
    job_has_changed(j);
    return a;
}

void attempt_follow(struct attempt *a)
{
    const struct mono_us now = time_mono();
    a->job->phase = a->timeline.started.set ? JOB_PHASE_STARTED : JOB_PHASE_SUBMITTED;
    link_attempt(a);
    attempt_watch_start(a, now);
    if (a->node_seen) {
        attempt_watch_nodes(a, now);
    }
    job_set_timers(a->job);
    attempt_ask_in(a, 1000);
}
