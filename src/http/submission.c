/*
 * The body of POST /jobs. Three forms are taken: {"workflow": graph, ...}, ComfyUI's own
 * {"prompt": graph, ...}, and the bare graph. Whatever is wrong is named by its pointer into the
 * body as it was sent; nothing is accepted half. Texts (workflow, metadata, extra data) are kept
 * verbatim. Pure. Cost: a few passes over the body.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#include "comfypool/base/json_read.h"

enum {
    BODY_DEPTH = 64,
    MIN_PRIORITY = -1000,
    MAX_PRIORITY = 1000,
    MIN_ATTEMPTS = 1,
    MAX_ATTEMPTS = 20,
    MAX_METADATA = 16384
};

void submission_done(struct submission *s)
{
    free(s->workflow);
    free(s->metadata);
    free(s->extra_data);
    *s = (struct submission){0};
}

/* ---- the members beside the graph --------------------------------------------------------------
 */

/* One member: its first token and its whole text. */
struct value {
    struct js_token token;
    struct str text;
};

static bool read_priority(const struct value *v, struct submission *ret)
{
    int64_t n = 0;
    if (!js_int(v->token, &n) || n < MIN_PRIORITY || n > MAX_PRIORITY) {
        return false;
    }
    ret->priority = (int)n;
    return true;
}

static bool read_profile(const struct value *v, struct submission *ret)
{
    ret->profile = v->token.kind == JS_TRUE ? ON : OFF;
    return v->token.kind == JS_TRUE || v->token.kind == JS_FALSE;
}

static bool read_metadata(const struct value *v, struct submission *ret)
{
    if (v->token.kind != JS_OBJECT || v->text.n > MAX_METADATA) {
        return false;
    }
    ret->metadata = mem_copy(v->text);
    return true;
}

/* Known by two names; only one of them may be there. */
static bool read_extra_data(const struct value *v, struct submission *ret)
{
    if (v->token.kind == JS_NULL) {
        return true;
    }
    if (v->token.kind != JS_OBJECT || ret->extra_data != NULL) {
        return false;
    }
    ret->extra_data = mem_copy(v->text);
    return true;
}

static bool read_max_attempts(const struct value *v, struct submission *ret)
{
    int64_t n = 0;
    if (!js_int(v->token, &n) || n < MIN_ATTEMPTS || n > MAX_ATTEMPTS) {
        return false;
    }
    ret->max_attempts = (int)n;
    return true;
}

static const struct {
    const char *name;
    bool (*read)(const struct value *v, struct submission *ret);
    const char *shape;
} members[] = {
    {"priority", read_priority, "a whole number from -1000 to 1000"},
    {"profile", read_profile, "true or false"},
    {"metadata", read_metadata, "an object of at most 16 KiB"},
    {"extraData", read_extra_data, "an object, or null, and not beside extra_data"},
    {"extra_data", read_extra_data, "an object, or null, and not beside extraData"},
    {"maxAttempts", read_max_attempts, "a whole number from 1 to 20"},
};

enum { MEMBERS = sizeof members / sizeof *members };

/* MEMBERS when it is none of them. */
static size_t find_member(struct js_token key)
{
    size_t i = 0;
    while (i < MEMBERS && !js_is(key, members[i].name)) {
        i++;
    }
    return i;
}

/* ---- pointers ----------------------------------------------------------------------------------
 */

static void point_at(struct problem *p, struct str name)
{
    p->has_pointer = true;
    json_pointer_add(&p->pointer, name);
}

static void point_at_key(struct problem *p, struct js_token key)
{
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    point_at(p, js_text(key, &scratch));
}

/* ---- the forms ---------------------------------------------------------------------------------
 */

enum form { FORM_WORKFLOW, FORM_PROMPT, FORM_BARE };

static const char *const graph_names[] = {"workflow", "prompt", ""};

struct outline {
    bool has[2]; /* workflow, prompt */
    struct str graph[2];
};

static struct outline read_outline(struct str body)
{
    struct outline o = {.has = {false, false}};
    struct js_reader r;
    js_read_strict(&r, body, BODY_DEPTH);
    (void)js_next(&r);
    for (struct js_token key = js_next(&r); key.kind == JS_KEY; key = js_next(&r)) {
        const int which = js_is(key, "workflow") ? 0 : js_is(key, "prompt") ? 1 : -1;
        const struct str text = js_skip(&r);
        if (which >= 0) {
            o.has[which] = true;
            o.graph[which] = text;
        }
    }
    return o;
}

static bool read_member(struct js_token key, const struct value *v, enum form form,
                        struct submission *ret, struct problem *p)
{
    const size_t i = find_member(key);
    if (i < MEMBERS) {
        if (members[i].read(v, ret)) {
            return true;
        }
        point_at_key(p, key);
        return problem_set(p, ERR_MEMBER_INVALID, "%s must be %s", members[i].name,
                           members[i].shape);
    }
    if (form == FORM_PROMPT || js_is(key, graph_names[form])) {
        return true; /* ComfyUI ignores members that it does not know; clients send such */
    }
    point_at_key(p, key);
    return problem_set(p, ERR_MEMBER_UNKNOWN, "there is no such member");
}

