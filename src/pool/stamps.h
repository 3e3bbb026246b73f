/*
 * What a backend told of a job's files right after the job's end: size, and ETag or Last-Modified.
 * A file that has others later is another one: servers use names again when their folder was
 * emptied. It is asked in the background, four files at a time, and kept with the job. What is not
 * known refuses nothing: a backend that does not answer HEAD, a job that ended while a thousand
 * others waited to be asked for, a restart in between.
 */
#ifndef COMFYPOOL_SRC_POOL_STAMPS_H
#define COMFYPOOL_SRC_POOL_STAMPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/core/job.h"
#include "comfypool/pool/outputs.h"
#include "comfypool/loop/http_client.h"

struct pool;
struct stamping;

struct stamps {
    struct stamping *first, *last; /* jobs of which files are still to be asked for */
    size_t waiting;
    struct stamp_look *looks; /* under way */
    unsigned open;
};

/* The end of the job is durable: its files are asked for. */
void stamps_begin(struct pool *p, const struct job_record *ended);
/* No call is left. */
void stamps_done(struct pool *p);

/* Of output n of the job that ended then. */
struct output_stamp stamps_find(struct pool *p, int64_t seq, struct wall_us ended_at, size_t n);

#endif
