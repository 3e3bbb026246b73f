/*
 * Outputs of jobs that other jobs are given as inputs: brought among the uploads when the job that
 * made them has ended, and before the one that needs them is queued. Jobs that need the same output
 * wait for it together.
 */
#ifndef COMFYPOOL_SRC_POOL_OUTPUT_INPUTS_H
#define COMFYPOOL_SRC_POOL_OUTPUT_INPUTS_H

#include <stdbool.h>
#include <stdint.h>

struct pool;
struct job;

/* What the job waits for has ended. True: outputs are on their way; then the job goes on by
   job_admit, or fails. */
bool output_inputs_wait(struct job *j);
/* The job does not wait for outputs any more. */
void output_inputs_leave(struct job *j);
/* When no job is there any more. */
void output_inputs_done(struct pool *p);

#endif
