/*
 * The HTTP room: its pure parts by tables (router, query, headers, submission), the rest live on
 * port 0 in this process: one loop drives the server and raw client sockets, and is turned until
 * what a test waits for has happened. Nothing sleeps.
 */
#include "../../src/api/body_members.h"
#include "../../src/api/submission.h"
#include "../../src/http/access.h"
#include "../../src/http/body.h"
#include "../../src/http/conns.h"
#include "../../src/http/headers.h"
#include "../../src/http/query.h"
#include "../../src/http/router.h"
#include "../../src/http/server.h"
#include "routes.h"

#include <arpa/inet.h>
#include <check.h>
#include <netdb.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "comfypool/base/sniff.h"
#include "comfypool/base/text.h"
#include "comfypool/core/job.h"
#include "comfypool/http/answer.h"

Suite *http_suite(void);

#define ID "0190a3c4-0000-7000-8000-000000000001"
#define COUNT(table) (sizeof(table) / sizeof *(table))

/* ---- router ---------------------------------------------------------------------------------- */

static const struct route_row {
    const char *method;
    const char *target;
    enum err want; /* ERR_NONE: the route */
    enum route_name route;
    const char *allow;
} route_rows[] = {
    {"POST", "/jobs", ERR_NONE, ROUTE_SUBMIT, NULL},
    {"GET", "/jobs?limit=3", ERR_NONE, ROUTE_LIST, NULL},
    {"HEAD", "/jobs", ERR_NONE, ROUTE_LIST, NULL},
    {"PUT", "/jobs", ERR_METHOD_NOT_ALLOWED, 0, "POST, GET, HEAD, OPTIONS"},
    {"OPTIONS", "/jobs", ERR_NONE, NO_ROUTE, "POST, GET, HEAD, OPTIONS"},
    {"OPTIONS", "/jobs/x", ERR_NONE, NO_ROUTE, "GET, HEAD, PATCH, DELETE, OPTIONS"},
    {"OPTIONS", "/nope", ERR_ROUTE_NOT_FOUND, 0, NULL},
    {"GET", "/jobs/" ID, ERR_NONE, ROUTE_JOB, NULL},
    {"GET", "http://host:1/jobs/" ID "?a", ERR_NONE, ROUTE_JOB, NULL},
    {"GET", "/%6aobs/" ID, ERR_NONE, ROUTE_JOB, NULL},
    {"DELETE", "/jobs/" ID, ERR_NONE, ROUTE_DELETE, NULL},
    {"POST", "/jobs/" ID, ERR_METHOD_NOT_ALLOWED, 0, "GET, HEAD, PATCH, DELETE, OPTIONS"},
    {"GET", "/jobs/" ID "/profile", ERR_NONE, ROUTE_PROFILE, NULL},
    {"POST", "/jobs/" ID "/profile", ERR_METHOD_NOT_ALLOWED, 0, "GET, HEAD, OPTIONS"},
    {"GET", "/jobs/" ID "/workflow", ERR_NONE, ROUTE_WORKFLOW, NULL},
    {"POST", "/jobs/" ID "/cancel", ERR_NONE, ROUTE_CANCEL, NULL},
    {"GET", "/jobs/" ID "/cancel", ERR_METHOD_NOT_ALLOWED, 0, "POST, OPTIONS"},
    {"HEAD", "/jobs/" ID "/cancel", ERR_METHOD_NOT_ALLOWED, 0, "POST, OPTIONS"},
    {"GET", "/jobs/" ID "/outputs", ERR_NONE, ROUTE_OUTPUTS, NULL},
    {"GET", "/jobs/" ID "/outputs/17", ERR_NONE, ROUTE_OUTPUT, NULL},
    {"GET", "/jobs/" ID "/outputs/x", ERR_OUTPUT_NOT_FOUND, 0, NULL},
    {"GET", "/jobs/" ID "/outputs/-1", ERR_OUTPUT_NOT_FOUND, 0, NULL},
    {"GET", "/jobs/" ID "/outputs/9999999999", ERR_OUTPUT_NOT_FOUND, 0, NULL},
    {"GET", "/jobs/x/outputs/0", ERR_JOB_NOT_FOUND, 0, NULL},
    {"GET", "/backends", ERR_NONE, ROUTE_BACKENDS, NULL},
    {"PATCH", "/jobs/" ID, ERR_NONE, ROUTE_CHANGE, NULL},
    {"POST", "/jobs/" ID "/retry", ERR_NONE, ROUTE_RETRY, NULL},
    {"GET", "/jobs/" ID "/attempts", ERR_NONE, ROUTE_ATTEMPTS, NULL},
    {"HEAD", "/jobs/" ID "/attempts/1/profile", ERR_NONE, ROUTE_ATTEMPT_PROFILE, NULL},
    {"GET", "/jobs/" ID "/attempts/0/profile", ERR_ATTEMPT_NOT_FOUND, 0, NULL},
    {"GET", "/jobs/" ID "/attempts/x/profile", ERR_ATTEMPT_NOT_FOUND, 0, NULL},
    {"GET", "/jobs/x/attempts/0/profile", ERR_JOB_NOT_FOUND, 0, NULL},
    {"GET", "/jobs/" ID "/attempts/1", ERR_ROUTE_NOT_FOUND, 0, NULL},
    {"GET", "/jobs/" ID "/attempts/1/profile/x", ERR_ROUTE_NOT_FOUND, 0, NULL},
    {"POST", "/backends", ERR_NONE, ROUTE_BACKEND_ADD, NULL},
    {"GET", "/backends/a%3A1", ERR_NONE, ROUTE_BACKEND, NULL},
    {"PATCH", "/backends/a", ERR_NONE, ROUTE_BACKEND_CHANGE, NULL},
    {"DELETE", "/backends/a", ERR_NONE, ROUTE_BACKEND_REMOVE, NULL},
    {"PUT", "/backends/a", ERR_METHOD_NOT_ALLOWED, 0, "GET, HEAD, PATCH, DELETE, OPTIONS"},
    {"POST", "/backends/a/drain", ERR_NONE, ROUTE_BACKEND_DRAIN, NULL},
    {"POST", "/backends/a/resume", ERR_NONE, ROUTE_BACKEND_RESUME, NULL},
    {"POST", "/backends/a/quarantine", ERR_NONE, ROUTE_BACKEND_QUARANTINE, NULL},
    {"GET", "/backends/a%2Fb", ERR_NONE, ROUTE_BACKEND, NULL},
    {"GET", "/backends/h:1/a/b/c/d", ERR_NONE, ROUTE_BACKEND, NULL},
    {"POST", "/backends/h:1/a/b/c/d/drain", ERR_NONE, ROUTE_BACKEND_DRAIN, NULL},
    {"DELETE", "/backends/h:1/drain", ERR_NONE, ROUTE_BACKEND_REMOVE, NULL},
    {"GET", "/backends/h:1/resume", ERR_NONE, ROUTE_BACKEND, NULL},
    {"POST", "/backends/h:1/drain/drain", ERR_NONE, ROUTE_BACKEND_DRAIN, NULL},
    {"POST", "/backends/%5B::1%5D:8188/refresh", ERR_NONE, ROUTE_BACKEND_REFRESH, NULL},
    {"PATCH", "/backends/[::1]:8188", ERR_NONE, ROUTE_BACKEND_CHANGE, NULL},
    {"POST", "/backends/drain", ERR_METHOD_NOT_ALLOWED, 0, "GET, HEAD, PATCH, DELETE, OPTIONS"},
    {"GET", "/backends/a%22b", ERR_BACKEND_NOT_FOUND, 0, NULL},
    {"GET", "/backends/a%20b", ERR_BACKEND_NOT_FOUND, 0, NULL},
    {"GET", "/backends/%00", ERR_BACKEND_NOT_FOUND, 0, NULL},
    {"POST", "/queue/pause", ERR_NONE, ROUTE_QUEUE_PAUSE, NULL},
    {"POST", "/queue/resume", ERR_NONE, ROUTE_QUEUE_RESUME, NULL},
    {"GET", "/queue", ERR_ROUTE_NOT_FOUND, 0, NULL},
    {"GET", "/stats", ERR_NONE, ROUTE_STATS, NULL},
    {"GET", "/healthz", ERR_NONE, ROUTE_HEALTHZ, NULL},
    {"DELETE", "/healthz", ERR_METHOD_NOT_ALLOWED, 0, "GET, HEAD, OPTIONS"},
    {"GET", "/readyz", ERR_NONE, ROUTE_READYZ, NULL},
    {"GET", "/openapi.yaml", ERR_NONE, ROUTE_OPENAPI, NULL},
    {"GET", "/", ERR_ROUTE_NOT_FOUND, 0, NULL},
    {"GET", "", ERR_ROUTE_NOT_FOUND, 0, NULL},
    {"OPTIONS", "*", ERR_ROUTE_NOT_FOUND, 0, NULL},
    {"GET", "/nope", ERR_ROUTE_NOT_FOUND, 0, NULL},
    {"GET", "/jobs/", ERR_ROUTE_NOT_FOUND, 0, NULL},
    {"GET", "//jobs", ERR_ROUTE_NOT_FOUND, 0, NULL},
    {"GET", "/jobs/" ID "/nothing", ERR_ROUTE_NOT_FOUND, 0, NULL},
    {"GET", "/jobs/" ID "/outputs/1/2", ERR_ROUTE_NOT_FOUND, 0, NULL},
    {"GET", "/../../../etc/passwd", ERR_ROUTE_NOT_FOUND, 0, NULL},
    {"GET", "/jobs/..%2f..%2fetc%2fpasswd", ERR_JOB_NOT_FOUND, 0, NULL},
    {"GET", "/jobs%2f" ID, ERR_ROUTE_NOT_FOUND, 0, NULL},
    {"GET", "/jobs/%00", ERR_JOB_NOT_FOUND, 0, NULL},
    {"GET", "/jobs/" ID "%00", ERR_JOB_NOT_FOUND, 0, NULL},
    {"GET", "/jobs/%ff%fe", ERR_JOB_NOT_FOUND, 0, NULL},
    {"GET", "/jobs/%", ERR_JOB_NOT_FOUND, 0, NULL},
    {"GET", "/jobs/%4", ERR_JOB_NOT_FOUND, 0, NULL},
    {"GET", "/jobs/%zz", ERR_JOB_NOT_FOUND, 0, NULL},
    {"GET", "/jobs/0190A3C4-0000-7000-8000-000000000001", ERR_JOB_NOT_FOUND, 0, NULL},
    {"GET", "/%ff", ERR_ROUTE_NOT_FOUND, 0, NULL},
};

START_TEST(routes)
{
    const struct route_row *r = &route_rows[_i];
    struct problem p;
    struct match m;
    problem_init(&p);
    const bool found =
        router_match(families_of_tests(), str_of(r->method), str_of(r->target), &m, &p);
    ck_assert_msg(found == (r->want == ERR_NONE) && p.code == r->want, "%s %s: %s", r->method,
                  r->target, err_code(p.code));
    if (found) {
        ck_assert_msg(m.route == route_named(r->route), "%s %s: route %d", r->method, r->target,
                      (int)name_of_route(m.route));
        ck_assert(m.head == (strcmp(r->method, "HEAD") == 0));
    }
    if (r->allow != NULL) {
        ck_assert_str_eq(m.allow, r->allow);
    }
    match_args_free(m.family, m.args);
    problem_done(&p);
}
END_TEST

#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* Every template, with its parameters filled in, is found under its own method. */
START_TEST(every_route_is_found)
{
    struct http_rows rows = {0};
    for (const struct http_route *r = http_next_route(family_of_tests(), &rows); r != NULL;
         r = http_next_route(family_of_tests(), &rows)) {
        AUTO_BUF struct buf target;
        buf_init(&target, BUF_NO_LIMIT);
        for (const char *p = r->path; *p != '\0'; p++) {
            if (*p == '{') {
                buf_add_text(&target, p[1] == 's'                  ? SHA
                                      : p[1] == 'i' || p[1] == 'd' ? ID
                                      : p[2] == 'a'                ? "gpu-1"
                                                                   : "3");
                p = strchr(p, '}');
            } else {
                buf_add_char(&target, *p);
            }
        }
        struct problem p;
        struct match m;
        problem_init(&p);
        ck_assert(router_match(families_of_tests(), str_of(r->method), buf_str(&target), &m, &p));
        ck_assert_ptr_eq(m.route, r);
        match_args_free(m.family, m.args);
        problem_done(&p);
    }
}
END_TEST

START_TEST(a_long_segment_is_no_job)
{
    char target[3100] = "/jobs/";
    memset(target + 6, 'x', 3000);
    struct problem p;
    struct match m;
    problem_init(&p);
    ck_assert(!router_match(families_of_tests(), STR("GET"), str_of(target), &m, &p));
    ck_assert_int_eq(p.code, ERR_JOB_NOT_FOUND);
    match_args_free(m.family, m.args);
    problem_done(&p);
}
END_TEST

/* ---- query ----------------------------------------------------------------------------------- */

static const struct query_row {
    enum route_name route;
    const char *query;
    const char *header; /* "Name: value", or NULL */
    const char *names;  /* what the detail of a refusal must name; NULL: it is fine */
    int64_t wait;
    unsigned limit;
    unsigned mask;
    int64_t cursor;
    bool flag; /* text, traceback or live */
} query_rows[] = {
    {ROUTE_LIST, "", NULL, NULL, 0, 50, 31, 0, false},
    {ROUTE_LIST, "&&", NULL, NULL, 0, 50, 31, 0, false},
    {ROUTE_LIST, "limit=1", NULL, NULL, 0, 1, 31, 0, false},
    {ROUTE_LIST, "limit=1000&cursor=77", NULL, NULL, 0, 1000, 31, 77, false},
    {ROUTE_LIST, "limit=0", NULL, "limit", 0, 0, 0, 0, false},
    {ROUTE_LIST, "limit=1001", NULL, "limit", 0, 0, 0, 0, false},
    {ROUTE_LIST, "limit=abc", NULL, "limit", 0, 0, 0, 0, false},
    {ROUTE_LIST, "limit=-1", NULL, "limit", 0, 0, 0, 0, false},
    {ROUTE_LIST, "limit=1e2", NULL, "limit", 0, 0, 0, 0, false},
    {ROUTE_LIST, "limit=99999999999999999999", NULL, "limit", 0, 0, 0, 0, false},
    {ROUTE_LIST, "limit=", NULL, "limit", 0, 0, 0, 0, false},
    {ROUTE_LIST, "limit", NULL, "limit", 0, 0, 0, 0, false},
    {ROUTE_LIST, "limit=5&limit=5", NULL, "limit", 0, 0, 0, 0, false},
    {ROUTE_LIST, "state=queued", NULL, NULL, 0, 50, 1, 0, false},
    {ROUTE_LIST, "state=completed%2Cfailed,cancelled", NULL, NULL, 0, 50, 28, 0, false},
    {ROUTE_LIST, "state=nonsense", NULL, "state", 0, 0, 0, 0, false},
    {ROUTE_LIST, "state=queued,nonsense", NULL, "state", 0, 0, 0, 0, false},
    {ROUTE_LIST, "state=", NULL, "state", 0, 0, 0, 0, false},
    {ROUTE_LIST, "cursor=%ff%00", NULL, "cursor", 0, 0, 0, 0, false},
    {ROUTE_LIST, "cursor=..%2f", NULL, "cursor", 0, 0, 0, 0, false},
    {ROUTE_LIST, "cursor=0", NULL, "cursor", 0, 0, 0, 0, false},
    {ROUTE_LIST, "wait=1", NULL, "wait", 0, 0, 0, 0, false},
    {ROUTE_LIST, "%ff=1", NULL, "ff", 0, 0, 0, 0, false},
    {ROUTE_LIST, "stat=queued", NULL, "stat", 0, 0, 0, 0, false},
    {ROUTE_HEALTHZ, "x=1", NULL, "x", 0, 0, 0, 0, false},
    {ROUTE_SUBMIT, "wait=20", NULL, NULL, 20, 50, 31, 0, false},
    {ROUTE_JOB, "wait=0", NULL, NULL, 0, 50, 31, 0, false},
    {ROUTE_JOB, "wait=100000", NULL, NULL, 300, 50, 31, 0, false},
    {ROUTE_JOB, "wait=99999999999999999999999", NULL, NULL, 300, 50, 31, 0, false},
    {ROUTE_JOB, "wait=abc", NULL, "wait", 0, 0, 0, 0, false},
    {ROUTE_JOB, "wait=-1", NULL, "wait", 0, 0, 0, 0, false},
    {ROUTE_JOB, "wait=NaN", NULL, "wait", 0, 0, 0, 0, false},
    {ROUTE_JOB, "wait=1.5", NULL, "wait", 0, 0, 0, 0, false},
    {ROUTE_JOB, "", "Prefer: wait=7", NULL, 7, 50, 31, 0, false},
    {ROUTE_JOB, "", "Prefer: respond-async, Wait=8; x=1", NULL, 8, 50, 31, 0, false},
    {ROUTE_JOB, "", "Prefer: wait=abc", NULL, 0, 50, 31, 0, false},
    {ROUTE_JOB, "", "Prefer: wait", NULL, 0, 50, 31, 0, false},
    {ROUTE_JOB, "wait=3", "Prefer: wait=7", NULL, 3, 50, 31, 0, false},
    {ROUTE_LIST, "", "Prefer: wait=99999999999999999999", NULL, 0, 50, 31, 0, false},
    {ROUTE_JOB, "traceback=1", NULL, NULL, 0, 50, 31, 0, true},
    {ROUTE_JOB, "traceback=yes", NULL, "traceback", 0, 0, 0, 0, false},
    {ROUTE_PROFILE, "live=1", NULL, NULL, 0, 50, 31, 0, true},
    {ROUTE_PROFILE, "format=text", NULL, NULL, 0, 50, 31, 0, true},
    {ROUTE_PROFILE, "format=json", "Accept: text/plain", NULL, 0, 50, 31, 0, false},
    {ROUTE_PROFILE, "format=xml", NULL, "format", 0, 0, 0, 0, false},
    {ROUTE_PROFILE, "", "Accept: text/plain", NULL, 0, 50, 31, 0, true},
    {ROUTE_PROFILE, "", "Accept: */*", NULL, 0, 50, 31, 0, false},
    {ROUTE_PROFILE, "", "Accept: text/*;q=0.9, application/json;q=0.8", NULL, 0, 50, 31, 0, true},
    {ROUTE_PROFILE, "", "Accept: text/html, */*;q=0.1", NULL, 0, 50, 31, 0, false},
    {ROUTE_PROFILE, "", "Accept: text/plain;q=0.2, */*;q=0.5", NULL, 0, 50, 31, 0, false},
    {ROUTE_PROFILE, "", "Accept: image/png", "application/json", 0, 0, 0, 0, false},
    {ROUTE_PROFILE, "", "Accept: application/json;q=0", "application/json", 0, 0, 0, 0, false},
};

