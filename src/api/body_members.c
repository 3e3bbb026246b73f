/*
 * Members of a body, read by tables: strict JSON, an object, each member known and of its shape;
 * errors are located by a pointer. Also readers shared by several tables. Pure. Cost: O(length) and
 * a short search of the table for each member.
 */
#include "body_members.h"

#include "comfypool/base/near.h"
#include "comfypool/base/sniff.h"
#include "comfypool/base/text.h"
#include "comfypool/core/workflow.h"

enum { MIN_PRIORITY = -1000, MAX_PRIORITY = 1000 };

const char member_priority_shape[] = "a whole number from -1000 to 1000";

/* ---- problems -------------------------------------------------------------------------------- */

void members_point_at(struct problem *p, struct str name)
{
    p->has_pointer = true;
    json_pointer_add(&p->pointer, name);
}

/* Limit of a key in a pointer. A longer one is none of ours, and is not echoed: the pointer then
   names the object that has it. */
enum { LONGEST_KEY = 1024 };

static void point_at_key(struct problem *p, struct js_token key)
{
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    if (key.text.n > LONGEST_KEY) {
        p->has_pointer = true;
        return;
    }
    members_point_at(p, js_text(key, &scratch));
}

bool members_refuse_key(struct js_token key, enum err code, const char *detail, struct problem *p)
{
    point_at_key(p, key);
    return problem_set(p, code, "%s", detail);
}

static void add_name(struct near *near, struct buf *names, const char *name)
{
    near_try(near, name);
    buf_printf(names, "%s%s", names->len == 0 ? "" : ", ", name);
}

bool members_refuse_unknown(struct js_token key, const char *const *others,
                            const struct member *table, size_t len, struct problem *p)
{
    AUTO_BUF struct buf scratch;
    AUTO_BUF struct buf names;
    buf_init(&scratch, BUF_NO_LIMIT);
    buf_init(&names, BUF_NO_LIMIT);
    struct near near = near_to(str_clip(js_text(key, &scratch), LONGEST_KEY));
    for (; others != NULL && *others != NULL; others++) {
        add_name(&near, &names, *others);
    }
    for (size_t i = 0; i < len; i++) {
        add_name(&near, &names, table[i].name);
    }
    point_at_key(p, key);
    if (near.name != NULL) {
        return problem_set(p, ERR_MEMBER_UNKNOWN, "there is no such member; did you mean %s?",
                           near.name);
    }
    return problem_set(p, ERR_MEMBER_UNKNOWN, "there is no such member here%s%s",
                       names.len == 0 ? "" : "; there are ", buf_text(&names));
}

static bool refuse_json(struct str body, size_t offset, const char *why, struct problem *p)
{
    size_t line = 1;
    size_t column = 1;
    for (size_t i = 0; i < offset && i < body.n; i++) {
        line += body.p[i] == '\n';
        column = body.p[i] == '\n' ? 1 : column + 1;
    }
    return problem_set(p, ERR_JSON_INVALID, "%s (line %zu, column %zu, byte %zu)", why, line,
                       column, offset);
}

bool members_check(struct str body, struct problem *p)
{
    size_t offset = 0;
    const char *why = "";
    if (!js_check(body, BODY_DEPTH, &offset, &why)) {
        const char *what = sniff(body);
        return what != NULL ? problem_set(p, ERR_JSON_INVALID, "%s", what)
                            : refuse_json(body, offset, why, p);
    }
    struct js_reader r;
    js_read_checked(&r, body);
    if (js_next(&r).kind == JS_OBJECT) {
        return true;
    }
    p->has_pointer = true;
    return problem_set(p, ERR_MEMBER_INVALID, "the body must be an object");
}

static bool refuse_value(const struct member *m, struct js_token key, const struct value *v,
                         struct problem *p)
{
    point_at_key(p, key);
    if (v->bad >= 0) {
        buf_printf(&p->pointer, "/%d", v->bad);
    }
    if (m->shape == NULL) {
        return problem_set(p, ERR_MEMBER_INVALID, "%s must be a whole number from %lld to %lld",
                           m->name, (long long)m->least, (long long)m->most);
    }
    return problem_set(p, ERR_MEMBER_INVALID, "%s must be %s", m->name, m->shape);
}

/* ---- the walk -------------------------------------------------------------------------------- */

size_t members_find(const struct member *table, size_t len, struct js_token key)
{
    size_t i = 0;
    while (i < len && !js_is(key, table[i].name)) {
        i++;
    }
    return i;
}

/* Reads a value with members of its own; p's pointer names the member meanwhile. */
static bool read_inside(const struct member *m, struct js_token key, struct value *v, void *ret,
                        struct problem *p)
{
    const size_t n = p->pointer.len;
    const bool pointed = p->has_pointer;
    point_at_key(p, key);
    if (!m->read_inside(v, ret, p)) {
        return false;
    }
    p->pointer.len = n;
    p->has_pointer = pointed;
    return true;
}

bool members_read_one(const struct member *m, struct js_token key, struct value *v, void *ret,
                      struct problem *p)
{
    if (m->read_inside != NULL) {
        return read_inside(m, key, v, ret, p);
    }
    v->bad = -1;
    return m->read(m, v, ret) || refuse_value(m, key, v, p);
}

bool members_read(struct str body, const struct member *table, size_t len, void *ret,
                  unsigned *ret_seen, struct problem *p)
{
    struct js_reader r;
    js_read_checked(&r, body);
    (void)js_next(&r);
    *ret_seen = 0;
    for (struct js_token key = js_next(&r); key.kind == JS_KEY; key = js_next(&r)) {
        struct value v = {.token = js_next(&r)};
        v.text = js_rest(&r, v.token);
        const size_t i = members_find(table, len, key);
        if (i == len) {
            return members_refuse_unknown(key, NULL, table, len, p);
        }
        if (!members_read_one(&table[i], key, &v, ret, p)) {
            return false;
        }
        *ret_seen |= 1u << i;
    }
    return true;
}

/* ---- readers --------------------------------------------------------------------------------- */

bool member_int(const struct member *m, struct value *v, void *ret)
{
    int64_t n = 0;
    if (!js_int(v->token, &n) || n < m->least || n > m->most) {
        return false;
    }
    *(int64_t *)(void *)((char *)ret + m->offset) = n;
    return true;
}

bool member_priority(const struct member *m, struct value *v, void *ret)
{
    int64_t n = 0;
    if (!js_int(v->token, &n) || n < MIN_PRIORITY || n > MAX_PRIORITY) {
        return false;
    }
    *(int *)(void *)((char *)ret + m->offset) = (int)n;
    return true;
}

bool member_text(const struct member *m, struct value *v, void *ret, size_t most)
{
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    if (v->token.kind != JS_STRING) {
        return false;
    }
    const struct str text = js_text(v->token, &scratch);
    if (text.n == 0 || text.n > most || !text_is_plain(text)) {
        return false;
    }
    *(char **)(void *)((char *)ret + m->offset) = mem_copy(text);
    return true;
}

bool member_each_string(struct value *v, bool (*each)(void *ctx, struct str text), void *ctx)
{
    struct js_reader r;
    js_read_checked(&r, v->text);
    if (js_next(&r).kind != JS_ARRAY) {
        return false;
    }
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    v->bad = 0;
    for (struct js_token t = js_next(&r); t.kind != JS_ARRAY_END; t = js_next(&r)) {
        buf_clear(&scratch);
        if (t.kind != JS_STRING || !each(ctx, js_text(t, &scratch))) {
            return false;
        }
        v->bad++;
    }
    v->bad = -1;
    return true;
}
