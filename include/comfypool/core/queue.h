/*
 * Which queued job is next: higher priority first, first-come first-served (by seq) within one.
 * O(log n) in and out, from anywhere. The entries are embedded in whatever waits.
 */
#ifndef COMFYPOOL_CORE_QUEUE_H
#define COMFYPOOL_CORE_QUEUE_H

#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/heap.h"

struct queue_entry {
    struct heap_node node;
    int priority;
    int64_t seq;
};

struct queue {
    struct heap heap;
};

void queue_init(struct queue *q);
void queue_done(struct queue *q);
void queue_push(struct queue *q, struct queue_entry *e, int priority, int64_t seq);
/* Does nothing when the entry does not wait. */
void queue_remove(struct queue *q, struct queue_entry *e);
/* The next one, still in the queue; NULL when nothing waits. */
struct queue_entry *queue_first(const struct queue *q);
size_t queue_length(const struct queue *q);

#endif
