/* The outputs of an attempt, as its backend reports them. */
#ifndef COMFYPOOL_SRC_POOL_ATTEMPT_OUTPUTS_H
#define COMFYPOOL_SRC_POOL_ATTEMPT_OUTPUTS_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/map.h"
#include "comfypool/base/str.h"

struct attempt;
struct output;

/* The part of an attempt that attempt_outputs.c owns. */
struct attempt_outputs {
    struct output **list; /* as they came */
    size_t len, cap;
    struct map by_id;
    size_t bytes;
    size_t files;
    bool truncated; /* some outputs were left out */
};

/* True if the outputs of this node are wanted. */
bool attempt_includes(const struct attempt *a, struct str node_id);
/* Adds or replaces a node's output. ui: valid JSON. */
void attempt_add_output(struct attempt *a, struct str node_id, struct str ui);
/* Adds a list "streamed" to the node's output, replacing an earlier one. */
void attempt_add_streamed(struct attempt *a, struct str node_id, struct str list);
/* Notes that outputs were left out. True the first time. */
bool attempt_leaves_out(struct attempt *a);
/* Returns {nodeId: ui}; NULL: none. Owner: the caller. */
char *attempt_render_outputs(const struct attempt *a);
void attempt_outputs_done(struct attempt_outputs *o);

#endif
