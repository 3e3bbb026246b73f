/*
 * The account at the end of an attempt: clamps what the profiler learned to the attempt, closes
 * what is open, counts, sorts. Reads the profiler, changes only its result. Invariants of the
 * result: executed + cached + failed + pending = total; no slice outside [started, ended]; order is
 * 0, 1, 2... over the nodes that have a start.
 */
#include "profiler_inner.h"

#include <stdlib.h>

static const char *const status_names[] = {
    [PROFILE_PENDING] = "pending",     [PROFILE_EXECUTING] = "executing",
    [PROFILE_COMPLETED] = "completed", [PROFILE_CACHED] = "cached",
    [PROFILE_FAILED] = "failed",
};

const char *profile_status_name(enum profile_status s)
{
    return status_names[s];
}

void profiler_free_result(struct profiler *p)
{
    free(p->result);
    free(p->result_slices);
    free(p->result_progress);
    free(p->result_gaps);
    free(p->result_idle);
    free(p->result_path);
    p->result = NULL;
    p->result_slices = NULL;
    p->result_progress = NULL;
    p->result_gaps = NULL;
    p->result_idle = NULL;
    p->result_path = NULL;
}

/* What computing the result needs at hand. */
struct account {
    struct profiler *p;
    const struct timeline *timeline;
    struct profile *out;
    struct mono_us planned_at;
    struct profile_slice *slices; /* next free */
    struct profile_progress *progress;
};

static struct mono_us clamp(const struct account *a, struct mono_us t)
{
    return mono_max(a->out->at.started, mono_min(t, a->out->at.ended));
}

static enum profile_status status_of(const struct account *a, const struct node *n)
{
    if (n->failed) {
        return PROFILE_FAILED;
    }
    if (n->cached || (n->cached_by_history && !n->started)) {
        return PROFILE_CACHED;
    }
    if (n->open) {
        return a->out->outcome == ATTEMPT_COMPLETED ? PROFILE_COMPLETED : PROFILE_EXECUTING;
    }
    return n->started || n->done ? PROFILE_COMPLETED : PROFILE_PENDING;
}

static void add_slice(struct account *a, struct profile_node *to, struct profile_slice s)
{
    struct profile_slice *at = a->slices++;
    *at = (struct profile_slice){clamp(a, s.from), clamp(a, s.to)};
    if (to->slices_len == 0) {
        to->slices = at;
    }
    to->slices_len++;
    to->duration.us += mono_diff(at->to, at->from).us;
}

static void account_progress(struct account *a, const struct node *n, struct profile_node *to)
{
    to->progress = a->progress;
    to->progress_len = n->progress_len;
    to->progress_dropped = n->progress_dropped;
    to->steps.count = n->steps;
    for (size_t i = 0; i < n->progress_len; i++) {
        *a->progress = n->progress[i];
        a->progress->at = clamp(a, n->progress[i].at);
        a->progress++;
    }
}

/* Times of a node that ran. */
static void account_run(struct account *a, const struct node *n, struct profile_node *to)
{
    for (size_t i = 0; i < n->slices_len; i++) {
        add_slice(a, to, n->slices[i]);
    }
    if (n->open) {
        add_slice(a, to, (struct profile_slice){n->open_since, a->out->at.ended});
    }
    /* Its start or end lay in a gap, or the socket was blind when the prompt ended. */
    const bool end_missed =
        n->end_missed || (n->open && a->p->unwatched && to->status == PROFILE_COMPLETED);
    /* It runs at this moment: its slice counts as time that is accounted for, and has no end. */
    const bool runs = n->open && a->out->outcome == ATTEMPT_OPEN;
    to->has_start = n->start_known;
    to->start = clamp(a, n->start);
    to->has_end = to->has_start && !end_missed && !runs && to->slices_len > 0;
    to->has_duration = to->has_end;
    if (to->has_end) {
        to->end = to->slices[to->slices_len - 1].to;
    } else {
        to->duration.us = 0;
        to->slices_len = runs && to->has_start ? to->slices_len : 0;
    }
    account_progress(a, n, to);
}

static void account_node(struct account *a, const struct node *n, struct profile_node *to)
{
    *to = (struct profile_node){
        .id = n->id,
        .parent = str_of(n->parent),
        .error = n->error,
        .status = status_of(a, n),
        .expanded = n->planned == NULL,
        .order = -1,
    };
    if (n->display != NULL) {
        to->display = str_of(n->display);
    }
    if (n->planned != NULL) {
        to->planned = (uint32_t)(n->planned - a->p->workflow->nodes);
        to->type = n->planned->class_type;
        to->title = n->planned->title;
        to->deps = a->p->workflow->deps + n->planned->first_dep;
        to->deps_len = n->planned->deps;
    }
    if (!a->out->at.has_started) {
        return; /* nothing of an attempt that never started has a time */
    }
    if (to->status == PROFILE_CACHED) {
        to->has_start = to->has_end = to->has_duration = true;
        to->start = to->end = clamp(a, n->cached ? n->start : a->planned_at);
        if (n->listed_cached) {
            to->start = to->end = a->planned_at;
        }
    } else if (n->started) {
        account_run(a, n, to);
    }
}

