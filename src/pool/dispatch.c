/*
 * What bars a job from a backend, the lane in which it therefore waits, and dispatching it. A job
 * is restricted if some backend cannot run it or is preferred (eligible.c), refused its workflow,
 * has an open breaker for it, or failed with it last time; all other jobs share one lane. routing.c
 * decides which waiting job is next and where it goes.
 */
#include "dispatch.h"

#include <stdlib.h>

#include "comfypool/base/log.h"

#include "attempt.h"
#include "attempt_begin.h"
#include "backends.h"
#include "clients.h"
#include "eligible.h"
#include "job_texts.h"
#include "jobs.h"
#include "refusals.h"
#include "routing.h"
#include "shun.h"
#include "state.h"
#include "submission_check.h"
#include "trust.h"

/* Reasons that bar a backend for a job. */
enum {
    BAR_REFUSED = 1,     /* refused this job, or its workflow since submission */
    BAR_BREAKER = 2,     /* failed on this workflow too often */
    BAR_REFUSED_OLD = 4, /* refused this workflow before: asked again before giving up */
    BAR_FAILED_HERE = 8, /* the job's last attempt failed there */
    BAR_SMALL = 16,      /* no more memory than the backend that ran out */
    BAR_SMALLER = 32,    /* even less memory */
    BAR_UNABLE = 64,     /* excluded by name, label, rule, or by what it has */
    BAR_SIZE = 128,      /* a gateway refused bodies of this size */
    BAR_SHUNNED = 256,   /* the job tried it while sick: others go first */
};

/* Reasons that may be overlooked when there is no better backend, in this order. */
static const unsigned overlooked[] = {
    0,
    BAR_SMALL,
    BAR_SMALL | BAR_FAILED_HERE,
    BAR_SMALL | BAR_FAILED_HERE | BAR_SMALLER,
    BAR_SMALL | BAR_FAILED_HERE | BAR_SMALLER | BAR_REFUSED_OLD,
};

enum {
    LEVELS = sizeof overlooked / sizeof *overlooked,
    /* See dispatch_passed: bytes a turn (about 5 ms), and the least that a job counts. */
    PASSED_A_TURN = 1 << 20,
    PASSED_LEAST = 1 << 14,
};

bool dispatch_is_known(const struct job *j)
{
    bool known = refusals_know(j, job_hash(j));
    for (size_t i = 0; job_has_variants(j) && i < j->spec->variants_len && !known; i++) {
        known = refusals_know(j, str_of(j->spec->variants[i].hash));
    }
    return known;
}

/* True if the job is restricted by past failures of itself or of its workflow. */
static bool has_history(const struct job *j)
{
    return j->past.elsewhere || j->past.wants_memory || j->shun.backend != 0 ||
           dispatch_is_known(j);
}

static bool is_restricted(struct job *j)
{
    return has_history(j) || eligible_is_restricted(j) || trust_bars_anywhere(j);
}

/* Returns the hash of the workflow, or of the variant, that would run there. */
static struct str hash_on(struct job *j, const struct backend *b)
{
    const int variant = job_has_variants(j) ? eligible_variant(j, b) : -1;
    return variant < 0 ? job_hash(j) : str_of(j->spec->variants[variant].hash);
}

/* True if a job of this workflow runs there: a breaker that closes again lets one at a time
 * through. */
static bool runs_there(struct str hash, const struct backend *b)
{
    const struct attempt *a = b->load.attempts;
    while (a != NULL && !str_eq(job_hash(a->job), hash)) {
        a = a->backend_next;
    }
    return a != NULL;
}

/* True if one counted attempt is left. */
static bool is_last_attempt(const struct job *j)
{
    return (int64_t)j->r.attempts - j->r.free_attempts >= j->r.policy.max_attempts - 1;
}

static unsigned bars(struct job *j, const struct backend *b, struct mono_us now)
{
    const struct str hash = hash_on(j, b);
    const struct breaker_view v = breaker_view(&j->pool->breaker, hash, b->id, now);
    unsigned found = v.open || (v.trying && runs_there(hash, b)) ? BAR_BREAKER : 0;
    found |= trust_bars(b, j) ? BAR_SIZE : 0;
    found |= shun_bars(j, b) ? BAR_SHUNNED : 0;
    if (eligible_is_restricted(j) && eligible_variant(j, b) < 0) {
        found |= BAR_UNABLE;
    }
    static const unsigned refusals[] = {
        [REFUSAL_NONE] = 0, [REFUSAL_OLD] = BAR_REFUSED_OLD, [REFUSAL_HERE] = BAR_REFUSED};
    found |= refusals[refusal_of(j, hash, b, now, NULL)];
    const bool patient = mono_before(now, j->past.prefers_until); /* waits for a better backend */
    if (!patient && !j->past.never_back && !is_last_attempt(j)) {
        return found;
    }
    if (j->past.elsewhere && j->past.failed_on != NULL && strcmp(j->past.failed_on, b->name) == 0) {
        found |= BAR_FAILED_HERE;
    }
    if (patient && j->past.wants_memory && b->said.vram <= j->past.vram) {
        found |= b->said.vram < j->past.vram ? BAR_SMALLER : BAR_SMALL;
    }
    return found;
}

