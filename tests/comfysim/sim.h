/*
 * The simulator as a whole: its options and its parts. One of it per process; nothing is global.
 * Data flow: routes.c and prompts.c take requests, executor.c (or replay.c) runs jobs and queues
 * frames, the loop's check phase runs one job step by step and then flushes all sockets.
 */
#ifndef COMFYSIM_SIM_H
#define COMFYSIM_SIM_H

#include "cache.h"
#include "executor.h"
#include "faults.h"
#include "files.h"
#include "gauges.h"
#include "history.h"
#include "lasting.h"
#include "replay.h"
#include "server.h"
#include "timers.h"
#include "truth.h"

struct sim {
    uv_loop_t loop;
    uv_check_t check;
    uv_idle_t idle; /* active while there is work: the loop must not block */
    uv_signal_t signals[2];
    struct sim_timers timers;
    struct server server;
    struct jobs jobs;
    struct cache cache;
    struct faults faults;
    struct truth truth;
    struct executor exec;
    struct known known;
    struct files files;
    struct gauges gauges;
    struct lasting lasting;
    struct replay *replay;   /* NULL: jobs run */
    struct sim_timer revive; /* a crash to come, or its end */
    double crash_ms;
    struct held *held;
    json_t *http_counts;
    json_t *prefixes; /* filename_prefix -> how many files it has */
    int64_t number;   /* the server's counter */
    double vram;      /* bytes */
    long ended, posts;
    bool paused;
    char older[24]; /* a version without partial_execution_targets that it says it is; or "" */
    bool down;      /* between a crash and its end */
    bool working;   /* the idle handle is active */
    bool free_memory;
    bool stopping;
};

/* There may be something to run: looked at in this turn of the loop. */
void sim_kick(struct sim *sim);
/* Closes everything, loses everything; back on the same port after `ms`. */
void sim_crash(struct sim *sim, double ms);

void sim_send_status(struct sim *sim);

/* routes.c */
void route_request(struct sim *sim, struct conn *conn);
void answer_text(struct conn *conn, int status, const struct text *json);
void answer_trouble(struct conn *conn); /* 500: some handler raised */
void answer_empty(struct conn *conn);
/* What POST /interrupt does. */
void interrupt_by(struct sim *sim, const json_t *body);
/* prompts.c */
void post_prompt(struct sim *sim, struct conn *conn);
/* POST /interrupt, acted upon and answered after `ms`. take_body: as it was sent. */
void hold_interrupt(struct sim *sim, struct conn *conn, json_t *take_body, double ms);
void held_forget(struct sim *sim, struct conn *conn);
void held_clear(struct sim *sim);

#endif
