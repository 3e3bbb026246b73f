/* Which job is next, and its backend. */
#ifndef COMFYPOOL_SRC_POOL_ROUTING_H
#define COMFYPOOL_SRC_POOL_ROUTING_H

#include <stdbool.h>
#include <stdint.h>

struct backend;
struct job;
struct pool;

/* A job and its backend. */
struct route {
    struct job *job;
    struct backend *backend;
    const char *reason;  /* static */
    int64_t expected_us; /* expected duration of the run; -1: unknown */
    bool warm;
};

/* Finds the next job and its backend. False: nothing can be dispatched now. */
bool routing_next(struct pool *p, struct route *ret);

#endif
