/*
 * What the profiler learns while the attempt runs; see the header for the rules. core/nodes.c moves
 * the nodes; here are their times. The account at the end is in profile.c. Invariants: exactly the
 * running nodes have an open slice; every slice start is in `starts`, in order of time.
 */
#include "profiler_inner.h"

#include <stdlib.h>

/* Beyond this the last gap grows. */
enum { MAX_GAPS = 200 };

struct profiler *profiler_new(const struct workflow *w, unsigned max_progress)
{
    struct profiler *p = mem_zero(1, sizeof *p);
    p->workflow = w;
    p->max_progress = max_progress;
    nodes_init(&p->known, w, sizeof(struct timed_node));
    p->nodes = mem_alloc(w->len * sizeof(struct timed_node *));
    p->cap = w->len;
    while (p->len < w->len) {
        p->nodes[p->len] = (struct timed_node *)nodes_planned(&p->known, p->len);
        p->len++;
    }
    return p;
}

static void node_done(struct node *n)
{
    struct timed_node *t = (struct timed_node *)n;
    free(t->slices);
    free(t->progress);
    free(t->error);
}

void profiler_free(struct profiler *p)
{
    if (p == NULL) {
        return;
    }
    nodes_done(&p->known, node_done);
    free(p->nodes);
    free(p->starts);
    free(p->gaps);
    free(p->punctual);
    profiler_free_result(p);
    free(p);
}

/* Finds a node, or adds it as expanded by the server. NULL: too many. */
static struct timed_node *find_or_expand(struct profiler *p, struct str id)
{
    struct timed_node *n = profiler_find(p, id);
    if (n != NULL || id.p == NULL) {
        return n;
    }
    n = (struct timed_node *)nodes_expand(&p->known, id);
    if (n == NULL) {
        return NULL;
    }
    if (p->len == p->cap) {
        p->cap = p->cap * 2 + 8;
        p->nodes = mem_grow(p->nodes, p->cap * sizeof(struct timed_node *));
    }
    p->nodes[p->len++] = n;
    return n;
}

static void remember_start(struct profiler *p, struct timed_node *n, struct mono_us now)
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

static void open_slice(struct profiler *p, struct timed_node *n, struct mono_us now)
{
    n->open_since = now;
    n->executing_seen = false;
    if (!n->started) {
        n->started = true;
        n->start = now;
        n->seq = p->seq++;
        n->start_known = true;
    }
    remember_start(p, n, now);
}

/* Caps progress times at that of a frame whose arrival the kernel recorded: those before came no
   later. */
static void progress_came_by(struct timed_node *n, struct mono_us at)
{
    for (size_t i = n->progress_len; i > 0 && mono_before(at, n->progress[i - 1].at); i--) {
        n->progress[i - 1].at = at;
    }
}

static void close_slice(struct timed_node *n, struct mono_us at)
{
    progress_came_by(n, at);
    if (n->slices_len == n->slices_cap) {
        n->slices_cap = n->slices_cap == 0 ? 1 : n->slices_cap * 2;
        n->slices = mem_grow(n->slices, n->slices_cap * sizeof *n->slices);
    }
    n->slices[n->slices_len++] = (struct profile_slice){n->open_since, at};
    n->end = at;
}

static void mark_cached(struct profiler *p, struct timed_node *n, struct mono_us at)
{
    n->started = true;
    n->start_known = true;
    n->start = n->end = at;
    n->seq = p->seq++;
}

/* Moves a node and its times. False: no change. A node that ended in a gap has completed, at an
   unknown time. */
static bool move(struct profiler *p, struct timed_node *n, enum node_said said, struct mono_us now)
{
    const enum profile_status old = n->node.status;
    if (!nodes_move(&p->known, &n->node, said, p->lost)) {
        return false;
    }
    const enum profile_status status = n->node.status;
    if (status == PROFILE_EXECUTING) {
        n->started = n->started && old != PROFILE_CACHED; /* starts anew */
        open_slice(p, n, now);
    } else if (old == PROFILE_EXECUTING) {
        close_slice(n, now);
    } else if (status == PROFILE_CACHED) {
        mark_cached(p, n, now);
    }
    return true;
}

static int by_place(const void *x, const void *y)
{
    const struct timed_node *a = *(struct timed_node *const *)x;
    const struct timed_node *b = *(struct timed_node *const *)y;
    return (a->node.planned > b->node.planned) - (a->node.planned < b->node.planned);
}

/* Feeds cached ids in workflow order: the server's list is a set. */
static void feed_cached(struct profiler *p, struct mono_us now, const struct frame *f)
{
    struct timed_node **fresh = mem_alloc((f->ids_len + 1) * sizeof(struct timed_node *));
    size_t len = 0;
    for (size_t i = 0; i < f->ids_len; i++) {
        struct timed_node *n = profiler_find(p, f->ids[i]);
        if (n == NULL || n->started || n->node.ended || n->listed_cached) {
            continue;
        }
        n->listed_cached = true;
        if (n->node.planned != NULL) {
            fresh[len++] = n;
        }
    }
    qsort(fresh, len, sizeof(struct timed_node *), by_place);
    for (size_t i = 0; i < len; i++) {
        (void)move(p, fresh[i], NODE_LISTED, now);
    }
    free(fresh);
}

/* Finds the first start of another node after n's open slice began; false: none. */
static bool start_of_another(const struct profiler *p, const struct timed_node *n,
                             struct mono_us *ret)
{
    for (size_t i = n->open_index + 1; i < p->starts_len; i++) {
        if (p->starts[i].node != n) {
            *ret = p->starts[i].at;
            return true;
        }
    }
    return false;
}

