/*
 * What people do while it runs: backends added, changed, drained and taken away, the queue paused,
 * priorities changed, keys sent twice; all of it over restarts.
 */
#include "harness.h"

#include <curl/curl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "suites.h"

static json_t *backend(struct daemon *d, const char *name)
{
    return get(d, "/backends/%s", name)->json;
}

/* One that is up gets jobs, too. */
static bool backend_is(struct daemon *d, const char *name, const char *state)
{
    json_t *b = backend(d, name);
    return strcmp(str_at(b, "state"), state) == 0 &&
           (strcmp(state, "up") != 0 || !is_true(b, "reading"));
}

START_TEST(test_add_change_remove)
{
    struct sim *s[2] = {sim_plain(), sim_plain()};
    struct daemon *d = DAEMON(.sims = {s[0]});
    char *body = q("{'name': 'new', 'url': '%s', 'labels': ['gpu=4090']}", s[1]->url);
    struct answer *a = post(d, "/backends", body);
    expect(a, 201, NULL);
    CHECK(strcmp(header_of(a, "Location"), "/backends/new") == 0);
    CHECK(strcmp(str_at(a->json, "labels.0"), "gpu=4090") == 0);
    expect(post(d, "/backends", body), 409, "backend_exists");
    expect(post(d, "/backends", q("{'url': 'ftp://x'}")), 400, "member_invalid");
    AWAIT(backend_is(d, "new", "up"));
    expect(ask(d, "PATCH", "/backends/new", NULL, q("{'weight': 7, 'maxInFlight': 3}")), 200, NULL);
    expect(ask(d, "PATCH", "/backends/s0", NULL, q("{'labels': ['x']}")), 200, NULL);
    expect(ask(d, "PATCH", "/backends/nobody", NULL, q("{'weight': 7}")), 404, "backend_not_found");
    /* All of it is there after a kill. */
    daemon_kill(d);
    d = DAEMON(.sims = {s[0]});
    AWAIT(backend_is(d, "new", "up"));
    json_t *b = backend(d, "new");
    CHECK(num_at(b, "weight") == 7 && num_at(b, "maxInFlight") == 3 &&
          strcmp(str_at(b, "labels.0"), "gpu=4090") == 0);
    CHECK(strcmp(str_at(backend(d, "s0"), "labels.0"), "x") == 0);
    /* Taken away in mid-prompt: it goes when the prompt has ended. */
    char *id = submit(d, sleep_body("a", 800, ""));
    AWAIT(is_at_node(d, id, "1"));
    CHECK(strcmp(str_at(job_now(d, id), "backend"), "new") == 0);
    expect(ask(d, "DELETE", "/backends/new", NULL, NULL), 204, NULL);
    CHECK(backend_is(d, "new", "draining"));
    expect(post(d, "/backends", q("{'name': 'new', 'url': 'http://127.0.0.1:1'}")), 409,
           "backend_exists");
    expect(post(d, "/backends", body), 201, NULL); /* the DELETE is taken back, and said again */
    CHECK(backend_is(d, "new", "up"));
    expect(ask(d, "DELETE", "/backends/new", NULL, NULL), 204, NULL);
    CHECK(strcmp(str_at(await_end(d, id), "state"), "completed") == 0);
    AWAIT(get(d, "/backends/new")->status == 404);
    expect(ask(d, "DELETE", "/backends/s0", NULL, NULL), 204, NULL);
    AWAIT(json_array_size(at(get(d, "/backends")->json, "backends")) == 0);
    daemon_stop(d);
    d = DAEMON(.sims = {s[0]}); /* a configured one that was removed stays away */
    CHECK(json_array_size(at(get(d, "/backends")->json, "backends")) == 0);
    expect(post(d, "/backends", q("{'name': 's0', 'url': '%s'}", s[0]->url)), 201, NULL);
    CHECK(strcmp(str_at(run_job(d, sleep_body("b", 1, "")), "state"), "completed") == 0);
}
END_TEST

/* Taken away in mid-prompt, and then the socket is cut, or the daemon ends: it is seen to its end
   all the same, and nowhere else. */
