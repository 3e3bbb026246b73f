/*
 * The account at the end of an attempt: clamps what the profiler learned to the attempt, closes
 * what is open, leaves out what gaps make unknown, counts, sorts. Reads the profiler, changes only
 * its result. Invariants of the result: executed + cached + failed + pending = total; no slice
 * outside [started, ended]; order is 0, 1, 2... over the nodes that have a start; a duration is the
 * sum of slices seen from start to end.
 */
#include "profiler_inner.h"

#include <stdlib.h>
#include <string.h>

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

/* Working state of the computation. */
struct account {
    struct profiler *p;
    const struct timeline *timeline;
    struct profile *out;
    struct mono_us planned_at;
    struct profile_slice *slices; /* next free */
    struct profile_progress *progress;
    const struct profile_gap *gaps; /* by times of reading */
    size_t gaps_len;
};

static struct mono_us clamp(const struct account *a, struct mono_us t)
{
    return mono_max(a->out->at.started, mono_min(t, a->out->at.ended));
}

/* Returns the gap in which a frame read then came late; NULL: it was in time. */
static const struct profile_gap *late_at(const struct account *a, struct mono_us read)
{
    const struct profile_gap *gap = profiler_gap_at(a->gaps, a->gaps_len, read, GAP_LATE);
    for (size_t i = 0; gap != NULL && i < a->p->punctual_len; i++) {
        if (a->p->punctual[i].us == read.us) {
            return NULL;
        }
    }
    return gap;
}

/* True if more copies may come: the newest one's parent still runs; if unknown, nothing else has
   begun since. */
static bool may_go_on(const struct account *a, const struct timed_node *n,
                      const struct timed_node *newest)
{
    struct profiler *p = a->p;
    if (newest->node.parent != NULL) {
        const struct node *parent = nodes_parent(&p->known, &newest->node);
        return parent != NULL && parent->status == PROFILE_EXECUTING;
    }
    const struct timed_node *began = p->starts_len == 0 ? NULL : p->starts[p->starts_len - 1].node;
    return began != NULL && began->node.display != NULL && str_is(n->node.id, began->node.display);
}

/* Returns the status of a node that only its copies run. */
static enum profile_status status_of_copies(const struct account *a, const struct timed_node *n)
{
    bool open = false;
    bool cached = true;
    const struct timed_node *newest = n->copies;
    for (const struct timed_node *c = n->copies; c != NULL; c = c->next_copy) {
        if (c->failed) {
            return PROFILE_FAILED;
        }
        open = open || profiler_is_open(c);
        cached = cached && c->node.status == PROFILE_CACHED;
        newest = c->seq > newest->seq ? c : newest;
    }
    if (a->out->outcome != ATTEMPT_COMPLETED && (open || may_go_on(a, n, newest))) {
        return PROFILE_EXECUTING;
    }
    return cached ? PROFILE_CACHED : PROFILE_COMPLETED;
}

static enum profile_status status_of(const struct account *a, const struct timed_node *n)
{
    if (n->failed) {
        return PROFILE_FAILED;
    }
    if (n->node.status == PROFILE_CACHED || (n->cached_by_history && !n->started)) {
        return PROFILE_CACHED;
    }
    if (n->copies != NULL) {
        return status_of_copies(a, n);
    }
    if (profiler_is_open(n)) {
        return a->out->outcome == ATTEMPT_COMPLETED ? PROFILE_COMPLETED : PROFILE_EXECUTING;
    }
    return n->started || n->node.ended ? PROFILE_COMPLETED : PROFILE_PENDING;
}

/* Bounds of the time of something read then. */
struct between {
    struct mono_us first, last;
    bool exact;
};

static struct between read_at(const struct account *a, struct mono_us read)
{
    const struct profile_gap *gap = late_at(a, read);
    return (struct between){clamp(a, gap == NULL ? read : gap->from), clamp(a, read), gap == NULL};
}

/* Bounds an end: the last one, read after the attempt's own, is that one. Without a usable stamp it
   may be at any time since the frame before its burst: a garbage collection holds frames back. */
