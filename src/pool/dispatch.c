/*
 * Which job goes where. A job without restrictions takes the first free backend that the scheduler
 * names: O(log n). One has restrictions when a backend refused its workflow, when a breaker is
 * open, or when its last attempt failed somewhere: then backends are looked at one by one, and it
 * waits in a lane of its kind so that it holds up nobody else.
 */
#include "comfypool/base/log.h"
#include "inner.h"

/* What speaks against a backend for a job. */
enum {
    BAR_REFUSED = 1, /* it refused this job, or this workflow since the job was submitted */
    BAR_BREAKER = 2, /* it failed on this workflow too often */
    BAR_REFUSED_OLD =
        4, /* it refused this workflow before: asked again before the job is given up */
    BAR_FAILED_HERE = 8, /* the job's last attempt failed there */
    BAR_SMALL = 16,      /* it has no more memory than the one that had too little */
    BAR_SMALLER = 32,    /* it has even less */
};

/* What may be overlooked when nobody better is there, in this order. */
static const unsigned overlooked[] = {
    0,
    BAR_SMALL,
    BAR_SMALL | BAR_FAILED_HERE,
    BAR_SMALL | BAR_FAILED_HERE | BAR_SMALLER,
    BAR_SMALL | BAR_FAILED_HERE | BAR_SMALLER | BAR_REFUSED_OLD,
};

enum { LEVELS = sizeof overlooked / sizeof *overlooked };

static bool is_restricted(const struct job *j)
{
    return j->elsewhere || j->wants_memory || ability_knows(&j->pool->ability, job_hash(j));
}

static unsigned bars(const struct job *j, const struct backend *b, struct mono_us now)
{
    const struct ability_view v = ability_view(&j->pool->ability, job_hash(j), b->id, now);
    unsigned found = v.open ? BAR_BREAKER : 0;
    if (v.refused) {
        found |= mono_before(v.refused_at, j->submitted) ? BAR_REFUSED_OLD : BAR_REFUSED;
    }
    if (!mono_before(now, j->prefers_until)) {
        return found; /* it has waited for a better one long enough */
    }
    if (j->elsewhere && j->r.backend != NULL && strcmp(j->r.backend, b->name) == 0) {
        found |= BAR_FAILED_HERE;
    }
    if (j->wants_memory && b->vram <= j->vram) {
        found |= b->vram < j->vram ? BAR_SMALLER : BAR_SMALL;
    }
    return found;
}

/* Nobody counts on it any more: on its way out, or down for long. */
static bool is_gone(const struct backend *b, struct mono_us now)
{
    return b->removing ||
           (!b->up && mono_diff(now, b->down_since).us >= b->pool->options.backend_lost.us);
}

static bool is_better(const struct backend *a, const struct backend *b)
{
    return b == NULL || scheduler_before(&a->slot, &b->slot);
}

/* The best free backend at the first level at which any backend would do; *ret_any: there is one,
   free or not. */
static struct backend *choose(const struct job *j, bool *ret_any)
{
    const struct pool *p = j->pool;
    const struct mono_us now = time_mono();
    *ret_any = false;
    for (size_t level = 0; level < LEVELS && !*ret_any; level++) {
        struct backend *best = NULL;
        for (size_t i = 0; i < p->backends_len; i++) {
            struct backend *b = p->backends[i];
            if (!b->slot.up || (bars(j, b, now) & ~overlooked[level]) != 0) {
                continue;
            }
            *ret_any = true;
            if (heap_holds(&b->slot.node) && is_better(b, best)) {
                best = b;
            }
        }
        if (best != NULL) {
            return best;
        }
    }
    return NULL;
}

static struct backend *backend_for(const struct job *j)
{
    if (!is_restricted(j)) {
        struct slot *s = scheduler_first(&j->pool->scheduler);
        return s == NULL ? NULL : heap_item(s, struct backend, slot);
    }
    bool any = false;
    return choose(j, &any);
}

void dispatch_lane_key(const struct job *j, struct buf *ret)
{
    if (is_restricted(j)) {
        buf_printf(ret, "%s/%s/%lld", j->r.workflow_hash, j->elsewhere ? j->r.backend : "",
                   j->wants_memory ? (long long)j->vram : -1LL);
    }
}

