/* Every route with its success and its refusals: statuses, codes, pointers, headers, paging. */
#include "harness.h"

#include <string.h>
#include <unistd.h>

#include "suites.h"

#define NOWHERE "00000000-0000-7000-8000-000000000000"

/* ---- refusals, by a table -------------------------------------------------------------------- */

struct refusal {
    const char *name, *method, *path, *headers, *body;
    long status;
    const char *code, *pointer;
};

#define NODE "{'class_type':'T_SleepOut','inputs':{}}"
#define JSON "Content-Type: application/json"

static const struct refusal refusals[] = {
    {"no route", "GET", "/nothing", NULL, NULL, 404, "route_not_found", NULL},
    {"root", "GET", "/", NULL, NULL, 404, "route_not_found", NULL},
    {"slash at the end", "GET", "/jobs/", NULL, NULL, 404, "route_not_found", NULL},
    {"dots", "GET", "/jobs/../stats", NULL, NULL, 404, "route_not_found", NULL},
    {"job", "GET", "/jobs/" NOWHERE, NULL, NULL, 404, "job_not_found", NULL},
    {"job, no id", "GET", "/jobs/17", NULL, NULL, 404, "job_not_found", NULL},
    {"profile", "GET", "/jobs/" NOWHERE "/profile", NULL, NULL, 404, "job_not_found", NULL},
    {"workflow", "GET", "/jobs/" NOWHERE "/workflow", NULL, NULL, 404, "job_not_found", NULL},
    {"outputs", "GET", "/jobs/" NOWHERE "/outputs", NULL, NULL, 404, "job_not_found", NULL},
    {"output", "GET", "/jobs/" NOWHERE "/outputs/0", NULL, NULL, 404, "job_not_found", NULL},
    {"output -1", "GET", "/jobs/" NOWHERE "/outputs/-1", NULL, NULL, 404, "output_not_found", NULL},
    {"cancel", "POST", "/jobs/" NOWHERE "/cancel", NULL, "", 404, "job_not_found", NULL},
    {"delete", "DELETE", "/jobs/" NOWHERE, NULL, NULL, 404, "job_not_found", NULL},
    {"PUT /jobs", "PUT", "/jobs", NULL, "", 405, "method_not_allowed", NULL},
    {"POST job", "POST", "/jobs/" NOWHERE, NULL, "", 405, "method_not_allowed", NULL},
    {"GET cancel", "GET", "/jobs/" NOWHERE "/cancel", NULL, NULL, 405, "method_not_allowed", NULL},
    {"POST stats", "POST", "/stats", NULL, "", 405, "method_not_allowed", NULL},
    {"DELETE healthz", "DELETE", "/healthz", NULL, NULL, 405, "method_not_allowed", NULL},
    {"query of a list", "GET", "/jobs?color=red", NULL, NULL, 400, "query_invalid", NULL},
    {"query twice", "GET", "/jobs?limit=1&limit=2", NULL, NULL, 400, "query_invalid", NULL},
    {"limit 0", "GET", "/jobs?limit=0", NULL, NULL, 400, "query_invalid", NULL},
    {"limit 1001", "GET", "/jobs?limit=1001", NULL, NULL, 400, "query_invalid", NULL},
    {"state", "GET", "/jobs?state=lost", NULL, NULL, 400, "query_invalid", NULL},
    {"cursor", "GET", "/jobs?cursor=x", NULL, NULL, 400, "query_invalid", NULL},
    {"wait of a list", "GET", "/jobs?wait=1", NULL, NULL, 400, "query_invalid", NULL},
    {"wait -1", "GET", "/jobs/" NOWHERE "?wait=-1", NULL, NULL, 400, "query_invalid", NULL},
    {"wait text", "POST", "/jobs?wait=soon", JSON, "{}", 400, "query_invalid", NULL},
    {"live", "GET", "/jobs/" NOWHERE "/profile?live=yes", NULL, NULL, 400, "query_invalid", NULL},
    {"format", "GET", "/jobs/" NOWHERE "/profile?format=xml", NULL, NULL, 400, "query_invalid",
     NULL},
    {"query of healthz", "GET", "/healthz?x=1", NULL, NULL, 400, "query_invalid", NULL},
    {"XML", "POST", "/jobs", "Content-Type: text/xml", "<a/>", 415, "media_type_unsupported", NULL},
    {"no JSON", "POST", "/jobs", JSON, "{'a':", 400, "json_invalid", NULL},
    {"empty", "POST", "/jobs", JSON, "", 400, "json_invalid", NULL},
    {"doubled name", "POST", "/jobs", JSON, "{'workflow':{},'workflow':{}}", 400, "json_invalid",
     NULL},
    {"NaN", "POST", "/jobs", JSON, "{'workflow':{'1':{'class_type':'A','inputs':{'x':NaN}}}}", 400,
     "json_invalid", NULL},
    {"an array", "POST", "/jobs", JSON, "[]", 400, "member_invalid", ""},
    {"a number", "POST", "/jobs", JSON, "17", 400, "member_invalid", ""},
    {"nothing in it", "POST", "/jobs", JSON, "{}", 400, "member_invalid", "/workflow"},
    {"unknown member", "POST", "/jobs", JSON, "{'workflow':{'1':" NODE "},'colour':1}", 400,
     "member_unknown", "/colour"},
    {"priority 1001", "POST", "/jobs", JSON, "{'workflow':{'1':" NODE "},'priority':1001}", 400,
     "member_invalid", "/priority"},
    {"priority 1.5", "POST", "/jobs", JSON, "{'workflow':{'1':" NODE "},'priority':1.5}", 400,
     "member_invalid", "/priority"},
    {"profile text", "POST", "/jobs", JSON, "{'workflow':{'1':" NODE "},'profile':'yes'}", 400,
     "member_invalid", "/profile"},
    {"metadata list", "POST", "/jobs", JSON, "{'workflow':{'1':" NODE "},'metadata':[]}", 400,
     "member_invalid", "/metadata"},
    {"maxAttempts 0", "POST", "/jobs", JSON, "{'workflow':{'1':" NODE "},'maxAttempts':0}", 400,
     "member_invalid", "/maxAttempts"},
    {"maxAttempts 21", "POST", "/jobs", JSON, "{'workflow':{'1':" NODE "},'maxAttempts':21}", 400,
     "member_invalid", "/maxAttempts"},
    {"both", "POST", "/jobs", JSON, "{'workflow':{'1':" NODE "},'prompt':{'1':" NODE "}}", 400,
     "member_invalid", "/prompt"},
    {"no nodes", "POST", "/jobs", JSON, "{'workflow':{}}", 400, "workflow_invalid", "/workflow"},
    {"a node is text", "POST", "/jobs", JSON, "{'workflow':{'1':'a'}}", 400, "workflow_invalid",
     "/workflow/1"},
    {"no inputs", "POST", "/jobs", JSON, "{'workflow':{'a~/b':{'class_type':'A'}}}", 400,
     "workflow_invalid", "/workflow/a~0~1b"},
    {"UI format", "POST", "/jobs", JSON,
     "{'workflow':{'nodes':[],'links':[],'version':0.4,'last_node_id':1}}", 400,
     "workflow_format_ui", NULL},
    {"UI format, bare", "POST", "/jobs", JSON,
     "{'nodes':[],'links':[],'version':0.4,'last_node_id':1}", 400, "workflow_format_ui", NULL},
};

