/*
 * The timer list and its timerfd. Stopping the first timer leaves the fd set: the early wakeup that
 * follows finds nothing due and sets it again, which is cheaper than a system call per stop.
 */
#include "timers.h"

#include "text.h"

#include <sys/timerfd.h>
#include <unistd.h>

static void timers_set(struct sim_timers *timers)
{
    uint64_t due = timers->first ? timers->first->due_ns : 0;
    if (due == 0 || (timers->set_ns != 0 && timers->set_ns <= due)) {
        return;
    }
    struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)(due / 1000000000U), .tv_nsec = (long)(due % 1000000000U)}};
    timerfd_settime(timers->fd, TFD_TIMER_ABSTIME, &when, NULL);
    timers->set_ns = due;
}

static void on_timerfd(uv_poll_t *poll, int status, int events)
{
    struct sim_timers *timers = poll->data;
    uint64_t count;
    (void)status;
    (void)events;
    if (read(timers->fd, &count, sizeof(count)) < 0) {
        return;
    }
    timers->set_ns = 0;
    uint64_t now = mono_ns();
    while (timers->first && timers->first->due_ns <= now) {
        struct sim_timer *timer = timers->first;
        timers->first = timer->next;
        timer->armed = false;
        timer->fire(timer);
    }
    timers_set(timers);
}

int timers_open(struct sim_timers *timers, uv_loop_t *loop)
{
    *timers = (struct sim_timers){0};
    timers->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (timers->fd < 0) {
        return -1;
    }
    timers->poll.data = timers;
    uv_poll_init(loop, &timers->poll, timers->fd);
    uv_poll_start(&timers->poll, UV_READABLE, on_timerfd);
    return 0;
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct sim_timers *timers = handle->data;
    close(timers->fd);
}

void timers_close(struct sim_timers *timers)
{
    timers->first = NULL;
    uv_close((uv_handle_t *)&timers->poll, on_poll_closed);
}

void timer_start(struct sim_timers *timers, struct sim_timer *timer, uint64_t due_ns)
{
    timer_stop(timers, timer);
    timer->due_ns = due_ns;
    timer->armed = true;
    struct sim_timer **at = &timers->first;
    while (*at && (*at)->due_ns <= due_ns) {
        at = &(*at)->next;
    }
    timer->next = *at;
    *at = timer;
    timers_set(timers);
}

void timer_stop(struct sim_timers *timers, struct sim_timer *timer)
{
    if (!timer->armed) {
        return;
    }
    struct sim_timer **at = &timers->first;
    while (*at != timer) {
        at = &(*at)->next;
    }
    *at = timer->next;
    timer->armed = false;
}
