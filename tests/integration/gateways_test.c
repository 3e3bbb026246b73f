/*
 * Servers, and gateways before them, that take no prompt or no file: what that costs, whom it
 * holds, when it is tried again, and what people are told.
 */
#include "harness.h"

#include <math.h>
#include <signal.h>
#include <string.h>

#include "suites.h"

static const char link_options[] = "link: {submitSettleMs: 300, quietPollMs: 300}\n";

static struct daemon *two(struct sim *refusing, struct sim *open, const char *more)
{
    return DAEMON(.config = text("backends:\n  - {name: s0, url: '%s', weight: 9}\n"
                                 "  - {name: s1, url: '%s'}\n%s%s",
                                 refusing->url, open->url, link_options, more));
}

static struct daemon *one(struct sim *refusing, const char *more)
{
    return DAEMON(.config = text("backends: [{name: s0, url: '%s'}]\n%s%s", refusing->url,
                                 link_options, more));
}

static const char *last_error(struct daemon *d)
{
    return str_at(get(d, "/backends/s0")->json, "lastError");
}

static int asked(struct sim *s, const char *what)
{
    const double n = sim_says(s, text("http.%s", what));
    return isnan(n) ? 0 : (int)n;
}

static bool waits_because(struct daemon *d, const char *id, const char *why)
{
    return strcmp(str_at(job_now(d, id), "waitingReason"), why) == 0;
}

static const struct {
    int status;
    const char *word; /* of what to do */
    const char *page; /* as the control takes it; NULL: HTML */
    const char *path; /* NULL: of POST /prompt alone */
} refusals[] = {
    {401, "headersFile", NULL, NULL},
    {403, "headersFile", NULL, NULL},
    {404, "url", NULL, NULL},
    {405, "url", NULL, NULL},
    {413, "limit", NULL, NULL},
    {200, "HTML", NULL, NULL},
    {502, "HTML", NULL, NULL},
    {502, "HTML", "{'type':'text/html','body':'no'}", NULL},
    {504, "HTML", "{'type':'application/xhtml+xml; charset=utf-8','body':'timed out'}", NULL},
    {200, "HTML", "{'type':'Text/HTML;charset=utf-8','body':'Please log in'}", NULL},
    {502, "HTML", "{'type':'text/plain','body':'\\ufeff<!DOCTYPE html>'}", NULL},
    {200, "HTML", "{'type':'text/html','body':''}", NULL},
    {400, "HTML", "{'type':'text/html','body':'Bad request'}", NULL},
    {200, "HTML", NULL, "*"},
    {502, "HTML", NULL, "*"},
    {503, "gateway", "{'type':'text/plain','body':''}", "*"},
    {401, "headersFile", NULL, "*"},
};

/* Each job goes on to the other one, at no cost. */
START_TEST(test_a_refusal)
{
    struct sim *s[2] = {sim_plain(), sim_plain()};
    struct daemon *d = two(s[0], s[1], "");
    await_backends_up(d, 2);
    sim_control(s[0],
                text("{'refusing': %d, 'page': %s, 'refusing_path': '%s'}", refusals[_i].status,
                     refusals[_i].page == NULL ? "null" : refusals[_i].page,
                     refusals[_i].path == NULL ? "/prompt" : refusals[_i].path));
    char *ids[5];
    for (int i = 0; i < 5; i++) {
        ids[i] = submit(d, sleep_body(text("t%d", i), 50, ", \"maxAttempts\": 1"));
    }
    for (int i = 0; i < 5; i++) {
        json_t *j = await_end(d, ids[i]);
        CHECK(strcmp(str_at(j, "state"), "completed") == 0 &&
                  strcmp(str_at(j, "backend"), "s1") == 0,
              "job %d: %s %s", i, str_at(j, "state"), str_at(j, "error.message"));
    }
    CHECK(asked(s[0], "POST /prompt") == 1, "asked %d times", asked(s[0], "POST /prompt"));
    json_t *a = get(d, "/jobs/%s/attempts", ids[0])->json;
    CHECK(strcmp(str_at(a, "attempts.0.outcome"), "rejected") == 0 &&
          strcmp(str_at(a, "attempts.0.error.code"), "backend_refused") == 0);
    CHECK(strstr(last_error(d), text("%d", refusals[_i].status)) != NULL &&
              strstr(last_error(d), refusals[_i].word) != NULL,
          "%s", last_error(d));
}
END_TEST

/* The session at a proxy ended while a prompt runs: questions are answered by nobody, and the
   socket lives. That says nothing against the server. */
