/*
 * What can be made to go wrong, in one table: a mode, when it strikes, and its argument.
 * Modes strike either when a prompt is posted or when its job runs; each counts its own. Or a
 * storm: each prompt is struck by a random mode with some probability; its seed and the prompt's
 * place among the POSTs decide which.
 */
#ifndef COMFYSIM_FAULTS_H
#define COMFYSIM_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

enum fault {
    FAULT_NONE,
    /* at POST /prompt */
    FAULT_HTTP500,
    FAULT_HTTP429,
    FAULT_REJECT,
    FAULT_HTTP500_ACCEPTED,
    FAULT_SLOW_ACCEPT,
    FAULT_LATE_ACCEPT,
    FAULT_LOST_ACCEPT,
    FAULT_REFUSE,
    FAULT_LATE_TURN_UP,
    FAULT_GATEWAY,
    FAULT_PAGE_ACCEPTED,
    FAULT_KEEPALIVE_CUT,
    /* while the job runs */
    FAULT_DROP_WS,
    FAULT_SILENT_WS,
    FAULT_MUTE,
    FAULT_HALF_OPEN,
    FAULT_CRASH,
    FAULT_VANISH,
    FAULT_HANG,
    FAULT_IGNORE_INTERRUPT,
    FAULT_DEAD_WORKER,
    FAULT_DEAD_WORKER_MID,
    FAULT_STALL_START,
    FAULT_NEVER_FINISH,
    FAULT_LATE_FINISH,
    FAULT_GARBAGE,
    FAULT_DUP,
    FAULT_REORDER,
    FAULT_OOM,
    FAULT_SICK,
    FAULT_HOLD,
    FAULT_CLOCK_STEP,
    FAULT_COUNT
};

/* What strikes one prompt. */
struct strike {
    enum fault mode;
    double arg_ms;
};

struct faults {
    enum fault mode;
    int every; /* 0: only the `at`-th; 1: all; n: each n-th */
    long at;
    double arg_ms;
    long posts; /* counted since the fault was set */
    long jobs;
    long repeats;      /* second and later POST /prompt on one connection */
    double storm_rate; /* 0: no storm */
    uint64_t storm_seed;
    long struck[FAULT_COUNT]; /* how often each did, since the start */
};

/* "MODE[@WHEN[:ARG]]"; false when it is not that. NULL clears, a storm too. Counters restart. */
bool faults_set(struct faults *faults, const char *spec);
/* "SEED[:RATE]", RATE from 0 to 1 (0.3); false when it is not that. */
bool faults_set_storm(struct faults *faults, const char *spec);
/*
 * Counts a POST; what strikes it. `repeated`: not the first on its connection. In a storm it may be
 * a mode that strikes when the job runs: see faults_is_at_job.
 */
struct strike faults_at_post(struct faults *faults, bool repeated);
bool faults_is_at_job(enum fault mode);
/* What strikes the next job, counted by faults_count_job once it started. */
struct strike faults_at_job(const struct faults *faults);
void faults_count_job(struct faults *faults);
void faults_note(struct faults *faults, enum fault mode); /* it did strike */
const char *fault_name(enum fault mode);
/* One "name - what it does" a line, for --help. */
const char *faults_help(void);

#endif