static struct between end_of(const struct account *a, const struct timed_node *n,
                             struct mono_us read)
{
    const struct timeline *t = a->timeline;
    const struct mono_us ended = a->out->at.ended;
    const bool last = profiler_is_open(n) || profiler_ends_last(a->p, n);
    if (t->clock.changed && last && !mono_before(read, t->burst)) {
        return (struct between){clamp(a, mono_min(t->watched, read)), clamp(a, read), false};
    }
    if (last && !t->clock.end_doubtful && !mono_before(read, ended)) {
        return (struct between){ended, ended, true};
    }
    return read_at(a, read);
}

/* Adds a slice. True if both ends are exact. */
static bool add_slice(struct account *a, const struct timed_node *n, struct profile_node *to,
                      struct profile_slice s)
{
    const struct between start = read_at(a, s.from);
    const struct between end = end_of(a, n, s.to);
    struct profile_slice *at = a->slices++;
    *at = (struct profile_slice){start.last, mono_max(start.last, end.last)};
    if (to->seen_len == 0) {
        to->slices = at;
    }
    to->seen_len++;
    to->duration.us += mono_diff(at->to, at->from).us;
    const int64_t least = mono_diff(end.first, start.last).us;
    to->duration_min.us += least > 0 ? least : 0;
    to->duration_max.us += mono_diff(at->to, start.first).us;
    return start.exact && end.exact;
}

static void account_progress(struct account *a, const struct timed_node *n, struct profile_node *to)
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

/* Decides whether the time seen is a duration, and the end known. */
static void settle_duration(struct profile_node *to, bool exact, bool end_missed)
{
    to->has_duration = to->has_start && exact && !end_missed && !to->runs && to->seen_len > 0;
    to->has_end = to->has_duration;
    to->slices_len = to->has_duration || (to->runs && to->has_start) ? to->seen_len : 0;
    if (to->has_end) {
        to->end = to->slices[to->slices_len - 1].to;
    } else {
        to->duration.us = 0;
    }
}

/* Computes the times of a node that ran. */
static void account_run(struct account *a, const struct timed_node *n, struct profile_node *to)
{
    bool exact = true;
    for (size_t i = 0; i < n->slices_len; i++) {
        exact = add_slice(a, n, to, n->slices[i]) && exact;
    }
    if (profiler_is_open(n)) {
        const struct profile_slice open = {n->open_since, a->out->at.ended};
        exact = add_slice(a, n, to, open) && exact;
    }
    /* An end in a gap, or at the end of the prompt with the socket blind. */
    const bool end_missed = n->end_missed || (profiler_is_open(n) && a->p->unwatched &&
                                              to->status == PROFILE_COMPLETED);
    /* A running node: its slice counts as accounted time, and has no end. */
    to->runs = profiler_is_open(n) && a->out->outcome == ATTEMPT_OPEN;
    to->open_ended = profiler_is_open(n) && a->p->saw_state;
    to->has_start = n->start_known && late_at(a, n->start) == NULL;
    to->start = clamp(a, n->start);
    settle_duration(to, exact, end_missed);
    to->has_bounds = !exact && n->start_known && !end_missed && !to->runs;
    account_progress(a, n, to);
}

static int by_slice(const void *x, const void *y)
{
    const struct profile_slice *a = x;
    const struct profile_slice *b = y;
    return (a->from.us > b->from.us) - (a->from.us < b->from.us);
}

