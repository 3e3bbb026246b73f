/* Text helpers for http/: percent escapes, lists in headers, words without case. Pure. */
#include "comfypool/base/text.h"

#include <string.h>
#include <strings.h>

static int hex(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    const int lower = c | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Returns the length of the UTF-8 sequence at p, 0 when it is none (overlong, surrogate, cut,
   too high). */
static size_t utf8_length(const unsigned char *p, size_t n)
{
    if (p[0] < 0x80) {
        return 1;
    }
    const size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (p[0] < 0xc2 || p[0] > 0xf4 || n < len) {
        return 0;
    }
    uint32_t c = p[0] & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
        c = (c << 6) | (p[i] & 0x3fu);
    }
    return c >= least[len] && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff) ? len : 0;
}

static bool is_utf8(const char *text, size_t n)
{
    const unsigned char *p = (const unsigned char *)text;
    for (size_t i = 0; i < n;) {
        const size_t len = utf8_length(p + i, n - i);
        if (len == 0) {
            return false;
        }
        i += len;
    }
    return true;
}

bool text_unescape(struct str s, bool plus, struct buf *out)
{
    const size_t start = out->len;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '+' && plus) {
            c = ' ';
        } else if (c == '%') {
            const int high = s.n - i > 2 ? hex(s.p[i + 1]) : -1;
            const int low = s.n - i > 2 ? hex(s.p[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return false;
            }
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (c == '\0') {
            return false;
        }
        buf_add_char(out, c);
    }
    return out->len == start || is_utf8(out->data + start, out->len - start);
}

bool text_cut(struct str *rest, char separator, struct str *ret)
{
    if (rest->p == NULL) {
        return false;
    }
    bool quoted = false;
    size_t i = 0;
    while (i < rest->n && (quoted || rest->p[i] != separator)) {
        if (rest->p[i] == '"') {
            quoted = !quoted;
        } else if (quoted && rest->p[i] == '\\' && i + 1 < rest->n) {
            i++;
        }
        i++;
    }
    *ret = (struct str){rest->p, i};
    if (i < rest->n) {
        *rest = (struct str){rest->p + i + 1, rest->n - i - 1};
    } else {
        *rest = (struct str){NULL, 0};
    }
    return true;
}

struct str text_trim(struct str s)
{
    while (s.n > 0 && (*s.p == ' ' || *s.p == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t')) {
        s.n--;
    }
    return s;
}

bool text_same_word(struct str a, const char *word)
{
    return a.n == strlen(word) && strncasecmp(a.p, word, a.n) == 0;
}

bool text_is_name(struct str s)
{
    size_t part = 0; /* where the part begins */
    if (s.n == 0) {
        return false;
    }
    for (size_t i = 0; i <= s.n; i++) {
        if (i == s.n || s.p[i] == '/') {
            const struct str its = {s.p + part, i - part};
            if (str_is(its, ".") || str_is(its, "..")) {
                return false;
            }
            part = i + 1;
        } else if (s.p[i] <= ' ' || s.p[i] > '~' || s.p[i] == '"' || s.p[i] == '\\') {
            return false;
        }
    }
    return s.n <= TEXT_NAME_MOST;
}

bool text_is_plain(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

bool text_is_hex(struct str s)
{
    size_t n = 0;
    while (n < s.n && memchr("0123456789abcdef", s.p[n], 16) != NULL) {
        n++;
    }
    return n == s.n;
}
