/*
 * The pull reader of JSON; see the header. State between tokens is `expect` (what may come next)
 * and one bit a level; everything else is the position in the text.
 */
#include "comfypool/base/json_read.h"

#include <math.h>
#include <stdlib.h>

#include "comfypool/base/map.h"

enum expect {
    EXPECT_VALUE,
    EXPECT_VALUE_OR_END, /* behind [ */
    EXPECT_KEY_OR_END,   /* behind { */
    EXPECT_KEY,          /* behind , in an object */
    EXPECT_COMMA_OR_END,
    EXPECT_NOTHING, /* the value is complete */
    EXPECT_STOPPED, /* an error was returned */
};

static void reader_init(struct js_reader *r, struct str text, unsigned max_depth, bool lenient)
{
    r->start = r->at = text.n == 0 ? "" : text.p;
    r->end = r->start + text.n;
    r->why = NULL;
    r->depth = 0;
    r->max_depth = max_depth < JS_MAX_DEPTH ? max_depth : JS_MAX_DEPTH;
    r->lenient = lenient;
    r->checked = false;
    r->expect = EXPECT_VALUE;
}

void js_read_strict(struct js_reader *r, struct str text, unsigned max_depth)
{
    reader_init(r, text, max_depth, false);
}

void js_read_lenient(struct js_reader *r, struct str text, unsigned max_depth)
{
    reader_init(r, text, max_depth, true);
}

void js_read_checked(struct js_reader *r, struct str text)
{
    reader_init(r, text, JS_MAX_DEPTH, false);
    r->checked = true;
}

void js_read_members(struct js_reader *r, struct str text, unsigned max_depth)
{
    reader_init(r, text, max_depth, true);
    r->depth = 1;
    r->is_object[0] = 1;
    r->expect = EXPECT_KEY_OR_END;
}

static struct js_token fail(struct js_reader *r, const char *why)
{
    if (r->expect != EXPECT_STOPPED) {
        r->why = why;
        r->expect = EXPECT_STOPPED;
    }
    return (struct js_token){.kind = JS_ERROR};
}

static bool in_object(const struct js_reader *r)
{
    const unsigned level = r->depth - 1;
    return ((unsigned)r->is_object[level / 8] >> (level % 8) & 1u) != 0;
}

static void value_done(struct js_reader *r)
{
    r->expect = r->depth == 0 ? EXPECT_NOTHING : EXPECT_COMMA_OR_END;
}

static struct js_token open_level(struct js_reader *r, bool object)
{
    if (r->depth == r->max_depth) {
        return fail(r, "nested too deeply");
    }
    const unsigned level = r->depth++;
    const unsigned char bit = (unsigned char)(1u << (level % 8));
    if (object) {
        r->is_object[level / 8] |= bit;
    } else {
        r->is_object[level / 8] &= (unsigned char)~bit;
    }
    r->expect = object ? EXPECT_KEY_OR_END : EXPECT_VALUE_OR_END;
    const struct str text = {r->at, 1};
    r->at++;
    return (struct js_token){.kind = object ? JS_OBJECT : JS_ARRAY, .text = text};
}

static struct js_token close_level(struct js_reader *r, bool object)
{
    const struct str text = {r->at, 1};
    r->at++;
    r->depth--;
    value_done(r);
    return (struct js_token){.kind = object ? JS_OBJECT_END : JS_ARRAY_END, .text = text};
}

/* Length of the valid UTF-8 sequence at p, or 0. */
static size_t utf8_length(const unsigned char *p, const unsigned char *end)
{
    const size_t left = (size_t)(end - p);
    if (p[0] < 0x80) {
        return 1;
    }
    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        return left >= 2 && (p[1] & 0xc0) == 0x80 ? 2 : 0;
    }
    if (p[0] >= 0xe0 && p[0] <= 0xef) {
        if (left < 3 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80) {
            return 0;
        }
        const bool overlong = p[0] == 0xe0 && p[1] < 0xa0;
        const bool surrogate = p[0] == 0xed && p[1] > 0x9f;
        return overlong || surrogate ? 0 : 3;
    }
    if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        if (left < 4 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80 || (p[3] & 0xc0) != 0x80) {
            return 0;
        }
        const bool overlong = p[0] == 0xf0 && p[1] < 0x90;
        const bool beyond = p[0] == 0xf4 && p[1] > 0x8f;
        return overlong || beyond ? 0 : 4;
    }
    return 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

