/*
 * Slices of a profile on lanes, for viewers that draw one row a lane. Lane 0 has the phases. A
 * slice of an expanded node lies on its parent's lane, within the parent's slice, if that is free;
 * any other overlap goes to another lane.
 */
#ifndef COMFYPOOL_RENDER_PROFILE_LANES_H
#define COMFYPOOL_RENDER_PROFILE_LANES_H

#include "profile_read.h"

struct lane_item {
    struct dur_us from;
    struct dur_us to;
    const struct stored_node *node; /* NULL: a phase */
    size_t slice;                   /* index in the node's slices */
    const char *phase;              /* NULL: a node */
};

/* Lane i is items[first[i]] to items[first[i + 1] - 1]. Within a lane two items nest or do not
   overlap; they are in order of their start, the outer one before the inner one. */
struct lanes {
    struct lane_item *items;
    size_t *first;
    size_t len; /* number of lanes; at least 1 */
};

/* Places all slices. Owner of *ret: the caller, by lanes_done. Cost: O(slices log slices). */
void lanes_make(const struct stored_profile *p, struct lanes *ret);
void lanes_done(struct lanes *l);
#define AUTO_LANES __attribute__((cleanup(lanes_done)))

/* "Queue and phases", "Nodes", "Nodes 2"... */
enum { LANE_NAME_SIZE = 40 };
void lane_name(size_t lane, char ret[LANE_NAME_SIZE]);

#endif
