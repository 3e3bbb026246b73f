/*
 * Which backend takes the next job: among those that are up and have a free slot the least loaded
 * by weight (prompts in flight, the next one included, divided by weight), the longest idle one
 * among equals. Choosing and every change cost O(log backends).
 */
#ifndef COMFYPOOL_CORE_SCHEDULER_H
#define COMFYPOOL_CORE_SCHEDULER_H

#include <stdbool.h>
#include <stdint.h>

#include "comfypool/base/heap.h"

/* A backend as the scheduler sees it; embedded in its owner. */
struct slot {
    struct heap_node node;
    double weight;
    unsigned max_in_flight;
    unsigned in_flight;
    bool up;
    uint64_t last_used; /* the scheduler's own count of assignments */
};

struct scheduler {
    struct heap free_slots; /* up and not full */
    uint64_t assignments;
};

void scheduler_init(struct scheduler *s);
void scheduler_done(struct scheduler *s);

void slot_init(struct slot *b, double weight, unsigned max_in_flight);
void scheduler_set_up(struct scheduler *s, struct slot *b, bool up);

/* Returns the backend for the next job, or NULL; does not take it. */
struct slot *scheduler_first(const struct scheduler *s);
/* True when a would be chosen before b. */
bool scheduler_before(const struct slot *a, const struct slot *b);
/* Count a prompt that begins or ends on a backend, up or not. */
void scheduler_take(struct scheduler *s, struct slot *b);
void scheduler_release(struct scheduler *s, struct slot *b);

#endif
