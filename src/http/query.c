/*
 * The query string: a table says which parameter is known on which route and how it is read.
 * An unknown, repeated or ill-formed one is refused by name; nothing is ignored. Pure.
 */
#include "internal.h"

#include <string.h>

#include "comfypool/core/job.h"

enum { MIN_LIMIT = 1, MAX_LIMIT = 1000, DEFAULT_LIMIT = 50 };

#define BIT(n) (1u << (n))
_Static_assert(HTTP_ROUTE_COUNT <= 32, "the routes of a parameter are a 32 bit mask");

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

static bool read_wait(struct str value, struct http_request *rq)
{
    int64_t seconds = 0;
    if (!query_read_wait(value, &seconds)) {
        return false;
    }
    set_wait(rq, seconds);
    return true;
}

static bool read_limit(struct str value, struct http_request *rq)
{
    int64_t n = 0;
    if (!str_to_int64(value, &n) || n < MIN_LIMIT || n > MAX_LIMIT) {
        return false;
    }
    rq->limit = (unsigned)n;
    return true;
}

static bool read_cursor(struct str value, struct http_request *rq)
{
    int64_t n = 0;
    if (!str_to_int64(value, &n) || n < 1) {
        return false;
    }
    rq->cursor = n;
    return true;
}

static bool read_state(struct str value, struct http_request *rq)
{
    struct str name;
    unsigned mask = 0;
    while (text_cut(&value, ',', &name)) {
        const enum job_state state = job_state_from_name(name);
        if (state == JOB_STATE_COUNT) {
            return false;
        }
        mask |= 1u << state;
    }
    rq->state_mask = mask;
    return mask != 0;
}

static bool read_format(struct str value, struct http_request *rq)
{
    rq->text = str_is(value, "text");
    return rq->text || str_is(value, "json");
}

static bool read_flag(struct str value, bool *ret)
{
    *ret = str_is(value, "1");
    return *ret || str_is(value, "0");
}

static bool read_traceback(struct str value, struct http_request *rq)
{
    return read_flag(value, &rq->traceback);
}

static bool read_live(struct str value, struct http_request *rq)
{
    return read_flag(value, &rq->live);
}

enum parameter { WAIT, LIMIT, CURSOR, STATE, FORMAT, TRACEBACK, LIVE, PARAMETER_COUNT };

static const struct {
    const char *name;
    unsigned routes;
    bool (*read)(struct str value, struct http_request *rq);
    const char *shape;
} parameters[PARAMETER_COUNT] = {
    [WAIT] = {"wait", BIT(ROUTE_SUBMIT) | BIT(ROUTE_JOB) | BIT(ROUTE_PROFILE), read_wait,
              "a whole number of seconds"},
    [LIMIT] = {"limit", BIT(ROUTE_LIST), read_limit, "a whole number from 1 to 1000"},
    [CURSOR] = {"cursor", BIT(ROUTE_LIST), read_cursor, "a nextCursor of this list"},
    [STATE] = {"state", BIT(ROUTE_LIST), read_state,
               "queued, running, completed, failed or cancelled, separated by commas"},
    [FORMAT] = {"format", BIT(ROUTE_PROFILE) | BIT(ROUTE_ATTEMPT_PROFILE), read_format,
                "json or text"},
    [TRACEBACK] = {"traceback", BIT(ROUTE_JOB), read_traceback, "0 or 1"},
    [LIVE] = {"live", BIT(ROUTE_PROFILE), read_live, "0 or 1"},
};

static int find_parameter(struct str name, enum http_route route)
{
    for (int i = 0; i < PARAMETER_COUNT; i++) {
        if (str_is(name, parameters[i].name) && (parameters[i].routes & BIT(route)) != 0) {
            return i;
        }
    }
    return -1;
}

/* For a message: a name may be as long as a client likes. */
static int shown(struct str s)
{
    return s.n > 64 ? 64 : (int)s.n;
}

static bool read_pair(struct str pair, struct http_request *rq, unsigned *seen, struct problem *p)
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
    const int i = find_parameter(buf_str(&name), rq->route);
    if (i < 0) {
        return problem_set(p, ERR_QUERY_INVALID, "%.*s: there is no such parameter here",
                           shown(buf_str(&name)), buf_text(&name));
    }
    if ((*seen & (1u << i)) != 0) {
        return problem_set(p, ERR_QUERY_INVALID, "%s: given twice", parameters[i].name);
    }
    *seen |= 1u << i;
    if (!text_unescape(raw_value, true, &value) || !parameters[i].read(buf_str(&value), rq)) {
        return problem_set(p, ERR_QUERY_INVALID, "%s: must be %s", parameters[i].name,
                           parameters[i].shape);
    }
    return true;
}

static bool apply_headers(const struct headers *h, unsigned seen, struct http_request *rq,
                          bool *ret_preferred, struct problem *p)
{
    int64_t seconds = 0;
    if ((seen & BIT(WAIT)) == 0 && (parameters[WAIT].routes & BIT(rq->route)) != 0 &&
        headers_prefer_wait(h, &seconds)) {
        set_wait(rq, seconds);
        *ret_preferred = rq->waits;
    }
    if ((parameters[FORMAT].routes & BIT(rq->route)) != 0 && (seen & BIT(FORMAT)) == 0) {
        return headers_choose_text(h, &rq->text, p);
    }
    return true;
}

bool query_parse(struct str query, const struct headers *h, struct http_request *rq,
                 bool *ret_preferred, struct problem *p)
{
    rq->limit = DEFAULT_LIMIT;
    rq->state_mask = (1u << JOB_STATE_COUNT) - 1;
    *ret_preferred = false;
    unsigned seen = 0;
    while (query.n > 0) {
        const char *end = memchr(query.p, '&', query.n);
        const size_t n = end == NULL ? query.n : (size_t)(end - query.p);
        if (n > 0 && !read_pair((struct str){query.p, n}, rq, &seen, p)) {
            return false;
        }
        query.p += n < query.n ? n + 1 : n;
        query.n -= n < query.n ? n + 1 : n;
    }
    return apply_headers(h, seen, rq, ret_preferred, p);
}
