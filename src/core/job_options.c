/* Submission options, to JSON and back; see the header. */
#include "comfypool/core/job_options.h"

#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/json_read.h"
#include "comfypool/base/json_write.h"

void job_where_done(struct job_where *w)
{
    names_done(&w->only);
    names_done(&w->prefer);
    names_done(&w->exclude);
    names_done(&w->labels);
}

void job_options_done(struct job_options *s)
{
    names_done(&s->include_outputs);
    job_where_done(&s->where);
    for (size_t i = 0; i < s->variants_len; i++) {
        free(s->variants[i].workflow);
        job_where_done(&s->variants[i].where);
    }
    free(s->variants);
    *s = (struct job_options){0};
}

void job_options_free(struct job_options *s)
{
    if (s != NULL) {
        job_options_done(s);
        free(s);
    }
}

static bool where_is_empty(const struct job_where *w)
{
    return !w->has_only && w->prefer.len == 0 && w->exclude.len == 0 && w->labels.len == 0;
}

bool job_options_is_empty(const struct job_options *s)
{
    return !s->keep_seeds && !s->run_on_failure && !s->skip_eligibility &&
           s->include_outputs.len == 0 && where_is_empty(&s->where) && s->variants_len == 0;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void write_names(struct js_out *o, const char *name, const struct names *n, bool always)
{
    if (n->len == 0 && !always) {
        return;
    }
    js_key(o, name);
    js_open(o, '[');
    for (size_t i = 0; i < n->len; i++) {
        js_string(o, n->list[i]);
    }
    js_close(o, ']');
}

static void write_flag(struct js_out *o, const char *name, bool value)
{
    if (value) {
        js_member_bool(o, name, true);
    }
}

static void write_where(struct js_out *o, const struct job_where *w)
{
    write_names(o, "only", &w->only, w->has_only);
    write_names(o, "prefer", &w->prefer, false);
    write_names(o, "exclude", &w->exclude, false);
    write_names(o, "labels", &w->labels, false);
}

static void write_variant(struct js_out *o, const struct job_variant *v)
{
    js_open(o, '{');
    js_member_string(o, "hash", v->hash);
    js_member_string(o, "costKey", v->cost_key);
    js_member_int(o, "nodes", (int64_t)v->nodes_total);
    write_where(o, &v->where);
    js_member_raw(o, "workflow", (struct str){v->workflow, v->workflow_len});
    js_close(o, '}');
}

void job_options_write(const struct job_options *s, struct buf *out)
{
    struct js_out o = js_out_to(out);
    js_open(&o, '{');
    write_flag(&o, "keepSeeds", s->keep_seeds);
    write_flag(&o, "runOnFailure", s->run_on_failure);
    write_flag(&o, "skipEligibility", s->skip_eligibility);
    write_names(&o, "includeOutputs", &s->include_outputs, false);
    write_where(&o, &s->where);
    if (s->variants_len > 0) {
        js_key(&o, "variants");
        js_open(&o, '[');
        for (size_t i = 0; i < s->variants_len; i++) {
            write_variant(&o, &s->variants[i]);
        }
        js_close(&o, ']');
    }
    js_close(&o, '}');
}

/* ---- reading --------------------------------------------------------------------------------- */

static void read_where(struct js_token key, struct str value, struct job_where *w)
{
    if (js_is(key, "only")) {
        w->has_only = true;
        names_read(&w->only, value);
    } else if (js_is(key, "prefer")) {
        names_read(&w->prefer, value);
    } else if (js_is(key, "exclude")) {
        names_read(&w->exclude, value);
    } else if (js_is(key, "labels")) {
        names_read(&w->labels, value);
    }
}

/* Copies a text of ours, which has no escapes. */
static void read_text(struct str value, char *ret, size_t size)
{
    if (value.n >= 2) {
        (void)snprintf(ret, size, "%.*s", (int)value.n - 2, value.p + 1);
    }
}

static void read_variant(struct js_reader *r, struct job_variant *v)
{
    for (struct js_token key = js_next(r); key.kind == JS_KEY; key = js_next(r)) {
        const struct str value = js_skip(r);
        int64_t n = 0;
        if (js_is(key, "hash")) {
            read_text(value, v->hash, sizeof v->hash);
        } else if (js_is(key, "costKey")) {
            read_text(value, v->cost_key, sizeof v->cost_key);
        } else if (js_is(key, "nodes") && str_to_int64(value, &n)) {
            v->nodes_total = (size_t)n;
        } else if (js_is(key, "workflow")) {
            v->workflow = mem_copy(value);
            v->workflow_len = value.n;
        } else {
            read_where(key, value, &v->where);
        }
    }
}

static void read_variants(struct str value, struct job_options *s)
{
    struct js_reader r;
    js_read_strict(&r, value, JS_MAX_DEPTH);
    (void)js_next(&r);
    while (js_next(&r).kind == JS_OBJECT) {
        s->variants = mem_grow(s->variants, (s->variants_len + 1) * sizeof *s->variants);
        s->variants[s->variants_len] = (struct job_variant){.nodes_total = 0};
        read_variant(&r, &s->variants[s->variants_len]);
        s->variants_len++;
    }
}

/* Hashes the variants' cost keys. */
static void make_variants_key(struct job_options *s)
{
    AUTO_BUF struct buf keys;
    buf_init(&keys, BUF_NO_LIMIT);
    for (size_t i = 0; i < s->variants_len; i++) {
        buf_printf(&keys, "%s ", s->variants[i].cost_key);
    }
    if (s->variants_len > 0) {
        digest_sha256_hex(buf_str(&keys), s->variants_key);
    }
}

struct job_options *job_options_read(struct str json)
{
    struct job_options *s = mem_zero(1, sizeof *s);
    struct js_reader r;
    js_read_strict(&r, json, JS_MAX_DEPTH);
    (void)js_next(&r);
    for (struct js_token key = js_next(&r); key.kind == JS_KEY; key = js_next(&r)) {
        const struct str value = js_skip(&r);
        if (js_is(key, "keepSeeds")) {
            s->keep_seeds = true;
        } else if (js_is(key, "runOnFailure")) {
            s->run_on_failure = true;
        } else if (js_is(key, "skipEligibility")) {
            s->skip_eligibility = true;
        } else if (js_is(key, "includeOutputs")) {
            names_read(&s->include_outputs, value);
        } else if (js_is(key, "variants")) {
            read_variants(value, s);
        } else {
            read_where(key, value, &s->where);
        }
    }
    make_variants_key(s);
    return s;
}

bool job_where_allows(const struct job_where *w, const char *name, const struct names *labels)
{
    if ((w->has_only && !names_have(&w->only, name)) || names_have(&w->exclude, name)) {
        return false;
    }
    for (size_t i = 0; i < w->labels.len; i++) {
        if (!label_is_met(str_of(w->labels.list[i]), labels)) {
            return false;
        }
    }
    return true;
}

const struct job_variant *job_options_chosen(const struct job_options *s, const char *placement,
                                             size_t *ret_place)
{
    struct js_reader r;
    js_read_strict(&r, str_of(placement == NULL ? "{}" : placement), JS_MAX_DEPTH);
    (void)js_next(&r);
    for (struct js_token key = js_next(&r); key.kind == JS_KEY; key = js_next(&r)) {
        int64_t n = -1;
        const struct str value = js_skip(&r);
        if (js_is(key, "variant") && str_to_int64(value, &n) && n >= 0 && s != NULL &&
            (size_t)n < s->variants_len) {
            *ret_place = (size_t)n;
            return &s->variants[n];
        }
    }
    return NULL;
}
