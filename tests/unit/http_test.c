/*
 * The HTTP room: its pure parts by tables (router, query, headers, submission), the rest live on
 * port 0 in this process: one loop drives the server and raw client sockets, and is turned until
 * what a test waits for has happened. Nothing sleeps.
 */
#include "../../src/http/internal.h"

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
#include <unistd.h>

#include "comfypool/core/job.h"

Suite *http_suite(void);

#define ID "0190a3c4-0000-7000-8000-000000000001"
#define COUNT(table) (sizeof(table) / sizeof *(table))

/* ---- router ------------------------------------------------------------------------------------
 */

static const struct route_row {
    const char *method;
    const char *target;
    enum err want; /* ERR_NONE: the route */
    enum http_route route;
    const char *allow;
} route_rows[] = {
    {"POST", "/jobs", ERR_NONE, ROUTE_SUBMIT, NULL},
    {"GET", "/jobs?limit=3", ERR_NONE, ROUTE_LIST, NULL},
    {"HEAD", "/jobs", ERR_NONE, ROUTE_LIST, NULL},
    {"PUT", "/jobs", ERR_METHOD_NOT_ALLOWED, 0, "POST, GET, HEAD"},
    {"OPTIONS", "/jobs", ERR_METHOD_NOT_ALLOWED, 0, "POST, GET, HEAD"},
    {"GET", "/jobs/" ID, ERR_NONE, ROUTE_JOB, NULL},
    {"GET", "http://host:1/jobs/" ID "?a", ERR_NONE, ROUTE_JOB, NULL},
    {"GET", "/%6aobs/" ID, ERR_NONE, ROUTE_JOB, NULL},
    {"DELETE", "/jobs/" ID, ERR_NONE, ROUTE_DELETE, NULL},
    {"POST", "/jobs/" ID, ERR_METHOD_NOT_ALLOWED, 0, "GET, HEAD, DELETE"},
    {"GET", "/jobs/" ID "/profile", ERR_NONE, ROUTE_PROFILE, NULL},
    {"POST", "/jobs/" ID "/profile", ERR_METHOD_NOT_ALLOWED, 0, "GET, HEAD"},
    {"GET", "/jobs/" ID "/workflow", ERR_NONE, ROUTE_WORKFLOW, NULL},
    {"POST", "/jobs/" ID "/cancel", ERR_NONE, ROUTE_CANCEL, NULL},
    {"GET", "/jobs/" ID "/cancel", ERR_METHOD_NOT_ALLOWED, 0, "POST"},
    {"HEAD", "/jobs/" ID "/cancel", ERR_METHOD_NOT_ALLOWED, 0, "POST"},
    {"GET", "/jobs/" ID "/outputs", ERR_NONE, ROUTE_OUTPUTS, NULL},
    {"GET", "/jobs/" ID "/outputs/17", ERR_NONE, ROUTE_OUTPUT, NULL},
    {"GET", "/jobs/" ID "/outputs/x", ERR_OUTPUT_NOT_FOUND, 0, NULL},
    {"GET", "/jobs/" ID "/outputs/-1", ERR_OUTPUT_NOT_FOUND, 0, NULL},
    {"GET", "/jobs/" ID "/outputs/9999999999", ERR_OUTPUT_NOT_FOUND, 0, NULL},
    {"GET", "/jobs/x/outputs/0", ERR_JOB_NOT_FOUND, 0, NULL},
    {"GET", "/backends", ERR_NONE, ROUTE_BACKENDS, NULL},
    {"GET", "/stats", ERR_NONE, ROUTE_STATS, NULL},
    {"GET", "/healthz", ERR_NONE, ROUTE_HEALTHZ, NULL},
    {"DELETE", "/healthz", ERR_METHOD_NOT_ALLOWED, 0, "GET, HEAD"},
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
    const bool found = router_match(str_of(r->method), str_of(r->target), &m, &p);
    ck_assert_msg(found == (r->want == ERR_NONE) && p.code == r->want, "%s %s: %s", r->method,
                  r->target, err_code(p.code));
    if (found) {
        ck_assert_msg(m.route == r->route, "%s %s: route %d", r->method, r->target, m.route);
        ck_assert(m.head == (strcmp(r->method, "HEAD") == 0));
    }
    if (r->allow != NULL) {
        ck_assert_str_eq(m.allow, r->allow);
    }
    problem_done(&p);
}
END_TEST

