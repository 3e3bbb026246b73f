/* Progress of a running prompt; see the header. */
#include "comfypool/core/progress.h"

#include <stdlib.h>

struct progress_node {
    struct node node;
    bool is_copy; /* counted as a copy */
};

struct progress_shown {
    size_t index;                        /* in the workflow */
    size_t open;                         /* running copies */
    bool failed;                         /* a copy failed */
    uint32_t since;                      /* progress.begins at the start of the newest copy */
    struct progress_parent *parent;      /* parent of the newest copy, may make more; or NULL */
    struct progress_parent *settled_for; /* parent it was settled for in the current pass */
};

struct progress_parent {
    struct progress_parent *next_moved;
    bool has_moved;
    struct progress_places shown; /* may hold duplicates, and nodes that now have another parent */
    char id[];
};

static void add_place(struct progress_places *l, size_t place)
{
    if (l->len == l->cap) {
        l->cap = l->cap == 0 ? 4 : l->cap * 2;
        l->list = mem_grow(l->list, l->cap * sizeof *l->list);
    }
    l->list[l->len++] = (uint32_t)place;
}

/* Callback and context of a feed. */
struct telling {
    struct progress *p;
    progress_fn on_change;
    void *ctx;
};

void progress_init(struct progress *p, const struct workflow *w)
{
    *p = (struct progress){
        .workflow = w,
        .same_as = SIZE_MAX,
    };
    nodes_init(&p->nodes, w, sizeof(struct progress_node));
    map_init(&p->parents);
}

void progress_done(struct progress *p)
{
    size_t at = 0;
    for (struct progress_parent *up = map_next(&p->parents, &at); up != NULL;
         up = map_next(&p->parents, &at)) {
        free(up->shown.list);
        free(up);
    }
    map_done(&p->parents);
    free(p->shown);
    free(p->shown_at);
    free(p->fresh.list);
    free(p->left.list);
    free(p->node_id);
    nodes_done(&p->nodes, NULL);
    *p = (struct progress){0};
}

void progress_gap(struct progress *p)
{
    p->missed = true;
}

/* ---- states ---------------------------------------------------------------------------------- */

static bool counts_as_done(enum profile_status s)
{
    return s == PROFILE_COMPLETED || s == PROFILE_CACHED;
}

static bool counts_as_executed(enum profile_status s)
{
    return s == PROFILE_COMPLETED || s == PROFILE_EXECUTING;
}

static void tell(const struct telling *t, const struct node *n)
{
    t->p->changes++;
    if (t->on_change != NULL) {
        const struct progress_change c = {
            .node_id = n->id,
            .display = str_of(n->display),
            .status = n->status,
            .expanded = n->planned == NULL,
        };
        t->on_change(t->ctx, &c);
    }
}

/* Queues the parent: its copies may be over too. */
static void note_parent(struct progress *p, struct str id)
{
    struct progress_parent *parent = map_get(&p->parents, id);
    if (parent != NULL && !parent->has_moved) {
        parent->has_moved = true;
        parent->next_moved = p->moved;
        p->moved = parent;
    }
}

/* Counts a status change and reports it. */
static void count_and_tell(const struct telling *t, const struct node *n, enum profile_status old)
{
    struct progress *p = t->p;
    const enum profile_status status = n->status;
    p->running_len = p->nodes.running_len;
    if (old == PROFILE_EXECUTING || status == PROFILE_EXECUTING) {
        note_parent(p, n->id);
    }
    if (n->planned != NULL) {
        p->nodes_done += counts_as_done(status) ? 1 : 0;
        p->nodes_done -= counts_as_done(old) ? 1 : 0;
        p->executed += status == PROFILE_EXECUTING && !counts_as_executed(old) ? 1 : 0;
    }
    tell(t, n);
}

/* ---- copies of displayed nodes --------------------------------------------------------------- */

static bool is_running(const struct progress *p, const char *id)
{
    const struct node *n = nodes_find(&p->nodes, str_of(id));
    return n != NULL && n->status == PROFILE_EXECUTING;
}

/* True if the node has not been seen running itself. */
static bool is_silent(const struct node *n)
{
    return n->planned != NULL && (n->status == PROFILE_PENDING || n->by_copies);
}

