/* Whether any backend can run what is submitted. */
#ifndef COMFYPOOL_SRC_POOL_SUBMISSION_CHECK_H
#define COMFYPOOL_SRC_POOL_SUBMISSION_CHECK_H

#include <stdbool.h>
#include <stdint.h>

struct backend;
struct intake;
struct job;
struct pool;
struct refusal;

/* Whether a backend can run what is submitted, as far as anybody can know. */
enum chance {
    CHANCE_NO,    /* it is not meant, or says what it lacks */
    CHANCE_MAYBE, /* it is down, or did not say yet what it has */
    CHANCE_YES,   /* it does, or never said */
};

/* Whether some backend can run what is submitted, or might later. */
enum eligible_step {
    ELIGIBLE_SURE,    /* as sure as can be */
    ELIGIBLE_REFUSED, /* none can: in->refusal */
    ELIGIBLE_ASKING,  /* backends are asked; in->ticket is woken when they have answered */
    ELIGIBLE_TRIED,   /* it is a dry run: in->dry */
};
enum eligible_step eligible_check(struct pool *p, struct intake *in);
/* The same of one job of a batch whose jobs are being made: whether any backend can run it (asked:
   they were, for this one); the ticket is woken when backends that lack something were asked again
   (false: none was); why it is refused, with its place in the batch. */
enum chance eligible_chance(struct job *j, bool asked);
bool eligible_ask_again(struct job *j, uint64_t ticket);
void eligible_refuse(struct job *j, const char *pointer, struct refusal *ret);
/* Whether that backend can run it, as far as the backend has said on this connection; before that,
   and while it is down: whether the job is for it by name, label and rule. */
bool eligible_may_be(struct job *j, const struct backend *b);
/* Nobody waits any more. */
void submission_checks_done(struct pool *p);

#endif
