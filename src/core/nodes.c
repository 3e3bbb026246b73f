/* The nodes of one running prompt, and their moves; see the header for the rules. */
#include "comfypool/core/nodes.h"

#include <stdlib.h>
#include <string.h>

/* Limit for a backend that invents nodes without end. */
enum { MAX_EXPANDED = 20000 };

void nodes_init(struct nodes *ns, const struct workflow *w, size_t size)
{
    *ns = (struct nodes){.workflow = w, .size = size, .planned = mem_zero(w->len, size)};
    map_init(&ns->expanded);
    for (size_t i = 0; i < w->len; i++) {
        struct node *n = nodes_planned(ns, i);
        n->id = w->nodes[i].id;
        n->planned = &w->nodes[i];
    }
}

static void node_done(struct node *n, void (*done)(struct node *n))
{
    if (done != NULL) {
        done(n);
    }
    free(n->parent);
    free(n->display);
}

void nodes_done(struct nodes *ns, void (*done)(struct node *n))
{
    for (size_t i = 0; ns->planned != NULL && i < ns->workflow->len; i++) {
        node_done(nodes_planned(ns, i), done);
    }
    size_t at = 0;
    for (struct node *n = map_next(&ns->expanded, &at); n != NULL;
         n = map_next(&ns->expanded, &at)) {
        node_done(n, done);
        free(n);
    }
    map_done(&ns->expanded);
    free(ns->planned);
    free(ns->running);
    *ns = (struct nodes){0};
}

/* ---- which there are ------------------------------------------------------------------------- */

struct node *nodes_expand(struct nodes *ns, struct str id)
{
    if (ns->expanded.len >= MAX_EXPANDED) {
        return NULL;
    }
    struct node *n = mem_zero(1, ns->size + id.n + 1);
    char *own_id = (char *)n + ns->size;
    memcpy(own_id, id.p, id.n);
    n->id = (struct str){own_id, id.n};
    (void)map_put(&ns->expanded, n->id, n);
    return n;
}

/* ---- what lies in what ----------------------------------------------------------------------- */

struct node *nodes_parent(const struct nodes *ns, const struct node *n)
{
    return nodes_find(ns, str_of(n->parent));
}

static const char *above_of(const struct node *n)
{
    return n->parent == NULL && n->planned == NULL ? n->display : n->parent;
}

struct node *nodes_above(const struct nodes *ns, const struct node *n)
{
    return nodes_find(ns, str_of(above_of(n)));
}

bool nodes_is_under(const struct nodes *ns, const struct node *n, struct str above)
{
    const char *id = above_of(n);
    struct node *up = n->up != NULL ? n->up : nodes_above(ns, n);
    for (int i = 1; i < NODES_MAX_PARENTS && id != NULL && !str_is(above, id) && up != NULL; i++) {
        id = above_of(up);
        struct node *next = up->up != NULL ? up->up : nodes_above(ns, up);
        up->up = up->parent == NULL ? NULL : next; /* its display may change */
        up = next;
    }
    return id != NULL && str_is(above, id);
}

bool nodes_is_inside_of_copy(const struct nodes *ns, const struct node *n)
{
    const struct node *up = nodes_parent(ns, n);
    for (int i = 0; i < NODES_MAX_PARENTS && up != NULL; i++) {
        if (up->display != NULL && strcmp(up->display, n->display) == 0) {
            return true;
        }
        up = nodes_parent(ns, up);
    }
    return false;
}

/* ---- what threw ------------------------------------------------------------------------------ */

/* True if a node of the workflow runs beside the one that an error names: then it is unknown whose
   copy a loose one is. */
static bool runs_beside(const struct nodes *ns, struct str named)
{
    bool any = false;
    for (size_t i = 0; i < ns->running_len && !any; i++) {
        const struct node *n = ns->running[i];
        any = n->planned != NULL && !n->by_copies && !str_eq(n->id, named);
    }
    return any;
}

/* True for a copy with an unknown parent. */
static bool is_loose_copy(const struct nodes *ns, const struct node *n,
                          bool (*is_silent)(const struct node *shown))
{
    const struct node *shown = n->parent != NULL ? NULL : nodes_find(ns, str_of(n->display));
    return shown != NULL && is_silent(shown);
}

