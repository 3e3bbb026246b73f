/*
 * The body of POST /jobs. Three forms are accepted: {"workflow": graph, ...}, ComfyUI's own
 * {"prompt": graph, ...}, and the bare graph. Errors are located by a pointer into the body as it
 * was sent; nothing is accepted in part. Texts (workflow, metadata, extra data) are kept verbatim.
 * Pure. Cost: a few passes over the body.
 */
#include "submission.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comfypool/base/time_text.h"
#include "comfypool/core/event.h"
#include "comfypool/loop/url.h"

enum { MAX_METADATA = 16384, MAX_SECRET = 1000 };

/* ---- the webhook ----------------------------------------------------------------------------- */

static bool read_hook_url(const struct member *m, struct value *v, void *ret)
{
    return member_text(m, v, ret, MEMBER_URL_MOST);
}

static bool add_event(void *ctx, struct str text)
{
    unsigned *mask = ctx;
    const enum event_type t = event_from_name(text);
    if (t == EVENT_TYPE_COUNT || !event_is_for_hooks(t) || (*mask >> t & 1u) != 0) {
        return false;
    }
    *mask |= 1u << t;
    return true;
}

static bool read_hook_events(const struct member *m, struct value *v, void *ret)
{
    (void)m;
    unsigned mask = 0;
    if (!member_each_string(v, add_event, &mask) || mask == 0) {
        return false;
    }
    ((struct webhook *)ret)->events = mask;
    return true;
}

static bool read_hook_secret(const struct member *m, struct value *v, void *ret)
{
    return member_text(m, v, ret, MAX_SECRET) &&
           webhook_secret_is_good(str_of(((struct webhook *)ret)->secret));
}

static const struct member hook_members[] = {
    {.name = "url",
     .read = read_hook_url,
     .shape = "the URL of a receiver, http or https",
     .offset = offsetof(struct webhook, url)},
    {.name = "events",
     .read = read_hook_events,
     .shape = "an array of different ones of job:queued, job:accepted, job:started, job:output, "
              "job:retrying, job:completed, job:failed, job:cancelled and batch:completed"},
    {.name = "secret",
     .read = read_hook_secret,
     .shape = "whsec_ and base64",
     .offset = offsetof(struct webhook, secret)},
};

/* Checks the URL as the connecting client would parse it. */
static bool check_hook_url(const char *url, struct problem *p)
{
    struct url_parts parts;
    char why[128] = "";
    bool good = url_read(url, &parts, why, sizeof why);
    if (good && parts.credentials != NULL) {
        (void)snprintf(why, sizeof why, "credentials in the URL are not taken; use a secret");
        good = false;
    }
    url_parts_done(&parts);
    if (!good) {
        members_point_at(p, STR("url"));
        (void)problem_set(p, ERR_MEMBER_INVALID, "url: %s", why);
    }
    return good;
}

static bool read_webhook(struct value *v, void *ret, struct problem *p)
{
    struct webhook *w = &((struct submission *)ret)->webhook;
    unsigned seen = 0;
    w->events = EVENTS_OF_ENDS;
    if (v->token.kind != JS_OBJECT) {
        return problem_set(p, ERR_MEMBER_INVALID, "webhook must be an object with a url");
    }
    if (!members_read(v->text, hook_members, sizeof hook_members / sizeof *hook_members, w, &seen,
                      p)) {
        return false;
    }
    if (w->url == NULL) {
        members_point_at(p, STR("url"));
        return problem_set(p, ERR_MEMBER_INVALID, "url must be here");
    }
    return check_hook_url(w->url, p);
}

/* ---- the members beside the graph ------------------------------------------------------------ */

static bool read_profile(const struct member *m, struct value *v, void *ret)
{
    (void)m;
    struct submission *s = ret;
    s->profile = v->token.kind == JS_TRUE ? ON : OFF;
    return v->token.kind == JS_TRUE || v->token.kind == JS_FALSE;
}

static bool read_metadata(const struct member *m, struct value *v, void *ret)
{
    (void)m;
    struct submission *s = ret;
    if (v->token.kind != JS_OBJECT || v->text.n > MAX_METADATA) {
        return false;
    }
    s->metadata = mem_copy(v->text);
    return true;
}

/* Reads a member with two names, of which only one may be present. */
static bool read_extra_data(const struct member *m, struct value *v, void *ret)
{
    (void)m;
    struct submission *s = ret;
    if (v->token.kind == JS_NULL) {
        return true;
    }
    if (v->token.kind != JS_OBJECT || s->extra_data != NULL) {
        return false;
    }
    s->extra_data = mem_copy(v->text);
    return true;
}

