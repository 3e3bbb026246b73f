/*
 * What the profiler learns while the attempt runs; see the header for the rules. The account at the
 * end is in profile.c. Invariants: a node has an open slice only between a start and an end; a
 * finished node never opens again; every slice start is in `starts`, in order of time.
 */
#include "profiler_inner.h"

#include <stdlib.h>

/* A backend that invents nodes without end is not followed beyond this; beyond so many parents they
   are a circle; and beyond so many gaps the last one grows. */
enum { MAX_EXPANDED = 20000, MAX_PARENTS = 100, MAX_GAPS = 200 };

struct profiler *profiler_new(const struct workflow *w, unsigned max_progress)
{
    struct profiler *p = mem_zero(1, sizeof *p);
    p->workflow = w;
    p->max_progress = max_progress;
    map_init(&p->expanded);
    p->own = mem_zero(w->len, sizeof *p->own);
    p->nodes = mem_alloc(w->len * sizeof(struct node *));
    p->cap = w->len;
    for (size_t i = 0; i < w->len; i++) {
        p->own[i].id = w->nodes[i].id;
        p->own[i].planned = &w->nodes[i];
        p->nodes[p->len++] = &p->own[i];
    }
    return p;
}

static void node_done(struct node *n)
{
    free(n->slices);
    free(n->progress);
    free(n->parent);
    free(n->display);
    free(n->error);
}

void profiler_free(struct profiler *p)
{
    if (p == NULL) {
        return;
    }
    for (size_t i = 0; i < p->len; i++) {
        node_done(p->nodes[i]);
        if (p->nodes[i]->planned == NULL) {
            free(p->nodes[i]->own_id);
            free(p->nodes[i]);
        }
    }
    free(p->own);
    free(p->nodes);
    map_done(&p->expanded);
    free(p->starts);
    free(p->opens);
    free(p->gaps);
    free(p->punctual);
    profiler_free_result(p);
    free(p);
}

struct node *profiler_find(struct profiler *p, struct str id)
{
    const struct workflow_node *planned = id.p == NULL ? NULL : workflow_find(p->workflow, id);
    return planned != NULL ? &p->own[planned - p->workflow->nodes]
           : id.p == NULL  ? NULL
                           : map_get(&p->expanded, id);
}

static struct node *parent_of(struct profiler *p, const struct node *n)
{
    const char *parent = n->parent == NULL && n->planned == NULL ? n->display : n->parent;
    return profiler_find(p, str_of(parent));
}

bool profiler_is_under(struct profiler *p, const struct node *n, const struct node *above)
{
    struct node *up = n->up != NULL ? n->up : parent_of(p, n);
    for (int i = 1; i < MAX_PARENTS && up != NULL && up != above; i++) {
        if (up->up == NULL) {
            struct node *next = parent_of(p, up);
            up->up = up->parent == NULL ? NULL : next; /* what it is displayed as may change */
            up = next;
        } else {
            up = up->up;
        }
    }
    return up != NULL && up == above;
}

/* Finds a node, or makes it one that the server expanded. NULL when there are too many. */
static struct node *find_or_expand(struct profiler *p, struct str id)
{
    struct node *n = profiler_find(p, id);
    if (n != NULL || id.p == NULL || p->len - p->workflow->len >= MAX_EXPANDED) {
        return n;
    }
    n = mem_zero(1, sizeof *n);
    n->own_id = mem_copy(id);
    n->id = (struct str){n->own_id, id.n};
    if (p->len == p->cap) {
        p->cap = p->cap * 2 + 8;
        p->nodes = mem_grow(p->nodes, p->cap * sizeof(struct node *));
    }
    p->nodes[p->len++] = n;
    (void)map_put(&p->expanded, n->id, n);
    return n;
}

