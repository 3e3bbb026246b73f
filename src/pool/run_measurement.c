/*
 * Measurements of runs. Each end of a job writes one, and several are folded into the store's roll-
 * ups together. Recent durations are also kept in memory, for estimates. Every job counts, profiled
 * or not; nodes only of profiled jobs. Unknown times are never used: neither of an attempt in which
 * the server's clock was set, nor within a gap. A run is cold if its backend ran something else
 * before, may have been restarted, or ran a foreign prompt: nothing of the workflow is in memory
 * there.
 */
#include "run_measurement.h"

#include <stdio.h>
#include <stdlib.h>

#include "comfypool/core/measures.h"
#include "comfypool/core/rollup.h"
#include "comfypool/core/rollup_age.h"
#include "comfypool/store/rollups.h"

#include "attempt.h"
#include "backends.h"
#include "eligible.h"
#include "jobs.h"
#include "state.h"
#include "strays.h"

enum {
    FOLD_SOON_MS = 2000,
    FOLD_MANY = 256,
    /* Age up to which measurements serve as estimates after a restart. */
    REMEMBERED_DAYS = 30,
};

/* ---- cold and warm --------------------------------------------------------------------------- */

/* True if its queue has foreign prompts. The server may count an ended prompt of ours until its
   next status. */
static bool has_foreign(const struct backend *b)
{
    int64_t own = b->load.settling;
    for (const struct attempt *a = b->load.attempts; a != NULL; a = a->backend_next) {
        own += attempt_is_posted(&a->state) ? 1 : 0;
    }
    for (const struct stray *s = b->strays; s != NULL; s = s->stray_next) {
        own++;
    }
    return b->said.queue > own;
}

void measurement_status(struct backend *b)
{
    b->warm.foreign = b->warm.foreign || has_foreign(b);
    b->load.settling = 0;
}

void measurement_foreign(struct backend *b)
{
    b->warm.foreign = true;
}

void measurement_lost(struct backend *b)
{
    b->warm.hash[0] = '\0';
}

void measurement_start(struct attempt *a)
{
    struct backend *b = a->backend;
    a->runs_cold = b->warm.foreign || strcmp(b->warm.hash, a->job->r.workflow_hash) != 0;
    memcpy(b->warm.hash, a->job->r.workflow_hash, sizeof b->warm.hash);
    const struct need *need = eligible_need(a->job, a->job->route.variant);
    (void)snprintf(b->warm.models, sizeof b->warm.models, "%s", need == NULL ? "" : need->models);
    b->warm.foreign = has_foreign(b); /* a foreign prompt may come after this one */
}

/* ---- folding --------------------------------------------------------------------------------- */

static void fold_now(void *ctx);

static void fold_at(struct pool *p, struct mono_us at)
{
    if (!p->stopping && !p->folding.is_running) {
        deadline_set(&p->deadlines, &p->folding.due, at, fold_now, p);
    }
}

static void folded(void *ctx, bool more)
{
    struct pool *p = ctx;
    p->folding.is_running = false;
    if (more || p->folding.unfolded > 0) {
        fold_at(p, mono_add(time_mono(), dur_ms(more ? 0 : FOLD_SOON_MS)));
    }
}

static void fold_now(void *ctx)
{
    struct pool *p = ctx;
    p->folding.is_running = true;
    p->folding.unfolded = 0;
    store_fold(p->store, folded, p);
}

static void plan_fold(struct pool *p)
{
    p->folding.unfolded++;
    if (p->folding.unfolded >= FOLD_MANY) {
        fold_at(p, time_mono());
    } else if (!heap_holds(&p->folding.due.node)) {
        fold_at(p, mono_add(time_mono(), dur_ms(FOLD_SOON_MS)));
    }
}

/* ---- the end of a job ------------------------------------------------------------------------ */

/* False for a slice that only the attempt's end closed: it tells how long the attempt was, not the
   node. */
static bool run_of(const struct profile_node *n, struct node_run *ret)
{
    *ret = (struct node_run){.node_id = n->id, .class_type = n->type};
    if (n->status == PROFILE_COMPLETED && n->has_duration && !n->open_ended) {
        ret->status = RUN_EXECUTED;
        ret->us = n->duration.us;
        return true;
    }
    ret->status = n->status == PROFILE_FAILED ? RUN_FAILED : RUN_CACHED;
    return n->status == PROFILE_FAILED || n->status == PROFILE_CACHED;
}

