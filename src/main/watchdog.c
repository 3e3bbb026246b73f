/* The service manager's watchdog. */
#include <systemd/sd-daemon.h>

#include "inner.h"

/* Pings within the limit, so that a slow turn does no harm. */
enum { FEEDS = 4 };

void watchdog_init(struct watchdog *w, uv_loop_t *loop)
{
    (void)uv_timer_init(loop, &w->timer);
    w->timer.data = w;
}

/* Pings if the store answers; being called, the loop turns. A disk that reports errors still
   answers; one silent for half of the limit does not, and then neither do we. */
static void feed(uv_timer_t *timer)
{
    const struct watchdog *w = timer->data;
    if (store_busy_for(w->store).us < w->limit.us / 2) {
        (void)sd_notify(0, "WATCHDOG=1");
    }
}

void watchdog_begin(struct watchdog *w, struct store *store)
{
    uint64_t us = 0;
    w->store = store;
    if (sd_watchdog_enabled(0, &us) <= 0 || us == 0 || us > INT64_MAX) {
        return;
    }
    w->limit.us = (int64_t)us;
    const uint64_t every_ms = us / 1000 / FEEDS;
    (void)uv_timer_start(&w->timer, feed, 0, every_ms == 0 ? 1 : every_ms);
    uv_unref((uv_handle_t *)&w->timer);
}

void watchdog_close(struct watchdog *w)
{
    uv_close((uv_handle_t *)&w->timer, NULL);
}
