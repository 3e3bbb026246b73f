/* For whom jobs are submitted: how many each has, and how many run. */
#ifndef COMFYPOOL_SRC_POOL_CLIENTS_H
#define COMFYPOOL_SRC_POOL_CLIENTS_H

#include <stdbool.h>
#include <stddef.h>

struct job;
struct pool;

/* A client for which jobs are submitted, while any of them is active. */
struct client {
    char *name; /* "": those who name none */
    size_t active;
    size_t running;
    bool held;        /* jobs.maxRunningPerClient are running */
    struct job *jobs; /* the active ones */
};

/* The job is one of its client's from now on, until client_leave. */
void client_join(struct job *j);
void client_leave(struct job *j);
/* An attempt of the job runs, or not any more. */
void client_runs(struct job *j);
void client_rests(struct job *j);
/* True when it may have `more` jobs beside those that it has. */
bool client_has_room(struct pool *p, const char *name, size_t more);
void clients_done(struct pool *p);

#endif