START_TEST(test_refusals)
{
    struct daemon *d = DAEMON(.no_profile = true);
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const struct refusal *r = &refusals[i];
        struct answer *a =
            ask(d, r->method, r->path, r->headers, r->body == NULL ? NULL : q("%s", r->body));
        CHECK(a->status == r->status, "%s", r->name);
        CHECK(strcmp(str_at(a->json, "code"), r->code) == 0, "%s: %s", r->name, r->code);
        if (r->pointer != NULL) {
            CHECK(has(a->json, "pointer") && strcmp(str_at(a->json, "pointer"), r->pointer) == 0,
                  "%s: pointer %s", r->name, r->pointer);
        }
        if (r->status == 405) {
            CHECK(*header_of(a, "Allow") != '\0', "%s", r->name);
        }
    }
    CHECK(json_array_size(at(get(d, "/jobs")->json, "jobs")) == 0, "nothing was accepted half");
}
END_TEST

/* What people try, and the words that the answer must have. */
START_TEST(test_messages)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    await_backends_up(d, 1);
    static const struct {
        const char *path;
        const char *body;
        const char *code;
        const char *words[2];
    } tries[] = {
        {"/", "{'prompt':{}}", "route_not_found", {"/jobs", ""}},
        {"/prompt", "{'prompt':{}}", "route_not_found", {"/jobs", ""}},
        {"/api/prompt", "{'prompt':{}}", "route_not_found", {"/jobs", ""}},
        {"/jobs?wiat=5", "{}", "query_invalid", {"did you mean wait?", ""}},
        {"/jobs",
         "{'workflow':{'1':" NODE "},'backends':{'only':['nope']}}",
         "workflow_not_supported",
         {"there is no backend nope", "there are s0"}},
        {"/batches", "{'1':" NODE "}", "member_invalid", {"overrides", "workflow"}},
    };
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        struct answer *a = post(d, tries[i].path, q("%s", tries[i].body));
        CHECK(strcmp(str_at(a->json, "code"), tries[i].code) == 0, "%s: %s", tries[i].path,
              a->body);
        const char *detail = str_at(a->json, "detail");
        CHECK(strstr(detail, tries[i].words[0]) != NULL &&
                  strstr(detail, tries[i].words[1]) != NULL,
              "%s: %s", tries[i].path, detail);
    }
    static const char only[] = "{'workflow':{'1':" NODE "},'backends':{'only':[%s]}}";
    ck_assert_str_eq(str_at(post(d, "/jobs", q(only, "'nope','none'"))->json, "detail"),
                     "there is no backend nope, none; there are s0");
    struct daemon *other = DAEMON(.may_fail = true, .state = path_of("other"),
                                  .arguments = {"--listen", text("127.0.0.1:%d", d->port)});
    CHECK(daemon_wait(other) != 0 && strstr(read_file(other->err), "--listen") != NULL);
}
END_TEST

