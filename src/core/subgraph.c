/* Totals of subgraphs; see the header. */
#include "comfypool/core/subgraph.h"

#include <stdlib.h>

#include "comfypool/base/map.h"

/* Limit of nested subgraphs. */
enum { MAX_DEPTH = 8 };

/* A time in which one node of a subgraph ran. */
struct span {
    size_t subgraph;
    struct mono_us from;
    struct mono_us to;
};

struct gathering {
    struct subgraph *list;
    size_t len, cap;
    struct span *spans;
    size_t spans_len, spans_cap;
    struct map places; /* by id: index in list, plus 1 */
};

static size_t place_of(struct gathering *g, struct str id)
{
    const uintptr_t known = (uintptr_t)map_get(&g->places, id);
    if (known != 0) {
        return known - 1;
    }
    if (g->len == g->cap) {
        g->cap = g->cap == 0 ? 8 : 2 * g->cap;
        g->list = mem_grow(g->list, g->cap * sizeof *g->list);
    }
    g->list[g->len] = (struct subgraph){.id = id, .has_duration = true};
    (void)map_put(&g->places, id, (void *)(uintptr_t)(g->len + 1));
    return g->len++;
}

static void add_span(struct gathering *g, size_t subgraph, const struct profile_slice *s)
{
    if (g->spans_len == g->spans_cap) {
        g->spans_cap = g->spans_cap == 0 ? 32 : 2 * g->spans_cap;
        g->spans = mem_grow(g->spans, g->spans_cap * sizeof *g->spans);
    }
    g->spans[g->spans_len++] = (struct span){subgraph, s->from, s->to};
}

static void add_node(struct gathering *g, size_t at, const struct profile_node *n)
{
    struct subgraph *s = &g->list[at];
    const bool ran = n->status != PROFILE_PENDING && n->status != PROFILE_CACHED;
    s->nodes++;
    s->cached += n->status == PROFILE_CACHED ? 1 : 0;
    s->executed += ran ? 1 : 0;
    s->has_duration = s->has_duration && (!ran || n->has_duration);
    for (size_t i = 0; ran && i < n->slices_len; i++) {
        add_span(g, at, &n->slices[i]);
    }
}

static void gather(struct gathering *g, const struct profile_node *n)
{
    struct str id = {n->id.p, 0};
    const char *colon = n->id.n == 0 ? NULL : memchr(n->id.p, ':', n->id.n);
    for (size_t depth = 0; colon != NULL && depth < MAX_DEPTH; depth++) {
        id.n = (size_t)(colon - n->id.p);
        if (id.n > 0) {
            add_node(g, place_of(g, id), n);
        }
        const size_t left = n->id.n - id.n - 1;
        colon = left == 0 ? NULL : memchr(colon + 1, ':', left);
    }
}

static int by_begin(const void *x, const void *y)
{
    const struct span *a = x;
    const struct span *b = y;
    if (a->subgraph != b->subgraph) {
        return a->subgraph < b->subgraph ? -1 : 1;
    }
    return a->from.us < b->from.us ? -1 : a->from.us > b->from.us;
}

/* Sums the spans, overlaps once. */
static void sum_spans(struct gathering *g)
{
    if (g->spans_len > 1) {
        qsort(g->spans, g->spans_len, sizeof *g->spans, by_begin);
    }
    int64_t reached = 0;
    for (size_t i = 0; i < g->spans_len; i++) {
        const struct span *s = &g->spans[i];
        const bool first = i == 0 || s->subgraph != s[-1].subgraph;
        const int64_t from = first || s->from.us > reached ? s->from.us : reached;
        if (s->to.us > from) {
            g->list[s->subgraph].duration.us += s->to.us - from;
        }
        reached = first || s->to.us > reached ? s->to.us : reached;
    }
}

struct subgraph *subgraphs_of(const struct profile *p, size_t *ret_len)
{
    struct gathering g = {0};
    map_init(&g.places);
    for (size_t i = 0; i < p->nodes_len; i++) {
        gather(&g, &p->nodes[i]);
    }
    sum_spans(&g);
    free(g.spans);
    map_done(&g.places);
    *ret_len = g.len;
    return g.list;
}
