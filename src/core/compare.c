/*
 * Deltas and verdicts; see the header. Numbers of base runs are collected by target node as runs
 * are added, so that only numbers are kept; medians are computed once, at the end. compare_match.c
 * matches the nodes. Durations are kept as doubles, which hold whole microseconds of three
 * centuries exactly.
 */
#include "compare_inner.h"

#include <math.h>
#include <stdlib.h>

/* ---- numbers --------------------------------------------------------------------------------- */

struct numbers {
    double *v;
    size_t len;
    size_t cap;
};

static void numbers_add(struct numbers *n, double value)
{
    if (n->len == n->cap) {
        n->cap = n->cap == 0 ? 4 : 2 * n->cap;
        n->v = mem_grow(n->v, n->cap * sizeof *n->v);
    }
    n->v[n->len++] = value;
}

static void numbers_add_known(struct numbers *n, double value)
{
    if (!isnan(value)) {
        numbers_add(n, value);
    }
}

static void numbers_done(struct numbers *n)
{
    free(n->v);
}

static int by_value(const void *x, const void *y)
{
    const double a = *(const double *)x;
    const double b = *(const double *)y;
    return (a > b) - (a < b);
}

/* Sorts n and returns its median; NAN if empty. */
static double median(struct numbers *n)
{
    if (n->len == 0) {
        return NAN;
    }
    qsort(n->v, n->len, sizeof *n->v, by_value);
    return (n->v[(n->len - 1) / 2] + n->v[n->len / 2]) / 2;
}

/* Returns the median distance from `centre`; turns n into the distances. */
static double mad(struct numbers *n, double centre)
{
    for (size_t i = 0; i < n->len; i++) {
        n->v[i] = fabs(n->v[i] - centre);
    }
    return median(n);
}

static struct dur_us whole(double us)
{
    return (struct dur_us){llround(us)};
}

/* ---- verdicts -------------------------------------------------------------------------------- */

const char *compare_verdict_name(enum compare_verdict v)
{
    static const char *const names[] = {
        [COMPARE_SAME] = "same", [COMPARE_SLOWER] = "slower", [COMPARE_FASTER] = "faster"};
    return names[v];
}

enum { RUNS_FOR_SPREAD = 3, LEAST_US = 5000 };

/* Factors are whole numbers, so that the edges are exact. */
enum compare_verdict compare_judge(struct dur_us base, struct dur_us target, struct dur_us mad_,
                                   size_t runs)
{
    const double delta = (double)(target.us - base.us);
    const double size = fabs(delta);
    const bool spread = runs >= RUNS_FOR_SPREAD;
    const bool differs = size > LEAST_US && size * (spread ? 20 : 10) > (double)base.us &&
                         (!spread || size * 10000 > (double)mad_.us * 44478);
    if (!differs) {
        return COMPARE_SAME;
    }
    return delta > 0 ? COMPARE_SLOWER : COMPARE_FASTER;
}

/* ---- what is collected ----------------------------------------------------------------------- */

struct collected {
    struct numbers executed; /* durations */
    struct numbers vram;
    struct numbers ram;
    struct numbers gpu;
    size_t there; /* base runs that have the node */
    size_t cached;
    bool cut_off; /* one of them did not finish */
    bool has_idle;
    struct dur_us idle; /* duration of the newest cached one */
    struct str base_id;
    char *own_id; /* owns base_id when the newest run lacks the node */
};

struct comparison {
    const struct compare_run *target;
    struct placed_run placed;
    struct collected *nodes; /* by target node */
    struct collected total;
    size_t runs;
    size_t *match; /* of the last run added */
    size_t *added;
    size_t *removed;
    struct compare_pair *pairs;
    struct comparison_result result;
};

struct comparison *comparison_new(const struct compare_run *target)
{
    struct comparison *c = mem_zero(1, sizeof *c);
    c->target = target;
    placed_run_init(&c->placed, target);
    c->nodes = mem_zero(target->nodes_len, sizeof *c->nodes);
    c->match = mem_alloc(target->nodes_len * sizeof *c->match);
    return c;
}

static void collected_done(struct collected *n)
{
    numbers_done(&n->executed);
    numbers_done(&n->vram);
    numbers_done(&n->ram);
    numbers_done(&n->gpu);
    free(n->own_id);
}

void comparison_free(struct comparison *c)
{
    if (c == NULL) {
        return;
    }
    for (size_t i = 0; i < c->target->nodes_len; i++) {
        collected_done(&c->nodes[i]);
    }
    collected_done(&c->total);
    placed_run_done(&c->placed);
    free(c->nodes);
    free(c->match);
    free(c->added);
    free(c->removed);
    free(c->pairs);
    free(c);
}

static void collect_resources(struct collected *n, const struct compare_resources *r,
                              const struct compare_resources *target)
{
    if (!str_eq(r->source, target->source)) {
        return;
    }
    numbers_add_known(&n->vram, r->vram_max);
    numbers_add_known(&n->ram, r->ram_max);
    numbers_add_known(&n->gpu, r->gpu_average);
}

static void collect_id(struct collected *n, struct str id, bool newest)
{
    if (n->there > 0) {
        return;
    }
    n->base_id = id;
    if (!newest) {
        n->own_id = mem_copy(id);
        n->base_id.p = n->own_id;
    }
}

