/*
 * Preview images of a node with steps, as binary frames: type 4 with metadata to a socket that
 * said that it takes them, else type 1 (PROTOCOL 1, 3). Leaves when to executor.c.
 */
#ifndef COMFYSIM_PREVIEWS_H
#define COMFYSIM_PREVIEWS_H

#include "executor.h"

/*
 * Sends what the current step of the node shows, if its socket takes that kind: a real server sends
 * those with metadata before the step's `progress`, the others after it.
 */
void previews_send(struct executor *x, const struct node *node, bool with_metadata);

#endif
