/*
 * The query string: a table says which parameter is known on which route and how it is read.
 * An unknown, repeated or ill-formed one is refused by name; nothing is ignored. Pure.
 */
#include "internal.h"

#include <string.h>

#include "comfypool/base/near.h"
#include "comfypool/base/time_text.h"
#include "comfypool/core/event.h"
#include "comfypool/core/job.h"

enum { MIN_LIMIT = 1, MAX_LIMIT = 1000, DEFAULT_LIMIT = 50, MAX_RUNS = 100, DEFAULT_RUNS = 20 };

#define BIT(n) (UINT64_C(1) << (n))
_Static_assert(HTTP_ROUTE_COUNT <= 64, "the routes of a parameter are a 64 bit mask");

#define PROFILE_FORMATS                                                                            \
    (1u << FORMAT_JSON | 1u << FORMAT_TEXT | 1u << FORMAT_CSV | 1u << FORMAT_CHROME |              \
     1u << FORMAT_SPEEDSCOPE | 1u << FORMAT_FOLDED | 1u << FORMAT_OTLP)

static const unsigned formats[HTTP_ROUTE_COUNT] = {
    [ROUTE_PROFILE] = PROFILE_FORMATS,
    [ROUTE_ATTEMPT_PROFILE] = PROFILE_FORMATS,
    [ROUTE_EXPORT] = 1u << FORMAT_NDJSON | 1u << FORMAT_CSV,
    [ROUTE_COMPARE] = 1u << FORMAT_JSON | 1u << FORMAT_TEXT,
    [ROUTE_JOB_EVENTS] = 1u << FORMAT_EVENTS,
    [ROUTE_EVENTS] = 1u << FORMAT_EVENTS,
};

unsigned route_formats(enum http_route route)
{
    return route < HTTP_ROUTE_COUNT ? formats[route] : 0;
}

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
    rq->format = format_from_name(value);
    return rq->format < FORMAT_COUNT && (formats[rq->route] >> rq->format & 1u) != 0;
}

static bool read_types(struct str value, struct http_request *rq)
{
    struct str name;
    rq->event_types = 0;
    while (text_cut(&value, ',', &name)) {
        const enum event_type t = event_from_name(name);
        if (t == EVENT_TYPE_COUNT) {
            return false;
        }
        rq->event_types |= 1u << t;
    }
    return rq->event_types != 0;
}

static bool read_since(struct str value, struct http_request *rq)
{
    return time_read(value, &rq->since);
}

static bool read_until(struct str value, struct http_request *rq)
{
    return time_read(value, &rq->until);
}

static bool read_hash(struct str value, struct http_request *rq)
{
    if (value.n != DIGEST_HEX_SIZE - 1 || !text_is_hex(value)) {
        return false;
    }
    memcpy(rq->workflow_hash, value.p, value.n);
    return true;
}

static bool read_backend(struct str value, struct http_request *rq)
{
    if (!text_is_name(value)) {
        return false;
    }
    memcpy(rq->backend, value.p, value.n);
    rq->backend[value.n] = '\0';
    return true;
}

static bool read_job(struct str value, char ret[UUID_SIZE])
{
    if (!uuid_is_canonical(value)) {
        return false;
    }
    memcpy(ret, value.p, UUID_TEXT);
    return true;
}

static bool read_base(struct str value, struct http_request *rq)
{
    return str_is(value, "baseline") || read_job(value, rq->base);
}

static bool read_target(struct str value, struct http_request *rq)
{
    return read_job(value, rq->target);
}

static bool read_runs(struct str value, struct http_request *rq)
{
    int64_t n = 0;
    if (!str_to_int64(value, &n) || n < 1 || n > MAX_RUNS) {
        return false;
    }
    rq->runs = (unsigned)n;
    return true;
}

static bool read_group(struct str value, struct http_request *rq)
{
    rq->group_by = group_from_name(value);
    return rq->group_by < GROUP_COUNT;
}

