/* Which job is next, and where it goes. */
#ifndef COMFYPOOL_SRC_POOL_ROUTING_H
#define COMFYPOOL_SRC_POOL_ROUTING_H

#include <stdbool.h>
#include <stdint.h>

struct backend;
struct job;
struct pool;

/* A job and the backend that is to have it, now. */
struct route {
    struct job *job;
    struct backend *backend;
    const char *reason;  /* static */
    int64_t expected_us; /* that the run will take; -1: not known */
    bool warm;
};

/* False: nothing can be given to anybody now. */
bool routing_next(struct pool *p, struct route *ret);

#endif