/* Computes the times of a node run by its copies: their slices. */
static void account_copies(struct account *a, const struct timed_node *n, struct profile_node *to)
{
    bool all = true;
    bool bounds = true;
    struct profile_slice *first = a->slices;
    for (const struct timed_node *c = n->copies; c != NULL; c = c->next_copy) {
        const struct profile_node *copy = &a->p->result[c->index];
        for (size_t i = 0; i < copy->seen_len; i++) {
            *a->slices++ = copy->slices[i];
        }
        to->seen_len += copy->seen_len;
        to->duration.us += copy->duration.us;
        to->duration_min.us += copy->has_duration ? copy->duration.us : copy->duration_min.us;
        to->duration_max.us += copy->has_duration ? copy->duration.us : copy->duration_max.us;
        to->runs = to->runs || copy->runs;
        to->open_ended = to->open_ended || copy->open_ended;
        all = all && copy->has_duration;
        bounds = bounds && (copy->has_duration || copy->has_bounds);
        if (copy->has_start && (!to->has_start || mono_before(copy->start, to->start))) {
            to->has_start = true;
            to->start = copy->start;
        }
    }
    qsort(first, to->seen_len, sizeof *first, by_slice);
    to->slices = first;
    /* A node also runs between two of its copies. */
    to->runs = to->runs || (to->status == PROFILE_EXECUTING && a->out->outcome == ATTEMPT_OPEN);
    settle_duration(to, all, false);
    to->has_bounds = !all && bounds;
}

static void account_node(struct account *a, const struct timed_node *n, struct profile_node *to)
{
    *to = (struct profile_node){
        .id = n->node.id,
        .parent = str_of(n->node.parent),
        .error = n->error,
        .status = status_of(a, n),
        .expanded = n->node.planned == NULL,
        .loops = n->loops,
        .has_copies = n->copies != NULL,
        .order = -1,
    };
    if (n->node.display != NULL) {
        to->display = str_of(n->node.display);
    }
    if (n->node.planned != NULL) {
        to->planned = (uint32_t)(n->node.planned - a->p->workflow->nodes);
        to->type = n->node.planned->class_type;
        to->title = n->node.planned->title;
        to->deps = a->p->workflow->deps + n->node.planned->first_dep;
        to->deps_len = n->node.planned->deps;
    }
    if (!a->out->at.has_started) {
        return; /* an attempt that never started has no times */
    }
    if (to->status == PROFILE_CACHED) {
        to->has_start = to->has_end = to->has_duration = true;
        to->start = to->end = clamp(a, n->node.status == PROFILE_CACHED ? n->start : a->planned_at);
        if (n->listed_cached) {
            to->start = to->end = a->planned_at;
        }
    } else if (n->copies != NULL) {
        account_copies(a, n, to);
    } else if (n->started) {
        account_run(a, n, to);
    }
}

/* True if n, displayed as a node that never began, is a copy of it: servers without progress_state,
   and some loops, never name the parent. */
static bool is_copy_of(struct profiler *p, const struct timed_node *n,
                       const struct timed_node *shown)
{
    if (shown == NULL || shown->node.planned == NULL || shown->started ||
        shown->cached_by_history || (!n->started && !n->node.ended)) {
        return false;
    }
    return n->node.parent == NULL ? !p->lost
                                  : !nodes_is_under(&p->known, &n->node, shown->node.id) &&
                                        !nodes_is_inside_of_copy(&p->known, &n->node);
}

/*
 * Finds the copies that run in place of a workflow node: expanded elsewhere and displayed as it,
 * such as the body of a loop. What is expanded inside a node or a copy is displayed as it too, but
 * is no copy.
 */
static void find_copies(struct profiler *p)
{
    p->loose_copies = false;
    for (size_t i = 0; i < p->len; i++) {
        p->nodes[i]->index = i;
        p->nodes[i]->copies = p->nodes[i]->next_copy = NULL;
        p->nodes[i]->loops = false;
    }
    for (size_t i = p->len; i > p->workflow->len; i--) {
        struct timed_node *n = p->nodes[i - 1];
        struct timed_node *shown = profiler_find(p, str_of(n->node.display));
        if (is_copy_of(p, n, shown)) {
            p->loose_copies = p->loose_copies || n->node.parent == NULL;
            n->next_copy = shown->copies;
            shown->copies = n;
            struct timed_node *parent = profiler_find(p, str_of(n->node.parent));
            if (parent != NULL) {
                parent->loops = true;
            }
        }
    }
}