/* The four hex digits at p, or -1. */
static int hex4(const char *p, const char *end)
{
    if (end - p < 4) {
        return -1;
    }
    int v = 0;
    for (int i = 0; i < 4; i++) {
        const int d = hex_digit(p[i]);
        if (d < 0) {
            return -1;
        }
        v = v * 16 + d;
    }
    return v;
}

/* True when none of the eight bytes is a quote, a backslash, a control character or beyond ASCII.
 */
static bool plain8(const char *p)
{
    uint64_t w;
    memcpy(&w, p, 8);
    const uint64_t ones = 0x0101010101010101u;
    const uint64_t highs = 0x8080808080808080u;
    const uint64_t quote = w ^ (ones * '"');
    const uint64_t slash = w ^ (ones * '\\');
    const uint64_t hits =
        ((quote - ones) & ~quote) | ((slash - ones) & ~slash) | ((w - ones * 0x20) & ~w) | w;
    return (hits & highs) == 0;
}

size_t js_plain_length(struct str s)
{
    size_t i = 0;
    while (s.n - i >= 8 && plain8(s.p + i)) {
        i += 8;
    }
    while (i < s.n) {
        const unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\') {
            break;
        }
        i++;
    }
    return i;
}

/* Reads an escape at *at (behind the backslash). */
static bool check_escape(const char **at, const char *end)
{
    const char *p = *at;
    if (p == end) {
        return false;
    }
    if (*p == 'u') {
        if (hex4(p + 1, end) < 0) {
            return false;
        }
        *at = p + 5;
        return true;
    }
    if (memchr("\"\\/bfnrt", *p, 8) == NULL) {
        return false;
    }
    *at = p + 1;
    return true;
}

static struct js_token read_string(struct js_reader *r, enum js_kind kind)
{
    const char *p = r->at + 1;
    struct js_token t = {.kind = kind, .text = {p, 0}};
    for (;;) {
        while (r->end - p >= 8 && plain8(p)) {
            p += 8;
        }
        if (p == r->end) {
            return fail(r, "a string does not end");
        }
        const unsigned char c = (unsigned char)*p;
        if (c == '"') {
            break;
        }
        if (c == '\\') {
            t.escaped = true;
            p++;
            if (!check_escape(&p, r->end)) {
                r->at = p < r->end ? p : r->end;
                return fail(r, "a string holds an escape that is none");
            }
        } else if (c < 0x20) {
            if (!r->lenient) {
                r->at = p;
                return fail(r, "a string holds a control character");
            }
            p++;
        } else if (c < 0x80) {
            p++;
        } else {
            const size_t n = utf8_length((const unsigned char *)p, (const unsigned char *)r->end);
            if (n == 0 && !r->lenient) {
                r->at = p;
                return fail(r, "a string is not valid UTF-8");
            }
            if (n == 0) {
                t.escaped = true; /* must be repaired when decoded */
            }
            p += n == 0 ? 1 : n;
        }
    }
    t.text.n = (size_t)(p - t.text.p);
    r->at = p + 1;
    return t;
}

static bool take_word(struct js_reader *r, const char *word)
{
    const size_t n = strlen(word);
    if ((size_t)(r->end - r->at) < n || memcmp(r->at, word, n) != 0) {
        return false;
    }
    r->at += n;
    return true;
}

