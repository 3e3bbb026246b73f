/*
 * multipart/form-data (RFC 7578) in pieces of any size. Strict: each part has a name, the last
 * boundary must be there. Pure. Cost: a search for the boundary, O(length).
 */
#include "multipart.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { HEADERS_MOST = 8192, BOUNDARY_MOST = 70 };

enum state {
    STATE_PREAMBLE,
    STATE_BOUNDARY,
    STATE_HEADERS,
    STATE_EMPTY_LINE, /* after headers; perhaps the beginning of the next boundary */
    STATE_DATA,
    STATE_EPILOGUE
};

struct multipart {
    struct multipart_ops ops;
    void *ctx;
    enum state state;
    struct buf held; /* unused bytes */
    struct buf mark; /* CRLF, two hyphens, the boundary */
    const char *why;
};

/* Reads a parameter's value from `at` on, perhaps quoted. Returns where it ends; out may be NULL.
   An unterminated quote: value.n + 1. */
static size_t read_value(struct str value, size_t at, struct buf *out)
{
    const bool quoted = at < value.n && value.p[at] == '"';
    for (at += quoted ? 1 : 0; at < value.n; at++) {
        const char c = value.p[at];
        if (quoted ? c == '"' : c == ';' || c == ' ') {
            return at + (quoted ? 1 : 0);
        }
        const bool escapes = quoted && c == '\\' && at + 1 < value.n &&
                             (value.p[at + 1] == '"' || value.p[at + 1] == '\\');
        at += escapes ? 1 : 0;
        if (out != NULL) {
            buf_add_char(out, value.p[at]);
        }
    }
    return quoted ? value.n + 1 : value.n;
}

/* Finds a parameter of a header's value: NAME=value or NAME="value" behind a semicolon. False:
   none. */
static bool parameter(struct str value, const char *name, struct buf *out)
{
    const size_t n = strlen(name);
    size_t at = 0;
    while (at < value.n && value.p[at] != ';') {
        at++;
    }
    while (at < value.n) {
        at += value.p[at] == ';' ? 1 : 0;
        while (at < value.n && (value.p[at] == ' ' || value.p[at] == '\t')) {
            at++;
        }
        const size_t begin = at;
        while (at < value.n && value.p[at] != '=' && value.p[at] != ';') {
            at++;
        }
        const bool is_it = at - begin == n && strncasecmp(value.p + begin, name, n) == 0;
        if (at < value.n && value.p[at] == '=') {
            at = read_value(value, at + 1, is_it ? out : NULL);
            if (is_it) {
                return at <= value.n;
            }
            while (at < value.n && value.p[at] != ';') {
                at++;
            }
        }
    }
    return false;
}

struct multipart *multipart_new(struct str content_type, const struct multipart_ops *ops, void *ctx)
{
    AUTO_BUF struct buf boundary;
    buf_init(&boundary, 1024);
    if (!parameter(content_type, "boundary", &boundary) || boundary.len == 0 ||
        boundary.len > BOUNDARY_MOST) {
        return NULL;
    }
    struct multipart *m = mem_zero(1, sizeof *m);
    m->ops = *ops;
    m->ctx = ctx;
    buf_init(&m->held, BUF_NO_LIMIT);
    buf_init(&m->mark, BUF_NO_LIMIT);
    buf_add_text(&m->mark, "\r\n--");
    buf_add_str(&m->mark, buf_str(&boundary));
    buf_add_text(&m->held, "\r\n"); /* the first boundary has no line end before it */
    return m;
}

void multipart_free(struct multipart *m)
{
    if (m != NULL) {
        buf_done(&m->held);
        buf_done(&m->mark);
        free(m);
    }
}

static bool fail(struct multipart *m, const char *why)
{
    m->why = why;
    return false;
}

static void drop(struct multipart *m, size_t n)
{
    if (n == 0) {
        return;
    }
    memmove(m->held.data, m->held.data + n, m->held.len - n);
    m->held.len -= n;
}

/* Returns where the mark begins; held.len: not found. */
static size_t find_mark(const struct multipart *m)
{
    const char *at =
        m->held.len == 0 ? NULL : memmem(m->held.data, m->held.len, m->mark.data, m->mark.len);
    return at == NULL ? m->held.len : (size_t)(at - m->held.data);
}

