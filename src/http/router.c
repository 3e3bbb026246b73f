/*
 * Maps a method and a raw request target to a row of a table. Segments are unescaped one by one, so
 * that %2F never makes a new one. Pure. Cost: O(routes) comparisons of short strings.
 */
#include "router.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comfypool/base/text.h"

enum { MAX_SEGMENTS = 5, MAX_SEGMENT = 128 };

struct segment {
    bool broken; /* cannot be unescaped, or is too long */
    size_t n;
    char text[MAX_SEGMENT];
};

struct path {
    size_t len;
    struct segment segments[MAX_SEGMENTS];
};

/* ---- rows ------------------------------------------------------------------------------------ */

const struct http_route *http_next_route(const struct http_family *f, struct http_rows *at)
{
    const struct http_table *t = f->tables[at->table];
    while (t != NULL && at->row == t->len) {
        t = f->tables[++at->table];
        at->row = 0;
    }
    return t == NULL ? NULL : &t->routes[at->row++];
}

/* ---- paths ----------------------------------------------------------------------------------- */

static void read_segment(struct str raw, struct segment *ret)
{
    AUTO_BUF struct buf b;
    buf_init(&b, MAX_SEGMENT - 1);
    ret->broken = !text_unescape(raw, false, &b) || b.overflow;
    ret->n = ret->broken ? 0 : b.len;
    if (ret->n > 0) {
        memcpy(ret->text, b.data, b.len);
    }
    ret->text[ret->n] = '\0';
}

/* Returns the prefix before its parameter. */
static struct str base_of(const struct http_segment *s)
{
    return (struct str){s->prefix, strcspn(s->prefix, "{")};
}

/* Finds the end of the path that follows the parameter in some route; n == 0: none. */
static struct str find_verb(const struct http_family *f, const struct http_segment *s,
                            struct str rest)
{
    const size_t n = strlen(s->prefix);
    struct http_rows at = {0};
    for (const struct http_route *r = http_next_route(f, &at); r != NULL;
         r = http_next_route(f, &at)) {
        if (strncmp(r->path, s->prefix, n) == 0 && r->path[n] == '/') {
            const struct str end = str_of(r->path + n);
            if (rest.n > end.n && str_ends_with(rest, end)) {
                return end;
            }
        }
    }
    return (struct str){"", 0};
}

/* True if the parameter's own path has the method: a name may end like a route below it. */
static bool is_of_itself(const struct http_family *f, const struct http_segment *s,
                         struct str method)
{
    struct http_rows at = {0};
    for (const struct http_route *r = http_next_route(f, &at); r != NULL;
         r = http_next_route(f, &at)) {
        if (strcmp(r->path, s->prefix) == 0 && str_is(method, r->method)) {
            return true;
        }
    }
    return str_is(method, "HEAD");
}

/* Reads a parameter that spans slashes as one segment. */
static bool read_spanning(const struct http_family *f, const struct http_segment *s,
                          struct str method, struct str raw, struct path *ret)
{
    const struct str base = base_of(s);
    if (!s->spans || raw.n <= base.n || memcmp(raw.p, base.p, base.n) != 0) {
        return false;
    }
    const struct str rest = {raw.p + base.n, raw.n - base.n};
    const struct str verb =
        is_of_itself(f, s, method) ? (struct str){"", 0} : find_verb(f, s, rest);
    struct str before = {base.p + 1, base.n - 1};
    struct str one;
    ret->len = 0;
    while (text_cut(&before, '/', &one) && one.n > 0) {
        read_segment(one, &ret->segments[ret->len++]);
    }
    read_segment((struct str){rest.p, rest.n - verb.n}, &ret->segments[ret->len++]);
    if (verb.n > 0) {
        read_segment((struct str){verb.p + 1, verb.n - 1}, &ret->segments[ret->len++]);
    }
    return true;
}

/* Splits a path; false when it has more segments than any route, or an empty one. */
static bool read_path(const struct http_family *f, struct str method, struct str raw,
                      struct path *ret)
{
    for (size_t i = 0; i < f->segments_len; i++) {
        if (read_spanning(f, &f->segments[i], method, raw, ret)) {
            return true;
        }
    }
    ret->len = 0;
    if (raw.n == 0 || raw.p[0] != '/') {
        return false;
    }
    for (size_t at = 1; at <= raw.n;) {
        const char *slash = at < raw.n ? memchr(raw.p + at, '/', raw.n - at) : NULL;
        const size_t end = slash == NULL ? raw.n : (size_t)(slash - raw.p);
        if (end == at || ret->len == MAX_SEGMENTS) {
            return false;
        }
        read_segment((struct str){raw.p + at, end - at}, &ret->segments[ret->len]);
        ret->len++;
        at = end + 1;
    }
    return true;
}

static bool segment_fits(struct str want, const struct segment *s)
{
    return want.p[0] == '{' || (!s->broken && str_eq(want, (struct str){s->text, s->n}));
}

