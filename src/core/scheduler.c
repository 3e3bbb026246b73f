/* The scheduler; see the header. Invariant: a slot is in the heap exactly when it is up and not
   full. */
#include "comfypool/core/scheduler.h"

/* Returns the load including the next job: of idle ones the one of most weight comes first. */
static double load(const struct slot *b)
{
    return ((double)b->in_flight + 1.0) / b->weight;
}

bool scheduler_before(const struct slot *x, const struct slot *y)
{
    if (load(x) < load(y)) {
        return true;
    }
    if (load(y) < load(x)) {
        return false;
    }
    return x->last_used < y->last_used;
}

static bool before(const struct heap_node *a, const struct heap_node *b)
{
    return scheduler_before(heap_item(a, const struct slot, node),
                            heap_item(b, const struct slot, node));
}

static void settle(struct scheduler *s, struct slot *b)
{
    const bool free_now = b->up && b->in_flight < b->max_in_flight;
    if (!free_now) {
        heap_remove(&s->free_slots, &b->node);
    } else if (heap_holds(&b->node)) {
        heap_update(&s->free_slots, &b->node);
    } else {
        heap_push(&s->free_slots, &b->node);
    }
}

void scheduler_init(struct scheduler *s)
{
    *s = (struct scheduler){0};
    heap_init(&s->free_slots, before);
}

void scheduler_done(struct scheduler *s)
{
    heap_done(&s->free_slots);
}

void slot_init(struct slot *b, double weight, unsigned max_in_flight)
{
    *b = (struct slot){.weight = weight, .max_in_flight = max_in_flight};
}

void scheduler_set_up(struct scheduler *s, struct slot *b, bool up)
{
    b->up = up;
    settle(s, b);
}

struct slot *scheduler_first(const struct scheduler *s)
{
    struct heap_node *top = heap_top(&s->free_slots);
    return top == NULL ? NULL : heap_item(top, struct slot, node);
}

void scheduler_take(struct scheduler *s, struct slot *b)
{
    b->in_flight++;
    b->last_used = ++s->assignments;
    settle(s, b);
}

void scheduler_release(struct scheduler *s, struct slot *b)
{
    b->in_flight--;
    settle(s, b);
}