static void add_header_line(struct headers *h, const char *line)
{
    if (line != NULL) {
        const char *colon = strchr(line, ':');
        headers_add(h, (struct str){line, (size_t)(colon - line)}, str_of(colon + 1));
    }
}

START_TEST(queries)
{
    const struct query_row *r = &query_rows[_i];
    struct http_request rq = request_of(r->route);
    struct headers h = {0};
    struct problem p;
    bool preferred = false;
    add_header_line(&h, r->header);
    problem_init(&p);
    const bool good = query_parse(str_of(r->query), &h, &rq, &preferred, &p);
    ck_assert_msg(good == (r->names == NULL), "%s %s: %s", r->query, r->header,
                  buf_text(&p.detail));
    if (good) {
        ck_assert_msg(rq.wait.us == r->wait * 1000000 && rq.waits == (r->wait > 0), "%s", r->query);
        ck_assert_msg(args_of(&rq)->limit == r->limit && args_of(&rq)->state_mask == r->mask &&
                          args_of(&rq)->cursor == r->cursor,
                      "%s: limit %u mask %u", r->query, args_of(&rq)->limit,
                      args_of(&rq)->state_mask);
        ck_assert_msg((rq.format == FORMAT_TEXT || args_of(&rq)->traceback || args_of(&rq)->live) ==
                          r->flag,
                      "%s %s", r->query, r->header);
    } else {
        ck_assert_int_eq(p.code, r->query[0] == '\0' ? ERR_NOT_ACCEPTABLE : ERR_QUERY_INVALID);
        ck_assert_msg(strstr(buf_text(&p.detail), r->names) != NULL, "%s: %s", r->query,
                      buf_text(&p.detail));
    }
    request_done(&rq);
    problem_done(&p);
}
END_TEST

#define HASH "5076e1ef9a015076e1ef9a015076e1ef9a015076e1ef9a015076e1ef9a015076"
#define JOB_A "01a20505-ce2a-781d-b757-1160541c8a06"
#define JOB_B "01a20505-ce2a-781d-b757-1160541c8a07"

/* What a request says beyond lists and waits, in one line; "refused: NAME" names what is wrong. */
#define TEN(x) x x x x x x x x x x
#define LONG_NAME TEN(TEN(TEN("_"))) TEN(TEN("x"))

