/*
 * What really happened, written beside the protocol: one line per finished prompt (--truth) with
 * the times of its nodes, and one line per event of a prompt's life (--ledger). Both are flushed
 * line by line; the truth of a prompt is on disk before its end is sent. Cost when off: nothing.
 */
#ifndef COMFYSIM_TRUTH_H
#define COMFYSIM_TRUTH_H

#include "job.h"

#include <stdio.h>

struct truth_slice {
    const struct node *node;
    uint64_t t0_ns, t1_ns; /* t1 0: it never ended */
    const char *status;
};

struct truth {
    FILE *truth_file;
    FILE *ledger_file;
    int port;
    struct truth_slice *slices; /* of the running job */
    int n_slices, cap;
    struct text cached; /* JSON ids, as in execution_cached */
    struct text hits;   /* JSON ids of hits in mid-run */
};

bool truth_open(struct truth *truth, const char *truth_path, const char *ledger_path);
void truth_close(struct truth *truth);
void truth_begin(struct truth *truth);
void truth_node_start(struct truth *truth, struct node *node);
void truth_node_end(struct truth *truth, struct node *node, const char *status);
/* fault: what struck it. */
void truth_finish(struct truth *truth, const struct job *job, enum fault fault);
void ledger_note(struct truth *truth, const char *id, const char *tag, const char *event);

#endif