static void remember_start(struct profiler *p, struct node *n, struct mono_us now)
{
    if (p->starts_len == p->starts_cap) {
        p->starts_cap = p->starts_cap == 0 ? 32 : p->starts_cap * 2;
        p->starts = mem_grow(p->starts, p->starts_cap * sizeof *p->starts);
    }
    n->open_index = p->starts_len;
    p->starts[p->starts_len++] = (struct start){n, now};
    if (!p->has_first_start) {
        p->has_first_start = true;
        p->first_start = now;
    }
}

static void open_slice(struct profiler *p, struct node *n, struct mono_us now, bool start_known)
{
    if (p->opens_len == p->opens_cap) {
        p->opens_cap = p->opens_cap == 0 ? 8 : p->opens_cap * 2;
        p->opens = mem_grow(p->opens, p->opens_cap * sizeof(struct node *));
    }
    n->open_at = p->opens_len;
    p->opens[p->opens_len++] = n;
    n->open = true;
    n->open_since = now;
    n->executing_seen = false;
    n->cached = false;
    if (!n->started) {
        n->started = true;
        n->start = now;
        n->seq = p->seq++;
        n->start_known = start_known;
    }
    remember_start(p, n, now);
}

/* Of frames that waited the kernel knows when the last one came. Those before it came no later,
 * though they were read later. */
static void progress_came_by(struct node *n, struct mono_us at)
{
    for (size_t i = n->progress_len; i > 0 && mono_before(at, n->progress[i - 1].at); i--) {
        n->progress[i - 1].at = at;
    }
}

static void close_slice(struct profiler *p, struct node *n, struct mono_us at)
{
    progress_came_by(n, at);
    if (n->slices_len == n->slices_cap) {
        n->slices_cap = n->slices_cap == 0 ? 1 : n->slices_cap * 2;
        n->slices = mem_grow(n->slices, n->slices_cap * sizeof *n->slices);
    }
    n->slices[n->slices_len++] = (struct profile_slice){n->open_since, at};
    p->opens[n->open_at] = p->opens[--p->opens_len];
    p->opens[n->open_at]->open_at = n->open_at;
    n->open = false;
    n->end = at;
}

static void mark_cached(struct profiler *p, struct node *n, struct mono_us at)
{
    n->cached = true;
    n->started = true;
    n->start_known = true;
    n->start = n->end = at;
    n->seq = p->seq++;
}

/* A node that ran though the server had listed it as cached: it starts anew. */
static void forget_cached(struct node *n)
{
    if (n->cached) {
        n->cached = false;
        n->started = false;
    }
}

/* Done without having been seen to run. */
static void done_unseen(struct profiler *p, struct node *n, struct mono_us now)
{
    if (n->cached || n->started) {
        return;
    }
    if (!p->lost) {
        mark_cached(p, n, now);
    }
    n->done = true; /* after a gap: completed, but nobody knows when */
}

static int by_place(const void *x, const void *y)
{
    const struct node *a = *(struct node *const *)x;
    const struct node *b = *(struct node *const *)y;
    return (a->planned > b->planned) - (a->planned < b->planned);
}

/* In the order of the workflow: the server's list is a set. */
static void feed_cached(struct profiler *p, struct mono_us now, const struct frame *f)
{
    struct node **fresh = mem_alloc((f->ids_len + 1) * sizeof(struct node *));
    size_t len = 0;
    for (size_t i = 0; i < f->ids_len; i++) {
        struct node *n = profiler_find(p, f->ids[i]);
        if (n == NULL || n->started || n->done || n->listed_cached) {
            continue;
        }
        n->listed_cached = true;
        if (n->planned != NULL) {
            fresh[len++] = n;
        }
    }
    qsort(fresh, len, sizeof(struct node *), by_place);
    for (size_t i = 0; i < len; i++) {
        mark_cached(p, fresh[i], now);
    }
    free(fresh);
}