static void operate_by_name(struct daemon *d, const char *name)
{
    static const char *const asks[][2] = {
        {"GET", ""},          {"POST", "/drain"},      {"POST", "/resume"},
        {"POST", "/refresh"}, {"POST", "/quarantine"}, {"POST", "/resume"}};
    for (size_t i = 0; i < sizeof asks / sizeof *asks; i++) {
        const int fd = raw_request(d, asks[i][0], text("/backends/%s%s", name, asks[i][1]), "");
        struct answer *a = raw_answer(fd);
        CHECK(a->status == 200 || a->status == 202, "%s %s: %ld", name, asks[i][1], a->status);
    }
}

/* A backend without a name of its own is called by its URL, with slashes and brackets. */
START_TEST(test_names_of_urls)
{
    struct sim *s = sim_plain();
    struct daemon *d =
        DAEMON(.config = text("backends: [{url: '%s/api'}, {url: 'http://[::1]:9'}]\n", s->url));
    json_t *list = at(get(d, "/backends")->json, "backends");
    CHECK(json_array_size(list) == 2);
    for (size_t i = 0; i < 2; i++) {
        char *name = text("%s", str_at(json_array_get(list, i), "name"));
        char *escaped = curl_easy_escape(NULL, name, 0);
        operate_by_name(d, name);
        operate_by_name(d, escaped);
        expect(ask(d, "PATCH", text("/backends/%s", escaped), NULL, q("{'weight': 2}")), 200, NULL);
        expect(get(d, "/profiles?backend=%s", escaped), 200, NULL);
        curl_free(escaped);
    }
    AWAIT(get(d, "/readyz")->status == 200);
    char *name = text("%s", str_at(json_array_get(list, 0), "name"));
    json_t *j = run_job(d, sleep_body("a", 1, q(",'backends':{'only':['%s']}", name)));
    CHECK(strcmp(str_at(j, "backend"), name) == 0);
    char *escaped = curl_easy_escape(NULL, name, 0);
    expect(ask(d, "DELETE", text("/backends/%s", escaped), NULL, NULL), 204, NULL);
    AWAIT(get(d, "/backends/%s", escaped)->status == 404);
    curl_free(escaped);
    struct answer *a = post(d, "/backends", q("{'url': '%s/api'}", s->url));
    expect(a, 201, NULL);
    expect(get(d, "%s", header_of(a, "Location")), 200, NULL);
}
END_TEST

/* Clients resolve . and .. in a path before they ask: no route would find such a name. */
START_TEST(test_names_that_are_no_folders)
{
    static const struct {
        const char *name;
        int status;
    } rows[] = {{".", 400},   {"..", 400},  {"a/../b", 400}, {"a/..", 400}, {"./a", 400},
                {"...", 201}, {"a.b", 201}, {"..a", 201},    {"b/a.", 201}, {"a//b", 201}};
    struct daemon *d = DAEMON(.no_profile = true);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct answer *a =
            post(d, "/backends",
                 q("{'name':'%s','url':'http://127.0.0.1:%d'}", rows[i].name, (int)i + 1));
        CHECK(a->status == rows[i].status, "%s: %s", rows[i].name, a->body);
    }
    daemon_stop(d);
    d = DAEMON(.may_fail = true, .config = "backends: [{name: .., url: 'http://127.0.0.1:1'}]\n");
    CHECK(daemon_wait(d) == 2 && strstr(read_file(d->err), "must not be . or ..") != NULL, "%s",
          read_file(d->err));
}
END_TEST

