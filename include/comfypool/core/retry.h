/* When a job is tried again, and after how long; and who is to blame for an end. Pure. */
#ifndef COMFYPOOL_CORE_RETRY_H
#define COMFYPOOL_CORE_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "comfypool/base/time.h"
#include "comfypool/core/job.h"

enum {
    /* Attempts that a restart cut off before the backend took them are free, this many times. */
    RETRY_MAX_CUT_OFF = 5,
    /* Out of memory: once more. */
    RETRY_MAX_OOM = 1,
    /* A job that left so many backends dead is not given another one. */
    RETRY_MAX_LEFT_DEAD = 1,
    /* Attempts that a fault of their server ended are free, this many times; then it is the job's
       own. */
    RETRY_MAX_FAULTS = 5,
};

/* Which class an end belongs to; RETRY_CLASS_COUNT: none, it is never tried again as such. */
enum retry_class retry_class_of(enum attempt_outcome outcome, enum err error);

/*
 * True when an attempt that ended like this leaves the job another one. The job's counters
 * (attempts, free_attempts, faults, oom, left_dead) count this attempt already. Rejected attempts
 * are not judged here: whether a backend is left decides.
 */
bool retry_wanted(const struct job_record *job, enum attempt_outcome outcome, enum err error);

/*
 * Who is to blame for an end that may be tried again. A breaker opens for what is the backend's
 * alone; what the job itself may have brought (too large a picture, too short a timeout) counts
 * where several workflows tell the same of a backend.
 */
enum retry_blame { RETRY_BLAMES_NOBODY, RETRY_BLAMES_EITHER, RETRY_BLAMES_BACKEND };
enum retry_blame retry_blame_of(enum attempt_outcome outcome, enum err error);

/*
 * The pause before the next attempt: first * 2^(n-1), at most 5 minutes, plus or minus 50 %.
 * failures: attempts so far, from 1; random: any 32 random bits.
 */
struct dur_us retry_delay(struct dur_us first, unsigned failures, uint32_t random);

#endif
