/*
 * The nodes of one running prompt: which there are, what lies in what, and what frames make of the
 * state of each. One rule set for two readers, each of which keeps nodes of its own:
 * core/progress.h (states, for Job.progress) and core/profiler.h (times). Pure: it knows no frames
 * and no times.
 *
 * Rules:
 *   - The nodes are the workflow's, and those that the server expands, up to a limit.
 *   - A node that ended stays so; it may only fail. One that was listed as cached may run.
 *   - One that ended and was never seen to run came from the cache, unless frames may have been
 *     missed: then it has completed.
 *
 * Where the readers differ, each answers a question of its own:
 *   - What makes a node known? To the profiler whatever names one, since the account lists it; to
 *     progress what moves it, since it tells moves.
 *   - What did a node fail as? Progress ends it. To the profiler that is a mark beside the state:
 *     its slice is open until the account closes it at the attempt's end.
 *   - What else failed with what threw? Progress fails what expanded into it, as far as that was
 *     expanded itself. The profiler also asks what one without a parent is displayed as.
 *   - Where does a node lie? To the profiler a node of the workflow may lie in another one, and a
 *     display that `executing` told is kept, though it is the node itself: the account shows them.
 *   - What are copies to the node that they are displayed as? Progress moves it with them, now; the
 *     account gathers them at the end.
 *   - Did a node begin itself? Progress asks for its state, the profiler for a time: one that ended
 *     in a gap has a state, and no time.
 */
#ifndef COMFYPOOL_CORE_NODES_H
#define COMFYPOOL_CORE_NODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/map.h"
#include "comfypool/base/str.h"
#include "comfypool/core/workflow.h"

enum profile_status {
    PROFILE_PENDING,
    PROFILE_EXECUTING,
    PROFILE_COMPLETED,
    PROFILE_CACHED,
    PROFILE_FAILED,
};

/* Beyond so many parents they are a circle. */
enum { NODES_MAX_PARENTS = 100 };

/* A reader's node begins with this. */
struct node {
    struct str id;
    const struct workflow_node *planned; /* NULL: the server expanded it */
    char *parent;                        /* what expanded into it; NULL: nobody said */
    char *display;                       /* what it is displayed as; NULL: nobody said */
    struct node *up;                     /* what expanded into it, once that was found */
    uint32_t running_at;  /* its place in nodes.running, from 1; 0: it does not run */
    uint32_t began;       /* nodes.begun when it began last */
    unsigned char status; /* enum profile_status */
    bool ended;           /* it has: but for its failure, what is said of it later says nothing */
    bool by_copies;       /* its status is that of its copies: of itself nothing was said */
};

struct nodes {
    const struct workflow *workflow; /* borrowed */
    size_t size;                     /* of a reader's node */
    char *planned;                   /* the workflow's, in its order */
    struct map expanded;             /* by id */
    struct node **running;           /* in no order */
    size_t running_len, running_cap;
    uint32_t begun; /* how often nodes began to run */
};

/* What was said of a node. */
enum node_said {
    NODE_LISTED,   /* as cached */
    NODE_RUNS,     /* it does */
    NODE_FOLLOWED, /* something else runs, or the prompt is over: if it ran, it runs no more */
    NODE_GAVE,     /* an output, which one that runs may give before its end */
    NODE_FINISHED, /* it is */
    NODE_DONE,     /* it is, and nobody says how: an answer of /history */
    NODE_THREW,    /* an error */
};

/* size: of a reader's node, which is zero behind its struct node. */
void nodes_init(struct nodes *ns, const struct workflow *w, size_t size);
/* done (may be NULL) frees what the reader keeps in a node. */
void nodes_done(struct nodes *ns, void (*done)(struct node *n));

/* The workflow's node at this place there. */
static inline struct node *nodes_planned(const struct nodes *ns, size_t index)
{
    return (struct node *)(void *)(ns->planned + index * ns->size);
}

/* NULL: no such node. id.p may be NULL. Here, as every frame asks. */
static inline struct node *nodes_find(const struct nodes *ns, struct str id)
{
    const struct workflow_node *planned = id.p == NULL ? NULL : workflow_find(ns->workflow, id);
    return planned != NULL ? nodes_planned(ns, (size_t)(planned - ns->workflow->nodes))
           : id.p == NULL  ? NULL
                           : (struct node *)map_get(&ns->expanded, id);
}

/* Makes one that is not there a node that the server expanded. NULL: there are too many. */
struct node *nodes_expand(struct nodes *ns, struct str id);

/* What was said of where it lies; what was said first holds. display: its own id says nothing. */
static inline void node_place(struct node *n, struct str parent, struct str display)
{
    if (n->parent == NULL && parent.p != NULL) {
        n->parent = mem_copy(parent);
    }
    if (n->display == NULL && display.p != NULL && !str_eq(display, n->id)) {
        n->display = mem_copy(display);
    }
}

/* The node that expanded into this; NULL: there is none. */
struct node *nodes_parent(const struct nodes *ns, const struct node *n);
/* ... or, where nobody said, the one that an expanded node is displayed as. */
struct node *nodes_above(const struct nodes *ns, const struct node *n);
/* One of those above it has this id, though it may be no node that is known. */
bool nodes_is_under(const struct nodes *ns, const struct node *n, struct str above);
/* One of its parents is displayed as the same node. n->display is not NULL. */
bool nodes_is_inside_of_copy(const struct nodes *ns, const struct node *n);

/* What threw, when an error names the outermost node: of the expanded ones that run inside of that
   the one that began last; NULL: none does. One of which nobody says what expanded into it counts
   when it is displayed as a node that is_silent, and no node of the workflow runs beside the named
   one. Cost: O(running). */
struct node *nodes_innermost(const struct nodes *ns, struct str named,
                             bool (*is_silent)(const struct node *shown));

/* Makes of a node what was said of it. missed: frames may have been. True when its status is
   another one now. Cost: O(1). */
bool nodes_move(struct nodes *ns, struct node *n, enum node_said said, bool missed);
/* Gives a node the status of its copies. True when that is another one. */
bool nodes_move_by_copies(struct nodes *ns, struct node *n, enum profile_status status);
/* One that runs has begun anew. */
void nodes_begin_again(struct nodes *ns, struct node *n);

#endif
