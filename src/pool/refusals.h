/*
 * That a backend refused a workflow, and of which jobs that counts. It refused what it was sent: a
 * job whose nodes are given files was sent other values than its workflow has, so what is known of
 * one without files says nothing of it, nor the other way round. Of the same workflow with other
 * files it says only that the backend is asked last.
 */
#ifndef COMFYPOOL_SRC_POOL_REFUSALS_H
#define COMFYPOOL_SRC_POOL_REFUSALS_H

#include "comfypool/base/buf.h"
#include "comfypool/base/time.h"

struct attempt;
struct backend;
struct job;

enum refused {
    REFUSAL_NONE,
    REFUSAL_OLD,  /* before the job came, or of its like: others are asked first */
    REFUSAL_HERE, /* since it came: the backend is not asked again */
};

/* The attempt's backend refused its prompt for what it lacks. */
void refusals_add(struct attempt *a, struct mono_us now, const char *why);
/* It ran there: nothing that is remembered holds. */
void refusals_over(struct attempt *a);
/* hash: of the variant that would run there. *ret_why, unless NULL: what was said; it lives until
   the next change. */
enum refused refusal_of(const struct job *j, struct str hash, const struct backend *b,
                        struct mono_us now, const char **ret_why);
/* False: nothing of it is remembered anywhere, neither a refusal nor a failure. */
bool refusals_know(const struct job *j, struct str hash);
/* What tells jobs of one workflow apart in this: a part of the key of their lane. */
void refusals_add_lane(const struct job *j, struct buf *ret);

#endif