static const struct {
    enum route_name route;
    const char *query;
    const char *header;
    const char *want;
} detail_rows[] = {
    {ROUTE_EVENTS, "", NULL, "events 8191"},
    {ROUTE_EVENTS, "", "Accept: text/event-stream", "events 8191"},
    {ROUTE_EVENTS, "", "Accept: application/json", "refused: text/event-stream"},
    {ROUTE_EVENTS, "types=job:queued", NULL, "events 1"},
    {ROUTE_EVENTS, "types=job%3Aqueued,job:completed", NULL, "events 257"},
    {ROUTE_EVENTS, "types=job:preview", NULL, "events 32 previews"},
    {ROUTE_EVENTS, "types=job:moon", NULL, "refused: types"},
    {ROUTE_EVENTS, "types=", NULL, "refused: types"},
    {ROUTE_JOB_EVENTS, "previews=1", NULL, "events 8191 previews"},
    {ROUTE_JOB_EVENTS, "previews=yes", NULL, "refused: previews"},
    {ROUTE_JOB_EVENTS, "", "Last-Event-ID: 17-42", "events 8191 after 17-42"},
    {ROUTE_JOB_EVENTS, "",
     "Last-Event-ID: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     "events 8191 after "},
    {ROUTE_PROFILE, "format=chrome", NULL, "chrome"},
    {ROUTE_PROFILE, "format=otlp", "Accept: image/png", "otlp"},
    {ROUTE_PROFILE, "", "Accept: text/csv", "csv"},
    {ROUTE_PROFILE, "", "Accept: TEXT/CSV;q=0.9, application/json;q=0.2", "csv"},
    {ROUTE_PROFILE, "", "Accept: text/*", "text"},
    {ROUTE_PROFILE, "", "Accept: application/x-ndjson", "refused: text/csv"},
    {ROUTE_PROFILE, "format=ndjson", NULL, "refused: speedscope"},
    {ROUTE_PROFILE, "format=", NULL, "refused: format"},
    {ROUTE_EXPORT, "", NULL, "ndjson"},
    {ROUTE_EXPORT, "", "Accept: text/csv", "csv"},
    {ROUTE_EXPORT, "format=json", NULL, "refused: ndjson"},
    {ROUTE_EXPORT,
     "since=1970-01-01T00:00:00.005Z&until=1970-01-01T00:00:01Z&backend=one&workflowHash=" HASH,
     NULL, "ndjson since 5000 until 1000000 backend one hash 5076"},
    {ROUTE_EXPORT, "since=2026-11-25T19:15:00%2B01:00", NULL, "ndjson since 1795630500000000"},
    {ROUTE_EXPORT, "since=2026-11-25T19:15:00+01:00", NULL, "ndjson since 1795630500000000"},
    {ROUTE_EXPORT, "since=yesterday", NULL, "refused: since"},
    {ROUTE_EXPORT, "since=1796007564", NULL, "refused: since"}, /* seconds */
    {ROUTE_LIST, "status=completed", NULL, "refused: did you mean state?"},
    {ROUTE_SUBMIT, "wiat=5", NULL, "refused: did you mean wait?"},
    {ROUTE_SUMMARY, "xyzzy=1", NULL, "refused: limit, since, workflowHash, groupBy"},
    {ROUTE_EXPORT, "until=x", NULL, "refused: until"},
    {ROUTE_EXPORT, "workflowHash=5076", NULL, "refused: workflowHash"},
    {ROUTE_EXPORT, "workflowHash=" HASH "0", NULL, "refused: workflowHash"},
    {ROUTE_EXPORT, "backend=a/b", NULL, "ndjson backend a/b"},
    {ROUTE_EXPORT, "backend=a%20b", NULL, "refused: backend"},
    {ROUTE_COMPARE, "base=" JOB_A "&target=" JOB_B, NULL, "json base " JOB_A " runs 20"},
    {ROUTE_COMPARE, "base=baseline&target=" JOB_B "&n=5&format=text", NULL, "text base  runs 5"},
    {ROUTE_COMPARE, "base=baseline", NULL, "refused: target"},
    {ROUTE_COMPARE, "target=" JOB_B, NULL, "refused: base"},
    {ROUTE_COMPARE, "base=x&target=" JOB_B, NULL, "refused: base"},
    {ROUTE_COMPARE, "base=baseline&target=" JOB_B "&n=0", NULL, "refused: n"},
    {ROUTE_COMPARE, "base=baseline&target=" JOB_B "&format=csv", NULL, "refused: format"},
    {ROUTE_SUMMARY, "groupBy=backend", NULL, "group 3"},
    {ROUTE_SUMMARY, "groupBy=", NULL, "refused: groupBy"},
    {ROUTE_SUMMARY, "groupBy=colour", NULL, "refused: groupBy"},
    {ROUTE_DELIVERIES, "state=dead,forbidden", NULL, "states 12"},
    {ROUTE_DELIVERIES, "state=queued", NULL, "refused: state"},
    {ROUTE_DELIVERIES, "", NULL, "states 15"},
    {ROUTE_SUBMIT, "", "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
     "trace 4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"},
    {ROUTE_SUBMIT, "", "traceparent: cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
     "trace 4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"},
    {ROUTE_SUBMIT, "", "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
     "trace "},
    {ROUTE_SUBMIT, "", "traceparent: ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
     "trace "},
    {ROUTE_SUBMIT, "", "traceparent: 00-00000000000000000000000000000000-00f067aa0ba902b7-01",
     "trace "},
    {ROUTE_SUBMIT, "", "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
     "trace "},
    {ROUTE_SUBMIT, "", "traceparent: 00-4BF92F3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
     "trace "},
    {ROUTE_SUBMIT, "", "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
     "trace "},
    {ROUTE_SUBMIT, "", "traceparent: 00-zz-yy-01", "trace "},
    {ROUTE_SUBMIT, "", "traceparent: ", "trace "},
};

static void write_details(const struct http_request *rq, struct buf *out)
{
    const struct api_args *g = args_of(rq);
    const enum route_name name = name_of_route(rq->route);
    switch ((int)name) {
    case ROUTE_EVENTS:
    case ROUTE_JOB_EVENTS:
        buf_printf(out, "events %u%s%s%s", g->event_types,
                   g->previews || g->names_previews ? " previews" : "",
                   rq->resumes ? " after " : "", rq->last_event_id);
        break;
    case ROUTE_SUMMARY:
        buf_printf(out, "group %d", (int)g->group_by);
        break;
    case ROUTE_DELIVERIES:
        buf_printf(out, "states %u", g->delivery_states);
        break;
    case ROUTE_SUBMIT:
        buf_printf(out, "trace %s", rq->trace);
        break;
    default:
        buf_add_text(out, format_name(rq->format));
    }
    if (name == ROUTE_COMPARE) {
        buf_printf(out, " base %s runs %u", g->base, g->runs);
    }
    if (g->since.us != 0) {
        buf_printf(out, " since %lld", (long long)g->since.us);
    }
    if (g->until.us != INT64_MAX) {
        buf_printf(out, " until %lld", (long long)g->until.us);
    }
    if (g->backend[0] != '\0') {
        buf_printf(out, " backend %s", g->backend);
    }
    if (g->workflow_hash[0] != '\0') {
        buf_printf(out, " hash %.4s", g->workflow_hash);
    }
}

START_TEST(details)
{
    struct http_request rq = request_of(detail_rows[_i].route);
    struct headers h = {0};
    struct problem p;
    bool preferred = false;
    AUTO_BUF struct buf out;
    buf_init(&out, 4096);
    add_header_line(&h, detail_rows[_i].header);
    problem_init(&p);
    if (query_parse(str_of(detail_rows[_i].query), &h, &rq, &preferred, &p)) {
        write_details(&rq, &out);
        ck_assert_str_eq(buf_text(&out), detail_rows[_i].want);
    } else {
        const char *name = detail_rows[_i].want + strlen("refused: ");
        ck_assert_msg(strncmp(detail_rows[_i].want, "refused: ", 9) == 0 &&
                          strstr(buf_text(&p.detail), name) != NULL,
                      "%s: %s, want %s", detail_rows[_i].query, buf_text(&p.detail),
                      detail_rows[_i].want);
    }
    request_done(&rq);
    problem_done(&p);
}
END_TEST

/* ---- headers --------------------------------------------------------------------------------- */

static const struct framing_row {
    const char *lines[3];
    bool http_1_1;
    unsigned status; /* 0: fine */
} framing_rows[] = {
    {{"Host: x", NULL, NULL}, true, 0},
    {{NULL, NULL, NULL}, true, 400},
    {{NULL, NULL, NULL}, false, 0},
    {{"Host: x", "host: y", NULL}, true, 400},
    {{"Host: x", "Content-Length: 5", NULL}, true, 0},
    {{"Host: x", "Content-Length: 5", "content-length: 5"}, true, 400},
    {{"Host: x", "Content-Length: 5", "Transfer-Encoding: chunked"}, true, 400},
    {{"Host: x", "Transfer-Encoding: Chunked", NULL}, true, 0},
    {{"Host: x", "Transfer-Encoding: gzip", NULL}, true, 501},
    {{"Host: x", "Transfer-Encoding: gzip, chunked", NULL}, true, 501},
    {{"Host: x", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"}, true, 501},
    {{"Host: x", "Transfer-Encoding: chunked ", NULL}, true, 400},
    {{"Host: x", "Transfer-Encoding: chunked\t", NULL}, true, 400},
    {{"Host: x", "Content-Length : 5", NULL}, true, 400},
    {{"Host: x", "X-Any\t: 5", NULL}, true, 400},
};

START_TEST(framing)
{
    const struct framing_row *r = &framing_rows[_i];
    struct headers h = {0};
    struct problem p;
    problem_init(&p);
    for (int i = 0; i < 3; i++) {
        add_header_line(&h, r->lines[i]);
    }
    ck_assert_int_eq(headers_check_framing(&h, r->http_1_1, &p), r->status == 0);
    ck_assert_int_eq(p.close, r->status != 0);
    if (r->status != 0) {
        ck_assert_uint_eq(p.status == 0 ? err_http_status(p.code) : p.status, r->status);
    }
    problem_done(&p);
}
END_TEST

static const struct etag_row {
    const char *line;
    bool match;
} etag_rows[] = {
    {NULL, false},
    {"If-None-Match: \"abc\"", true},
    {"If-None-Match: W/\"abc\"", true},
    {"If-None-Match: \"x\", \"abc\"", true},
    {"If-None-Match: \"x,\\\"\", W/\"abc\"", true},
    {"If-None-Match: *", true},
    {"If-None-Match: \"x\"", false},
    {"If-None-Match: abc", false},
    {"If-None-Match: ", false},
};

START_TEST(etags)
{
    struct headers h = {0};
    add_header_line(&h, etag_rows[_i].line);
    ck_assert_int_eq(headers_match_etag(&h, STR("\"abc\"")), etag_rows[_i].match);
}
END_TEST

static const struct type_row {
    const char *line;
    bool taken;
} type_rows[] = {
    {NULL, true},
    {"Content-Type: ", true},
    {"Content-Type: application/json", true},
    {"Content-Type: Application/JSON; charset=utf-8", true},
    {"Content-Type: application/x-www-form-urlencoded", true},
    {"Content-Type: multipart/form-data; boundary=x", false},
    {"Content-Type: text/plain", true},
    {"Content-Type: text/plain;charset=UTF-8", true},
    {"Content-Type: text/html", false},
    {"Content-Type: application/jsonx", false},
};

START_TEST(body_types)
{
    struct headers h = {0};
    struct problem p;
    problem_init(&p);
    add_header_line(&h, type_rows[_i].line);
    ck_assert_int_eq(headers_check_body_type(&h, &p), type_rows[_i].taken);
    ck_assert_int_eq(p.code, type_rows[_i].taken ? ERR_NONE : ERR_MEDIA_TYPE_UNSUPPORTED);
    problem_done(&p);
}
END_TEST

static const struct coding_row {
    const char *line;
    const char *second;
    enum coding want;
} coding_rows[] = {
    {NULL, NULL, CODING_NONE},
    {"Content-Encoding: ", NULL, CODING_NONE},
    {"Content-Encoding: identity", NULL, CODING_NONE},
    {"Content-Encoding: gzip", NULL, CODING_GZIP},
    {"content-encoding: X-GZIP", NULL, CODING_GZIP},
    {"Content-Encoding: identity, gzip", NULL, CODING_GZIP},
    {"Content-Encoding: gzip, gzip", NULL, CODING_OTHER},
    {"Content-Encoding: gzip", "Content-Encoding: gzip", CODING_OTHER},
    {"Content-Encoding: gzip", "Content-Encoding: identity", CODING_GZIP},
    {"Content-Encoding: br", NULL, CODING_OTHER},
    {"Content-Encoding: deflate", NULL, CODING_OTHER},
    {"Content-Encoding: gzip;q=1", NULL, CODING_OTHER},
};

START_TEST(body_codings)
{
    struct headers h = {0};
    add_header_line(&h, coding_rows[_i].line);
    add_header_line(&h, coding_rows[_i].second);
    ck_assert_int_eq(headers_coding(&h), coding_rows[_i].want);
}
END_TEST

/* ---- submission ------------------------------------------------------------------------------ */

#define NODE "{\"class_type\":\"A\",\"inputs\":{}}"
#define GRAPH "{\"3\":" NODE "}"
#define WITH(more) "{\"workflow\":" GRAPH "," more "}"

static const struct submission_row {
    const char *name;
    const char *body;
    enum err want;
    const char *pointer; /* NULL: none is looked at */
} submission_rows[] = {
    {"workflow", "{\"workflow\":" GRAPH "}", ERR_NONE, NULL},
    {"prompt", "{\"prompt\":" GRAPH "}", ERR_NONE, NULL},
    {"ComfyUI's own",
     "{\"prompt\":" GRAPH ",\"client_id\":\"x\",\"number\":5,\"front\":true,\"prompt_id\":1,"
     "\"extra_data\":{},\"whatever\":1}",
     ERR_NONE, NULL},
    {"bare", GRAPH, ERR_NONE, NULL},
    {"bare, a node called prompt", "{\"prompt\":" NODE ",\"3\":" NODE "}", ERR_NONE, NULL},
    {"no class_type", "{\"workflow\":{\"3\":{\"inputs\":{}}}}", ERR_NONE, NULL},
    {"empty", "", ERR_JSON_INVALID, NULL},
    {"no JSON", "hello", ERR_JSON_INVALID, NULL},
    {"half", "{\"workflow\": {\"3\": {", ERR_JSON_INVALID, NULL},
    {"two values", GRAPH GRAPH, ERR_JSON_INVALID, NULL},
    {"rubbish behind", GRAPH " x", ERR_JSON_INVALID, NULL},
    {"NaN", WITH("\"priority\":NaN"), ERR_JSON_INVALID, NULL},
    {"a member twice", WITH("\"workflow\":" GRAPH), ERR_JSON_INVALID, NULL},
    {"a node twice", "{\"3\":" NODE ",\"3\":" NODE "}", ERR_JSON_INVALID, NULL},
    {"UTF-8", "{\"workflow\":{\"\xff\":" NODE "}}", ERR_JSON_INVALID, NULL},
    {"array", "[]", ERR_MEMBER_INVALID, ""},
    {"string", "\"x\"", ERR_MEMBER_INVALID, ""},
    {"null", "null", ERR_MEMBER_INVALID, ""},
    {"empty object", "{}", ERR_MEMBER_INVALID, "/workflow"},
    {"options only", "{\"priority\":1}", ERR_MEMBER_INVALID, "/workflow"},
    {"a graph beside options", "{\"3\":" NODE ",\"priority\":1}", ERR_MEMBER_INVALID, "/workflow"},
    {"a stranger in a bare graph", "{\"3\":" NODE ",\"hello\":\"x\"}", ERR_MEMBER_UNKNOWN,
     "/hello"},
    {"empty workflow", "{\"workflow\":{}}", ERR_WORKFLOW_INVALID, "/workflow"},
    {"workflow array", "{\"workflow\":[" GRAPH "]}", ERR_WORKFLOW_INVALID, "/workflow"},
    {"workflow string", "{\"workflow\":\"{}\"}", ERR_WORKFLOW_INVALID, "/workflow"},
    {"workflow null", "{\"workflow\":null}", ERR_WORKFLOW_INVALID, "/workflow"},
    {"prompt null", "{\"prompt\":null}", ERR_WORKFLOW_INVALID, "/prompt"},
    {"a node that is a number", "{\"prompt\":{\"3\":5}}", ERR_WORKFLOW_INVALID, "/prompt/3"},
    {"inputs array", "{\"workflow\":{\"a/b\":{\"inputs\":[]}}}", ERR_WORKFLOW_INVALID,
     "/workflow/a~1b/inputs"},
    {"inputs array, bare", "{\"3\":{\"class_type\":\"A\",\"inputs\":[]}}", ERR_WORKFLOW_INVALID,
     "/3/inputs"},
    {"class_type", "{\"workflow\":{\"3\":{\"class_type\":7,\"inputs\":{}}}}", ERR_WORKFLOW_INVALID,
     "/workflow/3/class_type"},
    {"UI format", "{\"workflow\":{\"nodes\":[],\"links\":[]}}", ERR_WORKFLOW_FORMAT_UI, NULL},
    {"UI format, bare", "{\"nodes\":[],\"links\":[],\"version\":0.4}", ERR_WORKFLOW_FORMAT_UI,
     NULL},
    {"both", "{\"workflow\":" GRAPH ",\"prompt\":" GRAPH "}", ERR_MEMBER_INVALID, "/prompt"},
    {"unknown", WITH("\"priorty\":5"), ERR_MEMBER_UNKNOWN, "/priorty"},
    {"unknown, escaped", WITH("\"a/b~c\":5"), ERR_MEMBER_UNKNOWN, "/a~1b~0c"},
    {"client_id beside workflow", WITH("\"client_id\":\"x\""), ERR_MEMBER_UNKNOWN, "/client_id"},
    {"priority", WITH("\"priority\":1000"), ERR_NONE, NULL},
    {"priority, low", WITH("\"priority\":-1000"), ERR_NONE, NULL},
    {"priority 1001", WITH("\"priority\":1001"), ERR_MEMBER_INVALID, "/priority"},
    {"priority 1e999", WITH("\"priority\":1e999"), ERR_MEMBER_INVALID, "/priority"},
    {"priority 2^70", WITH("\"priority\":1180591620717411303424"), ERR_MEMBER_INVALID, "/priority"},
    {"priority 1.5", WITH("\"priority\":1.5"), ERR_MEMBER_INVALID, "/priority"},
    {"priority true", WITH("\"priority\":true"), ERR_MEMBER_INVALID, "/priority"},
    {"priority null", WITH("\"priority\":null"), ERR_MEMBER_INVALID, "/priority"},
    {"priority object", WITH("\"priority\":{}"), ERR_MEMBER_INVALID, "/priority"},
    {"priority beside prompt", "{\"prompt\":" GRAPH ",\"priority\":\"x\"}", ERR_MEMBER_INVALID,
     "/priority"},
    {"profile", WITH("\"profile\":true"), ERR_NONE, NULL},
    {"profile 1", WITH("\"profile\":1"), ERR_MEMBER_INVALID, "/profile"},
    {"metadata", WITH("\"metadata\":{\"a\": [1]}"), ERR_NONE, NULL},
    {"metadata array", WITH("\"metadata\":[1]"), ERR_MEMBER_INVALID, "/metadata"},
    {"metadata null", WITH("\"metadata\":null"), ERR_MEMBER_INVALID, "/metadata"},
    {"extraData", WITH("\"extraData\":{\"x\":1}"), ERR_NONE, NULL},
    {"extraData null", WITH("\"extraData\":null"), ERR_NONE, NULL},
    {"extraData 1", WITH("\"extraData\":1"), ERR_MEMBER_INVALID, "/extraData"},
    {"extra data twice", WITH("\"extraData\":{},\"extra_data\":{}"), ERR_MEMBER_INVALID,
     "/extra_data"},
    {"maxAttempts", WITH("\"maxAttempts\":20"), ERR_NONE, NULL},
    {"maxAttempts 0", WITH("\"maxAttempts\":0"), ERR_MEMBER_INVALID, "/maxAttempts"},
    {"maxAttempts 21", WITH("\"maxAttempts\":21"), ERR_MEMBER_INVALID, "/maxAttempts"},
    {"retryDelayMs", WITH("\"retryDelayMs\":0"), ERR_NONE, NULL},
    {"retryDelayMs -1", WITH("\"retryDelayMs\":-1"), ERR_MEMBER_INVALID, "/retryDelayMs"},
    {"jobTimeoutMs", WITH("\"jobTimeoutMs\":31536000000"), ERR_NONE, NULL},
    {"jobTimeoutMs, more than a year", WITH("\"jobTimeoutMs\":31536000001"), ERR_MEMBER_INVALID,
     "/jobTimeoutMs"},
    {"nodeExecutionTimeoutMs 1.0", WITH("\"nodeExecutionTimeoutMs\":1.0"), ERR_MEMBER_INVALID,
     "/nodeExecutionTimeoutMs"},
    {"queueTimeoutMs beside prompt", "{\"prompt\":" GRAPH ",\"queueTimeoutMs\":null}",
     ERR_MEMBER_INVALID, "/queueTimeoutMs"},
    {"retryOn", WITH("\"retryOn\":[\"lost\",\"node_error\"]"), ERR_NONE, NULL},
    {"retryOn empty", WITH("\"retryOn\":[]"), ERR_NONE, NULL},
    {"retryOn escaped", WITH("\"retryOn\":[\"\\u006cost\"]"), ERR_NONE, NULL},
    {"retryOn string", WITH("\"retryOn\":\"lost\""), ERR_MEMBER_INVALID, "/retryOn"},
    {"retryOn unknown", WITH("\"retryOn\":[\"lost\",\"found\"]"), ERR_MEMBER_INVALID, "/retryOn/1"},
    {"retryOn number", WITH("\"retryOn\":[1]"), ERR_MEMBER_INVALID, "/retryOn/0"},
    {"retryOn twice", WITH("\"retryOn\":[\"lost\",\"lost\"]"), ERR_MEMBER_INVALID, "/retryOn/1"},
    {"retryOn nested", WITH("\"retryOn\":[[\"lost\"]]"), ERR_MEMBER_INVALID, "/retryOn/0"},
    {"maxAttempts string", WITH("\"maxAttempts\":\"3\""), ERR_MEMBER_INVALID, "/maxAttempts"},
};

START_TEST(submissions)
{
    const struct submission_row *r = &submission_rows[_i];
    struct problem p;
    struct submission s;
    problem_init(&p);
    const bool good = submission_parse(str_of(r->body), &s, &p);
    ck_assert_msg(good == (r->want == ERR_NONE) && p.code == r->want, "%s: %s %s", r->name,
                  err_code(p.code), buf_text(&p.detail));
    if (r->pointer != NULL) {
        ck_assert_msg(p.has_pointer && str_is(buf_str(&p.pointer), r->pointer), "%s: %s", r->name,
                      buf_text(&p.pointer));
    }
    if (good) {
        ck_assert_msg(s.nodes_total >= 1 && s.workflow_len == strlen(s.workflow), "%s", r->name);
        submission_done(&s);
    }
    problem_done(&p);
}
END_TEST

START_TEST(a_submission_is_kept_to_the_letter)
{
    static const char body[] =
        " {\"metadata\": {\"a\" : 1.0e5}, \"profile\":false, \"priority\":-3, \"maxAttempts\":2,"
        "\"extraData\":{ },\n \"workflow\" : {\"3\":{\"inputs\":{\"seed\": 18446744073709551615}}} "
        "}";
    struct problem p;
    struct submission s;
    problem_init(&p);
    ck_assert(submission_parse(STR(body), &s, &p));
    ck_assert_str_eq(s.workflow, "{\"3\":{\"inputs\":{\"seed\": 18446744073709551615}}}");
    ck_assert_str_eq(s.metadata, "{\"a\" : 1.0e5}");
    ck_assert_str_eq(s.extra_data, "{ }");
    ck_assert_int_eq(s.priority, -3);
    ck_assert_int_eq(s.profile, OFF);
    ck_assert_int_eq(s.policy.max_attempts, 2);
    ck_assert_uint_eq(strlen(s.hash), 64);
    submission_done(&s);
    ck_assert(submission_parse(STR(GRAPH), &s, &p));
    ck_assert_int_eq(s.profile, UNSET);
    ck_assert_int_eq(s.policy.max_attempts, POLICY_UNSET);
    ck_assert_int_eq(s.policy.job_timeout_ms, POLICY_UNSET);
    ck_assert_uint_eq(s.policy.retry_on, RETRY_ON_UNSET);
    ck_assert_ptr_null(s.metadata);
    submission_done(&s);
    problem_done(&p);
}
END_TEST

START_TEST(a_policy_is_kept)
{
    struct problem p;
    struct submission s;
    problem_init(&p);
    ck_assert(submission_parse(STR(WITH("\"retryOn\":[\"timeout\",\"lost\"],\"retryDelayMs\":1,"
                                        "\"queueTimeoutMs\":2,\"executionStartTimeoutMs\":3,"
                                        "\"nodeExecutionTimeoutMs\":4,\"jobTimeoutMs\":5")),
                               &s, &p));
    ck_assert_uint_eq(s.policy.retry_on, 1u << RETRY_TIMEOUT | 1u << RETRY_LOST);
    ck_assert_int_eq(s.policy.retry_delay_ms, 1);
    ck_assert_int_eq(s.policy.queue_timeout_ms, 2);
    ck_assert_int_eq(s.policy.start_timeout_ms, 3);
    ck_assert_int_eq(s.policy.node_timeout_ms, 4);
    ck_assert_int_eq(s.policy.job_timeout_ms, 5);
    submission_done(&s);
    problem_done(&p);
}
END_TEST

/* ---- other bodies ---------------------------------------------------------------------------- */

static const struct body_row {
    const char *name;
    enum route_name route;
    const char *body;
    enum err want;
    const char *pointer; /* NULL: none is looked at */
} body_rows[] = {
    {"empty", ROUTE_CANCEL, "", ERR_NONE, NULL},
    {"empty object", ROUTE_RETRY, " {} \n", ERR_NONE, NULL},
    {"a member of nothing", ROUTE_QUEUE_PAUSE, "{\"a/b\":1}", ERR_MEMBER_UNKNOWN, "/a~1b"},
    {"a long member is not said back", ROUTE_QUEUE_PAUSE, "{\"" LONG_NAME "\":1}",
     ERR_MEMBER_UNKNOWN, ""},
    {"array for nothing", ROUTE_BACKEND_DRAIN, "[]", ERR_MEMBER_INVALID, ""},
    {"blanks", ROUTE_DELETE, "  ", ERR_JSON_INVALID, NULL},
    {"text", ROUTE_BACKEND_REMOVE, "x", ERR_JSON_INVALID, NULL},
    {"form", ROUTE_BACKEND_RESUME, "a=b", ERR_JSON_INVALID, NULL},
    {"not read", ROUTE_JOB, "x", ERR_NONE, NULL},
    {"priority", ROUTE_CHANGE, "{\"priority\":-1000}", ERR_NONE, NULL},
    {"no priority", ROUTE_CHANGE, "{}", ERR_MEMBER_INVALID, "/priority"},
    {"priority 1001", ROUTE_CHANGE, "{\"priority\":1001}", ERR_MEMBER_INVALID, "/priority"},
    {"priority 1e2", ROUTE_CHANGE, "{\"priority\":1e2}", ERR_MEMBER_INVALID, "/priority"},
    {"another member", ROUTE_CHANGE, "{\"priority\":1,\"profile\":true}", ERR_MEMBER_UNKNOWN,
     "/profile"},
    {"no body", ROUTE_CHANGE, "", ERR_JSON_INVALID, NULL},
    {"twice", ROUTE_CHANGE, "{\"priority\":1,\"priority\":2}", ERR_JSON_INVALID, NULL},
    {"a backend", ROUTE_BACKEND_ADD, "{\"url\":\"http://a:1\"}", ERR_NONE, NULL},
    {"all of it", ROUTE_BACKEND_ADD,
     "{\"url\":\"http://a:1\",\"name\":\"a.b_c:d-1\",\"weight\":1000,\"maxInFlight\":100,"
     "\"labels\":[\"gpu=4090\",\"fast\",\"a=\"]}",
     ERR_NONE, NULL},
    {"no url", ROUTE_BACKEND_ADD, "{\"name\":\"a\"}", ERR_MEMBER_INVALID, "/url"},
    {"url refused", ROUTE_BACKEND_ADD, "{\"url\":\"ftp://a\"}", ERR_MEMBER_INVALID, "/url"},
    {"url empty", ROUTE_BACKEND_ADD, "{\"url\":\"\"}", ERR_MEMBER_INVALID, "/url"},
    {"url NUL", ROUTE_BACKEND_ADD, "{\"url\":\"http://a\\u0000b\"}", ERR_MEMBER_INVALID, "/url"},
    {"url number", ROUTE_BACKEND_ADD, "{\"url\":1}", ERR_MEMBER_INVALID, "/url"},
    {"name", ROUTE_BACKEND_ADD, "{\"url\":\"http://a\",\"name\":\"a b\"}", ERR_MEMBER_INVALID,
     "/name"},
    {"name first", ROUTE_BACKEND_ADD, "{\"name\":\" \"}", ERR_MEMBER_INVALID, "/name"},
    {"weight 0", ROUTE_BACKEND_ADD, "{\"url\":\"http://a\",\"weight\":0}", ERR_MEMBER_INVALID,
     "/weight"},
    {"maxInFlight 101", ROUTE_BACKEND_CHANGE, "{\"maxInFlight\":101}", ERR_MEMBER_INVALID,
     "/maxInFlight"},
    {"weight", ROUTE_BACKEND_CHANGE, "{\"weight\":2}", ERR_NONE, NULL},
    {"no labels", ROUTE_BACKEND_CHANGE, "{\"labels\":[]}", ERR_NONE, NULL},
    {"labels null", ROUTE_BACKEND_CHANGE, "{\"labels\":null}", ERR_MEMBER_INVALID, "/labels"},
    {"label empty", ROUTE_BACKEND_CHANGE, "{\"labels\":[\"a\",\"\"]}", ERR_MEMBER_INVALID,
     "/labels/1"},
    {"label number", ROUTE_BACKEND_CHANGE, "{\"labels\":[1]}", ERR_MEMBER_INVALID, "/labels/0"},
    {"label without a key", ROUTE_BACKEND_CHANGE, "{\"labels\":[\"=a\"]}", ERR_MEMBER_INVALID,
     "/labels/0"},
    {"label control", ROUTE_BACKEND_CHANGE, "{\"labels\":[\"a\\n\"]}", ERR_MEMBER_INVALID,
     "/labels/0"},
    {"nothing to change", ROUTE_BACKEND_CHANGE, "{}", ERR_MEMBER_INVALID, ""},
    {"url cannot change", ROUTE_BACKEND_CHANGE, "{\"url\":\"http://a\"}", ERR_MEMBER_UNKNOWN,
     "/url"},
    {"a submission", ROUTE_SUBMIT, GRAPH, ERR_NONE, NULL},
};

/* What people send by mistake, and what the message must name: all words, separated by |. */
static const struct {
    enum route_name route;
    struct str body;
    enum err want;
    const char *words;
    const char *pointer; /* or NULL */
} mistakes[] = {
    {ROUTE_SUBMIT, STR_INIT(""), ERR_JSON_INVALID, "empty", NULL},
    {ROUTE_SUBMIT, STR_INIT(" \r\n"), ERR_JSON_INVALID, "empty", NULL},
    {ROUTE_SUBMIT, STR_INIT("workflow.json"), ERR_JSON_INVALID, "@workflow.json", NULL},
    {ROUTE_SUBMIT, STR_INIT("my dir/a b.json\n"), ERR_JSON_INVALID, "@", NULL},
    {ROUTE_SUBMIT, STR_INIT("\x89PNG\r\n\x1a\n"), ERR_JSON_INVALID, "PNG|Export (API)", NULL},
    {ROUTE_SUBMIT, STR_INIT("\xff\xd8\xff\xe0"), ERR_JSON_INVALID, "JPEG|Export (API)", NULL},
    {ROUTE_SUBMIT, STR_INIT("\xff\xfe{\0}\0"), ERR_JSON_INVALID, "UTF-16|UTF-8", NULL},
    {ROUTE_SUBMIT, STR_INIT("\0{\0}"), ERR_JSON_INVALID, "UTF-16|UTF-8", NULL},
    {ROUTE_SUBMIT, STR_INIT("\x1f\x8b\x08"), ERR_JSON_INVALID, "gzip|Content-Encoding", NULL},
    {ROUTE_SUBMIT, STR_INIT("<html>"), ERR_JSON_INVALID, "HTML", NULL},
    {ROUTE_SUBMIT, STR_INIT("prompt={\"1\":{}}"), ERR_JSON_INVALID, "form|-d @FILE", NULL},
    {ROUTE_SUBMIT, STR_INIT("%7B%221%22%3A"), ERR_JSON_INVALID, "form|-d @FILE", NULL},
    {ROUTE_SUBMIT, STR_INIT("{'workflow':{}}"), ERR_JSON_INVALID, "double quotes", NULL},
    {ROUTE_SUBMIT, STR_INIT("'{workflow:{}}'"), ERR_JSON_INVALID, "Windows|-d @FILE", NULL},
    {ROUTE_SUBMIT, STR_INIT("// mine\n{}"), ERR_JSON_INVALID, "comments", NULL},
    {ROUTE_CHANGE, STR_INIT("\x89PNG"), ERR_JSON_INVALID, "PNG", NULL},
    {ROUTE_SUBMIT, STR_INIT("{\"workflow\":{},"), ERR_JSON_INVALID, "line 1, column", NULL},
    {ROUTE_SUBMIT, STR_INIT("{\"Priority\":5,\"workflow\":" GRAPH "}"), ERR_MEMBER_UNKNOWN,
     "did you mean priority?", "/Priority"},
    {ROUTE_SUBMIT, STR_INIT("{\"max_attempts\":5,\"workflow\":" GRAPH "}"), ERR_MEMBER_UNKNOWN,
     "did you mean maxAttempts?", "/max_attempts"},
    {ROUTE_SUBMIT, STR_INIT("{\"xyzzy\":5,\"workflow\":" GRAPH "}"), ERR_MEMBER_UNKNOWN,
     "there are|workflow, prompt|priority|metadata|skipEligibility", "/xyzzy"},
    {ROUTE_SUBMIT, STR_INIT("{\"workflows\":" GRAPH "}"), ERR_MEMBER_UNKNOWN,
     "did you mean workflow?", "/workflows"},
    {ROUTE_SUBMIT, STR_INIT("{\"Prompt\":" GRAPH "}"), ERR_MEMBER_UNKNOWN, "did you mean prompt?",
     "/Prompt"},
    {ROUTE_BATCH_SUBMIT, STR_INIT("{\"workflow\":" GRAPH ",\"override\":[{}]}"), ERR_MEMBER_INVALID,
     "overrides must be here", "/overrides"},
    {ROUTE_BATCH_SUBMIT, STR_INIT("{\"workflow\":" GRAPH ",\"overrides\":[{}],\"xyzzy\":1}"),
     ERR_MEMBER_UNKNOWN, "there are|workflow, prompt, overrides, priority", "/xyzzy"},
    {ROUTE_SUBMIT, STR_INIT("%PDF-1.7"), ERR_JSON_INVALID, "no JSON value begins like this", NULL},
    {ROUTE_SUBMIT, STR_INIT("{\"1\":NaN}"), ERR_JSON_INVALID, "no JSON value|column 6", NULL},
    {ROUTE_BACKEND_ADD, STR_INIT("{\"uri\":\"http://a\"}"), ERR_MEMBER_UNKNOWN, "did you mean url?",
     "/uri"},
    {ROUTE_QUEUE_PAUSE, STR_INIT("{\"x\":1}"), ERR_MEMBER_UNKNOWN, "no such member here", "/x"},
    {ROUTE_SUBMIT, STR_INIT("{\"1\":{\"class_type\":\"A\",\"inputs\":{}},\"15\":{\"inputs\":{}}}"),
     ERR_WORKFLOW_INVALID, "class_type", "/15"},
    {ROUTE_SUBMIT, STR_INIT("{\"input\":{\"workflow\":{}}}"), ERR_MEMBER_UNKNOWN, "in \"input\"",
     "/input"},
    {ROUTE_SUBMIT, STR_INIT("{\"last_node_id\":1,\"nodes\":[{\"id\":1}],\"version\":0.4}"),
     ERR_WORKFLOW_FORMAT_UI, "Export (API)", NULL},
    {ROUTE_SUBMIT, STR_INIT("{\"prompt\":\"{}\"}"), ERR_WORKFLOW_INVALID, "text with JSON",
     "/prompt"},
    {ROUTE_BATCH_SUBMIT, STR_INIT(GRAPH), ERR_MEMBER_INVALID, "overrides|workflow", "/workflow"},
};

static bool has_words(const char *text, const char *words)
{
    struct str rest = str_of(words);
    struct str word;
    bool all = true;
    while (text_cut(&rest, '|', &word)) {
        AUTO_FREE char *copy = mem_copy(word);
        all = all && strstr(text, copy) != NULL;
    }
    return all;
}

START_TEST(mistakes_are_explained)
{
    struct http_request rq = request_of(mistakes[_i].route);
    struct problem p;
    problem_init(&p);
    ck_assert(!body_read(mistakes[_i].body, &rq, &p));
    ck_assert_msg(p.code == mistakes[_i].want && has_words(buf_text(&p.detail), mistakes[_i].words),
                  "%d: %s %s", _i, err_code(p.code), buf_text(&p.detail));
    if (mistakes[_i].pointer != NULL) {
        ck_assert_str_eq(buf_text(&p.pointer), mistakes[_i].pointer);
    }
    request_done(&rq);
    problem_done(&p);
}
END_TEST

START_TEST(a_byte_order_mark_is_taken)
{
    struct http_request rq = request_of(ROUTE_SUBMIT);
    struct problem p;
    problem_init(&p);
    ck_assert(body_read(STR("\xef\xbb\xbf" GRAPH), &rq, &p));
    ck_assert(str_is(
        (struct str){args_of(&rq)->submission.workflow, args_of(&rq)->submission.workflow_len},
        GRAPH));
    request_done(&rq);
    problem_done(&p);
}
END_TEST

START_TEST(bodies)
{
    const struct body_row *r = &body_rows[_i];
    struct http_request rq = request_of(r->route);
    struct problem p;
    problem_init(&p);
    const bool good = body_read(str_of(r->body), &rq, &p);
    ck_assert_msg(good == (r->want == ERR_NONE) && p.code == r->want, "%s: %s %s", r->name,
                  err_code(p.code), buf_text(&p.detail));
    if (r->pointer != NULL) {
        ck_assert_msg(p.has_pointer && str_is(buf_str(&p.pointer), r->pointer), "%s: %s", r->name,
                      buf_text(&p.pointer));
    }
    request_done(&rq);
    problem_done(&p);
}
END_TEST

START_TEST(what_a_body_says_is_kept)
{
    struct http_request rq = request_of(ROUTE_BACKEND_ADD);
    struct problem p;
    problem_init(&p);
    ck_assert(body_read(STR("{\"labels\": [ \"a\" ],\"maxInFlight\":4,\"url\":\"http:\\/\\/a\"}"),
                        &rq, &p));
    ck_assert_str_eq(args_of(&rq)->backend_change.url, "http://a");
    ck_assert_str_eq(args_of(&rq)->backend_change.labels, "[ \"a\" ]");
    ck_assert_int_eq(args_of(&rq)->backend_change.max_in_flight, 4);
    ck_assert_int_eq(args_of(&rq)->backend_change.weight, -1);
    ck_assert_ptr_null(args_of(&rq)->backend_change.name);
    backend_change_done(&args_of(&rq)->backend_change);
    rq.route = route_named(ROUTE_CHANGE);
    ck_assert(body_read(STR("{\"priority\":-7}"), &rq, &p));
    ck_assert_int_eq(args_of(&rq)->priority, -7);
    rq.route = route_named(ROUTE_SUBMIT);
    ck_assert(body_read(STR(GRAPH), &rq, &p));
    ck_assert_str_eq(args_of(&rq)->body_digest, ""); /* nobody asked */
    submission_done(&args_of(&rq)->submission);
    rq.idempotency_key[0] = 'k';
    ck_assert(body_read(STR(GRAPH), &rq, &p));
    ck_assert_uint_eq(strlen(args_of(&rq)->body_digest), 64);
    request_done(&rq);
    problem_done(&p);
}
END_TEST

/* ---- who may come in ------------------------------------------------------------------------- */

static const char *const allowed_hosts[] = {"pool.example", "[2001:db8::1]", NULL};
static const char *const allowed_origins[] = {"https://ui.example", NULL};

static const struct host_row {
    const char *line; /* or NULL */
    const char *local;
    enum err want;
} host_rows[] = {
    {"Host: localhost", "127.0.0.1", ERR_NONE},
    {"Host: LocalHost:8189", "127.0.0.1", ERR_NONE},
    {"Host: 127.0.0.1:1", "10.0.0.1", ERR_NONE},
    {"Host: 127.1.2.3", "10.0.0.1", ERR_NONE},
    {"Host: [::1]:99999", "10.0.0.1", ERR_NONE},
    {"Host: [0:0::1]", "10.0.0.1", ERR_NONE},
    {"Host: [::ffff:127.0.0.1]", "10.0.0.1", ERR_NONE},
    {"Host: 10.0.0.1:80", "10.0.0.1", ERR_NONE},
    {"Host: [fe80::2]:80", "fe80::2", ERR_NONE},
    {"Host: Pool.Example", "127.0.0.1", ERR_NONE},
    {"Host: pool.example:", "127.0.0.1", ERR_NONE},
    {"Host: [2001:db8::1]:8189", "127.0.0.1", ERR_NONE},
    {"Host: evil.example", "", ERR_NONE}, /* a unix socket */
    {NULL, "127.0.0.1", ERR_NONE},        /* HTTP/1.0 */
    {"Host: evil.example", "127.0.0.1", ERR_HOST_NOT_ALLOWED},
    {"Host: pool.example.evil.example", "127.0.0.1", ERR_HOST_NOT_ALLOWED},
    {"Host: xpool.example", "127.0.0.1", ERR_HOST_NOT_ALLOWED},
    {"Host: localhost.evil.example", "127.0.0.1", ERR_HOST_NOT_ALLOWED},
    {"Host: 127.0.0.1.evil.example", "127.0.0.1", ERR_HOST_NOT_ALLOWED},
    {"Host: 0.0.0.0", "127.0.0.1", ERR_HOST_NOT_ALLOWED},
    {"Host: 10.0.0.2", "10.0.0.1", ERR_HOST_NOT_ALLOWED},
    {"Host: [::]", "127.0.0.1", ERR_HOST_NOT_ALLOWED},
    {"Host: 2130706433", "127.0.0.1", ERR_HOST_NOT_ALLOWED},
    {"Host: ", "127.0.0.1", ERR_QUERY_INVALID},
    {"Host: a b", "127.0.0.1", ERR_QUERY_INVALID},
    {"Host: user@localhost", "127.0.0.1", ERR_QUERY_INVALID},
    {"Host: localhost:80x", "127.0.0.1", ERR_QUERY_INVALID},
    {"Host: localhost:123456", "127.0.0.1", ERR_QUERY_INVALID},
    {"Host: localhost/", "127.0.0.1", ERR_QUERY_INVALID},
    {"Host: [::1", "127.0.0.1", ERR_QUERY_INVALID},
    {"Host: [::1]x", "127.0.0.1", ERR_QUERY_INVALID},
    {"Host: :80", "127.0.0.1", ERR_QUERY_INVALID},
    {"Host: a/b", "", ERR_QUERY_INVALID},
};

static void read_local(const char *text, struct net_address *ret)
{
    *ret = (struct net_address){.family = AF_UNIX};
    if (*text != '\0') {
        ret->family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
        ck_assert_int_eq(inet_pton(ret->family, text, ret->bytes), 1);
    }
}

START_TEST(hosts)
{
    const struct host_row *r = &host_rows[_i];
    struct headers h = {0};
    struct problem p;
    struct net_address local;
    add_header_line(&h, r->line);
    read_local(r->local, &local);
    struct visitor v = {.headers = &h, .local = &local, .route = route_named(ROUTE_LIST)};
    problem_init(&p);
    const bool good = access_check_host(&v, allowed_hosts, &p);
    ck_assert_msg(good == (r->want == ERR_NONE) && p.code == r->want, "%s: %s", r->line,
                  err_code(p.code));
    ck_assert(p.code != ERR_HOST_NOT_ALLOWED ||
              strstr(buf_text(&p.detail), "http.allowedHosts") != NULL);
    problem_done(&p);
    problem_init(&p);
    v.route = route_named(ROUTE_HEALTHZ);
    ck_assert(access_check_host(&v, NULL, &p));
    /* The target's own authority counts too. */
    v.route = NULL;
    v.authority = STR("evil.example:1");
    ck_assert(access_check_host(&v, allowed_hosts, &p) == (good && *r->local == '\0'));
    problem_done(&p);
}
END_TEST

static const struct origin_row {
    const char *lines[3]; /* the first one is the Host */
    bool good;
    bool cors;
} origin_rows[] = {
    {{"Host: localhost:1", NULL, NULL}, true, false},
    {{"Host: localhost:1", "Origin: http://localhost:1", NULL}, true, false},
    {{"Host: localhost:1", "Origin: https://LOCALHOST:1", NULL}, true, false},
    {{"Host: localhost:1", "Origin: http://localhost:2", NULL}, false, false},
    {{"Host: localhost:1", "Origin: http://localhost", NULL}, false, false},
    {{"Host: localhost:1", "Origin: ftp://localhost:1", NULL}, false, false},
    {{"Host: localhost:1", "Origin: null", NULL}, false, false},
    {{"Host: localhost:1", "Origin: ", NULL}, false, false},
    {{"Host: localhost:1", "Origin: https://evil.example", NULL}, false, false},
    {{"Host: localhost:1", "Origin: https://ui.example", NULL}, true, true},
    {{"Host: localhost:1", "Origin: https://ui.example", "Sec-Fetch-Site: cross-site"}, true, true},
    {{"Host: localhost:1", "Origin: http://ui.example", NULL}, false, false},
    {{"Host: localhost:1", "Origin: https://ui.example:443", NULL}, false, false},
    {{"Host: localhost:1", "Origin: https://ui.example.evil.example", NULL}, false, false},
    {{"Host: localhost:1", "Origin: https://ui.example", "Origin: https://ui.example"},
     false,
     false},
    {{"Host: localhost:1", "Sec-Fetch-Site: cross-site", NULL}, false, false},
    {{"Host: localhost:1", "Sec-Fetch-Site: same-origin", NULL}, true, false},
    {{"Host: localhost:1", "Sec-Fetch-Site: none", NULL}, true, false},
    {{"Host: localhost:1", "Origin: http://localhost:1", "Sec-Fetch-Site: cross-site"},
     false,
     false},
    {{"Origin: http://", NULL, NULL}, false, false},
};

START_TEST(origins)
{
    const struct origin_row *r = &origin_rows[_i];
    struct headers h = {0};
    struct problem p;
    struct str cors;
    for (int i = 0; i < 3; i++) {
        add_header_line(&h, r->lines[i]);
    }
    const struct visitor v = {.headers = &h, .route = route_named(ROUTE_HEALTHZ)};
    problem_init(&p);
    const bool good = access_check_origin(&v, allowed_origins, &cors, &p);
    ck_assert_msg(good == r->good, "%s %s", r->lines[1], r->lines[2]);
    ck_assert_int_eq(p.code, r->good ? ERR_NONE : ERR_FORBIDDEN_ORIGIN);
    ck_assert_msg((cors.n > 0) == r->cors, "%s", r->lines[1]);
    problem_done(&p);
}
END_TEST

enum { TOKENS = 3 };
static struct token tokens[TOKENS];

/* "read-token" and so on. */
static void make_tokens(void)
{
    static const char *const words[TOKENS] = {"read-token", "submit-token", "operate-token"};
    for (int i = 0; i < TOKENS; i++) {
        tokens[i].role = (enum role)(ROLE_READ + i);
        (void)snprintf(tokens[i].name, sizeof tokens[i].name, "%.*s", (int)strcspn(words[i], "-"),
                       words[i]);
        digest_sha256_hex(str_of(words[i]), tokens[i].sha256);
    }
}

static const struct token_row {
    const char *line; /* or NULL */
    enum route_name route;
    enum err want;
    const char *caller; /* or what the challenge says */
} token_rows[] = {
    {NULL, ROUTE_HEALTHZ, ERR_NONE, ""},
    {"Authorization: Bearer wrong", ROUTE_READYZ, ERR_NONE, ""},
    {NULL, ROUTE_LIST, ERR_UNAUTHORIZED, "Bearer"},
    {NULL, NO_ROUTE, ERR_UNAUTHORIZED, "Bearer"},
    {"Authorization: ", ROUTE_LIST, ERR_UNAUTHORIZED, "Bearer error=\"invalid_token\""},
    {"Authorization: Bearer", ROUTE_LIST, ERR_UNAUTHORIZED, "Bearer error=\"invalid_token\""},
    {"Authorization: Bearer wrong", ROUTE_LIST, ERR_UNAUTHORIZED, "Bearer error=\"invalid_token\""},
    {"Authorization: Bearer Read-token", ROUTE_LIST, ERR_UNAUTHORIZED,
     "Bearer error=\"invalid_token\""},
    {"Authorization: Bearer read-token x", ROUTE_LIST, ERR_UNAUTHORIZED,
     "Bearer error=\"invalid_token\""},
    {"Authorization: Basic read-token", ROUTE_LIST, ERR_UNAUTHORIZED,
     "Bearer error=\"invalid_token\""},
    {"Authorization: Bearer read-token", ROUTE_LIST, ERR_NONE, "read"},
    {"Authorization: bearer   read-token ", ROUTE_OPENAPI, ERR_NONE, "read"},
    {"Authorization: Bearer read-token", NO_ROUTE, ERR_NONE, "read"},
    {"Authorization: Bearer read-token", ROUTE_SUBMIT, ERR_FORBIDDEN,
     "Bearer error=\"insufficient_scope\""},
    {"Authorization: Bearer submit-token", ROUTE_SUBMIT, ERR_NONE, "submit"},
    {"Authorization: Bearer submit-token", ROUTE_LIST, ERR_NONE, "submit"},
    {"Authorization: Bearer submit-token", ROUTE_QUEUE_PAUSE, ERR_FORBIDDEN,
     "Bearer error=\"insufficient_scope\""},
    {"Authorization: Bearer operate-token", ROUTE_QUEUE_PAUSE, ERR_NONE, "operate"},
    {"Authorization: Bearer operate-token", ROUTE_CANCEL, ERR_NONE, "operate"},
};

START_TEST(tokens_and_roles)
{
    const struct token_row *r = &token_rows[_i];
    struct headers h = {0};
    struct problem p;
    char caller[CALLER_SIZE];
    enum role role = ROLE_ANYBODY;
    add_header_line(&h, r->line);
    make_tokens();
    const struct visitor v = {.headers = &h, .route = route_named(r->route)};
    problem_init(&p);
    ck_assert(access_check_token(&v, NULL, 0, caller, &role, &p)); /* no tokens: everybody */
    ck_assert_int_eq(role, ROLE_OPERATE);
    const bool good = access_check_token(&v, tokens, TOKENS, caller, &role, &p);
    ck_assert_msg(good == (r->want == ERR_NONE) && p.code == r->want, "%s: %s", r->line,
                  err_code(p.code));
    ck_assert_str_eq(good ? caller : p.authenticate, r->caller);
    ck_assert_ptr_null(strstr(buf_text(&p.detail), "-token"));
    problem_done(&p);
}
END_TEST

static const struct key_row {
    const char *line;
    const char *want; /* NULL: refused */
} key_rows[] = {
    {NULL, ""},
    {"Idempotency-Key: order-1", "order-1"},
    {"Idempotency-Key: \"order-1\"", "order-1"},
    {"Idempotency-Key: \"a\\\"b\\\\\"", "a\"b\\"},
    {"Idempotency-Key: ~!#", "~!#"},
    {"Idempotency-Key: ", NULL},
    {"Idempotency-Key: \"\"", NULL},
    {"Idempotency-Key: \"", NULL},
    {"Idempotency-Key: \"a", NULL},
    {"Idempotency-Key: \"a\\\"", NULL},
    {"Idempotency-Key: \"a\"b\"", NULL},
    {"Idempotency-Key: a b", NULL},
    {"Idempotency-Key: \"a b\"", NULL},
    {"Idempotency-Key: \xc3\xa9", NULL},
};

START_TEST(idempotency_keys)
{
    struct headers h = {0};
    struct problem p;
    char key[HTTP_KEY_SIZE];
    add_header_line(&h, key_rows[_i].line);
    problem_init(&p);
    const bool good = headers_idempotency_key(&h, key, &p);
    ck_assert_msg(good == (key_rows[_i].want != NULL), "%s", key_rows[_i].line);
    if (good) {
        ck_assert_str_eq(key, key_rows[_i].want);
    } else {
        ck_assert_int_eq(p.code, ERR_QUERY_INVALID);
        ck_assert_ptr_nonnull(strstr(buf_text(&p.detail), "Idempotency-Key"));
    }
    problem_done(&p);
}
END_TEST

START_TEST(idempotency_keys_have_an_end)
{
    char line[400] = "Idempotency-Key: ";
    char key[HTTP_KEY_SIZE];
    memset(line + 17, 'k', 256);
    for (int over = 0; over < 3; over++) {
        struct headers h = {0};
        struct problem p;
        problem_init(&p);
        line[17 + 255 + (over == 1)] = '\0';
        add_header_line(&h, line);
        if (over == 2) {
            add_header_line(&h, line);
        }
        ck_assert_int_eq(headers_idempotency_key(&h, key, &p), over == 0);
        problem_done(&p);
        line[17 + 255] = 'k';
    }
}
END_TEST

static bool nested(size_t depth, enum err *ret)
{
    AUTO_BUF struct buf b;
    buf_init(&b, BUF_NO_LIMIT);
    buf_add_text(&b, "{\"workflow\":{\"3\":{\"inputs\":{\"a\":");
    for (size_t i = 4; i < depth; i++) {
        buf_add_char(&b, '[');
    }
    for (size_t i = 4; i < depth; i++) {
        buf_add_char(&b, ']');
    }
    buf_add_text(&b, "}}}}");
    struct problem p;
    struct submission s;
    problem_init(&p);
    const bool good = submission_parse(buf_str(&b), &s, &p);
    *ret = p.code;
    if (good) {
        submission_done(&s);
    }
    problem_done(&p);
    return good;
}

START_TEST(depth_and_size)
{
    enum err e = ERR_NONE;
    ck_assert(nested(64, &e));
    ck_assert(!nested(65, &e));
    ck_assert_int_eq(e, ERR_JSON_INVALID);
    ck_assert(!nested(100000, &e));
    AUTO_BUF struct buf b;
    buf_init(&b, BUF_NO_LIMIT);
    for (int over = 0; over < 2; over++) { /* {"x":"..."} is 8 more than its text */
        buf_clear(&b);
        buf_add_text(&b, "{\"workflow\":" GRAPH ",\"metadata\":{\"x\":\"");
        for (int i = 0; i < 16384 - 8 + over; i++) {
            buf_add_char(&b, 'y');
        }
        buf_add_text(&b, "\"}}");
        struct problem p;
        struct submission s;
        problem_init(&p);
        ck_assert_int_eq(submission_parse(buf_str(&b), &s, &p), over == 0);
        submission_done(&s);
        problem_done(&p);
    }
}
END_TEST

/* ---- live: a server that does what a test tells it ------------------------------------------- */

enum { BODY_CAP = 100000, MAX_WAITS = 3, MAX_STREAMS = 2 };

static uv_loop_t loop;
static struct http_server *server;
static unsigned port;

static struct {
    int served;
    int held;
    int over;            /* wait_over seen */
    bool late;           /* answers are given by the test */
    bool finished;       /* what is waited for has come */
    struct http_ref ref; /* of the last request */
    struct http_request rq;
    int drained;
    int gone;
    int refused;  /* streams */
    size_t large; /* bytes of an answer, or 0 */
} seen;

static void answer_text(struct http_ref x, unsigned status, const char *text)
{
    struct http_answer a = http_answer_new(status);
    buf_add_text(&a.body, text);
    if (seen.large > 0) {
        memset(buf_reserve(&a.body, seen.large), ' ', seen.large);
        a.body.len += seen.large;
    }
    a.etag = true;
    a.wait_applied = true;
    http_answer(server, x, &a);
}

static void on_drained(void *ctx)
{
    (void)ctx;
    seen.drained++;
}

static void on_gone(void *ctx)
{
    (void)ctx;
    seen.gone++;
}

static const struct http_stream_ops stream_ops = {.drained = on_drained, .gone = on_gone};

static void on_serve(void *ctx, struct http_request *rq, struct http_ref x)
{
    const enum route_name name = name_of_route(rq->route);
    const unsigned number = args_of(rq)->number;
    (void)ctx;
    seen.served++;
    seen.ref = x;
    seen.rq = *rq;
    if (rq->waits && !rq->wait_over && !seen.finished) {
        seen.held++;
        http_hold(server, x);
        return;
    }
    seen.over += rq->wait_over;
    if (name == ROUTE_OUTPUT) {
        struct http_answer a = http_answer_new(200);
        a.content_type = "image/png";
        (void)snprintf(a.filename, sizeof a.filename, "a \"b\" \xc3\xa9.png");
        seen.refused += !http_stream_begin(server, x, &a, number == 0 ? -1 : (int64_t)number,
                                           &stream_ops, NULL);
    } else if (name == ROUTE_DELETE) {
        http_problem_retry(server, x, ERR_JOB_ACTIVE, "it runs", 7);
    } else if (!seen.late) {
        answer_text(x, name == ROUTE_SUBMIT ? 202 : 200, "{\"ok\":true}");
    }
}

/* Our API, whose handlers are all on_serve. */
static const struct http_family *const *families_served_here(void)
{
    static struct http_route rows[ROUTE_NAME_COUNT];
    static struct http_table table = {rows, 0};
    static const struct http_table *const tables[] = {&table, NULL};
    static struct http_family family;
    static const struct http_family *families[2];
    table.len = 0;
    struct http_rows at = {0};
    for (const struct http_route *r = http_next_route(family_of_tests(), &at); r != NULL;
         r = http_next_route(family_of_tests(), &at)) {
        rows[table.len] = *r;
        rows[table.len++].serve = on_serve;
    }
    family = *family_of_tests();
    family.admit = NULL;
    family.files = NULL;
    family.tables = tables;
    families[0] = &family;
    return families;
}

static void make_server(const struct http_options *o)
{
    struct http_options options = *o;
    (void)signal(SIGPIPE, SIG_IGN);
    memset(&seen, 0, sizeof seen);
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    options.max_body_bytes = BODY_CAP;
    options.max_waits = MAX_WAITS;
    options.max_streams = MAX_STREAMS;
    options.max_connections = o->max_connections == 0 ? 100 : o->max_connections;
    options.families = families_served_here();
    server = http_server_new(&loop, &options);
}

static void listen_here(void)
{
    char url[64];
    char why[256] = "";
    ck_assert_msg(http_server_listen(server, "127.0.0.1:0", url, sizeof url, why, sizeof why), "%s",
                  why);
    ck_assert_int_eq(sscanf(url, "http://127.0.0.1:%u", &port), 1);
}

static void start_server(void)
{
    make_server(&(struct http_options){0});
    listen_here();
}

/* Ends the server; not one handle may be left. */
static void stop_server(void)
{
    if (server != NULL) {
        http_server_close(server);
        server = NULL;
    }
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
}

/* ---- live: a client -------------------------------------------------------------------------- */

struct client {
    int fd;
    uv_poll_t poll;
    struct buf in;
    bool eof;
    bool reading;
};

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct client *c = poll->data;
    for (;;) {
        char *at = buf_reserve(&c->in, 65536);
        const ssize_t n = recv(c->fd, at, 65536, MSG_DONTWAIT);
        if (n > 0) {
            c->in.len += (size_t)n;
            continue;
        }
        if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) {
            c->eof = true;
            (void)uv_poll_stop(&c->poll);
        }
        return;
    }
}

static void client_read(struct client *c, bool on)
{
    if (on) {
        (void)uv_poll_start(&c->poll, UV_READABLE, on_readable);
    } else {
        (void)uv_poll_stop(&c->poll);
    }
}

static void client_connect(struct client *c, const void *at, socklen_t n)
{
    *c = (struct client){.fd = socket(((const struct sockaddr *)at)->sa_family, SOCK_STREAM, 0)};
    buf_init(&c->in, BUF_NO_LIMIT);
    ck_assert_int_eq(connect(c->fd, at, n), 0);
    (void)uv_poll_init(&loop, &c->poll, c->fd);
    c->poll.data = c;
    client_read(c, true);
}

static void client_open(struct client *c)
{
    const struct sockaddr_in at = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr = {htonl(INADDR_LOOPBACK)}};
    client_connect(c, &at, sizeof at);
}