static struct progress_shown *shown_of(struct progress *p, size_t index)
{
    if (p->shown_at == NULL) {
        p->shown_at = mem_zero(p->workflow->len, sizeof *p->shown_at);
    }
    if (p->shown_at[index] == 0) {
        if (p->shown_len == p->shown_cap) {
            p->shown_cap = p->shown_cap == 0 ? 4 : p->shown_cap * 2;
            p->shown = mem_grow(p->shown, p->shown_cap * sizeof *p->shown);
        }
        p->shown[p->shown_len++] = (struct progress_shown){.index = index, .since = p->begins};
        p->shown_at[index] = (uint32_t)p->shown_len;
        add_place(&p->fresh, p->shown_len - 1);
    }
    return &p->shown[p->shown_at[index] - 1];
}

/* Returns what displays a copy; NULL: no copy. */
static struct progress_shown *shown_by(struct progress *p, struct node *n)
{
    const struct node *shown = nodes_find(&p->nodes, str_of(n->display));
    if (shown == NULL || shown->planned == NULL) {
        return NULL;
    }
    if (n->parent == NULL
            ? p->missed
            : nodes_is_under(&p->nodes, n, shown->id) || nodes_is_inside_of_copy(&p->nodes, n)) {
        return NULL;
    }
    return is_silent(shown) ? shown_of(p, (size_t)(shown->planned - p->workflow->nodes)) : NULL;
}

/* True if something displayed as another node began since the newest copy. */
static bool is_left(const struct progress *p, const struct progress_shown *s)
{
    return (p->same_as == s->index ? p->same_from - 1 : p->begins) > s->since;
}

static void settle_shown(const struct telling *t, const struct progress_shown *s)
{
    const bool goes_on = s->parent == NULL ? !is_left(t->p, s) : is_running(t->p, s->parent->id);
    const bool more = s->open > 0 || goes_on;
    const enum profile_status status = s->failed ? PROFILE_FAILED
                                       : more    ? PROFILE_EXECUTING
                                                 : PROFILE_COMPLETED;
    struct node *n = nodes_planned(&t->p->nodes, s->index);
    const enum profile_status old = n->status;
    if (is_silent(n) && nodes_move_by_copies(&t->p->nodes, n, status)) {
        count_and_tell(t, n, old);
    }
}

/* Notes a start displayed as this; NULL: as itself. */
static void note_begin(struct progress *p, const char *display)
{
    const struct workflow_node *as =
        display == NULL ? NULL : workflow_find(p->workflow, str_of(display));
    const size_t index = as == NULL ? SIZE_MAX : (size_t)(as - p->workflow->nodes);
    p->begins++;
    if (index == SIZE_MAX || index != p->same_as) {
        p->same_as = index;
        p->same_from = p->begins;
    }
    /* Amortized: each was added by a start of its own. */
    size_t kept = 0;
    for (size_t i = 0; i < p->fresh.len; i++) {
        const uint32_t place = p->fresh.list[i];
        if (p->shown[place].index != index) {
            add_place(&p->left, place);
        } else if (kept == 0) {
            p->fresh.list[kept++] = place;
        }
    }
    p->fresh.len = kept;
}

/* Settles the copies of a parent that began or ended. What that moves waits for the next pass. */
static void settle_parent(const struct telling *t, struct progress_parent *parent)
{
    struct progress_places *l = &parent->shown;
    size_t kept = 0;
    for (size_t i = 0; i < l->len; i++) {
        struct progress_shown *s = &t->p->shown[l->list[i]];
        if (s->parent == parent && s->settled_for != parent) {
            s->settled_for = parent;
            l->list[kept++] = l->list[i];
            settle_shown(t, s);
        }
    }
    l->len = kept;
    for (size_t i = 0; i < kept; i++) {
        t->p->shown[l->list[i]].settled_for = NULL;
    }
}

/* Settles the nodes whose copies may be over. */
static void settle_all_shown(const struct telling *t)
{
    struct progress *p = t->p;
    struct progress_parent *next = p->moved;
    p->moved = NULL;
    while (next != NULL) {
        struct progress_parent *parent = next;
        next = parent->next_moved;
        parent->has_moved = false;
        settle_parent(t, parent);
    }
    for (size_t i = 0; i < p->left.len; i++) {
        settle_shown(t, &p->shown[p->left.list[i]]);
    }
    p->left.len = 0;
}

