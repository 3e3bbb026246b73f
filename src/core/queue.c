/*
 * The queue; see the header. A lane has flows, one for each client and priority that waits in it; a
 * flow has entries. A turn belongs to a client and a priority, over all lanes.
 *
 * Invariants: a lane is in the list and in the map, or it is not; a flow has an entry; it is in its
 * lane's heap unless its client is held; a client is in the idle list when it has no flow and is
 * not held.
 */
#include "comfypool/core/queue.h"

#include <stdlib.h>

#include "comfypool/base/list.h"

/* Limit of remembered clients that do not wait. */
enum { IDLE_MOST = 4096 };

struct queue_lane {
    struct heap flows;
    size_t flows_len; /* held ones too */
    size_t place;     /* in queue.lanes */
    char *key;
};

struct queue_flow {
    struct heap_node node;
    struct queue_lane *lane;
    struct queue_turn *turn;
    struct queue_flow *next, **link; /* of the turn */
    struct heap entries;
};

struct queue_turn {
    struct queue_client *client;
    struct queue_turn *next; /* of the client */
    uint64_t turn;
    int priority;
    struct queue_flow *flows;
};

struct queue_client {
    char *name;
    bool held;
    size_t flows;
    struct queue_turn *turns;
    bool idle;
    struct queue_client *next, *previous; /* while idle */
};

/* ---- order ----------------------------------------------------------------------------------- */

static bool entry_before(const struct heap_node *a, const struct heap_node *b)
{
    return heap_item(a, const struct queue_entry, node)->seq <
           heap_item(b, const struct queue_entry, node)->seq;
}

bool queue_rank_before(const struct queue_rank *a, const struct queue_rank *b)
{
    if (a->priority != b->priority) {
        return a->priority > b->priority;
    }
    return a->turn != b->turn ? a->turn < b->turn : a->seq < b->seq;
}

static struct queue_entry *first_entry(const struct queue_flow *f)
{
    struct heap_node *top = heap_top(&f->entries);
    return top == NULL ? NULL : heap_item(top, struct queue_entry, node);
}

static struct queue_rank place_of(const struct queue_flow *f)
{
    return (struct queue_rank){f->turn->priority, f->turn->turn, first_entry(f)->seq};
}

static bool flow_before(const struct heap_node *a, const struct heap_node *b)
{
    const struct queue_rank x = place_of(heap_item(a, const struct queue_flow, node));
    const struct queue_rank y = place_of(heap_item(b, const struct queue_flow, node));
    return queue_rank_before(&x, &y);
}

/* ---- lanes ----------------------------------------------------------------------------------- */

static struct queue_lane *lane_new(struct queue *q, struct str key)
{
    struct queue_lane *lane = mem_zero(1, sizeof *lane);
    heap_init(&lane->flows, flow_before);
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
    heap_done(&lane->flows);
    free(lane->key);
    free(lane);
}

static void flow_free(struct queue_flow *f)
{
    list_remove(f, next, link);
    f->turn->client->flows--;
    f->lane->flows_len--;
    heap_done(&f->entries);
    free(f);
}

/* ---- clients and turns ----------------------------------------------------------------------- */

static uint64_t *round_of(struct queue *q, int priority)
{
    return &q->round[priority + QUEUE_PRIORITY_MOST];
}

static void idle_remove(struct queue *q, struct queue_client *c)
{
    if (!c->idle) {
        return;
    }
    *(c->previous == NULL ? &q->idle_first : &c->previous->next) = c->next;
    *(c->next == NULL ? &q->idle_last : &c->next->previous) = c->previous;
    c->next = c->previous = NULL;
    c->idle = false;
    q->idle_len--;
}

static void client_free(struct queue *q, struct queue_client *c)
{
    idle_remove(q, c);
    (void)map_remove(&q->clients, str_of(c->name));
    while (c->turns != NULL) {
        struct queue_turn *t = c->turns;
        c->turns = t->next;
        for (struct queue_flow *f = t->flows, *next = NULL; f != NULL; f = next) {
            next = f->next;
            flow_free(f);
        }
        free(t);
    }
    free(c->name);
    free(c);
}

/* True if forgetting it loses no turn: it would get the same ones when it came back. */
static bool is_forgettable(struct queue *q, const struct queue_client *c)
{
    for (const struct queue_turn *t = c->turns; t != NULL; t = t->next) {
        if (t->turn > *round_of(q, t->priority)) {
            return false;
        }
    }
    return true;
}