static struct node_run *runs_of(const struct profile *profile, size_t *ret_len)
{
    struct node_run *runs = mem_alloc((profile->nodes_len + 1) * sizeof *runs);
    size_t len = 0;
    for (size_t i = 0; i < profile->nodes_len; i++) {
        len += run_of(&profile->nodes[i], &runs[len]) ? 1 : 0;
    }
    *ret_len = len;
    return runs;
}

void measurement_key(struct job *j)
{
    struct workflow *w = NULL;
    struct workflow_problem problem;
    if (j->r.cost_key[0] != '\0' || j->texts.workflow == NULL) {
        return;
    }
    if (workflow_parse((struct str){j->texts.workflow, j->texts.workflow_len}, &w, &problem)) {
        memcpy(j->r.cost_key, w->cost_key, sizeof j->r.cost_key);
        workflow_free(w);
    } else {
        buf_done(&problem.pointer);
    }
}

static struct str cost_of(const struct job *j)
{
    return str_of(j->r.cost_key);
}

void measurement_end(struct attempt *a, enum job_state state, const struct profile *profile,
                     struct buf *out)
{
    const struct job *j = a->job;
    struct pool *p = j->pool;
    const struct timeline_points at = timeline_points(&a->timeline);
    const struct dur_us took = mono_diff(at.ended, at.started);
    const bool told = timeline_is_told(&a->timeline);
    struct node_run *runs = NULL;
    struct measurement m = {
        .at = anchor_wall(&a->timeline.anchor, at.ended),
        .state = state,
        .cold = a->runs_cold,
        .executed = a->end.executed > 0,
        .execution_us = told ? took.us : -1,
        .nodes = a->workflow->len,
        .nodes_cached = profile == NULL ? progress_cached(&a->progress) : profile->cached,
        .workflow_hash = job_hash(j),
        .cost_key = cost_of(j),
        .backend = str_of(a->r.backend),
        .client = str_of(j->r.client),
    };
    if (profile != NULL && !profile->clock_changed) {
        m.runs = runs = runs_of(profile, &m.runs_len);
    }
    measurement_write(&m, out);
    for (size_t i = 0; i < m.runs_len; i++) {
        if (runs[i].status == RUN_EXECUTED) {
            measures_add_class(p->measures, runs[i].class_type, m.backend,
                               (struct dur_us){(int64_t)runs[i].us});
        }
    }
    free(runs);
    if (state == JOB_COMPLETED && m.executed && told) {
        measures_add(p->measures, m.cost_key, m.backend, m.cold, took);
    }
    plan_fold(p);
}

bool measurement_expect(const struct job *j, const struct backend *b, struct dur_us *ret)
{
    return measures_expect(j->pool->measures, cost_of(j), str_of(b->name), ret);
}

/* ---- the start ------------------------------------------------------------------------------- */

static void remember(struct pool *p, const struct summary_row *row)
{
    const char *slash = strchr(row->key, '/');
    if (slash == NULL) {
        return; /* "other" */
    }
    const struct str cost = {row->key, (size_t)(slash - row->key)};
    const struct sketch *sketches[] = {&row->data.cold, &row->data.warm};
    for (size_t i = 0; i < 2; i++) {
        if (sketches[i]->count > 0) {
            measures_add(p->measures, cost, str_of(slash + 1), i == 0,
                         (struct dur_us){(int64_t)sketch_quantile(sketches[i], 0.5)});
        }
    }
}

static void remembered(void *ctx, enum err e, const struct summary_row *rows, size_t n)
{
    (void)e; /* logged; there are no estimates until something has run */
    for (size_t i = 0; i < n; i++) {
        remember(ctx, &rows[i]);
    }
}

static void recall(struct pool *p)
{
    const int64_t day = INT64_C(86400) * 1000000;
    const struct wall_us since = {time_wall().us - REMEMBERED_DAYS * day};
    store_summarize(p->store, GROUP_RUN, rollup_since(since, time_wall()), "", NULL, remembered, p);
}

/* Called when measurements of the last run are in the roll-ups, as far as the store can be written.
 */
static void rest_folded(void *ctx, bool more)
{
    struct pool *p = ctx;
    if (more && !p->stopping) {
        store_fold(p->store, rest_folded, p);
        return;
    }
    if (!p->stopping) {
        recall(p);
    }
    folded(p, more);
}

void measurement_begin(struct pool *p)
{
    p->measures = measures_new();
    p->folding.is_running = true;
    store_fold(p->store, rest_folded, p);
}
