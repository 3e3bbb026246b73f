/*
 * Where the time went, from a finished account: the heaviest path through the graph, the stretches
 * in which nothing ran, model loading, cache hits, and the steps of nodes with progress. Called
 * once by profile.c when nodes, slices and counts are there; its allocations belong to the profiler
 * and live until the next account. Cycles in a workflow cost nothing extra: a link back to a node
 * on the stack is ignored. What a gap hides is unknown, never 0.
 */
#include "profiler_inner.h"

#include <stdlib.h>

/* ---- the heaviest path ----------------------------------------------------------------------- */

enum visit { VISIT_NEVER, VISIT_OPEN, VISIT_DONE };

/* The heaviest path that ends at a node of the workflow. */
struct reach {
    int64_t weight_us; /* the node's own */
    int64_t total_us;
    uint32_t via;  /* previous node on the path */
    uint32_t len;  /* nodes on the path */
    uint32_t next; /* next dependency to visit, while open */
    bool has_via;
    unsigned char visit;
};

/* Compares weights; of equal paths the longer one tells more. */
static bool is_heavier(const struct reach *a, const struct reach *b)
{
    return a->total_us != b->total_us ? a->total_us > b->total_us : a->len > b->len;
}

static void close_node(const struct workflow *w, struct reach *all, uint32_t index)
{
    struct reach *r = &all[index];
    const struct workflow_node *n = &w->nodes[index];
    for (uint32_t i = 0; i < n->deps; i++) {
        const uint32_t dep = w->deps[n->first_dep + i];
        if (all[dep].visit == VISIT_DONE && (!r->has_via || is_heavier(&all[dep], &all[r->via]))) {
            r->has_via = true;
            r->via = dep;
        }
    }
    r->total_us = r->weight_us + (r->has_via ? all[r->via].total_us : 0);
    r->len = 1 + (r->has_via ? all[r->via].len : 0);
    r->visit = VISIT_DONE;
}

/* Visits everything that `from` depends on, depth first, with an explicit stack. */
static void visit_from(const struct workflow *w, struct reach *all, uint32_t *stack, uint32_t from)
{
    size_t depth = 0;
    stack[depth++] = from;
    all[from].visit = VISIT_OPEN;
    while (depth > 0) {
        const uint32_t index = stack[depth - 1];
        const struct workflow_node *n = &w->nodes[index];
        if (all[index].next == n->deps) {
            close_node(w, all, index);
            depth--;
            continue;
        }
        const uint32_t dep = w->deps[n->first_dep + all[index].next++];
        if (all[dep].visit == VISIT_NEVER) {
            all[dep].visit = VISIT_OPEN;
            stack[depth++] = dep;
        }
    }
}

static void keep_path(struct profiler *p, const struct reach *all, uint32_t end,
                      struct profile_analysis *out)
{
    p->result_path = mem_alloc(all[end].len * sizeof *p->result_path);
    uint32_t at = end;
    for (uint32_t left = all[end].len; left > 0; left--) {
        p->result_path[left - 1] = at;
        at = all[at].via;
    }
    out->path = p->result_path;
    out->path_len = all[end].len;
    out->path_length.us = all[end].total_us;
}

/* True if a gap may hide how long the node ran. */
static bool is_hidden(const struct profile *profile, const struct profile_node *n)
{
    if (n->has_duration || n->status == PROFILE_CACHED || (n->runs && n->has_start)) {
        return false;
    }
    for (size_t i = 0; i < profile->gaps_len; i++) {
        const bool never_began = n->status == PROFILE_PENDING && n->seen_len == 0;
        if (profile->gaps[i].kind == GAP_LOST ||
            (profile->gaps[i].kind == GAP_LATE && !never_began)) {
            return true;
        }
    }
    return false;
}

/* Returns a node's time without that of the copies it expanded into. */
static int64_t own_time(const struct profile_node *n)
{
    return n->loops ? n->self.us : n->duration.us;
}

/* Returns a node's time, or that of its copies if it has some. */
static int64_t weight_of(const struct profiler *p, const struct profile *profile,
                         const struct profile_node *n)
{
    int64_t sum = 0;
    const struct timed_node *copy = p->nodes[n->planned]->copies;
    for (const struct timed_node *c = copy; c != NULL && n->has_duration; c = c->next_copy) {
        sum += own_time(&profile->nodes[c->index]);
    }
    return copy != NULL ? sum : n->has_duration ? own_time(n) : 0;
}