/* The first start of another node after n's open slice began; false when there was none. */
static bool start_of_another(const struct profiler *p, const struct node *n, struct mono_us *ret)
{
    for (size_t i = n->open_index + 1; i < p->starts_len; i++) {
        if (p->starts[i].node != n) {
            *ret = p->starts[i].at;
            return true;
        }
    }
    return false;
}

/* Without progress_state the next `executing` is the only end there is. */
static void close_previous(struct profiler *p, const struct node *but, struct mono_us now)
{
    if (p->saw_state) {
        return;
    }
    for (size_t i = p->opens_len; i > 0; i--) { /* what takes the place of one was looked at */
        struct node *n = p->opens[i - 1];
        if (n != but) {
            close_slice(p, n, now);
            n->end_inferred = true;
            p->inferred = true;
        }
    }
}

/* Its `executing` came sooner than what was read before it was read; both are sent together. */
static void began_before(struct profiler *p, struct node *n, struct mono_us at)
{
    n->start = n->start.us == n->open_since.us ? at : n->start;
    n->open_since = at;
    p->starts[n->open_index].at = at;
}

static void feed_executing(struct profiler *p, struct mono_us now, const struct frame *f)
{
    struct node *n = find_or_expand(p, f->node);
    close_previous(p, n, now);
    if (n == NULL || n->done) {
        return;
    }
    if (n->planned == NULL && n->display == NULL && f->display_node.p != NULL) {
        n->display = mem_copy(f->display_node);
    }
    forget_cached(n);
    struct mono_us other;
    if (!n->open) {
        open_slice(p, n, now, true);
    } else if (!n->executing_seen && mono_before(now, n->open_since)) {
        began_before(p, n, now);
    } else if (n->executing_seen && start_of_another(p, n, &other)) {
        close_slice(p, n, other);
        open_slice(p, n, now, true);
    }
    n->executing_seen = true;
    n->start_known = true;
}

static void feed_running(struct profiler *p, struct mono_us now, struct node *n, bool unwatched)
{
    if (n->done || n->open) {
        return;
    }
    forget_cached(n);
    /* The first snapshot after a gap: it may have started at any time before. Its own
       `executing`, when it follows, proves that it started just now. */
    open_slice(p, n, now, !unwatched);
}

static void feed_finished(struct profiler *p, struct mono_us now, struct node *n, bool unwatched)
{
    if (n->done) {
        return;
    }
    if (n->open) {
        close_slice(p, n, now);
        n->end_missed = unwatched;
    } else if (n->end_inferred) {
        n->end_inferred = false;
    } else {
        done_unseen(p, n, now);
    }
    n->done = true;
}

static void feed_state(struct profiler *p, struct mono_us now, const struct frame *f)
{
    p->saw_state = true;
    const bool unwatched = p->unwatched;
    p->unwatched = false;
    for (size_t i = 0; i < f->nodes_len; i++) {
        const struct frame_node *e = &f->nodes[i];
        struct node *n = find_or_expand(p, e->id);
        if (n == NULL) {
            continue;
        }
        if (n->parent == NULL && e->parent.p != NULL) {
            n->parent = mem_copy(e->parent);
        }
        if (n->display == NULL && e->display.p != NULL && !str_eq(e->display, n->id)) {
            n->display = mem_copy(e->display);
        }
        if (e->state == NODE_STATE_RUNNING) {
            feed_running(p, now, n, unwatched);
        } else if (e->state == NODE_STATE_FINISHED) {
            feed_finished(p, now, n, unwatched);
        }
    }
}

static void feed_progress(struct profiler *p, struct mono_us now, const struct frame *f)
{
    struct node *n = profiler_find(p, f->node);
    if (n == NULL || !n->open) {
        return; /* a stray thread of another prompt, or a node that is over */
    }
    /* A value that falls begins a new series, at 0. */
    n->steps += f->value - (f->value < n->progress_last ? 0 : n->progress_last);
    n->progress_last = f->value;
    progress_came_by(n, now);
    if (n->progress_len >= p->max_progress) {
        n->progress_dropped++;
        return;
    }
    if (n->progress_len == n->progress_cap) {
        n->progress_cap = n->progress_cap == 0 ? 8 : n->progress_cap * 2;
        n->progress = mem_grow(n->progress, n->progress_cap * sizeof *n->progress);
    }
    n->progress[n->progress_len++] = (struct profile_progress){now, f->value, f->max};
}

