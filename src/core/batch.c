/* Overrides of a batch; see the header. */
#include "comfypool/core/batch.h"

#include <stdlib.h>

#include "comfypool/base/json_read.h"
#include "comfypool/base/json_write.h"
#include "comfypool/core/splice.h"

/* Dots tried in one name. */
enum { DOTS_MOST = 32 };

void override_check_begin(struct override_check *c, const struct workflow *w, struct str text)
{
    *c = (struct override_check){.w = w, .text = text};
}

void override_check_end(struct override_check *c)
{
    places_done(&c->places);
}

/* Finds the node of the longest id before a dot; NULL: none. */
static const struct workflow_node *split(const struct workflow *w, struct str name,
                                         struct str *ret_input)
{
    unsigned dots = 0;
    for (size_t dot = name.n; dot > 0 && dots < DOTS_MOST; dot--) {
        if (name.p[dot - 1] == '.') {
            const struct workflow_node *n = workflow_find(w, (struct str){name.p, dot - 1});
            dots++;
            if (n != NULL) {
                *ret_input = (struct str){name.p + dot, name.n - dot};
                return n;
            }
        }
    }
    return NULL;
}

static bool is_good(struct override_check *c, struct str name)
{
    struct str input;
    const struct workflow_node *n = split(c->w, name, &input);
    return n != NULL && places_input(&c->places, c->w, c->text, n, input).n > 0;
}

bool override_check(struct override_check *c, struct str one, struct str *ret_name)
{
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    struct js_reader r;
    *ret_name = (struct str){NULL, 0};
    js_read_strict(&r, one, JS_MAX_DEPTH);
    if (js_next(&r).kind != JS_OBJECT) {
        return false;
    }
    for (struct js_token key = js_next(&r); key.kind == JS_KEY; key = js_next(&r)) {
        buf_clear(&scratch);
        if (!is_good(c, js_text(key, &scratch))) {
            *ret_name = key.text;
            return false;
        }
        (void)js_skip(&r);
    }
    return true;
}

struct str override_next(struct str array, size_t *at)
{
    size_t from = *at;
    while (from < array.n && array.p[from] != '{') {
        from++;
    }
    struct js_reader r;
    js_read_strict(&r, (struct str){array.p + from, array.n - from}, JS_MAX_DEPTH);
    const struct str one = js_skip(&r);
    *at = from + one.n;
    return one;
}

void override_apply(struct str workflow, struct str one, struct buf *out)
{
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    struct workflow *w = workflow_reparse(workflow);
    struct splices s = {0};
    struct js_reader r;
    js_read_strict(&r, one, JS_MAX_DEPTH);
    (void)js_next(&r);
    for (struct js_token key = js_next(&r); w != NULL && key.kind == JS_KEY; key = js_next(&r)) {
        const struct str value = js_skip(&r);
        struct str input;
        buf_clear(&scratch);
        const struct workflow_node *n = split(w, js_text(key, &scratch), &input);
        if (n != NULL) {
            (void)!splices_set_input(&s, w, workflow, n->id, input, value);
        }
    }
    splices_apply(&s, workflow, out);
    splices_done(&s);
    workflow_free(w);
}

/* True if a value is, or names, a part of the structural hash. */
static bool is_structural(struct str input, struct str value)
{
    return (value.n > 0 && value.p[0] == '[') || workflow_names_model(input, value);
}

/* True if a value counts for the hash: no seed, and no text but a model's name. */
static bool is_hashed(struct str input, struct str value)
{
    return value.n > 0 && value.p[0] != '"' && !str_ends_with(input, STR("seed"));
}

bool override_is_structural(struct override_check *c, struct str one, struct buf *ret_key)
{
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    const size_t before = ret_key->len;
    bool structural = false;
    struct js_reader r;
    js_read_strict(&r, one, JS_MAX_DEPTH);
    (void)js_next(&r);
    for (struct js_token key = js_next(&r); key.kind == JS_KEY; key = js_next(&r)) {
        const struct str value = js_skip(&r);
        struct str input;
        buf_clear(&scratch);
        const struct workflow_node *n = split(c->w, js_text(key, &scratch), &input);
        if (n == NULL) {
            continue;
        }
        const struct str old = places_input(&c->places, c->w, c->text, n, input);
        const bool counts = is_structural(input, value) || is_structural(input, old);
        structural = structural || counts;
        if (counts || is_hashed(input, value) || is_hashed(input, old)) {
            buf_add_uint(ret_key, key.text.n);
            buf_add_char(ret_key, ' ');
            buf_add_str(ret_key, key.text);
            buf_add_str(ret_key, value);
            buf_add_char(ret_key, ' ');
        }
    }
    ret_key->len = structural ? ret_key->len : before;
    return structural;
}

