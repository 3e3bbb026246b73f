/*
 * The growable buffer, Python-like JSON output, lenient input, and the two clocks.
 *
 * Everything that comfysim sends goes through here, so the appends stay cheap: no allocation once a
 * buffer has its size, no printf on the hot path (executor.c uses text_add, text_int).
 */
#include "text.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Begins a string that stands for a raw token; no request can hold it, \u0001 is never kept raw. */
#define RAW_MARK "\001raw:"
#define RAW_MARK_LEN (sizeof(RAW_MARK) - 1)

void *sim_alloc(size_t size)
{
    void *p = calloc(1, size ? size : 1);
    if (!p) {
        abort();
    }
    return p;
}

void *sim_grow(void *old, size_t size)
{
    void *p = realloc(old, size ? size : 1);
    if (!p) {
        abort();
    }
    return p;
}

char *sim_strndup(const char *s, size_t len)
{
    char *copy = sim_alloc(len + 1);
    memcpy(copy, s, len);
    return copy;
}

void text_reserve(struct text *t, size_t more)
{
    size_t need = t->len + more + 1;
    if (need <= t->cap) {
        return;
    }
    size_t cap = t->cap ? t->cap : 256;
    while (cap < need) {
        cap *= 2;
    }
    t->data = sim_grow(t->data, cap);
    t->cap = cap;
}

void text_add(struct text *t, const char *s, size_t len)
{
    text_reserve(t, len);
    if (len > 0) {
        memcpy(t->data + t->len, s, len);
    }
    t->len += len;
    t->data[t->len] = '\0';
}

void text_str(struct text *t, const char *s)
{
    text_add(t, s, strlen(s));
}

void text_printf(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    char none[1];
    int n = vsnprintf(none, 0, format, args);
    va_end(args);
    if (n > 0) {
        text_reserve(t, (size_t)n);
        vsnprintf(t->data + t->len, (size_t)n + 1, format, again);
        t->len += (size_t)n;
    }
    va_end(again);
}

void text_int(struct text *t, int64_t value)
{
    char digits[24];
    size_t at = sizeof(digits);
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0) {
        digits[--at] = '-';
    }
    text_add(t, digits + at, sizeof(digits) - at);
}

void text_real(struct text *t, double value)
{
    if (isnan(value)) {
        TEXT_LIT(t, "NaN");
        return;
    }
    if (isinf(value)) {
        text_str(t, value < 0 ? "-Infinity" : "Infinity");
        return;
    }
    char shortest[40];
    for (int precision = 0; precision < 17; precision++) {
        snprintf(shortest, sizeof(shortest), "%.*e", precision, value);
        if (strtod(shortest, NULL) == value) {
            break;
        }
    }
    char *e = strchr(shortest, 'e');
    int exponent = atoi(e + 1);
    if (exponent < -4 || exponent >= 16) {
        *e = '\0';
        text_printf(t, "%se%c%02d", shortest, exponent < 0 ? '-' : '+', abs(exponent));
        return;
    }
    /* How long the mantissa is beyond its first digit: 0, or the point and the decimals. */
    int digits = (int)(e - shortest) - (shortest[0] == '-') - 1;
    int decimals = digits - exponent > 0 ? digits - exponent : 0;
    if (digits > 0) {
        decimals = digits - 1 - exponent; /* digits counts the point */
    }
    text_printf(t, "%.*f", decimals > 0 ? decimals : 1, value);
}

static void escape_unit(struct text *t, unsigned unit)
{
    static const char hex[] = "0123456789abcdef";
    char out[6] = {
        '\\', 'u', hex[unit >> 12 & 15], hex[unit >> 8 & 15], hex[unit >> 4 & 15], hex[unit & 15]};
    text_add(t, out, sizeof(out));
}

/* Decodes one UTF-8 sequence (jansson and our own callers guarantee its form). */
static size_t utf8_next(const unsigned char *s, size_t left, unsigned *ret_code)
{
    static const struct {
        unsigned char mask, lead, bits;
        size_t len;
    } forms[] = {{0xe0, 0xc0, 0x1f, 2}, {0xf0, 0xe0, 0x0f, 3}, {0xf8, 0xf0, 0x07, 4}};
    for (size_t i = 0; i < 3; i++) {
        if ((s[0] & forms[i].mask) == forms[i].lead && left >= forms[i].len) {
            unsigned code = s[0] & forms[i].bits;
            for (size_t k = 1; k < forms[i].len; k++) {
                code = code << 6 | (s[k] & 0x3fU);
            }
            *ret_code = code;
            return forms[i].len;
        }
    }
    *ret_code = 0xfffd;
    return 1;
}

void text_quoted(struct text *t, const char *s, size_t len)
{
    text_reserve(t, len + 2);
    TEXT_LIT(t, "\"");
    size_t plain = 0;
    for (size_t i = 0; i < len;) {
        unsigned char c = (unsigned char)s[i];
        if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') {
            i++;
            continue;
        }
        text_add(t, s + plain, i - plain);
        if (c >= 0x80) {
            unsigned code;
            i += utf8_next((const unsigned char *)s + i, len - i, &code);
            if (code > 0xffff) {
                escape_unit(t, 0xd800 + ((code - 0x10000) >> 10));
                escape_unit(t, 0xdc00 + ((code - 0x10000) & 0x3ff));
            } else {
                escape_unit(t, code);
            }
        } else {
            static const char from[] = "\"\\\n\r\t\b\f";
            static const char to[] = "\"\\nrtbf";
            const char *at = c ? strchr(from, c) : NULL;
            if (at) {
                char out[2] = {'\\', to[at - from]};
                text_add(t, out, 2);
            } else {
                escape_unit(t, c);
            }
            i++;
        }
        plain = i;
    }
    text_add(t, s + plain, len - plain);
    TEXT_LIT(t, "\"");
}

