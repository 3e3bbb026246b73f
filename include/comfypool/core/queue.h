/*
 * Which queued job is next: higher priority first; clients take turns within one priority; first
 * come, first served (by seq) within one client.
 *
 * Jobs wait in lanes. All jobs of a lane may run on the same backends, so a lane whose backends are
 * all busy is skipped as a whole and holds up no other. Jobs without restrictions share the lane
 * ""; the caller makes the keys of others. O(log n) in and out, from anywhere; there are few lanes,
 * and choosing among them is linear in their number. Entries are embedded in the waiting objects.
 *
 * Turns: each client has a turn number for each priority at which it waits; the lowest is next, and
 * a served client moves one behind the turn being served. So a new client stands level with the
 * others, and does not gain by coming back at once.
 */
#ifndef COMFYPOOL_CORE_QUEUE_H
#define COMFYPOOL_CORE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/heap.h"
#include "comfypool/base/map.h"

enum { QUEUE_PRIORITY_MOST = 1000 }; /* lowest: -QUEUE_PRIORITY_MOST */

/* A position in the overall order. */
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
    struct queue_flow *flow; /* NULL: not waiting */
    int64_t seq;
};

struct queue {
    struct map by_key;
    struct queue_lane **lanes; /* lanes with entries, and the lane "" */
    size_t lanes_len, lanes_cap;
    size_t len;
    struct map clients;                          /* by name */
    struct queue_client *idle_first, *idle_last; /* list of clients that do not wait */
    size_t idle_len;
    uint64_t round[2 * QUEUE_PRIORITY_MOST + 1]; /* by priority: the turn served last */
};

void queue_init(struct queue *q);
void queue_done(struct queue *q);
/* Adds an entry. key and client are copied. priority: -QUEUE_PRIORITY_MOST to
   QUEUE_PRIORITY_MOST. */
void queue_push(struct queue *q, struct queue_entry *e, struct str key, struct str client,
                int priority, int64_t seq);
/* Removes an entry that waits, and its lane with the last one. */
void queue_remove(struct queue *q, struct queue_entry *e);
/* Removes an entry as served: it uses its client's turn. */
void queue_take(struct queue *q, struct queue_entry *e);
/* Skips a client from now on, or no longer. O(its priorities and lanes). */
void queue_hold(struct queue *q, struct str client, bool held);
/* Returns the rank of the first entry of lane i; false: none, or only held ones. */
bool queue_peek(const struct queue *q, size_t i, struct queue_rank *ret);
/* Returns the first entry of lane i (of queue.lanes_len); NULL: none, or only held ones. */
struct queue_entry *queue_first_of(const struct queue *q, size_t i);
/* Returns the key of the entry's lane. */
struct str queue_key(const struct queue_entry *e);
size_t queue_length(const struct queue *q);
/* Returns the rank that a waiting entry would have as first of its client and priority, and an
   identity of that pair: equal for entries whose turns follow each other. */
const void *queue_turn_of(const struct queue_entry *e, struct queue_rank *ret);

/* ---- looking ahead --------------------------------------------------------------------------- */

/* Limit of entries looked at in a lane. */
enum { QUEUE_LOOK = HEAP_WALK_MOST };

/* Walks a lane in the order of service, if nothing else comes. The queue must not change meanwhile.
   O(QUEUE_LOOK) a step. */
struct queue_cursor {
    const struct queue_flow *flow;
    struct heap_walk entries;
    struct queue_entry *next; /* NULL: no more */
    uint64_t turn;
};
struct queue_walk {
    struct heap_walk flows;
    const struct queue_flow *next_flow; /* next one to begin; NULL: no more */
    size_t len;
    size_t steps;
    struct queue_cursor cursors[QUEUE_LOOK];
};
void queue_walk_begin(struct queue_walk *w, const struct queue *q, size_t lane);
/* Returns the rank of what queue_walk_next will return, for walks over several lanes; false: no
   more. */
bool queue_walk_peek(const struct queue_walk *w, struct queue_rank *ret);
struct queue_entry *queue_walk_next(struct queue_walk *w);
/* True when a is served before b. */
bool queue_rank_before(const struct queue_rank *a, const struct queue_rank *b);

#endif
