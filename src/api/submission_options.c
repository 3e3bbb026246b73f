/*
 * Members of a submission that say where, when and for whom a job runs: backends, labels, variants,
 * includeOutputs, outputs, autoSeed, client, notBefore, after, onFailure; and the overrides of a
 * batch. Only the text is checked here, without knowledge of existing backends and jobs. Pure.
 */
#include "submission.h"

#include <math.h>
#include <stdlib.h>

#include "comfypool/base/text.h"
#include "comfypool/base/time_text.h"
#include "comfypool/core/batch.h"

enum { MAX_CLIENT = 100 };

/* ---- lists of names -------------------------------------------------------------------------- */

struct name_list {
    struct names *names;
    size_t most;
};

static bool add_name(void *ctx, struct str text)
{
    struct name_list *l = ctx;
    AUTO_FREE char *name = mem_copy(text);
    if (text.n == 0 || text.n > SPEC_NAME_MOST || l->names->len == l->most ||
        !text_is_plain(text) || names_have(l->names, name)) {
        return false;
    }
    names_add(l->names, text);
    return true;
}

static bool read_names(const struct member *m, struct value *v, void *ret)
{
    struct name_list l = {(struct names *)(void *)((char *)ret + m->offset), SPEC_NAMES_MOST};
    return member_each_string(v, add_name, &l);
}

static const char names_shape[] = "an array of at most 64 different strings of 1 to 256 bytes";

static bool read_only(const struct member *m, struct value *v, void *ret)
{
    ((struct job_where *)ret)->has_only = true;
    return read_names(m, v, ret);
}

static const struct member where_members[] = {
    {"only", read_only, names_shape, .offset = offsetof(struct job_where, only)},
    {"prefer", read_names, names_shape, .offset = offsetof(struct job_where, prefer)},
    {"exclude", read_names, names_shape, .offset = offsetof(struct job_where, exclude)},
};

static bool read_where(struct value *v, struct job_where *w, struct problem *p)
{
    unsigned seen = 0;
    if (v->token.kind != JS_OBJECT) {
        return problem_set(p, ERR_MEMBER_INVALID,
                           "backends must be an object of only, prefer and exclude");
    }
    return members_read(v->text, where_members, sizeof where_members / sizeof *where_members, w,
                        &seen, p);
}

/* Selectors being read; wrong: the entry that is none, or -1. */
struct selectors {
    struct name_list list;
    int at;
    int wrong;
};

static bool add_selector(void *ctx, struct str text)
{
    struct selectors *s = ctx;
    if (s->wrong < 0 && !label_is_selector(text)) {
        s->wrong = s->at;
    }
    s->at++;
    return s->wrong >= 0 || add_name(&s->list, text);
}

static bool read_labels_into(struct value *v, struct names *to, struct problem *p)
{
    struct selectors s = {.list = {to, SPEC_NAMES_MOST}, .wrong = -1};
    if (!member_each_string(v, add_selector, &s)) {
        if (v->bad >= 0) {
            buf_printf(&p->pointer, "/%d", v->bad);
        }
        return problem_set(p, ERR_MEMBER_INVALID, "labels must be %s", names_shape);
    }
    if (s.wrong >= 0) {
        buf_printf(&p->pointer, "/%d", s.wrong);
        return problem_set(p, ERR_LABEL_INVALID,
                           "a selector is a label such as fast, or KEY=VALUE, KEY!=VALUE, or "
                           "KEY>=NUMBER (also <=, > and <)");
    }
    return true;
}

bool submission_backends(struct value *v, void *ret, struct problem *p)
{
    return read_where(v, &((struct submission *)ret)->spec.where, p);
}

bool submission_labels(struct value *v, void *ret, struct problem *p)
{
    return read_labels_into(v, &((struct submission *)ret)->spec.where.labels, p);
}

bool submission_include(const struct member *m, struct value *v, void *ret)
{
    (void)m;
    struct name_list l = {&((struct submission *)ret)->spec.include_outputs, SPEC_NAMES_MOST};
    return member_each_string(v, add_name, &l) && l.names->len > 0;
}

