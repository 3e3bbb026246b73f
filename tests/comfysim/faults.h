/*
 * What can be made to go wrong, in one table: a mode, when it strikes, and its argument.
 * Modes strike either when a prompt is posted or when its job runs; each counts its own.
 */
#ifndef COMFYSIM_FAULTS_H
#define COMFYSIM_FAULTS_H

#include <stdbool.h>

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
    FAULT_KEEPALIVE_CUT,
    /* while the job runs */
    FAULT_DROP_WS,
    FAULT_SILENT_WS,
    FAULT_HALF_OPEN,
    FAULT_CRASH,
    FAULT_HANG,
    FAULT_STALL_START,
    FAULT_NEVER_FINISH,
    FAULT_LATE_FINISH,
    FAULT_GARBAGE,
    FAULT_DUP,
    FAULT_REORDER,
    FAULT_OOM,
};

struct faults {
    enum fault mode;
    int every; /* 0: only the `at`-th; 1: all; n: each n-th */
    long at;
    double arg_ms;
    long posts; /* counted since the fault was set */
    long jobs;
    long repeats; /* second and later POST /prompt on one connection */
};

/* "MODE[@WHEN[:ARG]]"; false when it is not that. NULL clears. Counters restart. */
bool faults_set(struct faults *faults, const char *spec);
/* Counts a POST; the mode that strikes it. `repeated`: not the first on its connection. */
enum fault faults_at_post(struct faults *faults, bool repeated);
/* The mode that strikes the next job, counted by faults_count_job once it started. */
enum fault faults_at_job(const struct faults *faults);
void faults_count_job(struct faults *faults);
/* One "name - what it does" a line, for --help. */
const char *faults_help(void);

#endif