static char *filled(size_t n)
{
    char *s = text("%*s", (int)n, "");
    return s;
}

START_TEST(test_large_bodies)
{
    struct daemon *d = DAEMON(.config = "http:\n  maxBodyBytes: 20000\n", .no_profile = true);
    struct answer *a = post(d, "/jobs", filled(20001));
    expect(a, 413, "body_too_large");
    a = post(d, "/jobs", filled(100000));
    expect(a, 413, "body_too_large");
    expect(post(d, "/jobs", filled(20000)), 400, "json_invalid");
    /* Announced far too large: refused at once, closed. */
    int fd = raw_open(d->port);
    static const char head[] =
        "POST /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n"
        "Expect: 100-continue\r\n\r\n";
    raw_send(fd, head, sizeof head - 1);
    a = raw_answer(fd);
    CHECK(a != NULL && a->status == 413);
    /* Metadata has a cap of its own. */
    char *meta = filled(16384 - 7);
    memset(meta, 'x', strlen(meta));
    expect(post(d, "/jobs", q("{'workflow':{'1':" NODE "},'metadata':{'a':'%s'}}", meta)), 400,
           "member_invalid");
    expect(post(d, "/jobs", q("{'workflow':{'1':" NODE "},'metadata':{'a':'%s'}}", meta + 1)), 202,
           NULL);
}
END_TEST

struct raw_case {
    const char *name, *request;
    long status; /* 0: closed without an answer is fine */
};

