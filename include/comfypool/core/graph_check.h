/*
 * What a server would refuse in a graph, by what it says of its classes: ComfyUI's own validation
 * as far as it can be seen from outside; where that is not sure, nothing is told. Only nodes that
 * an output needs are looked at, as a server does. Pure. Source: execution.py of ComfyUI,
 * validate_inputs.
 */
#ifndef COMFYPOOL_CORE_GRAPH_CHECK_H
#define COMFYPOOL_CORE_GRAPH_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/str.h"
#include "comfypool/core/catalog.h"
#include "comfypool/core/workflow.h"

enum graph_fault {
    GRAPH_NO_OUTPUT,       /* no node gives outputs (node NULL) */
    GRAPH_INPUT_MISSING,   /* a required input is not there */
    GRAPH_TOO_SMALL,       /* a number is below the least that the server takes */
    GRAPH_TOO_LARGE,       /* ... above the most */
    GRAPH_NO_NUMBER,       /* what int() or float() of the server does not take */
    GRAPH_NOT_LISTED,      /* a value that is not in the input's list; none that names a file */
    GRAPH_LINK_BAD,        /* an array that is no link */
    GRAPH_LINK_NOWHERE,    /* a link to a node that is not there */
    GRAPH_LINK_NO_OUTPUT,  /* ... to an output that the node does not have */
    GRAPH_LINK_OTHER_TYPE, /* ... to one of another type */
    GRAPH_CYCLE,           /* the node links to one that needs it; of no input */
};

/* All of it borrowed, for the time of the call. */
struct graph_problem {
    enum graph_fault fault;
    const struct workflow_node *node;
    struct str input;
    struct str value; /* or the id of the node that is not there; JSON text, without quotes */
    bool is_text;     /* quotes were around the value */
    double bound;     /* of GRAPH_TOO_SMALL and GRAPH_TOO_LARGE */
    const struct catalog_input *known;  /* what is said of the input, or NULL */
    const struct workflow_node *from;   /* that is linked to, or NULL */
    const struct catalog_class *source; /* its class, or NULL */
    int64_t output;                     /* which of its outputs, from 0 */
};

/* What is looked at, and how much of it. Borrowed. */
struct graph_asked {
    const struct workflow *w;
    struct str text; /* what w was parsed from */
    const struct catalog *classes;
    const bool *wanted; /* of each node, whether it is an output that is asked for; NULL: all are */
    bool chooses_seeds; /* a seed of -1 will be another number: nothing is wrong with it */
    size_t most;        /* problems that may be told */
};

/*
 * Calls `each` for problems, in the order of the graph, until it has said of `most` of them that it
 * told them (true). Cost: O(length log inputs of a class), and each.
 */
void graph_check(const struct graph_asked *a,
                 bool (*each)(void *ctx, const struct graph_problem *p), void *ctx);

#endif
