/*
 * Which queued job is next: higher priority first, first-come first-served (by seq) within one.
 *
 * Jobs wait in lanes. All jobs of a lane may run on the same backends, so that a lane whose
 * backends are all taken is passed by as a whole and holds up nobody else. Jobs without any
 * restriction share the lane ""; the caller makes the keys of others (such as a workflow that some
 * backend cannot run). O(log n) in and out, from anywhere; there are few lanes, and choosing among
 * them is linear in their number. The entries are embedded in whatever waits.
 */
#ifndef COMFYPOOL_CORE_QUEUE_H
#define COMFYPOOL_CORE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/heap.h"
#include "comfypool/base/map.h"

struct queue_lane;

struct queue_entry {
    struct heap_node node;
    struct queue_lane *lane; /* NULL: it does not wait */
    int priority;
    int64_t seq;
};

struct queue {
    struct map by_key;
    struct queue_lane **lanes; /* those in which somebody waits, and the lane "" */
    size_t lanes_len, lanes_cap;
    size_t len;
};

void queue_init(struct queue *q);
void queue_done(struct queue *q);
/* Owner of key: the caller; it is copied. */
void queue_push(struct queue *q, struct queue_entry *e, struct str key, int priority, int64_t seq);
/* Does nothing when the entry does not wait. An empty lane goes with its last entry. */
void queue_remove(struct queue *q, struct queue_entry *e);
/* The first entry of lane i (of queue.lanes_len); NULL when nobody waits in it. */
struct queue_entry *queue_first_of(const struct queue *q, size_t i);
/* The key of the lane that the entry waits in. */
struct str queue_key(const struct queue_entry *e);
/* True when a comes before b. */
bool queue_before(const struct queue_entry *a, const struct queue_entry *b);
size_t queue_length(const struct queue *q);

#endif