static void set_error(struct node *n, struct str message)
{
    /* A message of the server ends with a line break. */
    while (message.n > 0 && (message.p[message.n - 1] == '\n' || message.p[message.n - 1] == ' ')) {
        message.n--;
    }
    free(n->error);
    n->error = mem_copy(message);
}

/* A copy of which nobody says what expanded into it. */
static bool is_loose_copy(struct profiler *p, const struct node *n)
{
    const struct node *shown = profiler_find(p, str_of(n->display));
    return n->parent == NULL && shown != NULL && !shown->started;
}

/* A node of the workflow runs beside the one that an error names: then nobody knows whose copy a
   loose one is. */
static bool runs_beside(const struct profiler *p, const struct node *named)
{
    bool any = false;
    for (size_t i = 0; i < p->starts_len && !any; i++) {
        const struct node *n = p->starts[i].node;
        any = n != named && n->open && n->planned != NULL;
    }
    return any;
}

/* An error names the outermost node; what threw is what began last of those that are open in it. */
static struct node *innermost_open(struct profiler *p, const struct node *n)
{
    const bool alone = !runs_beside(p, n);
    for (size_t i = p->starts_len; i > 0; i--) {
        struct node *inner = p->starts[i - 1].node;
        if (inner->open && inner->planned == NULL &&
            (profiler_is_under(p, inner, n) || (alone && is_loose_copy(p, inner)))) {
            return inner;
        }
    }
    return NULL;
}

/* It threw, and with it all that it lies in. */
static void fail(struct profiler *p, struct node *inner, const struct node *outermost,
                 struct str message)
{
    for (int i = 0; i < MAX_PARENTS && inner != NULL && inner != outermost; i++) {
        if (inner->open && inner->planned == NULL) {
            set_error(inner, message);
            inner->failed = true;
        }
        inner = parent_of(p, inner);
    }
}

static void feed_error(struct profiler *p, const struct frame *f)
{
    struct node *n = find_or_expand(p, f->node);
    if (n == NULL) {
        return;
    }
    set_error(n, f->message);
    if (!frame_is_terminal(f)) {
        return;
    }
    n->failed = true;
    fail(p, innermost_open(p, n), n, f->message);
}

static void feed_interrupted(struct profiler *p, const struct frame *f)
{
    struct node *n = profiler_find(p, f->node);
    if (n != NULL) {
        set_error(n, STR("interrupted here"));
    }
}

void profiler_feed(struct profiler *p, struct mono_us now, const struct frame *f)
{
    p->saw_events = true;
    switch (f->type) {
    case FRAME_CACHED:
        feed_cached(p, now, f);
        break;
    case FRAME_EXECUTING:
        feed_executing(p, now, f);
        break;
    case FRAME_PROGRESS:
        feed_progress(p, now, f);
        break;
    case FRAME_STATE:
        feed_state(p, now, f);
        break;
    case FRAME_EXECUTED: {
        struct node *n = find_or_expand(p, f->node);
        if (n != NULL) {
            done_unseen(p, n, now);
        }
        break;
    }
    case FRAME_ERROR:
        feed_error(p, f);
        break;
    case FRAME_INTERRUPTED:
        feed_interrupted(p, f);
        break;
    case FRAME_OTHER:
    case FRAME_MONITOR:
    case FRAME_SIGN:
    case FRAME_STATUS:
    case FRAME_START:
    case FRAME_SUCCESS:
        break;
    }
}