struct node *nodes_innermost(const struct nodes *ns, struct str named,
                             bool (*is_silent)(const struct node *shown))
{
    const bool alone = !runs_beside(ns, named);
    struct node *found = NULL;
    for (size_t i = 0; i < ns->running_len; i++) {
        struct node *n = ns->running[i];
        if (n->planned == NULL && (found == NULL || n->began > found->began) &&
            (nodes_is_under(ns, n, named) || (alone && is_loose_copy(ns, n, is_silent)))) {
            found = n;
        }
    }
    return found;
}

/* ---- how they move --------------------------------------------------------------------------- */

/* End of a node not seen running: cached, or completed where frames were missed. */
enum { UNSEEN = PROFILE_FAILED + 1 };

enum {
    ENDS = 1,       /* ends the node */
    ENDS_UNRUN = 2, /* ends it if pending */
    ENDED_TOO = 4,  /* applies to an ended node too */
    ITSELF = 8,     /* it now speaks for itself, not its copies */
};

static const struct rule {
    unsigned char flags;
    unsigned char next[UNSEEN]; /* by status: pending, executing, completed, cached, failed */
} rules[] = {
#define P PROFILE_PENDING
#define E PROFILE_EXECUTING
#define C PROFILE_COMPLETED
#define H PROFILE_CACHED
#define F PROFILE_FAILED
    [NODE_LISTED] = {0, {H, E, C, H, F}},
    [NODE_RUNS] = {ITSELF, {E, E, E, E, E}}, /* a cached one may run */
    [NODE_FOLLOWED] = {0, {P, C, C, H, F}},
    [NODE_GAVE] = {ENDS_UNRUN | ENDED_TOO, {UNSEEN, E, C, H, F}},
    [NODE_FINISHED] = {ENDS | ITSELF, {UNSEEN, C, C, H, F}},
    [NODE_DONE] = {ENDS_UNRUN, {P, E, C, H, F}},
    [NODE_THREW] = {ENDS | ENDED_TOO | ITSELF, {F, F, F, F, F}},
#undef P
#undef E
#undef C
#undef H
#undef F
};

static void runs_from_now(struct nodes *ns, struct node *n)
{
    if (ns->running_len == ns->running_cap) {
        ns->running_cap = ns->running_cap == 0 ? 8 : ns->running_cap * 2;
        ns->running = mem_grow(ns->running, ns->running_cap * sizeof(struct node *));
    }
    ns->running[ns->running_len++] = n;
    n->running_at = (uint32_t)ns->running_len;
    nodes_begin_again(ns, n);
}

static void runs_no_more(struct nodes *ns, struct node *n)
{
    struct node *last = ns->running[--ns->running_len];
    ns->running[n->running_at - 1] = last;
    last->running_at = n->running_at;
    n->running_at = 0;
}

static bool set_status(struct nodes *ns, struct node *n, unsigned char status)
{
    if (n->status == status) {
        return false;
    }
    if (status == PROFILE_EXECUTING) {
        runs_from_now(ns, n);
    } else if (n->status == PROFILE_EXECUTING) {
        runs_no_more(ns, n);
    }
    n->status = status;
    return true;
}

bool nodes_move(struct nodes *ns, struct node *n, enum node_said said, bool missed)
{
    const struct rule *rule = &rules[said];
    if (n->ended && (rule->flags & ENDED_TOO) == 0) {
        return false;
    }
    const unsigned char next = rule->next[n->status];
    n->ended = n->ended || (rule->flags & ENDS) != 0 ||
               ((rule->flags & ENDS_UNRUN) != 0 && n->status == PROFILE_PENDING);
    n->by_copies = n->by_copies && (rule->flags & ITSELF) == 0;
    return set_status(ns, n, next != UNSEEN ? next : missed ? PROFILE_COMPLETED : PROFILE_CACHED);
}

bool nodes_move_by_copies(struct nodes *ns, struct node *n, enum profile_status status)
{
    n->by_copies = true;
    return set_status(ns, n, (unsigned char)status);
}

void nodes_begin_again(struct nodes *ns, struct node *n)
{
    n->began = ++ns->begun;
}