/* One server under two names would be given twice what it takes. */
START_TEST(test_one_server_once)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    const char *port = strrchr(s->url, ':');
    const char *same[] = {s->url, text("%s/", s->url), text("http://u:p@127.0.0.1%s//", port)};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        struct answer *a = post(d, "/backends", q("{'name': 'twin', 'url': '%s'}", same[i]));
        expect(a, 409, "backend_exists");
        CHECK(strstr(str_at(a->json, "detail"), "\"s0\"") != NULL, "%s", a->body);
        CHECK(strcmp(str_at(a->json, "pointer"), "/url") == 0, "%s", a->body);
        expect(post(d, "/backends", q("{'url': '%s'}", same[i])), 409, "backend_exists");
    }
    CHECK(json_array_size(at(get(d, "/backends")->json, "backends")) == 1);
    expect(post(d, "/backends", q("{'name': 'other', 'url': '%s/api'}", s->url)), 201, NULL);
    /* One that is on its way out is there still. */
    char *id = submit(d, sleep_body("a", 600000, q(",'backends':{'only':['s0']}")));
    AWAIT(is_at_node(d, id, "1"));
    expect(ask(d, "DELETE", "/backends/s0", NULL, NULL), 204, NULL);
    char *body = q("{'name': 'twin', 'url': '%s/'}", s->url);
    expect(post(d, "/backends", body), 409, "backend_exists");
    (void)cancel(d, id);
    AWAIT(get(d, "/backends/s0")->status == 404);
    expect(post(d, "/backends", body), 201, NULL);
    /* What the configuration says later cannot be refused. */
    static const char warning[] = "a server is there under two names";
    daemon_stop(d);
    d = DAEMON(.sims = {s}); /* s0 was removed */
    CHECK(strstr(read_file(d->err), warning) == NULL);
    daemon_stop(d);
    d = DAEMON(.config = text("backends: [{name: moved, url: '%s'}]\n", s->url));
    CHECK(strstr(read_file(d->err), warning) != NULL);
    CHECK(strstr(read_file(d->err), "backend=moved added=twin") != NULL);
}
END_TEST

START_TEST(test_removed_in_mid_prompt)
{
    struct sim *s[2] = {sim_plain(), sim_plain()};
    struct daemon *d = DAEMON(.sims = {s[0]});
    expect(post(d, "/backends", q("{'name': 'new', 'url': '%s', 'weight': 9}", s[1]->url)), 201,
           NULL);
    AWAIT(backend_is(d, "new", "up"));
    char *id = submit(d, sleep_body("a", 2500, ""));
    AWAIT(is_at_node(d, id, "1"));
    CHECK(strcmp(str_at(job_now(d, id), "backend"), "new") == 0);
    expect(ask(d, "DELETE", "/backends/new", NULL, NULL), 204, NULL);
    if (_i == 0) {
        sim_control(s[1], "{'drop': true}");
    } else {
        if (_i == 1) {
            daemon_kill(d);
        } else {
            daemon_stop(d);
        }
        d = DAEMON(.sims = {s[0]});
        CHECK(backend_is(d, "new", "draining"));
    }
    json_t *j = await_end(d, id);
    CHECK(strcmp(str_at(j, "state"), "completed") == 0 && num_at(j, "attempts") == 1);
    AWAIT(get(d, "/backends/new")->status == 404);
    daemon_stop(d);
    d = DAEMON(.sims = {s[0]});
    expect(get(d, "/backends/new"), 404, "backend_not_found");
}
END_TEST

START_TEST(test_credentials_of_an_added_one)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.no_profile = true);
    const char *url = text("http://user:geheim@127.0.0.1:%d", s->port);
    struct answer *a = post(d, "/backends", q("{'name': 'b', 'url': '%s'}", url));
    expect(a, 201, NULL);
    CHECK(strstr(a->body, "geheim") == NULL);
    AWAIT(backend_is(d, "b", "up"));
    CHECK(strstr(get(d, "/backends")->body, "geheim") == NULL);
    CHECK(strstr(read_file(d->err), "geheim") == NULL);
}
END_TEST

START_TEST(test_drain)
{
    struct sim *s[2] = {sim_plain(), sim_plain()};
    struct daemon *d = DAEMON(.sims = {s[0], s[1]});
    await_backends_up(d, 2);
    expect(post(d, "/backends/s0/drain", ""), 200, NULL);
    expect(post(d, "/backends/s1/quarantine", ""), 200, NULL);
    CHECK(backend_is(d, "s0", "draining") && backend_is(d, "s1", "quarantined"));
    char *id = submit(d, sleep_body("a", 1, ""));
    AWAIT(strcmp(str_at(job_now(d, id), "waitingReason"), "backends_quarantined") == 0);
    daemon_kill(d);
    d = DAEMON(.sims = {s[0], s[1]});
    CHECK(backend_is(d, "s0", "draining") && backend_is(d, "s1", "quarantined"));
    CHECK(is_state(d, id, "queued"));
    expect(post(d, "/backends/s1/resume", ""), 200, NULL);
    json_t *j = await_end(d, id);
    CHECK(strcmp(str_at(j, "state"), "completed") == 0 && strcmp(str_at(j, "backend"), "s1") == 0);
}
END_TEST

