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

/* A job that waits for another one's end; in a list of each. */
struct edge {
    struct job *waits, *for_job;
    struct edge *next_dep, **dep_link;             /* of waits->chain.deps */
    struct edge *next_dependent, **dependent_link; /* of for_job->chain.dependents */
};

/* Whether all ids of `after` (JSON, or NULL) name jobs that are seen there (see walls.h): those
   that are not active are in the set. Else the first that does not, and its place. */
enum err dependencies_check(struct pool *p, const char *wall, const struct known_jobs *known,
                            const char *after, struct str *ret_id, size_t *ret_place) MUST_CHECK;

/* A new job, checked in this turn and not inserted yet: ties it to those that are active, and drops
   those of the set that have become what it wants. */
void dependencies_begin(struct job *j, const struct known_jobs *known);
/* The job is admitted: ties it to those that it still waits for. TIED_ASKING: it is admitted again
   when the store has said what became of those that are not active. TIED_FAILED: *ret_why tells of
   one that did not complete. Owner of the text: the caller. */
enum tied { TIED, TIED_TO_NOBODY, TIED_FAILED, TIED_ASKING };
enum tied dependencies_tie(struct job *j, char **ret_why) MUST_CHECK;
/* The store is asked no more on behalf of the job. */
void dependencies_forget(struct job *j);
/* It waits for others from now on; or not any more, and is admitted. */
void dependencies_block(struct job *j);
void dependencies_unblock(struct job *j);
/* The job has ended: those that wait for it go on, or fail. */
void dependencies_ended(struct job *j);
/* It leaves memory: nobody waits for it, and it for nobody. */
void dependencies_untie(struct job *j);

#endif
