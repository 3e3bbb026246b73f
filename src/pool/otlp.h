/*
 * Traces of ended jobs, pushed to an OTLP endpoint in batches. What cannot be delivered is dropped
 * and counted; no job ever waits for it.
 */
#ifndef COMFYPOOL_SRC_POOL_OTLP_H
#define COMFYPOOL_SRC_POOL_OTLP_H

#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/uuid.h"
#include "comfypool/loop/deadlines.h"

struct pool;
struct http_call;

enum { OTLP_MOST = 1000 };

struct otlp {
    char (*ids)[UUID_SIZE]; /* of jobs to be told, a ring of OTLP_MOST; NULL: none yet */
    size_t first, len;
    size_t sending;    /* the first ones, in the request under way... */
    size_t unreadable; /* ...though so many of them are not in it */
    struct http_call *call;
    struct deadline next;
    int64_t pause_ms;       /* after failures */
    uint64_t sent, dropped; /* jobs, since the start */
};

/* A profiled job has ended. */
void otlp_add(struct pool *p, const char *job_id);
void otlp_stop(struct pool *p);
void otlp_done(struct pool *p);

#endif
