/*
 * Estimates when queued and running jobs will start and end: simulates the whole queue in order,
 * each job on the backend that is free first, for the time that such runs took lately. A ComfyUI
 * server runs one prompt at a time, whatever its slots. Simulated on demand, at most once a second;
 * which backends a workflow may not run on is left to the real dispatch.
 */
#include "eta.h"

#include <stdlib.h>

#include "comfypool/base/heap.h"

#include "attempt.h"
#include "backends.h"
#include "clock.h"
#include "jobs.h"
#include "run_measurement.h"
#include "state.h"

/* With more waiting jobs than ETA_MOST the loop would be held too long: there are no estimates
   then. */
enum { FRESH_MS = 1000, ETA_MOST = 20000 };

static bool is_free_first(const struct heap_node *a, const struct heap_node *b)
{
    return mono_before(heap_item(a, const struct backend, eta.node)->eta.free_at,
                       heap_item(b, const struct backend, eta.node)->eta.free_at);
}

static void set_eta(struct job *j, struct mono_us starts, struct mono_us completes)
{
    j->forecast.known = true;
    j->forecast.starts = starts;
    j->forecast.completes = completes;
}

/* ---- what is on a backend already ------------------------------------------------------------ */

/* Orders the running attempt first, then by the time of the POST. */
static int by_turn(const void *x, const void *y)
{
    const struct attempt *a = *(struct attempt *const *)x;
    const struct attempt *b = *(struct attempt *const *)y;
    if (a->timeline.started.set != b->timeline.started.set) {
        return a->timeline.started.set ? -1 : 1;
    }
    return a->post.at.us < b->post.at.us ? -1 : a->post.at.us > b->post.at.us;
}

static void play_attempt(struct attempt *a, struct backend *b, struct mono_us now)
{
    struct dur_us expected;
    if (!measurement_expect(a->job, b, &expected)) {
        return;
    }
    struct mono_us starts = b->eta.free_at;
    if (a->timeline.started.set) {
        const struct timeline t = clock_timeline(a);
        starts = timeline_point(&t, &t.started);
    }
    const struct mono_us completes = mono_max(now, mono_add(starts, expected));
    set_eta(a->job, starts, completes);
    b->eta.free_at = mono_max(b->eta.free_at, completes);
}

static void play_backend(struct backend *b, struct mono_us now)
{
    b->eta.free_at = now;
    struct attempt **list = mem_alloc((b->slot.in_flight + 1) * sizeof(struct attempt *));
    size_t n = 0;
    for (struct attempt *a = b->load.attempts; a != NULL && n < b->slot.in_flight;
         a = a->backend_next) {
        list[n++] = a;
    }
    qsort(list, n, sizeof(struct attempt *), by_turn);
    for (size_t i = 0; i < n; i++) {
        play_attempt(list[i], b, now);
    }
    free(list);
}

/* ---- the queue ------------------------------------------------------------------------------- */

static int by_order(const void *x, const void *y)
{
    const struct job *a = *(struct job *const *)x;
    const struct job *b = *(struct job *const *)y;
    if (a->r.priority != b->r.priority) {
        return a->r.priority > b->r.priority ? -1 : 1;
    }
    return a->r.seq < b->r.seq ? -1 : a->r.seq > b->r.seq;
}

/* Returns waiting jobs in queue order. Owner: the caller. */
static struct job **waiting_jobs(struct pool *p, size_t *ret_len)
{
    struct job **list = mem_alloc((p->jobs.len + 1) * sizeof(struct job *));
    size_t n = 0;
    size_t at = 0;
    for (struct job *j = map_next(&p->jobs, &at); j != NULL; j = map_next(&p->jobs, &at)) {
        j->forecast.known = false;
        j->forecast.asked = p->eta_at;
        if (heap_holds(&j->entry.node) || heap_holds(&j->timers.delay.node)) {
            list[n++] = j;
        }
    }
    qsort(list, n, sizeof(struct job *), by_order);
    *ret_len = n;
    return list;
}

/* Simulates a job on the backend, after all jobs before it. */
static void play_job(struct job *j, struct backend *b)
{
    struct dur_us expected;
    if (!measurement_expect(j, b, &expected)) {
        return;
    }
    const bool delayed = heap_holds(&j->timers.delay.node);
    const struct mono_us starts =
        delayed ? mono_max(b->eta.free_at, j->timers.delay.at) : b->eta.free_at;
    set_eta(j, starts, mono_add(starts, expected));
    b->eta.free_at = j->forecast.completes;
}

/* True if the backend takes jobs; if none does there are no estimates. */
static bool takes_jobs(const struct backend *b)
{
    return b->slot.up && !b->pool->paused;
}

static void play(struct pool *p, struct mono_us now)
{
    size_t len = 0;
    struct job **list = waiting_jobs(p, &len);
    len = len > ETA_MOST ? 0 : len;
    struct heap backends;
    heap_init(&backends, is_free_first);
    for (size_t i = 0; i < p->backends_len; i++) {
        struct backend *b = p->backends[i];
        play_backend(b, now);
        b->eta.node = (struct heap_node){0};
        if (takes_jobs(b)) {
            heap_push(&backends, &b->eta.node);
        }
    }
    for (size_t i = 0; i < len && heap_top(&backends) != NULL; i++) {
        struct heap_node *first = heap_top(&backends);
        play_job(list[i], heap_item(first, struct backend, eta.node));
        heap_update(&backends, first);
    }
    heap_done(&backends);
    free(list);
}

/* Estimates a job that came after the simulation: behind all others. */
static void play_late(struct job *j, struct mono_us now)
{
    struct pool *p = j->pool;
    struct backend *best = NULL;
    for (size_t i = 0; i < p->backends_len; i++) {
        struct backend *b = p->backends[i];
        b->eta.free_at = mono_max(now, b->eta.free_at);
        if (takes_jobs(b) && (best == NULL || mono_before(b->eta.free_at, best->eta.free_at))) {
            best = b;
        }
    }
    j->forecast.asked = p->eta_at;
    if (best != NULL) {
        play_job(j, best);
    }
}

/* Simulates again if the job's estimate is older than FRESH_MS. */
static void refresh(struct job *j, struct mono_us now)
{
    struct pool *p = j->pool;
    if (p->eta_at.us == 0 || mono_diff(now, p->eta_at).us >= FRESH_MS * 1000) {
        p->eta_at = now;
        play(p, now);
    } else if (j->forecast.asked.us != p->eta_at.us) {
        play_late(j, now);
    }
}

bool eta_of(struct job *j, struct wall_us *ret_starts, struct wall_us *ret_completes)
{
    const struct mono_us now = time_mono();
    refresh(j, now);
    if (j->forecast.known) {
        *ret_starts = anchor_wall(&j->times.anchor, j->forecast.starts);
        *ret_completes = anchor_wall(&j->times.anchor, mono_max(now, j->forecast.completes));
    }
    return j->forecast.known;
}

bool eta_of_all(struct job *jobs, struct wall_us *ret)
{
    const struct time_anchor now = time_anchor_now();
    struct mono_us last = now.mono;
    bool known = jobs != NULL;
    for (struct job *j = jobs; known && j != NULL; j = j->batch_next) {
        refresh(j, now.mono);
        known = j->forecast.known;
        last = mono_max(last, j->forecast.completes);
    }
    *ret = anchor_wall(&now, last);
    return known;
}
