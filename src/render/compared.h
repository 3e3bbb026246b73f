/*
 * A comparison that was made: what its formats are written from. compare_read.c reads the profiles,
 * compare.c has them compared, compare_json.c and compare_text.c write what came of it.
 */
#ifndef COMFYPOOL_RENDER_COMPARED_H
#define COMFYPOOL_RENDER_COMPARED_H

#include "comfypool/base/buf.h"
#include "comfypool/core/compare.h"

/* Of a stored profile what a comparison looks at. Texts that had no escapes lie in its JSON. */
struct compared_run {
    struct compare_run run;
    struct compare_node *nodes; /* those of run, in the profile's order */
    struct str *status;         /* of each node */
    struct str *title;          /* of each node; n == 0: none */
    struct str *depends_on;     /* of all nodes */
    size_t depends_on_len;
    struct str job_id;
    struct str backend; /* n == 0: none */
    struct str outcome; /* n == 0: it runs */
    double attempt;
    bool has_completed;
    struct wall_us completed_at;
    struct buf texts; /* those that had escapes */
};

/* False when it is no profile; *ret is then empty. Borrows from profile_json. Owner of *ret: the
   caller, by compared_run_done. Cost: one pass. */
bool compared_run_read(struct str profile_json, struct compared_run *ret);
void compared_run_done(struct compared_run *r);

struct compared {
    const char *baseline; /* NULL: the base is one job */
    struct compared_run target;
    struct compared_run newest; /* of the base; empty: none was a profile */
    size_t runs;                /* of the base */
    struct buf job_ids;         /* of them: a JSON array */
    bool has_times;
    struct wall_us from; /* the oldest of them was completed then, and the newest */
    struct wall_us to;
    struct comparison *comparison;
    const struct comparison_result *result;
};

void compare_json(const struct compared *c, struct buf *out);
void compare_text(const struct compared *c, struct buf *out);

#endif
