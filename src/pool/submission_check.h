/* Checks whether any backend can run a submission. */
#ifndef COMFYPOOL_SRC_POOL_SUBMISSION_CHECK_H
#define COMFYPOOL_SRC_POOL_SUBMISSION_CHECK_H

#include <stdbool.h>
#include <stdint.h>

struct backend;
struct intake;
struct job;
struct pool;
struct refusal;

/* Whether a backend can run a submission, as far as known. */
enum chance {
    CHANCE_NO,    /* excluded, or it tells what it lacks */
    CHANCE_MAYBE, /* down, or its catalog is not known yet */
    CHANCE_YES,   /* able, or its catalog was never read */
};

/* Whether some backend can run a submission, or might later. */
enum eligible_step {
    ELIGIBLE_SURE,    /* as far as known */
    ELIGIBLE_REFUSED, /* none can: in->refusal */
    ELIGIBLE_ASKING,  /* backends are being asked; in->ticket is woken when they have answered */
    ELIGIBLE_TRIED,   /* a dry run: see in->dry */
};
enum eligible_step eligible_check(struct pool *p, struct intake *in);
/* The same for a job of a batch that is being made. eligible_chance: whether any backend can run it
   (asked: backends were asked for this job). eligible_ask_again: asks backends that lack something;
   the ticket is woken afterwards (false: none to ask). eligible_refuse: sets the refusal, with the
   job's place in the batch. */
enum chance eligible_chance(struct job *j, bool asked);
bool eligible_ask_again(struct job *j, uint64_t ticket);
void eligible_refuse(struct job *j, const char *pointer, struct refusal *ret);
/* True if that backend can run the job, as far as told on this connection. While that is unknown,
   or it is down: whether names, labels and rules allow it. */
bool eligible_may_be(struct job *j, const struct backend *b);
/* Ends all checks, when the pool closes. */
void submission_checks_done(struct pool *p);

#endif