static bool read_delivery_state(struct str value, struct http_request *rq)
{
    struct str name;
    rq->delivery_states = 0;
    while (text_cut(&value, ',', &name)) {
        const enum delivery_state state = delivery_state_from_name(name);
        if (state == DELIVERY_STATE_COUNT) {
            return false;
        }
        rq->delivery_states |= 1u << state;
    }
    return rq->delivery_states != 0;
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

static bool read_dry_run(struct str value, struct http_request *rq)
{
    return read_flag(value, &rq->dry_run);
}

static bool read_batch(struct str value, struct http_request *rq)
{
    if (!uuid_is_canonical(value)) {
        return false;
    }
    memcpy(rq->batch, value.p, UUID_TEXT);
    return true;
}

static bool read_previews(struct str value, struct http_request *rq)
{
    return read_flag(value, &rq->previews);
}

/* The route needs it. */
enum { NEEDED = 1 };

enum parameter {
    WAIT,
    LIMIT,
    CURSOR,
    STATE,
    FORMAT,
    TRACEBACK,
    LIVE,
    TYPES,
    PREVIEWS,
    SINCE,
    UNTIL,
    HASH,
    BACKEND,
    BASE,
    TARGET,
    RUNS,
    GROUP_BY,
    DELIVERY_STATE,
    DRY_RUN,
    BATCH,
    PARAMETER_COUNT
};

static const char a_time[] = TIME_SHAPE;

static const struct {
    const char *name;
    uint64_t routes;
    bool (*read)(struct str value, struct http_request *rq);
    const char *shape; /* NULL: the route's formats */
    int needed;
} parameters[PARAMETER_COUNT] = {
    [WAIT] = {"wait", BIT(ROUTE_SUBMIT) | BIT(ROUTE_JOB) | BIT(ROUTE_PROFILE), read_wait,
              "a whole number of seconds", 0},
    [LIMIT] = {"limit", BIT(ROUTE_LIST) | BIT(ROUTE_SUMMARY) | BIT(ROUTE_DELIVERIES), read_limit,
               "a whole number from 1 to 1000", 0},
    [CURSOR] = {"cursor", BIT(ROUTE_LIST) | BIT(ROUTE_DELIVERIES), read_cursor,
                "a nextCursor of this list", 0},
    [STATE] = {"state", BIT(ROUTE_LIST), read_state,
               "queued, running, completed, failed or cancelled, separated by commas", 0},
    [FORMAT] = {"format",
                BIT(ROUTE_PROFILE) | BIT(ROUTE_ATTEMPT_PROFILE) | BIT(ROUTE_EXPORT) |
                    BIT(ROUTE_COMPARE),
                read_format, NULL, 0},
    [TRACEBACK] = {"traceback", BIT(ROUTE_JOB), read_traceback, "0 or 1", 0},
    [LIVE] = {"live", BIT(ROUTE_PROFILE), read_live, "0 or 1", 0},
    [TYPES] = {"types", BIT(ROUTE_JOB_EVENTS) | BIT(ROUTE_EVENTS), read_types,
               "names of events such as job:completed, separated by commas", 0},
    [PREVIEWS] = {"previews", BIT(ROUTE_JOB_EVENTS) | BIT(ROUTE_EVENTS), read_previews, "0 or 1",
                  0},
    [SINCE] = {"since", BIT(ROUTE_EXPORT) | BIT(ROUTE_SUMMARY), read_since, a_time, 0},
    [UNTIL] = {"until", BIT(ROUTE_EXPORT), read_until, a_time, 0},
    [HASH] = {"workflowHash", BIT(ROUTE_EXPORT) | BIT(ROUTE_SUMMARY), read_hash,
              "64 lowercase hex digits, as in a Job", 0},
    [BACKEND] = {"backend", BIT(ROUTE_EXPORT), read_backend, "the name of a backend", 0},
    [BASE] = {"base", BIT(ROUTE_COMPARE), read_base, "a job's id, or baseline", NEEDED},
    [TARGET] = {"target", BIT(ROUTE_COMPARE), read_target, "a job's id", NEEDED},
    [RUNS] = {"n", BIT(ROUTE_COMPARE), read_runs, "a whole number from 1 to 100", 0},
    [GROUP_BY] = {"groupBy", BIT(ROUTE_SUMMARY), read_group, "classType, node, workflow or backend",
                  0},
    [DELIVERY_STATE] = {"state", BIT(ROUTE_DELIVERIES), read_delivery_state,
                        "pending, failing, dead or forbidden, separated by commas", 0},
    [DRY_RUN] = {"dryRun", BIT(ROUTE_SUBMIT), read_dry_run, "0 or 1", 0},
    [BATCH] = {"batch", BIT(ROUTE_LIST), read_batch, "the id of a batch", 0},
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

static void add_formats(enum http_route route, struct buf *out)
{
    for (int f = 0; f < FORMAT_COUNT; f++) {
        if ((formats[route] >> f & 1u) != 0) {
            buf_printf(out, "%s%s", out->len == 0 ? "" : ", ", format_name((enum format)f));
        }
    }
}

/* "NAME: must be SHAPE". */
static bool refuse_value(int parameter, enum http_route route, struct problem *p)
{
    AUTO_BUF struct buf shape;
    buf_init(&shape, 512);
    if (parameters[parameter].shape != NULL) {
        buf_add_text(&shape, parameters[parameter].shape);
    } else {
        add_formats(route, &shape);
    }
    return problem_set(p, ERR_QUERY_INVALID, "%s: must be %s%s", parameters[parameter].name,
                       parameters[parameter].shape == NULL ? "one of " : "", buf_text(&shape));
}

/* For a message: a name may be as long as a client likes. */
static int shown(struct str s)
{
    return s.n > 64 ? 64 : (int)s.n;
}

static bool refuse_name(struct str name, enum http_route route, struct problem *p)
{
    AUTO_BUF struct buf names;
    buf_init(&names, BUF_NO_LIMIT);
    struct near near = near_to(name);
    for (int i = 0; i < PARAMETER_COUNT; i++) {
        if ((parameters[i].routes & BIT(route)) != 0) {
            near_try(&near, parameters[i].name);
            buf_printf(&names, "%s%s", names.len == 0 ? "" : ", ", parameters[i].name);
        }
    }
    const char *most = near.name != NULL ? "; did you mean " : names.len > 0 ? "; there are " : "";
    return problem_set(p, ERR_QUERY_INVALID, "%.*s: there is no such parameter here%s%s%s",
                       shown(name), name.p, most, near.name != NULL ? near.name : buf_text(&names),
                       near.name != NULL ? "?" : "");
}

static bool read_pair(struct str pair, struct http_request *rq, uint64_t *seen, struct problem *p)
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
        return refuse_name(buf_str(&name), rq->route, p);
    }
    if ((*seen & BIT(i)) != 0) {
        return problem_set(p, ERR_QUERY_INVALID, "%s: given twice", parameters[i].name);
    }
    *seen |= BIT(i);
    if (!text_unescape(raw_value, true, &value) || !parameters[i].read(buf_str(&value), rq)) {
        return refuse_value(i, rq->route, p);
    }
    return true;
}

