/* Writes JSON text; see the header. Appending only, O(length). */
#include "comfypool/base/json_write.h"

#include <math.h>
#include <stdio.h>

#include "comfypool/base/json_read.h"

static void separate(struct js_out *o)
{
    if (o->comma) {
        buf_add_char(o->buf, ',');
    }
    o->comma = true;
}

void js_open(struct js_out *o, char bracket)
{
    separate(o);
    buf_add_char(o->buf, bracket);
    o->comma = false;
}

void js_close(struct js_out *o, char bracket)
{
    buf_add_char(o->buf, bracket);
    o->comma = true;
}

/* Escapes a byte below 0x20, a quote or a backslash. */
static void add_escape(struct buf *b, unsigned char c)
{
    static const char plain[] = "\"\\\b\f\n\r\t";
    static const char letter[] = "\"\\bfnrt";
    const char *known = c == '\0' ? NULL : strchr(plain, c);
    if (known != NULL) {
        const char two[2] = {'\\', letter[known - plain]};
        buf_add(b, two, 2);
        return;
    }
    char six[7];
    (void)snprintf(six, sizeof six, "\\u%04x", c);
    buf_add(b, six, 6);
}

/* Length of a valid UTF-8 sequence that starts with a byte above 0x7f; 0 when it is none. */
static size_t sequence_length(struct str s)
{
    /* The JSON reader knows what is valid: ask it about this one character. */
    const unsigned char c = (unsigned char)s.p[0];
    const size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (s.n < n) {
        return 0;
    }
    char quoted[6] = {'"'};
    memcpy(quoted + 1, s.p, n);
    quoted[n + 1] = '"';
    struct js_reader r;
    js_read_strict(&r, (struct str){quoted, n + 2}, 1);
    return js_next(&r).kind == JS_STRING ? n : 0;
}

static void add_plain(struct buf *b, struct str s)
{
    char *at = buf_reserve(b, s.n + 2);
    if (at != NULL) {
        *at = '"';
        memcpy(at + 1, s.n == 0 ? "" : s.p, s.n);
        at[s.n + 1] = '"';
        b->len += s.n + 2;
    }
}

static void add_quoted(struct buf *b, struct str s)
{
    size_t i = js_plain_length(s);
    if (i == s.n) {
        add_plain(b, s);
        return;
    }
    buf_add_char(b, '"');
    size_t from = 0;
    while (i < s.n) {
        const unsigned char c = (unsigned char)s.p[i];
        const size_t n = c < 0x80 ? 0 : sequence_length((struct str){s.p + i, s.n - i});
        if (n == 0) {
            buf_add(b, s.p + from, i - from);
            if (c < 0x80) {
                add_escape(b, c);
            } else {
                buf_add_text(b, "\xef\xbf\xbd");
            }
            from = i + 1;
        }
        i += n == 0 ? 1 : n;
        i += js_plain_length((struct str){s.p + i, s.n - i});
    }
    if (s.n > from) {
        buf_add(b, s.p + from, s.n - from);
    }
    buf_add_char(b, '"');
}

void js_key_str(struct js_out *o, struct str name)
{
    separate(o);
    add_quoted(o->buf, name);
    buf_add_char(o->buf, ':');
    o->comma = false;
}

void js_key(struct js_out *o, const char *name)
{
    js_key_str(o, str_of(name));
}

void js_str(struct js_out *o, struct str value)
{
    separate(o);
    add_quoted(o->buf, value);
}

void js_string(struct js_out *o, const char *value)
{
    js_str(o, str_of(value));
}

static uint64_t magnitude(int64_t v)
{
    return v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
}

void js_integer(struct js_out *o, int64_t value)
{
    separate(o);
    if (value < 0) {
        buf_add_char(o->buf, '-');
    }
    buf_add_uint(o->buf, magnitude(value));
}

void js_bool(struct js_out *o, bool value)
{
    js_raw(o, value ? STR("true") : STR("false"));
}

void js_null(struct js_out *o)
{
    js_raw(o, STR("null"));
}

void js_ms(struct js_out *o, int64_t us)
{
    separate(o);
    if (us < 0) {
        buf_add_char(o->buf, '-');
    }
    const uint64_t v = magnitude(us);
    buf_add_uint(o->buf, v / 1000);
    const unsigned rest = (unsigned)(v % 1000);
    if (rest != 0) {
        char part[4] = {'.', (char)('0' + rest / 100), (char)('0' + rest / 10 % 10),
                        (char)('0' + rest % 10)};
        size_t n = 4;
        while (part[n - 1] == '0') {
            n--;
        }
        buf_add(o->buf, part, n);
    }
}

void js_real(struct js_out *o, double value)
{
    if (!isfinite(value)) {
        js_null(o);
        return;
    }
    if (fabs(value) < 1e15 && value == (double)(int64_t)value) {
        js_integer(o, (int64_t)value);
        return;
    }
    separate(o);
    char text[40];
    (void)snprintf(text, sizeof text, "%.9g", value);
    buf_add_text(o->buf, text);
}

void js_raw(struct js_out *o, struct str value)
{
    separate(o);
    buf_add_str(o->buf, value);
}

void js_member_str(struct js_out *o, const char *name, struct str value)
{
    js_key(o, name);
    js_str(o, value);
}

void js_member_string(struct js_out *o, const char *name, const char *value)
{
    js_member_str(o, name, str_of(value));
}

void js_member_int(struct js_out *o, const char *name, int64_t value)
{
    js_key(o, name);
    js_integer(o, value);
}

void js_member_ms(struct js_out *o, const char *name, int64_t us)
{
    js_key(o, name);
    js_ms(o, us);
}

void js_member_bool(struct js_out *o, const char *name, bool value)
{
    js_key(o, name);
    js_bool(o, value);
}

void js_member_raw(struct js_out *o, const char *name, struct str value)
{
    js_key(o, name);
    js_raw(o, value);
}

static void clean_token(struct js_out *o, struct js_token t, struct buf *scratch)
{
    buf_clear(scratch);
    switch (t.kind) {
    case JS_OBJECT:
    case JS_ARRAY:
        js_open(o, *t.text.p);
        break;
    case JS_OBJECT_END:
    case JS_ARRAY_END:
        js_close(o, *t.text.p);
        break;
    case JS_KEY:
        js_key_str(o, js_text(t, scratch));
        break;
    case JS_STRING:
        js_str(o, js_text(t, scratch));
        break;
    case JS_NUMBER: {
        const char last = t.text.p[t.text.n - 1];
        js_raw(o, last == 'N' || last == 'y' ? STR("null") : t.text);
        break;
    }
    case JS_TRUE:
    case JS_FALSE:
    case JS_NULL:
        js_raw(o, t.text);
        break;
    case JS_END:
    case JS_ERROR:
        break;
    }
}

bool js_clean(struct str value, struct buf *out)
{
    const size_t before = out->len;
    struct js_reader r;
    js_read_lenient(&r, value, JS_MAX_DEPTH);
    struct js_out o = js_out_to(out);
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    struct js_token t = js_next(&r);
    while (t.kind != JS_END && t.kind != JS_ERROR) {
        clean_token(&o, t, &scratch);
        t = js_next(&r);
    }
    if (t.kind == JS_ERROR || out->overflow) {
        out->len = before;
        return false;
    }
    return true;
}
