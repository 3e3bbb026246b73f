/*
 * How far a running prompt is, and the state of each of its nodes: for Job.progress, for job:node
 * events, and for the live account of a job that is not profiled. Kept for every running job,
 * profiled or not; it knows no times.
 *
 * The rules are those of core/nodes.h, plus counts, and what copies mean to the node that they are
 * displayed as. A node displayed for its copies (the body of a loop) is done when they are and no
 * more can come: the nodes that expand into them are over too.
 */
#ifndef COMFYPOOL_CORE_PROGRESS_H
#define COMFYPOOL_CORE_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/core/frame.h"
#include "comfypool/core/nodes.h"
#include "comfypool/core/profiler.h"
#include "comfypool/core/workflow.h"

struct progress_shown;  /* a workflow node that only its copies run */
struct progress_parent; /* a node that expands into copies; which nodes display them */

/* Indexes into `shown`. */
struct progress_places {
    uint32_t *list;
    size_t len, cap;
};

struct progress {
    const struct workflow *workflow; /* borrowed */
    struct nodes nodes;
    struct progress_shown *shown;
    size_t shown_len, shown_cap;
    uint32_t *shown_at;            /* by workflow node: its index in shown, from 1; or NULL */
    struct map parents;            /* by id */
    struct progress_parent *moved; /* parents that began or ended since the last settling */
    struct progress_places fresh;  /* without a parent, and nothing else began since */
    struct progress_places left;   /* without a parent, and something else began since the last
                                      settling */
    uint32_t begins;               /* counts starts of any node */
    uint32_t same_from;            /* all starts from this one on are displayed as the same node: */
    size_t same_as;                /* its index in the workflow; SIZE_MAX: none */
    size_t running_len;            /* running nodes, expanded ones too */
    size_t nodes_done;             /* completed or cached, of the workflow */
    size_t executed;               /* seen running, of the workflow */
    char *node_id;                 /* last one reported running, or NULL */
    bool has_value;
    double value;
    double max;
    bool saw_state; /* the server sends progress_state */
    bool missed;    /* something may be unseen: "ended without a start" proves nothing */
    uint64_t changes;
};

/* A changed state. expanded: not in the workflow. */
struct progress_change {
    struct str node_id;
    struct str display; /* display id; p == NULL: itself, or unknown */
    enum profile_status status;
    bool expanded;
};
typedef void (*progress_fn)(void *ctx, const struct progress_change *c);

void progress_init(struct progress *p, const struct workflow *w);
void progress_done(struct progress *p);
/* Notes that something may be missed from here on. */
void progress_gap(struct progress *p);
/*
 * Applies a frame and passes each change to on_change (may be NULL). `changes` grows with every
 * change, values included. Cost: amortized O(nodes in the frame); at the end of a parent, also the
 * nodes displayed for its copies.
 */
void progress_feed(struct progress *p, const struct frame *f, progress_fn on_change, void *ctx);

/* Returns the status of a workflow node, by its index. */
enum profile_status progress_status(const struct progress *p, size_t node);
/* Counts the workflow's cached nodes. O(nodes). */
size_t progress_cached(const struct progress *p);

/* Sets the states and counts of a profile's nodes from these, for a job that is not profiled. */
void progress_mark(const struct progress *p, struct profile *profile);

#endif
