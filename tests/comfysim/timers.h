/*
 * Precise one-shot timers on a libuv loop: one timerfd watched with uv_poll, because uv_timer
 * rounds to milliseconds. Few timers live at a time (one per waiting node or held answer), so they
 * are a plain list. A timer's memory is its owner's; it is out of the list before its callback.
 */
#ifndef COMFYSIM_TIMERS_H
#define COMFYSIM_TIMERS_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct sim_timer {
    struct sim_timer *next;
    uint64_t due_ns; /* CLOCK_MONOTONIC */
    void (*fire)(struct sim_timer *timer);
    void *owner;
    bool armed;
};

struct sim_timers {
    uv_poll_t poll;
    int fd;
    uint64_t set_ns;         /* what the timerfd is set to; 0 when unset */
    struct sim_timer *first; /* by due time */
};

int timers_open(struct sim_timers *timers, uv_loop_t *loop);
void timers_close(struct sim_timers *timers);
void timer_start(struct sim_timers *timers, struct sim_timer *timer, uint64_t due_ns);
void timer_stop(struct sim_timers *timers, struct sim_timer *timer);

#endif
