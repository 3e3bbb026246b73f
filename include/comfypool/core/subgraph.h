/*
 * Nodes of subgraphs: the editor gives them ids such as 57:3 and 57:8 (of one inside of another
 * 57:12:3). How long any node of a subgraph ran. Pure.
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
    bool has_duration;      /* that of all nodes that ran is known */
    struct dur_us duration; /* of the time in which at least one of them ran */
};

/* Those of a profile, in the order of their first nodes, an outer one before what is in it.
 *ret_len how many. Owner: the caller, by free. Cost: O(nodes + slices log slices). */
struct subgraph *subgraphs_of(const struct profile *p, size_t *ret_len);

#endif
