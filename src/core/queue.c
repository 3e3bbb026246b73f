/* The queue; see the header. Invariant: a lane is in the list and in the map, or it is not. */
#include "comfypool/core/queue.h"

#include <stdlib.h>

struct queue_lane {
    struct heap heap;
    size_t place; /* in queue.lanes */
    char *key;
};

bool queue_before(const struct queue_entry *x, const struct queue_entry *y)
{
    return x->priority != y->priority ? x->priority > y->priority : x->seq < y->seq;
}

static bool before(const struct heap_node *a, const struct heap_node *b)
{
    return queue_before(heap_item(a, const struct queue_entry, node),
                        heap_item(b, const struct queue_entry, node));
}

static struct queue_lane *lane_new(struct queue *q, struct str key)
{
    struct queue_lane *lane = mem_zero(1, sizeof *lane);
    heap_init(&lane->heap, before);
    lane->key = mem_copy(key);
    lane->place = q->lanes_len;
    if (q->lanes_len == q->lanes_cap) {
        q->lanes_cap = q->lanes_cap == 0 ? 8 : q->lanes_cap * 2;
        q->lanes = mem_grow(q->lanes, q->lanes_cap * sizeof(struct queue_lane *));
    }
    q->lanes[q->lanes_len++] = lane;
    (void)map_put(&q->by_key, (struct str){lane->key, key.n}, lane);
    return lane;
}

static void lane_free(struct queue *q, struct queue_lane *lane)
{
    (void)map_remove(&q->by_key, str_of(lane->key));
    q->lanes[lane->place] = q->lanes[--q->lanes_len];
    q->lanes[lane->place]->place = lane->place;
    heap_done(&lane->heap);
    free(lane->key);
    free(lane);
}

void queue_init(struct queue *q)
{
    *q = (struct queue){.len = 0};
    map_init(&q->by_key);
    (void)lane_new(q, STR(""));
}

void queue_done(struct queue *q)
{
    while (q->lanes_len > 0) {
        lane_free(q, q->lanes[q->lanes_len - 1]);
    }
    map_done(&q->by_key);
    free(q->lanes);
}

void queue_push(struct queue *q, struct queue_entry *e, struct str key, int priority, int64_t seq)
{
    struct queue_lane *lane = map_get(&q->by_key, key);
    e->lane = lane != NULL ? lane : lane_new(q, key);
    e->priority = priority;
    e->seq = seq;
    heap_push(&e->lane->heap, &e->node);
    q->len++;
}

void queue_remove(struct queue *q, struct queue_entry *e)
{
    struct queue_lane *lane = e->lane;
    if (lane == NULL) {
        return;
    }
    heap_remove(&lane->heap, &e->node);
    e->lane = NULL;
    q->len--;
    if (lane->heap.len == 0 && lane->key[0] != '\0') {
        lane_free(q, lane);
    }
}

struct queue_entry *queue_first_of(const struct queue *q, size_t i)
{
    struct heap_node *top = heap_top(&q->lanes[i]->heap);
    return top == NULL ? NULL : heap_item(top, struct queue_entry, node);
}

struct str queue_key(const struct queue_entry *e)
{
    return str_of(e->lane->key);
}

size_t queue_length(const struct queue *q)
{
    return q->len;
}
