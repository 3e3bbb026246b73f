/*
 * Compares one run with another, or with the median of many: which nodes correspond, what took
 * longer, and whether that exceeds the usual spread of such runs. A verdict is about the target.
 * Pure.
 *
 * Nodes are matched in four steps, each among what the steps before left over:
 *   1. the same id, unless their classes differ;
 *   2. the same class behind the same ancestors, whatever their ids are;
 *   3. the same class, in order of depth in the graph and of ids; not of time, in which cached
 *      nodes come first;
 *   4. expanded nodes of unknown class go with their parents: "12.0.0.1" is "8.0.0.1" when "12" is
 *      "8".
 * A node without a class is matched by 1 and 4 only.
 */
#ifndef COMFYPOOL_CORE_COMPARE_H
#define COMFYPOOL_CORE_COMPARE_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/str.h"
#include "comfypool/base/time.h"

/* ---- what is compared ------------------------------------------------------------------------ */

/* NAN: unknown. Numbers of different sources mean different things and are not compared. */
struct compare_resources {
    struct str source;  /* n == 0: none */
    double vram_max;    /* bytes */
    double ram_max;     /* bytes */
    double gpu_average; /* percent */
};

struct compare_node {
    struct str id;
    struct str class_type;        /* n == 0: none */
    struct str parent;            /* of an expanded node: its parent's id; n == 0: none */
    const struct str *depends_on; /* ids; those of no node of the run are ignored */
    size_t depends_on_len;
    bool cached;
    bool finished;   /* ended, neither failed nor cut off with the attempt */
    bool open_ended; /* ended only by the attempt's end: not comparable */
    bool has_duration;
    struct dur_us duration; /* if cached: as its profile says, none or 0 */
    struct compare_resources resources;
};

struct compare_run {
    const struct compare_node *nodes; /* ids are unique; duplicates are matched in their order */
    size_t nodes_len;
    bool finished; /* the attempt was completed */
    bool has_execution;
    struct dur_us execution;
    struct compare_resources resources;
};

/* ---- what comes of it ------------------------------------------------------------------------ */

enum compare_verdict { COMPARE_NO_VERDICT, COMPARE_SAME, COMPARE_SLOWER, COMPARE_FASTER };

/* "same", "slower", "faster"; NULL for COMPARE_NO_VERDICT. */
const char *compare_verdict_name(enum compare_verdict v);

/* One side's data of a node. Of many runs: `cached` if in most that had the node, and the median
   duration of those that executed it. */
struct compare_side {
    bool cached;
    bool executed; /* with a known duration */
    bool has_duration;
    struct dur_us duration; /* if not executed: that of a cached one */
};

/* delta is target - base, ratio target / base. */
struct compare_times {
    struct compare_side base;
    struct compare_side target;
    bool has_delta; /* both sides have a duration; 0 for a cached node */
    struct dur_us delta;
    bool has_ratio; /* and the base is not 0 */
    double ratio;
    enum compare_verdict verdict; /* none without a delta, nor where a side did not finish: a node
                                     that failed at once is not faster */
};

struct compare_pair {
    size_t node;        /* index in the target */
    struct str base_id; /* in the newest base run that has it */
    struct compare_times times;
    struct compare_resources deltas;
};

struct comparison_result {
    const struct compare_pair *pairs; /* in the target's order */
    size_t pairs_len;
    const size_t *added; /* indexes of target nodes that no base run has */
    size_t added_len;
    const size_t *removed; /* indexes of nodes of the newest base run that the target lacks */
    size_t removed_len;
    struct compare_times total; /* execution times */
    struct compare_resources deltas;
};

/*
 * Says slower or faster when |target - base| exceeds the greatest of 3 x 1.4826 x mad, 5 % of the
 * base and 5 ms; for fewer than three runs (mad says nothing then) of 10 % and 5 ms.
 * Source: 1.4826 x MAD estimates the standard deviation of a normal distribution.
 */
enum compare_verdict compare_judge(struct dur_us base, struct dur_us target, struct dur_us mad,
                                   size_t runs);

/*
 * A comparison: new, an add a base run, end once. Cost: as much time and memory as was added. A
 * base run may be freed once added, except the newest.
 */
struct comparison;
/* target: borrowed, with everything it points to, until comparison_free. */
struct comparison *comparison_new(const struct compare_run *target);
/*
 * Adds a base run, the newest first. That one is borrowed, with everything it points to, until
 * comparison_free; others only for the call. Cost: O((nodes + edges) log nodes), memory O(nodes).
 */
void comparison_add(struct comparison *c, const struct compare_run *base);
/* Finishes. Without a base run all nodes are added, and nothing has a delta. Owner: c. */
const struct comparison_result *comparison_end(struct comparison *c);
/* c may be NULL. */
void comparison_free(struct comparison *c);

#endif
