/* Overrides of a batch; see the header. */
#include "comfypool/core/batch.h"

#include <stdlib.h>

#include "comfypool/base/json_read.h"
#include "comfypool/core/splice.h"

enum { NAMES_KEPT = 1024 };

void override_check_begin(struct override_check *c, const struct workflow *w, struct str text)
{
    *c = (struct override_check){.w = w, .text = text};
    map_init(&c->good);
}

void override_check_end(struct override_check *c)
{
    size_t at = 0;
    for (char *name = map_next(&c->good, &at); name != NULL; name = map_next(&c->good, &at)) {
        free(name);
    }
    map_done(&c->good);
}

/* The node of the longest id before a dot; NULL: there is none. */
static const struct workflow_node *split(const struct workflow *w, struct str name,
                                         struct str *ret_input)
{
    for (size_t dot = name.n; dot > 0; dot--) {
        if (name.p[dot - 1] == '.') {
            const struct workflow_node *n = workflow_find(w, (struct str){name.p, dot - 1});
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
    if (map_get(&c->good, name) != NULL) {
        return true;
    }
    struct str input;
    const struct workflow_node *n = split(c->w, name, &input);
    if (n == NULL || workflow_input(n, c->text, input).n == 0) {
        return false;
    }
    if (c->good.len < NAMES_KEPT) {
        char *kept = mem_copy(name);
        (void)map_put(&c->good, (struct str){kept, name.n}, kept);
    }
    return true;
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

/* Whether a value is, or names, a part of the structural hash. */
static bool is_structural(struct str input, struct str value)
{
    return (value.n > 0 && value.p[0] == '[') || workflow_names_model(input, value);
}

bool override_is_structural(const struct override_check *c, struct str one)
{
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
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
        if (is_structural(input, value) ||
            is_structural(input, workflow_input(n, c->text, input))) {
            return true;
        }
    }
    return false;
}
