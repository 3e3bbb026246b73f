/*
 * Compares stored profiles and passes the result to a format. The runs of a baseline are read one
 * after the other and freed, except the newest.
 */
#include "comfypool/render/render.h"

#include "compared.h"

/* Notes the next older run. */
static void note_run(struct compared *c, struct js_out *job_ids, const struct compared_run *run)
{
    if (run->has_completed) {
        c->from = run->completed_at;
        c->to = c->has_times ? c->to : run->completed_at;
        c->has_times = true;
    }
    js_str(job_ids, run->job_id);
}

static void compare_base(struct compared *c, struct js_out *job_ids, struct str json)
{
    struct compared_run run;
    if (!compared_run_read(json, &run)) {
        return;
    }
    comparison_add(c->comparison, &run.run);
    note_run(c, job_ids, &run);
    if (c->runs == 0) {
        c->newest = run; /* the comparison borrows what it points to */
    } else {
        compared_run_done(&run);
    }
    c->runs++;
}

static void compare_bases(struct compared *c, const struct str *bases, size_t len)
{
    struct js_out job_ids = js_out_to(&c->job_ids);
    js_open(&job_ids, '[');
    for (size_t i = 0; i < len; i++) {
        compare_base(c, &job_ids, bases[i]);
    }
    js_close(&job_ids, ']');
    c->result = comparison_end(c->comparison);
}

static void (*const makers[FORMAT_COUNT])(const struct compared *, struct buf *) = {
    [FORMAT_JSON] = compare_json,
    [FORMAT_TEXT] = compare_text,
};

bool render_comparison(enum format f, const struct render_comparison *r, struct buf *out)
{
    struct compared c = {.baseline = r->baseline};
    const size_t bases = r->baseline == NULL && r->bases_len > 1 ? 1 : r->bases_len;
    if (makers[f] == NULL || !compared_run_read(r->target, &c.target)) {
        return false;
    }
    buf_init(&c.job_ids, BUF_NO_LIMIT);
    c.comparison = comparison_new(&c.target.run);
    compare_bases(&c, r->bases, bases);
    if (c.runs > 0) {
        makers[f](&c, out);
    }
    comparison_free(c.comparison);
    buf_done(&c.job_ids);
    compared_run_done(&c.newest);
    compared_run_done(&c.target);
    return c.runs > 0;
}