/* Frees or parks a client that no longer waits. */
static void client_settle(struct queue *q, struct queue_client *c)
{
    if (c->flows > 0 || c->held || c->idle) {
        return;
    }
    if (is_forgettable(q, c)) {
        client_free(q, c);
        return;
    }
    c->idle = true;
    c->previous = q->idle_last;
    *(q->idle_last == NULL ? &q->idle_first : &q->idle_last->next) = c;
    q->idle_last = c;
    q->idle_len++;
    if (q->idle_len > IDLE_MOST) {
        client_free(q, q->idle_first);
    }
}

static struct queue_client *client_of(struct queue *q, struct str name)
{
    struct queue_client *c = map_get(&q->clients, name);
    if (c == NULL) {
        c = mem_zero(1, sizeof *c);
        c->name = mem_copy(name);
        (void)map_put(&q->clients, (struct str){c->name, name.n}, c);
    }
    idle_remove(q, c);
    return c;
}

static struct queue_turn *turn_of(struct queue *q, struct queue_client *c, int priority)
{
    struct queue_turn *t = c->turns;
    while (t != NULL && t->priority != priority) {
        t = t->next;
    }
    if (t == NULL) {
        t = mem_zero(1, sizeof *t);
        *t = (struct queue_turn){.client = c, .next = c->turns, .priority = priority};
        c->turns = t;
    }
    if (t->flows == NULL && t->turn < *round_of(q, priority)) {
        t->turn = *round_of(q, priority);
    }
    return t;
}

/* ---- flows ----------------------------------------------------------------------------------- */

static struct queue_flow *flow_of(struct queue_lane *lane, struct queue_turn *t)
{
    struct queue_flow *f = t->flows;
    while (f != NULL && f->lane != lane) {
        f = f->next;
    }
    if (f == NULL) {
        f = mem_zero(1, sizeof *f);
        f->lane = lane;
        f->turn = t;
        heap_init(&f->entries, entry_before);
        list_push(&t->flows, f, next, link);
        t->client->flows++;
        lane->flows_len++;
    }
    return f;
}

/* ---- the queue ------------------------------------------------------------------------------- */

void queue_init(struct queue *q)
{
    *q = (struct queue){.len = 0};
    map_init(&q->by_key);
    map_init(&q->clients);
    (void)lane_new(q, STR(""));
}

void queue_done(struct queue *q)
{
    size_t at = 0;
    for (struct queue_client *c = map_next(&q->clients, &at); c != NULL;
         at = 0, c = map_next(&q->clients, &at)) {
        client_free(q, c);
    }
    while (q->lanes_len > 0) {
        lane_free(q, q->lanes[q->lanes_len - 1]);
    }
    map_done(&q->by_key);
    map_done(&q->clients);
    free(q->lanes);
}

void queue_push(struct queue *q, struct queue_entry *e, struct str key, struct str client,
                int priority, int64_t seq)
{
    struct queue_lane *lane = map_get(&q->by_key, key);
    lane = lane != NULL ? lane : lane_new(q, key);
    struct queue_client *c = client_of(q, client);
    struct queue_flow *f = flow_of(lane, turn_of(q, c, priority));
    e->flow = f;
    e->seq = seq;
    heap_push(&f->entries, &e->node);
    if (heap_holds(&f->node)) {
        heap_update(&lane->flows, &f->node);
    } else if (!c->held) {
        heap_push(&lane->flows, &f->node);
    }
    q->len++;
}

void queue_remove(struct queue *q, struct queue_entry *e)
{
    struct queue_flow *f = e->flow;
    if (f == NULL) {
        return;
    }
    struct queue_lane *lane = f->lane;
    struct queue_client *c = f->turn->client;
    e->flow = NULL;
    q->len--;
    if (f->entries.len > 1) {
        heap_remove(&f->entries, &e->node);
        heap_update(&lane->flows, &f->node);
        return;
    }
    heap_remove(&lane->flows, &f->node);
    heap_remove(&f->entries, &e->node);
    flow_free(f);
    client_settle(q, c);
    if (lane->key[0] != '\0' && lane->flows_len == 0) {
        lane_free(q, lane);
    }
}

