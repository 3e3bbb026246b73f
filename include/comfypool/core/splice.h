/*
 * Changes to a workflow's text that leave every other byte as it was: the value of an input is
 * replaced where it stands, or a new input is put in front of the others. Collected first, applied
 * once. Pure.
 */
#ifndef COMFYPOOL_CORE_SPLICE_H
#define COMFYPOOL_CORE_SPLICE_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/err.h"
#include "comfypool/base/str.h"
#include "comfypool/core/places.h"
#include "comfypool/core/workflow.h"

struct splice;

struct splices {
    struct splice *list;
    size_t len, cap;
    struct map by_place; /* where in the list it is, from 1 */
    struct places places;
};

/* {0} is an empty one. */
void splices_done(struct splices *s);

/*
 * The input of this node gets a value (JSON text, copied). text is what w was parsed from. Said
 * twice of one input, the last one counts. An input that is not there is added.
 * False: there is no such node. Cost: as places_input.
 */
bool splices_set_input(struct splices *s, const struct workflow *w, struct str text,
                       struct str node_id, struct str input, struct str value) MUST_CHECK;

/* Appends the text with the changes. O(length + n log n). */
void splices_apply(struct splices *s, struct str text, struct buf *out);

/* The text of an input's value as it stands; n == 0: the node has no such input. text is what the
   node's workflow was parsed from. O(length of the node's inputs). */
struct str workflow_input(const struct workflow_node *n, struct str text, struct str input);

#endif
