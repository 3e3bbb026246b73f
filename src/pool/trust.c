/*
 * Consequences of the ends of prompts for a server; see the header. The rules are in core/streak.h.
 * A backend out of quarantine is on probation: one prompt at a time, and a failure does not count
 * against its job.
 */
#include "trust.h"

#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/log.h"
#include "comfypool/core/fault.h"
#include "comfypool/core/retry.h"

#include "attempt.h"
#include "backends.h"
#include "jobs.h"
#include "refusals.h"
#include "state.h"

enum {
    PROBE_FIRST_MS = 60000,
    PROBE_LAST_MS = 600000,
    REST_MS = 1000,
    REST_DOUBLINGS = 7, /* to 128 s */
    MAX_CAUSE = 300,
};

static const char look_at_it[] =
    "look at its console, mend or restart this ComfyUI, then POST /backends/<name>/resume";

void trust_init(struct backend *b)
{
    const struct pool_options *o = &b->pool->options;
    streak_init(&b->trust.streak, o->quarantine_failures, o->breaker_failures);
}

static void count_suspect(struct backend *b)
{
    struct trust *t = &b->trust;
    if (t->suspect != (t->streak.len > 0)) {
        t->suspect = !t->suspect;
        b->pool->distrust.suspects += t->suspect ? 1 : (size_t)-1;
    }
}

/* Returns the client's hash; 0: no client. */
static uint64_t client_of(const struct job *j)
{
    const char *client = j->r.client;
    return client == NULL || client[0] == '\0' ? 0 : map_hash(str_of(client)) | 1;
}

/* Keeps the pool's list of backends that bar sizes, files or a client; they are few. */
static void list_limited(struct backend *b)
{
    struct pool *p = b->pool;
    const struct trust *t = &b->trust;
    size_t i = 0;
    while (i < p->distrust.limited_len && p->distrust.limited[i] != b) {
        i++;
    }
    if (!barred_limits(&t->barred) && t->doubts == 0) {
        if (i < p->distrust.limited_len) {
            p->distrust.limited[i] = p->distrust.limited[--p->distrust.limited_len];
        }
    } else if (i == p->distrust.limited_len) {
        p->distrust.limited =
            mem_grow(p->distrust.limited, (p->distrust.limited_len + 1) * sizeof(struct backend *));
        p->distrust.limited[p->distrust.limited_len++] = b;
    }
}

bool trust_bars_anywhere(const struct job *j)
{
    const struct pool *p = j->pool;
    size_t i = 0;
    while (i < p->distrust.limited_len && !trust_bars(p->distrust.limited[i], j)) {
        i++;
    }
    return i < p->distrust.limited_len;
}

void trust_add_lane(const struct job *j, struct buf *key)
{
    const struct pool *p = j->pool;
    for (size_t i = 0; i < p->distrust.limited_len; i++) {
        if (trust_bars(p->distrust.limited[i], j)) {
            buf_printf(key, "x%u", (unsigned)p->distrust.limited[i]->id);
        }
    }
}

static void set_doubts(struct backend *b, uint64_t client);

/* Lets a job of the doubted client try again: no other backend gave an answer. */
static void doubts_are_old(void *ctx)
{
    struct backend *b = ctx;
    set_doubts(b, 0);
    b->pool->ops->give_jobs(b->pool);
}

static void set_doubts(struct backend *b, uint64_t client)
{
    struct pool *p = b->pool;
    struct trust *t = &b->trust;
    if (t->doubts == client) {
        return;
    }
    t->doubts = client;
    list_limited(b);
    if (client != 0) {
        deadline_set(&p->deadlines, &t->doubting, mono_add(time_mono(), p->options.breaker_open),
                     doubts_are_old, b);
    } else {
        deadline_clear(&p->deadlines, &t->doubting);
    }
}

static void forget_limits(struct backend *b)
{
    barred_forget_limits(&b->trust.barred);
    set_doubts(b, 0);
    list_limited(b);
}

void trust_done(struct backend *b)
{
    struct trust *t = &b->trust;
    deadline_clear(&b->pool->deadlines, &t->probe);
    deadline_clear(&b->pool->deadlines, &t->again);
    forget_limits(b);
    streak_clear(&t->streak);
    count_suspect(b);
    streak_done(&t->streak);
    free(t->reason);
    barred_done(&t->barred);
    free(t->fault);
}