void queue_take(struct queue *q, struct queue_entry *e)
{
    struct queue_turn *t = e->flow->turn;
    uint64_t *served = round_of(q, t->priority);
    *served = t->turn > *served ? t->turn : *served;
    t->turn = *served + 1;
    for (struct queue_flow *f = t->flows; f != NULL; f = f->next) {
        heap_update(&f->lane->flows, &f->node);
    }
    queue_remove(q, e);
}

const void *queue_turn_of(const struct queue_entry *e, struct queue_rank *ret)
{
    const struct queue_turn *t = e->flow->turn;
    *ret = (struct queue_rank){t->priority, t->turn, e->seq};
    return t;
}

void queue_hold(struct queue *q, struct str client, bool held)
{
    struct queue_client *c = client_of(q, client);
    const bool changes = c->held != held;
    c->held = held;
    for (struct queue_turn *t = changes ? c->turns : NULL; t != NULL; t = t->next) {
        for (struct queue_flow *f = t->flows; f != NULL; f = f->next) {
            if (held) {
                heap_remove(&f->lane->flows, &f->node);
            } else {
                heap_push(&f->lane->flows, &f->node);
            }
        }
    }
    client_settle(q, c);
}

struct queue_entry *queue_first_of(const struct queue *q, size_t i)
{
    struct heap_node *top = heap_top(&q->lanes[i]->flows);
    return top == NULL ? NULL : first_entry(heap_item(top, struct queue_flow, node));
}

bool queue_peek(const struct queue *q, size_t i, struct queue_rank *ret)
{
    struct heap_node *top = heap_top(&q->lanes[i]->flows);
    if (top != NULL) {
        *ret = place_of(heap_item(top, struct queue_flow, node));
    }
    return top != NULL;
}

struct str queue_key(const struct queue_entry *e)
{
    return str_of(e->flow->lane->key);
}

size_t queue_length(const struct queue *q)
{
    return q->len;
}

/* ---- looking ahead --------------------------------------------------------------------------- */

static const struct queue_flow *next_flow(struct queue_walk *w)
{
    struct heap_node *n = heap_walk_next(&w->flows);
    return n == NULL ? NULL : heap_item(n, struct queue_flow, node);
}

static void move_on(struct queue_cursor *c)
{
    struct heap_node *n = heap_walk_next(&c->entries);
    c->next = n == NULL ? NULL : heap_item(n, struct queue_entry, node);
}

void queue_walk_begin(struct queue_walk *w, const struct queue *q, size_t lane)
{
    w->len = w->steps = 0;
    heap_walk_begin(&w->flows, &q->lanes[lane]->flows);
    w->next_flow = next_flow(w);
}

static struct queue_rank cursor_place(const struct queue_cursor *c)
{
    return (struct queue_rank){c->flow->turn->priority, c->turn, c->next->seq};
}

/* Returns the cursor of the next entry; NULL: that of a flow not begun yet, or none. */
static struct queue_cursor *least(const struct queue_walk *w, struct queue_rank *ret)
{
    const struct queue_cursor *best = NULL;
    for (size_t i = 0; i < w->len; i++) {
        const struct queue_cursor *c = &w->cursors[i];
        if (c->next == NULL) {
            continue;
        }
        const struct queue_rank place = cursor_place(c);
        if (best == NULL || queue_rank_before(&place, ret)) {
            best = c;
            *ret = place;
        }
    }
    if (w->next_flow != NULL) {
        const struct queue_rank place = place_of(w->next_flow);
        if (best == NULL || queue_rank_before(&place, ret)) {
            best = NULL;
            *ret = place;
        }
    }
    return (struct queue_cursor *)(uintptr_t)best;
}

bool queue_walk_peek(const struct queue_walk *w, struct queue_rank *ret)
{
    *ret = (struct queue_rank){.seq = -1};
    (void)least(w, ret);
    return w->steps < QUEUE_LOOK && ret->seq != -1;
}

/* A served client moves one behind the turn being served. */
struct queue_entry *queue_walk_next(struct queue_walk *w)
{
    struct queue_rank place;
    if (!queue_walk_peek(w, &place)) {
        return NULL;
    }
    struct queue_cursor *c = least(w, &place);
    if (c == NULL) {
        c = &w->cursors[w->len++];
        *c = (struct queue_cursor){.flow = w->next_flow};
        heap_walk_begin(&c->entries, &c->flow->entries);
        move_on(c);
        w->next_flow = next_flow(w);
    }
    struct queue_entry *e = c->next;
    c->turn = place.turn + 1;
    move_on(c);
    w->steps++;
    return e;
}