static bool closed_poll;

static void on_poll_closed(uv_handle_t *handle)
{
    (void)handle;
    closed_poll = true;
}

static void client_close(struct client *c)
{
    closed_poll = false;
    uv_close((uv_handle_t *)&c->poll, on_poll_closed);
    while (!closed_poll) {
        (void)uv_run(&loop, UV_RUN_NOWAIT);
    }
    (void)close(c->fd);
    buf_done(&c->in);
}

static void send_bytes(struct client *c, const char *bytes, size_t n)
{
    while (n > 0) {
        const ssize_t sent = send(c->fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) {
            bytes += sent;
            n -= (size_t)sent;
        } else if (errno != EAGAIN && errno != EWOULDBLOCK) {
            return; /* the server closed: the test looks at eof */
        } else {
            (void)uv_run(&loop, UV_RUN_ONCE);
        }
    }
}

static void send_text(struct client *c, const char *text)
{
    send_bytes(c, text, strlen(text));
}

#define TURN_UNTIL(condition)                                                                      \
    do {                                                                                           \
        while (!(condition)) {                                                                     \
            (void)uv_run(&loop, UV_RUN_ONCE);                                                      \
        }                                                                                          \
    } while (0)

/* The length of the whole answer at the front of what came, 0 while it is not whole. */
static size_t answer_length(struct client *c, bool head)
{
    char *text = buf_text(&c->in);
    const char *end = strstr(text, "\r\n\r\n");
    if (end == NULL) {
        return 0;
    }
    const size_t headers = (size_t)(end - text) + 4;
    const char *length = strcasestr(text, "\r\nContent-Length:");
    if (strcasestr(text, "\r\nTransfer-Encoding: chunked") != NULL) {
        const char *last = strstr(end, "0\r\n\r\n");
        return last == NULL ? 0 : (size_t)(last - text) + 5;
    }
    if (head || length == NULL || length > end) {
        return headers;
    }
    const size_t n = strtoul(length + 17, NULL, 10);
    return c->in.len >= headers + n ? headers + n : 0;
}