static bool add_class(void *ctx, struct str text)
{
    unsigned *mask = ctx;
    const enum retry_class c = retry_class_from_name(text);
    if (c == RETRY_CLASS_COUNT || (*mask & 1u << c) != 0) {
        return false;
    }
    *mask |= 1u << c;
    return true;
}

static bool read_retry_on(const struct member *m, struct value *v, void *ret)
{
    (void)m;
    unsigned mask = 0;
    if (!member_each_string(v, add_class, &mask)) {
        return false;
    }
    ((struct submission *)ret)->policy.retry_on = mask;
    return true;
}

#define X(symbol, name, by_default) name ", "
static const char retry_on_shape[] =
    "an array of distinct strings, each one of " RETRY_CLASS_TABLE(X) "or an empty one";
#undef X

#define EXTRA_DATA_MEMBERS                                                                         \
    {"extraData", read_extra_data, "an object, or null, and not beside extra_data", .offset = 0},  \
    {                                                                                              \
        "extra_data", read_extra_data, "an object, or null, and not beside extraData", .offset = 0 \
    }

static const struct member members[] = {
    {"priority", member_priority, member_priority_shape,
     .offset = offsetof(struct submission, priority)},
    {"profile", read_profile, "true or false", .offset = 0},
    {"metadata", read_metadata, "an object of at most 16 KiB", .offset = 0},
    EXTRA_DATA_MEMBERS,
    {"retryOn", read_retry_on, retry_on_shape, .offset = 0},
    {.name = "backends", .read_inside = submission_backends},
    {.name = "labels", .read_inside = submission_labels},
    {.name = "variants", .read_inside = submission_variants},
    {.name = "attachments", .read_inside = submission_attachments},
    {.name = "outputs", .read_inside = submission_outputs},
    {"includeOutputs", submission_include,
     "an array of 1 to 64 different ids of nodes that give outputs", .offset = 0},
    {"autoSeed", submission_auto_seed, "true or false", .offset = 0},
    {"skipEligibility", submission_skip_eligibility, "true or false", .offset = 0},
    {"client", submission_client, "a text of 1 to 100 bytes without control characters",
     .offset = offsetof(struct submission, client)},
    {"notBefore", submission_not_before, TIME_SHAPE,
     .offset = offsetof(struct submission, not_before)},
    {"after", submission_after, "an array of at most 100 different ids of jobs", .offset = 0},
    {"onFailure", submission_on_failure, "run or fail", .offset = 0},
    {.name = "webhook", .read_inside = read_webhook},
#define X(symbol, name, member, least, most, value)                                                \
    {name, member_int, NULL, least, most, .offset = offsetof(struct submission, policy.member)},
    JOB_POLICY_TABLE(X)
#undef X
};

enum { MEMBERS = sizeof members / sizeof *members };

/* Limit: each one is searched among those of the job, on the loop. */
enum { RETRY_EXTRA_MOST = 100 };

static bool is_short(const char *extra_data, struct problem *p)
{
    struct js_reader r;
    unsigned n = 0;
    js_read_checked(&r, str_of(extra_data == NULL ? "{}" : extra_data));
    (void)js_next(&r);
    while (n <= RETRY_EXTRA_MOST && js_next(&r).kind == JS_KEY) {
        (void)js_skip(&r);
        n++;
    }
    if (n > RETRY_EXTRA_MOST) {
        members_point_at(p, STR("extraData"));
        return problem_set(p, ERR_MEMBER_INVALID,
                           "extraData may have %d members here: account keys, and such as the job "
                           "was submitted with",
                           (int)RETRY_EXTRA_MOST);
    }
    return true;
}

bool submission_parse_retry(struct str body, struct submission *ret, struct problem *p)
{
    static const struct member of_retry[] = {EXTRA_DATA_MEMBERS};
    unsigned seen = 0;
    return members_check(body, p) &&
           members_read(body, of_retry, sizeof of_retry / sizeof *of_retry, ret, &seen, p) &&
           is_short(ret->extra_data, p);
}

/* ---- the forms ------------------------------------------------------------------------------- */

enum form { FORM_WORKFLOW, FORM_PROMPT, FORM_BARE };

static const char *const graph_names[] = {"workflow", "prompt", ""};

/* Members beside the table. */
static const char *const beside_members[] = {"workflow", "prompt", NULL};
static const char *const beside_members_of_batches[] = {"workflow", "prompt", "overrides", NULL};

static bool refuse_unknown(struct js_token key, bool batch, struct problem *p)
{
    return members_refuse_unknown(key, batch ? beside_members_of_batches : beside_members, members,
                                  MEMBERS, p);
}

struct outline {
    bool has[2]; /* workflow, prompt */
    struct str graph[2];
    bool has_variants;
    struct str overrides; /* n == 0: none */
};

