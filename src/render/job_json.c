/* A Job as the API shows it. */
#include "comfypool/base/json_write.h"
#include "comfypool/render/render.h"

static void member_optional(struct js_out *o, const char *name, const char *text)
{
    if (text != NULL) {
        js_member_string(o, name, text);
    }
}

static void member_json(struct js_out *o, const char *name, const char *json)
{
    if (json != NULL) {
        js_member_raw(o, name, str_of(json));
    }
}

/* Limits of a server's texts in a brief Job, so that its size is bounded. */
enum { BRIEF_MESSAGE = 1500, BRIEF_NAME = 128 };

static void member_name(struct js_out *o, const char *name, const char *text, bool brief)
{
    if (text != NULL) {
        js_member_str(o, name, brief ? str_clip(str_of(text), BRIEF_NAME) : str_of(text));
    }
}

static void render_error(struct js_out *o, const struct job_error *e,
                         const struct render_job_more *m)
{
    if (e->code == ERR_NONE) {
        return;
    }
    js_key(o, "error");
    js_open(o, '{');
    js_member_string(o, "code", err_code(e->code));
    const bool brief = m->event == EVENT_JOB_BRIEF;
    const struct str message = str_of(e->message == NULL ? err_title(e->code) : e->message);
    js_member_str(o, "message", brief ? str_clip(message, BRIEF_MESSAGE) : message);
    member_name(o, "nodeId", e->node_id, brief);
    member_name(o, "nodeType", e->node_type, brief);
    if (!brief) {
        member_json(o, "nodeErrors", e->node_errors);
    }
    if (m->traceback) {
        member_json(o, "traceback", e->traceback);
    }
    js_close(o, '}');
}

static void render_progress(struct js_out *o, const struct job_record *r,
                            const struct render_job_more *m)
{
    js_key(o, "progress");
    js_open(o, '{');
    js_member_int(o, "nodesDone", (int64_t)m->nodes_done);
    js_member_int(o, "nodesTotal", r->nodes_total);
    member_optional(o, "nodeId", m->node_id);
    if (m->has_value) {
        js_key(o, "value");
        js_real(o, m->value);
        js_key(o, "max");
        js_real(o, m->max);
    }
    js_close(o, '}');
}

static void render_links(struct js_out *o, const char *id)
{
    static const char *const links[] = {"profile", "attempts", "workflow", "outputs", "cancel"};
    char path[96] = "/jobs/";
    memcpy(path + 6, id, UUID_SIZE);
    js_key(o, "links");
    js_open(o, '{');
    js_member_string(o, "self", path);
    path[6 + UUID_TEXT] = '/';
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        memcpy(path + 6 + UUID_TEXT + 1, links[i], strlen(links[i]) + 1);
        js_member_string(o, links[i], path);
    }
    js_close(o, '}');
}

/* Adds the request, and the times of its progress. */
static void render_course(struct js_out *o, const struct job_record *r)
{
    js_member_string(o, "id", r->id);
    js_member_string(o, "state", job_state_name(r->state));
    js_member_int(o, "priority", r->priority);
    js_member_ms(o, "queuedAt", r->queued_at.us);
    if (r->started_at.us != 0) {
        js_member_ms(o, "startedAt", r->started_at.us);
    }
    if (r->completed_at.us != 0) {
        js_member_ms(o, "completedAt", r->completed_at.us);
    }
    member_optional(o, "backend", r->backend);
    member_optional(o, "promptId", r->prompt_id[0] == '\0' ? NULL : r->prompt_id);
    js_member_int(o, "attempts", r->attempts);
    js_member_int(o, "maxAttempts", r->policy.max_attempts);
    js_member_string(o, "workflowHash", r->workflow_hash);
    member_optional(o, "client", r->client);
    member_optional(o, "batchId", r->batch_id[0] == '\0' ? NULL : r->batch_id);
    if (r->not_before.us != 0) {
        js_member_ms(o, "notBefore", r->not_before.us);
    }
    member_json(o, "autoSeeds", r->auto_seeds);
}

/* Adds what only GET /jobs/<id> and lists show. */
static void render_details(struct js_out *o, const struct job_record *r)
{
    member_json(o, "after", r->after);
    member_json(o, "placement", r->placement);
    member_json(o, "outputs", r->outputs);
    if (r->outputs_truncated) {
        js_member_bool(o, "outputsTruncated", true);
    }
}

void render_job_json(const struct job_record *r, const struct render_job_more *more,
                     struct buf *out)
{
    static const struct render_job_more nothing;
    const struct render_job_more *m = more == NULL ? &nothing : more;
    const bool brief = m->event == EVENT_JOB_BRIEF;
    struct js_out o = js_out_to(out);
    js_open(&o, '{');
    if (m->event != EVENT_NONE) {
        js_member_string(&o, "jobId", r->id);
    }
    render_course(&o, r);
    if (!brief) {
        js_member_raw(&o, "metadata", r->metadata == NULL ? STR("{}") : str_of(r->metadata));
    }
    if (r->cancel_requested && !job_state_is_terminal(r->state)) {
        js_member_bool(&o, "cancelRequested", true);
    }
    if (m->has_progress) {
        render_progress(&o, r, m);
    }
    member_optional(&o, "waitingReason", m->waiting_reason);
    if (r->partial) {
        js_member_bool(&o, "partial", true);
    }
    member_json(&o, "nodeErrors", brief ? NULL : r->node_errors);
    render_error(&o, &r->error, m);
    if (m->event == EVENT_NONE) {
        render_details(&o, r);
    }
    if (m->profile.n > 0) {
        js_member_raw(&o, "profileStats", m->profile);
    }
    render_links(&o, r->id);
    js_close(&o, '}');
}

static void member_time(struct js_out *o, const char *name, struct wall_us at)
{
    if (at.us != 0) {
        js_member_ms(o, name, at.us);
    }
}

static void render_attempt(struct js_out *o, const struct attempt_record *a)
{
    js_open(o, '{');
    js_member_int(o, "attempt", a->number);
    member_optional(o, "backend", a->backend);
    js_member_string(o, "promptId", a->prompt_id);
    if (a->outcome != ATTEMPT_OPEN) {
        js_member_string(o, "outcome", attempt_outcome_name(a->outcome));
    }
    if (a->late != ATTEMPT_OPEN) {
        js_member_string(o, "lateOutcome", attempt_outcome_name(a->late));
    }
    member_time(o, "submittedAt", a->submitted_at);
    member_time(o, "startedAt", a->started_at);
    member_time(o, "completedAt", a->completed_at);
    render_error(o, &a->error, &(struct render_job_more){.event = EVENT_NONE});
    js_close(o, '}');
}

void render_attempts_json(const struct attempt_record *list, size_t len, struct buf *out)
{
    struct js_out o = js_out_to(out);
    js_open(&o, '{');
    js_key(&o, "attempts");
    js_open(&o, '[');
    for (size_t i = 0; i < len; i++) {
        render_attempt(&o, &list[i]);
    }
    js_close(&o, ']');
    js_close(&o, '}');
}
