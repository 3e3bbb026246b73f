/* When a job is tried again, and after how long. */
#ifndef COMFYPOOL_CORE_RETRY_H
#define COMFYPOOL_CORE_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "comfypool/base/time.h"
#include "comfypool/core/job.h"

/* Attempts that a restart cut off before the backend took them are free, this many times. */
enum { RETRY_MAX_CUT_OFF = 5 };

/* True when an attempt that ended like this leaves the job another one. */
bool retry_wanted(const struct job_record *job, enum attempt_outcome outcome, enum err error);

/*
 * The pause before the next attempt: first * 2^(n-1), at most 5 minutes, plus or minus 50 %.
 * failures: attempts so far, from 1; random: any 32 random bits.
 */
struct dur_us retry_delay(struct dur_us first, unsigned failures, uint32_t random);

#endif