START_TEST(test_questions_are_refused)
{
    static const int statuses[] = {503, 401, 200};
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.config = text("backends: [{name: s0, url: '%s'}]\n"
                                             "link: {quietPollMs: 200, backendLostMs: 500,\n"
                                             "       pingIntervalMs: 200, pongTimeoutMs: 5000}\n",
                                             s->url));
    char *id = submit(d, sleep_body("a", 4000, ", \"maxAttempts\": 1"));
    AWAIT(is_at_node(d, id, "1"));
    sim_control(s, text("{'refusing': %d, 'refusing_path': 'GET'}", statuses[_i]));
    json_t *j = await_end(d, id);
    CHECK(strcmp(str_at(j, "state"), "completed") == 0, "%s", str_at(j, "error.message"));
    CHECK(asked(s, "GET /queue") > 3 && ledger_count(s, "posted", "a") == 1);
    CHECK(strstr(read_file(d->err), "a gateway stands before it") != NULL);
}
END_TEST

/* The server is down behind a gateway that answers: it is as lost as any. */
START_TEST(test_down_behind_a_gateway)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.config = text("backends: [{name: s0, url: '%s'}]\n"
                                             "link: {quietPollMs: 200, backendLostMs: 700}\n",
                                             s->url));
    char *id = submit(d, sleep_body("a", 60000, ", \"maxAttempts\": 1"));
    AWAIT(is_at_node(d, id, "1"));
    sim_control(s, "{'refusing': 502, 'refusing_path': '*', 'hold': true, 'drop': true}");
    json_t *j = await_end(d, id);
    CHECK(strcmp(str_at(j, "error.code"), "lost") == 0, "%s", str_at(j, "error.code"));
}
END_TEST

/* It was taken behind the page after all: it is found when questions are answered again. */
START_TEST(test_a_refused_one_turns_up)
{
    struct sim *s = sim_start("--fault", "page-accepted", NULL);
    struct daemon *d = one(s, "");
    await_backends_up(d, 1);
    sim_control(s, "{'refusing': 502, 'refusing_path': 'GET', 'pause': true}");
    char *id = submit(d, sleep_body("a", 1, ", \"maxAttempts\": 1"));
    AWAIT(waits_because(d, id, "backend_refused"));
    json_t *a = get(d, "/jobs/%s/attempts", id)->json;
    CHECK(strcmp(str_at(a, "attempts.0.error.code"), "backend_refused") == 0);
    sim_control(s, "{'refusing': null}");
    AWAIT(is_state(d, id, "running"));
    sim_control(s, "{'pause': false}");
    json_t *j = await_end(d, id);
    CHECK(strcmp(str_at(j, "state"), "completed") == 0 && num_at(j, "attempts") == 1);
    CHECK(ledger_count(s, "posted", "a") == 1);
    a = get(d, "/jobs/%s/attempts", id)->json;
    CHECK(strcmp(str_at(a, "attempts.0.outcome"), "rejected") == 0 &&
          strcmp(str_at(a, "attempts.0.lateOutcome"), "completed") == 0);
}
END_TEST

/* The server dies of the POST, and the gateway before it has nothing but a page: that is no
 * refusal.
 */
START_TEST(test_dead_behind_a_page)
{
    struct sim *s = sim_start("--fault", "page-accepted", NULL);
    struct daemon *d = one(s, "");
    await_backends_up(d, 1);
    char *id = submit(d, sleep_body("a", 60000, ", \"maxAttempts\": 1"));
    AWAIT(ledger_count(s, "posted", "a") == 1);
    sim_control(s, "{'crash': 200}");
    json_t *j = await_end(d, id);
    CHECK(strcmp(str_at(j, "state"), "failed") == 0 && num_at(j, "attempts") == 1);
    CHECK(strcmp(str_at(j, "error.code"), "backend_refused") != 0);
}
END_TEST

/* A proxy that calls all of it HTML changes nothing. */
START_TEST(test_json_by_another_name)
{
    struct sim *s = sim_plain();
    sim_control(s, "{'json_type': 'text/html'}");
    struct daemon *d = one(s, "");
    json_t *j = run_job(d, sleep_body("a", 1, ", \"maxAttempts\": 1"));
    CHECK(strcmp(str_at(j, "state"), "completed") == 0 && num_at(j, "attempts") == 1);
    j = run_job(d, q("{'workflow':{'1':{'class_type':'T_SleepOut','inputs':{'_invalid':true}}}}"));
    CHECK(strcmp(str_at(j, "error.code"), "workflow_not_supported") == 0, "%s",
          str_at(j, "error.code"));
    CHECK(json_is_null(at(get(d, "/backends/s0")->json, "lastError")), "%s", last_error(d));
}
END_TEST

/* What ends it. */
enum mend { MEND_PATCH, MEND_HANGUP, MEND_RECONNECT, MEND_TIME, MENDS };

