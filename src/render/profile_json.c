/* A profile as JobProfileStats. Points in time are carried to the wall clock with the attempt's one
   anchor; everything is milliseconds with up to three decimals. */
#include "comfypool/base/json_write.h"
#include "comfypool/render/render.h"

static void member_point(struct json_out *o, const char *name, const struct profile *p,
                         struct mono_us t)
{
    json_member_ms(o, name, anchor_wall(&p->anchor, t).us);
}

static void member_text(struct json_out *o, const char *name, struct str s)
{
    if (s.p != NULL) {
        json_member_str(o, name, s);
    }
}

static void render_slices(struct json_out *o, const struct profile *p, const struct profile_node *n)
{
    json_key(o, "slices");
    json_open(o, '[');
    for (size_t i = 0; i < n->slices_len; i++) {
        json_open(o, '{');
        member_point(o, "startedAt", p, n->slices[i].from);
        member_point(o, "completedAt", p, n->slices[i].to);
        json_close(o, '}');
    }
    json_close(o, ']');
}

static void render_progress(struct json_out *o, const struct profile *p,
                            const struct profile_node *n)
{
    json_key(o, "progressEvents");
    json_open(o, '[');
    for (size_t i = 0; i < n->progress_len; i++) {
        json_open(o, '{');
        member_point(o, "timestamp", p, n->progress[i].at);
        json_key(o, "value");
        json_real(o, n->progress[i].value);
        json_key(o, "max");
        json_real(o, n->progress[i].max);
        json_close(o, '}');
    }
    json_close(o, ']');
    if (n->progress_dropped > 0) {
        json_member_int(o, "progressEventsDropped", (int64_t)n->progress_dropped);
    }
}

static void render_times(struct json_out *o, const struct profile *p, const struct profile_node *n)
{
    if (n->has_start) {
        member_point(o, "startedAt", p, n->start);
    }
    if (n->has_end) {
        member_point(o, "completedAt", p, n->end);
    }
    if (n->has_duration) {
        json_member_ms(o, "duration", n->duration.us);
        json_member_ms(o, "selfDuration", n->self.us);
    }
    if (n->order >= 0) {
        json_member_int(o, "order", n->order);
    }
    if (n->progress_len > 0 || n->progress_dropped > 0) {
        render_progress(o, p, n);
    }
}

static void render_node(struct json_out *o, const struct profile *p, const struct profile_node *n)
{
    json_open(o, '{');
    json_member_str(o, "nodeId", n->id);
    member_text(o, "type", n->type);
    member_text(o, "title", n->title);
    json_member_string(o, "status", profile_status_name(n->status));
    json_member_bool(o, "cached", n->status == PROFILE_CACHED);
    render_times(o, p, n);
    if (n->error != NULL) {
        json_member_string(o, "error", n->error);
    }
    json_key(o, "dependsOn");
    json_open(o, '[');
    for (uint32_t i = 0; i < n->deps_len; i++) {
        json_str(o, p->workflow->nodes[n->deps[i]].id);
    }
    json_close(o, ']');
    member_text(o, "parentNodeId", n->parent);
    member_text(o, "displayNodeId", n->display);
    if (n->slices_len > 1) {
        render_slices(o, p, n);
    }
    json_close(o, '}');
}

static void render_slowest(struct json_out *o, const struct profile *p)
{
    json_key(o, "slowestNodes");
    json_open(o, '[');
    for (size_t i = 0; i < p->slowest_len; i++) {
        const struct profile_node *n = &p->nodes[p->slowest[i]];
        json_open(o, '{');
        json_member_str(o, "nodeId", n->id);
        member_text(o, "type", n->type);
        member_text(o, "title", n->title);
        json_member_ms(o, "duration", n->duration.us);
        json_close(o, '}');
    }
    json_close(o, ']');
}