static struct outline read_outline(struct str body)
{
    struct outline o = {.has = {false, false}};
    struct js_reader r;
    js_read_checked(&r, body);
    (void)js_next(&r);
    for (struct js_token key = js_next(&r); key.kind == JS_KEY; key = js_next(&r)) {
        const int which = js_is(key, "workflow") ? 0 : js_is(key, "prompt") ? 1 : -1;
        const struct str text = js_skip(&r);
        o.has_variants = o.has_variants || js_is(key, "variants");
        o.overrides = js_is(key, "overrides") ? text : o.overrides;
        if (which >= 0) {
            o.has[which] = true;
            o.graph[which] = text;
        }
    }
    return o;
}

/* How a body is read, and into what. */
struct reading {
    enum form form;
    bool batch;
    struct submission *ret;
};

static bool read_member(struct js_token key, struct value *v, const struct reading *g,
                        struct problem *p)
{
    const size_t i = members_find(members, MEMBERS, key);
    if (i < MEMBERS) {
        return members_read_one(&members[i], key, v, g->ret, p);
    }
    if (g->form == FORM_PROMPT || js_is(key, graph_names[g->form]) ||
        (g->batch && js_is(key, "overrides"))) {
        return true; /* ComfyUI ignores unknown members, and clients send such */
    }
    return refuse_unknown(key, g->batch, p);
}

static bool read_members(struct str body, const struct reading *g, struct problem *p)
{
    struct js_reader r;
    js_read_checked(&r, body);
    (void)js_next(&r);
    for (struct js_token key = js_next(&r); key.kind == JS_KEY; key = js_next(&r)) {
        struct value v = {.token = js_next(&r)};
        v.text = js_rest(&r, v.token);
        if (!read_member(key, &v, g, p)) {
            return false;
        }
    }
    return true;
}

struct workflow *submission_graph(struct str text, struct problem *p)
{
    struct workflow *w = NULL;
    struct workflow_problem wrong = {0};
    if (!workflow_parse(text, &w, &wrong)) {
        p->has_pointer = true;
        buf_add_str(&p->pointer, buf_str(&wrong.pointer));
        (void)problem_set(p, wrong.code, "%s", wrong.detail);
        buf_done(&wrong.pointer);
    }
    return w;
}

/* Reads the graph into ret. overrides: of a batch; n == 0: none. */
static bool read_graph(struct str text, struct str overrides, enum form form,
                       struct submission *ret, struct problem *p)
{
    const size_t n = p->pointer.len;
    if (form != FORM_BARE) {
        members_point_at(p, str_of(graph_names[form]));
    }
    struct workflow *w = submission_graph(text, p);
    if (w == NULL) {
        return false;
    }
    p->pointer.len = n;
    p->has_pointer = false;
    ret->workflow = mem_copy(text);
    ret->workflow_len = text.n;
    ret->nodes_total = w->len;
    memcpy(ret->hash, w->hash, sizeof ret->hash);
    memcpy(ret->cost_key, w->cost_key, sizeof ret->cost_key);
    const bool good = submission_include_known(w, &ret->spec, p) &&
                      submission_attached_known(w, ret, p) &&
                      (overrides.n == 0 || submission_overrides(overrides, w, ret, p));
    workflow_free(w);
    return good;
}

/* Fills in the workflow from the first variant, which stands for all. */
static bool read_first_variant(struct submission *ret, struct problem *p)
{
    const struct job_options *s = &ret->spec;
    for (size_t i = 0; i < s->variants_len; i++) {
        const struct job_variant *v = &s->variants[i];
        struct workflow *w = workflow_reparse((struct str){v->workflow, v->workflow_len});
        const bool known =
            submission_include_known(w, s, p) && submission_attached_known(w, ret, p);
        workflow_free(w);
        if (!known) {
            return false;
        }
    }
    const struct job_variant *v = &s->variants[0];
    ret->workflow = mem_copy((struct str){v->workflow, v->workflow_len});
    ret->workflow_len = v->workflow_len;
    ret->nodes_total = v->nodes_total;
    memcpy(ret->hash, v->hash, sizeof ret->hash);
    memcpy(ret->cost_key, v->cost_key, sizeof ret->cost_key);
    return true;
}

/* ---- bodies of no form ----------------------------------------------------------------------- */

static bool has_member(struct str value, const char *name)
{
    struct js_reader r;
    js_read_checked(&r, value);
    if (js_next(&r).kind != JS_OBJECT) {
        return false;
    }
    for (struct js_token key = js_next(&r); key.kind == JS_KEY; key = js_next(&r)) {
        if (js_is(key, name)) {
            return true;
        }
        (void)js_skip(&r);
    }
    return false;
}