START_TEST(test_pause)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    struct answer *a = post(d, "/queue/pause", "");
    expect(a, 200, NULL);
    CHECK(is_true(a->json, "paused"));
    char *id = submit(d, sleep_body("a", 1, ""));
    AWAIT(strcmp(str_at(job_now(d, id), "waitingReason"), "paused") == 0);
    daemon_kill(d);
    d = DAEMON(.sims = {s});
    await_backends_up(d, 1);
    CHECK(is_true(get(d, "/stats")->json, "queue.paused") && is_state(d, id, "queued"));
    expect(post(d, "/queue/resume", ""), 200, NULL);
    CHECK(strcmp(str_at(await_end(d, id), "state"), "completed") == 0);
    CHECK(!is_true(get(d, "/stats")->json, "queue.paused"));
}
END_TEST

START_TEST(test_priority)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    post(d, "/queue/pause", "");
    char *a = submit(d, sleep_body("a", 1, ""));
    char *b = submit(d, sleep_body("b", 1, ""));
    struct answer *r = ask(d, "PATCH", text("/jobs/%s", b), NULL, q("{'priority': 5}"));
    expect(r, 200, NULL);
    CHECK(num_at(r->json, "priority") == 5);
    expect(ask(d, "PATCH", text("/jobs/%s", b), NULL, q("{'priority': 1001}")), 400,
           "member_invalid");
    daemon_kill(d);
    d = DAEMON(.sims = {s});
    CHECK(num_at(job_now(d, b), "priority") == 5);
    post(d, "/queue/resume", "");
    await_end(d, a);
    await_end(d, b);
    CHECK(ledger_at(s, "started", "b") < ledger_at(s, "started", "a"));
    expect(ask(d, "PATCH", text("/jobs/%s", b), NULL, q("{'priority': 1}")), 409, "job_not_queued");
}
END_TEST

static struct answer *submit_with_key(struct daemon *d, const char *key, const char *body,
                                      const char *query)
{
    return ask(d, "POST", text("/jobs%s", query),
               text("Idempotency-Key: %s\nContent-Type: application/json", key), body);
}

START_TEST(test_idempotency)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    char *body = sleep_body("a", 1, "");
    struct answer *first = submit_with_key(d, "k1", body, "");
    expect(first, 202, NULL);
    CHECK(*header_of(first, "Idempotency-Replayed") == '\0');
    const char *id = str_at(first->json, "id");
    await_end(d, id);
    for (int i = 0; i < 2; i++) {
        struct answer *again = submit_with_key(d, "k1", body, "");
        expect(again, 202, NULL);
        CHECK(strcmp(str_at(again->json, "id"), id) == 0);
        CHECK(strcmp(header_of(again, "Idempotency-Replayed"), "true") == 0);
        expect(submit_with_key(d, "k1", sleep_body("b", 1, ""), ""), 422, "idempotency_key_reused");
        if (i == 0) {
            daemon_kill(d);
            d = DAEMON(.sims = {s});
        }
    }
    CHECK(ledger_count(s, "started", "a") == 1 && ledger_count(s, "posted", "b") == 0);
    /* One that waited was answered 200. */
    expect(submit_with_key(d, "k2", sleep_body("c", 1, ""), "?wait=30"), 200, NULL);
    AWAIT(submit_with_key(d, "k2", sleep_body("c", 1, ""), "")->status == 200);
    /* A refused body does not use up its key. */
    expect(submit_with_key(d, "k3", "{}", ""), 400, NULL);
    expect(submit_with_key(d, "k3", sleep_body("d", 1, ""), ""), 202, NULL);
    expect(submit_with_key(d, "no blanks", body, ""), 400, "query_invalid");
}
END_TEST