static bool path_fits(const char *template, const struct path *path)
{
    struct str rest = str_of(template + 1);
    struct str want;
    size_t i = 0;
    while (text_cut(&rest, '/', &want)) {
        if (i == path->len || !segment_fits(want, &path->segments[i])) {
            return false;
        }
        i++;
    }
    return i == path->len;
}

/* ---- parameters ------------------------------------------------------------------------------ */

/* Returns the index of its parameter's segment. */
static size_t place_of(const struct http_segment *s)
{
    size_t slashes = 0;
    for (const char *p = s->prefix; *p != '\0'; p++) {
        slashes += *p == '/' ? 1 : 0;
    }
    return slashes - 1;
}

static bool read_parameters(const struct path *path, struct match *ret, struct problem *p)
{
    const struct http_family *f = ret->family;
    for (size_t i = 0; i < f->segments_len; i++) {
        const struct http_segment *s = &f->segments[i];
        if (strncmp(ret->route->path, s->prefix, strlen(s->prefix)) != 0) {
            continue;
        }
        const struct segment *is = &path->segments[place_of(s)];
        if (is->broken || !s->read((struct str){is->text, is->n}, ret->args)) {
            return problem_set(p, s->code, "%s", s->detail);
        }
    }
    return true;
}

/* ---- routes ---------------------------------------------------------------------------------- */

static void allow(struct match *m, const char *method)
{
    const size_t n = strlen(m->allow);
    (void)snprintf(m->allow + n, sizeof m->allow - n, "%s%s%s", n == 0 ? "" : ", ", method,
                   strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

/* Cuts the authority: "http://host/path" equals "/path". */
static struct str cut_authority(struct str target, struct str *ret_authority)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        const size_t n = strlen(schemes[i]);
        if (target.n > n && memcmp(target.p, schemes[i], n) == 0) {
            const char *slash = memchr(target.p + n, '/', target.n - n);
            if (slash != NULL) {
                *ret_authority = (struct str){target.p + n, (size_t)(slash - target.p) - n};
                return (struct str){slash, target.n - n - ret_authority->n};
            }
        }
    }
    return target;
}

/* True if the family has the path; the match has its methods. */
static bool find_route(const struct http_family *f, struct str method, const struct path *path,
                       struct match *ret)
{
    const bool head = str_is(method, "HEAD");
    struct http_rows at = {0};
    for (const struct http_route *r = http_next_route(f, &at); r != NULL;
         r = http_next_route(f, &at)) {
        if (!path_fits(r->path, path)) {
            continue;
        }
        if (str_is(method, r->method) || (head && strcmp(r->method, "GET") == 0)) {
            ret->route = r;
            ret->head = head;
            ret->allow[0] = '\0'; /* other routes' methods at this path */
            return true;
        }
        allow(ret, r->method);
    }
    if (ret->allow[0] != '\0') {
        allow(ret, "OPTIONS");
        ret->options = str_is(method, "OPTIONS");
    }
    return ret->allow[0] != '\0';
}

/* Returns a hint for a path of another server. */
static const char *where_to(const struct http_family *f, struct str path)
{
    if (path.n > 4 && memcmp(path.p, "/api/", 5) == 0) {
        path = (struct str){path.p + 4, path.n - 4};
    }
    for (size_t i = 0; i < f->hints_len; i++) {
        if (str_is(path, f->hints[i].path)) {
            return f->hints[i].detail;
        }
    }
    return f->no_hint;
}

static bool enter(const struct path *path, struct match *ret, struct problem *p)
{
    if (ret->options) {
        return true;
    }
    if (ret->route == NULL) {
        return problem_set(p, ERR_METHOD_NOT_ALLOWED, "allowed here: %s", ret->allow);
    }
    ret->args = mem_zero(1, ret->family->args_size);
    ret->family->args_init(ret->args);
    return read_parameters(path, ret, p);
}

bool router_match(const struct http_family *const *families, struct str method, struct str target,
                  struct match *ret, struct problem *p)
{
    *ret = (struct match){.family = families[0]};
    struct str path_text = cut_authority(target, &ret->authority);
    const char *mark = path_text.n == 0 ? NULL : memchr(path_text.p, '?', path_text.n);
    if (mark != NULL) {
        const size_t at = (size_t)(mark - path_text.p);
        ret->query = (struct str){mark + 1, path_text.n - at - 1};
        path_text.n = at;
    }
    size_t i = 0; /* at least one family */
    do {
        struct path path;
        if (read_path(families[i], method, path_text, &path) &&
            find_route(families[i], method, &path, ret)) {
            ret->family = families[i];
            return enter(&path, ret, p);
        }
    } while (families[++i] != NULL);
    return problem_set(p, ERR_ROUTE_NOT_FOUND, "%s", where_to(families[0], path_text));
}

void match_args_free(const struct http_family *f, void *args)
{
    if (args != NULL) {
        f->args_done(args);
        free(args);
    }
}