static void add_gap(struct profiler *p, struct profile_gap gap)
{
    struct profile_gap *list = p->gaps;
    if (list == NULL || p->gaps_len == p->gaps_cap) {
        p->gaps_cap = p->gaps_cap == 0 ? 2 : p->gaps_cap * 2;
        list = mem_grow(list, p->gaps_cap * sizeof *list);
        p->gaps = list;
    }
    list[p->gaps_len++] = gap;
}

void profiler_begins_unwatched(struct profiler *p)
{
    p->unwatched = true;
    p->lost = true;
}

void profiler_gap_begin(struct profiler *p, struct mono_us from, const char *reason)
{
    if (p->gap_open) {
        return;
    }
    add_gap(p, (struct profile_gap){from, from, reason, GAP_LOST});
    p->gap_open = true;
    p->unwatched = true;
    p->lost = true;
}

void profiler_gap_end(struct profiler *p, struct mono_us to)
{
    if (p->gap_open) {
        p->gaps[p->gaps_len - 1].to = to;
        p->gap_open = false;
    }
}

void profiler_late(struct profiler *p, struct mono_us from, struct mono_us now, const char *reason)
{
    if (p->gap_open) {
        return;
    }
    struct profile_gap *last = p->gaps_len == 0 ? NULL : &p->gaps[p->gaps_len - 1];
    const bool goes_on = last != NULL && last->kind == GAP_LATE &&
                         (mono_diff(from, last->to).us <= 0 || p->gaps_len >= MAX_GAPS);
    if (!goes_on) {
        add_gap(p, (struct profile_gap){from, now, reason, GAP_LATE});
        return;
    }
    last->from = mono_min(last->from, from);
    last->to = mono_max(last->to, now);
}

void profiler_punctual(struct profiler *p, struct mono_us at)
{
    if (p->punctual_len == p->punctual_cap) {
        p->punctual_cap = p->punctual_cap == 0 ? 2 : p->punctual_cap * 2;
        p->punctual = mem_grow(p->punctual, p->punctual_cap * sizeof *p->punctual);
    }
    if (p->punctual_len < MAX_GAPS) {
        p->punctual[p->punctual_len++] = at;
    }
}

static void history_done(struct profiler *p, const struct str *ids, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct node *node = profiler_find(p, ids[i]);
        if (node != NULL && !node->started) {
            node->done = true;
        }
    }
}

static void history_cached(struct profiler *p, const struct frame *f)
{
    for (size_t i = 0; i < f->ids_len; i++) {
        struct node *n = profiler_find(p, f->ids[i]);
        if (n != NULL && !n->started) {
            n->cached_by_history = true;
        }
    }
}

static void history_end(struct profiler *p, const struct frame *f)
{
    history_done(p, f->ids, f->ids_len);
    if (f->type == FRAME_ERROR) {
        feed_error(p, f);
    } else if (f->type == FRAME_INTERRUPTED) {
        feed_interrupted(p, f);
    }
}

void profiler_history(struct profiler *p, struct timeline *t, struct mono_us now,
                      const struct frame *messages, size_t messages_len, const struct str *done,
                      size_t done_len)
{
    for (size_t i = 0; i < messages_len; i++) {
        const struct frame *f = &messages[i];
        if (f->type == FRAME_START) {
            timeline_start_told(t, now, f->stamp_ms);
        } else if (f->type == FRAME_CACHED) {
            timeline_planned(t, now, f->stamp_ms, true);
        } else if (frame_is_terminal(f) && t->ended.set && t->ended.stamp_ms == 0) {
            t->ended.stamp_ms = f->stamp_ms;
            t->ended.by_history = true;
        }
        if (p != NULL && f->type == FRAME_CACHED) {
            history_cached(p, f);
        } else if (p != NULL && frame_is_terminal(f)) {
            history_end(p, f);
        }
    }
    if (p != NULL) {
        p->used_history = true;
        history_done(p, done, done_len);
    }
}
