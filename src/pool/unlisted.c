/* Inputs whose lists do not count; see the header. */
#include "unlisted.h"

#include <stdlib.h>

#include "comfypool/base/json_read.h"
#include "comfypool/base/json_write.h"
#include "comfypool/base/log.h"
#include "attempt.h"
#include "backends.h"
#include "eligible.h"
#include "state.h"
#include "knowledge.h"

/* Of a backend; more are not remembered, nor longer ones: all are written whenever one is learnt.
 */
enum { MAX_TAKEN = 1000, MAX_TEXT = 4096 };

struct taken {
    char *key;
    char *class_type;
    char *input;
    char *value;
    char shape[DIGEST_HEX_SIZE]; /* of the class at the time */
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

/* ---- the configuration ----------------------------------------------------------------------- */

/* "CLASS.INPUT" or "CLASS.*"; a class may have dots in its name. */
static bool names_input(const char *entry, struct str class_type, struct str input)
{
    const char *dot = strrchr(entry, '.');
    return str_eq((struct str){entry, (size_t)(dot - entry)}, class_type) &&
           (strcmp(dot, ".*") == 0 || str_is(input, dot + 1));
}

static bool is_trusted(const struct pool *p, struct str class_type, struct str input)
{
    size_t i = 0;
    while (i < p->options.trusted_inputs_len &&
           !names_input(p->options.trusted_inputs[i], class_type, input)) {
        i++;
    }
    return i < p->options.trusted_inputs_len;
}

bool unlisted_may_be_good(const struct backend *b, struct str class_type, struct str input)
{
    if (is_trusted(b->pool, class_type, input)) {
        return true;
    }
    if (b->unlisted.by_input.len == 0) {
        return false;
    }
    AUTO_BUF struct buf key;
    buf_init(&key, BUF_NO_LIMIT);
    make_key(class_type, input, &key);
    return map_get(&b->unlisted.by_input, buf_str(&key)) != NULL;
}

/* ---- on disk --------------------------------------------------------------------------------- */

static void setting_name(const struct backend *b, struct buf *name)
{
    buf_printf(name, "unlisted.%s", b->name);
}

static void stored(void *ctx, enum err e)
{
    (void)ctx;
    (void)e; /* such a write is kept until it succeeds */
}

static void save(const struct backend *b)
{
    AUTO_BUF struct buf name;
    AUTO_BUF struct buf value;
    buf_init(&name, BUF_NO_LIMIT);
    buf_init(&value, BUF_NO_LIMIT);
    setting_name(b, &name);
    struct js_out o = js_out_to(&value);
    js_open(&o, '[');
    size_t at = 0;
    for (const struct taken *t = map_next(&b->unlisted.by_input, &at); t != NULL;
         t = map_next(&b->unlisted.by_input, &at)) {
        js_open(&o, '{');
        js_member_string(&o, "class", t->class_type);
        js_member_string(&o, "input", t->input);
        js_member_string(&o, "value", t->value);
        js_member_string(&o, "shape", t->shape);
        js_close(&o, '}');
    }
    js_close(&o, ']');
    store_put_setting(b->pool->store, buf_text(&name), buf_text(&value), stored, NULL);
}

/* False: it was remembered before, or there is no room. */
static bool add(struct backend *b, struct str class_type, struct str input, struct str value,
                struct str shape)
{
    AUTO_BUF struct buf key;
    buf_init(&key, BUF_NO_LIMIT);
    make_key(class_type, input, &key);
    if (b->unlisted.by_input.len >= MAX_TAKEN || shape.n != DIGEST_HEX_SIZE - 1 ||
        class_type.n + input.n + value.n > MAX_TEXT ||
        map_get(&b->unlisted.by_input, buf_str(&key)) != NULL) {
        return false;
    }
    struct taken *t = mem_zero(1, sizeof *t);
    t->key = buf_take(&key);
    t->class_type = mem_copy(class_type);
    t->input = mem_copy(input);
    t->value = mem_copy(value);
    memcpy(t->shape, shape.p, shape.n);
    (void)map_put(&b->unlisted.by_input, str_of(t->key), t);
    return true;
}

/* One object that has begun. */
static void load_one(struct backend *b, struct js_reader *r)
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
        (void)add(b, str_of(texts[0]), str_of(texts[1]), str_of(texts[2]), str_of(texts[3]));
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        free(texts[i]);
    }
}

void unlisted_init(struct backend *b)
{
    map_init(&b->unlisted.by_input);
    AUTO_BUF struct buf name;
    buf_init(&name, BUF_NO_LIMIT);
    setting_name(b, &name);
    AUTO_FREE char *value = NULL;
    if (store_get_setting(b->pool->store, buf_text(&name), &value) != ERR_NONE || value == NULL) {
        return;
    }
    struct js_reader r;
    js_read_strict(&r, str_of(value), JS_MAX_DEPTH);
    (void)js_next(&r);
    while (js_next(&r).kind == JS_OBJECT) {
        load_one(b, &r);
    }
}

void unlisted_done(struct backend *b)
{
    size_t at = 0;
    for (struct taken *t = map_next(&b->unlisted.by_input, &at); t != NULL;
         t = map_next(&b->unlisted.by_input, &at)) {
        taken_free(t);
    }
    map_done(&b->unlisted.by_input);
    map_init(&b->unlisted.by_input);
}

void unlisted_forget(struct backend *b)
{
    if (b->unlisted.by_input.len > 0) {
        unlisted_done(b);
        save(b);
    }
}

/* ---- learning -------------------------------------------------------------------------------- */

struct learning {
    struct backend *b;
    bool any;
};

static void learn_one(void *ctx, const struct workflow_node *node, const struct workflow_value *m)
{
    struct learning *l = ctx;
    const struct catalog_class *c = catalog_find(&l->b->knows.catalog, node->class_type);
    if (m == NULL || c == NULL ||
        !add(l->b, node->class_type, m->input, m->value, str_of(c->shape))) {
        return;
    }
    l->any = true;
    AUTO_FREE char *class_type = mem_copy(node->class_type);
    AUTO_FREE char *input = mem_copy(m->input);
    LOG(LOG_INFO, "the backend took a value outside the list of an input: the list does not count",
        LOG_S("backend", l->b->name), LOG_S("class", class_type), LOG_S("input", input));
}

void unlisted_learn(struct backend *b, const struct need *n)
{
    if (n == NULL || !b->knows.known) {
        return;
    }
    struct learning l = {.b = b};
    const struct need_catalog has = knowledge_of(b);
    need_find_lacks(n, &has, learn_one, &l);
    if (l.any) {
        save(b);
        knowledge_learnt(b);
    }
}

void unlisted_review(struct backend *b)
{
    struct map *all = &b->unlisted.by_input;
    struct map kept;
    map_init(&kept);
    size_t at = 0;
    const size_t before = all->len;
    for (struct taken *t = map_next(all, &at); t != NULL; t = map_next(all, &at)) {
        const struct catalog_class *c = catalog_find(&b->knows.catalog, str_of(t->class_type));
        if (c == NULL || strcmp(c->shape, t->shape) != 0 ||
            catalog_allows(c, str_of(t->input), str_of(t->value))) {
            taken_free(t);
        } else {
            (void)map_put(&kept, str_of(t->key), t);
        }
    }
    map_done(all);
    *all = kept;
    if (kept.len != before) {
        save(b);
    }
}