bool submission_include_known(const struct workflow *w, const struct job_options *s,
                              struct problem *p)
{
    for (size_t i = 0; i < s->include_outputs.len; i++) {
        if (workflow_find(w, str_of(s->include_outputs.list[i])) == NULL) {
            members_point_at(p, STR("includeOutputs"));
            buf_printf(&p->pointer, "/%zu", i);
            return problem_set(p, ERR_MEMBER_INVALID, "the workflow has no such node");
        }
    }
    return true;
}

/* ---- outputs --------------------------------------------------------------------------------- */

static bool read_keep(const struct member *m, struct value *v, void *ret)
{
    (void)m;
    const bool copy = js_is(v->token, "copy");
    ((struct submission *)ret)->keep = copy ? ON : OFF;
    return v->token.kind == JS_STRING && (copy || js_is(v->token, "none"));
}

bool submission_outputs(struct value *v, void *ret, struct problem *p)
{
    static const struct member table[] = {{"keep", read_keep, "none or copy", .offset = 0}};
    unsigned seen = 0;
    if (v->token.kind != JS_OBJECT) {
        return problem_set(p, ERR_MEMBER_INVALID,
                           "outputs must be an object: {\"keep\": \"copy\"}");
    }
    return members_read(v->text, table, sizeof table / sizeof *table, ret, &seen, p);
}

/* ---- seeds, clients, time -------------------------------------------------------------------- */

bool submission_auto_seed(const struct member *m, struct value *v, void *ret)
{
    (void)m;
    ((struct submission *)ret)->spec.keep_seeds = v->token.kind == JS_FALSE;
    return v->token.kind == JS_TRUE || v->token.kind == JS_FALSE;
}

bool submission_skip_eligibility(const struct member *m, struct value *v, void *ret)
{
    (void)m;
    ((struct submission *)ret)->spec.skip_eligibility = v->token.kind == JS_TRUE;
    return v->token.kind == JS_TRUE || v->token.kind == JS_FALSE;
}

bool submission_client(const struct member *m, struct value *v, void *ret)
{
    return member_text(m, v, ret, MAX_CLIENT);
}

bool submission_not_before(const struct member *m, struct value *v, void *ret)
{
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    double ms = 0;
    struct wall_us *to = (struct wall_us *)(void *)((char *)ret + m->offset);
    if (v->token.kind == JS_STRING) {
        return time_read(js_text(v->token, &scratch), to);
    }
    if (!js_double(v->token, &ms) || !(ms >= 0) || ms > 253402300799999.0 ||
        time_ms_is_seconds(ms)) {
        return false;
    }
    to->us = (int64_t)llround(ms * 1000);
    return true;
}

bool submission_on_failure(const struct member *m, struct value *v, void *ret)
{
    (void)m;
    const bool run = js_is(v->token, "run");
    ((struct submission *)ret)->spec.run_on_failure = run;
    return v->token.kind == JS_STRING && (run || js_is(v->token, "fail"));
}

/* ---- after ----------------------------------------------------------------------------------- */

static bool add_id(void *ctx, struct str text)
{
    struct name_list *l = ctx;
    return uuid_is_canonical(text) && add_name(l, text);
}

bool submission_after(const struct member *m, struct value *v, void *ret)
{
    (void)m;
    struct names ids = {0};
    struct name_list l = {&ids, AFTER_MOST};
    const bool good = member_each_string(v, add_id, &l);
    if (good && ids.len > 0) {
        ((struct submission *)ret)->after = mem_copy(v->text);
    }
    names_done(&ids);
    return good;
}

/* ---- variants -------------------------------------------------------------------------------- */

static bool read_variant_workflow(struct value *v, void *ret, struct problem *p)
{
    struct job_variant *to = ret;
    struct workflow *w = submission_graph(v->text, p);
    if (w == NULL) {
        return false;
    }
    to->workflow = mem_copy(v->text);
    to->workflow_len = v->text.n;
    to->nodes_total = w->len;
    memcpy(to->hash, w->hash, sizeof to->hash);
    memcpy(to->cost_key, w->cost_key, sizeof to->cost_key);
    workflow_free(w);
    return true;
}

