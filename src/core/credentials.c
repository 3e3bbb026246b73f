/* Account keys; see the header. */
#include "comfypool/core/credentials.h"

#include <stdlib.h>

#include "comfypool/base/json_read.h"
#include "comfypool/base/json_write.h"
#include "comfypool/base/map.h"

static const char *const names[CREDENTIAL_COUNT] = {
#define X(symbol, name) [symbol] = name,
    CREDENTIAL_TABLE(X)
#undef X
};

const char *credential_name(enum credential c)
{
    return names[c];
}

/* A member of an object: its key and the text of its value. */
struct member {
    struct js_token key;
    struct str value;
};

/* False: no object. */
static bool begin(struct js_reader *r, struct str text)
{
    js_read_strict(r, text, JS_MAX_DEPTH);
    return text.n > 0 && js_next(r).kind == JS_OBJECT;
}

static bool next(struct js_reader *r, struct member *ret)
{
    ret->key = js_next(r);
    ret->value = ret->key.kind == JS_KEY ? js_skip(r) : (struct str){NULL, 0};
    return ret->value.n > 0;
}

/* CREDENTIAL_COUNT: none. */
static enum credential credential_of(const struct member *m)
{
    for (int i = 0; i < CREDENTIAL_COUNT; i++) {
        if (js_is(m->key, names[i])) {
            return (enum credential)i;
        }
    }
    return CREDENTIAL_COUNT;
}

static bool has_value(const struct member *m)
{
    return !str_is(m->value, "null") && !str_is(m->value, "\"\"");
}

unsigned credentials_in(struct str extra_data)
{
    struct js_reader r;
    struct member m;
    unsigned found = 0;
    for (bool more = begin(&r, extra_data) && next(&r, &m); more; more = next(&r, &m)) {
        const enum credential c = credential_of(&m);
        found |= c < CREDENTIAL_COUNT && has_value(&m) ? 1u << c : 0;
    }
    return found;
}

unsigned credentials_cut(struct str extra_data, struct buf *rest, struct buf *keys)
{
    struct js_reader r;
    struct member m;
    unsigned found = 0;
    const char *from = extra_data.p; /* not copied to rest yet */
    struct js_out o = js_out_to(keys);
    for (bool more = begin(&r, extra_data) && next(&r, &m); more; more = next(&r, &m)) {
        const enum credential c = credential_of(&m);
        if (c == CREDENTIAL_COUNT || !has_value(&m)) {
            continue;
        }
        if (found == 0) {
            js_open(&o, '{');
        }
        found |= 1u << c;
        js_member_raw(&o, names[c], m.value);
        buf_add(rest, from, (size_t)(m.value.p - from));
        buf_add_text(rest, "null");
        from = m.value.p + m.value.n;
    }
    if (found != 0) {
        js_close(&o, '}');
    }
    if (extra_data.n > 0) {
        buf_add(rest, from, extra_data.n - (size_t)(from - extra_data.p));
    }
    return found;
}

/* Reads the values of an object of keys; n == 0: not there. */
static void read_keys(struct str keys, struct str ret[CREDENTIAL_COUNT])
{
    struct js_reader r;
    struct member m;
    for (int i = 0; i < CREDENTIAL_COUNT; i++) {
        ret[i] = (struct str){NULL, 0};
    }
    for (bool more = begin(&r, keys) && next(&r, &m); more; more = next(&r, &m)) {
        const enum credential c = credential_of(&m);
        if (c < CREDENTIAL_COUNT) {
            ret[c] = m.value;
        }
    }
}

/* Inserts keys without a place in the text before its last brace. */
static void add_at_end(struct str values[CREDENTIAL_COUNT], bool is_empty, struct buf *out)
{
    while (out->len > 0 && out->data[out->len - 1] != '}') {
        out->len--;
    }
    out->len -= out->len > 0 ? 1 : 0;
    struct js_out o = {.buf = out, .comma = !is_empty};
    for (int i = 0; i < CREDENTIAL_COUNT; i++) {
        if (values[i].n > 0) {
            js_member_raw(&o, names[i], values[i]);
        }
    }
    buf_add_char(out, '}');
}

void credentials_join(struct str extra_data, struct str keys, struct buf *out)
{
    struct js_reader r;
    struct member m;
    struct str values[CREDENTIAL_COUNT];
    bool is_empty = true;
    bool left = false;
    const struct str text = extra_data.n == 0 && keys.n > 0 ? STR("{}") : extra_data;
    const char *from = text.p;
    read_keys(keys, values);
    for (bool more = begin(&r, text) && next(&r, &m); more; more = next(&r, &m)) {
        const enum credential c = credential_of(&m);
        is_empty = false;
        if (c < CREDENTIAL_COUNT && values[c].n > 0) {
            buf_add(out, from, (size_t)(m.value.p - from));
            buf_add_str(out, values[c]);
            from = m.value.p + m.value.n;
            values[c].n = 0;
        }
    }
    if (text.n > 0) {
        buf_add(out, from, text.n - (size_t)(from - text.p));
    }
    for (int i = 0; i < CREDENTIAL_COUNT; i++) {
        left = left || values[i].n > 0;
    }
    if (left) {
        add_at_end(values, is_empty, out);
    }
}

/* A member of `given` not found yet. */
struct sought {
    char *text;
    struct str name; /* in text; may contain a NUL */
    struct str value;
};

static void sought_new(struct map *all, const struct member *m)
{
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    struct sought *s = mem_zero(1, sizeof *s);
    const struct str name = js_text(m->key, &scratch);
    s->text = mem_copy(name);
    s->name = (struct str){s->text, name.n};
    s->value = m->value;
    (void)map_put(all, s->name, s);
}

/* Removes from `all` the members that extra_data has too. */
static void strike(struct map *all, struct str extra_data)
{
    struct js_reader r;
    struct member m;
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    bool more = all->len > 0 && begin(&r, extra_data) && next(&r, &m);
    for (; more; more = all->len > 0 && next(&r, &m)) {
        buf_clear(&scratch);
        struct sought *s = map_get(all, js_text(m.key, &scratch));
        if (s != NULL && str_eq(s->value, m.value)) {
            (void)map_remove(all, s->name);
            free(s->text);
            free(s);
        }
    }
}

bool credentials_are_all(struct str given, struct str extra_data, struct buf *ret_other)
{
    struct js_reader r;
    struct member m;
    struct map all;
    map_init(&all);
    for (bool more = begin(&r, given) && next(&r, &m); more; more = next(&r, &m)) {
        if (credential_of(&m) == CREDENTIAL_COUNT) {
            sought_new(&all, &m);
        }
    }
    strike(&all, extra_data);
    const bool are = all.len == 0;
    size_t at = 0;
    for (struct sought *s = map_next(&all, &at); s != NULL; s = map_next(&all, &at)) {
        if (ret_other->len == 0) {
            buf_add_str(ret_other, s->name);
        }
        free(s->text);
        free(s);
    }
    map_done(&all);
    return are;
}
