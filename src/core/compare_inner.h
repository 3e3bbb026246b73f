/* Shared by compare.c (numbers) and compare_match.c (matching) alone. */
#ifndef COMFYPOOL_SRC_CORE_COMPARE_INNER_H
#define COMFYPOOL_SRC_CORE_COMPARE_INNER_H

#include <stdint.h>

#include "comfypool/base/map.h"
#include "comfypool/core/compare.h"

#define NO_MATCH SIZE_MAX

enum visit { VISIT_NEVER, VISIT_OPEN, VISIT_DONE };

/* A node with everything that may identify it. */
struct placed_node {
    const struct compare_node *node;
    uint64_t id_key;
    uint64_t class_key;
    uint64_t signature; /* of its class and ancestors */
    size_t depth;       /* nodes on the longest path to it */
    size_t place;       /* rank by depth and id */
    size_t next;        /* next dependency to visit, while open */
    enum visit visit;
};

/* A run prepared for matching with any number of others. */
struct placed_run {
    struct placed_node *nodes; /* in the run's order */
    size_t len;
    struct map by_id; /* to placed_node */
};

/* run is borrowed, with everything it points to. */
void placed_run_init(struct placed_run *r, const struct compare_run *run);
void placed_run_done(struct placed_run *r);
#define AUTO_PLACED __attribute__((cleanup(placed_run_done)))

/* Matches two runs. ret_match[i]: the base node of target node i, or NO_MATCH; each base node at
   most once. Room for target->len. Cost: O(n log n) of the nodes of both. */
void match_runs(const struct placed_run *target, const struct placed_run *base, size_t *ret_match);

#endif
