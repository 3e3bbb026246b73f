/* A profile as JobProfileStats. Points in time are converted to the wall clock with the attempt's
   one anchor; everything is milliseconds with up to three decimals. */
#include <math.h>
#include <stdlib.h>

#include "comfypool/base/json_write.h"
#include "comfypool/core/samples.h"
#include "comfypool/core/subgraph.h"
#include "comfypool/render/render.h"

static void member_point(struct js_out *o, const char *name, const struct profile *p,
                         struct mono_us t)
{
    js_member_ms(o, name, anchor_wall(&p->anchor, t).us);
}

static void member_text(struct js_out *o, const char *name, struct str s)
{
    if (s.p != NULL) {
        js_member_str(o, name, s);
    }
}

/* True for the account so far of a running attempt. */
static bool is_live(const struct profile *p)
{
    return p->outcome == ATTEMPT_OPEN;
}

static void render_slices(struct js_out *o, const struct profile *p, const struct profile_node *n)
{
    js_key(o, "slices");
    js_open(o, '[');
    for (size_t i = 0; i < n->slices_len; i++) {
        js_open(o, '{');
        member_point(o, "startedAt", p, n->slices[i].from);
        member_point(o, "completedAt", p, n->slices[i].to);
        js_close(o, '}');
    }
    js_close(o, ']');
}

static void render_progress(struct js_out *o, const struct profile *p, const struct profile_node *n)
{
    js_key(o, "progressEvents");
    js_open(o, '[');
    for (size_t i = 0; i < n->progress_len; i++) {
        js_open(o, '{');
        member_point(o, "timestamp", p, n->progress[i].at);
        js_key(o, "value");
        js_real(o, n->progress[i].value);
        js_key(o, "max");
        js_real(o, n->progress[i].max);
        js_close(o, '}');
    }
    js_close(o, ']');
    if (n->progress_dropped > 0) {
        js_member_int(o, "progressEventsDropped", (int64_t)n->progress_dropped);
    }
}

/* ---- steps and resources --------------------------------------------------------------------- */

/* Writes null for an unknown value. */
static void member_known(struct js_out *o, const char *name, bool known, double value)
{
    js_key(o, name);
    if (known && isfinite(value)) {
        js_real(o, value);
    } else {
        js_null(o);
    }
}

static void member_span(struct js_out *o, const char *name, bool known, struct dur_us span)
{
    js_key(o, name);
    if (known) {
        js_ms(o, span.us);
    } else {
        js_null(o);
    }
}

static void render_steps(struct js_out *o, const struct profile_steps *s)
{
    js_key(o, "steps");
    js_open(o, '{');
    member_known(o, "count", true, s->count);
    member_known(o, "perSecond", s->has_times, s->per_second);
    member_span(o, "median", s->has_times, s->median);
    member_span(o, "p95", s->has_times, s->p95);
    member_span(o, "first", s->has_first, s->first);
    js_close(o, '}');
}

struct gauge {
    const char *name;
    double value;
};

static void render_gauges(struct js_out *o, const char *name, const struct gauge *g, size_t n)
{
    js_key(o, name);
    js_open(o, '{');
    for (size_t i = 0; i < n; i++) {
        member_known(o, g[i].name, true, g[i].value);
    }
    js_close(o, '}');
}

static void render_resource_members(struct js_out *o, const struct resources *r)
{
    js_member_string(o, "source", sample_source_name(r->source));
    js_member_int(o, "sampleCount", (int64_t)r->count);
    render_gauges(o, "gpuUtilization", (struct gauge[]){{"avg", r->gpu_avg}, {"max", r->gpu_max}},
                  2);
    render_gauges(o, "vramUsed", (struct gauge[]){{"max", r->vram_max}, {"delta", r->vram_delta}},
                  2);
    render_gauges(o, "ramUsed", (struct gauge[]){{"max", r->ram_max}}, 1);
    render_gauges(o, "gpuTemperature", (struct gauge[]){{"max", r->temperature_max}}, 1);
}

