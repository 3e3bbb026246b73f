/*
 * Which queued job is next: higher priority first; clients take turns within one priority; first
 * come, first served (by seq) within one client.
 *
 * Jobs wait in lanes. All jobs of a lane may run on the same backends, so that a lane whose
 * backends are all taken is passed by as a whole and holds up nobody else. Jobs without any
 * restriction share the lane ""; the caller makes the keys of others. O(log n) in and out, from
 * anywhere; there are few lanes, and choosing among them is linear in their number. The entries
 * are embedded in whatever waits.
 *
 * Turns: each client has a turn number for each priority at which it waits; the lowest is next, and
 * whoever was served goes one behind the one that is being served. So a client that comes anew
 * stands beside the others, and does not gain by coming back at once.
 */
#ifndef COMFYPOOL_CORE_QUEUE_H
#define COMFYPOOL_CORE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/heap.h"
#include "comfypool/base/map.h"

enum { QUEUE_PRIORITY_MOST = 1000 }; /* and as much below 0 */

/* A place in the order of all. */
struct queue_rank {
    int priority;
    uint64_t turn;
    int64_t seq;
};

struct queue_lane;
struct queue_flow;
struct queue_client;

struct queue_entry {
    struct heap_node node;
    struct queue_flow *flow; /* NULL: it does not wait */
    int64_t seq;
};

struct queue {
    struct map by_key;
    struct queue_lane **lanes; /* those in which somebody waits, and the lane "" */
    size_t lanes_len, lanes_cap;
    size_t len;
    struct map clients;                          /* by name */
    struct queue_client *idle_first, *idle_last; /* those that do not wait */
    size_t idle_len;
    uint64_t round[2 * QUEUE_PRIORITY_MOST + 1]; /* the turn that was served last */
};

void queue_init(struct queue *q);
void queue_done(struct queue *q);
/* key and client are copied. priority: -QUEUE_PRIORITY_MOST to QUEUE_PRIORITY_MOST. */
void queue_push(struct queue *q, struct queue_entry *e, struct str key, struct str client,
                int priority, int64_t seq);
/* Does nothing when the entry does not wait. An empty lane goes with its last entry. */
void queue_remove(struct queue *q, struct queue_entry *e);
/* The same for one that is served: that was its client's turn. */
void queue_take(struct queue *q, struct queue_entry *e);
/* A client is passed by from now on, or not any more. O(its priorities and lanes). */
void queue_hold(struct queue *q, struct str client, bool held);
/* The place of the first entry of lane i in the order of all; false: it has none, but held ones. */
bool queue_peek(const struct queue *q, size_t i, struct queue_rank *ret);
/* The first entry of lane i (of queue.lanes_len); NULL when nobody waits in it, but held ones. */
struct queue_entry *queue_first_of(const struct queue *q, size_t i);
/* The key of the lane that the entry waits in. */
struct str queue_key(const struct queue_entry *e);
size_t queue_length(const struct queue *q);
/* Of an entry that waits: the place that it has when it is the first of its client at its priority.
   Returns what stands for both: equal for entries whose turns follow each other. */
const void *queue_turn_of(const struct queue_entry *e, struct queue_rank *ret);

/* ---- looking ahead --------------------------------------------------------------------------- */

/* At most so many of a lane are looked at. */
enum { QUEUE_LOOK = HEAP_WALK_MOST };

/* The entries of a lane in the order in which they would be served if nobody else came. The queue
   must not change meanwhile. O(QUEUE_LOOK) a step. */
struct queue_cursor {
    const struct queue_flow *flow;
    struct heap_walk entries;
    struct queue_entry *next; /* NULL: no more */
    uint64_t turn;
};
struct queue_walk {
    struct heap_walk flows;
    const struct queue_flow *next_flow; /* not begun yet; NULL: no more */
    size_t len;
    size_t steps;
    struct queue_cursor cursors[QUEUE_LOOK];
};
void queue_walk_begin(struct queue_walk *w, const struct queue *q, size_t lane);
/* The place of what queue_walk_next will return, for a walk over several lanes; false: there is
   nothing. */
bool queue_walk_peek(const struct queue_walk *w, struct queue_rank *ret);
struct queue_entry *queue_walk_next(struct queue_walk *w);
/* True when a is served before b. */
bool queue_rank_before(const struct queue_rank *a, const struct queue_rank *b);

#endif
