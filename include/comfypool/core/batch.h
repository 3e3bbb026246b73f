/*
 * The jobs of a batch: one workflow, and for each job an object of overrides
 * {"NODE_ID.INPUT": value}. NODE_ID is the longest id of a node before a dot; the input must be
 * there. Pure.
 */
#ifndef COMFYPOOL_CORE_BATCH_H
#define COMFYPOOL_CORE_BATCH_H

#include <stdbool.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/digest.h"
#include "comfypool/base/err.h"
#include "comfypool/base/map.h"
#include "comfypool/base/str.h"
#include "comfypool/core/places.h"
#include "comfypool/core/workflow.h"

/* Many overrides of one workflow: each of its nodes is read once. */
struct override_check {
    const struct workflow *w;
    struct str text;
    struct places places;
};
/* text is what w was parsed from. Both are borrowed until the end. */
void override_check_begin(struct override_check *c, const struct workflow *w, struct str text);
void override_check_end(struct override_check *c);
/* one: JSON text that js_check has passed. False: it is no object (*ret_name NULL), or the member
   of this name (as it stands, lives as long as `one`) names no input. */
bool override_check(struct override_check *c, struct str one, struct str *ret_name) MUST_CHECK;

/* The next element of a checked array; *at is 0 at first, and moved on. n == 0: the end. */
struct str override_next(struct str array, size_t *at);

/* Appends the workflow of one job; both texts were checked. */
void override_apply(struct str workflow, struct str one, struct buf *out);

/* True when it may change the structure (a model, or a link): its hash must be made anew. Appends
   then what the hashes depend on: overrides that say the same there have the same hashes. */
bool override_is_structural(struct override_check *c, struct str one, struct buf *ret_key);

/* Appends what is left of a workflow when everything goes that neither its hashes nor its classes
   and models depend on: texts above all. Overrides can be applied to it as to the whole. */
void override_skeleton(const struct workflow *w, struct str text, struct buf *out);

/* The hashes of a batch's jobs: each kind of change of the structure is hashed once. */
struct override_hashes {
    struct override_check check;
    struct buf skeleton; /* see override_skeleton */
    struct map made;
};
struct override_hash {
    char workflow_hash[DIGEST_HEX_SIZE];
    char cost_key[WORKFLOW_KEY_SIZE];
    char key[]; /* see override_is_structural */
};
/* text is what w was parsed from. Both are borrowed until the end. */
void override_hashes_begin(struct override_hashes *h, const struct workflow *w, struct str text);
void override_hashes_end(struct override_hashes *h);
/* NULL: those of the workflow itself. It lives until the end. */
const struct override_hash *override_hash_of(struct override_hashes *h, struct str one);

#endif
