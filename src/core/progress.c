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
    char *parent;  /* or NULL */
    char *display; /* or NULL */
    char id[];
};

struct progress_shown {
    size_t index; /* in the workflow */
    size_t open;  /* copies that run */
    bool failed;  /* one of them */
    bool left;    /* something else began since the newest one did */
    char *parent; /* of the newest copy: what may bring more of them; or NULL */
};

static enum profile_status status_of(unsigned char state)
{
    return (enum profile_status)(state & ~(ENDED | SHOWN));
}

/* A node has another state. */
static void count_running(struct progress *p, enum profile_status old, enum profile_status status)
{
    p->running += status == PROFILE_EXECUTING ? 1 : 0;
    p->running -= old == PROFILE_EXECUTING ? 1 : 0;
}

/* Whom to tell. */
struct telling {
    struct progress *p;
    progress_fn on_change;
    void *ctx;
};

void progress_init(struct progress *p, const struct workflow *w)
{
    *p = (struct progress){.workflow = w, .states = mem_zero(w->len, 1)};
    map_init(&p->expanded);
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
    for (size_t i = 0; i < p->shown_len; i++) {
        free(p->shown[i].parent);
    }
    free(p->shown);
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
    count_running(p, old, status);
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

/* ---- copies of displayed nodes ----------------------------------------------------------------
 */

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
    for (size_t i = 0; i < p->shown_len; i++) {
        if (p->shown[i].index == index) {
            return &p->shown[i];
        }
    }
    p->shown = mem_grow(p->shown, (p->shown_len + 1) * sizeof *p->shown);
    p->shown[p->shown_len] = (struct progress_shown){.index = index};
    return &p->shown[p->shown_len++];
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

static void settle_shown(const struct telling *t, const struct progress_shown *s)
{
    const bool goes_on = s->parent == NULL ? !s->left : is_running(t->p, str_of(s->parent));
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
static void left_shown(struct progress *p, const char *display)
{
    for (size_t i = 0; i < p->shown_len; i++) {
        struct progress_shown *s = &p->shown[i];
        const struct str id = p->workflow->nodes[s->index].id;
        s->left = s->left || display == NULL || !str_is(id, display);
    }
}

/* What brought copies may be over. */
static void settle_all_shown(const struct telling *t)
{
    for (size_t i = 0; i < t->p->shown_len; i++) {
        settle_shown(t, &t->p->shown[i]);
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
    s->open += status == PROFILE_EXECUTING ? 1 : 0;
    s->left = s->left && status != PROFILE_EXECUTING;
    s->open -= n->is_copy && old == PROFILE_EXECUTING && s->open > 0 ? 1 : 0;
    s->failed = s->failed || status == PROFILE_FAILED;
    n->is_copy = true;
    if (n->parent != NULL && (s->parent == NULL || strcmp(s->parent, n->parent) != 0)) {
        free(s->parent);
        s->parent = mem_strdup(n->parent);
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
    count_running(t->p, old, status_of(state));
    if (status_of(state) == PROFILE_EXECUTING) {
        n->began = ++t->p->began;
        left_shown(t->p, n->display);
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

/* ---- moves ------------------------------------------------------------------------------------
 */

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
            left_shown(p, NULL);
        }
        set_planned(t, index, next);
        return;
    }
    struct progress_node *n = find_or_expand(p, id);
    if (n != NULL) {
        set_expanded(t, n, next_state(p, n->state, to));
    }
}

/* All that run are over, but one (p == NULL: none). */
static void complete_all(const struct telling *t, struct str but)
{
    struct progress *p = t->p;
    size_t at = 0;
    for (struct progress_node *n = map_next(&p->expanded, &at); n != NULL;
         n = map_next(&p->expanded, &at)) {
        if (n->state == PROFILE_EXECUTING && (but.p == NULL || !str_is(but, n->id))) {
            set_expanded(t, n, PROFILE_COMPLETED);
        }
    }
    for (size_t i = 0; i < p->workflow->len; i++) {
        if (status_of(p->states[i]) == PROFILE_EXECUTING &&
            (but.p == NULL || !str_eq(but, p->workflow->nodes[i].id))) {
            set_planned(t, i, PROFILE_COMPLETED | (p->states[i] & SHOWN));
        }
    }
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

size_t progress_cached(const struct progress *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->workflow->len; i++) {
        n += status_of(p->states[i]) == PROFILE_CACHED ? 1 : 0;
    }
    return n;
}

/* ---- the account of a job that is not profiled ------------------------------------------------
 */

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