static void find_path(struct profiler *p, const struct profile *profile,
                      struct profile_analysis *out)
{
    const struct workflow *w = p->workflow;
    struct reach *all = mem_zero(w->len, sizeof *all);
    uint32_t *stack = mem_alloc(w->len * sizeof *stack);
    out->path_known = !p->loose_copies;
    for (size_t i = 0; i < profile->nodes_len; i++) {
        const struct profile_node *n = &profile->nodes[i];
        if (!n->expanded) {
            all[n->planned].weight_us = weight_of(p, profile, n);
            out->path_known = out->path_known && !is_hidden(profile, n);
        }
    }
    uint32_t end = 0;
    for (uint32_t i = 0; i < w->len; i++) {
        if (all[i].visit == VISIT_NEVER) {
            visit_from(w, all, stack, i);
        }
    }
    for (uint32_t i = 1; i < w->len; i++) {
        end = is_heavier(&all[i], &all[end]) ? i : end;
    }
    keep_path(p, all, end, out);
    free(stack);
    free(all);
}

/* ---- where nothing ran ----------------------------------------------------------------------- */

struct stretch {
    struct profile_slice slice;
    size_t node;
};

static int by_from(const void *x, const void *y)
{
    const struct stretch *a = x;
    const struct stretch *b = y;
    if (a->slice.from.us != b->slice.from.us) {
        return a->slice.from.us < b->slice.from.us ? -1 : 1;
    }
    return (a->node > b->node) - (a->node < b->node);
}

static void add_idle(struct profile_idle *list, size_t *len, struct profile_idle idle)
{
    if (mono_before(idle.from, idle.to)) {
        list[(*len)++] = idle;
    }
}

/* Collects, in order of time, when nodes ran or gaps may hide it. Owner: the caller. */
static struct stretch *gather_stretches(const struct profile *profile, size_t all_slices,
                                        size_t *ret_len)
{
    struct stretch *s = mem_alloc((all_slices + profile->gaps_len + 1) * sizeof *s);
    size_t n = 0;
    for (size_t i = 0; i < profile->nodes_len; i++) {
        for (size_t k = 0; k < profile->nodes[i].seen_len; k++) {
            s[n++] = (struct stretch){profile->nodes[i].slices[k], i};
        }
    }
    for (size_t i = 0; i < profile->gaps_len; i++) {
        const struct profile_gap *g = &profile->gaps[i];
        s[n++] = (struct stretch){{g->from, g->to}, PROFILE_NO_NODE};
    }
    qsort(s, n, sizeof *s, by_from);
    *ret_len = n;
    return s;
}

/* Sweeps over the stretches in order of their starts. */
static void find_idle(struct profiler *p, struct profile *profile, size_t all_slices)
{
    size_t n = 0;
    struct stretch *s = gather_stretches(profile, all_slices, &n);
    p->result_idle = mem_alloc((n + 1) * sizeof *p->result_idle);
    size_t len = 0;
    struct mono_us reached = {profile->at.started.us + profile->planning.us};
    const struct mono_us executing = reached;
    size_t last = PROFILE_NO_NODE;
    profile->unaccounted_known = true;
    for (size_t i = 0; i < n; i++) {
        const bool hides = s[i].node == PROFILE_NO_NODE && mono_before(executing, s[i].slice.to);
        profile->unaccounted_known = profile->unaccounted_known && !hides;
        add_idle(p->result_idle, &len,
                 (struct profile_idle){reached, s[i].slice.from, last, s[i].node});
        if (mono_before(reached, s[i].slice.to) ||
            (last == PROFILE_NO_NODE && reached.us == s[i].slice.to.us)) {
            last = s[i].node;
        }
        reached = mono_max(reached, s[i].slice.to);
    }
    add_idle(p->result_idle, &len,
             (struct profile_idle){reached, profile->at.ended, last, PROFILE_NO_NODE});
    free(s);
    profile->unaccounted.us = 0;
    for (size_t i = 0; i < len; i++) {
        profile->unaccounted.us += mono_diff(p->result_idle[i].to, p->result_idle[i].from).us;
    }
    profile->analysis.idle = p->result_idle;
    profile->analysis.idle_len = len;
}

/* ---- steps ----------------------------------------------------------------------------------- */

static int by_value(const void *x, const void *y)
{
    const double a = *(const double *)x;
    const double b = *(const double *)y;
    return (a > b) - (a < b);
}

/* Some 300 years: caps steps that advanced by almost nothing. */
static const int64_t MOST_US = INT64_C(1) << 53;

static struct dur_us rounded(double us)
{
    return (struct dur_us){us < (double)MOST_US ? (int64_t)(us + 0.5) : MOST_US};
}