static struct mono_us planning_end(const struct account *a)
{
    const struct profiler *p = a->p;
    const struct time_mark *started = &a->timeline->started;
    const struct time_mark *planned = &a->timeline->planned;
    if (a->timeline->clock.changed && planned->by_history) {
        /* The time of reading says nothing; the difference of both stamps does. */
        const int64_t took_ms = time_mark_is_stamped(started) && time_mark_is_stamped(planned)
                                    ? planned->stamp_ms - started->stamp_ms
                                    : 0;
        return clamp(a, mono_add(a->out->at.started, dur_ms(took_ms > 0 ? took_ms : 0)));
    }
    if (planned->set) {
        return clamp(a, timeline_point(a->timeline, planned));
    }
    return p->has_first_start ? clamp(a, p->first_start) : a->out->at.ended;
}

/* ---- order ----------------------------------------------------------------------------------- */

struct ranked {
    const struct timed_node *node;
    struct mono_us at;
    bool has_start;
    size_t index; /* in profiler.nodes */
    size_t from;  /* index in the unsorted result */
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
        p->nodes[ranks[i].from]->index = i;
        if (sorted[i].has_start) {
            sorted[i].order = (int32_t)i;
        }
    }
    memcpy(nodes, sorted, p->len * sizeof *nodes);
    free(sorted);
    free(ranks);
}

/* ---- unions of slices ------------------------------------------------------------------------ */

/* A child's slice, with the parent's id. */
struct child {
    struct str parent;
    struct profile_slice slice;
    bool known; /* false: it ran at an unknown time */
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

static int by_parent_and_time(const void *x, const void *y)
{
    const struct child *a = x;
    const struct child *b = y;
    const int c = by_parent(x, y);
    return c != 0 ? c
                  : (a->slice.from.us > b->slice.from.us) - (a->slice.from.us < b->slice.from.us);
}

/* Joins slices that touch, in order of time. Returns how many are left. */
static size_t join_children(const struct child *c, size_t len, struct profile_slice *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (n > 0 && !mono_before(ret[n - 1].to, c[i].slice.from)) {
            ret[n - 1].to = mono_max(ret[n - 1].to, c[i].slice.to);
        } else {
            ret[n++] = c[i].slice;
        }
    }
    return n;
}