static void render_node_resources(struct js_out *o, const struct resources *r)
{
    js_key(o, "resources");
    if (r == NULL) {
        js_null(o);
        return;
    }
    js_open(o, '{');
    render_resource_members(o, r);
    js_close(o, '}');
}

static void render_samples(struct js_out *o, const struct profile *p,
                           const struct resources_of_job *r)
{
    js_key(o, "samples");
    js_open(o, '[');
    for (size_t i = 0; i < r->samples_len; i++) {
        const struct sample *s = &r->samples[i];
        js_open(o, '{');
        member_point(o, "at", p, s->at);
        member_known(o, "gpuUtilization", true, s->gpu_utilization);
        member_known(o, "vramUsed", true, s->vram_used);
        member_known(o, "ramUsed", true, s->ram_used);
        member_known(o, "gpuTemperature", true, s->gpu_temperature);
        js_close(o, '}');
    }
    js_close(o, ']');
}

/* An attempt with process data alone has no samples: nulls, and 0 of them. */
static void render_job_resources(struct js_out *o, const struct profile *p)
{
    const struct resources_of_job *r = p->resources;
    js_key(o, "resources");
    if (r == NULL) {
        js_null(o);
        return;
    }
    static const struct resources nothing = {
        .source = SAMPLE_LOCAL,
        .gpu_avg = NAN,
        .gpu_max = NAN,
        .vram_max = NAN,
        .vram_delta = NAN,
        .ram_max = NAN,
        .temperature_max = NAN,
    };
    js_open(o, '{');
    render_resource_members(o, r->sampled ? &r->all : &nothing);
    member_span(o, "interval", r->has_interval, r->interval);
    member_known(o, "diskRead", r->io.disk_read >= 0, (double)r->io.disk_read);
    member_known(o, "diskWritten", r->io.disk_written >= 0, (double)r->io.disk_written);
    member_known(o, "netReceived", r->io.net_received >= 0, (double)r->io.net_received);
    member_known(o, "netSent", r->io.net_sent >= 0, (double)r->io.net_sent);
    render_samples(o, p, r);
    js_close(o, '}');
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static void render_times(struct js_out *o, const struct profile *p, const struct profile_node *n)
{
    if (n->has_start) {
        member_point(o, "startedAt", p, n->start);
    }
    if (n->has_end) {
        member_point(o, "completedAt", p, n->end);
    }
    if (n->has_duration) {
        js_member_ms(o, "duration", n->duration.us);
    }
    if (n->has_self) {
        js_member_ms(o, "selfDuration", n->self.us);
    }
    if (n->open_ended && n->has_duration && n->status == PROFILE_COMPLETED) {
        js_member_bool(o, "openEnded", true);
    }
    if (n->has_bounds) {
        js_member_ms(o, "durationMin", n->duration_min.us);
        js_member_ms(o, "durationMax", n->duration_max.us);
    }
    if (n->order >= 0) {
        js_member_int(o, "order", n->order);
    }
    if (n->progress_len > 0 || n->progress_dropped > 0) {
        render_progress(o, p, n);
        render_steps(o, &n->steps);
    }
}

static void render_node(struct js_out *o, const struct profile *p, const struct profile_node *n)
{
    js_open(o, '{');
    js_member_str(o, "nodeId", n->id);
    member_text(o, "type", n->type);
    member_text(o, "title", n->title);
    js_member_string(o, "status", profile_status_name(n->status));
    js_member_bool(o, "cached", n->status == PROFILE_CACHED);
    render_times(o, p, n);
    if (n->error != NULL) {
        js_member_string(o, "error", n->error);
    }
    js_key(o, "dependsOn");
    js_open(o, '[');
    for (uint32_t i = 0; i < n->deps_len; i++) {
        js_str(o, p->workflow->nodes[n->deps[i]].id);
    }
    js_close(o, ']');
    member_text(o, "parentNodeId", n->parent);
    member_text(o, "displayNodeId", n->display);
    if (n->slices_len > 1 && n->has_duration) {
        render_slices(o, p, n);
    }
    if (!is_live(p)) {
        render_node_resources(o, n->resources);
    }
    js_close(o, '}');
}

static void render_slowest(struct js_out *o, const struct profile *p)
{
    js_key(o, "slowestNodes");
    js_open(o, '[');
    for (size_t i = 0; i < p->slowest_len; i++) {
        const struct profile_node *n = &p->nodes[p->slowest[i]];
        js_open(o, '{');
        js_member_str(o, "nodeId", n->id);
        member_text(o, "type", n->type);
        member_text(o, "title", n->title);
        js_member_ms(o, "duration", n->duration.us);
        js_close(o, '}');
    }
    js_close(o, ']');
}

/* Adds the subgraphs, if any. */
static void render_subgraphs(struct js_out *o, const struct profile *p)
{
    size_t len = 0;
    struct subgraph *list = subgraphs_of(p, &len);
    if (len > 0) {
        js_key(o, "subgraphs");
        js_open(o, '[');
    }
    for (size_t i = 0; i < len; i++) {
        js_open(o, '{');
        js_member_str(o, "id", list[i].id);
        js_member_int(o, "nodes", (int64_t)list[i].nodes);
        js_member_int(o, "executedNodes", (int64_t)list[i].executed);
        js_member_int(o, "cachedNodes", (int64_t)list[i].cached);
        member_span(o, "duration", list[i].has_duration, list[i].duration);
        js_close(o, '}');
    }
    if (len > 0) {
        js_close(o, ']');
    }
    free(list);
}

static void render_summary(struct js_out *o, const struct profile *p)
{
    js_key(o, "summary");
    js_open(o, '{');
    js_member_int(o, "totalNodes", (int64_t)p->total);
    js_member_int(o, "executedNodes", (int64_t)p->executed);
    js_member_int(o, "cachedNodes", (int64_t)p->cached);
    js_member_int(o, "failedNodes", (int64_t)p->failed);
    render_slowest(o, p);
    js_key(o, "progressNodes");
    js_open(o, '[');
    for (size_t i = 0; i < p->nodes_len; i++) {
        if (p->nodes[i].progress_len > 0) {
            js_str(o, p->nodes[i].id);
        }
    }
    js_close(o, ']');
    js_member_int(o, "expandedNodes", (int64_t)p->expanded);
    js_member_int(o, "pendingNodes", (int64_t)p->pending);
    member_span(o, "unaccounted", p->unaccounted_known, p->unaccounted);
    render_subgraphs(o, p);
    js_close(o, '}');
}

/* ---- where the time went --------------------------------------------------------------------- */

static void member_node(struct js_out *o, const char *name, const struct profile *p, size_t index)
{
    js_key(o, name);
    if (index == PROFILE_NO_NODE) {
        js_null(o);
    } else {
        js_str(o, p->nodes[index].id);
    }
}

static void render_path(struct js_out *o, const struct profile *p)
{
    const struct profile_analysis *a = &p->analysis;
    js_key(o, "criticalPath");
    if (!a->path_known) {
        js_null(o);
        return;
    }
    js_open(o, '{');
    js_key(o, "nodes");
    js_open(o, '[');
    for (size_t i = 0; i < a->path_len; i++) {
        js_str(o, p->workflow->nodes[a->path[i]].id);
    }
    js_close(o, ']');
    js_member_ms(o, "length", a->path_length.us);
    member_known(o, "share", true, a->path_share);
    js_close(o, '}');
}

static void render_analysis(struct js_out *o, const struct profile *p)
{
    const struct profile_analysis *a = &p->analysis;
    js_key(o, "analysis");
    if (!a->known) {
        js_null(o);
        return;
    }
    js_open(o, '{');
    render_path(o, p);
    js_key(o, "gaps");
    js_open(o, '[');
    for (size_t i = 0; i < a->idle_len; i++) {
        const struct profile_idle *g = &a->idle[i];
        js_open(o, '{');
        member_point(o, "from", p, g->from);
        member_point(o, "to", p, g->to);
        js_member_ms(o, "duration", mono_diff(g->to, g->from).us);
        member_node(o, "after", p, g->after);
        member_node(o, "before", p, g->before);
        js_close(o, '}');
    }
    js_close(o, ']');
    member_span(o, "modelLoading", a->loading_known, a->model_loading);
    member_known(o, "cacheHitRate", a->hits_known, a->cache_hit_rate);
    js_close(o, '}');
}

static void render_evidence(struct js_out *o, const struct profile *p)
{
    static const char *const sources[] = {
        [PROFILE_FROM_EVENTS] = "events",
        [PROFILE_FROM_HISTORY] = "history",
        [PROFILE_FROM_BOTH] = "mixed",
    };
    js_key(o, "evidence");
    js_open(o, '{');
    js_member_string(o, "source", sources[p->source]);
    js_key(o, "complete");
    if (is_live(p) && !p->analysis.known) {
        js_null(o); /* nothing to miss, or not watched */
    } else {
        js_bool(o, p->gaps_len == 0 && !p->in_doubt);
    }
    if (p->at.has_started && !is_live(p) && !p->execution_known) {
        js_member_bool(o, "executionKnown", false);
    }
    js_key(o, "gaps");
    js_open(o, '[');
    for (size_t i = 0; i < p->gaps_len; i++) {
        js_open(o, '{');
        member_point(o, "from", p, p->gaps[i].from);
        member_point(o, "to", p, p->gaps[i].to);
        js_member_string(o, "reason", p->gaps[i].reason);
        js_close(o, '}');
    }
    js_close(o, ']');
    js_key(o, "clockOffset");
    if (p->clock_known) {
        js_ms(o, p->clock_offset_us);
    } else {
        js_null(o);
    }
    js_member_string(o, "precision", "server timestamps are whole milliseconds");
    js_member_string(o, "nodeEnds",
                     p->node_ends_inferred ? "next executing" : "progress_state finished");
    js_close(o, '}');
}

static void render_phases(struct js_out *o, const struct profile *p)
{
    js_key(o, "phases");
    js_open(o, '{');
    js_member_ms(o, "waiting", p->waiting.us);
    js_member_ms(o, "dispatch", p->dispatch.us);
    js_member_ms(o, "backendQueue", p->backend_queue.us);
    member_span(o, "planning", p->execution_seen, p->planning);
    member_span(o, "executing", p->execution_seen, p->executing);
    js_close(o, '}');
}

void render_profile_json(const struct profile *p, struct buf *out)
{
    struct js_out o = js_out_to(out);
    js_open(&o, '{');
    js_member_string(&o, "jobId", p->job_id);
    if (p->prompt_id[0] != '\0') {
        js_member_string(&o, "promptId", p->prompt_id);
    }
    if (p->backend != NULL) {
        js_member_string(&o, "backend", p->backend);
    }
    js_member_int(&o, "attempt", p->attempt);
    js_member_string(&o, "outcome", attempt_outcome_name(p->outcome));
    member_point(&o, "queuedAt", p, p->at.queued);
    if (p->at.has_started) {
        member_point(&o, "startedAt", p, p->at.started);
    }
    member_point(&o, is_live(p) ? "asOf" : "completedAt", p, p->at.ended);
    const struct mono_us started = p->at.has_started ? p->at.started : p->at.ended;
    js_member_ms(&o, "totalDuration", mono_diff(p->at.ended, p->at.queued).us);
    js_member_ms(&o, "queueTime", mono_diff(started, p->at.queued).us);
    member_span(&o, "executionTime", p->execution_seen, mono_diff(p->at.ended, started));
    render_phases(&o, p);
    js_key(&o, "nodes");
    js_open(&o, '[');
    for (size_t i = 0; i < p->nodes_len; i++) {
        render_node(&o, p, &p->nodes[i]);
    }
    js_close(&o, ']');
    render_summary(&o, p);
    render_evidence(&o, p);
    render_analysis(&o, p);
    if (!is_live(p)) {
        render_job_resources(&o, p);
    }
    js_close(&o, '}');
}
