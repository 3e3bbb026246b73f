/* Problems of a submitted graph on a backend, in words for people. */
#ifndef COMFYPOOL_RENDER_GRAPH_PROBLEMS_H
#define COMFYPOOL_RENDER_GRAPH_PROBLEMS_H

#include <stdbool.h>

#include "comfypool/base/json_write.h"
#include "comfypool/core/catalog.h"
#include "comfypool/core/submission.h"
#include "comfypool/core/workflow.h"

struct render_graph {
    const struct submission *submission;
    const struct workflow *workflow; /* parsed from the submission's text */
    const bool *wanted;              /* by node, as in core/graph_check.h */
    const struct catalog *classes;   /* of the backend */
    /* True if an input may accept values outside its list. */
    bool (*may_be_good)(const void *ctx, struct str class_type, struct str input);
    const void *ctx;
};

/* Writes an array of problems. */
void render_graph_problems(const struct render_graph *g, struct js_out *o);

#endif