/* Measures how much of a slice others cover; sorted and disjoint. O(log n + those in it). */
static struct dur_us covered(const struct profile_slice *s, size_t n, struct profile_slice of)
{
    size_t low = 0;
    size_t high = n;
    while (low < high) { /* first one that ends after its start */
        const size_t middle = low + (high - low) / 2;
        if (mono_before(of.from, s[middle].to)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    struct dur_us total = {0};
    for (; low < n && mono_before(s[low].from, of.to); low++) {
        total.us += mono_diff(mono_min(of.to, s[low].to), mono_max(of.from, s[low].from)).us;
    }
    return total;
}

/* Sets self: duration without the children's; children sorted by parent. */
static void account_self(struct profile_node *n, const struct child *children, size_t len,
                         struct profile_slice *scratch)
{
    n->self = n->duration;
    n->has_self = n->has_duration;
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
    for (; hit + count < children + len && str_eq(hit[count].parent, n->id); count++) {
        n->has_self = n->has_self && hit[count].known;
    }
    if (n->has_copies) {
        return; /* add_selves_of_copies */
    }
    count = join_children(hit, count, scratch);
    for (size_t i = 0; i < n->slices_len; i++) {
        n->self.us -= covered(scratch, count, n->slices[i]).us;
    }
}

static bool is_without_times(const struct profile_node *n)
{
    return !n->has_duration && n->status != PROFILE_PENDING && n->status != PROFILE_CACHED;
}

/* Sets self of a node run by its copies: the sum of theirs. */
static void add_selves_of_copies(const struct profiler *p, struct profile *out)
{
    for (size_t i = 0; i < p->workflow->len; i++) {
        const struct timed_node *shown = p->nodes[i];
        struct profile_node *n = &out->nodes[shown->index];
        if (shown->copies != NULL) {
            n->self.us = 0;
            for (const struct timed_node *c = shown->copies; c != NULL; c = c->next_copy) {
                n->self.us += out->nodes[c->index].self.us;
                n->has_self = n->has_self && out->nodes[c->index].has_self;
            }
        }
    }
}

static void account_selves(const struct profiler *p, struct profile *out, size_t all_slices)
{
    const size_t most = all_slices + out->nodes_len + 1;
    struct child *children = mem_alloc(most * sizeof *children);
    struct profile_slice *scratch = mem_alloc(most * sizeof *scratch);
    size_t len = 0;
    for (size_t i = 0; i < out->nodes_len; i++) {
        const struct profile_node *n = &out->nodes[i];
        const bool hidden = n->slices_len == 0 && (n->seen_len > 0 || is_without_times(n));
        for (size_t k = 0; n->parent.p != NULL && k < n->slices_len; k++) {
            children[len++] = (struct child){n->parent, n->slices[k], true};
        }
        if (n->parent.p != NULL && hidden) {
            children[len++] = (struct child){n->parent, {out->at.ended, out->at.ended}, false};
        }
    }
    qsort(children, len, sizeof *children, by_parent_and_time);
    for (size_t i = 0; i < out->nodes_len; i++) {
        account_self(&out->nodes[i], children, len, scratch);
    }
    add_selves_of_copies(p, out);
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

static void gather_gaps(struct account *a)
{
    struct profile_gap *read = profiler_gaps(a->p, a->timeline, &a->gaps_len);
    a->p->result_gaps = mem_alloc((2 * a->gaps_len + 1) * sizeof *read);
    memcpy(a->p->result_gaps, read, a->gaps_len * sizeof *read);
    free(read);
    a->gaps = a->p->result_gaps;
    struct profile_gap *told = a->p->result_gaps + a->gaps_len;
    for (size_t i = 0; i < a->gaps_len; i++) {
        told[i] = a->gaps[i];
        told[i].from = mono_max(a->out->at.queued, mono_min(told[i].from, a->out->at.ended));
        told[i].to = mono_max(told[i].from, mono_min(told[i].to, a->out->at.ended));
    }
    a->out->gaps = told;
    a->out->gaps_len = a->gaps_len;
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

/* Allocates the result. Returns the number of slices. */
static size_t make_room(struct profiler *p)
{
    profiler_free_result(p);
    size_t slices = 0;
    size_t progress = 0;
    for (size_t i = 0; i < p->len; i++) {
        slices += 2 * (p->nodes[i]->slices_len + 1); /* copies' slices appear twice */
        progress += p->nodes[i]->progress_len;
    }
    p->result = mem_alloc(p->len * sizeof *p->result);
    p->result_slices = mem_alloc(slices * sizeof *p->result_slices);
    p->result_progress = mem_alloc((progress + 1) * sizeof *p->result_progress);
    return slices;
}

void profiler_finish(struct profiler *p, const struct timeline *t, enum attempt_outcome outcome,
                     struct profile *ret)
{
    const size_t slices = make_room(p);
    const bool in_doubt = outcome == ATTEMPT_OPEN && t->clock.unsettled;
    *ret = (struct profile){
        .outcome = outcome,
        .anchor = t->anchor,
        .at = timeline_points(t),
        .workflow = p->workflow,
        .source = source_of(p),
        .node_ends_inferred = p->inferred,
        .in_doubt = in_doubt,
        .clock_known = t->clock.known && !t->clock.changed && !t->clock.doubtful && !in_doubt,
        .clock_changed = t->clock.changed,
        .execution_seen = !t->clock.changed || !t->started.by_history,
        .execution_known = timeline_is_told(t),
        .clock_offset_us = t->clock.offset_us + t->anchor.wall.us - t->anchor.mono.us,
    };
    struct account a = {
        .p = p,
        .timeline = t,
        .out = ret,
        .slices = p->result_slices,
        .progress = p->result_progress,
    };
    find_copies(p);
    gather_gaps(&a);
    a.planned_at = planning_end(&a);
    account_phases(ret, a.planned_at);
    for (size_t i = p->len; i > 0; i--) { /* copies before their displayed node */
        account_node(&a, p->nodes[i - 1], &p->result[i - 1]);
    }
    sort_nodes(p, p->result);
    ret->nodes = p->result;
    ret->nodes_len = p->len;
    account_selves(p, ret, slices);
    count(ret);
    profiler_analyse(p, t, ret, slices);
}
