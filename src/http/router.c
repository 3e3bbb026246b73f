/*
 * From a method and a raw request target to a route of HTTP_ROUTE_TABLE. Segments are unescaped one
 * by one, so that %2F never makes a new one. Pure. Cost: O(routes) comparisons of short strings.
 */
#include "internal.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *method;
    const char *path;
    enum http_role role;
} routes[HTTP_ROUTE_COUNT] = {
#define X(symbol, m, p, r) [symbol] = {m, p, r},
    HTTP_ROUTE_TABLE(X)
#undef X
};

const char *route_method(enum http_route route)
{
    return routes[route].method;
}

const char *route_path(enum http_route route)
{
    return routes[route].path;
}

enum http_role route_role(enum http_route route)
{
    return routes[route].role;
}

enum { MAX_SEGMENTS = 5, MAX_SEGMENT = 128 };

struct segment {
    bool broken; /* cannot be unescaped, or is too long for anything */
    size_t n;
    char text[MAX_SEGMENT];
};

struct path {
    size_t len;
    struct segment segments[MAX_SEGMENTS];
};

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

static const char backends[] = "/backends/";

/* The last segment of a route below a backend that the path ends with; n == 0: with none. */
static struct str find_verb(struct str rest)
{
    for (int i = 0; i < HTTP_ROUTE_COUNT; i++) {
        const char *verb = strstr(routes[i].path, "/{name}/");
        if (verb == NULL || strncmp(routes[i].path, backends, strlen(backends)) != 0) {
            continue;
        }
        const struct str end = str_of(verb + strlen("/{name}"));
        if (rest.n > end.n && str_ends_with(rest, end)) {
            return end;
        }
    }
    return (struct str){"", 0};
}

/* Whether the method is one of a backend itself: its name may end as a route below it does. */
static bool is_of_backend(struct str method)
{
    for (int i = 0; i < HTTP_ROUTE_COUNT; i++) {
        if (strcmp(routes[i].path, "/backends/{name}") == 0 && str_is(method, routes[i].method)) {
            return true;
        }
    }
    return str_is(method, "HEAD");
}

/* A backend may be called by its URL, with slashes: people write the name as GET /backends gives
   it. True: it was read as one segment. */
static bool read_backend_path(struct str method, struct str raw, struct path *ret)
{
    const size_t n = strlen(backends);
    if (raw.n <= n || memcmp(raw.p, backends, n) != 0) {
        return false;
    }
    const struct str rest = {raw.p + n, raw.n - n};
    const struct str verb = is_of_backend(method) ? (struct str){"", 0} : find_verb(rest);
    read_segment(STR("backends"), &ret->segments[0]);
    read_segment((struct str){rest.p, rest.n - verb.n}, &ret->segments[1]);
    ret->len = 2;
    if (verb.n > 0) {
        read_segment((struct str){verb.p + 1, verb.n - 1}, &ret->segments[2]);
        ret->len = 3;
    }
    return true;
}

