/* Clients: how many jobs each has, and how many of them run. */
#ifndef COMFYPOOL_SRC_POOL_CLIENTS_H
#define COMFYPOOL_SRC_POOL_CLIENTS_H

#include <stdbool.h>
#include <stddef.h>

struct job;
struct pool;

/* A client with active jobs. */
struct client {
    char *name; /* "": submissions that name no client */
    size_t active;
    size_t running;
    bool held;        /* jobs.maxRunningPerClient are running */
    struct job *jobs; /* active jobs */
};

/* Counts the job for its client, until client_leave. */
void client_join(struct job *j);
void client_leave(struct job *j);
/* Notes that the job has an attempt, or no longer has one. */
void client_runs(struct job *j);
void client_rests(struct job *j);
/* True if the client may have `more` jobs in addition. */
bool client_has_room(struct pool *p, const char *name, size_t more);
void clients_done(struct pool *p);

#endif