static struct mono_us planning_end(const struct account *a)
{
    const struct profiler *p = a->p;
    if (p->planned.set) {
        return clamp(a, timeline_point(a->timeline, &p->planned));
    }
    return p->has_first_start ? clamp(a, p->first_start) : a->out->at.ended;
}

/* ---- order ----------------------------------------------------------------------------------- */

struct ranked {
    const struct node *node;
    struct mono_us at;
    bool has_start;
    size_t index; /* in profiler.nodes */
    size_t from;  /* in the unsorted result */
};

static int by_start(const void *x, const void *y)
{
    const struct ranked *a = x;
    const struct ranked *b = y;
    if (a->has_start != b->has_start) {
        return a->has_start ? -1 : 1;
    }
    if (!a->has_start) {
        return (a->index > b->index) - (a->index < b->index);
    }
    if (a->at.us != b->at.us) {
        return a->at.us < b->at.us ? -1 : 1;
    }
    return (a->node->seq > b->node->seq) - (a->node->seq < b->node->seq);
}

static void sort_nodes(const struct profiler *p, struct profile_node *nodes)
{
    struct ranked *ranks = mem_alloc(p->len * sizeof *ranks);
    struct profile_node *sorted = mem_alloc(p->len * sizeof *sorted);
    for (size_t i = 0; i < p->len; i++) {
        ranks[i] = (struct ranked){p->nodes[i], nodes[i].start, nodes[i].has_start, i, i};
    }
    qsort(ranks, p->len, sizeof *ranks, by_start);
    for (size_t i = 0; i < p->len; i++) {
        sorted[i] = nodes[ranks[i].from];
        if (sorted[i].has_start) {
            sorted[i].order = (int32_t)i;
        }
    }
    memcpy(nodes, sorted, p->len * sizeof *nodes);
    free(sorted);
    free(ranks);
}

/* ---- unions of slices ------------------------------------------------------------------------ */

static int by_from(const void *x, const void *y)
{
    const struct profile_slice *a = x;
    const struct profile_slice *b = y;
    return (a->from.us > b->from.us) - (a->from.us < b->from.us);
}

/* The length of the union of slices within [from, to]; sorts them. */
static struct dur_us union_length(struct profile_slice *s, size_t n, struct mono_us from,
                                  struct mono_us to)
{
    qsort(s, n, sizeof *s, by_from);
    struct dur_us total = {0};
    struct mono_us reached = from;
    for (size_t i = 0; i < n; i++) {
        const struct mono_us begin = mono_max(reached, s[i].from);
        const struct mono_us end = mono_min(to, s[i].to);
        if (mono_before(begin, end)) {
            total.us += mono_diff(end, begin).us;
            reached = end;
        }
    }
    return total;
}

/* A child's slice, by the parent's id. */
struct child {
    struct str parent;
    struct profile_slice slice;
};

static int by_parent(const void *x, const void *y)
{
    const struct child *a = x;
    const struct child *b = y;
    if (a->parent.n != b->parent.n) {
        return a->parent.n < b->parent.n ? -1 : 1;
    }
    return memcmp(a->parent.p, b->parent.p, a->parent.n);
}

/* duration without what the children took; children sorted by parent. */
static void account_self(struct profile_node *n, const struct child *children, size_t len,
                         struct profile_slice *scratch)
{
    n->self = n->duration;
    if (!n->has_duration) {
        return;
    }
    const struct child key = {.parent = n->id};
    const struct child *hit =
        len == 0 ? NULL : bsearch(&key, children, len, sizeof *children, by_parent);
    if (hit == NULL) {
        return;
    }
    while (hit > children && str_eq(hit[-1].parent, n->id)) {
        hit--;
    }
    size_t count = 0;
    for (; hit < children + len && str_eq(hit->parent, n->id); hit++) {
        scratch[count++] = hit->slice;
    }
    for (size_t i = 0; i < n->slices_len; i++) {
        n->self.us -= union_length(scratch, count, n->slices[i].from, n->slices[i].to).us;
    }
}

