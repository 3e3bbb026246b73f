/*
 * GET /jobs/<id>/profile?live=1: what is known of a job that goes on, its ETag, waiting for a
 * change. Who waits is a raw request, so that the test can make something happen meanwhile.
 */
#include "harness.h"

#include <stdio.h>
#include <string.h>

#include "suites.h"

static struct answer *live(struct daemon *d, const char *id)
{
    struct answer *a = get(d, "/jobs/%s/profile?live=1", id);
    expect(a, 200, NULL);
    return a;
}

static struct answer *live_unless(struct daemon *d, const char *id, const char *etag, int wait)
{
    return ask(d, "GET", text("/jobs/%s/profile?live=1&wait=%d", id, wait),
               text("If-None-Match: %s", etag), NULL);
}

/* Asks and leaves the answer for later. */
static int begin_waiting(struct daemon *d, const char *id, const char *etag)
{
    const double before = num_at(get(d, "/stats")->json, "http.waits");
    const int fd = raw_open(d->port);
    const char *request = text("GET /jobs/%s/profile?live=1&wait=60 HTTP/1.1\r\nHost: localhost\r\n"
                               "Connection: close\r\nIf-None-Match: %s\r\n\r\n",
                               id, etag);
    raw_send(fd, request, strlen(request));
    AWAIT(num_at(get(d, "/stats")->json, "http.waits") == before + 1);
    return fd;
}

static bool has_status(json_t *p, const char *node, const char *status)
{
    return strcmp(str_at(node_of(p, node), "status"), status) == 0;
}

/* Three nodes, the middle one of `ms`. */
static char *three(const char *tag, int ms, const char *more)
{
    return q("{'workflow':{'1':{'class_type':'T_Sleep','inputs':{'_ms':5,'_tag':'%s'}},"
             "'2':{'class_type':'KSampler','inputs':{'a':['1',0],'_ms':%d%s}},"
             "'3':{'class_type':'T_SleepOut','inputs':{'a':['2',0],'_ms':5}}}}",
             tag, ms, more);
}

/* ---- what it shows --------------------------------------------------------------------------- */

static void check_queued(struct daemon *d, const char *id)
{
    struct answer *a = live(d, id);
    CHECK(num_at(a->json, "summary.pendingNodes") == 3 && *str_at(a->json, "outcome") == '\0' &&
          has(a->json, "asOf") && !has(a->json, "completedAt") && !has(a->json, "startedAt"));
    for (int i = 1; i <= 3; i++) {
        CHECK(has_status(a->json, text("%d", i), "pending"), "node %d", i);
    }
    CHECK(strcmp(header_of(live(d, id), "ETag"), header_of(a, "ETag")) == 0);
}

/* Row 1: without a profiler. */
START_TEST(test_states)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = _i == 1);
    await_ready(d);
    expect(post(d, "/queue/pause", ""), 200, NULL);
    char *id = submit(d, three("a", 60000, ""));
    check_queued(d, id);
    expect(post(d, "/queue/resume", ""), 200, NULL);
    AWAIT(is_at_node(d, id, "2"));
    json_t *p = live(d, id)->json;
    CHECK(has_status(p, "1", "completed") && has_status(p, "2", "executing") &&
          has_status(p, "3", "pending"));
    CHECK(!has(node_of(p, "2"), "duration") && !has(node_of(p, "2"), "completedAt"),
          "an open node has no duration");
    CHECK(has(node_of(p, "1"), "duration") == (_i == 0));
    CHECK(strcmp(str_at(p, "backend"), "s0") == 0 && num_at(p, "attempt") == 1);
    expect(get(d, "/jobs/%s/profile", id), _i == 0 ? 409 : 404, NULL);
    (void)cancel(d, id);
    (void)await_end(d, id);
    if (_i == 0) {
        struct answer *a = live(d, id);
        CHECK(strcmp(str_at(a->json, "outcome"), "cancelled") == 0 && !has(a->json, "asOf"));
        CHECK(strcmp(a->body, get(d, "/jobs/%s/profile", id)->body) == 0, "the stored one");
    } else {
        expect(get(d, "/jobs/%s/profile?live=1", id), 404, "profiling_disabled");
    }
}
END_TEST

START_TEST(test_second_attempt)
{
    struct sim *s = sim_start("--fault", "refuse@1:100", NULL);
    struct daemon *d = DAEMON(.sims = {s}, .config = "jobs: {retryDelayMs: 20}\n");
    char *id = submit(d, three("a", 60000, ""));
    AWAIT(is_at_node(d, id, "2"));
    json_t *p = live(d, id)->json;
    CHECK(num_at(p, "attempt") == 2 && has_status(p, "2", "executing"));
    (void)cancel(d, id);
    (void)await_end(d, id);
}
END_TEST

