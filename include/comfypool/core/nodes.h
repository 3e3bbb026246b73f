/*
 * The nodes of one running prompt: which exist, how they nest, and how frames change their state.
 * One rule set for two readers, each with nodes of its own: core/progress.h (states, for
 * Job.progress) and core/profiler.h (times). Pure: no frames, no times.
 *
 * Rules:
 *   - The nodes are the workflow's, and those that the server expands, up to a limit.
 *   - An ended node stays so; it may only fail. One listed as cached may run.
 *   - One that ended and was never seen running came from the cache, unless frames may have been
 *     missed: then it has completed.
 *
 * Where the readers differ, each answers a question of its own:
 *   - What makes a node known? To the profiler any mention, since the account lists it; to progress
 *     a move, since it reports moves.
 *   - What did a node fail as? Progress ends it. To the profiler that is a mark beside the state:
 *     its slice is open until the account closes it at the attempt's end.
 *   - What else failed with the node that threw? Progress fails what expanded into it, as far as
 *     that was expanded itself. The profiler also uses the display id of one without a parent.
 *   - Where does a node lie? To the profiler a node of the workflow may lie in another one, and a
 *     display from `executing` is kept even if it is the node itself: the account shows them.
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

/* Longer chains of parents are cycles. */
enum { NODES_MAX_PARENTS = 100 };

/* First member of a reader's node. */
struct node {
    struct str id;
    const struct workflow_node *planned; /* NULL: the server expanded it */
    char *parent;                        /* id of the node that expanded into it; NULL: unknown */
    char *display;                       /* display id; NULL: unknown */
    struct node *up;                     /* node of `parent`, once found */
    uint32_t running_at;                 /* index in nodes.running, from 1; 0: not running */
    uint32_t began;                      /* nodes.begun when it last began */
    unsigned char status;                /* enum profile_status */
    bool ended;     /* it ended: later messages change nothing, except failure */
    bool by_copies; /* status copied from its copies: nothing was said of itself */
};

struct nodes {
    const struct workflow *workflow; /* borrowed */
    size_t size;                     /* bytes of a reader's node */
    char *planned;                   /* nodes of the workflow, in its order */
    struct map expanded;             /* by id */
    struct node **running;           /* unordered */
    size_t running_len, running_cap;
    uint32_t begun; /* counts starts of nodes */
};

/* What a message says of a node. */
enum node_said {
    NODE_LISTED,   /* cached */
    NODE_RUNS,     /* runs */
    NODE_FOLLOWED, /* something else runs, or the prompt is over: it no longer runs */
    NODE_GAVE,     /* has output, perhaps before its end */
    NODE_FINISHED, /* finished */
    NODE_DONE,     /* finished, unknown how: an answer of /history */
    NODE_THREW,    /* threw an error */
};

/* size: bytes of a reader's node, zeroed behind its struct node. */
void nodes_init(struct nodes *ns, const struct workflow *w, size_t size);
/* Frees the nodes; done (may be NULL) frees a reader's data in one. */
void nodes_done(struct nodes *ns, void (*done)(struct node *n));

/* Returns the workflow's node at this index. */
static inline struct node *nodes_planned(const struct nodes *ns, size_t index)
{
    return (struct node *)(void *)(ns->planned + index * ns->size);
}

/* Finds a node; NULL: none. id.p may be NULL. Inline, as every frame calls it. */
static inline struct node *nodes_find(const struct nodes *ns, struct str id)
{
    const struct workflow_node *planned = id.p == NULL ? NULL : workflow_find(ns->workflow, id);
    return planned != NULL ? nodes_planned(ns, (size_t)(planned - ns->workflow->nodes))
           : id.p == NULL  ? NULL
                           : (struct node *)map_get(&ns->expanded, id);
}

/* Adds a node that the server expanded. NULL: too many. */
struct node *nodes_expand(struct nodes *ns, struct str id);

/* Sets parent and display unless known. A display equal to its id says nothing. */
static inline void node_place(struct node *n, struct str parent, struct str display)
{
    if (n->parent == NULL && parent.p != NULL) {
        n->parent = mem_copy(parent);
    }
    if (n->display == NULL && display.p != NULL && !str_eq(display, n->id)) {
        n->display = mem_copy(display);
    }
}

/* Returns the node that expanded into this; NULL: none. */
struct node *nodes_parent(const struct nodes *ns, const struct node *n);
/* Like nodes_parent, or, if unknown, the node that an expanded one is displayed as. */
struct node *nodes_above(const struct nodes *ns, const struct node *n);
/* True if an ancestor has this id, known node or not. */
bool nodes_is_under(const struct nodes *ns, const struct node *n, struct str above);
/* True if an ancestor is displayed as the same node. n->display is not NULL. */
bool nodes_is_inside_of_copy(const struct nodes *ns, const struct node *n);

/*
 * Finds what threw, when an error names the outermost node: of the expanded nodes running inside it
 * the one that began last; NULL: none. One with an unknown parent counts when it is displayed as a
 * node that is_silent, and no node of the workflow runs beside the named one. Cost: O(running).
 */
struct node *nodes_innermost(const struct nodes *ns, struct str named,
                             bool (*is_silent)(const struct node *shown));

/* Applies a message to a node. missed: frames may be missing. True if its status changed. Cost:
   O(1). */
bool nodes_move(struct nodes *ns, struct node *n, enum node_said said, bool missed);
/* Gives a node the status of its copies. True if it changed. */
bool nodes_move_by_copies(struct nodes *ns, struct node *n, enum profile_status status);
/* Notes that a running node began again. */
void nodes_begin_again(struct nodes *ns, struct node *n);

#endif