bool trust_allows(const struct backend *b)
{
    return b->trust.quarantine == QUARANTINE_NONE && !b->trust.barred.all;
}

void trust_set_places(struct backend *b)
{
    const unsigned most = b->terms.places;
    b->slot.max_in_flight = b->trust.probation == PROBATION_NONE || most < 1 ? most : 1;
    scheduler_set_up(&b->pool->scheduler, &b->slot, b->slot.up);
}

static void set_probation(struct backend *b, enum probation to)
{
    if (b->trust.probation != to) {
        b->trust.probation = to;
        trust_set_places(b);
    }
}

static void set_text(char **to, const char *text)
{
    free(*to);
    *to = mem_strdup(text);
}

const char *trust_trouble(const struct backend *b)
{
    return b->trust.barred.why != NULL ? b->trust.barred.why : b->trust.fault;
}

/* ---- quarantine ------------------------------------------------------------------------------ */

static void probe_due(void *ctx)
{
    struct backend *b = ctx;
    LOG(LOG_INFO, "backend out of quarantine, to be tried", LOG_S("backend", b->name));
    backend_lift_quarantine(b, false);
}

void backend_quarantine(struct backend *b, enum quarantine why, const char *reason)
{
    struct trust *t = &b->trust;
    LOG(LOG_WARN, "backend quarantined", LOG_S("backend", b->name), LOG_S("why", reason));
    t->failed = t->failed || why == QUARANTINE_FAILURES;
    t->quarantine = why;
    t->link_lost = false;
    char *text = mem_strdup(reason); /* it may be the reason that is freed here */
    free(t->reason);
    t->reason = text;
    if (why == QUARANTINE_FAILURES) {
        t->probe_ms = t->probe_ms == 0 ? PROBE_FIRST_MS : t->probe_ms * 2;
        t->probe_ms = t->probe_ms > PROBE_LAST_MS ? PROBE_LAST_MS : t->probe_ms;
        deadline_set(&b->pool->deadlines, &t->probe, mono_add(time_mono(), dur_ms(t->probe_ms)),
                     probe_due, b);
    } else {
        deadline_clear(&b->pool->deadlines, &t->probe);
    }
    b->pool->ops->settle_backend(b);
}

/* One more failure puts it back into quarantine; a success ends the streak. */
void backend_lift_quarantine(struct backend *b, bool by_hand)
{
    struct trust *t = &b->trust;
    deadline_clear(&b->pool->deadlines, &t->probe);
    const bool failed = t->failed;
    t->failed = false;
    t->quarantine = QUARANTINE_NONE;
    free(t->reason);
    t->reason = NULL;
    if (by_hand) {
        t->epoch++;
        t->failed_probes = 0;
        breaker_try_again(&b->pool->breaker, b->id, true);
        streak_clear(&t->streak);
        set_text(&t->fault, NULL);
        set_probation(b, PROBATION_NONE);
    } else {
        streak_lift(&t->streak);
        set_probation(b, failed ? PROBATION_QUARANTINE : t->probation);
    }
    count_suspect(b);
    b->pool->ops->settle_backend(b);
}

static void judge(struct backend *b)
{
    struct trust *t = &b->trust;
    AUTO_BUF struct buf why;
    buf_init(&why, 4096);
    count_suspect(b);
    if (t->quarantine != QUARANTINE_NONE || streak_judge(&t->streak, &why) == STREAK_NOTHING) {
        return;
    }
    const bool fault = t->streak.list[t->streak.len - 1].kind == STREAK_FAULT;
    buf_printf(&why, "; %s", fault && t->remedy != NULL ? t->remedy : look_at_it);
    backend_quarantine(b, QUARANTINE_FAILURES, buf_text(&why));
}

/* A restarted server is tried at once; after failed probes later, since it fails faster than it is
   repaired. */
static int64_t rest_after(unsigned failed_probes)
{
    const unsigned shift = failed_probes < REST_DOUBLINGS ? failed_probes : REST_DOUBLINGS;
    return failed_probes == 0 ? 0 : REST_MS << shift;
}

