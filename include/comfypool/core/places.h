/*
 * Finds the inputs of nodes in a workflow's text, for many look-ups: a node is read once, when
 * first asked for. Pure.
 */
#ifndef COMFYPOOL_CORE_PLACES_H
#define COMFYPOOL_CORE_PLACES_H

#include <stddef.h>

#include "comfypool/base/map.h"
#include "comfypool/base/str.h"
#include "comfypool/core/workflow.h"

struct node_places;

/* {0} is empty. */
struct places {
    struct node_places **of; /* by node; NULL: not read */
    size_t len;
};

/*
 * Returns the raw value of an input; n == 0: the node has none such. text: the source of w, the
 * same bytes each time, wherever they lie. Cost: O(length of the input's name); the first time for
 * each node O(length of its inputs).
 */
struct str places_input(struct places *p, const struct workflow *w, struct str text,
                        const struct workflow_node *n, struct str input);
void places_done(struct places *p);

#endif