static const struct raw_case raw_cases[] = {
    {"two lengths",
     "POST /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
     400},
    {"length and chunked",
     "POST /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: "
     "chunked\r\n\r\n"
     "2\r\n{}\r\n0\r\n\r\n",
     400},
    {"gzip", "POST /jobs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n", 501},
    {"no host", "GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n", 400},
    {"HTTP/1.0", "GET /healthz HTTP/1.0\r\n\r\n", 200},
    {"absolute", "GET http://a/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
     200},
    {"chunked",
     "POST /jobs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: "
     "chunked\r\n\r\n"
     "2\r\n{}\r\n0\r\n\r\n",
     400},
    {"escaped slash", "GET /jobs%2Fx HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
     404},
};

START_TEST(test_raw_requests)
{
    struct daemon *d = DAEMON(.no_profile = true);
    for (size_t i = 0; i < sizeof raw_cases / sizeof *raw_cases; i++) {
        const int fd = raw_open(d->port);
        raw_send(fd, raw_cases[i].request, strlen(raw_cases[i].request));
        struct answer *a = raw_answer(fd);
        CHECK(a != NULL && a->status == raw_cases[i].status, "%s: %ld, not %ld", raw_cases[i].name,
              a == NULL ? 0 : a->status, raw_cases[i].status);
    }
    get(d, "/healthz");
}
END_TEST

/* ---- successes ------------------------------------------------------------------------------- */

START_TEST(test_three_forms)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    const char *bodies[] = {
        sleep_body("a", 1, ""),
        q("{'prompt':%s,'client_id':'x','prompt_id':'y','number':4,'front':true,"
          "'extra_data':{'extra_pnginfo':{'seed':18446744073709551615}},'priority':3,"
          "'stranger':1}",
          sleeper("b", 1)),
        sleeper("c", 1),
    };
    for (size_t i = 0; i < 3; i++) {
        json_t *j = run_job(d, bodies[i]);
        CHECK(strcmp(str_at(j, "state"), "completed") == 0, "form %zu", i);
        CHECK(num_at(j, "priority") == (i == 1 ? 3 : 0) && num_at(j, "attempts") == 1 &&
              num_at(j, "maxAttempts") == 3);
        CHECK(strlen(str_at(j, "workflowHash")) == 64);
    }
    CHECK(ledger_count(s, "success", "a") == 1 && ledger_count(s, "success", "b") == 1 &&
          ledger_count(s, "success", "c") == 1);
    /* What curl -d sends. */
    struct answer *a = ask(d, "POST", "/jobs", NULL, sleeper("d", 1));
    expect(a, 202, NULL);
    (void)await_end(d, str_at(a->json, "id"));
}
END_TEST

START_TEST(test_workflow_and_metadata_digit_for_digit)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    char *graph = q("{ '1' : {'class_type':'T_SleepOut','inputs':{'seed':18446744073709551615,"
                    "'x':1.50e+00,'y':-0.0,'t':'\\u00e9\\ud83d\\ude00'},'_meta':{}}}");
    char *id =
        submit(d, q("{'workflow':%s,'metadata':{'n':1.000,'big':123456789012345678901}}", graph));
    struct answer *a = get(d, "/jobs/%s/workflow", id);
    CHECK(strcmp(a->body, graph) == 0, "%s", graph);
    (void)await_end(d, id);
    a = get(d, "/jobs/%s/workflow", id);
    CHECK(strcmp(a->body, graph) == 0, "%s", graph);
    a = get(d, "/jobs/%s", id);
    CHECK(strstr(a->body, q("{'n':1.000,'big':123456789012345678901}")) != NULL);
    CHECK(*header_of(a, "ETag") != '\0');
}
END_TEST