/* Every template, with its parameters filled in, is found under its own method. */
START_TEST(every_route_is_found)
{
    for (int i = 0; i < HTTP_ROUTE_COUNT; i++) {
        AUTO_BUF struct buf target;
        buf_init(&target, BUF_NO_LIMIT);
        for (const char *p = route_path((enum http_route)i); *p != '\0'; p++) {
            if (*p == '{') {
                buf_add_text(&target, p[1] == 'i' ? ID : "3");
                p = strchr(p, '}');
            } else {
                buf_add_char(&target, *p);
            }
        }
        struct problem p;
        struct match m;
        problem_init(&p);
        ck_assert(router_match(str_of(route_method((enum http_route)i)), buf_str(&target), &m, &p));
        ck_assert_int_eq(m.route, i);
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
    ck_assert(!router_match(STR("GET"), str_of(target), &m, &p));
    ck_assert_int_eq(p.code, ERR_JOB_NOT_FOUND);
    problem_done(&p);
}
END_TEST

/* ---- query -------------------------------------------------------------------------------------
 */

static const struct query_row {
    enum http_route route;
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
    struct http_request rq = {.route = r->route};
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
        ck_assert_msg(rq.limit == r->limit && rq.state_mask == r->mask && rq.cursor == r->cursor,
                      "%s: limit %u mask %u", r->query, rq.limit, rq.state_mask);
        ck_assert_msg((rq.text || rq.traceback || rq.live) == r->flag, "%s %s", r->query,
                      r->header);
    } else {
        ck_assert_int_eq(p.code, r->query[0] == '\0' ? ERR_NOT_ACCEPTABLE : ERR_QUERY_INVALID);
        ck_assert_msg(strstr(buf_text(&p.detail), r->names) != NULL, "%s: %s", r->query,
                      buf_text(&p.detail));
    }
    problem_done(&p);
}
END_TEST

/* ---- headers -----------------------------------------------------------------------------------
 */

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
    {"Content-Type: text/plain", false},
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

/* ---- submission --------------------------------------------------------------------------------
 */

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
    ck_assert_int_eq(s.max_attempts, 2);
    ck_assert_uint_eq(strlen(s.hash), 64);
    submission_done(&s);
    ck_assert(submission_parse(STR(GRAPH), &s, &p));
    ck_assert_int_eq(s.profile, UNSET);
    ck_assert_int_eq(s.max_attempts, 0);
    ck_assert_ptr_null(s.metadata);
    submission_done(&s);
    problem_done(&p);
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

/* ---- live: a server that does what a test tells it
 * ----------------------------------------------- */

enum { BODY_CAP = 100000, MAX_WAITS = 3 };

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
} seen;

