/*
 * What a server would refuse in a graph, by what it says of its classes: ComfyUI's own validation
 * as far as it can be seen from outside. Only nodes that an output needs are looked at, as a server
 * does. Pure.
 */
#ifndef COMFYPOOL_CORE_GRAPH_CHECK_H
#define COMFYPOOL_CORE_GRAPH_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/str.h"
#include "comfypool/core/catalog.h"
#include "comfypool/core/workflow.h"

enum graph_fault {
    GRAPH_NO_OUTPUT,     /* no node gives outputs (node NULL) */
    GRAPH_INPUT_MISSING, /* a required input is not there */
    GRAPH_TOO_SMALL,     /* a number is below the least that the server takes */
    GRAPH_TOO_LARGE,     /* ... above the most */
    GRAPH_LINK_NOWHERE,  /* a link to a node that is not there */
};

/* All of it borrowed, for the time of the call. */
struct graph_problem {
    enum graph_fault fault;
    const struct workflow_node *node;
    struct str input;
    struct str value; /* the number, or the id of the node that is not there; JSON text */
    double bound;     /* of GRAPH_TOO_SMALL and GRAPH_TOO_LARGE */
};

/*
 * Calls `each` for the first `most` problems, in the order of the graph. text is what w was parsed
 * from. wanted: of each node, whether it is one of the outputs that are asked for; NULL: all are.
 * Cost: O(length log inputs of a class).
 */
void graph_check(const struct workflow *w, struct str text, const struct catalog *c,
                 const bool *wanted, size_t most,
                 void (*each)(void *ctx, const struct graph_problem *p), void *ctx);

#endif