static void render_summary(struct json_out *o, const struct profile *p)
{
    json_key(o, "summary");
    json_open(o, '{');
    json_member_int(o, "totalNodes", (int64_t)p->total);
    json_member_int(o, "executedNodes", (int64_t)p->executed);
    json_member_int(o, "cachedNodes", (int64_t)p->cached);
    json_member_int(o, "failedNodes", (int64_t)p->failed);
    render_slowest(o, p);
    json_key(o, "progressNodes");
    json_open(o, '[');
    for (size_t i = 0; i < p->nodes_len; i++) {
        if (p->nodes[i].progress_len > 0) {
            json_str(o, p->nodes[i].id);
        }
    }
    json_close(o, ']');
    json_member_int(o, "expandedNodes", (int64_t)p->expanded);
    json_member_int(o, "pendingNodes", (int64_t)p->pending);
    json_member_ms(o, "unaccounted", p->unaccounted.us);
    json_close(o, '}');
}

static void render_evidence(struct json_out *o, const struct profile *p)
{
    static const char *const sources[] = {
        [PROFILE_FROM_EVENTS] = "events",
        [PROFILE_FROM_HISTORY] = "history",
        [PROFILE_FROM_BOTH] = "mixed",
    };
    json_key(o, "evidence");
    json_open(o, '{');
    json_member_string(o, "source", sources[p->source]);
    json_member_bool(o, "complete", p->gaps_len == 0);
    json_key(o, "gaps");
    json_open(o, '[');
    for (size_t i = 0; i < p->gaps_len; i++) {
        json_open(o, '{');
        member_point(o, "from", p, p->gaps[i].from);
        member_point(o, "to", p, p->gaps[i].to);
        json_member_string(o, "reason", p->gaps[i].reason);
        json_close(o, '}');
    }
    json_close(o, ']');
    json_key(o, "clockOffset");
    if (p->clock_known) {
        json_ms(o, p->clock_offset_us);
    } else {
        json_null(o);
    }
    json_member_string(o, "precision", "server timestamps are whole milliseconds");
    json_member_string(o, "nodeEnds",
                       p->node_ends_inferred ? "next executing" : "progress_state finished");
    json_close(o, '}');
}

static void render_phases(struct json_out *o, const struct profile *p)
{
    json_key(o, "phases");
    json_open(o, '{');
    json_member_ms(o, "waiting", p->waiting.us);
    json_member_ms(o, "dispatch", p->dispatch.us);
    json_member_ms(o, "backendQueue", p->backend_queue.us);
    json_member_ms(o, "planning", p->planning.us);
    json_member_ms(o, "executing", p->executing.us);
    json_close(o, '}');
}

void render_profile_json(const struct profile *p, struct buf *out)
{
    struct json_out o = json_out_to(out);
    json_open(&o, '{');
    json_member_string(&o, "jobId", p->job_id);
    if (p->prompt_id[0] != '\0') {
        json_member_string(&o, "promptId", p->prompt_id);
    }
    if (p->backend != NULL) {
        json_member_string(&o, "backend", p->backend);
    }
    json_member_int(&o, "attempt", p->attempt);
    json_member_string(&o, "outcome", attempt_outcome_name(p->outcome));
    member_point(&o, "queuedAt", p, p->at.queued);
    if (p->at.has_started) {
        member_point(&o, "startedAt", p, p->at.started);
    }
    member_point(&o, "completedAt", p, p->at.ended);
    const struct mono_us started = p->at.has_started ? p->at.started : p->at.ended;
    json_member_ms(&o, "totalDuration", mono_diff(p->at.ended, p->at.queued).us);
    json_member_ms(&o, "queueTime", mono_diff(started, p->at.queued).us);
    json_member_ms(&o, "executionTime", mono_diff(p->at.ended, started).us);
    render_phases(&o, p);
    json_key(&o, "nodes");
    json_open(&o, '[');
    for (size_t i = 0; i < p->nodes_len; i++) {
        render_node(&o, p, &p->nodes[i]);
    }
    json_close(&o, ']');
    render_summary(&o, p);
    render_evidence(&o, p);
    json_close(&o, '}');
}
