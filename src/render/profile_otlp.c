/*
 * A job as a trace in OTLP/HTTP JSON: the job, its attempts under it, nodes with a start and an end
 * under their attempt, expanded ones under their parent. Times are strings of nanoseconds, made
 * from whole microseconds.
 *
 * Span ids: a number from the SHA-256 of the job's id, plus the attempt's and the node's index. So
 * they are reproducible, unique within a trace whatever nodes are called, and never 0.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/digest.h"
#include "comfypool/render/render.h"

#include "profile_read.h"

enum { TRACE_ID_TEXT = 32, SPAN_ID_TEXT = 16, KIND_INTERNAL = 1, KIND_SERVER = 2, FAILED = 2 };

struct span_id {
    uint64_t n; /* 0: none */
};

struct tracing {
    struct js_out *o;
    char trace_id[TRACE_ID_TEXT + 1];
    struct span_id root;
};

/* ---- attributes ------------------------------------------------------------------------------ */

static void begin_attribute(struct js_out *o, const char *key, const char *type)
{
    js_open(o, '{');
    js_member_string(o, "key", key);
    js_key(o, "value");
    js_open(o, '{');
    js_key(o, type);
}

static void end_attribute(struct js_out *o)
{
    js_close(o, '}');
    js_close(o, '}');
}

static void add_text(struct js_out *o, const char *key, struct str value)
{
    if (value.p != NULL) {
        begin_attribute(o, key, "stringValue");
        js_str(o, value);
        end_attribute(o);
    }
}

static void add_bool(struct js_out *o, const char *key, bool value)
{
    begin_attribute(o, key, "boolValue");
    js_bool(o, value);
    end_attribute(o);
}

/* 64-bit integers are strings in protobuf's JSON. */
static void add_int(struct js_out *o, const char *key, int64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRId64, value);
    begin_attribute(o, key, "intValue");
    js_string(o, text);
    end_attribute(o);
}

static void add_real(struct js_out *o, const char *key, const json_t *number)
{
    if (number != NULL) {
        begin_attribute(o, key, "doubleValue");
        js_value(o, number);
        end_attribute(o);
    }
}

/* ---- spans ----------------------------------------------------------------------------------- */

static void member_id(struct js_out *o, const char *name, struct span_id id)
{
    char text[SPAN_ID_TEXT + 1];
    (void)snprintf(text, sizeof text, "%016" PRIx64, id.n);
    js_member_string(o, name, text);
}

static void member_time(struct js_out *o, const char *name, struct wall_us t)
{
    char text[32] = "0";
    if (t.us > 0) {
        (void)snprintf(text, sizeof text, "%" PRId64 "000", t.us);
    }
    js_member_string(o, name, text);
}

static void begin_span(const struct tracing *t, struct span_id id, struct span_id parent,
                       struct str name, int kind)
{
    js_open(t->o, '{');
    js_member_string(t->o, "traceId", t->trace_id);
    member_id(t->o, "spanId", id);
    if (parent.n != 0) {
        member_id(t->o, "parentSpanId", parent);
    }
    js_member_str(t->o, "name", name);
    js_member_int(t->o, "kind", kind);
}

/* Writes both times and opens the attributes. */
static void begin_attributes(const struct tracing *t, struct wall_us from, struct wall_us to)
{
    member_time(t->o, "startTimeUnixNano", from);
    member_time(t->o, "endTimeUnixNano", to.us < from.us ? from : to);
    js_key(t->o, "attributes");
    js_open(t->o, '[');
}

static void end_span(const struct tracing *t, bool failed, struct str message)
{
    js_close(t->o, ']');
    if (failed) {
        js_key(t->o, "status");
        js_open(t->o, '{');
        js_member_int(t->o, "code", FAILED);
        js_member_str(t->o, "message", message.p == NULL ? STR("failed") : message);
        js_close(t->o, '}');
    }
    js_close(t->o, '}');
}

/* ---- nodes ----------------------------------------------------------------------------------- */

/* True if it can be a span; a running node until the time of the account. */
static bool has_span(const struct stored_node *n)
{
    return n->has_start && (n->has_end || n->open);
}

static struct span_id id_of_node(const struct stored_profile *p, struct span_id attempt,
                                 const struct stored_node *n)
{
    return (struct span_id){attempt.n + 1 + (uint64_t)(n - p->nodes)};
}