/* Nobody else is there: asked once, and it waits until somebody did something about it. */
START_TEST(test_refused_everywhere)
{
    const enum mend how = (enum mend)(_i % MENDS);
    const bool size = _i >= MENDS; /* 413 */
    struct sim *s = sim_plain();
    sim_control(s, size ? "{'refusing': 413}" : "{'refusing': 401}");
    struct daemon *d =
        one(s, how == MEND_TIME ? "breaker: {openMs: 1500}\n" : "breaker: {openMs: 600000}\n");
    char *id = submit(d, sleep_body("a", 1, ", \"maxAttempts\": 1"));
    AWAIT(waits_because(d, id, "backend_refused"));
    CHECK(asked(s, "POST /prompt") == 1);
    CHECK(strcmp(str_at(get(d, "/backends/s0")->json, "state"), "up") == 0);
    sim_control(s, "{'refusing': null}");
    if (how == MEND_PATCH) {
        expect(ask(d, "PATCH", "/backends/s0", NULL, "{\"weight\":2}"), 200, NULL);
    } else if (how == MEND_HANGUP) {
        (void)kill(d->pid, SIGHUP);
    } else if (how == MEND_RECONNECT) {
        sim_control(s, "{'drop': true}");
    }
    if (size && how == MEND_TIME) { /* its size will not change by itself */
        char *same = submit(d, sleep_body("b", 1, ""));
        AWAIT(waits_because(d, same, "backend_refused"));
        CHECK(is_state(d, id, "queued") && asked(s, "POST /prompt") == 1);
        return;
    }
    CHECK(strcmp(str_at(await_end(d, id), "state"), "completed") == 0);
    CHECK(json_is_null(at(get(d, "/backends/s0")->json, "lastError")), "%s", last_error(d));
}
END_TEST

/* A smaller body passes where a larger one was refused. */
START_TEST(test_a_size_bars_that_size)
{
    struct sim *s = sim_plain();
    struct daemon *d = one(s, "");
    sim_control(s, "{'refusing': 413}");
    char *large = submit(d, sleep_body("a-tag-that-makes-the-body-larger", 1, ""));
    AWAIT(waits_because(d, large, "backend_refused"));
    sim_control(s, "{'refusing': null}");
    CHECK(strcmp(str_at(run_job(d, sleep_body("b", 1, "")), "state"), "completed") == 0);
    CHECK(is_state(d, large, "queued") && strstr(last_error(d), "413") != NULL);
}
END_TEST

/* While it refuses, one prompt tries it each breaker.openMs. */
START_TEST(test_one_probe_at_a_time)
{
    struct sim *s = sim_plain();
    sim_control(s, "{'refusing': 403}");
    struct daemon *d = DAEMON(.config = text("backends: [{name: s0, url: '%s', maxInFlight: 4}]\n"
                                             "breaker: {openMs: 700}\n",
                                             s->url));
    char *ids[6];
    for (int i = 0; i < 6; i++) {
        ids[i] = submit(d, sleep_body(text("t%d", i), 1, ""));
    }
    AWAIT(asked(s, "POST /prompt") >= 7);
    const int first = 4; /* places that it had */
    const double from = now_s();
    const int before = asked(s, "POST /prompt");
    AWAIT(asked(s, "POST /prompt") >= before + 3);
    CHECK(now_s() - from > 1.3, "three in %.1f s", now_s() - from);
    CHECK(before <= first + 4);
    sim_control(s, "{'refusing': null}");
    for (int i = 0; i < 6; i++) {
        CHECK(strcmp(str_at(await_end(d, ids[i]), "state"), "completed") == 0);
    }
}
END_TEST

static const int file_refusals[] = {413, 403, 502, 200};

/* A file is refused: the job goes where it is taken; others go on there. */
START_TEST(test_a_file_is_refused)
{
    const int status = file_refusals[_i];
    struct sim *s[2] = {sim_plain(), sim_plain()};
    struct daemon *d = two(s[0], s[1], "");
    await_backends_up(d, 2);
    sim_control(s[0], text("{'refusing': %d, 'refusing_path': '/upload/image'}", status));
    json_t *j = run_job(
        d,
        q("{'workflow':{'1':{'class_type':'LoadImage','inputs':{'image':'x','_tag':'a'}},"
          "'2':{'class_type':'SaveImage','inputs':{'images':['1',0]}}},'maxAttempts':1,"
          "'attachments':[{'nodeId':'1','inputName':'image','data':'AAAA','filename':'a.png'}]}"));
    CHECK(strcmp(str_at(j, "state"), "completed") == 0 && strcmp(str_at(j, "backend"), "s1") == 0,
          "%s", str_at(j, "error.message"));
    CHECK(asked(s[0], "POST /upload") == 1 && asked(s[0], "POST /prompt") == 0);
    CHECK(strstr(last_error(d), text("%d", status)) != NULL, "%s", last_error(d));
    j = run_job(d, sleep_body("b", 1, ""));
    CHECK(strcmp(str_at(j, "backend"), "s0") == 0, "it needs no file");
}
END_TEST