START_TEST(test_head_and_etag)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    json_t *j = run_job(d, sleep_body("a", 1, ""));
    const char *paths[] = {"", "/profile", "/profile?format=text", "/workflow", "/outputs"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char *path = text("/jobs/%s%s", str_at(j, "id"), paths[i]);
        struct answer *a = get(d, "%s", path);
        expect(a, 200, NULL);
        char *etag = header_of(a, "ETag");
        CHECK(*etag == '"', "%s has an ETag", path);
        struct answer *h = ask(d, "HEAD", path, NULL, NULL);
        CHECK(h->status == 200 && h->len == 0 && strcmp(header_of(h, "ETag"), etag) == 0);
        CHECK((size_t)atol(header_of(h, "Content-Length")) == a->len, "%s", path);
        const char *matches[] = {etag, text("W/%s", etag), text("\"x\", %s", etag), "*"};
        for (size_t k = 0; k < 4; k++) {
            struct answer *n = ask(d, "GET", path, text("If-None-Match: %s", matches[k]), NULL);
            CHECK(n->status == 304 && n->len == 0 && strcmp(header_of(n, "ETag"), etag) == 0,
                  "%s with %s", path, matches[k]);
        }
        expect(ask(d, "GET", path, "If-None-Match: \"other\"", NULL), 200, NULL);
    }
    const char *plain[] = {"/jobs", "/backends", "/stats", "/healthz", "/readyz", "/openapi.yaml"};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        struct answer *h = ask(d, "HEAD", plain[i], NULL, NULL);
        CHECK(h->status == 200 && h->len == 0, "%s", plain[i]);
    }
}
END_TEST

START_TEST(test_waits)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    sim_control(s, "{'pause':true}");
    /* Time is up: what would have been answered without waiting. */
    double from = now_s();
    struct answer *a =
        ask(d, "POST", "/jobs", "Prefer: respond-async, wait=1", sleep_body("a", 1, ""));
    expect(a, 202, NULL);
    CHECK(now_s() - from >= 0.95);
    CHECK(strcmp(header_of(a, "Preference-Applied"), "wait=1") == 0);
    char *id = text("%s", str_at(a->json, "id"));
    a = get(d, "/jobs/%s?wait=1", id);
    expect(a, 200, NULL);
    CHECK(*header_of(a, "Preference-Applied") == '\0', "it was not preferred");
    a = get(d, "/jobs/%s/profile?wait=1", id);
    expect(a, 409, "job_not_finished");
    CHECK(*header_of(a, "Retry-After") != '\0');
    /* Three kinds of wait, all told; one hangs up and harms nobody. */
    int job = raw_request(d, "GET", text("/jobs/%s?wait=60", id), "");
    int profile = raw_request(d, "GET", text("/jobs/%s/profile?wait=999", id), "");
    int gone = raw_request(d, "GET", text("/jobs/%s?wait=60", id), "");
    AWAIT(num_at(get(d, "/stats")->json, "http.waits") == 3);
    (void)close(gone);
    AWAIT(num_at(get(d, "/stats")->json, "http.waits") == 2);
    sim_control(s, "{'pause':false}");
    a = raw_answer(job);
    CHECK(a != NULL && a->status == 200 && strcmp(str_at(a->json, "state"), "completed") == 0);
    a = raw_answer(profile);
    CHECK(a != NULL && a->status == 200 && strcmp(str_at(a->json, "outcome"), "completed") == 0);
    AWAIT(num_at(get(d, "/stats")->json, "http.waits") == 0);
    a = ask(d, "GET", text("/jobs/%s", id), "Prefer: wait=5", NULL);
    expect(a, 200, NULL);
}
END_TEST

START_TEST(test_submitter_hangs_up)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    sim_control(s, "{'pause':true}");
    int fd = raw_request(d, "POST", "/jobs?wait=60", sleep_body("a", 1, ""));
    AWAIT(num_at(get(d, "/stats")->json, "http.waits") == 1);
    (void)close(fd);
    AWAIT(num_at(get(d, "/stats")->json, "http.waits") == 0);
    sim_control(s, "{'pause':false}");
    struct answer *a = get(d, "/jobs");
    json_t *j = await_end(d, str_at(a->json, "jobs.0.id"));
    CHECK(strcmp(str_at(j, "state"), "completed") == 0, "a hang-up never cancels the job");
}
END_TEST

