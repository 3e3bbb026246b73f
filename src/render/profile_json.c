/* A profile as JobProfileStats. Points in time are carried to the wall clock with the attempt's one
   anchor; everything is milliseconds with up to three decimals. */
#include "comfypool/base/json_write.h"
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
        js_member_ms(o, "selfDuration", n->self.us);
    }
    if (n->order >= 0) {
        js_member_int(o, "order", n->order);
    }
    if (n->progress_len > 0 || n->progress_dropped > 0) {
        render_progress(o, p, n);
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
    if (n->slices_len > 1) {
        render_slices(o, p, n);
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
    js_member_ms(o, "unaccounted", p->unaccounted.us);
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
    js_member_bool(o, "complete", p->gaps_len == 0);
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
    js_member_ms(o, "planning", p->planning.us);
    js_member_ms(o, "executing", p->executing.us);
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
    member_point(&o, "completedAt", p, p->at.ended);
    const struct mono_us started = p->at.has_started ? p->at.started : p->at.ended;
    js_member_ms(&o, "totalDuration", mono_diff(p->at.ended, p->at.queued).us);
    js_member_ms(&o, "queueTime", mono_diff(started, p->at.queued).us);
    js_member_ms(&o, "executionTime", mono_diff(p->at.ended, started).us);
    render_phases(&o, p);
    js_key(&o, "nodes");
    js_open(&o, '[');
    for (size_t i = 0; i < p->nodes_len; i++) {
        render_node(&o, p, &p->nodes[i]);
    }
    js_close(&o, ']');
    render_summary(&o, p);
    render_evidence(&o, p);
    js_close(&o, '}');
}