/* Waits for one answer and takes it; returns its status and leaves its text in *ret. */
static int take_answer(struct client *c, struct buf *ret, bool head)
{
    TURN_UNTIL(answer_length(c, head) > 0 || c->eof);
    const size_t n = answer_length(c, head);
    ck_assert_msg(n > 0, "no answer, but: %s", buf_text(&c->in));
    buf_clear(ret);
    buf_add(ret, c->in.data, n);
    memmove(c->in.data, c->in.data + n, c->in.len - n);
    c->in.len -= n;
    int status = 0;
    ck_assert_int_eq(sscanf(buf_text(ret), "HTTP/1.1 %d", &status), 1);
    if (strstr(buf_text(ret), " 100 Continue") != NULL) {
        return take_answer(c, ret, head);
    }
    return status;
}

static int ask(struct client *c, const char *request, struct buf *ret)
{
    send_text(c, request);
    return take_answer(c, ret, strncmp(request, "HEAD", 4) == 0);
}

#define HOST "Host: localhost\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" HOST "\r\n"

static void has(struct buf *answer, const char *text)
{
    ck_assert_msg(strstr(buf_text(answer), text) != NULL, "no %s in %s", text, buf_text(answer));
}

static unsigned connections(void)
{
    struct http_stats stats;
    http_server_stats(server, &stats);
    return stats.connections;
}