/* ---- what the hashes depend on --------------------------------------------------------------- */

/* Reduces inputs, whose brace was read. */
static void reduce_inputs(struct js_reader *r, struct js_out *o, struct buf *scratch)
{
    js_open(o, '{');
    for (struct js_token key = js_next(r); key.kind == JS_KEY; key = js_next(r)) {
        const struct str value = js_skip(r);
        buf_clear(scratch);
        const struct str name = js_text(key, scratch);
        js_key_str(o, name);
        const bool is_text = value.p[0] == '"' && !workflow_names_model(name, value);
        js_raw(o, is_text ? STR("\"\"") : value.p[0] == '{' ? STR("{}") : value);
    }
    js_close(o, '}');
}

void override_skeleton(const struct workflow *w, struct str text, struct buf *out)
{
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    struct js_out o = js_out_to(out);
    js_open(&o, '{');
    for (size_t i = 0; i < w->len; i++) {
        const struct workflow_node *n = &w->nodes[i];
        js_key_str(&o, n->id);
        js_open(&o, '{');
        if (n->class_type.p != NULL) {
            js_member_str(&o, "class_type", n->class_type);
        }
        js_key(&o, "inputs");
        struct js_reader r;
        js_read_strict(&r, (struct str){text.p + n->inputs_at, n->inputs_len}, JS_MAX_DEPTH);
        (void)js_next(&r);
        reduce_inputs(&r, &o, &scratch);
        js_close(&o, '}');
    }
    js_close(&o, '}');
}

/* ---- hashes ---------------------------------------------------------------------------------- */

void override_hashes_begin(struct override_hashes *h, const struct workflow *w, struct str text)
{
    override_check_begin(&h->check, w, text);
    buf_init(&h->skeleton, BUF_NO_LIMIT);
    override_skeleton(w, text, &h->skeleton);
    map_init(&h->made);
}

void override_hashes_end(struct override_hashes *h)
{
    override_check_end(&h->check);
    buf_done(&h->skeleton);
    size_t at = 0;
    for (void *one = map_next(&h->made, &at); one != NULL; one = map_next(&h->made, &at)) {
        free(one);
    }
    map_done(&h->made);
}

static struct override_hash *hash_anew(const struct override_hashes *h, struct str one,
                                       struct str key)
{
    AUTO_BUF struct buf text;
    buf_init(&text, BUF_NO_LIMIT);
    override_apply(buf_str(&h->skeleton), one, &text);
    struct workflow *w = NULL;
    struct workflow_problem problem;
    if (!workflow_parse(buf_str(&text), &w, &problem)) {
        buf_done(&problem.pointer);
        return NULL;
    }
    struct override_hash *made = mem_zero(1, sizeof *made + key.n + 1);
    memcpy(made->workflow_hash, w->hash, sizeof made->workflow_hash);
    memcpy(made->cost_key, w->cost_key, sizeof made->cost_key);
    memcpy(made->key, key.p, key.n);
    workflow_free(w);
    return made;
}

/* A changed structure (a model, a link) is another workflow to backends and estimates. */
const struct override_hash *override_hash_of(struct override_hashes *h, struct str one)
{
    AUTO_BUF struct buf key;
    buf_init(&key, BUF_NO_LIMIT);
    if (!override_is_structural(&h->check, one, &key)) {
        return NULL;
    }
    struct override_hash *made = map_get(&h->made, buf_str(&key));
    if (made == NULL) {
        made = hash_anew(h, one, buf_str(&key));
        if (made != NULL) {
            (void)map_put(&h->made, (struct str){made->key, key.len}, made);
        }
    }
    return made;
}
