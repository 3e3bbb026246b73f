/*
 * A job: one accepted prompt, from the queue through the executor into the history, one object all
 * the way. Owns everything in it. The texts are JSON members without the outer brackets, collected
 * as the run sends them, so that /history and /api/jobs only join them.
 */
#ifndef COMFYSIM_JOB_H
#define COMFYSIM_JOB_H

#include "faults.h"
#include "graph.h"

enum outcome { OUTCOME_NONE, OUTCOME_SUCCESS, OUTCOME_ERROR, OUTCOME_INTERRUPTED };

struct job {
    struct job *newer; /* history order */
    struct job *older;
    struct job *same_bucket;
    char *id;
    char *id_json;
    size_t id_json_len;
    double number;
    bool number_is_real;
    json_t *prompt;
    json_t *extra;
    struct graph *graph;
    char *outputs_to_execute; /* JSON array */
    char *client_id;          /* NULL: the POST had none */
    char *tag;                /* NULL: no _tag */
    int64_t create_ms;
    uint64_t queued_ns, start_ns, end_ns;
    double start_ms, end_ms;
    enum outcome outcome;
    struct strike strike; /* of a storm: when it runs */
    struct text outputs;
    struct text meta;
    struct text messages;
    struct text error; /* data of execution_error */
};

void job_free(struct job *job);
const char *outcome_name(enum outcome outcome);

/* [number, id, prompt, extra, outputs] */
void job_item(const struct job *job, struct text *out);
void job_number(const struct job *job, struct text *out);
/* Notes a node's ui in outputs, meta and what /api/jobs says of it. */
void job_add_ui(struct job *job, const struct node *node, const char *ui);
void job_add_ui_text(struct job *job, const char *id_json, const char *meta, const char *ui);

#endif