START_TEST(test_too_many_waits)
{
    struct daemon *d = DAEMON(.config = "http:\n  maxWaits: 2\n");
    char *id = submit(d, sleep_body("a", 1, ""));
    int one = raw_request(d, "GET", text("/jobs/%s?wait=60", id), "");
    int two = raw_request(d, "GET", text("/jobs/%s?wait=60", id), "");
    AWAIT(num_at(get(d, "/stats")->json, "http.waits") == 2);
    struct answer *a = get(d, "/jobs/%s?wait=60", id);
    expect(a, 503, "too_many_waits");
    CHECK(*header_of(a, "Retry-After") != '\0');
    expect(post(d, "/jobs?wait=1", sleep_body("b", 1, "")), 503, "too_many_waits");
    expect(get(d, "/jobs/%s", id), 200, NULL);
    (void)close(one);
    AWAIT(num_at(get(d, "/stats")->json, "http.waits") == 1);
    (void)cancel(d, id);
    a = raw_answer(two);
    CHECK(a != NULL && a->status == 200 && strcmp(str_at(a->json, "state"), "cancelled") == 0);
}
END_TEST

START_TEST(test_profile_formats)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    json_t *j = run_job(d, sleep_body("a", 5, ""));
    char *path = text("/jobs/%s/profile", str_at(j, "id"));
    struct answer *a = get(d, "%s?format=text", path);
    expect(a, 200, NULL);
    CHECK(strncmp(header_of(a, "Content-Type"), "text/plain", 10) == 0);
    CHECK(strstr(a->body, "T_SleepOut") != NULL && strstr(a->body, "The end") != NULL &&
          strstr(a->body, str_at(j, "id")) != NULL);
    static const struct {
        const char *accept;
        const char *type; /* NULL: 406 */
    } rows[] = {
        {"text/plain", "text/plain; charset=utf-8"},
        {"application/json", "application/json"},
        {"*/*", "application/json"},
        {"text/*", "text/plain; charset=utf-8"},
        {"text/plain;q=0.5, application/json;q=0.4", "text/plain; charset=utf-8"},
        {"text/plain;q=0.5, */*", "application/json"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        a = ask(d, "GET", path, text("Accept: %s", rows[i].accept), NULL);
        expect(a, 200, NULL);
        CHECK(strcmp(header_of(a, "Content-Type"), rows[i].type) == 0, "%s", rows[i].accept);
    }
    expect(ask(d, "GET", path, "Accept: application/json;q=0, text/*;q=0", NULL), 406,
           "not_acceptable");
    /* The profile in the Job is the same. */
    a = get(d, "%s", path);
    CHECK(json_equal(a->json, at(j, "profileStats")));
}
END_TEST

START_TEST(test_live_profile)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    char *id = submit(d, sleep_body("a", 60000, ""));
    AWAIT(is_at_node(d, id, "1"));
    struct answer *a = get(d, "/jobs/%s/profile?live=1", id);
    expect(a, 200, NULL);
    CHECK(strcmp(str_at(node_of(a->json, "1"), "status"), "executing") == 0);
    CHECK(strcmp(str_at(node_of(a->json, "2"), "status"), "pending") == 0);
    a = get(d, "/jobs/%s/profile", id);
    expect(a, 409, "job_not_finished");
    CHECK(*header_of(a, "Retry-After") != '\0');
    char *waiting = submit(d, sleep_body("b", 1, ""));
    a = get(d, "/jobs/%s/profile?live=1", waiting);
    expect(a, 200, NULL);
    CHECK(num_at(a->json, "attempt") == 0 && num_at(a->json, "summary.pendingNodes") == 2);
    (void)cancel(d, id);
    (void)await_end(d, id);
    (void)await_end(d, waiting);
}
END_TEST

START_TEST(test_profile_off)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = true);
    json_t *off = run_job(d, sleep_body("a", 1, ""));
    CHECK(!has(off, "profileStats"));
    expect(get(d, "/jobs/%s/profile", str_at(off, "id")), 404, "profiling_disabled");
    json_t *on = run_job(d, sleep_body("b", 1, ",'profile':true"));
    CHECK(has(on, "profileStats"));
    char *id = submit(d, sleep_body("c", 60000, ""));
    expect(get(d, "/jobs/%s/profile", id), 404, "profiling_disabled");
    /* What is known of it while it runs is told all the same. */
    AWAIT(is_at_node(d, id, "1"));
    struct answer *live = get(d, "/jobs/%s/profile?live=1", id);
    expect(live, 200, NULL);
    CHECK(strcmp(str_at(node_of(live->json, "1"), "status"), "executing") == 0 &&
          !has(node_of(live->json, "1"), "startedAt"));
    (void)cancel(d, id);
    (void)await_end(d, id);
}
END_TEST

