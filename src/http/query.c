/*
 * The query string: the route's parameters are the known ones, with their readers. An unknown,
 * repeated or malformed one is refused by name; nothing is ignored. Pure.
 */
#include "query.h"

#include <string.h>

#include "comfypool/base/near.h"
#include "comfypool/base/text.h"

/* Parameters of the request itself; see read_own. */
const struct http_param http_param_wait = {"wait", NULL, "a whole number of seconds", false};
const struct http_param http_param_format = {"format", NULL, NULL, false};

bool query_read_wait(struct str value, int64_t *ret_seconds)
{
    int64_t seconds = 0;
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] < '0' || value.p[i] > '9') {
            return false;
        }
        seconds = seconds * 10 + (value.p[i] - '0');
        seconds = seconds > MAX_WAIT_S ? MAX_WAIT_S : seconds;
    }
    *ret_seconds = seconds;
    return value.n > 0;
}

static void set_wait(struct http_request *rq, int64_t seconds)
{
    rq->waits = seconds > 0;
    rq->wait = dur_ms(seconds * 1000);
}

static bool read_own(const struct http_param *param, struct str value, struct http_request *rq)
{
    if (param == &http_param_wait) {
        int64_t seconds = 0;
        const bool good = query_read_wait(value, &seconds);
        set_wait(rq, seconds);
        return good;
    }
    rq->format = format_from_name(value);
    return rq->format < FORMAT_COUNT && (rq->route->formats >> rq->format & 1u) != 0;
}

/* Returns the index in the route's list; -1: none of this name. */
static int find_param(struct str name, const struct http_route *route)
{
    for (int i = 0; route->params != NULL && route->params[i] != NULL; i++) {
        if (str_is(name, route->params[i]->name)) {
            return i;
        }
    }
    return -1;
}

static void add_formats(const struct http_route *route, struct buf *out)
{
    for (int f = 0; f < FORMAT_COUNT; f++) {
        if ((route->formats >> f & 1u) != 0) {
            buf_printf(out, "%s%s", out->len == 0 ? "" : ", ", format_name((enum format)f));
        }
    }
}

/* Refuses with "NAME: must be SHAPE". */
static bool refuse_value(const struct http_param *param, const struct http_route *route,
                         struct problem *p)
{
    AUTO_BUF struct buf shape;
    buf_init(&shape, 512);
    if (param->shape != NULL) {
        buf_add_text(&shape, param->shape);
    } else {
        add_formats(route, &shape);
    }
    return problem_set(p, ERR_QUERY_INVALID, "%s: must be %s%s", param->name,
                       param->shape == NULL ? "one of " : "", buf_text(&shape));
}

/* Clips a name for a message: it may have any length. */
static int shown(struct str s)
{
    return s.n > 64 ? 64 : (int)s.n;
}

static bool refuse_name(struct str name, const struct http_route *route, struct problem *p)
{
    AUTO_BUF struct buf names;
    buf_init(&names, BUF_NO_LIMIT);
    struct near near = near_to(name);
    for (size_t i = 0; route->params != NULL && route->params[i] != NULL; i++) {
        near_try(&near, route->params[i]->name);
        buf_printf(&names, "%s%s", names.len == 0 ? "" : ", ", route->params[i]->name);
    }
    const char *most = near.name != NULL ? "; did you mean " : names.len > 0 ? "; there are " : "";
    return problem_set(p, ERR_QUERY_INVALID, "%.*s: there is no such parameter here%s%s%s",
                       shown(name), name.p, most, near.name != NULL ? near.name : buf_text(&names),
                       near.name != NULL ? "?" : "");
}

static bool read_pair(struct str pair, struct http_request *rq, uint32_t *seen, struct problem *p)
{
    AUTO_BUF struct buf name;
    AUTO_BUF struct buf value;
    buf_init(&name, BUF_NO_LIMIT);
    buf_init(&value, BUF_NO_LIMIT);
    struct str raw_name = {"", 0};
    (void)!text_cut(&pair, '=', &raw_name);
    const struct str raw_value = pair.p == NULL ? (struct str){"", 0} : pair;
    if (!text_unescape(raw_name, true, &name)) {
        return problem_set(p, ERR_QUERY_INVALID, "%.*s: the name of this parameter is not readable",
                           shown(raw_name), raw_name.p);
    }
    const int i = find_param(buf_str(&name), rq->route);
    if (i < 0) {
        return refuse_name(buf_str(&name), rq->route, p);
    }
    const struct http_param *param = rq->route->params[i];
    if ((*seen >> i & 1u) != 0) {
        return problem_set(p, ERR_QUERY_INVALID, "%s: given twice", param->name);
    }
    *seen |= UINT32_C(1) << i;
    if (!text_unescape(raw_value, true, &value) ||
        !(param->read == NULL ? read_own(param, buf_str(&value), rq)
                              : param->read(buf_str(&value), rq->args))) {
        return refuse_value(param, rq->route, p);
    }
    return true;
}

/* True if the route has the parameter, but the query does not. */
static bool is_silent(const struct http_route *route, const struct http_param *param, uint32_t seen)
{
    const int i = find_param(str_of(param->name), route);
    return i >= 0 && route->params[i] == param && (seen >> i & 1u) == 0;
}

static bool apply_headers(const struct headers *h, uint32_t seen, struct http_request *rq,
                          bool *ret_preferred, struct problem *p)
{
    int64_t seconds = 0;
    if (is_silent(rq->route, &http_param_wait, seen) && headers_prefer_wait(h, &seconds)) {
        set_wait(rq, seconds);
        *ret_preferred = rq->waits;
    }
    rq->conditional = headers_first(h, HEADER_IF_NONE_MATCH).n > 0;
    rq->resumes = headers_last_event_id(h, rq->last_event_id);
    headers_trace(h, rq->trace);
    if ((rq->route->flags & HTTP_HAS_RANGES) != 0) {
        headers_pass(h, HEADER_RANGE, rq->range);
        headers_pass(h, HEADER_IF_RANGE, rq->if_range);
        headers_pass(h, HEADER_IF_NONE_MATCH, rq->if_none_match);
    }
    const int format = find_param(str_of(http_param_format.name), rq->route);
    if (rq->route->formats != 0 && (format < 0 || (seen >> format & 1u) == 0)) {
        return headers_choose_format(h, rq->route->formats, &rq->format, p);
    }
    return true;
}

static bool check_needed(uint32_t seen, const struct http_route *route, struct problem *p)
{
    for (int i = 0; route->params != NULL && route->params[i] != NULL; i++) {
        const struct http_param *param = route->params[i];
        if (param->is_needed && (seen >> i & 1u) == 0) {
            return problem_set(p, ERR_QUERY_INVALID, "%s: must be given: %s", param->name,
                               param->shape);
        }
    }
    return true;
}

bool query_parse(struct str query, const struct headers *h, struct http_request *rq,
                 bool *ret_preferred, struct problem *p)
{
    *ret_preferred = false;
    uint32_t seen = 0;
    while (query.n > 0) {
        const char *end = memchr(query.p, '&', query.n);
        const size_t n = end == NULL ? query.n : (size_t)(end - query.p);
        if (n > 0 && !read_pair((struct str){query.p, n}, rq, &seen, p)) {
            return false;
        }
        query.p += n < query.n ? n + 1 : n;
        query.n -= n < query.n ? n + 1 : n;
    }
    return check_needed(seen, rq->route, p) && apply_headers(h, seen, rq, ret_preferred, p);
}