static void collect_node(struct collected *n, const struct compare_node *base,
                         const struct compare_node *target, bool newest)
{
    collect_id(n, base->id, newest);
    n->there++;
    n->cached += base->cached;
    if (base->cached && base->has_duration && !n->has_idle) {
        n->has_idle = true;
        n->idle = base->duration;
    }
    if (!base->cached && base->has_duration && !base->open_ended) {
        numbers_add(&n->executed, (double)base->duration.us);
        n->cut_off |= !base->finished;
    }
    collect_resources(n, &base->resources, &target->resources);
}

static void collect_run(struct collected *total, const struct compare_run *base,
                        const struct compare_run *target)
{
    if (base->has_execution) {
        numbers_add(&total->executed, (double)base->execution.us);
        total->cut_off |= !base->finished;
    }
    collect_resources(total, &base->resources, &target->resources);
}

/* Collects the unmatched nodes of the newest run. */
static void collect_removed(struct comparison *c, const struct compare_run *base)
{
    AUTO_FREE bool *taken = mem_zero(base->nodes_len, sizeof *taken);
    for (size_t i = 0; i < c->placed.len; i++) {
        if (c->match[i] != NO_MATCH) {
            taken[c->match[i]] = true;
        }
    }
    c->removed = mem_alloc(base->nodes_len * sizeof *c->removed);
    for (size_t i = 0; i < base->nodes_len; i++) {
        if (!taken[i]) {
            c->removed[c->result.removed_len++] = i;
        }
    }
}

void comparison_add(struct comparison *c, const struct compare_run *base)
{
    const bool newest = c->runs == 0;
    AUTO_PLACED struct placed_run placed;
    placed_run_init(&placed, base);
    match_runs(&c->placed, &placed, c->match);
    for (size_t i = 0; i < c->placed.len; i++) {
        if (c->match[i] != NO_MATCH) {
            collect_node(&c->nodes[i], &base->nodes[c->match[i]], &c->target->nodes[i], newest);
        }
    }
    collect_run(&c->total, base, c->target);
    if (newest) {
        collect_removed(c, base);
    }
    c->runs++;
}

/* ---- what comes of it ------------------------------------------------------------------------ */

static struct compare_side side_of_base(struct collected *n)
{
    struct compare_side s = {.cached = 2 * n->cached > n->there, .executed = n->executed.len > 0};
    s.has_duration = s.executed || (s.cached && n->has_idle);
    s.duration = s.executed ? whole(median(&n->executed)) : s.cached ? n->idle : s.duration;
    return s;
}

/* Derives delta, ratio and verdict from both sides. */
static void judge(struct compare_times *t, struct collected *n, bool target_finished)
{
    t->base = side_of_base(n);
    t->has_delta = t->base.has_duration && t->target.has_duration;
    if (!t->has_delta) {
        return;
    }
    const struct dur_us base = t->base.duration;
    t->delta.us = t->target.duration.us - base.us;
    t->has_ratio = base.us != 0;
    t->ratio = t->has_ratio ? (double)t->target.duration.us / (double)base.us : 0;
    if (target_finished && !n->cut_off) {
        const size_t runs = n->executed.len;
        const struct dur_us spread = whole(runs > 0 ? mad(&n->executed, (double)base.us) : 0);
        t->verdict = compare_judge(base, t->target.duration, spread, runs);
    }
}

/* Returns target - base; NAN where a side is unknown. */
static struct compare_resources deltas_of(struct collected *n, const struct compare_resources *r)
{
    return (struct compare_resources){
        .vram_max = r->vram_max - median(&n->vram),
        .ram_max = r->ram_max - median(&n->ram),
        .gpu_average = r->gpu_average - median(&n->gpu),
    };
}

static struct compare_pair pair_of(const struct comparison *c, size_t i)
{
    const struct compare_node *n = &c->target->nodes[i];
    struct compare_pair p = {
        .node = i,
        .base_id = c->nodes[i].base_id,
        .times.target = {n->cached, !n->cached && n->has_duration, n->has_duration, n->duration},
        .deltas = deltas_of(&c->nodes[i], &n->resources),
    };
    judge(&p.times, &c->nodes[i], n->finished || n->cached);
    return p;
}

static void end_total(struct comparison *c)
{
    const struct compare_run *t = c->target;
    c->result.total.target =
        (struct compare_side){false, t->has_execution, t->has_execution, t->execution};
    judge(&c->result.total, &c->total, t->finished);
    c->result.deltas = deltas_of(&c->total, &t->resources);
}

const struct comparison_result *comparison_end(struct comparison *c)
{
    const size_t len = c->target->nodes_len;
    c->pairs = mem_alloc(len * sizeof *c->pairs);
    c->added = mem_alloc(len * sizeof *c->added);
    for (size_t i = 0; i < len; i++) {
        if (c->nodes[i].there > 0) {
            c->pairs[c->result.pairs_len++] = pair_of(c, i);
        } else {
            c->added[c->result.added_len++] = i;
        }
    }
    end_total(c);
    c->result.pairs = c->pairs;
    c->result.added = c->added;
    c->result.removed = c->removed;
    return &c->result;
}