static struct js_token word_token(struct js_reader *r, const char *word, enum js_kind kind)
{
    const char *from = r->at;
    if (!take_word(r, word)) {
        return fail(r, "a word that is no JSON");
    }
    value_done(r);
    return (struct js_token){.kind = kind, .text = {from, strlen(word)}};
}

static size_t digits(const char *p, const char *end)
{
    size_t n = 0;
    while (p + n < end && p[n] >= '0' && p[n] <= '9') {
        n++;
    }
    return n;
}

static struct js_token read_number(struct js_reader *r)
{
    const char *from = r->at;
    const char *p = from;
    if (r->lenient &&
        (take_word(r, "NaN") || take_word(r, "Infinity") || take_word(r, "-Infinity"))) {
        value_done(r);
        return (struct js_token){.kind = JS_NUMBER, .text = {from, (size_t)(r->at - from)}};
    }
    if (*p != '-' && digits(p, r->end) == 0) {
        return fail(r, "no JSON value begins like this");
    }
    if (*p == '-') {
        p++;
    }
    const size_t whole = digits(p, r->end);
    if (whole == 0 || (whole > 1 && *p == '0')) {
        return fail(r, "a number that is none");
    }
    p += whole;
    if (p < r->end && *p == '.') {
        const size_t n = digits(p + 1, r->end);
        if (n == 0) {
            return fail(r, "a number that is none");
        }
        p += 1 + n;
    }
    if (p < r->end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < r->end && (*p == '+' || *p == '-')) {
            p++;
        }
        const size_t n = digits(p, r->end);
        if (n == 0) {
            return fail(r, "a number that is none");
        }
        p += n;
    }
    r->at = p;
    value_done(r);
    return (struct js_token){.kind = JS_NUMBER, .text = {from, (size_t)(p - from)}};
}