bool dispatch_allows(struct job *j, const struct backend *b, unsigned level)
{
    return b->slot.up && (!is_restricted(j) || (bars(j, b, time_mono()) & ~overlooked[level]) == 0);
}

bool dispatch_is_able(struct job *j, const struct backend *but)
{
    const struct pool *p = j->pool;
    const struct mono_us now = time_mono();
    for (size_t i = 0; i < p->backends_len; i++) {
        const struct backend *b = p->backends[i];
        if (b != but && b->slot.up && (bars(j, b, now) & ~overlooked[LEVELS - 1]) == 0) {
            return true;
        }
    }
    return false;
}

bool dispatch_allows_reluctant(struct job *j, const struct backend *b)
{
    return b->slot.up && (bars(j, b, time_mono()) & ~(overlooked[LEVELS - 1] | BAR_SHUNNED)) == 0;
}

bool dispatch_level(struct job *j, unsigned *ret)
{
    const struct pool *p = j->pool;
    *ret = 0;
    if (!is_restricted(j)) {
        return true;
    }
    for (unsigned level = 0; level < LEVELS; level++) {
        for (size_t i = 0; i < p->backends_len; i++) {
            if (dispatch_allows(j, p->backends[i], level)) {
                *ret = level;
                return true;
            }
        }
    }
    return false;
}

/* ---- lanes ----------------------------------------------------------------------------------- */

void dispatch_lane_key(struct job *j, struct buf *ret)
{
    const struct pool *p = j->pool;
    if (eligible_is_restricted(j)) { /* jobs for the same backends share a lane */
        for (size_t i = 0; i < p->backends_len; i++) {
            const int variant = eligible_variant(j, p->backends[i]);
            const char able = eligible_is_preferred(j, p->backends[i]) ? 'A' : 'a';
            buf_add_char(ret, (char)(variant < 0 ? '-' : able + variant));
        }
        if (job_has_variants(j)) { /* ... and with the same variants */
            buf_printf(ret, "/%s", j->spec->variants_key);
        }
    }
    trust_add_lane(j, ret);
    if (has_history(j)) {
        buf_printf(ret, "/%s/%s/%lld/%d/%u", j->r.workflow_hash,
                   j->past.elsewhere && j->past.failed_on != NULL ? j->past.failed_on : "",
                   j->past.wants_memory ? (long long)j->past.vram : -1LL,
                   j->past.elsewhere && (j->past.never_back || is_last_attempt(j)),
                   (unsigned)j->shun.backend);
        refusals_add_lane(j, ret);
    }
}

bool dispatch_change_lane(struct job *j)
{
    AUTO_BUF struct buf key;
    buf_init(&key, BUF_NO_LIMIT);
    dispatch_lane_key(j, &key);
    if (str_eq(queue_key(&j->entry), buf_str(&key))) {
        return false;
    }
    queue_remove(&j->pool->queue, &j->entry);
    queue_push(&j->pool->queue, &j->entry, buf_str(&key), str_of(j->of_client.client->name),
               j->r.priority, j->r.seq);
    return true;
}

/* ---- giving away ----------------------------------------------------------------------------- */

/* Renders why the job runs there, for GET /jobs/<id>. */
static char *render_placement(const struct route *r)
{
    AUTO_BUF struct buf b;
    buf_init(&b, BUF_NO_LIMIT);
    struct js_out o = js_out_to(&b);
    js_open(&o, '{');
    js_member_string(&o, "backend", r->backend->name);
    js_member_string(&o, "reason", r->reason);
    if (r->expected_us >= 0) {
        js_member_ms(&o, "expectedMs", r->expected_us);
        js_member_bool(&o, "warm", r->warm);
    }
    if (job_has_variants(r->job)) {
        js_member_int(&o, "variant", (int64_t)r->job->route.variant);
    }
    js_close(&o, '}');
    return buf_take(&b);
}

static void give(struct route *r)
{
    struct job *j = r->job;
    queue_take(&j->pool->queue, &j->entry);
    j->route.held_until = (struct mono_us){0};
    free(j->r.placement);
    j->r.placement = render_placement(r);
    job_become_variant(j);
    attempt_begin(j, r->backend);
}

static void go_on(void *ctx)
{
    struct pool *p = ctx;
    p->dispatch.passed = 0;
    pool_dispatch(p);
}

void dispatch_again(struct pool *p, struct mono_us at)
{
    deadline_set(&p->deadlines, &p->dispatch.held, at, go_on, p);
}