START_TEST(test_nowhere)
{
    struct daemon *d = DAEMON(.no_profile = true);
    expect(get(d, "/jobs/00000000-0000-7000-8000-000000000000/profile?live=1"), 404,
           "job_not_found");
}
END_TEST

/* ---- its ETag and waiting -------------------------------------------------------------------- */

/* Samples come in meanwhile; they are nothing that happened. */
START_TEST(test_nothing_happens)
{
    struct sim *s = _i == 0 ? sim_plain() : sim_start("--crystools", "50", NULL);
    struct daemon *d = DAEMON(.sims = {s});
    char *id = submit(d, three("a", 60000, ""));
    AWAIT(is_at_node(d, id, "2"));
    char *etag = header_of(live(d, id), "ETag");
    CHECK(*etag != '\0');
    struct answer *a = live_unless(d, id, etag, 0);
    CHECK(a->status == 304, "%ld", a->status);
    const double before = now_s();
    a = live_unless(d, id, etag, 4);
    CHECK(a->status == 304 && now_s() - before > 3.9, "%ld after %.3f s", a->status,
          now_s() - before);
    CHECK(strcmp(header_of(a, "ETag"), etag) == 0);
    CHECK(has(get(d, "/backends")->json, "backends.0.sampling.source"), "it was sampled");
    CHECK(strcmp(header_of(live(d, id), "ETag"), etag) == 0);
    (void)cancel(d, id);
    (void)await_end(d, id);
}
END_TEST

/* Without If-None-Match, or with another one. */
START_TEST(test_at_once)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    char *id = submit(d, three("a", 60000, ""));
    AWAIT(is_at_node(d, id, "2"));
    const double before = now_s();
    expect(get(d, "/jobs/%s/profile?live=1&wait=60", id), 200, NULL);
    CHECK(live_unless(d, id, q("'another'"), 60)->status == 200);
    CHECK(now_s() - before < PATIENCE_S, "%.1f s", now_s() - before);
    (void)cancel(d, id);
    (void)await_end(d, id);
}
END_TEST

static const char *const changes[] = {"starts", "ends", "cancelled in the queue"};

static void make_happen(int row, struct daemon *d, const char *id)
{
    if (row == 0) {
        expect(post(d, "/queue/resume", ""), 200, NULL);
    } else {
        (void)cancel(d, id);
    }
}

START_TEST(test_change)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    await_ready(d);
    if (_i != 1) {
        expect(post(d, "/queue/pause", ""), 200, NULL);
    }
    char *id = submit(d, three("a", 60000, ""));
    if (_i == 1) {
        AWAIT(is_at_node(d, id, "2"));
    }
    char *etag = header_of(live(d, id), "ETag");
    const int first = begin_waiting(d, id, etag);
    const int second = begin_waiting(d, id, etag);
    const double before = now_s();
    make_happen(_i, d, id);
    struct answer *a = raw_answer(first);
    CHECK(a != NULL && a->status == 200 && now_s() - before < PATIENCE_S, "%s", changes[_i]);
    CHECK(strcmp(header_of(a, "ETag"), etag) != 0);
    check_profile(a->json);
    a = raw_answer(second);
    CHECK(a != NULL && a->status == 200, "%s: each that waits is told", changes[_i]);
    (void)cancel(d, id);
    (void)await_end(d, id);
}
END_TEST

static int nodes_done(json_t *p)
{
    int n = 0;
    for (size_t i = 0; i < json_array_size(at(p, "nodes")); i++) {
        n += strcmp(str_at(json_array_get(at(p, "nodes"), i), "status"), "completed") == 0;
    }
    return n;
}

/* From the queue to the end; each answer is news. */
START_TEST(test_following)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    await_ready(d);
    char *id = submit(d, three("a", 1200, ",'_steps':6"));
    char *etag = text("%s", "");
    int answers = 0;
    int done = 0;
    size_t steps = 0;
    struct answer *a = live(d, id);
    while (*str_at(a->json, "outcome") == '\0') {
        CHECK(a->status == 200 && strcmp(header_of(a, "ETag"), etag) != 0, "%ld", a->status);
        CHECK(nodes_done(a->json) >= done);
        done = nodes_done(a->json);
        const size_t n = json_array_size(at(node_of(a->json, "2"), "progressEvents"));
        CHECK(n >= steps);
        steps = n;
        etag = header_of(a, "ETag");
        a = live_unless(d, id, etag, 60);
        answers++;
    }
    CHECK(strcmp(str_at(a->json, "outcome"), "completed") == 0);
    CHECK(answers >= 7 && steps >= 5, "%d answers, %zu steps", answers, steps);
    CHECK(strcmp(a->body, get(d, "/jobs/%s/profile", id)->body) == 0, "the last one is the whole");
    /* It has ended: nothing can change any more. */
    const double before = now_s();
    CHECK(live_unless(d, id, header_of(a, "ETag"), 60)->status == 304);
    CHECK(now_s() - before < PATIENCE_S, "nobody waits for an ended job");
}
END_TEST

