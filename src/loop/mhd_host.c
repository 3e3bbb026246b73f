/*
 * A libmicrohttpd daemon on a libuv loop: its epoll descriptor is watched, its timeout is a timer,
 * and a kick makes it run within the same turn. A check handle catches kicks that came while the
 * loop polled; an idle handle, started by a kick, keeps the loop from blocking on one that came
 * elsewhere. Invariant: MHD_run is never entered from inside MHD_run.
 */
#include "comfypool/loop/mhd_host.h"

#include <stdbool.h>
#include <stdlib.h>

#include "comfypool/base/str.h"
#include "comfypool/loop/loop.h"

/* RUNS_IN_A_ROW: runs for kicks that came meanwhile, before others get a turn. */
enum { RUNS_IN_A_ROW = 4, HANDLES = 4 };

struct mhd_host {
    struct MHD_Daemon *daemon;
    uv_poll_t poll;
    uv_timer_t timer;
    uv_check_t check;
    uv_idle_t idle;
    unsigned connections; /* after the last run */
    bool running;
    bool kicked;
    bool closing;
    int open; /* handles */
    void (*closed)(void *ctx);
    void *ctx;
};

static void on_timer(uv_timer_t *timer)
{
    mhd_host_run(timer->data);
}

static void on_idle(uv_idle_t *idle)
{
    mhd_host_run(idle->data);
}

static void arm(struct mhd_host *h)
{
    MHD_UNSIGNED_LONG_LONG ms = 0;
    if (MHD_get_timeout(h->daemon, &ms) != MHD_YES) {
        (void)uv_timer_stop(&h->timer);
    } else if (ms == 0) {
        h->kicked = true;
    } else {
        (void)uv_timer_start(&h->timer, on_timer, ms, 0);
    }
    if (h->kicked) {
        (void)uv_idle_start(&h->idle, on_idle);
    } else {
        (void)uv_idle_stop(&h->idle);
    }
}

static unsigned connections(struct mhd_host *h)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
    return info == NULL ? 0 : info->num_connections;
}

/*
 * Runs the daemon. When accept() finds no descriptor, or the limit of connections is reached,
 * 0.9.75 takes its socket out of its epoll set, and restores it at the start of a run if a
 * connection was closed in the one before. If the last ones closed, nothing triggers that run: we
 * do.
 */
static void run_once(struct mhd_host *h)
{
    (void)MHD_run(h->daemon);
    const unsigned now = connections(h);
    if (now < h->connections) {
        h->kicked = true;
    }
    h->connections = now;
}

void mhd_host_run(struct mhd_host *h)
{
    if (h->running || h->closing) {
        h->kicked = true;
        return;
    }
    h->running = true;
    int runs = 0;
    do {
        h->kicked = false;
        loop_note("http server");
        run_once(h);
        runs++;
    } while (h->kicked && runs < RUNS_IN_A_ROW);
    h->running = false;
    arm(h);
}

void mhd_host_kick(struct mhd_host *h)
{
    if (h->kicked || h->closing) {
        return;
    }
    h->kicked = true;
    if (!h->running) {
        (void)uv_idle_start(&h->idle, on_idle);
    }
}

static void on_check(uv_check_t *check)
{
    struct mhd_host *h = check->data;
    if (h->kicked) {
        mhd_host_run(h);
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    mhd_host_run(poll->data);
}

struct mhd_host *mhd_host_new(uv_loop_t *loop, struct MHD_Daemon *daemon)
{
    struct mhd_host *h = mem_zero(1, sizeof *h);
    h->daemon = daemon;
    h->open = HANDLES;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);
    (void)uv_poll_init(loop, &h->poll, info->epoll_fd);
    (void)uv_timer_init(loop, &h->timer);
    (void)uv_check_init(loop, &h->check);
    (void)uv_idle_init(loop, &h->idle);
    h->poll.data = h->timer.data = h->check.data = h->idle.data = h;
    (void)uv_poll_start(&h->poll, UV_READABLE, on_poll);
    (void)uv_check_start(&h->check, on_check);
    uv_unref((uv_handle_t *)&h->check);
    arm(h);
    return h;
}

static void on_closed(uv_handle_t *handle)
{
    struct mhd_host *h = handle->data;
    h->open--;
    if (h->open == 0) {
        h->closed(h->ctx);
        free(h);
    }
}

void mhd_host_close(struct mhd_host *h, void (*closed)(void *ctx), void *ctx)
{
    h->closing = true;
    h->closed = closed;
    h->ctx = ctx;
    uv_close((uv_handle_t *)&h->poll, on_closed);
    uv_close((uv_handle_t *)&h->timer, on_closed);
    uv_close((uv_handle_t *)&h->check, on_closed);
    uv_close((uv_handle_t *)&h->idle, on_closed);
}
