/* Labels and selectors; see the header. */
#include "comfypool/core/label.h"

#include <math.h>
#include <stdlib.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/json_read.h"

void names_add(struct names *n, struct str text)
{
    n->list = mem_grow(n->list, (n->len + 1) * sizeof *n->list);
    n->list[n->len++] = mem_copy(text);
}

void names_read(struct names *n, struct str array)
{
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    struct js_reader r;
    js_read_strict(&r, array, JS_MAX_DEPTH);
    (void)js_next(&r);
    for (struct js_token t = js_next(&r); t.kind == JS_STRING; t = js_next(&r)) {
        buf_clear(&scratch);
        names_add(n, js_text(t, &scratch));
    }
}

bool names_have(const struct names *n, const char *text)
{
    for (size_t i = 0; i < n->len; i++) {
        if (strcmp(n->list[i], text) == 0) {
            return true;
        }
    }
    return false;
}

void names_done(struct names *n)
{
    for (size_t i = 0; i < n->len; i++) {
        free(n->list[i]);
    }
    free(n->list);
    *n = (struct names){0};
}

enum op { OP_NONE, OP_EQUAL, OP_OTHER, OP_LEAST, OP_MOST, OP_MORE, OP_LESS };

/* Longer operators first. */
static const struct {
    const char *text;
    enum op op;
} ops[] = {
    {"!=", OP_OTHER}, {">=", OP_LEAST}, {"<=", OP_MOST},
    {"=", OP_EQUAL},  {">", OP_MORE},   {"<", OP_LESS},
};

struct selector {
    struct str key;
    enum op op;
    struct str value;
};

static bool is_op_char(char c)
{
    return c == '=' || c == '!' || c == '<' || c == '>';
}

static enum op read_op(struct str s, size_t *ret_len)
{
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        const size_t n = strlen(ops[i].text);
        if (s.n >= n && memcmp(s.p, ops[i].text, n) == 0) {
            *ret_len = n;
            return ops[i].op;
        }
    }
    return OP_NONE;
}

static bool is_clean(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (is_op_char(s.p[i]) || (unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f) {
            return false;
        }
    }
    return s.n > 0;
}

static bool read_number(struct str s, double *ret)
{
    char text[40];
    if (s.n == 0 || s.n >= sizeof text) {
        return false;
    }
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    char *end = NULL;
    *ret = strtod(text, &end);
    return *end == '\0' && isfinite(*ret);
}

static bool read_selector(struct str text, struct selector *ret)
{
    size_t n = 0;
    while (n < text.n && !is_op_char(text.p[n])) {
        n++;
    }
    *ret = (struct selector){.key = {text.p, n}};
    if (n == text.n) {
        return is_clean(text);
    }
    size_t width = 0;
    ret->op = read_op((struct str){text.p + n, text.n - n}, &width);
    ret->value = (struct str){text.p + n + width, text.n - n - width};
    double number = 0;
    const bool by_number = ret->op != OP_EQUAL && ret->op != OP_OTHER;
    return ret->op != OP_NONE && is_clean(ret->key) && is_clean(ret->value) &&
           (!by_number || read_number(ret->value, &number));
}

bool label_is_selector(struct str text)
{
    struct selector s;
    return read_selector(text, &s);
}

static bool is_equal(struct str a, struct str b)
{
    double x = 0;
    double y = 0;
    if (read_number(a, &x) && read_number(b, &y)) {
        return !(x < y) && !(y < x);
    }
    return str_eq(a, b);
}

/* True if a value of the selector's key matches. */
static bool meets(const struct selector *s, struct str value)
{
    double have = 0;
    double want = 0;
    if (s->op == OP_EQUAL) {
        return is_equal(value, s->value);
    }
    if (!read_number(value, &have) || !read_number(s->value, &want)) {
        return false;
    }
    switch (s->op) {
    case OP_LEAST:
        return have >= want;
    case OP_MOST:
        return have <= want;
    case OP_MORE:
        return have > want;
    case OP_LESS:
        return have < want;
    case OP_NONE:
    case OP_EQUAL:
    case OP_OTHER:
        break;
    }
    return false;
}

/* Finds the value of a label "KEY=VALUE". */
static bool value_of(struct str label, struct str key, struct str *ret)
{
    if (label.n <= key.n || memcmp(label.p, key.p, key.n) != 0 || label.p[key.n] != '=') {
        return false;
    }
    *ret = (struct str){label.p + key.n + 1, label.n - key.n - 1};
    return true;
}

bool label_is_met(struct str selector, const struct names *labels)
{
    struct selector s;
    if (!read_selector(selector, &s)) {
        return false;
    }
    for (size_t i = 0; i < labels->len; i++) {
        const struct str label = str_of(labels->list[i]);
        struct str value;
        if (s.op == OP_NONE && str_eq(label, s.key)) {
            return true;
        }
        if (s.op == OP_NONE || !value_of(label, s.key, &value)) {
            continue;
        }
        if (s.op == OP_OTHER) {
            if (is_equal(value, s.value)) {
                return false;
            }
        } else if (meets(&s, value)) {
            return true;
        }
    }
    return s.op == OP_OTHER;
}
