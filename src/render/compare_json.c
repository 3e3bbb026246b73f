/* A comparison as JSON (api/openapi.yaml). Unknown values are null. */
#include <math.h>

#include "comfypool/base/json_write.h"

#include "compared.h"

static void member_null(struct js_out *o, const char *name)
{
    js_key(o, name);
    js_null(o);
}

static void member_real(struct js_out *o, const char *name, double value)
{
    js_key(o, name);
    js_real(o, value);
}

static void member_span(struct js_out *o, const char *name, bool known, int64_t us)
{
    if (known) {
        js_member_ms(o, name, us);
    } else {
        member_null(o, name);
    }
}

static void member_text(struct js_out *o, const char *name, struct str s)
{
    if (s.n > 0) {
        js_member_str(o, name, s);
    } else {
        member_null(o, name);
    }
}

/* ---- what is compared ------------------------------------------------------------------------ */

static void render_run(struct js_out *o, const char *name, const struct compared_run *r)
{
    js_key(o, name);
    js_open(o, '{');
    member_text(o, "jobId", r->job_id);
    member_real(o, "attempt", r->attempt);
    member_text(o, "backend", r->backend);
    member_text(o, "outcome", r->outcome);
    member_span(o, "completedAt", r->has_completed, r->completed_at.us);
    js_close(o, '}');
}

static void render_baseline(struct js_out *o, const struct compared *c)
{
    js_key(o, "base");
    js_open(o, '{');
    js_member_string(o, "baseline", c->baseline);
    js_member_int(o, "runs", (int64_t)c->runs);
    js_member_raw(o, "jobIds", buf_str(&c->job_ids));
    member_span(o, "from", c->has_times, c->from.us);
    member_span(o, "to", c->has_times, c->to.us);
    js_close(o, '}');
}

/* ---- numbers --------------------------------------------------------------------------------- */

static void render_side(struct js_out *o, const char *name, const struct compare_side *s)
{
    js_key(o, name);
    js_open(o, '{');
    member_span(o, "duration", s->has_duration, s->duration.us);
    js_member_bool(o, "cached", s->cached);
    js_close(o, '}');
}

static void render_change(struct js_out *o, const struct compare_times *t)
{
    const char *verdict = compare_verdict_name(t->verdict);
    member_span(o, "delta", t->has_delta, t->delta.us);
    js_key(o, "ratio");
    js_real(o, t->has_ratio ? round(t->ratio * 1e4) / 1e4 : NAN); /* null */
    if (verdict != NULL) {
        js_member_string(o, "verdict", verdict);
    } else {
        member_null(o, "verdict");
    }
}

/* Null when all are unknown. Medians may be half bytes. */
static void render_deltas(struct js_out *o, const struct compare_resources *d)
{
    if (isnan(d->vram_max) && isnan(d->ram_max) && isnan(d->gpu_average)) {
        member_null(o, "resources");
        return;
    }
    js_key(o, "resources");
    js_open(o, '{');
    member_real(o, "vramMaxDelta", round(d->vram_max));
    member_real(o, "ramMaxDelta", round(d->ram_max));
    member_real(o, "gpuUtilizationAvgDelta", d->gpu_average);
    js_close(o, '}');
}

static void render_pair(struct js_out *o, const struct compared *c, const struct compare_pair *pair)
{
    const struct compare_node *n = &c->target.nodes[pair->node];
    js_open(o, '{');
    js_member_str(o, "nodeId", n->id);
    if (n->class_type.n > 0) {
        js_member_str(o, "type", n->class_type);
    }
    if (c->target.title[pair->node].n > 0) {
        js_member_str(o, "title", c->target.title[pair->node]);
    }
    if (!str_eq(n->id, pair->base_id)) {
        js_member_str(o, "baseNodeId", pair->base_id);
    }
    render_side(o, "base", &pair->times.base);
    render_side(o, "target", &pair->times.target);
    render_change(o, &pair->times);
    render_deltas(o, &pair->deltas);
    js_close(o, '}');
}

static void render_ids(struct js_out *o, const char *name, const struct compare_node *nodes,
                       const size_t *list, size_t len)
{
    js_key(o, name);
    js_open(o, '[');
    for (size_t i = 0; i < len; i++) {
        js_str(o, nodes[list[i]].id);
    }
    js_close(o, ']');
}

static void render_total(struct js_out *o, const struct compare_times *t)
{
    js_key(o, "total");
    js_open(o, '{');
    member_span(o, "base", t->base.has_duration, t->base.duration.us);
    member_span(o, "target", t->target.has_duration, t->target.duration.us);
    render_change(o, t);
    js_close(o, '}');
}

void compare_json(const struct compared *c, struct buf *out)
{
    const struct comparison_result *r = c->result;
    struct js_out o = js_out_to(out);
    js_open(&o, '{');
    if (c->baseline != NULL) {
        render_baseline(&o, c);
    } else {
        render_run(&o, "base", &c->newest);
    }
    render_run(&o, "target", &c->target);
    js_key(&o, "nodes");
    js_open(&o, '[');
    for (size_t i = 0; i < r->pairs_len; i++) {
        render_pair(&o, c, &r->pairs[i]);
    }
    js_close(&o, ']');
    render_ids(&o, "added", c->target.nodes, r->added, r->added_len);
    render_ids(&o, "removed", c->newest.nodes, r->removed, r->removed_len);
    render_total(&o, &r->total);
    render_deltas(&o, &r->deltas);
    js_close(&o, '}');
}
