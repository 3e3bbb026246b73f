/*
 * Which backends can run a workflow at all: by the names and labels that its job asks for, by hard
 * rules of the configuration, and by what the backends know (core/catalog.h).
 */
#ifndef COMFYPOOL_SRC_POOL_ELIGIBLE_H
#define COMFYPOOL_SRC_POOL_ELIGIBLE_H

#include "comfypool/base/json_write.h"
#include "comfypool/core/catalog.h"
#include "comfypool/core/spec.h"
#include "comfypool/loop/deadlines.h"
#include <stdbool.h>
#include <stdint.h>
#include "comfypool/base/str.h"

struct pool;
struct job;
struct backend;
struct attempt;
struct comfy_ask;
struct intake;
struct refusal;

/* What a workflow needs: shared by all jobs of one structure. */
struct need {
    char *key; /* its hash, and the outputs that are wanted */
    unsigned refs;
    struct need *newer, *older; /* while nobody has it */
    struct workflow *w;
    char models[DIGEST_HEX_SIZE]; /* of the set of models that it names; "": none */
    bool *wanted;                 /* of each node: one of the outputs that are wanted; NULL: all */
    struct verdict_of {
        uint32_t backend;
        uint64_t generation; /* of its catalog */
        bool able;
    } * verdicts;
    size_t verdicts_len;
    size_t verdicts_at; /* found last: backends are asked about in their order */
};

/* One workflow that would do, and where. */
struct wish {
    struct need *need;
    const struct spec_where *where; /* NULL: anywhere */
    const char *hash;
};

/* What a backend knows. */
struct knowledge {
    struct catalog catalog;
    bool known;          /* it was read, if not on this connection then on the one before */
    struct mono_us told; /* the last time that it answered what classes it has */
    uint64_t generation; /* counts changes */
    bool due;            /* it is to be read as soon as none of our prompts is there */
    struct comfy_ask *classes, *replacements, *features;
    struct deadline patience; /* with them: then it gets jobs again */
};

/* For struct pool. */
struct eligibility {
    struct catalog_pool classes;
    struct map needs;
    struct need *idle_newest, *idle_oldest;
    size_t idle_len;
    uint64_t generation;      /* counts changes of whatever decides */
    struct recheck *rechecks; /* submissions for which backends are asked */
    size_t rechecks_len;
};

/* Whether a backend can run what is submitted, as far as anybody can know. */
enum chance {
    CHANCE_NO,    /* it is not meant, or says what it lacks */
    CHANCE_MAYBE, /* it is down, or did not say yet what it has */
    CHANCE_YES,   /* it does, or never said */
};

void eligible_init(struct pool *p);
/* After the jobs and backends are gone. */
void eligible_done(struct pool *p);
void knowledge_done(struct backend *b);

/* Something that decides has changed: waiting jobs are looked at anew, at the end of the turn. */
void eligible_changed(struct pool *p);
/* Its classes are to be read, now or when its prompts are over. */
void eligible_read(struct backend *b);
/* Starts the read if the backend is idle. */
void eligible_settle(struct backend *b);
/* True while it gets no job because its classes are to be read first. */
bool eligible_is_reading(const struct backend *b);
/* Its link is lost. */
void eligible_down(struct backend *b);

/* The first of the job's workflows (0 unless it has variants) that the backend can run; -1: none.
   True for a backend whose classes nobody knows. */
int eligible_variant(struct job *j, const struct backend *b);
/* Whether there is a backend that cannot; O(backends), remembered until something changes. */
bool eligible_is_restricted(struct job *j);
/* The need of a variant; NULL: its text cannot be read now. */
struct need *eligible_need(struct job *j, size_t variant);
struct need *eligible_need_of_attempt(const struct attempt *a);
void eligible_leave(struct job *j);

typedef void (*lack_fn)(void *ctx, const struct workflow_node *node,
                        const struct workflow_value *m);
/* Calls `each` for what a backend lacks whose classes are known: a class (m NULL), or a value of an
   input whose list counts. */
void eligible_find_lacks(const struct need *n, const struct backend *b, lack_fn each, void *ctx);
/* The backend can more than was known. */
void eligible_learnt(struct backend *b);
/* What keeps the job from the backend, for people. */
void eligible_why(struct job *j, const struct backend *b, struct buf *out);
/* Soft rules of the configuration and the job's own preference. */
bool eligible_is_preferred(const struct job *j, const struct backend *b);

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
/* The largest value of a number that a node class takes there, as far as is known. */
uint64_t eligible_input_max(const struct backend *b, struct str class_type, const char *input);

#endif
