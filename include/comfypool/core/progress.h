/*
 * How far a running prompt is, and the state of each of its nodes: for Job.progress, for job:node
 * events, and for the live account of a job that is not profiled. Kept for every running job,
 * profiled or not; it knows no times.
 *
 * The rules are those of core/nodes.h; here is what they count, and what copies are to the node
 * that they are displayed as. A node that is displayed for its copies (the body of a loop) is done
 * when they are, and no more can come: what expands into them is over too.
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

struct progress_shown;  /* of one of the workflow that never runs itself: its copies do */
struct progress_parent; /* of what brings copies: which are shown by them */

/* Places in `shown`. */
struct progress_places {
    uint32_t *list;
    size_t len, cap;
};

struct progress {
    const struct workflow *workflow; /* borrowed */
    struct nodes nodes;
    struct progress_shown *shown;
    size_t shown_len, shown_cap;
    uint32_t *shown_at; /* by node of the workflow: its place in shown, from 1; or NULL */
    struct map parents; /* by id */
    struct progress_parent *moved; /* those that began or ended since shown ones were settled */
    struct progress_places fresh;  /* without a parent, and nothing else began since */
    struct progress_places left;   /* ... and something did, since shown ones were settled */
    uint32_t begins;               /* of whatever node */
    uint32_t same_from;            /* since this one all are displayed as the same node: */
    size_t same_as;                /* in the workflow; SIZE_MAX: as none */
    size_t running_len;            /* how many nodes do, expanded ones too */
    size_t nodes_done;             /* completed or cached, of the workflow */
    size_t executed;               /* seen to run, of the workflow */
    char *node_id;                 /* what was said to run last, or NULL */
    bool has_value;
    double value;
    double max;
    bool saw_state; /* the server sends progress_state */
    bool missed;    /* something may have gone unseen: "ended without a start" proves nothing */
    uint64_t changes;
};

/* A node has another state. expanded: it is none of the workflow's. */
struct progress_change {
    struct str node_id;
    struct str display; /* the node that it is displayed as; p == NULL: itself, or nobody said */
    enum profile_status status;
    bool expanded;
};
typedef void (*progress_fn)(void *ctx, const struct progress_change *c);

void progress_init(struct progress *p, const struct workflow *w);
void progress_done(struct progress *p);
/* From here on something may be missed. */
void progress_gap(struct progress *p);
/* Tells each change to on_change (may be NULL). `changes` grows with every change, values included.
   Cost: amortized O(nodes in the frame); of one that ends what is displayed for its copies. */
void progress_feed(struct progress *p, const struct frame *f, progress_fn on_change, void *ctx);

/* Of a node of the workflow, by its place there. */
enum profile_status progress_status(const struct progress *p, size_t node);
/* How many nodes of the workflow came from the cache. O(nodes). */
size_t progress_cached(const struct progress *p);

/* Sets the states of a profile's nodes, and its counts, from what is known here: for the account of
   a job that is not profiled. */
void progress_mark(const struct progress *p, struct profile *profile);

#endif
