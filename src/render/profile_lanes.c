/*
 * Places slices on lanes; see the header. One pass in order of time: a lane is free when its
 * outermost slice has ended; the free lane with the least number is used, the node's own before
 * others (a lazy node stays where it was). Two heaps make that O(log lanes) a slice.
 */
#include "profile_lanes.h"

#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/heap.h"

struct placed {
    struct lane_item item;
    struct placed *below; /* the enclosing slice */
    size_t lane;
};

struct lane {
    struct heap_node busy;
    struct heap_node idle;
    struct dur_us until; /* end of its outermost slice */
    struct placed *top;  /* innermost open slice */
    size_t number;
};

struct placing {
    const struct stored_profile *p;
    struct lane *lanes;
    size_t len;
    struct heap busy; /* by end */
    struct heap idle; /* by number */
    size_t *lane_of;  /* by node: lane number of its latest slice; 0: none */
};

static bool ends_sooner(const struct heap_node *a, const struct heap_node *b)
{
    return heap_item(a, const struct lane, busy)->until.us <
           heap_item(b, const struct lane, busy)->until.us;
}

static bool is_higher_up(const struct heap_node *a, const struct heap_node *b)
{
    return heap_item(a, const struct lane, idle)->number <
           heap_item(b, const struct lane, idle)->number;
}

static size_t *number_of_lane(const struct placing *g, const struct stored_node *n)
{
    return &g->lane_of[n - g->p->nodes];
}

/* Returns the lane of n's latest slice; NULL: none. */
static struct lane *lane_of(const struct placing *g, const struct stored_node *n)
{
    const size_t number = n == NULL ? 0 : *number_of_lane(g, n);
    return number == 0 ? NULL : &g->lanes[number - 1];
}

/* Places s inside its parent's open slice, if it fits. */
static bool place_inside(const struct placing *g, struct placed *s)
{
    const struct stored_node *parent = s->item.node->parent;
    struct lane *l = lane_of(g, parent);
    if (l == NULL) {
        return false;
    }
    while (l->top != NULL && l->top->item.to.us <= s->item.from.us) {
        l->top = l->top->below;
    }
    if (l->top == NULL || l->top->item.node != parent || s->item.to.us > l->top->item.to.us) {
        return false;
    }
    s->below = l->top;
    s->lane = l->number;
    l->top = s;
    *number_of_lane(g, s->item.node) = l->number;
    return true;
}

static struct lane *free_lane(struct placing *g, const struct placed *s)
{
    for (struct heap_node *n = heap_top(&g->busy); n != NULL; n = heap_top(&g->busy)) {
        struct lane *l = heap_item(n, struct lane, busy);
        if (l->until.us > s->item.from.us) {
            break;
        }
        heap_remove(&g->busy, n);
        heap_push(&g->idle, &l->idle);
    }
    struct lane *own = lane_of(g, s->item.node);
    if (own != NULL && heap_holds(&own->idle)) {
        return own;
    }
    struct heap_node *first = heap_top(&g->idle);
    if (first != NULL) {
        return heap_item(first, struct lane, idle);
    }
    struct lane *l = &g->lanes[g->len];
    l->number = ++g->len; /* lane 0 is for the phases */
    return l;
}

static void place(struct placing *g, struct placed *s)
{
    if (place_inside(g, s)) {
        return;
    }
    struct lane *l = free_lane(g, s);
    heap_remove(&g->idle, &l->idle);
    l->until = s->item.to;
    l->top = s;
    heap_push(&g->busy, &l->busy);
    s->lane = l->number;
    *number_of_lane(g, s->item.node) = l->number;
}

static int by_time(const void *x, const void *y)
{
    const struct lane_item *a = &((const struct placed *)x)->item;
    const struct lane_item *b = &((const struct placed *)y)->item;
    if (a->from.us != b->from.us) {
        return a->from.us < b->from.us ? -1 : 1;
    }
    if (a->to.us != b->to.us) {
        return a->to.us > b->to.us ? -1 : 1;
    }
    if (a->node != b->node) {
        return a->node < b->node ? -1 : 1;
    }
    return a->slice < b->slice ? -1 : 1;
}

static void place_nodes(const struct stored_profile *p, struct placed *list, size_t len,
                        struct lanes *ret)
{
    struct placing g = {
        .p = p,
        .lanes = mem_zero(len, sizeof *g.lanes),
        .lane_of = mem_zero(p->nodes_len, sizeof *g.lane_of),
    };
    heap_init(&g.busy, ends_sooner);
    heap_init(&g.idle, is_higher_up);
    qsort(list, len, sizeof *list, by_time);
    for (size_t i = 0; i < len; i++) {
        place(&g, &list[i]);
    }
    ret->len = g.len + 1;
    heap_done(&g.busy);
    heap_done(&g.idle);
    free(g.lanes);
    free(g.lane_of);
}

/* Sorts by lane, keeping the order of time within each. */
static void sort_lanes(const struct placed *list, size_t len, struct lanes *ret)
{
    size_t *first = mem_zero(ret->len + 2, sizeof *first);
    for (size_t i = 0; i < len; i++) {
        first[list[i].lane + 2]++;
    }
    for (size_t i = 2; i < ret->len + 2; i++) {
        first[i] += first[i - 1];
    }
    ret->items = mem_alloc(len * sizeof *ret->items);
    for (size_t i = 0; i < len; i++) {
        ret->items[first[list[i].lane + 1]++] = list[i].item;
    }
    ret->first = first;
}

void lanes_make(const struct stored_profile *p, struct lanes *ret)
{
    struct stored_phase phases[STORED_PHASES_MAX];
    const size_t phases_len = stored_phases(p, phases);
    struct placed *list = mem_zero(phases_len + p->slices_len, sizeof *list);
    size_t len = 0;
    for (; len < phases_len; len++) {
        list[len].item = (struct lane_item){
            .from = phases[len].from,
            .to = phases[len].to,
            .phase = phases[len].name,
        };
    }
    for (size_t i = 0; i < p->nodes_len; i++) {
        const struct stored_node *n = &p->nodes[i];
        for (size_t k = 0; k < n->slices_len; k++) {
            list[len++].item = (struct lane_item){
                .from = n->slices[k].from,
                .to = n->slices[k].to,
                .node = n,
                .slice = k,
            };
        }
    }
    place_nodes(p, list + phases_len, len - phases_len, ret);
    sort_lanes(list, len, ret);
    free(list);
}

void lanes_done(struct lanes *l)
{
    free(l->items);
    free(l->first);
    *l = (struct lanes){0};
}

void lane_name(size_t lane, char ret[LANE_NAME_SIZE])
{
    if (lane == 0) {
        (void)snprintf(ret, LANE_NAME_SIZE, "Queue and phases");
    } else if (lane == 1) {
        (void)snprintf(ret, LANE_NAME_SIZE, "Nodes");
    } else {
        (void)snprintf(ret, LANE_NAME_SIZE, "Nodes %zu", lane);
    }
}