/* Its lane may not be right any more. True when it was moved. */
static bool change_lane(struct job *j)
{
    AUTO_BUF struct buf key;
    buf_init(&key, 4096);
    dispatch_lane_key(j, &key);
    if (str_eq(queue_key(&j->entry), buf_str(&key))) {
        return false;
    }
    queue_remove(&j->pool->queue, &j->entry);
    queue_push(&j->pool->queue, &j->entry, buf_str(&key), j->r.priority, j->r.seq);
    return true;
}

/* The first job, over all lanes, that some free backend can take. */
static struct job *next_job(struct pool *p, struct backend **ret_backend)
{
    struct job *best = NULL;
    for (size_t i = 0; i < p->queue.lanes_len; i++) {
        struct queue_entry *e = queue_first_of(&p->queue, i);
        if (e == NULL || (best != NULL && queue_before(&best->entry, e))) {
            continue;
        }
        struct job *j = heap_item(e, struct job, entry);
        if (change_lane(j)) { /* lanes have come or gone: from the beginning */
            best = NULL;
            i = (size_t)-1;
            continue;
        }
        struct backend *b = backend_for(j);
        if (b != NULL) {
            best = j;
            *ret_backend = b;
        }
    }
    return best;
}

void pool_dispatch(struct pool *p)
{
    if (p->dispatching) {
        return; /* the outer call goes on */
    }
    p->dispatching = true;
    while (!p->stopping && !p->paused && queue_length(&p->queue) > 0 &&
           scheduler_first(&p->scheduler) != NULL) {
        struct backend *b = NULL;
        struct job *j = next_job(p, &b);
        if (j == NULL) {
            break;
        }
        if (!job_need_texts(j)) {
            job_wait_for_store(j);
            continue;
        }
        queue_remove(&p->queue, &j->entry);
        attempt_begin(j, b);
    }
    p->dispatching = false;
}

bool dispatch_is_supported(const struct job *j, struct buf *ret_why)
{
    const struct pool *p = j->pool;
    const struct str hash = job_hash(j);
    if (!ability_knows(&p->ability, hash)) {
        return true;
    }
    const struct mono_us now = time_mono();
    bool refused = false;
    for (size_t i = 0; i < p->backends_len; i++) {
        const struct backend *b = p->backends[i];
        const bool here = (bars(j, b, now) & BAR_REFUSED) != 0;
        if (!here && !is_gone(b, now)) {
            return true;
        }
        refused = refused || here;
        buf_printf(ret_why, "%s%s: %s", i == 0 ? ". " : "; ", b->name,
                   here          ? ability_view(&p->ability, hash, b->id, now).reason
                   : b->removing ? "it is being removed"
                                 : "it cannot be reached");
    }
    return !refused;
}

/* Of the backends that nothing in the workflow speaks against: what keeps the job from them. */
static const char *reason_among(const struct job *j)
{
    const struct pool *p = j->pool;
    const struct mono_us now = time_mono();
    bool breaker = false;
    bool held = false;
    bool drained = false;
    for (size_t i = 0; i < p->backends_len; i++) {
        const struct backend *b = p->backends[i];
        const unsigned found = bars(j, b, now);
        if (b->slot.up && (found & (BAR_REFUSED | BAR_BREAKER)) == 0) {
            return NULL; /* it is busy */
        }
        breaker = breaker || (b->slot.up && (found & BAR_BREAKER) != 0);
        drained = drained || (b->up && (b->removing || b->admin == ADMIN_DRAINED));
        held =
            held || (b->up && (b->admin == ADMIN_QUARANTINED || b->quarantine != QUARANTINE_NONE));
    }
    return breaker   ? "breaker_open"
           : held    ? "backends_quarantined"
           : drained ? "backends_draining"
                     : "no_backend_up";
}

const char *dispatch_waiting_reason(const struct job *j)
{
    if (j->r.state != JOB_QUEUED) {
        return NULL;
    }
    if (heap_holds(&j->delay.node)) {
        return "retry_delay";
    }
    return j->pool->paused ? "queue_paused" : reason_among(j);
}

static void breaker_closes(void *ctx)
{
    struct pool *p = ctx;
    dispatch_plan_breaker(p);
    pool_dispatch(p);
}

void dispatch_plan_breaker(struct pool *p)
{
    struct mono_us at;
    if (ability_next_close(&p->ability, time_mono(), &at)) {
        deadline_set(&p->deadlines, &p->breaker, at, breaker_closes, p);
    }
}
