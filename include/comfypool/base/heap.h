/*
 * An intrusive binary heap: the items carry a heap_node, so that any item can leave or change its
 * key in O(log n). The least item by `before` is on top.
 */
#ifndef COMFYPOOL_BASE_HEAP_H
#define COMFYPOOL_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>

struct heap_node {
    size_t place; /* 1-based; 0: in no heap */
};

typedef bool (*heap_before_fn)(const struct heap_node *a, const struct heap_node *b);

struct heap {
    struct heap_node **items;
    size_t len;
    size_t cap;
    heap_before_fn before;
};

void heap_init(struct heap *h, heap_before_fn before);
void heap_done(struct heap *h);
void heap_push(struct heap *h, struct heap_node *n);
/* NULL when empty. */
struct heap_node *heap_top(const struct heap *h);
/* Does nothing when the node is in no heap. */
void heap_remove(struct heap *h, struct heap_node *n);
/* Call after the key of a node in the heap has changed. */
void heap_update(struct heap *h, struct heap_node *n);

static inline bool heap_holds(const struct heap_node *n)
{
    return n->place != 0;
}

/*
 * The items from the least one on, without taking them out; the heap must not change meanwhile. At
 * most HEAP_WALK_MOST of them. O(HEAP_WALK_MOST) a step.
 */
enum { HEAP_WALK_MOST = 32 };
struct heap_walk {
    const struct heap *heap;
    unsigned steps;
    unsigned len;
    size_t next[HEAP_WALK_MOST + 1]; /* places whose parents were walked */
};
void heap_walk_begin(struct heap_walk *w, const struct heap *h);
/* NULL at the end. */
struct heap_node *heap_walk_next(struct heap_walk *w);

#define heap_item(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

#endif
