/*
 * Outputs of jobs that other jobs take as inputs: fetched into the uploads when the job that made
 * them has ended, before the job that needs them is queued. Jobs that need the same output wait for
 * it together.
 */
#ifndef COMFYPOOL_SRC_POOL_OUTPUT_INPUTS_H
#define COMFYPOOL_SRC_POOL_OUTPUT_INPUTS_H

#include <stdbool.h>
#include <stdint.h>

struct pool;
struct job;

/* Called when all jobs before this one have ended. True: outputs are being fetched; the job then
   continues by job_admit, or fails. */
bool output_inputs_wait(struct job *j);
/* Stops waiting for outputs. */
void output_inputs_leave(struct job *j);
/* Called when no job is left. */
void output_inputs_done(struct pool *p);

#endif
