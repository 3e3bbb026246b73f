/*
 * The executor: runs one job at a time, node by node, and sends what a real server sends, in its
 * order (PROTOCOL 1; graph.py's ExecutionList decides which node is next). It never blocks and
 * never yields between nodes of no length: exec_run goes on until it has to wait for a timer.
 */
#ifndef COMFYSIM_EXECUTOR_H
#define COMFYSIM_EXECUTOR_H

#include "faults.h"
#include "job.h"
#include "timers.h"

struct sim;

enum phase {
    PHASE_IDLE,
    PHASE_BEGIN,   /* what a real server does before execution_start (--overhead) */
    PHASE_PICK,    /* choose the next node */
    PHASE_GAP,     /* waiting before a node */
    PHASE_START,   /* `executing` goes out */
    PHASE_WORK,    /* in its steps or its time */
    PHASE_ASYNC,   /* only async nodes are left; their timers go on by themselves */
    PHASE_END,     /* all nodes ran */
    PHASE_LATE,    /* the end is held back (late-finish) */
    PHASE_FOREVER, /* hang, never-finish, until an interrupt */
    PHASE_DEAD,    /* the worker thread died; only a crash helps */
    PHASE_REPLAY,  /* a recording plays */
};

struct state_entry {
    size_t at, head_len, len;
    int max; /* -1: the float 1.0 */
};

struct executor {
    struct sim *sim;
    struct job *job;
    enum phase phase;
    enum fault fault;
    double fault_ms;
    bool fault_done;        /* it struck at the first node */
    uint64_t stalled_until; /* stall-start in a storm; 0: no */
    bool interrupt;
    bool waiting; /* a timer will wake it */
    struct node **pending;
    int n_pending, pending_cap;
    int external; /* async nodes under way */
    struct node *current;
    int step;
    uint32_t previews; /* sent so far, of all jobs */
    uint64_t start_ns; /* of the current node's work */
    struct sim_timer timer;
    struct sim_timer stall;
    struct sim_timer text_timer; /* of the node that runs */
    struct text frame, data;
    struct text states; /* progress_state: its head and entries, without the closing braces */
    struct state_entry *entries;
    int n_entries, entries_cap;
    struct text executed; /* JSON ids */
    struct text held;     /* reorder: the frame that waits for its neighbour */
    struct text ui;
    int64_t end_timestamp;
    char *last_client;
    const char *last_node; /* JSON id of the display node that executes, NULL: none */
    size_t replay_at;
    uint64_t replay_start_ns;
    double overhead_ms; /* before each execution_start */
    double replay_start_ms;
    bool replay_done; /* the job is in the history */
};

void exec_init(struct executor *x, struct sim *sim);
void exec_free(struct executor *x);
/* True while there is more to do at once; call again in the next turn. */
bool exec_run(struct executor *x);
void exec_interrupt(struct executor *x);
void exec_reset(struct executor *x); /* a crash: the running job is lost */

/* The node that is at work, or that async one which is not done while no other is; NULL: none. */
const struct node *exec_running_node(const struct executor *x);

/* For replay.c and previews.c: one frame to the job's client (or to all), with the job's fault
 * applied. */
void exec_send(struct executor *x, const char *a, size_t a_len, const char *b, size_t b_len,
               bool binary, bool broadcast_if_no_client);
void exec_wait(struct executor *x, uint64_t due_ns);
void exec_finish_job(struct executor *x); /* into the history; the executor is idle then */
void exec_message(struct executor *x, const char *type, const char *data, size_t len);

#endif