bool dispatch_rests(const struct pool *p)
{
    return p->dispatch.passed > PASSED_A_TURN;
}

void dispatch_passed(struct pool *p, size_t bytes)
{
    p->dispatch.passed += PASSED_LEAST + bytes;
    if (dispatch_rests(p)) {
        dispatch_again(p, time_mono());
    }
}

/* True if the job is too large for the backend, now that its texts are here and tell the size. */
static bool is_too_large(const struct route *r)
{
    return trust_bars(r->backend, r->job) && dispatch_change_lane(r->job);
}

void pool_dispatch(struct pool *p)
{
    if (p->dispatch.is_running) {
        return; /* the outer call continues */
    }
    p->dispatch.is_running = true;
    while (!p->stopping && !p->paused && queue_length(&p->queue) > 0 &&
           scheduler_first(&p->scheduler) != NULL) {
        struct route r;
        if (dispatch_rests(p) || !routing_next(p, &r)) {
            break;
        }
        const enum texts texts = job_want_texts(r.job);
        if (texts == TEXTS_COMING) {
            break; /* it is first: no other job overtakes it */
        }
        if (texts == TEXTS_LOST) {
            p->ops->defer_job(r.job);
        } else if (is_too_large(&r)) {
            dispatch_passed(p, r.job->texts.body_bytes);
            job_spare_texts(r.job);
        } else {
            give(&r);
        }
    }
    p->dispatch.is_running = false;
}

/* ---- telling --------------------------------------------------------------------------------- */

bool dispatch_is_supported(struct job *j, struct buf *ret_why)
{
    const struct pool *p = j->pool;
    if (!dispatch_is_known(j)) {
        return true;
    }
    const struct mono_us now = time_mono();
    bool refused = false;
    for (size_t i = 0; i < p->backends_len; i++) {
        const struct backend *b = p->backends[i];
        const unsigned found = bars(j, b, now);
        const bool here = (found & BAR_REFUSED) != 0;
        const bool unable = (found & BAR_UNABLE) != 0;
        if (!(b->conn.up && here) && !b->terms.removing && eligible_may_be(j, b)) {
            return true;
        }
        refused = refused || here;
        buf_printf(ret_why, "%s%s: ", i == 0 ? ". " : "; ", b->name);
        if (!here && unable) {
            eligible_why(j, b, ret_why);
        } else {
            const char *why = "it is being removed";
            if (here) {
                (void)refusal_of(j, hash_on(j, b), b, now, &why);
            }
            buf_add_text(ret_why, why);
        }
    }
    return !refused;
}

/* Returns what keeps the job from the backends that could run its workflow. */
static const char *reason_among(struct job *j)
{
    const struct pool *p = j->pool;
    const struct mono_us now = time_mono();
    bool breaker = false;
    bool held = false;
    bool drained = false;
    bool unable = false;
    bool away = false;
    bool refuses = false;
    for (size_t i = 0; i < p->backends_len; i++) {
        const struct backend *b = p->backends[i];
        const unsigned found = bars(j, b, now);
        if ((found & BAR_UNABLE) != 0) {
            unable = unable || b->slot.up;
            continue;
        }
        away = away || (!b->conn.up && !b->terms.removing && (found & BAR_REFUSED) == 0);
        if (b->slot.up && (found & (BAR_REFUSED | BAR_BREAKER | BAR_SIZE | BAR_SHUNNED)) == 0) {
            return NULL; /* that backend is merely busy */
        }
        breaker = breaker || (b->slot.up && (found & BAR_BREAKER) != 0);
        const bool shunned = (found & BAR_SHUNNED) != 0;
        const bool for_refusal = shunned && b->trust.probation == PROBATION_REFUSAL;
        refuses = refuses || for_refusal ||
                  (b->conn.up && (b->trust.barred.all || (found & BAR_SIZE) != 0));
        drained = drained || (b->conn.up && (b->terms.removing || b->terms.admin == ADMIN_DRAINED));
        held = held || (shunned && !for_refusal);
        held = held || (b->conn.up && (b->terms.admin == ADMIN_QUARANTINED ||
                                       b->trust.quarantine != QUARANTINE_NONE));
    }
    return breaker   ? "breaker_open"
           : refuses ? "backend_refused"
           : held    ? "backends_quarantined"
           : drained ? "backends_draining"
           : away    ? "no_backend_up"
           : unable  ? "no_able_backend"
                     : "no_backend_up";
}

const char *dispatch_waiting_reason(struct job *j)
{
    if (j->r.state != JOB_QUEUED) {
        return NULL;
    }
    if (job_is_chained(j)) {
        return "dependency";
    }
    if (heap_holds(&j->timers.delay.node)) {
        return j->r.attempts == 0 && j->r.not_before.us != 0 ? "not_before" : "retry_delay";
    }
    if (j->pool->paused) {
        return "paused";
    }
    return j->of_client.client->held ? "client_limit" : reason_among(j);
}