static bool is_raw(const json_t *value)
{
    return json_string_length(value) > RAW_MARK_LEN &&
           memcmp(json_string_value(value), RAW_MARK, RAW_MARK_LEN) == 0;
}

void text_json(struct text *t, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: {
        const char *key;
        json_t *member;
        bool first = true;
        TEXT_LIT(t, "{");
        json_object_foreach((json_t *)(uintptr_t)value, key, member)
        {
            if (!first) {
                TEXT_LIT(t, ", ");
            }
            first = false;
            text_quoted(t, key, strlen(key));
            TEXT_LIT(t, ": ");
            text_json(t, member);
        }
        TEXT_LIT(t, "}");
        break;
    }
    case JSON_ARRAY:
        TEXT_LIT(t, "[");
        for (size_t i = 0; i < json_array_size(value); i++) {
            if (i > 0) {
                TEXT_LIT(t, ", ");
            }
            text_json(t, json_array_get(value, i));
        }
        TEXT_LIT(t, "]");
        break;
    case JSON_STRING:
        if (is_raw(value)) {
            text_add(t, json_string_value(value) + RAW_MARK_LEN,
                     json_string_length(value) - RAW_MARK_LEN);
        } else {
            text_quoted(t, json_string_value(value), json_string_length(value));
        }
        break;
    case JSON_INTEGER:
        text_int(t, json_integer_value(value));
        break;
    case JSON_REAL:
        text_real(t, json_real_value(value));
        break;
    case JSON_TRUE:
        TEXT_LIT(t, "true");
        break;
    case JSON_FALSE:
        TEXT_LIT(t, "false");
        break;
    case JSON_NULL:
        TEXT_LIT(t, "null");
        break;
    }
}

void text_py(struct text *t, const json_t *value)
{
    if (json_is_string(value) && !is_raw(value)) {
        TEXT_LIT(t, "'");
        text_add(t, json_string_value(value), json_string_length(value));
        TEXT_LIT(t, "'");
    } else if (json_is_array(value)) {
        TEXT_LIT(t, "[");
        for (size_t i = 0; i < json_array_size(value); i++) {
            if (i > 0) {
                TEXT_LIT(t, ", ");
            }
            text_py(t, json_array_get(value, i));
        }
        TEXT_LIT(t, "]");
    } else if (json_is_boolean(value)) {
        text_str(t, json_is_true(value) ? "True" : "False");
    } else if (json_is_null(value)) {
        TEXT_LIT(t, "None");
    } else {
        text_json(t, value);
    }
}

void text_clear(struct text *t)
{
    t->len = 0;
    if (t->data) {
        t->data[0] = '\0';
    }
}

void text_free(struct text *t)
{
    free(t->data);
    *t = (struct text){0};
}

/* Copies a body, with each token that jansson refuses turned into a marked string. */
static void mark_raw_tokens(const char *body, size_t len, struct text *out)
{
    bool in_string = false;
    for (size_t i = 0; i < len; i++) {
        char c = body[i];
        if (in_string) {
            text_add(out, body + i, 1);
            if (c == '\\' && i + 1 < len) {
                text_add(out, body + ++i, 1);
            } else if (c == '"') {
                in_string = false;
            }
            continue;
        }
        if (c == '"') {
            in_string = true;
            text_add(out, body + i, 1);
            continue;
        }
        size_t end = i;
        while (end < len &&
               (strchr("+-.eENaInfity", body[end]) || (body[end] >= '0' && body[end] <= '9')) &&
               body[end] != '\0') {
            end++;
        }
        char token[512];
        size_t n = end - i;
        bool raw = false;
        if (n > 0 && n < sizeof(token)) {
            memcpy(token, body + i, n);
            token[n] = '\0';
            if (!strcmp(token, "NaN") || !strcmp(token, "Infinity") ||
                !strcmp(token, "-Infinity")) {
                raw = true;
            } else if ((c == '-' || (c >= '0' && c <= '9'))) {
                char *stop;
                errno = 0;
                if (strpbrk(token, ".eE")) {
                    double real = strtod(token, &stop);
                    if (*stop == '\0' && isinf(real)) {
                        snprintf(token, sizeof(token), "%sInfinity", real < 0 ? "-" : "");
                        raw = true;
                    }
                } else {
                    (void)strtoll(token, &stop, 10);
                    raw = *stop == '\0' && errno == ERANGE;
                }
            }
        }
        if (raw) {
            text_str(out, "\"\\u0001raw:");
            text_str(out, token);
            TEXT_LIT(out, "\"");
            i = end - 1;
        } else if (n > 0) {
            text_add(out, body + i, n);
            i = end - 1;
        } else {
            text_add(out, body + i, 1);
        }
    }
}

json_t *text_json_load(const char *body, size_t len)
{
    json_error_t error;
    size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;
    json_t *value = json_loadb(body, len, flags, &error);
    if (value || len == 0) {
        return value;
    }
    struct text marked = {0};
    mark_raw_tokens(body, len, &marked);
    value = json_loadb(marked.data, marked.len, flags, &error);
    text_free(&marked);
    return value;
}

uint64_t mono_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

double wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}
