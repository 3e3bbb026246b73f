/*
 * What speaks against a server: the prompts that failed there in a row, since one last completed.
 * A wrong prompt fails wherever it runs; a sick server fails whatever it is given. Which of the two
 * it is shows by the rules of streak_judge. Pure.
 *
 * Bounded: beyond STREAK_KEPT times the limit the oldest failures are forgotten. Every call is
 * linear in what is kept; a server on which nothing failed costs one comparison.
 */
#ifndef COMFYPOOL_CORE_STREAK_H
#define COMFYPOOL_CORE_STREAK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/digest.h"
#include "comfypool/base/str.h"

enum { STREAK_KEPT = 4 };

/* How a prompt failed there. */
enum streak_kind {
    STREAK_FAULT,   /* the server's by its words: core/fault.h */
    STREAK_BACKEND, /* the server did not do its part: lost, no start */
    STREAK_ANSWER,  /* it answered with an error, 5xx: some prompts bring that about */
    STREAK_EITHER,  /* out of memory, by torch's word */
    STREAK_NODE,    /* a node threw something else */
};

struct streak_failure {
    enum streak_kind kind;
    int64_t job;        /* its seq */
    uint64_t client;    /* whose it is, as a hash; 0: nobody said */
    uint64_t exception; /* type and first line, as a hash; 0: there was none */
    char workflow[DIGEST_HEX_SIZE];
    bool elsewhere;   /* the job, or its workflow for another client, completed on another server
                         since */
    bool author_well; /* something else of its client did */
    unsigned wins;    /* how often its workflow did, for its client itself */
    bool fresh; /* set by streak_add: the first of its workflow that no node is to blame for */
};

struct streak {
    unsigned limit;  /* quarantine.failures; at least 1 */
    unsigned faults; /* the same of faults: breaker.failures where that is less, since they do not
                        go by workflow, and a breaker would hide them */
    struct streak_failure *list;
    size_t len, cap;
    char *text; /* exception and message of the last one, one line; or NULL */
};

/* Which rule holds against the server. */
enum streak_rule {
    STREAK_NOTHING,
    STREAK_FAULTS,    /* the last `faults` were all its own faults */
    STREAK_WORKFLOWS, /* as many different workflows failed by what it did not do */
    STREAK_EXCEPTION, /* the last ones ended with one exception, across two workflows or more */
    STREAK_ELSEWHERE, /* the last ones completed elsewhere */
};

void streak_init(struct streak *s, unsigned limit, unsigned faults);
void streak_done(struct streak *s);

/* One more prompt failed; it takes the place of an earlier one of its job: one job is no row. text:
   exception and message in one line; copied. */
void streak_add(struct streak *s, const struct streak_failure *f, struct str text);
/* One completed: nothing speaks against it any more. */
void streak_clear(struct streak *s);
/* No rule holds any more; one more failure of the kind is enough. Costs a judgement a failure. */
void streak_lift(struct streak *s);

/* A job completed on another server. client: as in streak_failure. */
void streak_completed_elsewhere(struct streak *s, int64_t job, struct str workflow,
                                uint64_t client);
/* The same exception came with that workflow on another server: it is the prompts' own. True when
   there was one. */
bool streak_forgive_exception(struct streak *s, struct str workflow, uint64_t exception);
/* All failures of a job whose fault proved to be its own. */
void streak_forgive_job(struct streak *s, int64_t job);

/*
 * The rule that holds; *ret_why (may be NULL) gets it in words for people, appended. One author's
 * wrong prompts are no proof: those of one named client count, but for faults and what a server did
 * not do, only where something of that client completed elsewhere meanwhile.
 */
enum streak_rule streak_judge(const struct streak *s, struct buf *ret_why);

/*
 * The named client whose prompts alone the last `limit` failures were, with one exception; 0: there
 * is none. Who asks has to see how that client fares elsewhere.
 */
uint64_t streak_author(const struct streak *s);

/*
 * True when the last `limit` failures are one workflow's with one exception: wrong prompts, or a
 * sick server? Who asks has to see how that workflow fares elsewhere.
 */
bool streak_is_open_question(const struct streak *s, struct str workflow);

#endif
