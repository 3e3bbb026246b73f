/* Changes to a workflow's text; see the header. Places are offsets into the original text. */
#include "comfypool/core/splice.h"

#include <stdlib.h>

#include "comfypool/base/json_read.h"
#include "comfypool/base/json_write.h"

struct splice {
    size_t at;  /* of the value, or after the brace of the inputs */
    size_t len; /* of the replaced text; 0: inserted */
    size_t order;
    bool first;  /* inserted into an empty object */
    char *input; /* name of an inserted input */
    char *value;
    char *key; /* in by_place */
};

void splices_done(struct splices *s)
{
    for (size_t i = 0; i < s->len; i++) {
        free(s->list[i].input);
        free(s->list[i].value);
        free(s->list[i].key);
    }
    map_done(&s->by_place);
    places_done(&s->places);
    free(s->list);
    *s = (struct splices){0};
}

/* Searches an object; true with the reader behind the key. */
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

/* Builds the key: place of an existing value, or place and name of an inserted input. Owner: the
   caller. */
static char *key_of(size_t at, bool is_there, struct str input)
{
    AUTO_BUF struct buf key;
    buf_init(&key, BUF_NO_LIMIT);
    buf_add_uint(&key, at);
    if (!is_there) {
        buf_add_char(&key, '/');
        buf_add_str(&key, input);
    }
    (void)buf_text(&key);
    return buf_take(&key);
}

static void add(struct splices *s, const struct splice *take)
{
    if (s->len == s->cap) {
        s->cap = s->cap == 0 ? 8 : s->cap * 2;
        s->list = mem_grow(s->list, s->cap * sizeof *s->list);
    }
    s->list[s->len++] = *take;
    (void)map_put(&s->by_place, str_of(take->key), (void *)(uintptr_t)s->len);
}

bool splices_set_input(struct splices *s, const struct workflow *w, struct str text,
                       struct str node_id, struct str input, struct str value)
{
    const struct workflow_node *n = workflow_find(w, node_id);
    if (n == NULL) {
        return false;
    }
    const struct str old = places_input(&s->places, w, text, n, input);
    const size_t at = old.n > 0 ? (size_t)(old.p - text.p) : n->inputs_at + 1;
    char *key = key_of(at, old.n > 0, input);
    const uintptr_t found = (uintptr_t)map_get(&s->by_place, str_of(key));
    if (found != 0) {
        struct splice *x = &s->list[found - 1];
        free(key);
        free(x->value);
        x->value = mem_copy(value);
        return true;
    }
    add(s, &(struct splice){
               .at = at,
               .len = old.n,
               .order = s->len,
               .first = is_empty_object((struct str){text.p + n->inputs_at, n->inputs_len}),
               .input = old.n > 0 ? NULL : mem_copy(input),
               .value = mem_copy(value),
               .key = key,
           });
    return true;
}

static int by_place(const void *a, const void *b)
{
    const struct splice *x = *(const struct splice *const *)a;
    const struct splice *y = *(const struct splice *const *)b;
    return x->at != y->at ? (x->at > y->at) - (x->at < y->at) : (x->order > y->order) ? 1 : -1;
}

void splices_apply(struct splices *s, struct str text, struct buf *out)
{
    size_t done = 0;
    const struct splice **list = mem_alloc((s->len + 1) * sizeof(struct splice *));
    for (size_t i = 0; i < s->len; i++) {
        list[i] = &s->list[i];
    }
    qsort(list, s->len, sizeof(struct splice *), by_place);
    for (size_t i = 0; i < s->len; i++) {
        const struct splice *x = list[i];
        const bool again = i > 0 && list[i - 1]->at == x->at;
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
    free(list);
    buf_add(out, text.p + done, text.n - done);
}
