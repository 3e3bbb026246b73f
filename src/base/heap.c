/* An intrusive binary heap; see the header. */
#include "comfypool/base/heap.h"

#include <stdlib.h>

#include "comfypool/base/str.h"

void heap_init(struct heap *h, heap_before_fn before)
{
    *h = (struct heap){.before = before};
}

void heap_done(struct heap *h)
{
    free(h->items);
    h->items = NULL;
    h->len = h->cap = 0;
}

static void put(struct heap *h, size_t i, struct heap_node *n)
{
    h->items[i] = n;
    n->place = i + 1;
}

static void sift_up(struct heap *h, size_t i)
{
    struct heap_node *n = h->items[i];
    while (i > 0) {
        const size_t parent = (i - 1) / 2;
        if (!h->before(n, h->items[parent])) {
            break;
        }
        put(h, i, h->items[parent]);
        i = parent;
    }
    put(h, i, n);
}

static void sift_down(struct heap *h, size_t i)
{
    struct heap_node *n = h->items[i];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= h->len) {
            break;
        }
        if (child + 1 < h->len && h->before(h->items[child + 1], h->items[child])) {
            child++;
        }
        if (!h->before(h->items[child], n)) {
            break;
        }
        put(h, i, h->items[child]);
        i = child;
    }
    put(h, i, n);
}

void heap_push(struct heap *h, struct heap_node *n)
{
    if (h->len == h->cap) {
        h->cap = h->cap == 0 ? 16 : h->cap * 2;
        h->items = mem_grow(h->items, h->cap * sizeof(struct heap_node *));
    }
    h->items[h->len] = n;
    h->len++;
    sift_up(h, h->len - 1);
}

struct heap_node *heap_top(const struct heap *h)
{
    return h->len == 0 ? NULL : h->items[0];
}

void heap_remove(struct heap *h, struct heap_node *n)
{
    if (n->place == 0) {
        return;
    }
    const size_t i = n->place - 1;
    n->place = 0;
    h->len--;
    if (i == h->len) {
        return;
    }
    struct heap_node *last = h->items[h->len];
    put(h, i, last);
    heap_update(h, last);
}

void heap_update(struct heap *h, struct heap_node *n)
{
    if (n->place == 0) {
        return;
    }
    sift_up(h, n->place - 1);
    sift_down(h, n->place - 1);
}

void heap_walk_begin(struct heap_walk *w, const struct heap *h)
{
    w->heap = h;
    w->steps = 0;
    w->len = h->len > 0 ? 1 : 0;
    w->next[0] = 0;
}

struct heap_node *heap_walk_next(struct heap_walk *w)
{
    if (w->len == 0 || w->steps == HEAP_WALK_MOST) {
        return NULL;
    }
    const struct heap *h = w->heap;
    unsigned least = 0;
    for (unsigned i = 1; i < w->len; i++) {
        least = h->before(h->items[w->next[i]], h->items[w->next[least]]) ? i : least;
    }
    const size_t place = w->next[least];
    w->next[least] = w->next[--w->len];
    w->steps++;
    for (size_t child = 2 * place + 1; child <= 2 * place + 2 && child < h->len; child++) {
        w->next[w->len++] = child;
    }
    return h->items[place];
}