static void set_parent(struct progress *p, struct progress_shown *s, const char *id)
{
    struct progress_parent *parent = map_get(&p->parents, str_of(id));
    if (parent == NULL) {
        const size_t n = strlen(id);
        parent = mem_zero(1, sizeof *parent + n + 1);
        memcpy(parent->id, id, n);
        (void)map_put(&p->parents, (struct str){parent->id, n}, parent);
    }
    if (s->parent != parent) {
        s->parent = parent;
        add_place(&parent->shown, (size_t)(s - p->shown));
    }
}

static void note_copy(const struct telling *t, struct progress_node *n, enum profile_status old)
{
    struct progress *p = t->p;
    const enum profile_status status = n->node.status;
    struct progress_shown *s = shown_by(p, &n->node);
    if (s == NULL) {
        return;
    }
    if (status == PROFILE_EXECUTING) {
        s->open++;
        s->since = p->begins;
        add_place(&p->fresh, (size_t)(s - p->shown));
    }
    s->open -= n->is_copy && old == PROFILE_EXECUTING && s->open > 0 ? 1 : 0;
    s->failed = s->failed || status == PROFILE_FAILED;
    n->is_copy = true;
    if (n->node.parent != NULL) {
        set_parent(p, s, n->node.parent);
    }
    settle_shown(t, s);
}

/* ---- moves ----------------------------------------------------------------------------------- */

static void move(const struct telling *t, struct node *n, enum node_said said)
{
    struct progress *p = t->p;
    const enum profile_status old = n->status;
    const bool was_by_copies = n->by_copies;
    const bool moved = nodes_move(&p->nodes, n, said, p->missed);
    if (said == NODE_RUNS && (moved || was_by_copies != n->by_copies)) {
        note_begin(p, n->display);
    }
    if (moved) {
        count_and_tell(t, n, old);
    }
    if (moved && n->planned == NULL) {
        note_copy(t, (struct progress_node *)n, old);
    }
}

/* Sorts expanded nodes first, by start, then those of the workflow in its order. */
static int by_begin(const void *x, const void *y)
{
    const struct node *a = *(struct node *const *)x;
    const struct node *b = *(struct node *const *)y;
    if ((a->planned == NULL) != (b->planned == NULL)) {
        return a->planned == NULL ? -1 : 1;
    }
    if (a->planned == NULL) {
        return (a->began > b->began) - (a->began < b->began);
    }
    return (a->planned > b->planned) - (a->planned < b->planned);
}

/* Completes all running nodes but one (p == NULL: none). */
static void complete_all(const struct telling *t, struct str but)
{
    const struct nodes *ns = &t->p->nodes;
    const size_t len = ns->running_len;
    if (len == 0) {
        return;
    }
    struct node **list = mem_alloc(len * sizeof(struct node *));
    memcpy(list, ns->running, len * sizeof(struct node *));
    qsort(list, len, sizeof(struct node *), by_begin);
    for (size_t i = 0; i < len; i++) {
        if (but.p == NULL || !str_eq(but, list[i]->id)) {
            move(t, list[i], NODE_FOLLOWED);
        }
    }
    free(list);
}

/* ---- frames ---------------------------------------------------------------------------------- */

static void node_runs(struct progress *p, struct str id)
{
    if (p->node_id == NULL || !str_is(id, p->node_id)) {
        free(p->node_id);
        p->node_id = mem_copy(id);
        p->has_value = false;
    }
}

/* A list of cached nodes applies only to workflow nodes that have not run. */
static void feed_cached(const struct telling *t, const struct frame *f)
{
    for (size_t i = 0; i < f->ids_len; i++) {
        struct node *n = nodes_find(&t->p->nodes, f->ids[i]);
        if (n != NULL && n->planned != NULL) {
            move(t, n, NODE_LISTED);
        }
    }
}

static struct node *find_or_expand(struct progress *p, struct str id)
{
    struct node *n = nodes_find(&p->nodes, id);
    return n != NULL || id.p == NULL ? n : nodes_expand(&p->nodes, id);
}

/* Finds a node, places it before its state changes, so that the change reports the place. Workflow
   nodes have no parent. */
static struct node *find_in_place(struct progress *p, struct str id, struct str parent,
                                  struct str display)
{
    struct node *n = find_or_expand(p, id);
    if (n != NULL && n->planned == NULL) {
        node_place(n, parent, display);
    }
    return n;
}

