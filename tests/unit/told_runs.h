/*
 * Runs for tests, told in a few words, or random.
 *
 * A run is its nodes, with blanks between: ID:CLASS<ID,ID^PARENT=HOW, of which all but the id may
 * be left out. HOW is the duration in microseconds of a node that completed (10000 when left out),
 * f and x before it of one that failed or was cut off; c cached, C cached without a duration, p
 * pending, ? completed but not watched, o of one that only the end of the attempt ended.
 */
#ifndef COMFYPOOL_TESTS_UNIT_TOLD_RUNS_H
#define COMFYPOOL_TESTS_UNIT_TOLD_RUNS_H

#include "comfypool/base/buf.h"
#include "comfypool/core/compare.h"

enum { MAX_NODES = 16, MAX_DEPS = 4, MAX_RUNS = 8 };

struct told {
    struct compare_run run;
    struct compare_node nodes[MAX_NODES];
    struct str deps[MAX_NODES][MAX_DEPS];
    const char *status[MAX_NODES];
};

/* execution: of the whole, in microseconds. Borrows text; *t must stay where it is. */
void tell(struct told *t, const char *text, int64_t execution);

/* From 0 to n - 1. */
int random_below(int n);
void random_seed(unsigned long long seed);
/* In words. Few ids and classes, so that much matches; links to anywhere, expanded nodes below
   others; ids are unique. */
void random_run(struct buf *out);

#endif
