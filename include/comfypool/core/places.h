/*
 * Where the inputs of a workflow's nodes lie in its text: for whoever looks up many of them, so
 * that a node's text is read once and not for each. A node is read when it is asked for first.
 * Pure.
 */
#ifndef COMFYPOOL_CORE_PLACES_H
#define COMFYPOOL_CORE_PLACES_H

#include <stddef.h>

#include "comfypool/base/map.h"
#include "comfypool/base/str.h"
#include "comfypool/core/workflow.h"

struct node_places;

/* {0} knows nothing yet. */
struct places {
    struct node_places **of; /* by node; NULL: none was read */
    size_t len;
};

/*
 * The value of an input as it stands; n == 0: the node has no such input. text is what w was parsed
 * from: the same bytes each time, wherever they lie.
 * Cost: O(length of the input's name); the first time of each node O(length of its inputs).
 */
struct str places_input(struct places *p, const struct workflow *w, struct str text,
                        const struct workflow_node *n, struct str input);
void places_done(struct places *p);

#endif