START_TEST(test_stop_while_waiting)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    char *id = submit(d, three("a", 60000, ""));
    AWAIT(is_at_node(d, id, "2"));
    const int fd = begin_waiting(d, id, header_of(live(d, id), "ETag"));
    daemon_stop(d);
    CHECK(d->ended_in < 10, "%.1f s", d->ended_in);
    struct answer *a = raw_answer(fd);
    CHECK(a == NULL || a->status == 304 || a->status == 503, "%ld", a->status);
    d = DAEMON(.sims = {s});
    (void)cancel(d, id);
    (void)await_end(d, id);
}
END_TEST

/* ---- other formats --------------------------------------------------------------------------- */

START_TEST(test_formats)
{
    static const struct {
        const char *format, *holds;
    } formats[] = {
        {"json", "'status':'executing'"}, {"text", "KSampler"},
        {"csv", "2,KSampler,,executing"}, {"chrome", "traceEvents"},
        {"speedscope", "$schema"},        {"folded", "T_Sleep"},
        {"otlp", "resourceSpans"},
    };
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    await_ready(d);
    expect(post(d, "/queue/pause", ""), 200, NULL);
    char *id = submit(d, three("a", 60000, ""));
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        expect(get(d, "/jobs/%s/profile?live=1&format=%s", id, formats[i].format), 200, NULL);
    }
    expect(post(d, "/queue/resume", ""), 200, NULL);
    AWAIT(is_at_node(d, id, "2"));
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        struct answer *a = get(d, "/jobs/%s/profile?live=1&format=%s", id, formats[i].format);
        expect(a, 200, NULL);
        CHECK(strstr(a->body, q("%s", formats[i].holds)) != NULL, "%s", formats[i].format);
        const char *path = text("/jobs/%s/profile?live=1&format=%s", id, formats[i].format);
        a = ask(d, "GET", path, text("If-None-Match: %s", header_of(a, "ETag")), NULL);
        CHECK(a->status == 304, "%s: %ld", formats[i].format, a->status);
    }
    (void)cancel(d, id);
    (void)await_end(d, id);
}
END_TEST

/* How long the open node is in a trace, in ms; -1: it is not there. */
static double open_span(struct daemon *d, const char *id)
{
    json_t *t = get(d, "/jobs/%s/profile?live=1&format=otlp", id)->json;
    json_t *spans = at(t, "resourceSpans.0.scopeSpans.0.spans");
    for (size_t i = 0; i < json_array_size(spans); i++) {
        json_t *s = json_array_get(spans, i);
        char *attributes = json_dumps(at(s, "attributes"), JSON_COMPACT);
        const bool open = strstr(attributes, "{\"key\":\"comfyui.node.open\",\"value\":{"
                                             "\"boolValue\":true}}") != NULL;
        free(attributes);
        if (open) {
            return (strtod(str_at(s, "endTimeUnixNano"), NULL) -
                    strtod(str_at(s, "startTimeUnixNano"), NULL)) /
                   1e6;
        }
    }
    return -1;
}

/* A node that runs and says nothing is drawn until now, not until the last event. */
START_TEST(test_open_to_now)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    char *id = submit(d, sleep_body("a", 60000, ""));
    AWAIT(is_at_node(d, id, "1"));
    AWAIT(open_span(d, id) > 400);
    json_t *p = get(d, "/jobs/%s/profile?live=1", id)->json;
    CHECK(num_at(p, "asOf") - num_at(p, "nodes.0.startedAt") > 400);
    (void)cancel(d, id);
    (void)await_end(d, id);
}
END_TEST

Suite *live_suite(void)
{
    static const struct named_test tests[] = {
        {"states", &test_states, 2},
        {"the second attempt", &test_second_attempt, 1},
        {"nowhere", &test_nowhere, 1},
        {"nothing happens", &test_nothing_happens, 2},
        {"at once", &test_at_once, 1},
        {"a change", &test_change, sizeof changes / sizeof *changes},
        {"following", &test_following, 1},
        {"a stop while waiting", &test_stop_while_waiting, 1},
        {"formats", &test_formats, 1},
        {"an open node runs to now", &test_open_to_now, 1},
    };
    return SUITE("live", 90, tests);
}
