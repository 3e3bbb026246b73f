/*
 * Refusals of a workflow by a backend, and the jobs for which they count. A backend refuses what it
 * was sent: a job whose nodes are given files is sent other values than its workflow has, so a
 * refusal without files says nothing about one with files, and vice versa. For the same workflow
 * with other files a refusal only makes the backend the last one to be asked.
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
    REFUSAL_OLD,  /* before the job came, or of a like job: others are asked first */
    REFUSAL_HERE, /* since the job came: the backend is not asked again */
};

/* Remembers that the attempt's backend refused the prompt for something that it lacks. */
void refusals_add(struct attempt *a, struct mono_us now, const char *why);
/* Forgets refusals, since the workflow ran there. */
void refusals_over(struct attempt *a);
/* Returns what is remembered. hash: of the variant that would run there. *ret_why, unless NULL: the
   backend's words; valid until the next change. */
enum refused refusal_of(const struct job *j, struct str hash, const struct backend *b,
                        struct mono_us now, const char **ret_why);
/* True if a refusal or failure of it is remembered for any backend. */
bool refusals_know(const struct job *j, struct str hash);
/* Appends to a lane's key what tells jobs of one workflow apart here. */
void refusals_add_lane(const struct job *j, struct buf *ret);

#endif