void trust_up(struct backend *b)
{
    struct trust *t = &b->trust;
    trust_forget_refusals(b);
    t->life++;
    breaker_try_again(&b->pool->breaker, b->id, false);
    if (t->quarantine != QUARANTINE_FAILURES || !t->link_lost) {
        return;
    }
    const int64_t rest_ms = rest_after(t->failed_probes);
    if (rest_ms > 0) {
        LOG(LOG_INFO, "backend is back, perhaps restarted: to be tried soon, it failed so before",
            LOG_S("backend", b->name), LOG_I("in", rest_ms));
        const struct mono_us at = mono_add(time_mono(), dur_ms(rest_ms));
        deadline_set(&b->pool->deadlines, &t->probe, mono_min(at, t->probe.at), probe_due, b);
    } else {
        LOG(LOG_INFO, "backend is back, perhaps restarted: out of quarantine, to be tried",
            LOG_S("backend", b->name));
        backend_lift_quarantine(b, false);
    }
}

/* ---- whose fault it was ---------------------------------------------------------------------- */

void trust_try(struct attempt *a)
{
    const bool tries = a->backend->trust.probation == PROBATION_QUARANTINE;
    a->trial.probe = tries ? PROBE_TRIES : PROBE_NONE;
}

void trust_judge_fault(struct attempt *a, struct job_error *ret)
{
    struct job_record *r = &a->job->r;
    struct trust *t = &a->backend->trust;
    if (a->end.error.code != ERR_SERVER_FAULT) {
        return;
    }
    const bool was_well = t->well;
    t->well = false;
    if (!was_well) {
        return;
    }
    if (r->faulted_on == NULL) {
        r->faulted_on = mem_strdup(a->backend->name);
    } else if (strcmp(r->faulted_on, a->backend->name) != 0) {
        a->trial.own_fault = true;
        AUTO_BUF struct buf text;
        buf_init(&text, 1 << 20);
        buf_printf(&text, "%s (on two backends that had been well: %s and %s)",
                   a->end.error.message == NULL ? "" : a->end.error.message, r->faulted_on,
                   a->backend->name);
        job_error_copy(ret, &a->end.error);
        free(ret->message);
        ret->message = buf_take(&text);
        struct backend *first = map_get(&a->backend->pool->backends_by_name, str_of(r->faulted_on));
        if (first != NULL) {
            breaker_forgive(&a->backend->pool->breaker, job_hash(a->job), first->id);
        }
        if (first != NULL && first->trust.fault_job == r->seq) {
            set_text(&first->trust.fault, NULL);
        }
    }
}

/* Returns the hash of the exception's type and first line; 0: none. */
static uint64_t exception_of(const struct attempt *a)
{
    const bool node = a->end.error.code == ERR_NODE_FAILED ||
                      a->end.error.code == ERR_SERVER_FAULT ||
                      a->end.error.code == ERR_OUT_OF_MEMORY;
    if (!node || a->end.exception == NULL) {
        return 0;
    }
    const uint64_t hash = map_hash(str_of(a->end.exception));
    return hash == 0 ? 1 : hash;
}

/* Judges a failed probe: the same exception as the last failure here is the server's until proven
   otherwise; another one may be the job's own, which one try elsewhere will tell. */
void trust_judge_probe(struct attempt *a)
{
    struct job *j = a->job;
    struct backend *b = a->backend;
    const struct streak *s = &b->trust.streak;
    if (a->trial.probe != PROBE_TRIES || a->end.excuse == EXCUSE_OURS ||
        a->stop.why == STOP_CANCEL) {
        return;
    }
    const enum retry_blame blame = retry_blame_of(a->end.outcome, a->end.error.code);
    const bool node = a->end.outcome == ATTEMPT_FAILED && a->end.error.code == ERR_NODE_FAILED;
    const bool same = node && s->len > 0 && exception_of(a) != 0 &&
                      s->list[s->len - 1].exception == exception_of(a);
    if (same || blame == RETRY_BLAMES_BACKEND) {
        a->trial.probe = PROBE_SICK;
    } else if ((node || blame != RETRY_BLAMES_NOBODY) && !j->past.doubted &&
               b->pool->ops->is_able(j, b)) {
        a->trial.probe = PROBE_SPARED;
        j->past.doubted = true;
    }
}

