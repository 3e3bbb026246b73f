/* How far a running prompt is; see the header. */
#include "comfypool/core/progress.h"

#include <stdlib.h>

/* A backend that invents nodes without end is not followed beyond this. */
enum { MAX_EXPANDED = 20000 };

/* Beside its status: it has ended, whatever is said of it later. */
enum { ENDED = 0x80 };

struct progress_node {
    unsigned char state; /* its status, and ENDED */
    char id[];
};

static enum profile_status status_of(unsigned char state)
{
    return (enum profile_status)(state & ~ENDED);
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
    for (void *n = map_next(&p->expanded, &at); n != NULL; n = map_next(&p->expanded, &at)) {
        free(n);
    }
    map_done(&p->expanded);
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

static void tell(const struct telling *t, struct str id, enum profile_status status, bool expanded)
{
    t->p->changes++;
    if (t->on_change != NULL) {
        const struct progress_change c = {id, status, expanded};
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
    p->nodes_done += counts_as_done(status) ? 1 : 0;
    p->nodes_done -= counts_as_done(old) ? 1 : 0;
    p->executed += status == PROFILE_EXECUTING ? 1 : 0;
    tell(t, p->workflow->nodes[index].id, status, false);
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

static void set_expanded(const struct telling *t, struct progress_node *n, unsigned char state)
{
    const bool same = status_of(n->state) == status_of(state);
    n->state = state;
    if (!same) {
        tell(t, str_of(n->id), status_of(state), true);
    }
}

static void move(const struct telling *t, struct str id, enum profile_status to)
{
    struct progress *p = t->p;
    if (id.p == NULL) {
        return;
    }
    const struct workflow_node *planned = workflow_find(p->workflow, id);
    if (planned != NULL) {
        const size_t index = (size_t)(planned - p->workflow->nodes);
        set_planned(t, index, next_state(p, p->states[index], to));
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
    for (size_t i = 0; i < p->workflow->len; i++) {
        if (p->states[i] == PROFILE_EXECUTING &&
            (but.p == NULL || !str_eq(but, p->workflow->nodes[i].id))) {
            set_planned(t, i, PROFILE_COMPLETED);
        }
    }
    size_t at = 0;
    for (struct progress_node *n = map_next(&p->expanded, &at); n != NULL;
         n = map_next(&p->expanded, &at)) {
        if (n->state == PROFILE_EXECUTING && (but.p == NULL || !str_is(but, n->id))) {
            set_expanded(t, n, PROFILE_COMPLETED);
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
    if (!t->p->saw_state) { /* the next one is the only end that there is */
        complete_all(t, f->node);
    }
    move(t, f->node, PROFILE_EXECUTING);
}

static void feed_state(const struct telling *t, const struct frame *f)
{
    t->p->saw_state = true;
    for (size_t i = 0; i < f->nodes_len; i++) {
        if (f->nodes[i].state == NODE_STATE_RUNNING) {
            move(t, f->nodes[i].id, PROFILE_EXECUTING);
        } else if (f->nodes[i].state == NODE_STATE_FINISHED) {
            move(t, f->nodes[i].id, PROFILE_COMPLETED);
        }
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
        if (frame_is_terminal(f)) {
            move(&t, f->node, PROFILE_FAILED);
        }
        break;
    case FRAME_OTHER:
    case FRAME_MONITOR:
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
