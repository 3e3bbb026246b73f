/* Jobs that wait for the end of others: POST /jobs with "after". */
#ifndef COMFYPOOL_SRC_POOL_DEPENDENCIES_H
#define COMFYPOOL_SRC_POOL_DEPENDENCIES_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/err.h"

struct job;
struct known_jobs;
struct pool;
struct str;

/* An edge: one job waits for the end of another. It is in a list of each. */
struct edge {
    struct job *waits, *for_job;
    struct edge *next_dep, **dep_link;             /* of waits->chain.deps */
    struct edge *next_dependent, **dependent_link; /* of for_job->chain.dependents */
};

/* Checks that all ids of `after` (JSON, or NULL) name jobs visible behind the wall (walls.h); jobs
   that are not active must be in the set. On failure *ret_id and *ret_place are the first bad one.
 */
enum err dependencies_check(struct pool *p, const char *wall, const struct known_jobs *known,
                            const char *after, struct str *ret_id, size_t *ret_place) MUST_CHECK;

/* Begins with a new job, checked in this turn and not inserted yet: ties it to active jobs, and
   drops jobs of the set that ended as wanted. */
void dependencies_begin(struct job *j, const struct known_jobs *known);
/* Ties a job that is being admitted to the jobs that it still waits for. TIED_ASKING: the store is
   being asked about jobs that are not active; the job is admitted again afterwards. TIED_FAILED:
   *ret_why names one that did not complete. Owner of the text: the caller. */
enum tied { TIED, TIED_TO_NOBODY, TIED_FAILED, TIED_ASKING };
enum tied dependencies_tie(struct job *j, char **ret_why) MUST_CHECK;
/* Drops reads of the store for this job. */
void dependencies_forget(struct job *j);
/* Marks the job as waiting for others; or ends that and admits it. */
void dependencies_block(struct job *j);
void dependencies_unblock(struct job *j);
/* Lets jobs that waited for this one continue, or fail. */
void dependencies_ended(struct job *j);
/* A job leaves memory and never was: those that wait for it ask the store what became of it. */
void dependencies_vanished(struct job *j);
/* Removes all edges of a job that leaves memory. */
void dependencies_untie(struct job *j);

#endif
