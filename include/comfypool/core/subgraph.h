/*
 * Subgraphs: the editor gives their nodes ids such as 57:3 and 57:8 (nested: 57:12:3). How long any
 * node of a subgraph ran. Pure.
 */
#ifndef COMFYPOOL_CORE_SUBGRAPH_H
#define COMFYPOOL_CORE_SUBGRAPH_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/str.h"
#include "comfypool/core/profiler.h"

struct subgraph {
    struct str id; /* "57"; borrowed from the profile */
    size_t nodes, executed, cached;
    bool has_duration;      /* all nodes that ran have a known duration */
    struct dur_us duration; /* time in which at least one node ran */
};

/* Returns a profile's subgraphs in the order of their first nodes, outer before inner; ret_len:
   count. Owner: the caller, by free. Cost: O(nodes + slices log slices). */
struct subgraph *subgraphs_of(const struct profile *p, size_t *ret_len);

#endif