bool trust_fault_counts(const struct attempt *a)
{
    const struct trust *t = &a->backend->trust;
    const bool is_probe = a->trial.probe == PROBE_SPARED || a->trial.probe == PROBE_SICK;
    return !is_probe || (a->job->past.spared && t->fault_life != t->life);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void plan_breaker(struct pool *p);

/* Wakes the queue when the next breaker half-opens. */
static void breaker_closes(void *ctx)
{
    struct pool *p = ctx;
    plan_breaker(p);
    p->ops->give_jobs(p);
}

static void plan_breaker(struct pool *p)
{
    struct mono_us at;
    if (breaker_next_close(&p->breaker, time_mono(), &at)) {
        deadline_set(&p->deadlines, &p->distrust.breaker_closing, at, breaker_closes, p);
    }
}

static bool runs_elsewhere(const struct backend *b, struct str workflow)
{
    const struct pool *p = b->pool;
    for (size_t i = 0; i < p->backends_len; i++) {
        const struct attempt *a = p->backends[i] == b ? NULL : p->backends[i]->load.attempts;
        for (; a != NULL; a = a->backend_next) {
            if (str_eq(workflow, job_hash(a->job))) {
                return true;
            }
        }
    }
    return false;
}

static void went_well(struct attempt *a)
{
    struct backend *b = a->backend;
    struct trust *t = &b->trust;
    breaker_worked(&b->pool->breaker, job_hash(a->job), b->id);
    refusals_over(a);
    t->well = true;
    t->epoch += t->probation == PROBATION_QUARANTINE ? 1 : 0;
    if (t->suspect) {
        streak_clear(&t->streak);
        count_suspect(b);
        set_doubts(b, 0);
    }
    t->probe_ms = 0;
    t->failed_probes = 0;
    if (t->quarantine == QUARANTINE_FAILURES) { /* a prompt from before shows that it is well */
        backend_lift_quarantine(b, true);
    }
    if (t->fault != NULL) {
        set_text(&t->fault, NULL);
    }
    if (t->probation == PROBATION_QUARANTINE) {
        set_probation(b, PROBATION_NONE);
    }
}

static bool kind_of(const struct attempt *a, enum streak_kind *ret)
{
    const enum retry_blame blame = retry_blame_of(a->end.outcome, a->end.error.code);
    const bool node = a->end.outcome == ATTEMPT_FAILED && a->end.error.code == ERR_NODE_FAILED;
    const bool answer =
        a->end.error.code == ERR_BACKEND_ERROR || a->end.error.code == ERR_UPLOAD_FAILED;
    *ret = a->end.error.code == ERR_SERVER_FAULT ? STREAK_FAULT
           : answer                              ? STREAK_ANSWER
           : blame == RETRY_BLAMES_BACKEND       ? STREAK_BACKEND
           : blame == RETRY_BLAMES_EITHER        ? STREAK_EITHER
                                                 : STREAK_NODE;
    return blame != RETRY_BLAMES_NOBODY || node;
}

/* True if a job of that client runs on another backend. */
static bool client_runs_elsewhere(const struct backend *b, uint64_t client)
{
    const struct pool *p = b->pool;
    for (size_t i = 0; i < p->backends_len; i++) {
        const struct attempt *a = p->backends[i] == b ? NULL : p->backends[i]->load.attempts;
        for (; a != NULL; a = a->backend_next) {
            if (client_of(a->job) == client) {
                return true;
            }
        }
    }
    return false;
}

/* Holds the client's other jobs while the question is open: its jobs that run elsewhere will tell.
 */
static void hold_if_open(struct backend *b, struct str workflow)
{
    set_doubts(b, b->trust.quarantine == QUARANTINE_NONE ? streak_author(&b->trust.streak) : 0);
    struct pool *p = b->pool;
    if (b->trust.quarantine == QUARANTINE_NONE &&
        streak_is_open_question(&b->trust.streak, workflow) && runs_elsewhere(b, workflow)) {
        breaker_hold(&p->breaker, workflow, b->id, mono_add(time_mono(), p->options.breaker_open));
        plan_breaker(p);
    }
}

static void went_wrong(struct attempt *a, enum streak_kind kind, bool forgiven)
{
    struct backend *b = a->backend;
    struct pool *p = b->pool;
    const struct str workflow = job_hash(a->job);
    struct mono_us until;
    if (retry_blame_of(a->end.outcome, a->end.error.code) == RETRY_BLAMES_BACKEND &&
        !a->trial.own_fault && breaker_failed(&p->breaker, workflow, b->id, time_mono(), &until)) {
        LOG(LOG_WARN, "the breaker of a workflow on a backend is open", LOG_S("backend", b->name),
            LOG_S("workflow", a->job->r.workflow_hash),
            LOG_S("why", a->end.error.message == NULL ? "" : a->end.error.message));
        plan_breaker(p);
    }
    if (forgiven) {
        return;
    }
    struct streak_failure f = {
        .kind = kind,
        .job = a->job->r.seq,
        .client = client_of(a->job),
        .exception = exception_of(a),
    };
    memcpy(f.workflow, a->job->r.workflow_hash, sizeof f.workflow);
    const struct str text =
        str_of(a->end.exception != NULL ? a->end.exception : a->end.error.message);
    streak_add(&b->trust.streak, &f, str_clip(text, MAX_CAUSE));
    judge(b);
    hold_if_open(b, workflow);
}

/* Ends doubts about a client whose other job completed elsewhere: it is that workflow, or the
   server. */
static void answer_doubts(struct backend *b, struct str workflow)
{
    const struct streak *s = &b->trust.streak;
    const bool other = s->len > 0 && !str_is(workflow, s->list[s->len - 1].workflow);
    if (b->trust.doubts != 0 && other) {
        set_doubts(b, streak_author(s));
    }
}

/* Compares with other suspect backends. True: a prompt failed there in the same way. */
static bool tell_suspects(struct attempt *a, enum streak_kind kind)
{
    struct pool *p = a->backend->pool;
    const struct str workflow = job_hash(a->job);
    bool there_too = false;
    for (size_t i = 0; i < p->backends_len && p->distrust.suspects > 0; i++) {
        struct backend *b = p->backends[i];
        struct streak *s = &b->trust.streak;
        if (b == a->backend || !b->trust.suspect) {
            continue;
        }
        const bool open = streak_is_open_question(s, workflow);
        if (a->end.outcome == ATTEMPT_COMPLETED) {
            streak_completed_elsewhere(s, a->job->r.seq, workflow, client_of(a->job));
            answer_doubts(b, workflow);
        } else if (a->trial.own_fault) {
            streak_forgive_job(s, a->job->r.seq);
        } else if (kind == STREAK_NODE && exception_of(a) != 0) {
            there_too = streak_forgive_exception(s, workflow, exception_of(a)) || there_too;
            set_doubts(b, streak_author(s));
        }
        judge(b);
        if (open && !runs_elsewhere(b, workflow)) {
            breaker_release(&p->breaker, workflow, b->id);
        }
    }
    return there_too;
}

/* Notes the fault in words that say what to do; shown until something completes there. */
static void note_fault(struct attempt *a)
{
    struct backend *b = a->backend;
    AUTO_BUF struct buf text;
    buf_init(&text, 4096);
    b->trust.remedy = a->end.remedy;
    const struct str cause = str_clip(str_of(a->end.exception), MAX_CAUSE);
    buf_printf(&text, "a fault of this server: %.*s; %s", (int)cause.n,
               cause.p == NULL ? "" : cause.p, a->end.remedy == NULL ? look_at_it : a->end.remedy);
    set_text(&b->trust.fault, buf_text(&text));
    b->trust.fault_job = a->job->r.seq;
    b->trust.fault_life = b->trust.life;
    LOG(LOG_WARN, "a fault of a server ended a prompt", LOG_S("backend", b->name),
        LOG_S("job", a->job->r.id), LOG_S("why", buf_text(&text)));
}

/* Judges a failed probe: the server is not well, whatever the rules say. For a different error it
   is unknown: another client's prompt tries next. */
static void judge_probe(const struct attempt *a)
{
    struct backend *b = a->backend;
    if (a->trial.probe != PROBE_SICK) {
        return;
    }
    b->trust.failed_probes++;
    if (b->trust.quarantine != QUARANTINE_NONE) {
        return;
    }
    AUTO_BUF struct buf why;
    buf_init(&why, 4096);
    const struct str text =
        str_of(a->end.exception != NULL ? a->end.exception : a->end.error.message);
    const struct str cause = str_clip(text, MAX_CAUSE);
    buf_printf(&why, "the prompt that tried it failed, too, with: %.*s; %s", (int)cause.n,
               cause.p == NULL ? "" : cause.p, a->end.remedy != NULL ? a->end.remedy : look_at_it);
    backend_quarantine(b, QUARANTINE_FAILURES, buf_text(&why));
}

void trust_note_end(struct attempt *a)
{
    struct backend *b = a->backend;
    enum streak_kind kind;
    /* The end was judged when it was given up. */
    const bool told = a->state.origin == ORIGIN_FOUND && a->end.outcome == ATTEMPT_LOST;
    const bool failed = kind_of(a, &kind) && attempt_verdict_tells(a->state.verdict) && !told;
    b->load.ends[a->end.outcome] += told ? 0 : 1;
    if (a->end.error.code == ERR_SERVER_FAULT && !a->trial.own_fault) {
        note_fault(a);
    }
    const bool there_too = tell_suspects(a, failed ? kind : STREAK_BACKEND);
    if (a->end.outcome == ATTEMPT_COMPLETED) {
        went_well(a);
    } else if (failed) {
        went_wrong(a, kind, there_too || a->trial.own_fault);
        judge_probe(a);
    }
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void try_again(void *ctx)
{
    struct backend *b = ctx;
    struct trust *t = &b->trust;
    if (barred_try(&t->barred)) {
        set_probation(b, t->probation == PROBATION_NONE ? PROBATION_REFUSAL : t->probation);
    }
    b->pool->ops->settle_backend(b);
    b->pool->ops->give_jobs(b->pool);
}

void trust_refused(struct attempt *a, const struct barred_request *q)
{
    struct backend *b = a->backend;
    struct trust *t = &b->trust;
    const bool retries = barred_note(&t->barred, q);
    LOG(LOG_WARN, "a backend refused a prompt", LOG_S("backend", b->name),
        LOG_S("job", a->job->r.id), LOG_S("why", t->barred.why));
    if (retries) {
        deadline_set(&b->pool->deadlines, &t->again,
                     mono_add(time_mono(), b->pool->options.breaker_open), try_again, b);
    }
    list_limited(b);
    b->pool->ops->settle_backend(b);
}

void trust_accepted(struct backend *b)
{
    struct trust *t = &b->trust;
    if (barred_accepted(&t->barred)) {
        t->epoch++;
        set_probation(b, t->probation == PROBATION_REFUSAL ? PROBATION_NONE : t->probation);
    }
}

void trust_file_accepted(struct backend *b)
{
    if (barred_file_accepted(&b->trust.barred)) {
        list_limited(b);
    }
}

void trust_forget_refusals(struct backend *b)
{
    struct trust *t = &b->trust;
    if (t->barred.why == NULL) {
        return;
    }
    t->epoch++;
    deadline_clear(&b->pool->deadlines, &t->again);
    forget_limits(b);
    barred_done(&t->barred);
    set_probation(b, t->probation == PROBATION_REFUSAL ? PROBATION_NONE : t->probation);
    b->pool->ops->settle_backend(b);
}

/* True if a prompt with files is there: one try at a time. */
static bool sends_files(const struct backend *b)
{
    const struct attempt *a = b->load.attempts;
    while (a != NULL && a->job->files.len == 0) {
        a = a->backend_next;
    }
    return a != NULL;
}

bool trust_bars(const struct backend *b, const struct job *j)
{
    const struct trust *t = &b->trust;
    const bool busy = t->barred.files && sends_files(b);
    return barred_for(&t->barred, j->texts.body_bytes, j->files.len, j->files.largest, busy) ||
           (t->doubts != 0 && client_of(j) == t->doubts && client_runs_elsewhere(b, t->doubts));
}
