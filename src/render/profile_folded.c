/*
 * A profile as folded stacks, for flame graphs: "frame;frame N", where N is the own time of the
 * last frame in microseconds. The phases are the first frames; nodes are in "executing", expanded
 * ones in their parents. Nodes that ran in parallel both count, so the sum may exceed the time that
 * passed. A node that is the sum of its copies is left out: they are there.
 */
#include "formats.h"

#include <inttypes.h>
#include <stdlib.h>

#include "comfypool/base/map.h"

enum { DEPTH_MAX = 32 };

/* Replaces `;`, which would end the frame. */
static void add_frame(struct buf *out, const struct stored_node *n)
{
    const size_t from = out->len;
    add_node_label(out, n);
    for (size_t i = from; i < out->len; i++) {
        if (out->data[i] == ';') {
            out->data[i] = ',';
        }
    }
}

/* Adds the parents of n, outermost first; at most DEPTH_MAX, the nearest ones. */
static void add_stack(struct buf *out, const struct stored_node *n)
{
    const struct stored_node *path[DEPTH_MAX];
    size_t depth = 0;
    for (; n != NULL && depth < DEPTH_MAX; n = n->parent) {
        path[depth++] = n;
    }
    buf_add_text(out, n == NULL ? "executing" : "executing;..");
    while (depth > 0) {
        buf_add_char(out, ';');
        add_frame(out, path[--depth]);
    }
}

static void add_time(struct buf *out, struct dur_us t)
{
    buf_printf(out, " %" PRId64 "\n", t.us);
}

static void add_line(struct buf *out, const char *parent, const char *name, struct dur_us t)
{
    if (t.us > 0) {
        buf_add_text(out, parent);
        buf_add_text(out, name);
        add_time(out, t);
    }
}

/* Adds the own times of phases: the queue without its parts; the execution comes from the nodes. */
static void add_phases(const struct stored_profile *p, struct buf *out)
{
    struct stored_phase phases[STORED_PHASES_MAX];
    const size_t len = stored_phases(p, phases);
    struct dur_us queue = phases[0].to;
    for (size_t i = 1; i < len; i++) {
        const struct dur_us t = {phases[i].to.us - phases[i].from.us};
        if (phases[i].part) {
            queue.us -= t.us;
            add_line(out, "queue;", phases[i].name, t);
        } else if (strcmp(phases[i].name, "executing") != 0) {
            add_line(out, "", phases[i].name, t);
        }
    }
    add_line(out, "", "queue", queue);
}

/* Returns the own time; for a running node, what its children have not taken so far. */
static struct dur_us own_time(const struct stored_profile *p, const struct dur_us *children,
                              const struct stored_node *n)
{
    struct dur_us own;
    if (!span_of(n->json, "selfDuration", &own)) {
        own.us = n->busy.us - children[n - p->nodes].us;
    }
    return own;
}

static bool is_under(const struct stored_node *n, const struct stored_node *above)
{
    while (n != NULL && n != above) {
        n = n->parent;
    }
    return n != NULL;
}

/* True inside a copy: what it expands into is displayed as the same node. */
static bool is_inside_of_copy(const struct stored_node *n, struct str shown)
{
    do {
        n = n->parent;
    } while (n != NULL && !str_eq(text_of(n->json, "displayNodeId"), shown));
    return n != NULL;
}

/* Sums by node how long its copies ran: those displayed as it and lying elsewhere. Owner: the
   caller. */
static struct dur_us *sum_copies(const struct stored_profile *p)
{
    struct dur_us *sums = mem_zero(p->nodes_len + 1, sizeof *sums);
    struct map by_id;
    stored_nodes_by_id(p, &by_id);
    for (size_t i = 0; i < p->nodes_len; i++) {
        const struct str id = text_of(p->nodes[i].json, "displayNodeId");
        struct stored_node *shown = id.n == 0 ? NULL : map_get(&by_id, id);
        if (shown != NULL && !is_under(&p->nodes[i], shown) &&
            !is_inside_of_copy(&p->nodes[i], id)) {
            sums[shown - p->nodes].us += p->nodes[i].busy.us;
        }
    }
    map_done(&by_id);
    return sums;
}

static void add_nodes(const struct stored_profile *p, struct buf *out)
{
    struct dur_us *sums = sum_copies(p);
    struct dur_us *children = mem_zero(p->nodes_len + 1, sizeof *children);
    for (size_t i = 0; i < p->nodes_len; i++) {
        if (p->nodes[i].parent != NULL) {
            children[p->nodes[i].parent - p->nodes].us += p->nodes[i].busy.us;
        }
    }
    for (size_t i = 0; i < p->nodes_len; i++) {
        const struct dur_us own = own_time(p, children, &p->nodes[i]);
        const bool is_sum = sums[i].us > 0 && sums[i].us == p->nodes[i].busy.us;
        if (own.us > 0 && !is_sum) {
            add_stack(out, &p->nodes[i]);
            add_time(out, own);
        }
    }
    free(children);
    free(sums);
}

void profile_folded(const struct stored_profile *p, struct buf *out)
{
    const size_t before = out->len;
    add_phases(p, out);
    add_nodes(p, out);
    struct dur_us idle = {0};
    (void)span_of(json_object_get(p->json, "summary"), "unaccounted", &idle);
    add_line(out, "executing;", "unaccounted", idle);
    if (out->len == before) {
        buf_add_text(out, "queue 0\n"); /* nothing took time; an empty file is no profile */
    }
}
