/* How far a running prompt is; see the header. */
#include "comfypool/core/progress.h"

#include <stdlib.h>

/* A backend that invents nodes without end is not followed beyond this; beyond so many parents they
   are a circle. */
enum { MAX_EXPANDED = 20000, MAX_PARENTS = 100 };

/* Beside its status: it has ended, whatever is said of it later; it is told by its copies. */
enum { ENDED = 0x80, SHOWN = 0x40 };

struct progress_node {
    unsigned char state; /* its status, and ENDED */
    bool is_copy;
    uint32_t began;
    uint32_t running_at; /* its place in progress.running, from 1; 0: it does not */
    char *parent;        /* or NULL */
    char *display;       /* or NULL */
    char id[];
};

struct progress_shown {
    size_t index;                        /* in the workflow */
    size_t open;                         /* copies that run */
    bool failed;                         /* one of them */
    uint32_t since;                      /* progress.begins when the newest one began */
    struct progress_parent *parent;      /* of the newest copy: what may bring more; or NULL */
    struct progress_parent *settled_for; /* it was, for this one, in the pass that is under way */
};

struct progress_parent {
    struct progress_parent *next_moved;
    bool has_moved;
    struct progress_places shown; /* some of them are other ones' by now, or are there twice */
    char id[];
};

static enum profile_status status_of(unsigned char state)
{
    return (enum profile_status)(state & ~(ENDED | SHOWN));
}

static void add_place(struct progress_places *l, size_t place)
{
    if (l->len == l->cap) {
        l->cap = l->cap == 0 ? 4 : l->cap * 2;
        l->list = mem_grow(l->list, l->cap * sizeof *l->list);
    }
    l->list[l->len++] = (uint32_t)place;
}

/* ---- what runs ------------------------------------------------------------------------------- */

static uint32_t *place_of(struct progress *p, const struct progress_ref *r)
{
    return r->expanded != NULL ? &r->expanded->running_at : &p->running_at[r->index];
}

static void runs_from_now(struct progress *p, struct progress_ref r)
{
    if (p->running_len == p->running_cap) {
        p->running_cap = p->running_cap == 0 ? 8 : p->running_cap * 2;
        p->running = mem_grow(p->running, p->running_cap * sizeof *p->running);
    }
    p->running[p->running_len++] = r;
    *place_of(p, &r) = (uint32_t)p->running_len;
}

static void runs_no_more(struct progress *p, struct progress_ref r)
{
    uint32_t *place = place_of(p, &r);
    const struct progress_ref last = p->running[--p->running_len];
    p->running[*place - 1] = last;
    *place_of(p, &last) = *place;
    *place = 0;
}

/* A node has another state: what it brought copies of may be over, too. */
static void count_running(struct progress *p, struct progress_ref r, struct str id,
                          enum profile_status old, enum profile_status status)
{
    if ((old == PROFILE_EXECUTING) == (status == PROFILE_EXECUTING)) {
        return;
    }
    if (status == PROFILE_EXECUTING) {
        runs_from_now(p, r);
    } else {
        runs_no_more(p, r);
    }
    struct progress_parent *parent = map_get(&p->parents, id);
    if (parent != NULL && !parent->has_moved) {
        parent->has_moved = true;
        parent->next_moved = p->moved;
        p->moved = parent;
    }
}

/* Whom to tell. */
struct telling {
    struct progress *p;
    progress_fn on_change;
    void *ctx;
};

void progress_init(struct progress *p, const struct workflow *w)
{
    *p = (struct progress){
        .workflow = w,
        .states = mem_zero(w->len, 1),
        .running_at = mem_zero(w->len, sizeof *p->running_at),
        .same_as = SIZE_MAX,
    };
    map_init(&p->expanded);
    map_init(&p->parents);
}