static void feed_executing(const struct telling *t, const struct frame *f)
{
    if (f->node.p == NULL) {
        return;
    }
    node_runs(t->p, f->node);
    struct node *n = find_in_place(t->p, f->node, (struct str){NULL, 0}, f->display_node);
    if (!t->p->saw_state) { /* the next start is the only sign of an end */
        complete_all(t, f->node);
    }
    if (n != NULL) {
        move(t, n, NODE_RUNS);
    }
}

static void feed_state(const struct telling *t, const struct frame *f)
{
    t->p->saw_state = true;
    for (size_t i = 0; i < f->nodes_len; i++) {
        const struct frame_node *e = &f->nodes[i];
        struct node *n =
            e->state == NODE_STATE_OTHER ? NULL : find_in_place(t->p, e->id, e->parent, e->display);
        if (n != NULL) {
            move(t, n, e->state == NODE_STATE_RUNNING ? NODE_RUNS : NODE_FINISHED);
        }
    }
    settle_all_shown(t);
}

static void feed_error(const struct telling *t, const struct frame *f)
{
    if (!frame_is_terminal(f)) {
        return;
    }
    struct nodes *ns = &t->p->nodes;
    /* Fails the node that threw and all that it lies in. */
    struct node *inner = f->node.p == NULL ? NULL : nodes_innermost(ns, f->node, is_silent);
    for (int i = 0; i < NODES_MAX_PARENTS && inner != NULL && inner->planned == NULL &&
                    !str_eq(f->node, inner->id);
         i++) {
        if (inner->status == PROFILE_EXECUTING) {
            move(t, inner, NODE_THREW);
        }
        inner = nodes_parent(ns, inner);
    }
    struct node *named = find_or_expand(t->p, f->node);
    if (named != NULL) {
        move(t, named, NODE_THREW);
    }
}

static void feed_executed(const struct telling *t, const struct frame *f)
{
    struct node *n = nodes_find(&t->p->nodes, f->node);
    if (n != NULL && n->planned != NULL) {
        move(t, n, NODE_GAVE);
    }
}

static void feed_progress(struct progress *p, const struct frame *f)
{
    if (f->node.p != NULL) {
        node_runs(p, f->node);
        p->has_value = true;
        p->value = f->value;
        p->max = f->max;
        p->changes++;
    }
}

void progress_feed(struct progress *p, const struct frame *f, progress_fn on_change, void *ctx)
{
    const struct telling t = {p, on_change, ctx};
    switch (f->type) {
    case FRAME_CACHED:
        feed_cached(&t, f);
        break;
    case FRAME_EXECUTING:
        feed_executing(&t, f);
        break;
    case FRAME_STATE:
        feed_state(&t, f);
        break;
    case FRAME_PROGRESS:
        feed_progress(p, f);
        break;
    case FRAME_EXECUTED:
        feed_executed(&t, f);
        break;
    case FRAME_SUCCESS:
        complete_all(&t, (struct str){NULL, 0});
        break;
    case FRAME_ERROR:
        feed_error(&t, f);
        break;
    case FRAME_OTHER:
    case FRAME_MONITOR:
    case FRAME_SIGN:
    case FRAME_STATUS:
    case FRAME_START:
    case FRAME_INTERRUPTED:
        break;
    }
}

enum profile_status progress_status(const struct progress *p, size_t node)
{
    return nodes_planned(&p->nodes, node)->status;
}

size_t progress_cached(const struct progress *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->workflow->len; i++) {
        n += progress_status(p, i) == PROFILE_CACHED ? 1 : 0;
    }
    return n;
}

/* ---- the account of a job that is not profiled ----------------------------------------------- */

void progress_mark(const struct progress *p, struct profile *profile)
{
    profile->analysis.known = profile->unaccounted_known = false;
    profile->executed = profile->cached = profile->failed = profile->pending = 0;
    for (size_t i = 0; i < profile->nodes_len; i++) {
        struct profile_node *n = &profile->nodes[i];
        if (n->expanded) {
            continue;
        }
        n->status = progress_status(p, n->planned);
        profile->pending += n->status == PROFILE_PENDING ? 1 : 0;
        profile->cached += n->status == PROFILE_CACHED ? 1 : 0;
        profile->failed += n->status == PROFILE_FAILED ? 1 : 0;
        profile->executed +=
            n->status == PROFILE_COMPLETED || n->status == PROFILE_EXECUTING ? 1 : 0;
    }
}
