/*
 * Evidence against a server: the prompts that failed there in a row, since the last success. A
 * wrong prompt fails anywhere; a sick server fails anything. streak_judge tells them apart. Pure.
 *
 * Bounded: beyond STREAK_KEPT times the limit the oldest failures are forgotten. Every call is
 * linear in what is kept; a server without failures costs one comparison.
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

/* How a prompt failed. */
enum streak_kind {
    STREAK_FAULT,   /* the server's fault by its message: core/fault.h */
    STREAK_BACKEND, /* the server did not do its part: lost, no start */
    STREAK_ANSWER,  /* answered with an error, 5xx: some prompts cause that */
    STREAK_EITHER,  /* out of memory, by torch's type */
    STREAK_NODE,    /* a node threw something else */
};

struct streak_failure {
    enum streak_kind kind;
    int64_t job;        /* its seq */
    uint64_t client;    /* hash of its client; 0: unnamed */
    uint64_t exception; /* hash of type and first line; 0: none */
    char workflow[DIGEST_HEX_SIZE];
    bool elsewhere;   /* completed on another server since: the job, or its workflow for another
                         client */
    bool author_well; /* another prompt of its client did */
    unsigned wins;    /* how often its workflow did, for the same client */
    bool fresh; /* set by streak_add: the first of its workflow that no node is to blame for */
};

struct streak {
    unsigned limit;  /* quarantine.failures; at least 1 */
    unsigned faults; /* limit of faults: breaker.failures where less, since faults do not go by
                        workflow, and a breaker would hide them */
    struct streak_failure *list;
    size_t len, cap;
    char *text; /* the last exception and message, one line; or NULL */
};

/* The rule that condemns the server. */
enum streak_rule {
    STREAK_NOTHING,
    STREAK_FAULTS,    /* the last `faults` failures were server faults */
    STREAK_WORKFLOWS, /* `limit` different workflows failed without a node to blame */
    STREAK_EXCEPTION, /* the last ones had one exception, across two workflows or more */
    STREAK_ELSEWHERE, /* the last ones completed elsewhere */
};

void streak_init(struct streak *s, unsigned limit, unsigned faults);
void streak_done(struct streak *s);

/* Adds a failure, replacing an earlier one of the same job: one job is no streak. text: exception
   and message in one line; copied. */
void streak_add(struct streak *s, const struct streak_failure *f, struct str text);
/* Clears the streak after a success. */
void streak_clear(struct streak *s);
/* Drops failures until no rule applies; one more of the kind is enough. Costs a judgement a
   failure. */
void streak_lift(struct streak *s);

/* Notes that a job completed on another server. client: as in streak_failure. */
void streak_completed_elsewhere(struct streak *s, int64_t job, struct str workflow,
                                uint64_t client);
/* Drops failures with an exception that the workflow threw on another server too: the prompts are
   to blame. True if any was dropped. */
bool streak_forgive_exception(struct streak *s, struct str workflow, uint64_t exception);
/* Drops all failures of a job that proved to be at fault. */
void streak_forgive_job(struct streak *s, int64_t job);

/*
 * Returns the rule that applies; *ret_why (may be NULL) gets it in words for people, appended. One
 * author's wrong prompts are no proof: except for faults and what the server failed to do, failures
 * of a single named client count only if something of that client completed elsewhere meanwhile.
 */
enum streak_rule streak_judge(const struct streak *s, struct buf *ret_why);

/*
 * Returns the named client that alone caused the last `limit` failures, with one exception; 0:
 * none. The caller checks how that client fares elsewhere.
 */
uint64_t streak_author(const struct streak *s);

/*
 * True if the last `limit` failures are of one workflow with one exception: wrong prompts, or a
 * sick server? The caller checks how that workflow fares elsewhere.
 */
bool streak_is_open_question(const struct streak *s, struct str workflow);

#endif
