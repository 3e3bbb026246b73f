/* The queue; see the header. */
#include "comfypool/core/queue.h"

static bool before(const struct heap_node *a, const struct heap_node *b)
{
    const struct queue_entry *x = heap_item(a, struct queue_entry, node);
    const struct queue_entry *y = heap_item(b, struct queue_entry, node);
    return x->priority != y->priority ? x->priority > y->priority : x->seq < y->seq;
}

void queue_init(struct queue *q)
{
    heap_init(&q->heap, before);
}

void queue_done(struct queue *q)
{
    heap_done(&q->heap);
}

void queue_push(struct queue *q, struct queue_entry *e, int priority, int64_t seq)
{
    e->priority = priority;
    e->seq = seq;
    heap_push(&q->heap, &e->node);
}

void queue_remove(struct queue *q, struct queue_entry *e)
{
    heap_remove(&q->heap, &e->node);
}

struct queue_entry *queue_first(const struct queue *q)
{
    struct heap_node *top = heap_top(&q->heap);
    return top == NULL ? NULL : heap_item(top, struct queue_entry, node);
}

size_t queue_length(const struct queue *q)
{
    return q->heap.len;
}