void progress_done(struct progress *p)
{
    size_t at = 0;
    for (struct progress_node *n = map_next(&p->expanded, &at); n != NULL;
         n = map_next(&p->expanded, &at)) {
        free(n->parent);
        free(n->display);
        free(n);
    }
    map_done(&p->expanded);
    at = 0;
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
    free(p->running);
    free(p->running_at);
    free(p->states);
    free(p->node_id);
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

static void tell(const struct telling *t, struct str id, const char *display,
                 enum profile_status status, bool expanded)
{
    t->p->changes++;
    if (t->on_change != NULL) {
        struct progress_change c = {.node_id = id, .status = status, .expanded = expanded};
        if (display != NULL) {
            c.display = str_of(display);
        }
        t->on_change(t->ctx, &c);
    }
}

static void set_planned(const struct telling *t, size_t index, unsigned char state)
{
    struct progress *p = t->p;
    const enum profile_status old = status_of(p->states[index]);
    const enum profile_status status = status_of(state);
    p->states[index] = state;
    if (status == old) {
        return;
    }
    count_running(p, (struct progress_ref){NULL, index}, p->workflow->nodes[index].id, old, status);
    p->nodes_done += counts_as_done(status) ? 1 : 0;
    p->nodes_done -= counts_as_done(old) ? 1 : 0;
    p->executed += status == PROFILE_EXECUTING && !counts_as_executed(old) ? 1 : 0;
    tell(t, p->workflow->nodes[index].id, NULL, status, false);
}

static struct progress_node *find_or_expand(struct progress *p, struct str id)
{
    struct progress_node *n = map_get(&p->expanded, id);
    if (n == NULL && p->expanded.len < MAX_EXPANDED) {
        n = mem_zero(1, sizeof *n + id.n + 1);
        memcpy(n->id, id.p, id.n);
        (void)map_put(&p->expanded, (struct str){n->id, id.n}, n);
    }
    return n;
}

/* What becomes of a node when it was said to run, to have ended, or to have failed. */
static unsigned char next_state(const struct progress *p, unsigned char state,
                                enum profile_status to)
{
    const enum profile_status from = status_of(state);
    if ((state & ENDED) != 0 && to != PROFILE_FAILED) {
        return state;
    }
    if (to == PROFILE_EXECUTING) {
        return PROFILE_EXECUTING; /* one that was listed as cached may run all the same */
    }
    if (to == PROFILE_FAILED) {
        return PROFILE_FAILED | ENDED;
    }
    const enum profile_status unseen = p->missed ? PROFILE_COMPLETED : PROFILE_CACHED;
    return (unsigned char)((from == PROFILE_EXECUTING ? PROFILE_COMPLETED
                            : from == PROFILE_PENDING ? unseen
                                                      : from) |
                           ENDED);
}

/* ---- copies of displayed nodes --------------------------------------------------------------- */

static bool is_running(const struct progress *p, struct str id)
{
    const struct workflow_node *planned = id.p == NULL ? NULL : workflow_find(p->workflow, id);
    if (planned != NULL) {
        return status_of(p->states[planned - p->workflow->nodes]) == PROFILE_EXECUTING;
    }
    const struct progress_node *n = id.p == NULL ? NULL : map_get(&p->expanded, id);
    return n != NULL && status_of(n->state) == PROFILE_EXECUTING;
}

static bool is_under(const struct progress *p, const struct progress_node *n, struct str above)
{
    for (int i = 0; i < MAX_PARENTS && n != NULL; i++) {
        const char *parent = n->parent == NULL ? n->display : n->parent;
        if (parent == NULL || str_is(above, parent)) {
            return parent != NULL;
        }
        n = map_get(&p->expanded, str_of(parent));
    }
    return false;
}

/* One of its parents is displayed as the same node. */
static bool is_inside_of_copy(const struct progress *p, const struct progress_node *n)
{
    const struct progress_node *up =
        n->parent == NULL ? NULL : map_get(&p->expanded, str_of(n->parent));
    for (int i = 0; i < MAX_PARENTS && up != NULL; i++) {
        if (up->display != NULL && strcmp(up->display, n->display) == 0) {
            return true;
        }
        up = up->parent == NULL ? NULL : map_get(&p->expanded, str_of(up->parent));
    }
    return false;
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

/* NULL: it is no copy of anything. */
static struct progress_shown *shown_by(struct progress *p, const struct progress_node *n)
{
    const struct workflow_node *shown =
        n->display == NULL ? NULL : workflow_find(p->workflow, str_of(n->display));
    if (shown == NULL) {
        return NULL;
    }
    if (n->parent == NULL ? p->missed : is_under(p, n, shown->id) || is_inside_of_copy(p, n)) {
        return NULL;
    }
    const size_t index = (size_t)(shown - p->workflow->nodes);
    const unsigned char state = p->states[index];
    /* One that was seen to run itself speaks for itself. */
    return state == PROFILE_PENDING || (state & SHOWN) != 0 ? shown_of(p, index) : NULL;
}

/* Something that is displayed as another node began since the newest copy did. */
static bool is_left(const struct progress *p, const struct progress_shown *s)
{
    return (p->same_as == s->index ? p->same_from - 1 : p->begins) > s->since;
}

static void settle_shown(const struct telling *t, const struct progress_shown *s)
{
    const bool goes_on =
        s->parent == NULL ? !is_left(t->p, s) : is_running(t->p, str_of(s->parent->id));
    const bool more = s->open > 0 || goes_on;
    const enum profile_status status = s->failed ? PROFILE_FAILED
                                       : more    ? PROFILE_EXECUTING
                                                 : PROFILE_COMPLETED;
    const unsigned char state = t->p->states[s->index];
    if ((state == PROFILE_PENDING || (state & SHOWN) != 0) && (state & ENDED) == 0) {
        set_planned(t, s->index, (unsigned char)(status | SHOWN));
    }
}

/* Something began that is displayed as this; NULL: as itself. */
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
    /* Each of them came here by a begin of its own. */
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

/* Those of one that began or ended. What moves by that is the next pass's. */
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

/* What brought copies may be over. */
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
    const enum profile_status status = status_of(n->state);
    struct progress_shown *s = shown_by(p, n);
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
    if (n->parent != NULL) {
        set_parent(p, s, n->parent);
    }
    settle_shown(t, s);
}

static void set_expanded(const struct telling *t, struct progress_node *n, unsigned char state)
{
    const enum profile_status old = status_of(n->state);
    n->state = state;
    if (old == status_of(state)) {
        return;
    }
    count_running(t->p, (struct progress_ref){n, 0}, str_of(n->id), old, status_of(state));
    if (status_of(state) == PROFILE_EXECUTING) {
        n->began = ++t->p->began;
        note_begin(t->p, n->display);
    }
    tell(t, str_of(n->id), n->display, status_of(state), true);
    note_copy(t, n, old);
}

/* Said before its state is, so that its change tells them. */
static void note_place(struct progress *p, struct str id, struct str parent, struct str display)
{
    const bool is_its_own = display.p == NULL || str_eq(display, id);
    if (id.p == NULL || (parent.p == NULL && is_its_own) ||
        workflow_find(p->workflow, id) != NULL) {
        return; /* nearly all of them */
    }
    struct progress_node *n = find_or_expand(p, id);
    if (n != NULL && n->parent == NULL && parent.p != NULL) {
        n->parent = mem_copy(parent);
    }
    if (n != NULL && n->display == NULL && display.p != NULL && !str_eq(display, id)) {
        n->display = mem_copy(display);
    }
}

/* A copy of which nobody says what expanded into it. */
static bool is_loose_copy(const struct progress *p, const struct progress_node *n)
{
    const struct workflow_node *shown = n->parent != NULL || n->display == NULL
                                            ? NULL
                                            : workflow_find(p->workflow, str_of(n->display));
    const unsigned char state = shown == NULL ? 0 : p->states[shown - p->workflow->nodes];
    return shown != NULL && (state == PROFILE_PENDING || (state & SHOWN) != 0);
}

/* A node of the workflow runs beside the one that an error names: then nobody knows whose copy a
   loose one is. */
static bool runs_beside(const struct progress *p, struct str named)
{
    bool any = false;
    for (size_t i = 0; i < p->workflow->len && !any; i++) {
        any = p->states[i] == PROFILE_EXECUTING && !str_eq(p->workflow->nodes[i].id, named);
    }
    return any;
}

/* What threw: it began last of those that run inside of the one that the error names. */
static struct progress_node *innermost_running(struct progress *p, struct str above)
{
    const bool alone = !runs_beside(p, above);
    struct progress_node *found = NULL;
    size_t at = 0;
    for (struct progress_node *n = map_next(&p->expanded, &at); n != NULL;
         n = map_next(&p->expanded, &at)) {
        if (status_of(n->state) == PROFILE_EXECUTING &&
            (is_under(p, n, above) || (alone && is_loose_copy(p, n))) &&
            (found == NULL || n->began > found->began)) {
            found = n;
        }
    }
    return found;
}

/* ---- moves ----------------------------------------------------------------------------------- */

static void move(const struct telling *t, struct str id, enum profile_status to)
{
    struct progress *p = t->p;
    if (id.p == NULL) {
        return;
    }
    const struct workflow_node *planned = workflow_find(p->workflow, id);
    if (planned != NULL) {
        const size_t index = (size_t)(planned - p->workflow->nodes);
        const unsigned char next = next_state(p, p->states[index], to);
        if (next == PROFILE_EXECUTING && p->states[index] != next) {
            note_begin(p, NULL);
        }
        set_planned(t, index, next);
        return;
    }
    struct progress_node *n = find_or_expand(p, id);
    if (n != NULL) {
        set_expanded(t, n, next_state(p, n->state, to));
    }
}

/* Expanded ones first, as they began; then those of the workflow in its order. */
static int by_begin(const void *x, const void *y)
{
    const struct progress_ref *a = x;
    const struct progress_ref *b = y;
    if ((a->expanded == NULL) != (b->expanded == NULL)) {
        return a->expanded != NULL ? -1 : 1;
    }
    if (a->expanded != NULL) {
        return (a->expanded->began > b->expanded->began) -
               (a->expanded->began < b->expanded->began);
    }
    return (a->index > b->index) - (a->index < b->index);
}

static void complete(const struct telling *t, const struct progress_ref *r, struct str but)
{
    struct progress *p = t->p;
    if (r->expanded != NULL) {
        if (r->expanded->state == PROFILE_EXECUTING &&
            (but.p == NULL || !str_is(but, r->expanded->id))) {
            set_expanded(t, r->expanded, PROFILE_COMPLETED);
        }
    } else if (status_of(p->states[r->index]) == PROFILE_EXECUTING &&
               (but.p == NULL || !str_eq(but, p->workflow->nodes[r->index].id))) {
        set_planned(t, r->index, PROFILE_COMPLETED | (p->states[r->index] & SHOWN));
    }
}

/* All that run are over, but one (p == NULL: none). */
static void complete_all(const struct telling *t, struct str but)
{
    const size_t n = t->p->running_len;
    if (n == 0) {
        return;
    }
    struct progress_ref *list = mem_alloc(n * sizeof *list);
    memcpy(list, t->p->running, n * sizeof *list);
    qsort(list, n, sizeof *list, by_begin);
    for (size_t i = 0; i < n; i++) {
        complete(t, &list[i], but);
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

/* Only nodes of the workflow are cached by a list, each only before it ran. */
static void feed_cached(const struct telling *t, const struct frame *f)
{
    struct progress *p = t->p;
    for (size_t i = 0; i < f->ids_len; i++) {
        const struct workflow_node *n = workflow_find(p->workflow, f->ids[i]);
        if (n != NULL && p->states[n - p->workflow->nodes] == PROFILE_PENDING) {
            set_planned(t, (size_t)(n - p->workflow->nodes), PROFILE_CACHED);
        }
    }
}

static void feed_executing(const struct telling *t, const struct frame *f)
{
    if (f->node.p == NULL) {
        return;
    }
    node_runs(t->p, f->node);
    note_place(t->p, f->node, (struct str){NULL, 0}, f->display_node);
    if (!t->p->saw_state) { /* the next one is the only end that there is */
        complete_all(t, f->node);
    }
    move(t, f->node, PROFILE_EXECUTING);
}

static void feed_state(const struct telling *t, const struct frame *f)
{
    t->p->saw_state = true;
    for (size_t i = 0; i < f->nodes_len; i++) {
        const struct frame_node *e = &f->nodes[i];
        if (e->state != NODE_STATE_OTHER) {
            note_place(t->p, e->id, e->parent, e->display);
            move(t, e->id, e->state == NODE_STATE_RUNNING ? PROFILE_EXECUTING : PROFILE_COMPLETED);
        }
    }
    settle_all_shown(t);
}

static void feed_error(const struct telling *t, const struct frame *f)
{
    if (!frame_is_terminal(f)) {
        return;
    }
    /* With it all that it lies in. */
    struct progress_node *inner = f->node.p == NULL ? NULL : innermost_running(t->p, f->node);
    for (int i = 0; i < MAX_PARENTS && inner != NULL && !str_is(f->node, inner->id); i++) {
        if (status_of(inner->state) == PROFILE_EXECUTING) {
            set_expanded(t, inner, PROFILE_FAILED | ENDED);
        }
        inner = inner->parent == NULL ? NULL : map_get(&t->p->expanded, str_of(inner->parent));
    }
    move(t, f->node, PROFILE_FAILED);
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
    case FRAME_EXECUTED: /* of one that runs it is no end */
        if (f->node.p != NULL) {
            const struct workflow_node *n = workflow_find(p->workflow, f->node);
            if (n != NULL && p->states[n - p->workflow->nodes] == PROFILE_PENDING) {
                move(&t, f->node, PROFILE_COMPLETED);
            }
        }
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
    return status_of(p->states[node]);
}

size_t progress_cached(const struct progress *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->workflow->len; i++) {
        n += status_of(p->states[i]) == PROFILE_CACHED ? 1 : 0;
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
        n->status = status_of(p->states[n->planned]);
        profile->pending += n->status == PROFILE_PENDING ? 1 : 0;
        profile->cached += n->status == PROFILE_CACHED ? 1 : 0;
        profile->failed += n->status == PROFILE_FAILED ? 1 : 0;
        profile->executed +=
            n->status == PROFILE_COMPLETED || n->status == PROFILE_EXECUTING ? 1 : 0;
    }
}
