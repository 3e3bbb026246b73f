/*
 * The jobs of a batch: one workflow, and for each job an object of overrides {"NODE_ID.INPUT":
 * value}. NODE_ID is the longest node id before a dot; the input must exist. Pure.
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

/* Checks many overrides of one workflow, reading each node once. */
struct override_check {
    const struct workflow *w;
    struct str text;
    struct places places;
};
/* text: the source of w. Both are borrowed until the end. */
void override_check_begin(struct override_check *c, const struct workflow *w, struct str text);
void override_check_end(struct override_check *c);
/* Checks `one`, JSON text that js_check has accepted. False: it is no object (*ret_name NULL), or a
   member names no input: *ret_name is its raw name and lives as long as `one`. */
bool override_check(struct override_check *c, struct str one, struct str *ret_name) MUST_CHECK;

/* Returns the next element of a checked array and advances *at (0 at first). n == 0: the end. */
struct str override_next(struct str array, size_t *at);

/* Appends the workflow of one job; both texts were checked. */
void override_apply(struct str workflow, struct str one, struct buf *out);

/* True if it may change the structure (a model, or a link): its hash must be recomputed. Then
   appends a key of all that the hashes depend on: equal keys have equal hashes. */
bool override_is_structural(struct override_check *c, struct str one, struct buf *ret_key);

/* Appends the workflow reduced to what its hashes, classes and models depend on, without most
   texts. Overrides can be applied to it as to the whole. */
void override_skeleton(const struct workflow *w, struct str text, struct buf *out);

/* Hashes of a batch's jobs: each structural change is hashed once. */
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
/* text: the source of w. Both are borrowed until the end. */
void override_hashes_begin(struct override_hashes *h, const struct workflow *w, struct str text);
void override_hashes_end(struct override_hashes *h);
/* Returns the hashes of a job; NULL: the workflow's own. Lives until the end. */
const struct override_hash *override_hash_of(struct override_hashes *h, struct str one);

#endif