START_TEST(test_list)
{
    struct sim *s = sim_start("--zero", NULL);
    struct daemon *d = DAEMON(.sims = {s});
    struct answer *odd = get(d, "/jobs?foo=1");
    expect(odd, 400, "query_invalid");
    CHECK(*header_of(odd, "Allow") == '\0', "only a 405 and OPTIONS say what is allowed");
    char *ids[7];
    for (int i = 0; i < 5; i++) {
        ids[i] = text("%s", str_at(run_job(d, sleep_body(text("t%d", i), 0, "")), "id"));
    }
    sim_control(s, "{'pause':true}");
    ids[5] = submit(d, sleep_body("t5", 0, ""));
    AWAIT(is_state(d, ids[5], "running"));
    ids[6] = submit(d, sleep_body("t6", 0, ""));
    struct answer *a = get(d, "/jobs");
    CHECK(json_array_size(at(a->json, "jobs")) == 7 && !has(a->json, "nextCursor"));
    for (int i = 0; i < 7; i++) {
        CHECK(strcmp(str_at(a->json, text("jobs.%d.id", i)), ids[6 - i]) == 0, "newest first");
        CHECK(!has(a->json, text("jobs.%d.profileStats", i)), "a list has no profiles");
    }
    static const struct {
        const char *query;
        size_t n;
    } filters[] = {{"state=queued", 1},           {"state=running", 1},
                   {"state=completed", 5},        {"state=queued,running", 2},
                   {"state=failed,cancelled", 0}, {"state=queued%2Ccompleted", 6},
                   {"limit=3&state=completed", 3}};
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
        a = get(d, "/jobs?%s", filters[i].query);
        CHECK(json_array_size(at(a->json, "jobs")) == filters[i].n, "%s", filters[i].query);
    }
    /* Page by page, by Link; states are kept in it. */
    char *path = text("/jobs?limit=2&state=completed,running");
    size_t seen = 0;
    for (int page = 0; page < 5 && path != NULL; page++) {
        a = get(d, "%s", path);
        expect(a, 200, NULL);
        for (size_t i = 0; i < json_array_size(at(a->json, "jobs")); i++) {
            CHECK(strcmp(str_at(a->json, text("jobs.%zu.id", i)), ids[5 - seen]) == 0);
            seen++;
        }
        char *link = header_of(a, "Link");
        CHECK((*link != '\0') == has(a->json, "nextCursor"));
        path = NULL;
        if (*link != '\0') {
            CHECK(strstr(link, "rel=\"next\"") != NULL);
            path = text("%.*s", (int)strcspn(link + 1, ">"), link + 1);
        }
    }
    CHECK(seen == 6, "%zu", seen);
    sim_control(s, "{'pause':false}");
    (void)await_end(d, ids[6]);
}
END_TEST

START_TEST(test_delete)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    char *running = submit(d, sleep_body("a", 60000, ""));
    AWAIT(is_state(d, running, "running"));
    expect(ask(d, "DELETE", text("/jobs/%s", running), NULL, NULL), 409, "job_active");
    char *queued = submit(d, sleep_body("b", 1, ""));
    expect(ask(d, "DELETE", text("/jobs/%s", queued), NULL, NULL), 409, "job_active");
    (void)cancel(d, running);
    (void)await_end(d, running);
    (void)await_end(d, queued);
    struct answer *a = ask(d, "DELETE", text("/jobs/%s", running), NULL, NULL);
    CHECK(a->status == 204 && a->len == 0);
    expect(get(d, "/jobs/%s", running), 404, "job_not_found");
    expect(get(d, "/jobs/%s/profile", running), 404, "job_not_found");
    expect(get(d, "/jobs/%s/workflow", running), 404, "job_not_found");
    expect(ask(d, "DELETE", text("/jobs/%s", running), NULL, NULL), 404, "job_not_found");
    CHECK(json_array_size(at(get(d, "/jobs")->json, "jobs")) == 1);
    CHECK(num_at(get(d, "/stats")->json, "jobs.cancelled") == 0);
}
END_TEST