/* False when the path has more segments than any route, or an empty one. */
static bool read_path(struct str method, struct str raw, struct path *ret)
{
    if (read_backend_path(method, raw, ret)) {
        return true;
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

static void allow(struct match *m, const char *method)
{
    const size_t n = strlen(m->allow);
    (void)snprintf(m->allow + n, sizeof m->allow - n, "%s%s%s", n == 0 ? "" : ", ", method,
                   strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

/* ---- parameters --------------------------------------------------------------------------------
 */

static bool read_id(const struct segment *s, struct match *ret, struct problem *p)
{
    if (s->broken || !uuid_is_canonical((struct str){s->text, s->n})) {
        return problem_set(p, ERR_JOB_NOT_FOUND, "a job's id is a lowercase UUID");
    }
    memcpy(ret->job_id, s->text, UUID_SIZE);
    return true;
}

static bool read_batch(const struct segment *s, struct match *ret, struct problem *p)
{
    if (s->broken || !uuid_is_canonical((struct str){s->text, s->n})) {
        return problem_set(p, ERR_BATCH_NOT_FOUND, "a batch's id is a lowercase UUID");
    }
    memcpy(ret->job_id, s->text, UUID_SIZE);
    return true;
}

static bool read_name(const struct segment *s, struct match *ret, struct problem *p)
{
    if (s->broken || !text_is_name((struct str){s->text, s->n})) {
        return problem_set(p, ERR_BACKEND_NOT_FOUND, "see GET /backends for their names");
    }
    memcpy(ret->backend, s->text, s->n + 1);
    return true;
}

static bool read_delivery(const struct segment *s, struct match *ret, struct problem *p)
{
    if (s->broken || !uuid_is_canonical((struct str){s->text, s->n})) {
        return problem_set(p, ERR_DELIVERY_NOT_FOUND, "see GET /webhooks/deliveries for their ids");
    }
    memcpy(ret->delivery, s->text, UUID_SIZE);
    return true;
}

static bool read_sha256(const struct segment *s, struct match *ret, struct problem *p)
{
    if (s->broken || s->n != DIGEST_HEX_SIZE - 1 || !text_is_hex((struct str){s->text, s->n})) {
        return problem_set(p, ERR_UPLOAD_NOT_FOUND,
                           "an upload is named by its SHA-256: 64 lowercase hex digits");
    }
    memcpy(ret->sha256, s->text, DIGEST_HEX_SIZE);
    return true;
}

static bool read_number(const struct segment *s, int64_t least, struct match *ret)
{
    int64_t n = -1;
    if (s->broken || s->n > 9 || !str_to_int64((struct str){s->text, s->n}, &n) || n < least) {
        return false;
    }
    ret->number = (unsigned)n;
    return true;
}

static bool read_output(const struct segment *s, struct match *ret, struct problem *p)
{
    return read_number(s, 0, ret) ||
           problem_set(p, ERR_OUTPUT_NOT_FOUND, "outputs are numbered from 0");
}

static bool read_attempt(const struct segment *s, struct match *ret, struct problem *p)
{
    return read_number(s, 1, ret) ||
           problem_set(p, ERR_ATTEMPT_NOT_FOUND, "attempts are numbered from 1");
}

/* How a template begins, up to a parameter, which segment that is, and how it is read. */
static const struct {
    struct str prefix;
    size_t segment;
    bool (*read)(const struct segment *s, struct match *ret, struct problem *p);
} parameters[] = {
    {STR_INIT("/jobs/{id}"), 1, read_id},
    {STR_INIT("/batches/{id}"), 1, read_batch},
    {STR_INIT("/uploads/{sha256}"), 1, read_sha256},
    {STR_INIT("/backends/{name}"), 1, read_name},
    {STR_INIT("/jobs/{id}/outputs/{n}"), 3, read_output},
    {STR_INIT("/jobs/{id}/attempts/{n}"), 3, read_attempt},
    {STR_INIT("/webhooks/deliveries/{delivery}"), 2, read_delivery},
};

static bool read_parameters(const struct path *path, struct match *ret, struct problem *p)
{
    const char *template = routes[ret->route].path;
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++) {
        const struct str prefix = parameters[i].prefix;
        if (strncmp(template, prefix.p, prefix.n) == 0 &&
            !parameters[i].read(&path->segments[parameters[i].segment], ret, p)) {
            return false;
        }
    }
    return true;
}

/* ---- routes ------------------------------------------------------------------------------------
 */

/* "http://host/path" is as good as "/path". */
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

static bool find_route(struct str method, const struct path *path, struct match *ret)
{
    const bool head = str_is(method, "HEAD");
    for (int i = 0; i < HTTP_ROUTE_COUNT; i++) {
        if (!path_fits(routes[i].path, path)) {
            continue;
        }
        if (str_is(method, routes[i].method) || (head && strcmp(routes[i].method, "GET") == 0)) {
            ret->route = (enum http_route)i;
            ret->head = head;
            ret->allow[0] = '\0'; /* methods of other routes at this path */
            return true;
        }
        allow(ret, routes[i].method);
    }
    if (ret->allow[0] != '\0') {
        allow(ret, "OPTIONS");
        ret->options = str_is(method, "OPTIONS");
    }
    return ret->options;
}

/* Where people look for things, since another server has them there. */
static const char *where_to(struct str path)
{
    static const struct {
        const char *path;
        const char *detail;
    } known[] = {
        {"/", "POST a workflow to /jobs; see /openapi.yaml for what there is"},
        {"/prompt", "POST workflows to /jobs: ComfyUI's own body is taken there"},
        {"/run", "POST workflows to /jobs"},
        {"/runsync", "POST workflows to /jobs?wait=60"},
        {"/queue", "GET /jobs?state=queued,running lists what waits and runs"},
        {"/history", "GET /jobs lists jobs; their outputs are at /jobs/ID/outputs"},
        {"/view", "files of a job are at /jobs/ID/outputs/N"},
        {"/upload/image", "POST files to /uploads, and name them in attachments of a job"},
        {"/interrupt", "POST /jobs/ID/cancel stops a job"},
        {"/ws", "GET /jobs/ID/events streams what happens to a job, GET /events to all"},
    };
    if (path.n > 4 && memcmp(path.p, "/api/", 5) == 0) {
        path = (struct str){path.p + 4, path.n - 4};
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (str_is(path, known[i].path)) {
            return known[i].detail;
        }
    }
    return "see /openapi.yaml for what there is";
}

bool router_match(struct str method, struct str target, struct match *ret, struct problem *p)
{
    *ret = (struct match){.route = HTTP_ROUTE_COUNT};
    struct str path_text = cut_authority(target, &ret->authority);
    const char *mark = path_text.n == 0 ? NULL : memchr(path_text.p, '?', path_text.n);
    if (mark != NULL) {
        const size_t at = (size_t)(mark - path_text.p);
        ret->query = (struct str){mark + 1, path_text.n - at - 1};
        path_text.n = at;
    }
    struct path path;
    if (read_path(method, path_text, &path)) {
        if (find_route(method, &path, ret)) {
            return ret->options || read_parameters(&path, ret, p);
        }
        if (ret->allow[0] != '\0') {
            return problem_set(p, ERR_METHOD_NOT_ALLOWED, "allowed here: %s", ret->allow);
        }
    }
    return problem_set(p, ERR_ROUTE_NOT_FOUND, "%s", where_to(path_text));
}
