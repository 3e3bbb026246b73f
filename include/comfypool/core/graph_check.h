/*
 * Checks a graph as a server would, by its classes: ComfyUI's own validation as far as it is
 * visible from outside; uncertain problems are not reported. Only nodes that an output needs are
 * checked, as by a server. Pure. Source: execution.py of ComfyUI, validate_inputs.
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
    GRAPH_NO_OUTPUT,       /* no output node (node NULL) */
    GRAPH_INPUT_MISSING,   /* a required input is missing */
    GRAPH_TOO_SMALL,       /* a number below the server's minimum */
    GRAPH_TOO_LARGE,       /* a number above its maximum */
    GRAPH_NO_NUMBER,       /* not accepted by Python's int() or float() */
    GRAPH_NOT_LISTED,      /* a value outside the input's list, not a file name */
    GRAPH_LINK_BAD,        /* an array that is no link */
    GRAPH_LINK_NOWHERE,    /* a link to a missing node */
    GRAPH_LINK_NO_OUTPUT,  /* a link to an output that the node lacks */
    GRAPH_LINK_OTHER_TYPE, /* a link to an output of another type */
    GRAPH_CYCLE,           /* the node links to one that needs it; no input */
};

/* A problem found. Borrowed, for the call. */
struct graph_problem {
    enum graph_fault fault;
    const struct workflow_node *node;
    struct str input;
    struct str value; /* or the id of the missing node; JSON text, without quotes */
    bool is_text;     /* the value was quoted */
    double bound;     /* of GRAPH_TOO_SMALL and GRAPH_TOO_LARGE */
    const struct catalog_input *known;  /* the input's description, or NULL */
    const struct workflow_node *from;   /* node linked to, or NULL */
    const struct catalog_class *source; /* class of `from`, or NULL */
    int64_t output;                     /* index of its output, from 0 */
};

/* What to check, and limits. Borrowed. */
struct graph_asked {
    const struct workflow *w;
    struct str text; /* the source of w */
    const struct catalog *classes;
    const bool *wanted; /* by node: an output that is wanted; NULL: all are */
    bool chooses_seeds; /* a seed of -1 is replaced: no problem */
    size_t most;        /* problems to report */
};

/*
 * Calls `each` for problems, in the order of the graph, until it returned true (reported) for
 * `most` of them. Cost: O(length log inputs of a class), and each.
 */
void graph_check(const struct graph_asked *a,
                 bool (*each)(void *ctx, const struct graph_problem *p), void *ctx);

#endif