static void account_selves(struct profile *out, size_t all_slices)
{
    struct child *children = mem_alloc((all_slices + 1) * sizeof *children);
    struct profile_slice *scratch = mem_alloc((all_slices + 1) * sizeof *scratch);
    size_t len = 0;
    for (size_t i = 0; i < out->nodes_len; i++) {
        const struct profile_node *n = &out->nodes[i];
        for (size_t k = 0; n->parent.p != NULL && k < n->slices_len; k++) {
            children[len++] = (struct child){n->parent, n->slices[k]};
        }
    }
    qsort(children, len, sizeof *children, by_parent);
    for (size_t i = 0; i < out->nodes_len; i++) {
        account_self(&out->nodes[i], children, len, scratch);
    }
    free(children);
    free(scratch);
}

/* ---- counts ---------------------------------------------------------------------------------- */

static void rank_slowest(struct profile *out, size_t index)
{
    const struct profile_node *n = &out->nodes[index];
    if (!n->has_duration || n->status == PROFILE_CACHED) {
        return;
    }
    size_t at = out->slowest_len;
    while (at > 0 && out->nodes[out->slowest[at - 1]].duration.us < n->duration.us) {
        at--;
    }
    if (at == PROFILE_SLOWEST) {
        return;
    }
    if (out->slowest_len < PROFILE_SLOWEST) {
        out->slowest_len++;
    }
    for (size_t i = out->slowest_len - 1; i > at; i--) {
        out->slowest[i] = out->slowest[i - 1];
    }
    out->slowest[at] = index;
}

static void count(struct profile *out)
{
    for (size_t i = 0; i < out->nodes_len; i++) {
        const struct profile_node *n = &out->nodes[i];
        rank_slowest(out, i);
        if (n->expanded) {
            out->expanded++;
            continue;
        }
        out->total++;
        switch (n->status) {
        case PROFILE_PENDING:
            out->pending++;
            break;
        case PROFILE_EXECUTING:
        case PROFILE_COMPLETED:
            out->executed++;
            break;
        case PROFILE_CACHED:
            out->cached++;
            break;
        case PROFILE_FAILED:
            out->failed++;
            break;
        }
    }
}

static void account_gaps(struct account *a)
{
    struct profiler *p = a->p;
    p->result_gaps = mem_alloc((p->gaps_len + 1) * sizeof *p->result_gaps);
    for (size_t i = 0; i < p->gaps_len; i++) {
        struct profile_gap *g = &p->result_gaps[i];
        *g = p->gaps[i];
        if (p->gap_open && i + 1 == p->gaps_len) {
            g->to = a->out->at.ended;
        }
        g->from = mono_max(a->out->at.queued, mono_min(g->from, a->out->at.ended));
        g->to = mono_max(g->from, mono_min(g->to, a->out->at.ended));
    }
    a->out->gaps = p->result_gaps;
    a->out->gaps_len = p->gaps_len;
}

static void account_phases(struct profile *out, struct mono_us planned_at)
{
    const struct timeline_points *at = &out->at;
    out->waiting = mono_diff(at->intent, at->queued);
    out->dispatch = mono_diff(at->accepted, at->intent);
    out->backend_queue = mono_diff(at->started, at->accepted);
    out->planning = mono_diff(planned_at, at->started);
    out->executing = mono_diff(at->ended, planned_at);
}

static enum profile_source source_of(const struct profiler *p)
{
    if (!p->used_history) {
        return PROFILE_FROM_EVENTS;
    }
    return p->saw_events ? PROFILE_FROM_BOTH : PROFILE_FROM_HISTORY;
}

void profiler_finish(struct profiler *p, const struct timeline *t, enum attempt_outcome outcome,
                     struct profile *ret)
{
    profiler_free_result(p);
    *ret = (struct profile){
        .outcome = outcome,
        .anchor = t->anchor,
        .at = timeline_points(t),
        .workflow = p->workflow,
        .source = source_of(p),
        .node_ends_inferred = p->inferred,
        .clock_known = t->clock.known,
        .clock_offset_us = t->clock.offset_us + t->anchor.wall.us - t->anchor.mono.us,
    };
    size_t slices = 0;
    size_t progress = 0;
    for (size_t i = 0; i < p->len; i++) {
        slices += p->nodes[i]->slices_len + 1;
        progress += p->nodes[i]->progress_len;
    }
    p->result = mem_alloc(p->len * sizeof *p->result);
    p->result_slices = mem_alloc(slices * sizeof *p->result_slices);
    p->result_progress = mem_alloc((progress + 1) * sizeof *p->result_progress);
    struct account a = {
        .p = p,
        .timeline = t,
        .out = ret,
        .slices = p->result_slices,
        .progress = p->result_progress,
    };
    a.planned_at = planning_end(&a);
    account_phases(ret, a.planned_at);
    for (size_t i = 0; i < p->len; i++) {
        account_node(&a, p->nodes[i], &p->result[i]);
    }
    sort_nodes(p, p->result);
    ret->nodes = p->result;
    ret->nodes_len = p->len;
    account_gaps(&a);
    account_selves(ret, slices);
    count(ret);
    profiler_analyse(p, ret, slices);
}
