/*
 * Many deadlines on one timer: a heap of points in time. Setting, moving and clearing one costs
 * O(log n).
 */
#ifndef COMFYPOOL_LOOP_DEADLINES_H
#define COMFYPOOL_LOOP_DEADLINES_H

#include <stdbool.h>
#include <uv.h>

#include "comfypool/base/heap.h"
#include "comfypool/base/time.h"

/* Embedded in its owner; zeroed: not set. */
struct deadline {
    struct heap_node node;
    struct mono_us at;
    void (*due)(void *ctx); /* called once; the deadline is then no longer set */
    void *ctx;
};

struct deadlines {
    struct heap heap;
    uv_timer_t timer;
    bool running;         /* inside the callbacks of those due... */
    struct mono_us until; /* ... by this time */
};

void deadlines_init(struct deadlines *d, uv_loop_t *loop);
/* Closes the timer; the memory must live until `closed` is called with it. */
void deadlines_close(struct deadlines *d, uv_close_cb closed);

/* Sets or moves a deadline. One set for now by another's callback is due in the next turn of the
   loop: so long work is split, and input is read in between. */
void deadline_set(struct deadlines *d, struct deadline *e, struct mono_us at,
                  void (*due)(void *ctx), void *ctx);
void deadline_clear(struct deadlines *d, struct deadline *e);

#endif