/* Ends running nodes: without progress_state the next `executing` is the only sign. */
static void close_previous(struct profiler *p, const struct timed_node *but, struct mono_us now)
{
    if (p->saw_state) {
        return;
    }
    const struct nodes *ns = &p->known;
    for (size_t i = ns->running_len; i > 0; i--) { /* backwards: a removed one is replaced by the
                                                      last */
        struct timed_node *n = (struct timed_node *)ns->running[i - 1];
        if (n != but) {
            (void)move(p, n, NODE_FOLLOWED, now);
            n->end_inferred = true;
            p->inferred = true;
        }
    }
}

/* Moves the start back: `executing` came before what was read earlier; both are sent together. */
static void began_before(struct profiler *p, struct timed_node *n, struct mono_us at)
{
    n->start = n->start.us == n->open_since.us ? at : n->start;
    n->open_since = at;
    p->starts[n->open_index].at = at;
}

static void feed_executing(struct profiler *p, struct mono_us now, const struct frame *f)
{
    struct timed_node *n = find_or_expand(p, f->node);
    close_previous(p, n, now);
    if (n == NULL || n->node.ended) {
        return;
    }
    if (n->node.planned == NULL && n->node.display == NULL && f->display_node.p != NULL) {
        n->node.display = mem_copy(f->display_node); /* even if it is its own id */
    }
    struct mono_us other;
    if (!profiler_is_open(n)) {
        (void)move(p, n, NODE_RUNS, now);
    } else if (!n->executing_seen && mono_before(now, n->open_since)) {
        began_before(p, n, now);
    } else if (n->executing_seen && start_of_another(p, n, &other)) {
        close_slice(n, other);
        open_slice(p, n, now);
        nodes_begin_again(&p->known, &n->node);
    }
    n->executing_seen = true;
    n->start_known = true;
}

static void feed_running(struct profiler *p, struct mono_us now, struct timed_node *n,
                         bool unwatched)
{
    if (profiler_is_open(n)) {
        return; /* the usual case */
    }
    const bool anew = !n->started || n->node.status == PROFILE_CACHED;
    /* The first snapshot after a gap: it may have started at any time before. Its own `executing`,
       if it follows, proves a start just now. */
    if (move(p, n, NODE_RUNS, now) && anew) {
        n->start_known = !unwatched;
    }
}

static void feed_finished(struct profiler *p, struct mono_us now, struct timed_node *n,
                          bool unwatched)
{
    if (n->node.ended) {
        return;
    }
    if (profiler_is_open(n)) {
        n->end_missed = unwatched;
    } else {
        n->end_inferred = false;
    }
    (void)move(p, n, NODE_FINISHED, now);
}

static void feed_state(struct profiler *p, struct mono_us now, const struct frame *f)
{
    p->saw_state = true;
    const bool unwatched = p->unwatched;
    p->unwatched = false;
    for (size_t i = 0; i < f->nodes_len; i++) {
        const struct frame_node *e = &f->nodes[i];
        struct timed_node *n = find_or_expand(p, e->id);
        if (n == NULL) {
            continue;
        }
        node_place(&n->node, e->parent, e->display);
        if (e->state == NODE_STATE_RUNNING) {
            feed_running(p, now, n, unwatched);
        } else if (e->state == NODE_STATE_FINISHED) {
            feed_finished(p, now, n, unwatched);
        }
    }
}

static void feed_progress(struct profiler *p, struct mono_us now, const struct frame *f)
{
    struct timed_node *n = profiler_find(p, f->node);
    if (n == NULL || !profiler_is_open(n)) {
        return; /* a stray thread of another prompt, or an ended node */
    }
    /* A falling value begins a new series, at 0. */
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

static void set_error(struct timed_node *n, struct str message)
{
    /* Server messages end with a line break. */
    while (message.n > 0 && (message.p[message.n - 1] == '\n' || message.p[message.n - 1] == ' ')) {
        message.n--;
    }
    free(n->error);
    n->error = mem_copy(message);
}

/* True if no start of the node itself is known. */
static bool is_silent(const struct node *shown)
{
    return !((const struct timed_node *)shown)->started;
}

/* Fails the node that threw and everything that it lies in. */
static void fail(struct profiler *p, struct node *inner, const struct timed_node *outermost,
                 struct str message)
{
    for (int i = 0; i < NODES_MAX_PARENTS && inner != NULL && inner != &outermost->node; i++) {
        struct timed_node *n = (struct timed_node *)inner;
        if (profiler_is_open(n) && inner->planned == NULL) {
            set_error(n, message);
            n->failed = true;
        }
        inner = nodes_above(&p->known, inner);
    }
}

static void feed_error(struct profiler *p, const struct frame *f)
{
    struct timed_node *n = find_or_expand(p, f->node);
    if (n == NULL) {
        return;
    }
    set_error(n, f->message);
    if (!frame_is_terminal(f)) {
        return;
    }
    n->failed = true;
    fail(p, nodes_innermost(&p->known, n->node.id, is_silent), n, f->message);
}

static void feed_interrupted(struct profiler *p, const struct frame *f)
{
    struct timed_node *n = profiler_find(p, f->node);
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
        struct timed_node *n = find_or_expand(p, f->node);
        if (n != NULL) {
            (void)move(p, n, NODE_GAVE, now);
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
        struct timed_node *node = profiler_find(p, ids[i]);
        if (node != NULL) {
            (void)nodes_move(&p->known, &node->node, NODE_DONE, p->lost);
        }
    }
}

static void history_cached(struct profiler *p, const struct frame *f)
{
    for (size_t i = 0; i < f->ids_len; i++) {
        struct timed_node *n = profiler_find(p, f->ids[i]);
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
