/*
 * One run beside another, or beside the median of many: which node of the one is which of the
 * other, what took longer, and whether that is more than runs of this kind differ anyway. A verdict
 * is about the target. Pure.
 *
 * Nodes are matched in four steps, each among what the steps before left over:
 *   1. the same id, when their classes do not contradict that;
 *   2. the same class behind the same ancestors, whatever their ids are;
 *   3. the same class, in order of depth in the graph and of their ids; not of time, in which
 *      cached nodes come first;
 *   4. expanded nodes, whose class nobody tells, go with their parents: "12.0.0.1" is "8.0.0.1"
 *      when "12" is "8".
 * A node without a class is matched by 1 and 4 only.
 */
#ifndef COMFYPOOL_CORE_COMPARE_H
#define COMFYPOOL_CORE_COMPARE_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/str.h"
#include "comfypool/base/time.h"

/* ---- what is compared ------------------------------------------------------------------------ */

/* NAN: not known. Numbers of different sources are not compared: they mean different things. */
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
    const struct str *depends_on; /* ids; those that are no node of the run do not matter */
    size_t depends_on_len;
    bool cached;
    bool finished;   /* it came to its end: neither failed nor cut off with the attempt */
    bool open_ended; /* only the attempt's end ended it: no measure for others */
    bool has_duration;
    struct dur_us duration; /* of a cached one: what its profile says, which is nothing or 0 */
    struct compare_resources resources;
};

struct compare_run {
    const struct compare_node *nodes; /* ids are unique; doubled ones are matched in their order */
    size_t nodes_len;
    bool finished; /* the attempt was completed */
    bool has_execution;
    struct dur_us execution;
    struct compare_resources resources;
};

/* ---- what comes of it ------------------------------------------------------------------------ */

enum compare_verdict { COMPARE_NO_VERDICT, COMPARE_SAME, COMPARE_SLOWER, COMPARE_FASTER };

/* "same", "slower", "faster"; NULL of COMPARE_NO_VERDICT. */
const char *compare_verdict_name(enum compare_verdict v);

/* What one side says of a node. Of many runs: `cached` in most of those that had the node, and the
   median of the durations of those that executed it. */
struct compare_side {
    bool cached;
    bool executed; /* and for how long is known: duration */
    bool has_duration;
    struct dur_us duration; /* when it was not executed: what a cached one has */
};

/* delta is target - base, ratio target / base. */
struct compare_times {
    struct compare_side base;
    struct compare_side target;
    bool has_delta; /* both sides have a duration; that of a cached node is 0 */
    struct dur_us delta;
    bool has_ratio; /* and the base took any time */
    double ratio;
    enum compare_verdict verdict; /* none without a delta, nor where one side did not come to its
                                     end: a node that failed at once is not faster */
};

struct compare_pair {
    size_t node;        /* of the target: its index */
    struct str base_id; /* in the newest base run that has it */
    struct compare_times times;
    struct compare_resources deltas;
};

struct comparison_result {
    const struct compare_pair *pairs; /* in the target's order */
    size_t pairs_len;
    const size_t *added; /* indexes of nodes of the target that no base run has */
    size_t added_len;
    const size_t *removed; /* indexes of nodes of the newest base run that the target lacks */
    size_t removed_len;
    struct compare_times total; /* of the execution */
    struct compare_resources deltas;
};

/*
 * Slower or faster when |target - base| exceeds the greatest of 3 x 1.4826 x mad, 5 % of the base
 * and 5 ms; of fewer than three runs (mad says nothing then) of 10 % and 5 ms.
 * Source: 1.4826 x MAD estimates the standard deviation of what is distributed normally.
 */
enum compare_verdict compare_judge(struct dur_us base, struct dur_us target, struct dur_us mad,
                                   size_t runs);

/*
 * A comparison: new, an add a base run, end once. Times and memory are those of what was added:
 * each base run is looked at on its own and may go when it was added, but for the newest.
 */
struct comparison;
/* target: borrowed, with what it points to, until comparison_free. */
struct comparison *comparison_new(const struct compare_run *target);
/*
 * The newest base run first. It is borrowed, with what it points to, until comparison_free; others
 * only for the call.
 * Cost: O((nodes + edges) log nodes), memory O(nodes) for what it says.
 */
void comparison_add(struct comparison *c, const struct compare_run *base);
/* What came of it. Without a base run all nodes are added, and nothing has a delta. Owner: c. */
const struct comparison_result *comparison_end(struct comparison *c);
/* NULL is nothing. */
void comparison_free(struct comparison *c);

#endif
