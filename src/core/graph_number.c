/*
 * Accepts numbers as a server does: it calls Python's int() or float(), so that "20", " 2_0 " and
 * true are numbers, but "20.0" is none for an INT. O(length).
 */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "graph_inner.h"

/* Longer numbers may meet other limits of Python. */
enum { LONGEST = 300 };

/* The blanks that Python strips. */
static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1c && c <= 0x1f);
}

static struct str strip(struct str s)
{
    while (s.n > 0 && is_blank(s.p[0])) {
        s = (struct str){s.p + 1, s.n - 1};
    }
    while (s.n > 0 && is_blank(s.p[s.n - 1])) {
        s.n--;
    }
    return s;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Moves digits from `from` to the number, dropping single _ between two of them. False: none. */
static bool take_digits(const char **from, char **to)
{
    const char *p = *from;
    while (is_digit(*p) || (*p == '_' && p > *from && p[-1] != '_' && is_digit(p[1]))) {
        if (*p != '_') {
            *(*to)++ = *p;
        }
        p++;
    }
    const bool any = p > *from;
    *from = p;
    return any;
}

static bool take_one_of(const char **from, char **to, const char *these)
{
    if (**from == '\0' || strchr(these, **from) == NULL) {
        return false;
    }
    *(*to)++ = *(*from)++;
    return true;
}

/* Source: the grammar of float() in Python's library reference. */
static bool take_float(const char **from, char **to)
{
    bool any = take_digits(from, to);
    if (take_one_of(from, to, ".")) {
        any = take_digits(from, to) || any;
    }
    if (any && take_one_of(from, to, "eE")) {
        (void)take_one_of(from, to, "+-");
        any = take_digits(from, to);
    }
    return any;
}

static bool is_special(const char *s)
{
    return strcasecmp(s, "inf") == 0 || strcasecmp(s, "infinity") == 0 || strcasecmp(s, "nan") == 0;
}

/* s is ASCII. */
static bool read_text(struct str s, bool is_int, double *ret)
{
    AUTO_FREE char *text = mem_copy(strip(s));
    char number[LONGEST + 1] = "";
    const char *from = text;
    char *to = number;
    (void)take_one_of(&from, &to, "+-");
    if (!is_int && is_special(from)) {
        *ret = strtod(text, NULL);
        return true;
    }
    if (!(is_int ? take_digits(&from, &to) : take_float(&from, &to)) || *from != '\0') {
        return false;
    }
    *to = '\0';
    *ret = strtod(number, NULL);
    return true;
}

static enum graph_number read_string(struct js_token v, bool is_int, double *ret)
{
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    const struct str s = js_text(v, &scratch);
    if (s.n > LONGEST) {
        return GRAPH_NUMBER_MAY_BE;
    }
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] >= 0x80 || s.p[i] == '\0') { /* Unicode has other digits */
            return GRAPH_NUMBER_MAY_BE;
        }
    }
    return read_text(s, is_int, ret) ? GRAPH_NUMBER_IS : GRAPH_NUMBER_IS_NOT;
}

enum graph_number graph_number_read(struct js_token v, bool is_int, double *ret)
{
    if (v.kind == JS_STRING) {
        return read_string(v, is_int, ret);
    }
    if (v.kind == JS_TRUE || v.kind == JS_FALSE) {
        *ret = v.kind == JS_TRUE ? 1 : 0;
        return GRAPH_NUMBER_IS;
    }
    if (v.kind == JS_NULL) {
        return GRAPH_NUMBER_IS_NOT;
    }
    double x = 0;
    if (!js_double(v, &x)) { /* an object may wrap the value: {"__value__": 1} */
        return GRAPH_NUMBER_MAY_BE;
    }
    *ret = is_int ? trunc(x) : x;
    return GRAPH_NUMBER_IS;
}