static bool apply_headers(const struct headers *h, uint64_t seen, struct http_request *rq,
                          bool *ret_preferred, struct problem *p)
{
    int64_t seconds = 0;
    if ((seen & BIT(WAIT)) == 0 && (parameters[WAIT].routes & BIT(rq->route)) != 0 &&
        headers_prefer_wait(h, &seconds)) {
        set_wait(rq, seconds);
        *ret_preferred = rq->waits;
    }
    rq->conditional = headers_first(h, HEADER_IF_NONE_MATCH).n > 0;
    rq->resumes = headers_last_event_id(h, rq->last_event_id);
    headers_trace(h, rq->trace);
    if (rq->route == ROUTE_OUTPUT || rq->route == ROUTE_UPLOAD_GET) {
        headers_pass(h, HEADER_RANGE, rq->range);
        headers_pass(h, HEADER_IF_RANGE, rq->if_range);
        headers_pass(h, HEADER_IF_NONE_MATCH, rq->if_none_match);
    }
    if (formats[rq->route] != 0 && (seen & BIT(FORMAT)) == 0) {
        return headers_choose_format(h, formats[rq->route], &rq->format, p);
    }
    return true;
}

static bool check_needed(uint64_t seen, enum http_route route, struct problem *p)
{
    for (int i = 0; i < PARAMETER_COUNT; i++) {
        if (parameters[i].needed == NEEDED && (parameters[i].routes & BIT(route)) != 0 &&
            (seen & BIT(i)) == 0) {
            return problem_set(p, ERR_QUERY_INVALID, "%s: must be given: %s", parameters[i].name,
                               parameters[i].shape);
        }
    }
    return true;
}

bool query_parse(struct str query, const struct headers *h, struct http_request *rq,
                 bool *ret_preferred, struct problem *p)
{
    rq->limit = DEFAULT_LIMIT;
    rq->runs = DEFAULT_RUNS;
    rq->state_mask = (1u << JOB_STATE_COUNT) - 1;
    rq->event_types = EVENTS_ALL;
    rq->delivery_states = (1u << DELIVERY_STATE_COUNT) - 1;
    rq->until.us = INT64_MAX;
    *ret_preferred = false;
    uint64_t seen = 0;
    while (query.n > 0) {
        const char *end = memchr(query.p, '&', query.n);
        const size_t n = end == NULL ? query.n : (size_t)(end - query.p);
        if (n > 0 && !read_pair((struct str){query.p, n}, rq, &seen, p)) {
            return false;
        }
        query.p += n < query.n ? n + 1 : n;
        query.n -= n < query.n ? n + 1 : n;
    }
    /* Who names previews wants them. */
    rq->previews =
        rq->previews || ((seen & BIT(TYPES)) != 0 && (rq->event_types >> EVENT_PREVIEW & 1u) != 0);
    return check_needed(seen, rq->route, p) && apply_headers(h, seen, rq, ret_preferred, p);
}