static bool read_variant_backends(struct value *v, void *ret, struct problem *p)
{
    return read_where(v, &((struct job_variant *)ret)->where, p);
}

static bool read_variant_labels(struct value *v, void *ret, struct problem *p)
{
    return read_labels_into(v, &((struct job_variant *)ret)->where.labels, p);
}

static const struct member variant_members[] = {
    {.name = "workflow", .read_inside = read_variant_workflow},
    {.name = "backends", .read_inside = read_variant_backends},
    {.name = "labels", .read_inside = read_variant_labels},
};

static bool read_variant(struct str text, struct job_variant *ret, struct problem *p)
{
    unsigned seen = 0;
    if (text.n == 0 || text.p[0] != '{') {
        return problem_set(p, ERR_MEMBER_INVALID, "a variant is an object with a workflow");
    }
    if (!members_read(text, variant_members, sizeof variant_members / sizeof *variant_members, ret,
                      &seen, p)) {
        return false;
    }
    if (ret->workflow == NULL) {
        members_point_at(p, STR("workflow"));
        return problem_set(p, ERR_MEMBER_INVALID, "workflow must be here");
    }
    return true;
}

bool submission_variants(struct value *v, void *ret, struct problem *p)
{
    struct job_options *s = &((struct submission *)ret)->spec;
    struct js_reader r;
    js_read_checked(&r, v->text);
    if (js_next(&r).kind != JS_ARRAY) {
        return problem_set(p, ERR_MEMBER_INVALID, "variants must be an array");
    }
    const size_t n = p->pointer.len;
    for (struct str one = js_skip(&r); one.n > 0; one = js_skip(&r)) {
        if (s->variants_len == SPEC_VARIANTS_MOST) {
            return problem_set(p, ERR_MEMBER_INVALID, "there may be 16 variants at most");
        }
        s->variants = mem_grow(s->variants, (s->variants_len + 1) * sizeof *s->variants);
        s->variants[s->variants_len] = (struct job_variant){.nodes_total = 0};
        s->variants_len++;
        buf_printf(&p->pointer, "/%zu", s->variants_len - 1);
        if (!read_variant(one, &s->variants[s->variants_len - 1], p)) {
            return false;
        }
        p->pointer.len = n;
    }
    return s->variants_len > 0 ||
           problem_set(p, ERR_MEMBER_INVALID, "there must be one variant at least");
}

/* ---- the overrides of a batch ---------------------------------------------------------------- */

bool submission_overrides(struct str value, const struct workflow *w, struct submission *ret,
                          struct problem *p)
{
    members_point_at(p, STR("overrides"));
    const size_t n = p->pointer.len;
    struct js_reader r;
    js_read_checked(&r, value);
    if (js_next(&r).kind != JS_ARRAY) {
        return problem_set(p, ERR_MEMBER_INVALID, "overrides must be an array of objects");
    }
    struct override_check check;
    override_check_begin(&check, w, (struct str){ret->workflow, ret->workflow_len});
    bool good = true;
    for (struct str one = js_skip(&r); good && one.n > 0; one = js_skip(&r)) {
        struct str wrong = {NULL, 0};
        good = ret->overrides_len < BATCH_MOST ||
               problem_set(p, ERR_MEMBER_INVALID, "a batch may have 10000 jobs at most");
        if (good && !override_check(&check, one, &wrong)) {
            buf_printf(&p->pointer, "/%zu", ret->overrides_len);
            if (wrong.p != NULL) {
                json_pointer_add(&p->pointer, wrong);
            }
            good = wrong.p == NULL
                       ? problem_set(p, ERR_MEMBER_INVALID, "each override is an object")
                       : problem_set(p, ERR_OVERRIDE_INVALID,
                                     "an override is NODE_ID.INPUT, of a node and an input that "
                                     "the workflow has");
        }
        ret->overrides_len++;
    }
    override_check_end(&check);
    if (good && ret->overrides_len == 0) {
        return problem_set(p, ERR_MEMBER_INVALID, "a batch has one override at least");
    }
    if (good) {
        ret->overrides = mem_copy(value);
        p->pointer.len = n - strlen("/overrides");
        p->has_pointer = false;
    }
    return good;
}