static void answer_text(struct http_ref x, unsigned status, const char *text)
{
    struct http_answer a = http_answer_new(status);
    buf_add_text(&a.body, text);
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

static const struct http_stream_ops stream_ops = {on_drained, on_gone};

static void on_serve(void *ctx, struct http_request *rq, struct http_ref x)
{
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
    if (rq->route == ROUTE_OUTPUT) {
        struct http_answer a = http_answer_new(200);
        a.content_type = "image/png";
        (void)snprintf(a.filename, sizeof a.filename, "a \"b\" \xc3\xa9.png");
        ck_assert(http_stream_begin(server, x, &a, rq->output == 0 ? -1 : (int64_t)rq->output,
                                    &stream_ops, NULL));
    } else if (rq->route == ROUTE_DELETE) {
        http_problem_retry(server, x, ERR_JOB_ACTIVE, "it runs", 7);
    } else if (!seen.late) {
        answer_text(x, rq->route == ROUTE_SUBMIT ? 202 : 200, "{\"ok\":true}");
    }
}

static void start_server(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    memset(&seen, 0, sizeof seen);
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    const struct http_options options = {
        .max_body_bytes = BODY_CAP, .max_connections = 100, .max_waits = MAX_WAITS};
    server = http_server_new(&loop, &options, on_serve, NULL);
    char url[64];
    char why[256] = "";
    ck_assert_msg(http_server_listen(server, "127.0.0.1:0", url, sizeof url, why, sizeof why), "%s",
                  why);
    ck_assert_int_eq(sscanf(url, "http://127.0.0.1:%u", &port), 1);
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

/* ---- live: a client
 * ------------------------------------------------------------------------------ */

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

static void client_open(struct client *c)
{
    *c = (struct client){.fd = socket(AF_INET, SOCK_STREAM, 0)};
    buf_init(&c->in, BUF_NO_LIMIT);
    const struct sockaddr_in at = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr = {htonl(INADDR_LOOPBACK)}};
    ck_assert_int_eq(connect(c->fd, (const struct sockaddr *)&at, sizeof at), 0);
    (void)uv_poll_init(&loop, &c->poll, c->fd);
    c->poll.data = c;
    client_read(c, true);
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

#define HOST "Host: x\r\n"
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

/* ---- live: plain requests
 * ------------------------------------------------------------------------ */

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
     "Allow: POST, GET, HEAD", false},
    {"405 of a strange method", "FROB /jobs HTTP/1.1\r\n" HOST "\r\n", 405, "method_not_allowed",
     false},
    {"query", GET("/jobs?limit=0"), 400, "query_invalid", false},
    {"a problem of the other side", "DELETE /jobs/" ID " HTTP/1.1\r\n" HOST "\r\n", 409,
     "Retry-After: 7", false},
    {"post", "POST /jobs HTTP/1.1\r\n" HOST "Content-Length: 40\r\n\r\n" GRAPH "    ", 202, NULL,
     false},
    {"post without a body", "POST /jobs HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", 400,
     "json_invalid", false},
    {"post as text",
     "POST /jobs HTTP/1.1\r\n" HOST "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}", 415,
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

/* ---- live: answers that come later, and holds
 * ---------------------------------------------------- */

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
    ck_assert_int_eq(seen.served, 1);
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

/* ---- live: streams
 * ------------------------------------------------------------------------------- */

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

/* ---- addresses
 * ----------------------------------------------------------------------------------- */

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

static TCase *tables(void)
{
    TCase *t = tcase_create("tables");
    tcase_add_loop_test(t, routes, 0, (int)COUNT(route_rows));
    tcase_add_test(t, every_route_is_found);
    tcase_add_test(t, a_long_segment_is_no_job);
    tcase_add_loop_test(t, queries, 0, (int)COUNT(query_rows));
    tcase_add_loop_test(t, framing, 0, (int)COUNT(framing_rows));
    tcase_add_loop_test(t, etags, 0, (int)COUNT(etag_rows));
    tcase_add_loop_test(t, body_types, 0, (int)COUNT(type_rows));
    tcase_add_loop_test(t, submissions, 0, (int)COUNT(submission_rows));
    tcase_add_test(t, a_submission_is_kept_to_the_letter);
    tcase_add_test(t, depth_and_size);
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
    tcase_add_test(t, too_many_waits);
    tcase_add_test(t, close_leaves_nothing);
    tcase_add_test(t, a_stream_with_a_slow_reader);
    tcase_add_test(t, a_stream_of_unknown_length);
    tcase_add_loop_test(t, a_stream_that_is_cut, 0, (int)COUNT(cut_rows));
    tcase_add_loop_test(t, a_reader_that_hangs_up, 0, (int)COUNT(cut_rows));
    tcase_add_test(t, head_of_a_stream);
    tcase_add_loop_test(t, addresses, 0, (int)COUNT(address_rows));
    tcase_add_test(t, an_address_in_use_says_so);
    return t;
}

Suite *http_suite(void)
{
    Suite *suite = suite_create("http");
    suite_add_tcase(suite, tables());
    suite_add_tcase(suite, live());
    return suite;
}