/* Refuses a member of neither a submission nor a graph. */
static bool refuse_stranger(struct js_token key, struct str value, bool batch, struct problem *p)
{
    if (js_is(key, "input") && (has_member(value, "workflow") || has_member(value, "prompt"))) {
        return members_refuse_key(key, ERR_MEMBER_UNKNOWN,
                                  "this is another server's body: send what is in \"input\"", p);
    }
    if (has_member(value, "inputs")) {
        return members_refuse_key(key, ERR_WORKFLOW_INVALID,
                                  "this node has no class_type: the editor did not know its class "
                                  "when it was exported; leave the node out, or install its class",
                                  p);
    }
    if (js_is(key, "nodes") || js_is(key, "last_node_id")) {
        return members_refuse_key(key, ERR_WORKFLOW_FORMAT_UI,
                                  "this is the editor's format; in ComfyUI use Workflow > Export "
                                  "(API)",
                                  p);
    }
    return refuse_unknown(key, batch, p);
}

/* Refuses an object without a graph: names an unknown member, or what is missing. */
static bool explain(struct str body, bool batch, struct problem *p)
{
    struct js_reader r;
    js_read_checked(&r, body);
    (void)js_next(&r);
    for (struct js_token key = js_next(&r); key.kind == JS_KEY; key = js_next(&r)) {
        const struct str text = js_skip(&r);
        if (members_find(members, MEMBERS, key) == MEMBERS && !has_member(text, "class_type") &&
            !(batch && js_is(key, "overrides"))) {
            return refuse_stranger(key, text, batch, p);
        }
    }
    members_point_at(p, STR("workflow"));
    return problem_set(p, ERR_MEMBER_INVALID, "%s",
                       batch ? "a batch is {\"workflow\": GRAPH, \"overrides\": [{...}, ...]}: the "
                               "graph in API format, and what is different in each job"
                             : "a workflow in API format must be here (or be the whole body)");
}

/* Checks that a batch is one workflow and its overrides. */
static bool check_batch(const struct outline *o, struct problem *p)
{
    const char *wrong = o->overrides.n == 0 ? "overrides" : o->has_variants ? "variants" : NULL;
    if (wrong == NULL) {
        return true;
    }
    members_point_at(p, str_of(wrong));
    return problem_set(p, ERR_MEMBER_INVALID, "%s",
                       o->overrides.n == 0 ? "overrides must be here: an array of "
                                             "objects, one for each job"
                                           : "a batch has one workflow");
}

static bool read_form(struct str body, bool batch, struct submission *ret, struct problem *p)
{
    /* Checked first: a node of a bare graph may be called "prompt". */
    if (!batch && workflow_is_bare_graph(body)) {
        return read_graph(body, STR(""), FORM_BARE, ret, p);
    }
    const struct outline o = read_outline(body);
    const int graphs = (o.has[0] ? 1 : 0) + (o.has[1] ? 1 : 0) + (o.has_variants ? 1 : 0);
    if (graphs > 1) {
        members_point_at(p, o.has_variants ? STR("variants") : STR("prompt"));
        return problem_set(p, ERR_MEMBER_INVALID,
                           "workflow, prompt and variants are names of one thing");
    }
    if (graphs == 0) {
        return workflow_is_ui_format(body) ? read_graph(body, STR(""), FORM_BARE, ret, p)
                                           : explain(body, batch, p);
    }
    const enum form form = o.has[FORM_PROMPT] ? FORM_PROMPT : FORM_WORKFLOW;
    const struct reading g = {form, batch, ret};
    if ((batch && !check_batch(&o, p)) || !read_members(body, &g, p)) {
        return false;
    }
    submission_follow_attached(ret);
    return o.has_variants ? read_first_variant(ret, p)
                          : read_graph(o.graph[form], batch ? o.overrides : STR(""), form, ret, p);
}

static bool parse(struct str body, bool batch, struct submission *ret, struct problem *p)
{
    *ret = (struct submission){
        .profile = UNSET, .keep = UNSET, .policy = {.retry_on = RETRY_ON_UNSET}};
#define X(symbol, name, member, least, most, value) ret->policy.member = POLICY_UNSET;
    JOB_POLICY_TABLE(X)
#undef X
    if (!members_check(body, p)) {
        return false;
    }
    if (!read_form(body, batch, ret, p)) {
        submission_done(ret);
        return false;
    }
    return true;
}

bool submission_parse(struct str body, struct submission *ret, struct problem *p)
{
    return parse(body, false, ret, p);
}

bool submission_parse_batch(struct str body, struct submission *ret, struct problem *p)
{
    return parse(body, true, ret, p);
}
