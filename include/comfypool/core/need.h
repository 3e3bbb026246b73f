/*
 * The needs of a workflow on a server: classes, and values of inputs whose lists are checked
 * (models and the like). Workflows of one structure share a need, which caches its result for each
 * server until that server's catalog changes. Pure.
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
    char *key; /* the workflow's hash, and the wanted outputs */
    unsigned refs;
    struct need *newer, *older; /* list of unused ones */
    struct workflow *w;
    char models[DIGEST_HEX_SIZE]; /* hash of the set of models; "": none */
    bool *wanted;                 /* by node: a wanted output; NULL: all */
    struct verdict_of {
        uint32_t server;
        uint64_t generation; /* of the server's catalog */
        bool able;
    } * verdicts;
    size_t verdicts_len;
    size_t verdicts_at; /* last one found: servers are asked in order */
};

struct needs {
    struct map by_key;
    struct need *idle_newest, *idle_oldest; /* unused needs, some are cached */
    size_t idle_len;
};

void needs_init(struct needs *all);
/* Call when no need is in use. */
void needs_done(struct needs *all);

/* Returns a workflow's text, borrowed, or put in `room`; n == 0: unavailable. */
typedef struct str (*need_text_fn)(void *ctx, struct buf *room);
/* Returns the need of this hash and adds a reference; asks for the text if it is new. NULL:
   unreadable. outputs (NULL: none): the wanted nodes. */
struct need *need_join(struct needs *all, const char *hash, const struct names *outputs,
                       need_text_fn text_of, void *ctx);
void need_release(struct needs *all, struct need *n);

/* A server's catalog, as far as known. */
struct need_catalog {
    uint32_t server;
    uint64_t generation; /* counts changes */
    const struct catalog *catalog;
    /* True if it takes unlisted values of this input. */
    bool (*forgives)(const void *ctx, struct str class_type, struct str input);
    const void *ctx;
};

/* Reports a missing class (m NULL), or a missing value of an input. */
typedef void (*need_lack_fn)(void *ctx, const struct workflow_node *node,
                             const struct workflow_value *m);
/* Calls `each` for everything missing. O(nodes + models). */
void need_find_lacks(const struct need *n, const struct need_catalog *of, need_lack_fn each,
                     void *ctx);
/* True if nothing is missing; O(1) except for the first call after a change. */
bool need_is_met(struct need *n, const struct need_catalog *of);

#endif