/* A breaker that closes again lets one through, however many places there are. */
START_TEST(test_a_breaker_is_tried_by_one)
{
    struct sim *s = sim_start("--fault", "http500@*", NULL);
    struct daemon *d = DAEMON(.config = text("backends: [{name: s0, url: '%s', maxInFlight: 4}]\n"
                                             "link: {submitSettleMs: 100}\n"
                                             "jobs: {retryDelayMs: 5, maxAttempts: 20}\n"
                                             "breaker: {failures: 3, openMs: 2500}\n"
                                             "quarantine: {failures: 100}\n",
                                             s->url));
    char *id = NULL;
    for (int i = 0; i < 8; i++) {
        id = submit(d, sleep_body(text("t%d", i), 1, ""));
    }
    AWAIT(waits_because(d, id, "breaker_open"));
    AWAIT(num_at(get(d, "/backends/s0")->json, "inFlight") == 0);
    const int before = asked(s, "POST /prompt");
    AWAIT(asked(s, "POST /prompt") > before);
    AWAIT(num_at(get(d, "/backends/s0")->json, "inFlight") == 0);
    CHECK(asked(s, "POST /prompt") == before + 1, "%d at once", asked(s, "POST /prompt") - before);
}
END_TEST

/* The last attempt of a job waits for the able server that is busy, however long. */
START_TEST(test_the_last_attempt_waits)
{
    struct sim *s[2] = {sim_start("--fault", "http500@*", NULL), sim_plain()};
    struct daemon *d = two(s[0], s[1], "jobs: {retryDelayMs: 1}\n");
    await_backends_up(d, 2);
    char *busy = submit(d, sleep_body("busy", 34000, ", \"backends\": {\"only\": [\"s1\"]}"));
    AWAIT(is_at_node(d, busy, "1"));
    char *id = submit(d, sleep_body("a", 1, ", \"maxAttempts\": 2"));
    json_t *j = await_end(d, id);
    CHECK(strcmp(str_at(j, "state"), "completed") == 0 && strcmp(str_at(j, "backend"), "s1") == 0);
    CHECK(ledger_count(s[0], "posted", "a") == 1);
}
END_TEST

/* ... also when another one refused it meanwhile, which costs nothing. */
START_TEST(test_the_last_attempt_remembers)
{
    struct sim *s[3] = {sim_start("--fault", "http500@*", NULL), sim_plain(), sim_plain()};
    sim_control(s[1], "{'refusing': 401}");
    struct daemon *d =
        DAEMON(.config = text("backends:\n  - {name: s0, url: '%s', weight: 9}\n"
                              "  - {name: s1, url: '%s', weight: 5}\n  - {name: s2, url: '%s'}\n%s"
                              "jobs: {retryDelayMs: 1}\n",
                              s[0]->url, s[1]->url, s[2]->url, link_options));
    await_backends_up(d, 3);
    char *busy = submit(d, sleep_body("busy", 60000, ", \"backends\": {\"only\": [\"s2\"]}"));
    AWAIT(is_at_node(d, busy, "1"));
    char *id = submit(d, sleep_body("a", 1, ", \"maxAttempts\": 2"));
    AWAIT(num_at(job_now(d, id), "attempts") == 2 && is_state(d, id, "queued"));
    cancel(d, busy);
    json_t *j = await_end(d, id);
    CHECK(strcmp(str_at(j, "state"), "completed") == 0 && strcmp(str_at(j, "backend"), "s2") == 0);
    CHECK(ledger_count(s[0], "posted", "a") == 1);
}
END_TEST

Suite *gateways_suite(void)
{
    static const struct named_test tests[] = {
        {"a refusal", &test_a_refusal, sizeof refusals / sizeof *refusals},
        {"questions are refused", &test_questions_are_refused, 3},
        {"down behind a gateway", &test_down_behind_a_gateway, 0},
        {"a refused one turns up", &test_a_refused_one_turns_up, 0},
        {"JSON by another name", &test_json_by_another_name, 0},
        {"refused everywhere", &test_refused_everywhere, 2 * MENDS},
        {"a size bars that size", &test_a_size_bars_that_size, 0},
        {"one probe at a time", &test_one_probe_at_a_time, 0},
        {"a file is refused", &test_a_file_is_refused,
         sizeof file_refusals / sizeof *file_refusals},
        {"dead behind a page", &test_dead_behind_a_page, 0},
        {"a breaker is tried by one", &test_a_breaker_is_tried_by_one, 0},
        {"the last attempt waits", &test_the_last_attempt_waits, 0},
        {"the last attempt remembers", &test_the_last_attempt_remembers, 0},
    };
    return SUITE("gateways", 90, tests);
}
