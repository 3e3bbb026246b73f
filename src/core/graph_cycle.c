/* Finds links that close cycles, without recursion: graphs may be as deep as they are long. */
#include <stdlib.h>

#include "comfypool/base/str.h"

#include "graph_inner.h"

void graph_links_init(struct graph_links *l, size_t nodes)
{
    *l = (struct graph_links){.first = mem_zero(nodes + 1, sizeof *l->first)};
}

void graph_links_done(struct graph_links *l)
{
    free(l->first);
    free(l->to);
}

void graph_links_add(struct graph_links *l, uint32_t node, uint32_t to)
{
    if (l->len > l->first[node] && l->to[l->len - 1] == to) {
        return;
    }
    if (l->len == l->cap) {
        l->cap = l->cap == 0 ? 64 : l->cap * 2;
        l->to = mem_grow(l->to, l->cap * sizeof *l->to);
    }
    l->to[l->len++] = to;
}

enum state { STATE_NEW, STATE_OPEN, STATE_DONE };

/* A depth-first walk; open nodes are on the stack. */
struct walk {
    const struct graph_links *l;
    unsigned char *states;
    size_t *next; /* by node: its next link */
    uint32_t *stack;
    size_t depth;
};

static void enter(struct walk *w, uint32_t node)
{
    w->states[node] = STATE_OPEN;
    w->next[node] = w->l->first[node];
    w->stack[w->depth++] = node;
}

static void walk_from(struct walk *w, uint32_t root,
                      void (*each)(void *ctx, uint32_t node, uint32_t to), void *ctx)
{
    enter(w, root);
    while (w->depth > 0) {
        const uint32_t node = w->stack[w->depth - 1];
        if (w->next[node] == w->l->first[node + 1]) {
            w->states[node] = STATE_DONE;
            w->depth--;
            continue;
        }
        const uint32_t to = w->l->to[w->next[node]++];
        if (w->states[to] == STATE_NEW) {
            enter(w, to);
        } else if (w->states[to] == STATE_OPEN) {
            each(ctx, node, to);
        }
    }
}

void graph_links_cycles(const struct graph_links *l, size_t nodes,
                        void (*each)(void *ctx, uint32_t node, uint32_t to), void *ctx)
{
    struct walk w = {.l = l};
    w.states = mem_zero(nodes + 1, sizeof *w.states);
    w.next = mem_zero(nodes + 1, sizeof *w.next);
    w.stack = mem_zero(nodes + 1, sizeof *w.stack);
    for (uint32_t i = 0; i < nodes; i++) {
        if (w.states[i] == STATE_NEW) {
            walk_from(&w, i, each, ctx);
        }
    }
    free(w.states);
    free(w.next);
    free(w.stack);
}