static void skip_blanks(struct js_reader *r)
{
    while (r->at < r->end &&
           (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t')) {
        r->at++;
    }
}

static struct js_token read_value(struct js_reader *r)
{
    switch (*r->at) {
    case '{':
        return open_level(r, true);
    case '[':
        return open_level(r, false);
    case '"': {
        const struct js_token t = read_string(r, JS_STRING);
        if (t.kind != JS_ERROR) {
            value_done(r);
        }
        return t;
    }
    case 't':
        return word_token(r, "true", JS_TRUE);
    case 'f':
        return word_token(r, "false", JS_FALSE);
    case 'n':
        return word_token(r, "null", JS_NULL);
    default:
        return read_number(r);
    }
}

static struct js_token read_key(struct js_reader *r)
{
    if (*r->at != '"') {
        return fail(r, "a member's name is missing");
    }
    const struct js_token t = read_string(r, JS_KEY);
    if (t.kind == JS_ERROR) {
        return t;
    }
    skip_blanks(r);
    if (r->at == r->end || *r->at != ':') {
        return fail(r, "a colon is missing");
    }
    r->at++;
    r->expect = EXPECT_VALUE;
    return t;
}

struct js_token js_next(struct js_reader *r)
{
    skip_blanks(r);
    const enum expect expect = (enum expect)r->expect;
    if (expect == EXPECT_STOPPED) {
        return (struct js_token){.kind = JS_ERROR};
    }
    if (expect == EXPECT_NOTHING) {
        return r->at == r->end ? (struct js_token){.kind = JS_END}
                               : fail(r, "something stands behind the value");
    }
    if (r->at == r->end) {
        return fail(r, "the text ends too early");
    }
    const char c = *r->at;
    if (expect == EXPECT_VALUE) {
        return read_value(r);
    }
    if (expect == EXPECT_VALUE_OR_END) {
        return c == ']' ? close_level(r, false) : read_value(r);
    }
    if (expect == EXPECT_KEY) {
        return read_key(r);
    }
    if (expect == EXPECT_KEY_OR_END) {
        return c == '}' ? close_level(r, true) : read_key(r);
    }
    const bool object = in_object(r);
    if (c == (object ? '}' : ']')) {
        return close_level(r, object);
    }
    if (c != ',') {
        return fail(r, "a comma or the end is missing");
    }
    r->at++;
    r->expect = object ? EXPECT_KEY : EXPECT_VALUE;
    return js_next(r);
}

/* Returns the end of a string whose quote was read. */
static const char *behind_string(const char *p, const char *end)
{
    for (;;) {
        while (end - p >= 8 && plain8(p)) {
            p += 8;
        }
        if (p == end || *p == '"') {
            return p == end ? end : p + 1;
        }
        p += *p == '\\' && end - p > 1 ? 2 : 1;
    }
}

/* Returns the end of an object or array whose bracket was read; text checked. NULL: none. */
static const char *behind_value(const char *p, const char *end)
{
    unsigned depth = 1;
    while (p < end && depth > 0) {
        const char c = *p++;
        if (c == '"') {
            p = behind_string(p, end);
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return depth == 0 ? p : NULL;
}

/* Skips the object or array that has begun. False: an error. */
static bool pass_value(struct js_reader *r)
{
    const unsigned outer = r->depth - 1;
    if (!r->checked) {
        while (r->depth > outer) {
            if (js_next(r).kind == JS_ERROR) {
                return false;
            }
        }
        return true;
    }
    const char *p = behind_value(r->at, r->end);
    if (p == NULL) {
        (void)fail(r, "the text ends too early");
        return false;
    }
    r->at = p;
    r->depth = outer;
    value_done(r);
    return true;
}

struct str js_rest(struct js_reader *r, struct js_token first)
{
    if (first.kind == JS_OBJECT || first.kind == JS_ARRAY) {
        return pass_value(r) ? (struct str){first.text.p, (size_t)(r->at - first.text.p)}
                             : (struct str){NULL, 0};
    }
    if (first.kind == JS_STRING) {
        return (struct str){first.text.p - 1, first.text.n + 2};
    }
    if (first.kind == JS_NUMBER || first.kind == JS_TRUE || first.kind == JS_FALSE ||
        first.kind == JS_NULL) {
        return first.text;
    }
    return (struct str){NULL, 0};
}

struct str js_skip(struct js_reader *r)
{
    return js_rest(r, js_next(r));
}

static size_t encode_utf8(uint32_t c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* Decodes the \u escape(s) at *at (behind "\u"): one code point, U+FFFD for half a pair. */
static uint32_t decode_unicode(const char **at, const char *end)
{
    const uint32_t first = (uint32_t)hex4(*at, end);
    *at += 4;
    if (first < 0xd800 || first > 0xdfff) {
        return first;
    }
    if (first <= 0xdbff && end - *at >= 6 && (*at)[0] == '\\' && (*at)[1] == 'u') {
        const int second = hex4(*at + 2, end);
        if (second >= 0xdc00 && second <= 0xdfff) {
            *at += 6;
            return 0x10000 + ((first - 0xd800) << 10) + ((uint32_t)second - 0xdc00);
        }
    }
    return 0xfffd;
}

/* Decodes one unit of a string (checked by the reader) to UTF-8. */
static size_t decode_unit(const char **at, const char *end, char out[4])
{
    const char c = **at;
    if (c != '\\') {
        const size_t n = utf8_length((const unsigned char *)*at, (const unsigned char *)end);
        if (n == 0) {
            (*at)++;
            return encode_utf8(0xfffd, out);
        }
        memcpy(out, *at, n);
        *at += n;
        return n;
    }
    const char e = (*at)[1];
    *at += 2;
    static const char from[] = "bfnrt";
    static const char to[] = "\b\f\n\r\t";
    if (e == 'u') {
        return encode_utf8(decode_unicode(at, end), out);
    }
    const char *known = strchr(from, e);
    out[0] = known == NULL ? e : to[known - from];
    return 1;
}

struct str js_text(struct js_token t, struct buf *scratch)
{
    if (!t.escaped) {
        return t.text;
    }
    const size_t from = scratch->len;
    /* Decoding never lengthens it, except for a stray byte that becomes U+FFFD. */
    if (buf_reserve(scratch, t.text.n * 3) == NULL) {
        return (struct str){"", 0};
    }
    const char *end = t.text.p + t.text.n;
    for (const char *p = t.text.p; p < end;) {
        scratch->len += decode_unit(&p, end, scratch->data + scratch->len);
    }
    return (struct str){scratch->data + from, scratch->len - from};
}

bool js_is(struct js_token t, const char *c_string)
{
    if (t.kind != JS_STRING && t.kind != JS_KEY) {
        return false;
    }
    if (!t.escaped) { /* most differ in their first byte: no call then */
        return (t.text.n == 0 || t.text.p[0] == *c_string) && str_is(t.text, c_string);
    }
    const size_t want = strlen(c_string);
    size_t have = 0;
    const char *end = t.text.p + t.text.n;
    for (const char *p = t.text.p; p < end;) {
        char unit[4];
        const size_t n = decode_unit(&p, end, unit);
        if (want - have < n || memcmp(c_string + have, unit, n) != 0) {
            return false;
        }
        have += n;
    }
    return have == want;
}

bool js_double(struct js_token t, double *ret)
{
    if (t.kind != JS_NUMBER) {
        return false;
    }
    /* The text goes on behind the number, or ends with its buffer: strtod needs a terminator. */
    char copy[64];
    if (t.text.n >= sizeof copy) {
        AUTO_FREE char *whole = mem_copy(t.text);
        *ret = strtod(whole, NULL);
        return true;
    }
    memcpy(copy, t.text.p, t.text.n);
    copy[t.text.n] = '\0';
    *ret = strtod(copy, NULL);
    return true;
}

bool js_int(struct js_token t, int64_t *ret)
{
    return t.kind == JS_NUMBER && str_to_int64(t.text, ret);
}

/* ---- duplicate members ---------------------------------------------------------------------- */

/*
 * Names of all open objects, each prefixed with the number of its object, in one map: memory
 * follows the text, and closing an object needs no work.
 */
struct names {
    struct map seen;
    char **kept;
    size_t len;
    size_t cap;
};

static bool name_is_new(struct names *names, uint32_t object, struct str name)
{
    char *key = mem_alloc(sizeof object + name.n);
    memcpy(key, &object, sizeof object);
    memcpy(key + sizeof object, name.p, name.n);
    if (map_put(&names->seen, (struct str){key, sizeof object + name.n}, key) != NULL) {
        free(key);
        return false;
    }
    if (names->len == names->cap) {
        names->cap = names->cap == 0 ? 64 : names->cap * 2;
        names->kept = mem_grow(names->kept, names->cap * sizeof *names->kept);
    }
    names->kept[names->len++] = key;
    return true;
}

bool js_check(struct str text, unsigned max_depth, size_t *ret_offset, const char **ret_why)
{
    struct js_reader r;
    js_read_strict(&r, text, max_depth);
    struct names names = {0};
    map_init(&names.seen);
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    uint32_t object_at[JS_MAX_DEPTH + 1];
    uint32_t objects = 0;
    const char *why = NULL;
    for (struct js_token t = js_next(&r); t.kind != JS_END; t = js_next(&r)) {
        if (t.kind == JS_ERROR) {
            why = r.why;
            break;
        }
        if (t.kind == JS_OBJECT) {
            object_at[r.depth] = objects++;
        } else if (t.kind == JS_KEY) {
            buf_clear(&scratch);
            if (!name_is_new(&names, object_at[r.depth], js_text(t, &scratch))) {
                why = "a member's name stands twice in one object";
                r.at = t.text.p;
                break;
            }
        }
    }
    for (size_t i = 0; i < names.len; i++) {
        free(names.kept[i]);
    }
    free(names.kept);
    map_done(&names.seen);
    if (why != NULL) {
        *ret_offset = js_offset(&r);
        *ret_why = why;
    }
    return why == NULL;
}
