/*
 * Changes to a workflow's text that keep every other byte: the value of an input is replaced in
 * place, or a new input is inserted before the others. Collected first, applied once. Pure.
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
    struct map by_place; /* index in the list, from 1 */
    struct places places;
};

/* {0} is empty. */
void splices_done(struct splices *s);

/*
 * Sets an input of a node to a value (JSON text, copied). text: the source of w. A later value for
 * the same input wins. A missing input is added. False: no such node. Cost: as places_input.
 */
bool splices_set_input(struct splices *s, const struct workflow *w, struct str text,
                       struct str node_id, struct str input, struct str value) MUST_CHECK;

/* Appends the text with the changes. O(length + n log n). */
void splices_apply(struct splices *s, struct str text, struct buf *out);

/* Returns the raw value of an input; n == 0: none. text: the source of the node's workflow.
   O(length of the node's inputs). */
struct str workflow_input(const struct workflow_node *n, struct str text, struct str input);

#endif