/* Every connection of the server is over, not only told to be. */
static void wait_until_empty(void)
{
    struct http_stats stats;
    do {
        (void)uv_run(&loop, UV_RUN_ONCE);
        http_server_stats(server, &stats);
    } while (stats.connections > 0);
    ck_assert_uint_eq(stats.waits, 0);
}

/* ---- live: plain requests -------------------------------------------------------------------- */

static const struct live_row {
    const char *name;
    const char *request;
    int status;
    const char *has; /* or NULL */
    bool closes;
} live_rows[] = {
    {"get", GET("/healthz"), 200, "{\"ok\":true}", false},
    {"etag", GET("/healthz"), 200, "ETag: \"", false},
    {"nosniff", GET("/jobs"), 200, "X-Content-Type-Options: nosniff", false},
    {"date", GET("/jobs"), 200, "Date: ", false},
    {"head", "HEAD /healthz HTTP/1.1\r\n" HOST "\r\n", 200, "Content-Length: 11\r\n", false},
    {"any etag", "GET /healthz HTTP/1.1\r\n" HOST "If-None-Match: *\r\n\r\n", 304, "ETag: \"",
     false},
    {"404", GET("/nope"), 404, "\"code\":\"route_not_found\"", false},
    {"404 as a problem", GET("/nope"), 404, "Content-Type: application/problem+json", false},
    {"404 of an id", GET("/jobs/%00"), 404, "job_not_found", false},
    {"HEAD of nothing", "HEAD /jobs/x HTTP/1.1\r\n" HOST "\r\n", 404, "problem+json", false},
    {"405", "PUT /jobs HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}", 405,
     "Allow: POST, GET, HEAD, OPTIONS\r\n", false},
    {"options", "OPTIONS /jobs HTTP/1.1\r\n" HOST "\r\n", 204,
     "Allow: POST, GET, HEAD, OPTIONS\r\n", false},
    {"options of nothing", "OPTIONS /nope HTTP/1.1\r\n" HOST "\r\n", 404, "route_not_found", false},
    {"a strange host", "GET /jobs HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421, "http.allowedHosts",
     false},
    {"a strange target", "GET http://evil.example/jobs HTTP/1.1\r\n" HOST "\r\n", 421,
     "host_not_allowed", false},
    {"a strange host of a probe", "GET /readyz HTTP/1.1\r\nHost: evil.example\r\n\r\n", 200, NULL,
     false},
    {"a broken host", "GET /jobs HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "query_invalid", false},
    {"a page", "GET /jobs HTTP/1.1\r\n" HOST "Origin: null\r\n\r\n", 403, "forbidden_origin",
     false},
    {"a page that posts",
     "POST /jobs HTTP/1.1\r\n" HOST
     "Origin: http://evil.example\r\nContent-Length: 40\r\n\r\n" GRAPH "    ",
     403, "forbidden_origin", false},
    {"a page that would post",
     "POST /jobs HTTP/1.1\r\n" HOST
     "Origin: http://evil.example\r\nExpect: 100-continue\r\nContent-Length: 40\r\n\r\n",
     403, "forbidden_origin", true},
    {"a backend's name", GET("/backends/a%5Cb"), 404, "backend_not_found", false},
    {"patch", "PATCH /jobs/" ID " HTTP/1.1\r\n" HOST "Content-Length: 14\r\n\r\n{\"priority\":1}",
     200, NULL, false},
    {"patch as HTML",
     "PATCH /jobs/" ID " HTTP/1.1\r\n" HOST
     "Content-Type: text/html\r\nContent-Length: 14\r\n\r\n{\"priority\":1}",
     415, NULL, false},
    {"a body where none is",
     "POST /queue/pause HTTP/1.1\r\n" HOST "Content-Length: 7\r\n\r\n{\"a\":1}", 400,
     "\"pointer\":\"/a\"", false},
    {"two keys",
     "POST /jobs HTTP/1.1\r\n" HOST
     "Idempotency-Key: a\r\nIdempotency-Key: b\r\nContent-Length: 40\r\n\r\n" GRAPH "    ",
     400, "Idempotency-Key", false},
    {"405 of a strange method", "FROB /jobs HTTP/1.1\r\n" HOST "\r\n", 405, "method_not_allowed",
     false},
    {"query", GET("/jobs?limit=0"), 400, "query_invalid", false},
    {"a problem of the other side", "DELETE /jobs/" ID " HTTP/1.1\r\n" HOST "\r\n", 409,
     "Retry-After: 7", false},
    {"post", "POST /jobs HTTP/1.1\r\n" HOST "Content-Length: 40\r\n\r\n" GRAPH "    ", 202, NULL,
     false},
    {"post without a body", "POST /jobs HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", 400,
     "json_invalid", false},
    {"post as HTML",
     "POST /jobs HTTP/1.1\r\n" HOST "Content-Type: text/html\r\nContent-Length: 2\r\n\r\n{}", 415,
     "media_type_unsupported", false},
    {"chunked",
     "POST /jobs HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
     "10\r\n{\"3\":{\"class_typ\r\n14\r\ne\":\"A\",\"inputs\":{}}}\r\n0\r\n\r\n",
     202, NULL, false},
    {"expect", "POST /jobs HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
     400, "member_invalid", false},
    {"two lengths",
     "POST /jobs HTTP/1.1\r\n" HOST "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400,
     "query_invalid", true},
    {"length and chunked",
     "POST /jobs HTTP/1.1\r\n" HOST "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
     "2\r\n{}\r\n0\r\n\r\n",
     400, "query_invalid", true},
    {"another encoding", "POST /jobs HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\nxx", 501,
     "\"status\":501", true},
    {"another encoding, GET", "GET /jobs HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n", 501,
     NULL, true},
    {"chunked and a blank",
     "POST /jobs HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked \r\n\r\n2\r\n{}\r\n0\r\n\r\n", 400,
     "query_invalid", true},
    {"chunked and a tab",
     "POST /jobs HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\t\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 400,
     "query_invalid", true},
    {"a blank before the colon", "POST /jobs HTTP/1.1\r\n" HOST "Content-Length : 2\r\n\r\n{}", 400,
     "query_invalid", true},
    {"no host", "GET /healthz HTTP/1.1\r\n\r\n", 400, "query_invalid", true},
    {"too large, announced",
     "POST /jobs HTTP/1.1\r\n" HOST "Content-Length: 1000000000000000000\r\n\r\n{", 413,
     "body_too_large", true},
    {"too large, and it waits",
     "POST /jobs HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 100001\r\n\r\n", 413,
     "body_too_large", true},
};

START_TEST(plain_requests)
{
    const struct live_row *r = &live_rows[_i];
    start_server();
    struct client c;
    AUTO_BUF struct buf got;
    buf_init(&got, BUF_NO_LIMIT);
    client_open(&c);
    for (int twice = 0; twice < 2 && !c.eof; twice++) { /* the connection is kept */
        const int status = ask(&c, r->request, &got);
        ck_assert_msg(status == r->status, "%s: %s", r->name, buf_text(&got));
        if (r->has != NULL) {
            has(&got, r->has);
        }
        ck_assert_msg(strstr(buf_text(&got), "\nServer:") == NULL, "%s", r->name);
        if (r->status == 304) {
            ck_assert_msg(strstr(buf_text(&got), "{\"ok\"") == NULL, "%s", buf_text(&got));
        }
        if (r->closes) {
            TURN_UNTIL(c.eof);
        }
    }
    client_close(&c);
    stop_server();
}
END_TEST

START_TEST(etag_makes_304)
{
    start_server();
    struct client c;
    AUTO_BUF struct buf got;
    AUTO_BUF struct buf again;
    buf_init(&got, BUF_NO_LIMIT);
    buf_init(&again, BUF_NO_LIMIT);
    client_open(&c);
    ck_assert_int_eq(ask(&c, GET("/jobs/" ID), &got), 200);
    char etag[64];
    ck_assert_int_eq(sscanf(strstr(buf_text(&got), "ETag: "), "ETag: %63s", etag), 1);
    ck_assert_uint_eq(strlen(etag), 34);
    buf_printf(&again, "GET /jobs/" ID " HTTP/1.1\r\n" HOST "If-None-Match: \"x\", W/%s\r\n\r\n",
               etag);
    ck_assert_int_eq(ask(&c, buf_text(&again), &got), 304);
    has(&got, etag);
    ck_assert_int_eq(ask(&c, GET("/jobs/" ID), &got), 200);
    client_close(&c);
    stop_server();
}
END_TEST

START_TEST(bodies_beyond_the_cap)
{
    static const struct {
        size_t size;
        int status; /* 0: the connection is closed */
    } rows[] = {{BODY_CAP, 400}, {BODY_CAP + 1, 413}, {BODY_CAP * 8, 413}, {BODY_CAP * 9, 0}};
    start_server();
    AUTO_BUF struct buf got;
    AUTO_BUF struct buf body;
    buf_init(&got, BUF_NO_LIMIT);
    buf_init(&body, BUF_NO_LIMIT);
    for (size_t i = 0; i < COUNT(rows); i++) {
        for (int chunked = 0; chunked < 2; chunked++) {
            struct client c;
            client_open(&c);
            buf_clear(&body);
            buf_printf(&body, "POST /jobs HTTP/1.1\r\n" HOST);
            if (chunked != 0) {
                buf_printf(&body, "Transfer-Encoding: chunked\r\n\r\n%zx\r\n", rows[i].size);
            } else {
                buf_printf(&body, "Content-Length: %zu\r\n\r\n", rows[i].size);
            }
            memset(buf_reserve(&body, rows[i].size), 'x', rows[i].size);
            body.len += rows[i].size;
            buf_add_text(&body, chunked != 0 ? "\r\n0\r\n\r\n" : "");
            send_bytes(&c, body.data, body.len);
            if (rows[i].status == 0) {
                TURN_UNTIL(c.eof);
            } else {
                ck_assert_msg(take_answer(&c, &got, false) == rows[i].status, "%zu: %s",
                              rows[i].size, buf_text(&got));
                ck_assert_int_eq(ask(&c, GET("/healthz"), &got), 200); /* kept */
            }
            client_close(&c);
        }
    }
    stop_server();
}
END_TEST

START_TEST(a_body_byte_by_byte)
{
    static const char request[] = "POST /jobs HTTP/1.1\r\n" HOST "Content-Length: 36\r\n\r\n" GRAPH;
    start_server();
    struct client slow;
    struct client other;
    AUTO_BUF struct buf got;
    buf_init(&got, BUF_NO_LIMIT);
    client_open(&slow);
    client_open(&other);
    for (size_t i = 0; i < sizeof request - 1; i++) {
        send_bytes(&slow, request + i, 1);
        if (i % 10 == 0) {
            ck_assert_int_eq(ask(&other, GET("/healthz"), &got), 200);
        }
    }
    ck_assert_int_eq(take_answer(&slow, &got, false), 202);
    client_close(&slow);
    client_close(&other);
    stop_server();
}
END_TEST

START_TEST(pipelined_requests)
{
    start_server();
    struct client c;
    AUTO_BUF struct buf got;
    buf_init(&got, BUF_NO_LIMIT);
    client_open(&c);
    send_text(&c, GET("/healthz") GET("/nope") GET("/jobs/" ID));
    ck_assert_int_eq(take_answer(&c, &got, false), 200);
    ck_assert_int_eq(take_answer(&c, &got, false), 404);
    ck_assert_int_eq(take_answer(&c, &got, false), 200);
    client_close(&c);
    stop_server();
}
END_TEST

/* ---- live: answers that come later, and holds ------------------------------------------------ */

START_TEST(an_answer_that_comes_later)
{
    start_server();
    seen.late = true;
    struct client c;
    AUTO_BUF struct buf got;
    buf_init(&got, BUF_NO_LIMIT);
    client_open(&c);
    send_text(&c, GET("/jobs/" ID));
    TURN_UNTIL(seen.served == 1);
    const struct http_ref stale = seen.ref;
    answer_text(stale, 200, "late");
    ck_assert_int_eq(take_answer(&c, &got, false), 200);
    has(&got, "late");
    answer_text(stale, 200, "twice"); /* finds nothing */
    http_again(server, stale);
    http_hold(server, stale);
    send_text(&c, GET("/jobs/" ID));
    TURN_UNTIL(seen.served == 2);
    answer_text(stale, 200, "stale");
    answer_text(seen.ref, 200, "right");
    ck_assert_int_eq(take_answer(&c, &got, false), 200);
    has(&got, "right");
    client_close(&c);
    stop_server();
}
END_TEST

START_TEST(a_hold_ends_by_http_again)
{
    start_server();
    struct client c;
    AUTO_BUF struct buf got;
    buf_init(&got, BUF_NO_LIMIT);
    client_open(&c);
    send_text(&c, "GET /jobs/" ID " HTTP/1.1\r\n" HOST "Prefer: wait=20\r\n\r\n");
    TURN_UNTIL(seen.held == 1);
    struct http_stats stats;
    http_server_stats(server, &stats);
    ck_assert(stats.waits == 1 && stats.connections == 1 && stats.requests == 1);
    http_again(server, seen.ref); /* not yet */
    ck_assert(seen.held == 2 && seen.rq.asked_again);
    seen.finished = true;
    http_again(server, seen.ref);
    ck_assert_int_eq(take_answer(&c, &got, false), 200);
    has(&got, "Preference-Applied: wait=20");
    ck_assert_int_eq(seen.over, 0);
    http_server_stats(server, &stats);
    ck_assert_uint_eq(stats.waits, 0);
    client_close(&c);
    stop_server();
}
END_TEST

START_TEST(a_hold_ends_by_its_deadline)
{
    start_server();
    struct client c;
    AUTO_BUF struct buf got;
    buf_init(&got, BUF_NO_LIMIT);
    client_open(&c);
    const struct mono_us before = time_mono();
    ck_assert_int_eq(ask(&c, GET("/jobs/" ID "?wait=1"), &got), 200);
    const int64_t us = mono_diff(time_mono(), before).us;
    ck_assert_msg(us >= 1000000 && us < 1500000, "%lld us", (long long)us);
    ck_assert(seen.held == 1 && seen.over == 1 && seen.rq.asked_again);
    ck_assert_ptr_null(strstr(buf_text(&got), "Preference-Applied"));
    client_close(&c);
    stop_server();
}
END_TEST

START_TEST(a_hang_up_ends_a_hold)
{
    start_server();
    struct client c;
    client_open(&c);
    send_text(&c, GET("/jobs/" ID "?wait=100"));
    TURN_UNTIL(seen.held == 1);
    client_close(&c);
    wait_until_empty();
    http_again(server, seen.ref);
    answer_text(seen.ref, 200, "nobody");
    ck_assert_int_eq(seen.served,
                     2); /* it may have closed its sending side only: told what is known */
    ck_assert_int_eq(seen.over, 1);
    stop_server();
}
END_TEST

static const struct half_row {
    const char *name;
    const char *request;
    int status; /* 0: the connection ends */
    bool late;  /* the answer comes later */
} half_rows[] = {
    {"all but a byte", "POST /jobs HTTP/1.1\r\n" HOST "Content-Length: 41\r\n\r\n" GRAPH "    ", 0,
     false},
    {"no byte of it", "POST /jobs HTTP/1.1\r\n" HOST "Content-Length: 40\r\n\r\n", 0, false},
    {"in a chunk", "POST /jobs HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nfff\r\n{", 0,
     false},
    {"between chunks",
     "POST /jobs HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", 0, false},
    {"of one that is refused", "POST /jobs HTTP/1.1\r\nHost: evil\r\nContent-Length: 40\r\n\r\n{",
     0, false},
    {"of one that nobody reads", "GET /jobs HTTP/1.1\r\n" HOST "Content-Length: 40\r\n\r\n{", 0,
     false},
    {"behind a whole request", GET("/jobs"), 200, false},
    {"behind a whole body",
     "POST /jobs HTTP/1.1\r\n" HOST "Content-Length: 40\r\n\r\n" GRAPH "    ", 202, false},
    {"behind the last chunk",
     "POST /jobs HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
     "10\r\n{\"3\":{\"class_typ\r\n14\r\ne\":\"A\",\"inputs\":{}}}\r\n0\r\n\r\n",
     202, false},
    {"behind one that waits", GET("/jobs/" ID "?wait=100"), 200, false},
    {"before a late answer", GET("/jobs/" ID), 200, true},
};

/* Its bytes are free at once, and not when its time is over; who asked for something is answered.
 */
START_TEST(a_client_that_sends_no_more)
{
    const struct half_row *r = &half_rows[_i];
    make_server(
        &(struct http_options){.header_timeout = dur_ms(60000), .body_timeout = dur_ms(60000)});
    listen_here();
    struct client c;
    struct client older; /* libmicrohttpd looks after the oldest one in another way */
    AUTO_BUF struct buf got;
    buf_init(&got, BUF_NO_LIMIT);
    client_open(&older);
    send_text(&older, "GET /");
    client_open(&c);
    const struct mono_us began = time_mono();
    send_text(&c, r->request);
    ck_assert_int_eq(shutdown(c.fd, SHUT_WR), 0);
    if (r->late) {
        seen.late = true;
        TURN_UNTIL(seen.served == 1);
        answer_text(seen.ref, 200, "late");
    }
    if (r->status != 0) {
        ck_assert_msg(take_answer(&c, &got, false) == r->status, "%s", r->name);
    }
    TURN_UNTIL(c.eof);
    ck_assert_msg(mono_diff(time_mono(), began).us < 5000000, "%s", r->name);
    client_close(&c);
    client_close(&older);
    TURN_UNTIL(connections() == 0);
    stop_server();
}
END_TEST

START_TEST(too_many_waits)
{
    start_server();
    struct client c[MAX_WAITS + 1];
    AUTO_BUF struct buf got;
    buf_init(&got, BUF_NO_LIMIT);
    for (int i = 0; i < MAX_WAITS; i++) {
        client_open(&c[i]);
        send_text(&c[i], GET("/jobs/" ID "?wait=100"));
        TURN_UNTIL(seen.held == i + 1);
    }
    client_open(&c[MAX_WAITS]);
    ck_assert_int_eq(ask(&c[MAX_WAITS], GET("/jobs/" ID "?wait=100"), &got), 503);
    has(&got, "too_many_waits");
    has(&got, "Retry-After: ");
    ck_assert_int_eq(ask(&c[MAX_WAITS], GET("/jobs/" ID), &got), 200); /* no wait: fine */
    http_server_drain(server); /* those who are held are asked */
    for (int i = 0; i < MAX_WAITS; i++) {
        ck_assert_int_eq(take_answer(&c[i], &got, false), 200);
        TURN_UNTIL(c[i].eof);
    }
    ck_assert_int_eq(seen.over, MAX_WAITS);
    for (int i = 0; i <= MAX_WAITS; i++) {
        client_close(&c[i]);
    }
    stop_server();
}
END_TEST

/* Held, waiting for an answer, half sent, idle: all of it ends. */
START_TEST(close_leaves_nothing)
{
    static const char *const requests[] = {GET("/jobs/" ID "?wait=100"), GET("/jobs/" ID),
                                           "POST /jobs HTTP/1.1\r\n" HOST
                                           "Content-Length: 10\r\n\r\n{",
                                           "GET /he", GET("/jobs/" ID "/outputs/0")};
    start_server();
    seen.late = true;
    struct client c[COUNT(requests)];
    for (size_t i = 0; i < COUNT(requests); i++) {
        client_open(&c[i]);
        send_text(&c[i], requests[i]);
    }
    TURN_UNTIL(seen.served == 3);
    http_server_close(server);
    server = NULL;
    for (size_t i = 0; i < COUNT(requests); i++) {
        TURN_UNTIL(c[i].eof);
        client_close(&c[i]);
    }
    ck_assert_int_eq(seen.gone, 1); /* of the stream */
    stop_server();
}
END_TEST

/* ---- live: streams --------------------------------------------------------------------------- */

START_TEST(a_stream_with_a_slow_reader)
{
    enum { PIECE = 64 * 1024, PIECES = 320 };
    start_server();
    static char piece[PIECE];
    memset(piece, 'p', sizeof piece);
    struct client c;
    client_open(&c);
    send_text(&c, GET("/jobs/" ID "/outputs/20971520")); /* 320 pieces */
    TURN_UNTIL(seen.served == 1);
    client_read(&c, false);
    int pushed = 0;
    int pauses = 0;
    while (pushed < PIECES) {
        pushed++;
        if (!http_stream_write(server, seen.ref, piece, PIECE) && pushed < PIECES) {
            const int drained = seen.drained;
            if (++pauses == 20) {
                client_read(&c, true);
            }
            for (int i = 0; i < 100 && seen.drained == drained && pauses < 20; i++) {
                (void)uv_run(&loop, UV_RUN_NOWAIT); /* until the socket is full */
            }
            if (seen.drained == drained) {
                client_read(&c, true);
                TURN_UNTIL(seen.drained > drained);
                client_read(&c, pauses >= 20);
            }
        }
    }
    ck_assert_int_gt(pauses, 0);
    http_stream_end(server, seen.ref, true);
    client_read(&c, true);
    AUTO_BUF struct buf got;
    buf_init(&got, BUF_NO_LIMIT);
    ck_assert_int_eq(take_answer(&c, &got, false), 200);
    has(&got, "Content-Type: image/png");
    has(&got, "filename=\"a _b_ __.png\"; filename*=UTF-8''a%20%22b%22%20%C3%A9.png");
    ck_assert_uint_gt(got.len, (size_t)PIECE * PIECES);
    ck_assert_int_eq(seen.gone, 0);
    client_close(&c);
    stop_server();
}
END_TEST

START_TEST(a_stream_of_unknown_length)
{
    start_server();
    struct client c;
    AUTO_BUF struct buf got;
    buf_init(&got, BUF_NO_LIMIT);
    client_open(&c);
    send_text(&c, GET("/jobs/" ID "/outputs/0"));
    TURN_UNTIL(strstr(buf_text(&c.in), "\r\n\r\n") != NULL); /* suspended, with nothing to send */
    ck_assert(http_stream_write(server, seen.ref, "one", 3));
    TURN_UNTIL(strstr(buf_text(&c.in), "one") != NULL);
    ck_assert(http_stream_write(server, seen.ref, "two", 3));
    http_stream_end(server, seen.ref, true);
    ck_assert_int_eq(take_answer(&c, &got, false), 200);
    has(&got, "two");
    ck_assert_int_eq(ask(&c, GET("/healthz"), &got), 200);
    ck_assert_int_eq(seen.gone, 0);
    client_close(&c);
    stop_server();
}
END_TEST

static const struct cut_row {
    const char *name;
    const char *target;
    bool reset; /* a hang-up by RST */
} cut_rows[] = {{"chunked", GET("/jobs/" ID "/outputs/0"), false},
                {"a known length", GET("/jobs/" ID "/outputs/1000"), false},
                {"chunked, reset", GET("/jobs/" ID "/outputs/0"), true},
                {"a known length, reset", GET("/jobs/" ID "/outputs/1000"), true}};

START_TEST(a_stream_that_is_cut)
{
    start_server();
    struct client c;
    struct client idle; /* older: libmicrohttpd looks after its oldest connection each time */
    client_open(&idle);
    client_open(&c);
    send_text(&c, cut_rows[_i].target);
    TURN_UNTIL(seen.served == 1);
    (void)http_stream_write(server, seen.ref, "one", 3);
    http_stream_end(server, seen.ref, false);
    TURN_UNTIL(c.eof && connections() == 1);
    ck_assert_uint_eq(answer_length(&c, false), 0); /* nobody takes it for whole */
    ck_assert_int_eq(seen.gone, 0);
    client_close(&c);
    client_close(&idle);
    wait_until_empty();
    stop_server();
}
END_TEST

START_TEST(a_reader_that_hangs_up)
{
    start_server();
    struct client c;
    struct client idle;
    client_open(&idle);
    client_open(&c);
    send_text(&c, cut_rows[_i].target);
    TURN_UNTIL(strstr(buf_text(&c.in), "\r\n\r\n") != NULL);
    if (cut_rows[_i].reset) {
        const struct linger reset = {.l_onoff = 1};
        (void)setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    }
    client_close(&c);
    TURN_UNTIL(seen.gone == 1 && connections() == 1);
    client_close(&idle);
    ck_assert(http_stream_write(server, seen.ref, "x", 1)); /* forgotten */
    http_stream_end(server, seen.ref, true);
    stop_server();
    ck_assert_int_eq(seen.gone, 1);
}
END_TEST

START_TEST(head_of_a_stream)
{
    start_server();
    struct client c;
    AUTO_BUF struct buf got;
    buf_init(&got, BUF_NO_LIMIT);
    client_open(&c);
    ck_assert_int_eq(ask(&c, "HEAD /jobs/" ID "/outputs/1000 HTTP/1.1\r\n" HOST "\r\n", &got), 200);
    has(&got, "Content-Length: 1000");
    TURN_UNTIL(seen.gone == 1);
    ck_assert_int_eq(ask(&c, GET("/healthz"), &got), 200);
    client_close(&c);
    stop_server();
}
END_TEST

/* ---- addresses ------------------------------------------------------------------------------- */

static const struct address_row {
    const char *address;
    bool good;
} address_rows[] = {
    {"127.0.0.1:0", true},          {"localhost:0", true}, {":0", true},
    {"127.0.0.1", false},           {"127.0.0.1:", false}, {"127.0.0.1:x", false},
    {"127.0.0.1:99999", false},     {"::1:0", false},      {"", false},
    {"256.0.0.1.invalid:0", false},
};

/* A machine without /etc/hosts (a bare chroot) does not know the name. */
static bool localhost_is_known(void)
{
    struct addrinfo *list = NULL;
    const bool known = getaddrinfo("localhost", "0", NULL, &list) == 0;
    if (known) {
        freeaddrinfo(list);
    }
    return known;
}

START_TEST(addresses)
{
    if (strncmp(address_rows[_i].address, "localhost", 9) == 0 && !localhost_is_known()) {
        return;
    }
    start_server();
    char url[64];
    char why[256] = "";
    const bool good =
        http_server_listen(server, address_rows[_i].address, url, sizeof url, why, sizeof why);
    ck_assert_msg(good == address_rows[_i].good, "%s: %s", address_rows[_i].address, why);
    ck_assert(good || why[0] != '\0');
    stop_server();
}
END_TEST

START_TEST(an_address_in_use_says_so)
{
    start_server();
    char address[32];
    char url[64];
    char why[256] = "";
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", port);
    ck_assert(!http_server_listen(server, address, url, sizeof url, why, sizeof why));
    ck_assert_msg(strstr(why, "in use") != NULL, "%s", why);
    stop_server();
}
END_TEST

/* ---- live: who may come in ------------------------------------------------------------------- */

static const struct cors_row {
    const char *name;
    const char *request;
    int status;
    bool allowed; /* CORS headers are there */
} cors_rows[] = {
    {"no origin", GET("/jobs"), 200, false},
    {"get", "GET /jobs HTTP/1.1\r\n" HOST "Origin: https://ui.example\r\n\r\n", 200, true},
    {"a problem", "GET /nope HTTP/1.1\r\n" HOST "Origin: https://ui.example\r\n\r\n", 404, true},
    {"a query", "GET /jobs?x HTTP/1.1\r\n" HOST "Origin: https://ui.example\r\n\r\n", 400, true},
    {"foreign", "GET /jobs HTTP/1.1\r\n" HOST "Origin: https://evil.example\r\n\r\n", 403, false},
    {"preflight",
     "OPTIONS /jobs/" ID " HTTP/1.1\r\n" HOST
     "Origin: https://ui.example\r\nAccess-Control-Request-Method: DELETE\r\n\r\n",
     204, true},
    {"foreign preflight", "OPTIONS /jobs HTTP/1.1\r\n" HOST "Origin: https://evil.example\r\n\r\n",
     403, false},
};

START_TEST(pages_of_allowed_origins)
{
    const struct cors_row *r = &cors_rows[_i];
    make_server(&(struct http_options){.allowed_origins = allowed_origins});
    listen_here();
    struct client c;
    AUTO_BUF struct buf got;
    buf_init(&got, BUF_NO_LIMIT);
    client_open(&c);
    ck_assert_msg(ask(&c, r->request, &got) == r->status, "%s: %s", r->name, buf_text(&got));
    has(&got, "Vary: Origin\r\n");
    ck_assert_msg((strstr(buf_text(&got), "Access-Control-Allow-Origin: https://ui.example\r\n") !=
                   NULL) == r->allowed,
                  "%s: %s", r->name, buf_text(&got));
    if (r->status == 204) {
        has(&got, "Access-Control-Allow-Methods: GET, HEAD, PATCH, DELETE, OPTIONS\r\n");
        has(&got, "Access-Control-Allow-Headers: authorization, content-type");
    }
    client_close(&c);
    stop_server();
}
END_TEST

START_TEST(tokens_change_while_it_runs)
{
    start_server();
    make_tokens();
    http_server_set_tokens(server, tokens, TOKENS);
    struct client c;
    AUTO_BUF struct buf got;
    buf_init(&got, BUF_NO_LIMIT);
    client_open(&c);
    ck_assert_int_eq(ask(&c, GET("/jobs"), &got), 401);
    has(&got, "WWW-Authenticate: Bearer\r\n");
    ck_assert_int_eq(ask(&c, GET("/healthz"), &got), 200);
    ck_assert_int_eq(ask(&c, "OPTIONS /jobs HTTP/1.1\r\n" HOST "\r\n", &got), 204);
    static const char get[] =
        "GET /jobs HTTP/1.1\r\n" HOST "Authorization: Bearer read-token\r\n\r\n";
    static const char delete[] =
        "DELETE /jobs/" ID " HTTP/1.1\r\n" HOST "Authorization: Bearer read-token\r\n\r\n";
    ck_assert_int_eq(ask(&c, get, &got), 200);
    ck_assert_str_eq(seen.rq.caller, "read");
    ck_assert_int_eq(ask(&c, delete, &got), 403);
    has(&got, "\"code\":\"forbidden\"");
    http_server_set_tokens(server, tokens + 1, TOKENS - 1);
    ck_assert_int_eq(ask(&c, get, &got), 401);
    http_server_set_tokens(server, NULL, 0);
    ck_assert_int_eq(ask(&c, GET("/jobs"), &got), 200);
    ck_assert_str_eq(seen.rq.caller, "");
    client_close(&c);
    stop_server();
}
END_TEST

/* ---- live: limits ---------------------------------------------------------------------------- */

/* What two looks see one after the other, and what comes of it. */
static const struct {
    size_t pieces[3];
    bool waits[3];
    bool stuck[3];
} looks[] = {
    {{4, 4, 4}, {true, true, true}, {false, true, true}},
    {{4, 4, 5}, {true, false, true}, {false, false, false}}, /* all of it was read between */
    {{4, 5, 6}, {true, true, true}, {false, false, false}},  /* it goes on */
    {{4, 4, 4}, {false, true, true}, {false, false, true}},
    {{0, 0, 0}, {false, false, false}, {false, false, false}}, /* nothing comes */
};

START_TEST(a_body_that_is_not_read)
{
    struct stuck s = {0};
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(stuck_look(&s, looks[_i].pieces[i], looks[_i].waits[i]),
                         looks[_i].stuck[i]);
    }
}
END_TEST