START_TEST(test_state_of_things)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    await_ready(d);
    for (int i = 0; i < 3; i++) {
        (void)run_job(d, sleep_body(text("t%d", i), 5, ""));
    }
    (void)run_job(d, q("{'1':{'class_type':'T_SleepOut','inputs':{'_error':'no'}}}"));
    struct answer *a = get(d, "/stats");
    CHECK(num_at(a->json, "jobs.completed") == 3 && num_at(a->json, "jobs.failed") == 1);
    CHECK(num_at(a->json, "throughput.lastMinute") == 4 && num_at(a->json, "queue.depth") == 0);
    CHECK(num_at(a->json, "badTransitions") == 0);
    AWAIT(*str_at(get(d, "/backends")->json, "backends.0.version") != '\0');
    a = get(d, "/backends");
    json_t *b = at(a->json, "backends.0");
    CHECK(strcmp(str_at(b, "name"), "s0") == 0 && strcmp(str_at(b, "url"), s->url) == 0 &&
          strcmp(str_at(b, "state"), "up") == 0 && num_at(b, "inFlight") == 0);
    CHECK(json_array_size(at(b, "devices")) > 0);
    expect(get(d, "/healthz"), 200, NULL);
    a = get(d, "/openapi.yaml");
    CHECK(strcmp(a->body, read_file("api/openapi.yaml")) == 0, "byte for byte");
    CHECK(strcmp(header_of(a, "Content-Type"), "application/yaml") == 0);
}
END_TEST

START_TEST(test_readyz)
{
    struct daemon *none = DAEMON(.state = path_of("empty"));
    struct answer *a = get(none, "/readyz");
    expect(a, 503, NULL);
    CHECK(json_array_size(at(a->json, "reasons")) == 1 && !is_true(a->json, "ready"));
    expect(get(none, "/healthz"), 200, NULL);
    struct sim *s = sim_plain();
    sim_control(s, "{'crash':1500}");
    struct daemon *d = DAEMON(.sims = {s});
    a = get(d, "/readyz");
    char *id = submit(d, sleep_body("a", 1, ""));
    if (a->status == 503) {
        CHECK(strcmp(str_at(job_now(d, id), "waitingReason"), "no_backend_up") == 0 ||
              !is_state(d, id, "queued"));
    }
    await_ready(d);
    a = get(d, "/readyz");
    CHECK(is_true(a->json, "ready") && json_array_size(at(a->json, "reasons")) == 0);
    (void)await_end(d, id);
}
END_TEST

Suite *routes_suite(void)
{
    static const struct named_test tests[] = {
        {"refusals", &test_refusals, 1},
        {"messages", &test_messages, 1},
        {"large bodies", &test_large_bodies, 1},
        {"raw requests", &test_raw_requests, 1},
        {"three forms", &test_three_forms, 1},
        {"digit for digit", &test_workflow_and_metadata_digit_for_digit, 1},
        {"HEAD and ETag", &test_head_and_etag, 1},
        {"waits", &test_waits, 1},
        {"the submitter hangs up", &test_submitter_hangs_up, 1},
        {"too many waits", &test_too_many_waits, 1},
        {"profile formats", &test_profile_formats, 1},
        {"live profile", &test_live_profile, 1},
        {"profile off", &test_profile_off, 1},
        {"list", &test_list, 1},
        {"delete", &test_delete, 1},
        {"state of things", &test_state_of_things, 1},
        {"readyz", &test_readyz, 1},
    };
    return SUITE("routes", 60, tests);
}
