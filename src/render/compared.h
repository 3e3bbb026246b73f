/*
 * A finished comparison, input of its formats. compare_read.c reads the profiles, compare.c has
 * them compared, compare_json.c and compare_text.c write the result.
 */
#ifndef COMFYPOOL_RENDER_COMPARED_H
#define COMFYPOOL_RENDER_COMPARED_H

#include "comfypool/base/buf.h"
#include "comfypool/core/compare.h"

/* The parts of a stored profile used in a comparison. Texts without escapes point into its JSON. */
struct compared_run {
    struct compare_run run;
    struct compare_node *nodes; /* nodes of run, in the profile's order */
    struct str *status;         /* of each node */
    struct str *title;          /* of each node; n == 0: none */
    struct str *depends_on;     /* of all nodes */
    size_t depends_on_len;
    struct str job_id;
    struct str backend; /* n == 0: none */
    struct str outcome; /* n == 0: running */
    double attempt;
    bool has_completed;
    struct wall_us completed_at;
    struct buf texts; /* storage of texts with escapes */
};

/* Reads a profile. False when it is none; *ret is then empty. Borrows from profile_json. Owner of
 *ret: the caller, by compared_run_done. Cost: one pass. */
bool compared_run_read(struct str profile_json, struct compared_run *ret);
void compared_run_done(struct compared_run *r);

struct compared {
    const char *baseline; /* NULL: the base is one job */
    struct compared_run target;
    struct compared_run newest; /* newest base run; empty: none was a profile */
    size_t runs;                /* number of base runs */
    struct buf job_ids;         /* their job ids: a JSON array */
    bool has_times;
    struct wall_us from; /* completion of the oldest run, and of the newest */
    struct wall_us to;
    struct comparison *comparison;
    const struct comparison_result *result;
};

void compare_json(const struct compared *c, struct buf *out);
void compare_text(const struct compared *c, struct buf *out);

#endif
