/* When a job is retried, and after how long; and who is to blame for an end. Pure. */
#ifndef COMFYPOOL_CORE_RETRY_H
#define COMFYPOOL_CORE_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "comfypool/base/time.h"
#include "comfypool/core/job.h"

enum {
    /* Free attempts that a restart cut off before the backend took them. */
    RETRY_MAX_CUT_OFF = 5,
    /* Retries after running out of memory. */
    RETRY_MAX_OOM = 1,
    /* A job that left this many backends dead is not retried. */
    RETRY_MAX_LEFT_DEAD = 1,
    /* Free attempts ended by server faults; then the job is to blame. */
    RETRY_MAX_FAULTS = 5,
};

/* Classifies an end; RETRY_CLASS_COUNT: never retried as such. */
enum retry_class retry_class_of(enum attempt_outcome outcome, enum err error);

/*
 * True if an attempt that ended like this is followed by another. The job's counters (attempts,
 * free_attempts, faults, oom, left_dead) include this attempt. Not for rejected attempts: whether a
 * backend is left decides.
 */
bool retry_wanted(const struct job_record *job, enum attempt_outcome outcome, enum err error);

/*
 * Who is to blame for an end that may be retried. A breaker opens for the backend's fault alone;
 * what the job itself may have caused (too large a picture, too short a timeout) counts where
 * several workflows show it on one backend.
 */
enum retry_blame { RETRY_BLAMES_NOBODY, RETRY_BLAMES_EITHER, RETRY_BLAMES_BACKEND };
enum retry_blame retry_blame_of(enum attempt_outcome outcome, enum err error);

/*
 * Returns the pause before the next attempt: first * 2^(n-1), at most 5 minutes, plus or minus 50
 * %. failures: attempts so far, from 1; random: any 32 random bits.
 */
struct dur_us retry_delay(struct dur_us first, unsigned failures, uint32_t random);

#endif
