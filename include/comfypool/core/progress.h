/*
 * How far a running prompt is, for Job.progress: kept for every running job, profiled or not.
 */
#ifndef COMFYPOOL_CORE_PROGRESS_H
#define COMFYPOOL_CORE_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/core/frame.h"
#include "comfypool/core/workflow.h"

struct progress {
    const struct workflow *workflow; /* borrowed */
    unsigned char *done;             /* one flag a node of the workflow */
    size_t nodes_done;
    char *node_id; /* what was said to run last, or NULL */
    bool has_value;
    double value;
    double max;
};

void progress_init(struct progress *p, const struct workflow *w);
void progress_done(struct progress *p);
/* Cost: O(nodes in the frame). */
void progress_feed(struct progress *p, const struct frame *f);

#endif