static const struct slow_row {
    const char *name;
    const char *first; /* asked before, or NULL */
    const char *begins;
} slow_rows[] = {
    {"headers", NULL, "GET /jobs HTTP/1.1\r\nX: "},
    {"a request line", NULL, "GET /"},
    {"nothing at all", NULL, ""},
    {"a body", NULL, "POST /jobs HTTP/1.1\r\n" HOST "Content-Length: 50000\r\n\r\n"},
    {"a chunked body", NULL,
     "POST /jobs HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nfff0\r\n"},
    {"a body that is refused", NULL,
     "POST /jobs HTTP/1.1\r\nHost: evil\r\nContent-Length: 50000\r\n\r\n"},
    {"headers, later", GET("/jobs"), "GET /jobs HTTP/1.1\r\nX: "},
    {"a request line, later", GET("/jobs"), "GET /"},
    {"a body, later", GET("/jobs"), "POST /jobs HTTP/1.1\r\n" HOST "Content-Length: 50000\r\n\r\n"},
};

static void on_drip(uv_timer_t *timer)
{
    (void)send(*(int *)timer->data, " ", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* A byte every 10 ms is no inactivity. */
START_TEST(a_slow_client_is_cut_off)
{
    const struct slow_row *r = &slow_rows[_i];
    make_server(&(struct http_options){.header_timeout = dur_ms(150), .body_timeout = dur_ms(200)});
    listen_here();
    struct client c;
    uv_timer_t drip;
    AUTO_BUF struct buf got;
    buf_init(&got, BUF_NO_LIMIT);
    client_open(&c);
    if (r->first != NULL) {
        ck_assert_int_eq(ask(&c, r->first, &got), 200);
    }
    const struct mono_us began = time_mono();
    send_text(&c, r->begins);
    (void)uv_timer_init(&loop, &drip);
    drip.data = &c.fd;
    (void)uv_timer_start(&drip, on_drip, *r->begins == '\0' ? 10000 : 10, 10);
    TURN_UNTIL(c.eof);
    uv_close((uv_handle_t *)&drip, NULL);
    const int64_t ms = mono_diff(time_mono(), began).us / 1000;
    ck_assert_msg(ms >= 140 && ms < 1500, "%s: %lld ms", r->name, (long long)ms);
    client_close(&c);
    TURN_UNTIL(connections() == 0);
    stop_server();
}
END_TEST

START_TEST(an_idle_connection_is_kept)
{
    make_server(&(struct http_options){.header_timeout = dur_ms(50), .body_timeout = dur_ms(50)});
    listen_here();
    struct client idle;
    struct client waits;
    AUTO_BUF struct buf got;
    buf_init(&got, BUF_NO_LIMIT);
    client_open(&idle);
    client_open(&waits);
    ck_assert_int_eq(ask(&idle, GET("/jobs"), &got), 200);
    ck_assert_int_eq(ask(&waits, GET("/jobs/" ID "?wait=1"), &got), 200); /* twenty times as long */
    ck_assert(!idle.eof);
    ck_assert_int_eq(ask(&idle, GET("/jobs"), &got), 200);
    client_close(&idle);
    client_close(&waits);
    stop_server();
}
END_TEST

START_TEST(too_many_connections_over_all_listeners)
{
    make_server(&(struct http_options){.max_connections = 2});
    listen_here();
    listen_here();
    struct client c[3];
    AUTO_BUF struct buf got;
    buf_init(&got, BUF_NO_LIMIT);
    for (int i = 0; i < 2; i++) {
        client_open(&c[i]);
        ck_assert_int_eq(ask(&c[i], GET("/jobs"), &got), 200);
    }
    client_open(&c[2]);
    TURN_UNTIL(c[2].eof);
    client_close(&c[2]);
    client_close(&c[1]);
    TURN_UNTIL(connections() == 1);
    client_open(&c[1]);
    ck_assert_int_eq(ask(&c[1], GET("/jobs"), &got), 200);
    client_close(&c[0]);
    client_close(&c[1]);
    stop_server();
}
END_TEST

static const struct peer_row {
    const char *address;
    bool counts;
} peer_rows[] = {
    {"10.0.0.1", true},
    {"10.0.0.1", true},
    {"10.0.0.1", false},
    {"10.0.0.2", true},
    {"2001:db8::1", true},
    {"2001:db8::2", true},
    {"2001:db8::3", false},
    {"2001:db8:0:1::1", true},
    {"127.0.0.1", true},
    {"127.0.0.1", true},
    {"127.0.0.1", true},
    {"::1", true},
    {"::1", true},
    {"::1", true},
    {"", true},
    {"", true},
    {"", true},
};

START_TEST(too_many_connections_of_one_address)
{
    make_server(&(struct http_options){.max_connections_per_address = 2});
    struct net_address a;
    for (size_t i = 0; i < COUNT(peer_rows); i++) {
        read_local(peer_rows[i].address, &a);
        ck_assert_msg(conn_count(server, &a) == peer_rows[i].counts, "%zu", i);
    }
    for (size_t i = 0; i < COUNT(peer_rows); i++) {
        read_local(peer_rows[i].address, &a);
        if (peer_rows[i].counts) {
            conn_uncount(server, &a);
        }
    }
    read_local("10.0.0.1", &a);
    ck_assert(conn_count(server, &a));
    conn_uncount(server, &a);
    stop_server();
}
END_TEST

/* Nine times nearly the cap: the last one is too much. */
START_TEST(too_many_bodies)
{
    enum { BODIES = 9, PART = BODY_CAP - 1 };
    static char part[PART];
    memset(part, ' ', sizeof part);
    start_server();
    struct client c[BODIES];
    AUTO_BUF struct buf got;
    AUTO_BUF struct buf head;
    buf_init(&got, BUF_NO_LIMIT);
    buf_init(&head, BUF_NO_LIMIT);
    buf_printf(&head, "POST /jobs HTTP/1.1\r\n" HOST "Content-Length: %d\r\n\r\n", BODY_CAP);
    for (int i = 0; i < BODIES; i++) {
        client_open(&c[i]);
        send_text(&c[i], buf_text(&head));
        send_bytes(&c[i], part, PART);
        for (int turns = 0; turns < 50; turns++) {
            (void)uv_run(&loop, UV_RUN_NOWAIT);
        }
    }
    for (int i = BODIES - 1; i >= 0; i--) {
        send_bytes(&c[i], " ", 1);
        ck_assert_int_eq(take_answer(&c[i], &got, false), i == BODIES - 1 ? 429 : 400);
        client_close(&c[i]);
    }
    client_open(&c[0]);
    send_text(&c[0], "POST /jobs HTTP/1.1\r\n" HOST "Content-Length: 36\r\n\r\n" GRAPH);
    ck_assert_int_eq(take_answer(&c[0], &got, false), 202); /* all of it was given back */
    client_close(&c[0]);
    stop_server();
}
END_TEST

START_TEST(too_many_large_answers)
{
    enum { LARGE = 20 << 20 };
    start_server();
    struct client slow;
    struct client other;
    AUTO_BUF struct buf got;
    buf_init(&got, BUF_NO_LIMIT);
    client_open(&slow);
    client_open(&other);
    seen.large = LARGE; /* more than the sockets take */
    client_read(&slow, false);
    send_text(&slow, GET("/jobs"));
    TURN_UNTIL(seen.served == 1);
    ck_assert_int_eq(ask(&other, GET("/jobs"), &got), 503);
    has(&got, "Retry-After: ");
    seen.large = 0;
    ck_assert_int_eq(ask(&other, GET("/jobs"), &got), 200);
    client_read(&slow, true);
    ck_assert_int_eq(take_answer(&slow, &got, false), 200);
    ck_assert_uint_gt(got.len, (size_t)LARGE);
    seen.large = LARGE;
    ck_assert_int_eq(ask(&other, GET("/jobs"), &got), 200);
    client_close(&slow);
    client_close(&other);
    stop_server();
}
END_TEST

START_TEST(too_many_streams)
{
    start_server();
    struct client c[MAX_STREAMS + 1];
    AUTO_BUF struct buf got;
    buf_init(&got, BUF_NO_LIMIT);
    for (int i = 0; i <= MAX_STREAMS; i++) {
        client_open(&c[i]);
        send_text(&c[i], GET("/jobs/" ID "/outputs/0"));
        TURN_UNTIL(seen.served == i + 1);
    }
    ck_assert_int_eq(take_answer(&c[MAX_STREAMS], &got, false), 503);
    has(&got, "too_many_waits");
    has(&got, "Retry-After: ");
    ck_assert_int_eq(seen.refused, 1);
    client_close(&c[0]);
    TURN_UNTIL(seen.gone == 1);
    ck_assert_int_eq(
        ask(&c[MAX_STREAMS], "HEAD /jobs/" ID "/outputs/1000 HTTP/1.1\r\n" HOST "\r\n", &got), 200);
    for (int i = 1; i <= MAX_STREAMS; i++) {
        client_close(&c[i]);
    }
    stop_server();
}
END_TEST

/* ---- live: unix sockets and those of others -------------------------------------------------- */

static char socket_path[64];

static void unix_client(struct client *c)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", socket_path);
    client_connect(c, &at, sizeof at);
}

static bool listen_unix(char *why, size_t n)
{
    char address[80];
    char url[80];
    (void)snprintf(address, sizeof address, "unix:%s", socket_path);
    const bool good = http_server_listen(server, address, url, sizeof url, why, n);
    ck_assert(!good || strcmp(url, address) == 0);
    return good;
}

START_TEST(a_unix_socket)
{
    char why[256] = "";
    struct stat st;
    struct client c;
    AUTO_BUF struct buf got;
    buf_init(&got, BUF_NO_LIMIT);
    (void)snprintf(socket_path, sizeof socket_path, "/tmp/http_test_%d.sock", (int)getpid());
    (void)unlink(socket_path);
    for (int round = 0; round < 2; round++) {
        make_server(&(struct http_options){.header_timeout = dur_ms(10000)});
        if (round == 1) { /* what a daemon leaves behind that was killed */
            struct sockaddr_un at = {.sun_family = AF_UNIX};
            (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", socket_path);
            const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
            ck_assert_int_eq(bind(fd, (const struct sockaddr *)&at, sizeof at), 0);
            (void)close(fd);
        }
        ck_assert_msg(listen_unix(why, sizeof why), "%s", why);
        ck_assert_int_eq(lstat(socket_path, &st), 0);
        ck_assert_uint_eq(st.st_mode & 0777, 0660);
        unix_client(&c);
        ck_assert_int_eq(ask(&c, "GET /jobs HTTP/1.1\r\nHost: any.example\r\n\r\n", &got), 200);
        ck_assert_int_eq(
            ask(&c, "GET /jobs HTTP/1.1\r\nHost: any.example\r\nOrigin: null\r\n\r\n", &got), 403);
        ck_assert(!listen_unix(why, sizeof why));
        ck_assert_ptr_nonnull(strstr(why, "another process listens there"));
        client_close(&c);
        stop_server();
        ck_assert_int_ne(lstat(socket_path, &st), 0); /* removed */
    }
    FILE *f = fopen(socket_path, "we");
    (void)fclose(f);
    make_server(&(struct http_options){0});
    ck_assert(!listen_unix(why, sizeof why));
    ck_assert_ptr_nonnull(strstr(why, "no socket"));
    stop_server();
    ck_assert_int_eq(unlink(socket_path), 0); /* it is still there */
}
END_TEST

START_TEST(a_socket_of_somebody_else)
{
    char url[80];
    char why[256] = "";
    const struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (const struct sockaddr *)&at, sizeof at), 0);
    const int mine = dup(fd);
    make_server(&(struct http_options){0});
    ck_assert(!http_server_listen_fd(server, dup(fd), url, sizeof url, why, sizeof why));
    ck_assert_ptr_nonnull(strstr(why, "no stream socket that listens"));
    ck_assert_int_eq(listen(mine, 8), 0);
    ck_assert_msg(http_server_listen_fd(server, fd, url, sizeof url, why, sizeof why), "%s", why);
    ck_assert_int_eq(sscanf(url, "http://127.0.0.1:%u", &port), 1);
    struct client c;
    AUTO_BUF struct buf got;
    buf_init(&got, BUF_NO_LIMIT);
    client_open(&c);
    ck_assert_int_eq(ask(&c, GET("/jobs"), &got), 200);
    client_close(&c);
    stop_server();
    const int late = socket(AF_INET, SOCK_STREAM, 0); /* it waits for the next daemon */
    const struct sockaddr_in there = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)port),
                                      .sin_addr = {htonl(INADDR_LOOPBACK)}};
    ck_assert_int_eq(connect(late, (const struct sockaddr *)&there, sizeof there), 0);
    (void)close(late);
    (void)close(mine);
}
END_TEST

