/* Values that servers accepted outside their lists; see the header. */
#include "comfypool/core/accepted.h"

#include <stdlib.h>
#include <string.h>

#include "comfypool/base/digest.h"
#include "comfypool/base/json_read.h"
#include "comfypool/base/json_write.h"
#include "comfypool/core/catalog.h"

/* Limits of entries a server and bytes an entry: all are written whenever one is added. */
enum { MAX_TAKEN = 1000, MAX_TEXT = 4096 };

struct taken {
    char *key;
    char *class_type;
    char *input;
    char *value;
    char shape[DIGEST_HEX_SIZE]; /* of the class when it was accepted */
};

static void taken_free(struct taken *t)
{
    free(t->key);
    free(t->class_type);
    free(t->input);
    free(t->value);
    free(t);
}

static void make_key(struct str class_type, struct str input, struct buf *key)
{
    buf_add_str(key, class_type);
    buf_add_char(key, '\n');
    buf_add_str(key, input);
}

void accepted_init(struct accepted *a)
{
    map_init(&a->by_input);
}

void accepted_clear(struct accepted *a)
{
    size_t at = 0;
    for (struct taken *t = map_next(&a->by_input, &at); t != NULL;
         t = map_next(&a->by_input, &at)) {
        taken_free(t);
    }
    map_done(&a->by_input);
    map_init(&a->by_input);
}

bool accepted_has(const struct accepted *a, struct str class_type, struct str input)
{
    if (a->by_input.len == 0) {
        return false;
    }
    AUTO_BUF struct buf key;
    buf_init(&key, BUF_NO_LIMIT);
    make_key(class_type, input, &key);
    return map_get(&a->by_input, buf_str(&key)) != NULL;
}

bool accepted_add(struct accepted *a, struct str class_type, struct str input, struct str value,
                  struct str shape)
{
    AUTO_BUF struct buf key;
    buf_init(&key, BUF_NO_LIMIT);
    make_key(class_type, input, &key);
    if (a->by_input.len >= MAX_TAKEN || shape.n != DIGEST_HEX_SIZE - 1 ||
        class_type.n + input.n + value.n > MAX_TEXT ||
        map_get(&a->by_input, buf_str(&key)) != NULL) {
        return false;
    }
    struct taken *t = mem_zero(1, sizeof *t);
    t->key = buf_take(&key);
    t->class_type = mem_copy(class_type);
    t->input = mem_copy(input);
    t->value = mem_copy(value);
    memcpy(t->shape, shape.p, shape.n);
    (void)map_put(&a->by_input, str_of(t->key), t);
    return true;
}

bool accepted_review(struct accepted *a, const struct catalog *now)
{
    struct map kept;
    map_init(&kept);
    const size_t before = a->by_input.len;
    size_t at = 0;
    for (struct taken *t = map_next(&a->by_input, &at); t != NULL;
         t = map_next(&a->by_input, &at)) {
        const struct catalog_class *c = catalog_find(now, str_of(t->class_type));
        if (c == NULL || strcmp(c->shape, t->shape) != 0 ||
            catalog_allows(c, str_of(t->input), str_of(t->value))) {
            taken_free(t);
        } else {
            (void)map_put(&kept, str_of(t->key), t);
        }
    }
    map_done(&a->by_input);
    a->by_input = kept;
    return kept.len != before;
}

/* ---- as text --------------------------------------------------------------------------------- */

void accepted_write(const struct accepted *a, struct buf *out)
{
    struct js_out o = js_out_to(out);
    js_open(&o, '[');
    size_t at = 0;
    for (const struct taken *t = map_next(&a->by_input, &at); t != NULL;
         t = map_next(&a->by_input, &at)) {
        js_open(&o, '{');
        js_member_string(&o, "class", t->class_type);
        js_member_string(&o, "input", t->input);
        js_member_string(&o, "value", t->value);
        js_member_string(&o, "shape", t->shape);
        js_close(&o, '}');
    }
    js_close(&o, ']');
}

/* Reads one entry, whose brace was read. */
static void load_one(struct accepted *a, struct js_reader *r)
{
    static const char *const names[] = {"class", "input", "value", "shape"};
    char *texts[sizeof names / sizeof *names] = {NULL};
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    for (struct js_token key = js_next(r); key.kind == JS_KEY; key = js_next(r)) {
        const struct js_token v = js_next(r);
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            if (js_is(key, names[i]) && texts[i] == NULL) {
                buf_clear(&scratch);
                texts[i] = mem_copy(js_text(v, &scratch));
            }
        }
    }
    if (texts[0] != NULL && texts[1] != NULL && texts[2] != NULL && texts[3] != NULL) {
        (void)accepted_add(a, str_of(texts[0]), str_of(texts[1]), str_of(texts[2]),
                           str_of(texts[3]));
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        free(texts[i]);
    }
}

void accepted_read(struct accepted *a, struct str text)
{
    struct js_reader r;
    js_read_strict(&r, text, JS_MAX_DEPTH);
    (void)js_next(&r);
    while (js_next(&r).kind == JS_OBJECT) {
        load_one(a, &r);
    }
}