START_TEST(test_queue_limit)
{
    struct sim *s = sim_plain();
    struct daemon *d =
        DAEMON(.config = text("backends: [{name: s0, url: '%s'}]\nqueue: {limit: 3}\n", s->url));
    post(d, "/queue/pause", "");
    char *ids[3];
    for (int i = 0; i < 3; i++) {
        ids[i] = submit(d, sleep_body(text("a%d", i), 1, ""));
    }
    struct answer *a = post(d, "/jobs", sleep_body("b", 1, ""));
    expect(a, 429, "queue_full");
    CHECK(strspn(header_of(a, "Retry-After"), "0123456789") > 0);
    cancel(d, ids[0]);
    await_end(d, ids[0]);
    submit(d, sleep_body("c", 1, ""));
    expect(post(d, "/jobs", sleep_body("b", 1, "")), 429, "queue_full");
    /* Loaded again after a kill, they count again. */
    daemon_kill(d);
    d = DAEMON(.config = text("backends: [{name: s0, url: '%s'}]\nqueue: {limit: 3}\n", s->url));
    expect(post(d, "/jobs", sleep_body("b", 1, "")), 429, "queue_full");
    post(d, "/queue/resume", "");
    AWAIT(num_at(get(d, "/stats")->json, "jobs.completed") == 3);
}
END_TEST

/* More text than waiting jobs may hold in memory: the rest is read from the store in its turn. */
START_TEST(test_large_queue)
{
    enum { JOBS = 4, TEXT = 20 << 20 };
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = true);
    post(d, "/queue/pause", "");
    char *filler = malloc(TEXT + 1);
    memset(filler, 'x', TEXT);
    filler[TEXT] = '\0';
    char *ids[JOBS];
    char *bodies[JOBS];
    for (int i = 0; i < JOBS; i++) {
        bodies[i] = text("{\"1\":{\"class_type\":\"T_SleepOut\",\"inputs\":{\"_tag\":\"a%d\","
                         "\"text\":\"%s\"}}}",
                         i, filler);
        ids[i] = submit(d, bodies[i]);
    }
    free(filler);
    if (_i == 1) {
        daemon_kill(d);
        d = DAEMON(.sims = {s}, .no_profile = true);
    }
    for (int i = 0; i < JOBS; i++) {
        CHECK(strcmp(get(d, "/jobs/%s/workflow", ids[i])->body, bodies[i]) == 0, "job %d", i);
    }
    post(d, "/queue/resume", "");
    for (int i = 0; i < JOBS; i++) {
        CHECK(strcmp(str_at(await_end(d, ids[i]), "state"), "completed") == 0, "job %d", i);
        CHECK(ledger_count(s, "success", text("a%d", i)) == 1, "its own workflow ran");
    }
}
END_TEST

/* The socket belongs to the service manager: a restart in mid-prompt costs the job nothing but a
   gap in its profile, and a client that comes meanwhile waits in the backlog. */
START_TEST(test_socket_activation)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd > 3 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 64) == 0);
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .activation_fd = fd);
    char *id = submit(d, sleep_body("a", 2500, ""));
    AWAIT(is_at_node(d, id, "1"));
    daemon_stop(d);
    const int early = raw_request(d, "GET", text("/jobs/%s", id), "");
    d = DAEMON(.sims = {s}, .activation_fd = fd);
    struct answer *a = raw_answer(early);
    CHECK(a != NULL && a->status == 200 && strcmp(str_at(a->json, "id"), id) == 0);
    json_t *j = await_end(d, id);
    CHECK(strcmp(str_at(j, "state"), "completed") == 0 && num_at(j, "attempts") == 1);
    CHECK(strcmp(str_at(j, "profileStats.evidence.gaps.0.reason"), "daemon_restart") == 0);
    (void)close(fd);
}
END_TEST

Suite *operate_suite(void)
{
    static const struct named_test tests[] = {
        {"add, change, remove", &test_add_change_remove, 0},
        {"names of URLs", &test_names_of_urls, 1},
        {"names that are no folders", &test_names_that_are_no_folders, 0},
        {"one server once", &test_one_server_once, 0},
        {"removed in mid-prompt", &test_removed_in_mid_prompt, 3},
        {"credentials", &test_credentials_of_an_added_one, 0},
        {"drain", &test_drain, 0},
        {"pause", &test_pause, 0},
        {"priority", &test_priority, 0},
        {"idempotency", &test_idempotency, 0},
        {"queue limit", &test_queue_limit, 0},
        {"socket activation", &test_socket_activation, 0},
        {"large queue", &test_large_queue, 2},
    };
    return SUITE("operate", 90, tests);
}