static bool read_members(struct str body, enum form form, struct submission *ret, struct problem *p)
{
    struct js_reader r;
    js_read_strict(&r, body, BODY_DEPTH);
    (void)js_next(&r);
    for (struct js_token key = js_next(&r); key.kind == JS_KEY; key = js_next(&r)) {
        struct value v = {.token = js_next(&r)};
        v.text = js_rest(&r, v.token);
        if (!read_member(key, &v, form, ret, p)) {
            return false;
        }
    }
    return true;
}

static bool read_graph(struct str text, enum form form, struct submission *ret, struct problem *p)
{
    struct workflow *w = NULL;
    struct workflow_problem wrong = {0};
    if (!workflow_parse(text, &w, &wrong)) {
        if (form != FORM_BARE) {
            point_at(p, str_of(graph_names[form]));
        }
        p->has_pointer = true;
        buf_add_str(&p->pointer, buf_str(&wrong.pointer));
        (void)problem_set(p, wrong.code, "%s", wrong.detail);
        buf_done(&wrong.pointer);
        return false;
    }
    ret->workflow = mem_copy(text);
    ret->workflow_len = text.n;
    ret->nodes_total = w->len;
    memcpy(ret->hash, w->hash, sizeof ret->hash);
    workflow_free(w);
    return true;
}

/* ---- what is none of them ----------------------------------------------------------------------
 */

static bool looks_like_a_node(struct str value)
{
    struct js_reader r;
    js_read_strict(&r, value, BODY_DEPTH);
    if (js_next(&r).kind != JS_OBJECT) {
        return false;
    }
    for (struct js_token key = js_next(&r); key.kind == JS_KEY; key = js_next(&r)) {
        if (js_is(key, "class_type")) {
            return true;
        }
        (void)js_skip(&r);
    }
    return false;
}

/* An object without a graph: name the stranger, or say what is missing. */
static bool explain(struct str body, struct problem *p)
{
    struct js_reader r;
    js_read_strict(&r, body, BODY_DEPTH);
    (void)js_next(&r);
    for (struct js_token key = js_next(&r); key.kind == JS_KEY; key = js_next(&r)) {
        const struct str text = js_skip(&r);
        if (find_member(key) == MEMBERS && !looks_like_a_node(text)) {
            point_at_key(p, key);
            return problem_set(p, ERR_MEMBER_UNKNOWN,
                               "this is neither a member of a submission nor a node of a graph");
        }
    }
    point_at(p, STR("workflow"));
    return problem_set(p, ERR_MEMBER_INVALID,
                       "a workflow in API format must be here (or be the whole body)");
}

static bool refuse_json(struct str body, size_t offset, const char *why, struct problem *p)
{
    size_t line = 1;
    size_t column = 1;
    for (size_t i = 0; i < offset && i < body.n; i++) {
        line += body.p[i] == '\n';
        column = body.p[i] == '\n' ? 1 : column + 1;
    }
    return problem_set(p, ERR_JSON_INVALID, "%s (line %zu, column %zu, byte %zu)", why, line,
                       column, offset);
}

static bool is_object(struct str body)
{
    struct js_reader r;
    js_read_strict(&r, body, BODY_DEPTH);
    return js_next(&r).kind == JS_OBJECT;
}

static bool read_form(struct str body, struct submission *ret, struct problem *p)
{
    /* First: a node of a bare graph may be called "prompt". */
    if (workflow_is_bare_graph(body)) {
        return read_graph(body, FORM_BARE, ret, p);
    }
    const struct outline o = read_outline(body);
    if (o.has[FORM_WORKFLOW] && o.has[FORM_PROMPT]) {
        point_at(p, STR("prompt"));
        return problem_set(p, ERR_MEMBER_INVALID, "workflow and prompt are two names of one thing");
    }
    if (!o.has[FORM_WORKFLOW] && !o.has[FORM_PROMPT]) {
        return workflow_is_ui_format(body) ? read_graph(body, FORM_BARE, ret, p) : explain(body, p);
    }
    const enum form form = o.has[FORM_WORKFLOW] ? FORM_WORKFLOW : FORM_PROMPT;
    return read_members(body, form, ret, p) && read_graph(o.graph[form], form, ret, p);
}

bool submission_parse(struct str body, struct submission *ret, struct problem *p)
{
    *ret = (struct submission){.profile = UNSET};
    size_t offset = 0;
    const char *why = "";
    if (!js_check(body, BODY_DEPTH, &offset, &why)) {
        return refuse_json(body, offset, why, p);
    }
    if (!is_object(body)) {
        p->has_pointer = true;
        return problem_set(p, ERR_MEMBER_INVALID, "the body must be an object");
    }
    if (!read_form(body, ret, p)) {
        submission_done(ret);
        return false;
    }
    return true;
}
