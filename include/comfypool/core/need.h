/*
 * What a workflow needs of a server: classes, and values of inputs whose lists count (models and
 * the like). All workflows of one structure share a need, which remembers what was found of each
 * server until that learns something new. Pure.
 */
#ifndef COMFYPOOL_CORE_NEED_H
#define COMFYPOOL_CORE_NEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/digest.h"
#include "comfypool/base/map.h"
#include "comfypool/base/str.h"
#include "comfypool/core/catalog.h"
#include "comfypool/core/job_options.h"
#include "comfypool/core/workflow.h"

struct need {
    char *key; /* its hash, and the outputs that are wanted */
    unsigned refs;
    struct need *newer, *older; /* while nobody has it */
    struct workflow *w;
    char models[DIGEST_HEX_SIZE]; /* of the set of models that it names; "": none */
    bool *wanted;                 /* of each node: one of the outputs that are wanted; NULL: all */
    struct verdict_of {
        uint32_t server;
        uint64_t generation; /* of its catalog */
        bool able;
    } * verdicts;
    size_t verdicts_len;
    size_t verdicts_at; /* found last: servers are asked about in their order */
};

struct needs {
    struct map by_key;
    struct need *idle_newest, *idle_oldest; /* nobody has them; some are remembered */
    size_t idle_len;
};

void needs_init(struct needs *all);
/* Nobody has any. */
void needs_done(struct needs *all);

/* A workflow's text, borrowed, or put in `room`; n == 0: it cannot be had. */
typedef struct str (*need_text_fn)(void *ctx, struct buf *room);
/* The need of this hash, of which one more has it now; the text is asked for when it is not known.
   NULL: it cannot be read. outputs (NULL: none): the nodes that are wanted. */
struct need *need_join(struct needs *all, const char *hash, const struct names *outputs,
                       need_text_fn text_of, void *ctx);
void need_release(struct needs *all, struct need *n);

/* What a server has, as far as it said. */
struct need_catalog {
    uint32_t server;
    uint64_t generation; /* counts its changes */
    const struct catalog *catalog;
    /* It takes values of this input that are not in its list. */
    bool (*forgives)(const void *ctx, struct str class_type, struct str input);
    const void *ctx;
};

/* A class that is lacking (m NULL), or a value of an input. */
typedef void (*need_lack_fn)(void *ctx, const struct workflow_node *node,
                             const struct workflow_value *m);
/* O(nodes + models). */
void need_find_lacks(const struct need *n, const struct need_catalog *of, need_lack_fn each,
                     void *ctx);
/* Nothing is; O(1) but for the first time after a change. */
bool need_is_met(struct need *n, const struct need_catalog *of);

#endif
