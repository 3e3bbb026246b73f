/*
 * Statistics of many runs: a measurement is the data of one job's end, a roll-up the sum of many
 * for one key (a class, a node, a workflow, a backend) in one stretch of time. Roll-ups merge.
 * Times are microseconds. Pure.
 */
#ifndef COMFYPOOL_CORE_ROLLUP_H
#define COMFYPOOL_CORE_ROLLUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/str.h"
#include "comfypool/base/time.h"
#include "comfypool/core/job.h"
#include "comfypool/core/sketch.h"
#include "comfypool/core/summary_group.h"

/* ---- measurements ---------------------------------------------------------------------------- */

enum run_status { RUN_EXECUTED, RUN_CACHED, RUN_FAILED };

/* One node of the job's last attempt. */
struct node_run {
    struct str node_id;
    struct str class_type; /* n == 0: none */
    enum run_status status;
    int64_t us; /* of RUN_EXECUTED */
};

/* The end of one job. Texts are borrowed. */
struct measurement {
    struct wall_us at;
    enum job_state state;
    bool cold; /* the first run on its backend after another workflow, a restart or a foreign prompt
                */
    bool executed;        /* some node was executed: only cached results teach no estimate */
    int64_t execution_us; /* -1: never began */
    uint64_t nodes;
    uint64_t nodes_cached;
    struct str workflow_hash;
    struct str cost_key;
    struct str backend;          /* n == 0: none */
    struct str client;           /* n == 0: none */
    const struct node_run *runs; /* profiled ones only */
    size_t runs_len;
};

/* Appends it in binary form. */
void measurement_write(const struct measurement *m, struct buf *out);

/* The data of a measurement for one key. */
struct observation {
    enum group_by group;
    struct str key;    /* lives for the call */
    struct str label;  /* of GROUP_NODE: its class; n == 0: none */
    struct str client; /* n == 0: none */
    enum run_status status;
    bool has_value;
    bool cold;
    double us;
    uint64_t hits;    /* cached results */
    uint64_t lookups; /* out of so many */
};
typedef void (*observation_fn)(void *ctx, struct wall_us at, const struct observation *o);

/* Calls `each` for every observation in a written measurement. False: the bytes are broken. */
bool measurement_observe(struct str bytes, observation_fn each, void *ctx);

/* ---- roll-ups -------------------------------------------------------------------------------- */

struct rollup {
    uint64_t count; /* executed runs, or completed jobs */
    double mean;
    double m2; /* sum of the squared distances from the mean */
    double min;
    double max;
    uint64_t hits;
    uint64_t lookups;
    uint64_t failures;
    struct sketch cold;
    struct sketch warm;
};

void rollup_done(struct rollup *r);
void rollup_add(struct rollup *r, const struct observation *o);
void rollup_merge(struct rollup *r, const struct rollup *from);
double rollup_stddev(const struct rollup *r);
/* Returns the quantile of cold and warm runs together. */
double rollup_quantile(const struct rollup *r, double q);

void rollup_write(const struct rollup *r, struct buf *out);
/* Reads into r, which must be empty. False: the bytes are broken; call rollup_done on r. */
bool rollup_read(struct rollup *r, struct str bytes);

#endif