static TCase *tables(void)
{
    TCase *t = tcase_create("tables");
    tcase_add_loop_test(t, routes, 0, (int)COUNT(route_rows));
    tcase_add_test(t, every_route_is_found);
    tcase_add_test(t, a_long_segment_is_no_job);
    tcase_add_loop_test(t, queries, 0, (int)COUNT(query_rows));
    tcase_add_loop_test(t, details, 0, (int)COUNT(detail_rows));
    tcase_add_loop_test(t, framing, 0, (int)COUNT(framing_rows));
    tcase_add_loop_test(t, etags, 0, (int)COUNT(etag_rows));
    tcase_add_loop_test(t, body_types, 0, (int)COUNT(type_rows));
    tcase_add_loop_test(t, body_codings, 0, sizeof coding_rows / sizeof *coding_rows);
    tcase_add_loop_test(t, submissions, 0, (int)COUNT(submission_rows));
    tcase_add_test(t, a_submission_is_kept_to_the_letter);
    tcase_add_test(t, depth_and_size);
    tcase_add_test(t, a_policy_is_kept);
    tcase_add_loop_test(t, bodies, 0, (int)COUNT(body_rows));
    tcase_add_loop_test(t, mistakes_are_explained, 0, (int)COUNT(mistakes));
    tcase_add_test(t, a_byte_order_mark_is_taken);
    tcase_add_test(t, what_a_body_says_is_kept);
    tcase_add_loop_test(t, hosts, 0, (int)COUNT(host_rows));
    tcase_add_loop_test(t, origins, 0, (int)COUNT(origin_rows));
    tcase_add_loop_test(t, tokens_and_roles, 0, (int)COUNT(token_rows));
    tcase_add_loop_test(t, idempotency_keys, 0, (int)COUNT(key_rows));
    tcase_add_test(t, idempotency_keys_have_an_end);
    tcase_add_loop_test(t, a_body_that_is_not_read, 0, (int)COUNT(looks));
    return t;
}

static TCase *live(void)
{
    TCase *t = tcase_create("live");
    tcase_set_timeout(t, 20);
    tcase_add_loop_test(t, plain_requests, 0, (int)COUNT(live_rows));
    tcase_add_test(t, etag_makes_304);
    tcase_add_test(t, bodies_beyond_the_cap);
    tcase_add_test(t, a_body_byte_by_byte);
    tcase_add_test(t, pipelined_requests);
    tcase_add_test(t, an_answer_that_comes_later);
    tcase_add_test(t, a_hold_ends_by_http_again);
    tcase_add_test(t, a_hold_ends_by_its_deadline);
    tcase_add_test(t, a_hang_up_ends_a_hold);
    tcase_add_loop_test(t, a_client_that_sends_no_more, 0, (int)COUNT(half_rows));
    tcase_add_test(t, too_many_waits);
    tcase_add_test(t, close_leaves_nothing);
    tcase_add_test(t, a_stream_with_a_slow_reader);
    tcase_add_test(t, a_stream_of_unknown_length);
    tcase_add_loop_test(t, a_stream_that_is_cut, 0, (int)COUNT(cut_rows));
    tcase_add_loop_test(t, a_reader_that_hangs_up, 0, (int)COUNT(cut_rows));
    tcase_add_test(t, head_of_a_stream);
    tcase_add_loop_test(t, addresses, 0, (int)COUNT(address_rows));
    tcase_add_test(t, an_address_in_use_says_so);
    tcase_add_loop_test(t, pages_of_allowed_origins, 0, (int)COUNT(cors_rows));
    tcase_add_test(t, tokens_change_while_it_runs);
    tcase_add_loop_test(t, a_slow_client_is_cut_off, 0, (int)COUNT(slow_rows));
    tcase_add_test(t, an_idle_connection_is_kept);
    tcase_add_test(t, too_many_connections_over_all_listeners);
    tcase_add_test(t, too_many_connections_of_one_address);
    tcase_add_test(t, too_many_bodies);
    tcase_add_test(t, too_many_large_answers);
    tcase_add_test(t, too_many_streams);
    tcase_add_test(t, a_unix_socket);
    tcase_add_test(t, a_socket_of_somebody_else);
    return t;
}

Suite *http_suite(void)
{
    Suite *suite = suite_create("http");
    suite_add_tcase(suite, tables());
    suite_add_tcase(suite, live());
    return suite;
}
