/* Data of events; see the header. */
#include "comfypool/notify/event_data.h"

#include "comfypool/base/json_write.h"
#include "comfypool/render/render.h"

/* Limit of the failed attempt's message: escaped, with a brief Job, it must fit into an event. */
enum { RETRY_MESSAGE = 1000 };

static struct js_out begin(const struct event_attempt *a, struct buf *out)
{
    struct js_out o = js_out_to(out);
    js_open(&o, '{');
    js_member_string(&o, "jobId", a->job_id);
    js_member_int(&o, "attempt", a->number);
    return o;
}

static void add_done(struct js_out *o, const struct event_attempt *a)
{
    js_member_int(o, "nodesDone", (int64_t)a->nodes_done);
    js_member_int(o, "nodesTotal", (int64_t)a->nodes_total);
}

void event_render_begin(const struct event_attempt *a, const char *member, struct wall_us at,
                        struct buf *out)
{
    struct js_out o = begin(a, out);
    js_member_string(&o, "backend", a->backend);
    js_member_string(&o, "promptId", a->prompt_id);
    js_member_ms(&o, member, at.us);
    js_close(&o, '}');
}

size_t event_render_output(const struct event_attempt *a, struct str node_id, struct str ui,
                           size_t *ret_bare, struct buf *out)
{
    struct js_out o = begin(a, out);
    js_member_str(&o, "nodeId", node_id);
    *ret_bare = out->len;
    const size_t files = render_output_files(ui, &o);
    js_close(&o, '}');
    return files;
}

void event_render_progress(const struct event_attempt *a, const struct progress_pace *p,
                           struct buf *out)
{
    struct js_out o = begin(a, out);
    js_member_string(&o, "nodeId", p->node_id);
    js_key(&o, "value");
    js_real(&o, p->value);
    js_key(&o, "max");
    js_real(&o, p->max);
    add_done(&o, a);
    js_close(&o, '}');
}

void event_render_node(const struct event_attempt *a, const struct progress_change *c,
                       struct str class_type, struct buf *out)
{
    struct js_out o = begin(a, out);
    js_member_str(&o, "nodeId", c->node_id);
    if (class_type.p != NULL) {
        js_member_str(&o, "type", class_type);
    }
    if (c->display.p != NULL) {
        js_member_str(&o, "displayNodeId", c->display);
    }
    js_member_string(&o, "status", profile_status_name(c->status));
    add_done(&o, a);
    js_close(&o, '}');
}

void event_render_backend(const char *name, const char *state, struct buf *out)
{
    struct js_out o = js_out_to(out);
    js_open(&o, '{');
    js_member_string(&o, "backend", name);
    js_member_string(&o, "state", state);
    js_close(&o, '}');
}

void event_render_retry(const struct event_attempt *a, enum attempt_outcome outcome,
                        const struct job_error *error, struct wall_us retry_at, struct buf *out)
{
    struct js_out o = js_out_to(out);
    js_key(&o, "failedAttempt");
    js_open(&o, '{');
    js_member_int(&o, "attempt", a->number);
    js_member_string(&o, "backend", a->backend == NULL ? "" : a->backend);
    js_member_string(&o, "outcome", attempt_outcome_name(outcome));
    if (error->code != ERR_NONE) {
        js_key(&o, "error");
        js_open(&o, '{');
        js_member_string(&o, "code", err_code(error->code));
        const char *message = error->message == NULL ? err_title(error->code) : error->message;
        js_member_str(&o, "message", str_clip(str_of(message), RETRY_MESSAGE));
        js_close(&o, '}');
    }
    js_close(&o, '}');
    js_member_ms(&o, "retryAt", retry_at.us);
}