static void add_node_attributes(struct js_out *o, const struct stored_node *n)
{
    const json_t *steps = json_object_get(n->json, "steps");
    add_text(o, "comfyui.node.id", n->id);
    add_text(o, "comfyui.node.type", n->type);
    add_text(o, "comfyui.node.title", n->title);
    add_text(o, "comfyui.node.status", n->status);
    add_bool(o, "comfyui.node.cached", n->cached);
    add_int(o, "comfyui.node.order", (int64_t)number_of(n->json, "order"));
    add_real(o, "comfyui.node.self_duration_ms", known_number(n->json, "selfDuration"));
    if (n->slices_len > 1) {
        add_int(o, "comfyui.node.slices", (int64_t)n->slices_len);
    }
    if (known_number(steps, "count") != NULL) {
        add_int(o, "comfyui.node.steps", (int64_t)number_of(steps, "count"));
    }
    add_real(o, "comfyui.node.steps_per_second", known_number(steps, "perSecond"));
}

static void add_node(const struct tracing *t, const struct stored_profile *p,
                     struct span_id attempt, const struct stored_node *n)
{
    const bool failed = str_is(n->status, "failed");
    const struct str error = text_of(n->json, "error");
    const struct span_id parent =
        n->parent != NULL && has_span(n->parent) ? id_of_node(p, attempt, n->parent) : attempt;
    begin_span(t, id_of_node(p, attempt, n), parent, n->type.n > 0 ? n->type : STR("node"),
               KIND_INTERNAL);
    begin_attributes(t, stored_wall(p, n->start), stored_wall(p, n->open ? p->end : n->end));
    add_node_attributes(t->o, n);
    if (n->open) {
        add_bool(t->o, "comfyui.node.open", true);
    }
    if (!failed) {
        add_text(t->o, "comfyui.node.error", error); /* interrupted, or blocked */
    }
    end_span(t, failed, error);
}

/* ---- attempts -------------------------------------------------------------------------------- */

static bool is_failure(struct str outcome)
{
    static const char *const failures[] = {"failed", "lost", "timed_out", "rejected"};
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
        if (str_is(outcome, failures[i])) {
            return true;
        }
    }
    return false;
}

static struct str failure_of(const struct stored_profile *p)
{
    for (size_t i = 0; i < p->nodes_len; i++) {
        const struct str error = text_of(p->nodes[i].json, "error");
        if (str_is(p->nodes[i].status, "failed") && error.p != NULL) {
            return error;
        }
    }
    return text_of(p->json, "outcome");
}

static void add_attempt_attributes(struct js_out *o, const struct stored_profile *p)
{
    static const char *const phases[][2] = {
        {"waiting", "comfypoold.phase.waiting_ms"},
        {"dispatch", "comfypoold.phase.dispatch_ms"},
        {"backendQueue", "comfypoold.phase.backend_queue_ms"},
        {"planning", "comfypoold.phase.planning_ms"},
        {"executing", "comfypoold.phase.executing_ms"},
    };
    add_int(o, "comfypoold.attempt", (int64_t)number_of(p->json, "attempt"));
    add_text(o, "comfypoold.outcome", text_of(p->json, "outcome"));
    add_text(o, "comfypoold.backend", text_of(p->json, "backend"));
    add_text(o, "comfyui.prompt.id", text_of(p->json, "promptId"));
    for (size_t i = 0; i < sizeof phases / sizeof *phases; i++) {
        add_real(o, phases[i][1], known_number(json_object_get(p->json, "phases"), phases[i][0]));
    }
}

static void add_attempt(const struct tracing *t, const struct stored_profile *p, size_t place)
{
    const struct span_id id = {t->root.n + ((uint64_t)(place + 1) << 32)};
    begin_span(t, id, t->root, STR("attempt"), KIND_INTERNAL);
    begin_attributes(t, p->queued, stored_wall(p, p->end));
    add_attempt_attributes(t->o, p);
    end_span(t, is_failure(text_of(p->json, "outcome")), failure_of(p));
    for (size_t i = 0; i < p->nodes_len; i++) {
        if (has_span(&p->nodes[i])) {
            add_node(t, p, id, &p->nodes[i]);
        }
    }
}

/* ---- the job --------------------------------------------------------------------------------- */

static bool is_hex(const char *s, size_t n)
{
    return strspn(s, "0123456789abcdef") >= n && strspn(s, "0") < n;
}

