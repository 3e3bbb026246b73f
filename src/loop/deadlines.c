/* Many deadlines on one timer; see the header. Deadlines due in one turn run in order of time,
   within the turn's time limit; the others in the next one. */
#include "comfypool/loop/deadlines.h"

#include "comfypool/loop/loop.h"

/* Time limit of a turn: no deadline begins after it. */
enum { TURN_US = 10000 };

static bool before(const struct heap_node *a, const struct heap_node *b)
{
    return mono_before(heap_item(a, struct deadline, node)->at,
                       heap_item(b, struct deadline, node)->at);
}

static void arm(struct deadlines *d);

static void time_is_up(uv_timer_t *timer)
{
    struct deadlines *d = timer->data;
    d->until = time_mono();
    d->running = true;
    for (struct heap_node *top = heap_top(&d->heap); top != NULL; top = heap_top(&d->heap)) {
        struct deadline *e = heap_item(top, struct deadline, node);
        if (mono_before(d->until, e->at) || mono_diff(time_mono(), d->until).us > TURN_US) {
            break;
        }
        heap_remove(&d->heap, top);
        loop_note("a deadline");
        e->due(e->ctx);
    }
    arm(d);
    d->running = false;
}

static void arm(struct deadlines *d)
{
    if (uv_is_closing((uv_handle_t *)&d->timer) != 0) {
        return;
    }
    const struct heap_node *top = heap_top(&d->heap);
    if (top == NULL) {
        (void)uv_timer_stop(&d->timer);
        return;
    }
    const struct deadline *e = heap_item(top, const struct deadline, node);
    /* libuv uses the time when it last read the clock: it may fire a little early, and is armed
       again. A timer of 0 ms that is started by its own callback fires again in the same turn. */
    const int64_t left = mono_diff(e->at, time_mono()).us;
    const uint64_t least = d->running ? 1 : 0;
    (void)uv_timer_start(&d->timer, time_is_up, left <= 0 ? least : (uint64_t)(left + 999) / 1000,
                         0);
}

void deadlines_init(struct deadlines *d, uv_loop_t *loop)
{
    heap_init(&d->heap, before);
    (void)uv_timer_init(loop, &d->timer);
    d->timer.data = d;
}

void deadlines_close(struct deadlines *d, uv_close_cb closed)
{
    uv_close((uv_handle_t *)&d->timer, closed);
    heap_done(&d->heap);
}

void deadline_set(struct deadlines *d, struct deadline *e, struct mono_us at,
                  void (*due)(void *ctx), void *ctx)
{
    const struct heap_node *first = heap_top(&d->heap);
    heap_remove(&d->heap, &e->node);
    e->at = d->running ? mono_max(at, mono_add(d->until, (struct dur_us){1})) : at;
    e->due = due;
    e->ctx = ctx;
    heap_push(&d->heap, &e->node);
    if (heap_top(&d->heap) != first || first == &e->node) {
        arm(d);
    }
}

void deadline_clear(struct deadlines *d, struct deadline *e)
{
    /* The timer may fire once in vain: cheaper than arming it at each change. */
    heap_remove(&d->heap, &e->node);
}