static bool begin_part(struct multipart *m, struct str headers)
{
    AUTO_BUF struct buf name;
    AUTO_BUF struct buf filename;
    buf_init(&name, HEADERS_MOST);
    buf_init(&filename, HEADERS_MOST);
    static const char wanted[] = "content-disposition:";
    const size_t n = sizeof wanted - 1;
    for (size_t at = 0; at < headers.n;) {
        const char *end = memmem(headers.p + at, headers.n - at, "\r\n", 2);
        const size_t len = end == NULL ? headers.n - at : (size_t)(end - headers.p) - at;
        const struct str line = {headers.p + at, len};
        if (line.n > n && strncasecmp(line.p, wanted, n) == 0) {
            const struct str value = {line.p + n, line.n - n};
            if (!parameter(value, "name", &name)) {
                return fail(m, "a part has no name");
            }
            const bool is_file = parameter(value, "filename", &filename);
            return m->ops.begin(m->ctx, buf_str(&name), is_file, buf_str(&filename), &m->why);
        }
        at += len + 2;
    }
    return fail(m, "a part has no Content-Disposition");
}

/* Each step consumes what it can of `held`; *ret_more: more may be possible at once. False: the
   body is refused. */
typedef bool (*step_fn)(struct multipart *m, bool *ret_more);

/* Passes bytes up to the next boundary: a part's, or the preamble. */
static bool step_data(struct multipart *m, bool *ret_more)
{
    const size_t at = find_mark(m);
    const bool found = at < m->held.len;
    const size_t keep = m->mark.len - 1;
    const size_t n = found ? at : m->held.len > keep ? m->held.len - keep : 0;
    if (m->state == STATE_DATA && n > 0) {
        m->ops.data(m->ctx, m->held.data, n);
    }
    if (found && m->state == STATE_DATA) {
        m->ops.end(m->ctx);
    }
    drop(m, n + (found ? m->mark.len : 0));
    m->state = found ? STATE_BOUNDARY : m->state;
    *ret_more = found;
    return true;
}

static bool step_boundary(struct multipart *m, bool *ret_more)
{
    *ret_more = m->held.len >= 2;
    if (m->held.len < 2) {
        return true;
    }
    if (memcmp(m->held.data, "--", 2) == 0) {
        m->state = STATE_EPILOGUE;
    } else if (memcmp(m->held.data, "\r\n", 2) == 0) {
        m->state = STATE_HEADERS;
    } else {
        return fail(m, "a boundary is followed by neither a line's end nor two hyphens");
    }
    drop(m, m->state == STATE_HEADERS ? 0 : 2); /* its line end may end the headers */
    return true;
}

static bool step_headers(struct multipart *m, bool *ret_more)
{
    const char *end = m->held.len == 0 ? NULL : memmem(m->held.data, m->held.len, "\r\n\r\n", 4);
    *ret_more = end != NULL;
    if (end == NULL) {
        return m->held.len <= HEADERS_MOST || fail(m, "the headers of a part are too long");
    }
    const size_t n = (size_t)(end - m->held.data);
    if (!begin_part(m, (struct str){m->held.data, n})) {
        return false;
    }
    drop(m, n + 2);
    m->state = STATE_EMPTY_LINE;
    return true;
}

static bool step_empty_line(struct multipart *m, bool *ret_more)
{
    const size_t n = m->held.len < m->mark.len ? m->held.len : m->mark.len;
    const bool is_mark = memcmp(m->held.data, m->mark.data, n) == 0;
    *ret_more = !is_mark || n == m->mark.len;
    if (*ret_more) {
        drop(m, is_mark ? 0 : 2);
        m->state = STATE_DATA;
    }
    return true;
}

static bool step_epilogue(struct multipart *m, bool *ret_more)
{
    buf_clear(&m->held);
    *ret_more = false;
    return true;
}

static const step_fn steps[] = {
    [STATE_PREAMBLE] = step_data,         [STATE_DATA] = step_data,
    [STATE_BOUNDARY] = step_boundary,     [STATE_HEADERS] = step_headers,
    [STATE_EMPTY_LINE] = step_empty_line, [STATE_EPILOGUE] = step_epilogue,
};

bool multipart_feed(struct multipart *m, const char *bytes, size_t n, const char **ret_why)
{
    bool more = true;
    buf_add(&m->held, bytes, n);
    while (more) {
        if (!steps[m->state](m, &more)) {
            *ret_why = m->why;
            return false;
        }
    }
    return true;
}

bool multipart_is_whole(const struct multipart *m)
{
    return m->state == STATE_EPILOGUE;
}