/* Begins the caller's trace, or the job's own; returns the caller's span, if any. */
static struct span_id begin_trace(struct tracing *t, const struct render_trace *job)
{
    static const uint64_t kept = UINT64_C(0x3fffffffffffffff);
    static const uint64_t set = UINT64_C(0x4000000000000000);
    char digest[DIGEST_HEX_SIZE];
    digest_sha256_hex(str_of(job->job_id), digest);
    uint64_t seed = 0;
    (void)sscanf(digest + TRACE_ID_TEXT, "%16" SCNx64, &seed);
    t->root.n = (seed & kept) | set; /* any index can be added without overflow; never 0 */
    const char *parent = job->trace_parent;
    if (strlen(parent) != TRACE_ID_TEXT + 1 + SPAN_ID_TEXT || !is_hex(parent, TRACE_ID_TEXT) ||
        parent[TRACE_ID_TEXT] != '-' || !is_hex(parent + TRACE_ID_TEXT + 1, SPAN_ID_TEXT)) {
        memcpy(t->trace_id, digest, TRACE_ID_TEXT);
        return (struct span_id){0};
    }
    memcpy(t->trace_id, parent, TRACE_ID_TEXT);
    struct span_id caller = {0};
    (void)sscanf(parent + TRACE_ID_TEXT + 1, "%16" SCNx64, &caller.n);
    return caller;
}

/* Returns the last time known from the attempts of a running job. */
static struct wall_us last_known(struct wall_us queued_at, const struct stored_profile *attempts,
                                 size_t len)
{
    struct wall_us last = queued_at;
    for (size_t i = 0; i < len; i++) {
        const struct wall_us end = stored_wall(&attempts[i], attempts[i].end);
        last = end.us > last.us ? end : last;
    }
    return last;
}

static void add_job(const struct tracing *t, const struct render_trace *job, struct span_id caller,
                    struct wall_us end)
{
    begin_span(t, t->root, caller, STR("job"), KIND_SERVER);
    begin_attributes(t, job->queued_at, end);
    add_text(t->o, "comfypoold.job.id", str_of(job->job_id));
    add_text(t->o, "comfypoold.job.state", str_of(job->state));
    add_text(t->o, "comfypoold.workflow.hash", str_of(job->workflow_hash));
    add_text(t->o, "comfypoold.backend", str_of(job->backend));
    end_span(t, strcmp(job->state, "failed") == 0, str_of(job->error_message));
}

void render_otlp_spans(struct js_out *o, const struct render_trace *job)
{
    struct tracing t = {.o = o};
    const struct span_id caller = begin_trace(&t, job);
    struct stored_profile *attempts = mem_zero(job->profiles_len, sizeof *attempts);
    for (size_t i = 0; i < job->profiles_len; i++) {
        (void)profile_read(job->profiles[i], &attempts[i]);
    }
    add_job(&t, job, caller,
            job->completed_at.us != 0 ? job->completed_at
                                      : last_known(job->queued_at, attempts, job->profiles_len));
    for (size_t i = 0; i < job->profiles_len; i++) {
        if (attempts[i].json != NULL) {
            add_attempt(&t, &attempts[i], i);
        }
        profile_read_done(&attempts[i]);
    }
    free(attempts);
}

void render_otlp_begin(struct js_out *o, const char *version)
{
    js_open(o, '{');
    js_key(o, "resourceSpans");
    js_open(o, '[');
    js_open(o, '{');
    js_key(o, "resource");
    js_open(o, '{');
    js_key(o, "attributes");
    js_open(o, '[');
    add_text(o, "service.name", STR("comfypoold"));
    add_text(o, "service.version", str_of(version));
    js_close(o, ']');
    js_close(o, '}');
    js_key(o, "scopeSpans");
    js_open(o, '[');
    js_open(o, '{');
    js_key(o, "scope");
    js_open(o, '{');
    js_member_string(o, "name", "comfypoold");
    js_member_string(o, "version", version);
    js_close(o, '}');
    js_key(o, "spans");
    js_open(o, '[');
}

void render_otlp_end(struct js_out *o)
{
    static const char closing[] = "]}]}]}";
    for (const char *c = closing; *c != '\0'; c++) {
        js_close(o, *c);
    }
}

void render_otlp(const struct render_trace *t, struct buf *out)
{
    struct js_out o = js_out_to(out);
    render_otlp_begin(&o, t->version);
    render_otlp_spans(&o, t);
    render_otlp_end(&o);
}

void render_trace_of(const struct job_record *r, const char *version, const struct str *profiles,
                     size_t len, struct render_trace *ret)
{
    *ret = (struct render_trace){
        .job_id = r->id,
        .trace_parent = r->trace == NULL ? "" : r->trace,
        .state = job_state_name(r->state),
        .workflow_hash = r->workflow_hash,
        .backend = r->backend,
        .queued_at = r->queued_at,
        .completed_at = r->completed_at,
        .error_message = r->error.code == ERR_NONE  ? NULL
                         : r->error.message != NULL ? r->error.message
                                                    : err_title(r->error.code),
        .profiles = profiles,
        .profiles_len = len,
        .version = version,
    };
}