/* True if a read at this time may have come late. */
static bool was_late(const struct profile *profile, struct mono_us at)
{
    return profiler_gap_at(profile->gaps, profile->gaps_len, at, GAP_LATE) != NULL;
}

/* Measures the times between advances; `each` has room for one a progress event. */
static void time_steps(const struct profile *profile, const struct profile_node *n, double *each,
                       struct profile_steps *ret)
{
    size_t len = 0;
    double advanced = 0;
    double took = 0;
    const struct profile_progress *last = &n->progress[0];
    for (size_t i = 1; i < n->progress_len; i++) {
        const struct profile_progress *e = &n->progress[i];
        const double advance = e->value - last->value;
        if (advance > 0 && !was_late(profile, e->at) && !was_late(profile, last->at)) {
            const double us = (double)mono_diff(e->at, last->at).us;
            each[len++] = us / advance;
            advanced += advance;
            took += us;
        }
        last = advance == 0 ? last : e;
    }
    if (len == 0) {
        return;
    }
    qsort(each, len, sizeof *each, by_value);
    ret->has_times = true;
    ret->per_second = took > 0 ? advanced * 1e6 / took : 0;
    ret->median = rounded((each[len / 2] + each[(len - 1) / 2]) / 2);
    ret->p95 = rounded(each[len * 95 / 100]);
}

/* Measures the first progress from the start of its slice. */
static void time_first(const struct profile_node *n, struct profile_steps *ret)
{
    const struct mono_us at = n->progress[0].at;
    for (size_t i = n->slices_len; i > 0 && !ret->has_first; i--) {
        if (!mono_before(at, n->slices[i - 1].from)) {
            ret->has_first = true;
            ret->first = mono_diff(at, n->slices[i - 1].from);
        }
    }
}

static void account_steps(struct profile *profile)
{
    size_t most = 0;
    for (size_t i = 0; i < profile->nodes_len; i++) {
        const size_t len = profile->nodes[i].progress_len;
        most = len > most ? len : most;
    }
    if (most == 0) {
        return;
    }
    double *each = mem_alloc(most * sizeof *each);
    for (size_t i = 0; i < profile->nodes_len; i++) {
        struct profile_node *n = &profile->nodes[i];
        if (n->progress_len > 0) {
            time_steps(profile, n, each, &n->steps);
            if (n->has_start && !was_late(profile, n->progress[0].at)) {
                time_first(n, &n->steps);
            }
        }
    }
    free(each);
}

/* ---- the rest -------------------------------------------------------------------------------- */

static bool has_word(struct str s, struct str word)
{
    return s.p != NULL && memmem(s.p, s.n, word.p, word.n) != NULL;
}

static void sum_loading(const struct profile *profile, struct profile_analysis *a)
{
    a->loading_known = true;
    for (size_t i = 0; i < profile->nodes_len; i++) {
        const struct profile_node *n = &profile->nodes[i];
        if (!n->expanded && has_word(n->type, STR("Loader")) &&
            profile->workflow->nodes[n->planned].names_model) {
            a->model_loading.us += n->has_duration ? n->duration.us : 0;
            a->loading_known = a->loading_known && !is_hidden(profile, n) && !n->runs;
        }
    }
}

/* Leaves out of a running attempt what its future decides: its plan, and how long the first node
   takes. */
static void leave_out_what_is_to_come(const struct profile *profile, bool planned,
                                      struct profile_analysis *a)
{
    if (profile->outcome == ATTEMPT_OPEN) {
        a->loading_known = a->loading_known && planned;
        a->path_known = a->path_known && a->path_length.us > 0;
    }
}

void profiler_analyse(struct profiler *p, const struct timeline *t, struct profile *profile,
                      size_t all_slices)
{
    struct profile_analysis *a = &profile->analysis;
    find_idle(p, profile, all_slices);
    find_path(p, profile, a);
    account_steps(profile);
    const struct mono_us started =
        profile->at.has_started ? profile->at.started : profile->at.ended;
    const int64_t execution_us = mono_diff(profile->at.ended, started).us;
    a->path_share = execution_us > 0 ? (double)a->path_length.us / (double)execution_us : 0;
    a->path_share = a->path_share > 1 ? 1 : a->path_share;
    sum_loading(profile, a);
    a->cache_hit_rate = profile->total > 0 ? (double)profile->cached / (double)profile->total : 0;
    a->hits_known = t->planned.set; /* the plan says what was cached */
    a->known = profile->at.has_started || profile->outcome != ATTEMPT_OPEN;
    leave_out_what_is_to_come(profile, t->planned.set, a);
    profile->unaccounted_known = profile->unaccounted_known && a->known && profile->execution_seen;
}
