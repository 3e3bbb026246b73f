/* Changes to a workflow's text; see the header. Places are offsets into the text as it was. */
#include "comfypool/core/splice.h"

#include <stdlib.h>

#include "comfypool/base/json_read.h"
#include "comfypool/base/json_write.h"

struct splice {
    size_t at;  /* of the value, or behind the brace of the inputs */
    size_t len; /* of what it replaces; 0: it is put in */
    size_t order;
    bool first;  /* put in: into an object that is empty */
    char *input; /* put in: its name */
    char *value;
};

void splices_done(struct splices *s)
{
    for (size_t i = 0; i < s->len; i++) {
        free(s->list[i].input);
        free(s->list[i].value);
    }
    free(s->list);
    *s = (struct splices){0};
}

/* The reader stands behind the key when it was found. */
static bool find_key(struct js_reader *r, struct str input)
{
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    (void)js_next(r);
    for (struct js_token key = js_next(r); key.kind == JS_KEY; key = js_next(r)) {
        buf_clear(&scratch);
        if (str_eq(js_text(key, &scratch), input)) {
            return true;
        }
        (void)js_skip(r);
    }
    return false;
}

struct str workflow_input(const struct workflow_node *n, struct str text, struct str input)
{
    struct js_reader r;
    js_read_strict(&r, (struct str){text.p + n->inputs_at, n->inputs_len}, JS_MAX_DEPTH);
    return find_key(&r, input) ? js_skip(&r) : (struct str){NULL, 0};
}

static bool is_empty_object(struct str text)
{
    struct js_reader r;
    js_read_strict(&r, text, JS_MAX_DEPTH);
    (void)js_next(&r);
    return js_next(&r).kind == JS_OBJECT_END;
}

static struct splice *find(struct splices *s, size_t at, struct str input)
{
    for (size_t i = 0; i < s->len; i++) {
        struct splice *x = &s->list[i];
        if (x->at == at && (x->input == NULL || str_is(input, x->input))) {
            return x;
        }
    }
    return NULL;
}

bool splices_set_input(struct splices *s, const struct workflow *w, struct str text,
                       struct str node_id, struct str input, struct str value)
{
    const struct workflow_node *n = workflow_find(w, node_id);
    if (n == NULL) {
        return false;
    }
    const struct str old = workflow_input(n, text, input);
    const size_t at = old.n > 0 ? (size_t)(old.p - text.p) : n->inputs_at + 1;
    struct splice *x = find(s, at, input);
    if (x != NULL) {
        free(x->value);
        x->value = mem_copy(value);
        return true;
    }
    if (s->len == s->cap) {
        s->cap = s->cap == 0 ? 8 : s->cap * 2;
        s->list = mem_grow(s->list, s->cap * sizeof *s->list);
    }
    s->list[s->len] = (struct splice){
        .at = at,
        .len = old.n,
        .order = s->len,
        .first = is_empty_object((struct str){text.p + n->inputs_at, n->inputs_len}),
        .input = old.n > 0 ? NULL : mem_copy(input),
        .value = mem_copy(value),
    };
    s->len++;
    return true;
}

static int by_place(const void *a, const void *b)
{
    const struct splice *x = a;
    const struct splice *y = b;
    return x->at != y->at ? (x->at > y->at) - (x->at < y->at) : (x->order > y->order) ? 1 : -1;
}

void splices_apply(struct splices *s, struct str text, struct buf *out)
{
    size_t done = 0;
    if (s->len > 1) {
        qsort(s->list, s->len, sizeof *s->list, by_place);
    }
    for (size_t i = 0; i < s->len; i++) {
        const struct splice *x = &s->list[i];
        const bool again = i > 0 && s->list[i - 1].at == x->at;
        buf_add(out, text.p + done, x->at - done);
        done = x->at + x->len;
        if (x->input == NULL) {
            buf_add_text(out, x->value);
            continue;
        }
        if (x->first && again) {
            buf_add_char(out, ',');
        }
        struct js_out o = js_out_to(out);
        js_key(&o, x->input);
        js_raw(&o, str_of(x->value));
        if (!x->first) {
            buf_add_char(out, ',');
        }
    }
    buf_add(out, text.p + done, text.n - done);
}
