/*
 * Spans pushed to an OTLP endpoint that takes them, is down, refuses them or never answers. What a
 * trace holds is the formats' business; here it is that of GET /jobs/ID/profile?format=otlp.
 */
#include "harness.h"

#include <stdio.h>
#include <string.h>

#include "receiver.h"
#include "suites.h"

/* more: of the otlp section, beginning with a comma, or "". */
static struct daemon *daemon_for(struct sim *s, const struct receiver *r, const char *more)
{
    struct daemon *d =
        DAEMON(.sims = {s}, .config = text("otlp: {endpoint: '%s'%s}\n", r->url, more));
    await_ready(d);
    return d;
}

static double counted(struct daemon *d, const char *name)
{
    return num_at(get(d, "/stats")->json, text("otlp.%s", name));
}

static json_t *spans_of(json_t *traces)
{
    CHECK(json_array_size(at(traces, "resourceSpans")) == 1 &&
          json_array_size(at(traces, "resourceSpans.0.scopeSpans")) == 1);
    return at(traces, "resourceSpans.0.scopeSpans.0.spans");
}

static bool is_hex(const char *s, size_t n)
{
    return strlen(s) == n && strspn(s, "0123456789abcdef") == n;
}

static bool is_number(const char *s)
{
    return *s != '\0' && strspn(s, "0123456789") == strlen(s);
}

static void check_span(json_t *span)
{
    CHECK(is_hex(str_at(span, "traceId"), 32) && is_hex(str_at(span, "spanId"), 16));
    CHECK(is_number(str_at(span, "startTimeUnixNano")) &&
          is_number(str_at(span, "endTimeUnixNano")) && *str_at(span, "name") != '\0');
}

static void check_request(json_t *request)
{
    CHECK(strcmp(str_at(request, "method"), "POST") == 0 &&
          strcmp(str_at(request, "path"), "/v1/traces") == 0);
    CHECK(strcmp(str_at(request, "headers.content-type"), "application/json") == 0);
    json_t *t = json_of(str_at(request, "body"));
    CHECK(t != NULL, "a request is JSON");
    json_t *all = spans_of(t);
    for (size_t i = 0; i < json_array_size(all); i++) {
        check_span(json_array_get(all, i));
    }
    json_t *about = at(t, "resourceSpans.0.resource.attributes");
    bool named = false;
    for (size_t i = 0; i < json_array_size(about); i++) {
        json_t *a = json_array_get(about, i);
        named = named || (strcmp(str_at(a, "key"), "service.name") == 0 &&
                          strcmp(str_at(a, "value.stringValue"), "comfypoold") == 0);
    }
    CHECK(named, "service.name");
}

/* In how many of the requests from `from` on this span is. */
static int count_span(const struct receiver *r, size_t from, const char *span_id)
{
    int n = 0;
    for (size_t i = from; i < receiver_count(r); i++) {
        n += strstr(str_at(receiver_got(r, i), "body"), text("\"spanId\":\"%s\"", span_id)) != NULL;
    }
    return n;
}

/* Each span of the job came, in one request. */
static void check_came(struct daemon *d, const struct receiver *r, size_t from, const char *id)
{
    /* The contract knows this path's JSON as a profile. */
    struct answer *a =
        raw_answer(raw_request(d, "GET", text("/jobs/%s/profile?format=otlp", id), ""));
    CHECK(a != NULL && a->status == 200);
    json_t *all = spans_of(a->json);
    CHECK(json_array_size(all) >= 4, "a job, an attempt and two nodes");
    bool nodes = false;
    for (size_t i = 0; i < json_array_size(all); i++) {
        json_t *span = json_array_get(all, i);
        CHECK(count_span(r, from, str_at(span, "spanId")) == 1, "%s", str_at(span, "name"));
        for (size_t k = 0; k < json_array_size(at(span, "attributes")); k++) {
            nodes = nodes || strcmp(str_at(json_array_get(at(span, "attributes"), k), "key"),
                                    "comfyui.node.id") == 0;
        }
    }
    CHECK(nodes);
}

START_TEST(test_pushed)
{
    enum { JOBS = 4 };
    struct sim *s = sim_plain();
    struct receiver *r = receiver_start();
    (void)write_file("otlp.headers", "# ours\nX-Api-Key: abc def\nAuthorization: Bearer x\n");
    struct daemon *d = daemon_for(s, r, ", headersFile: otlp.headers");
    char *ids[JOBS];
    receiver_answers(r, 0, NULL); /* the rest comes while the first request is under way */
    for (int i = 0; i < JOBS; i++) {
        ids[i] = text("%s", str_at(run_job(d, sleep_body(text("a%d", i), 5, "")), "id"));
    }
    AWAIT(receiver_held(r) == 1);
    receiver_answers(r, 200, NULL);
    AWAIT(counted(d, "sent") == JOBS);
    CHECK(counted(d, "waiting") == 0 && counted(d, "dropped") == 0);
    CHECK(receiver_count(r) <= 2, "in batches: %zu requests", receiver_count(r));
    for (size_t i = 0; i < receiver_count(r); i++) {
        json_t *request = receiver_got(r, i);
        check_request(request);
        CHECK(strcmp(str_at(request, "headers.x-api-key"), "abc def") == 0 &&
              strcmp(str_at(request, "headers.authorization"), "Bearer x") == 0);
    }
    for (int i = 0; i < JOBS; i++) {
        check_came(d, r, 0, ids[i]);
    }
}
END_TEST

/* A failed job and a cancelled one have spans as well; one that was not profiled has none. */
START_TEST(test_which)
{
    struct sim *s = sim_plain();
    struct receiver *r = receiver_start();
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = true,
                              .config = text("otlp: {endpoint: '%s/'}\n", r->url));
    char *no = text("%s", str_at(run_job(d, sleep_body("a", 1, "")), "id"));
    char *failed = text("%s", str_at(run_job(d, q("{'workflow':{'1':{'class_type':'T_SleepOut',"
                                                  "'inputs':{'_error':'x','_tag':'b'}}},"
                                                  "'profile':true}")),
                                     "id"));
    char *good = text("%s", str_at(run_job(d, sleep_body("c", 1, ",'profile':true")), "id"));
    AWAIT(counted(d, "sent") == 2);
    check_came(d, r, 0, good);
    check_request(receiver_got(r, 0));
    char *all = text("%s", "");
    for (size_t i = 0; i < receiver_count(r); i++) {
        all = text("%s%s", all, str_at(receiver_got(r, i), "body"));
    }
    CHECK(strstr(all, failed) != NULL && strstr(all, good) != NULL && strstr(all, no) == NULL);
}
END_TEST

/* Down, or busy: jobs go on, and all of them come when it is there again. */
START_TEST(test_comes_back)
{
    enum { JOBS = 3 };
    static const int statuses[] = {0, 429, 502, 503, 504}; /* 0: nobody listens */
    struct sim *s = sim_plain();
    struct receiver *r = receiver_start();
    struct daemon *d = daemon_for(s, r, "");
    const int status = statuses[_i];
    if (status == 0) {
        receiver_stop(r);
    } else {
        receiver_answers(r, status, NULL);
    }
    char *ids[JOBS];
    for (int i = 0; i < JOBS; i++) {
        json_t *j = run_job(d, sleep_body(text("a%d", i), 5, ""));
        CHECK(strcmp(str_at(j, "state"), "completed") == 0);
        ids[i] = text("%s", str_at(j, "id"));
    }
    AWAIT(strstr(read_file(d->err), "traces were not taken") != NULL);
    CHECK(counted(d, "waiting") == JOBS && counted(d, "sent") == 0 && counted(d, "dropped") == 0);
    if (status == 0) {
        receiver_restart(r);
    }
    receiver_answers(r, 200, NULL);
    AWAIT(counted(d, "sent") == JOBS);
    CHECK(counted(d, "waiting") == 0 && counted(d, "dropped") == 0);
    for (int i = 0; i < JOBS; i++) {
        check_came(d, r, receiver_count(r) - 1, ids[i]); /* the one that was taken */
    }
    char *log = read_file(d->err);
    char *said = strstr(log, "traces were not taken");
    CHECK(strstr(said + 1, "traces were not taken") == NULL, "it is said once");
}
END_TEST

/* What it will never take is not sent again. */
START_TEST(test_refused)
{
    static const int statuses[] = {400, 401, 404, 500, 302};
    struct sim *s = sim_plain();
    struct receiver *r = receiver_start();
    struct receiver *other = receiver_start();
    struct daemon *d = daemon_for(s, r, "");
    receiver_answers(r, statuses[_i], text("Location: %s/", other->url));
    (void)run_job(d, sleep_body("a", 1, ""));
    AWAIT(counted(d, "dropped") == 1);
    CHECK(counted(d, "waiting") == 0 && receiver_count(other) == 0);
    receiver_answers(r, 200, NULL);
    (void)run_job(d, sleep_body("b", 1, ""));
    AWAIT(counted(d, "sent") == 1);
    CHECK(receiver_count(r) == 2 && counted(d, "dropped") == 1);
}
END_TEST

/* It takes connections and never answers: nobody waits for it, the end of the daemon neither. */
START_TEST(test_never_answers)
{
    enum { JOBS = 3 };
    struct sim *s = sim_plain();
    struct receiver *r = receiver_start();
    struct daemon *d = daemon_for(s, r, "");
    receiver_answers(r, 0, NULL);
    (void)run_job(d, sleep_body("first", 1, ""));
    AWAIT(receiver_held(r) == 1);
    for (int i = 0; i < JOBS; i++) {
        CHECK(strcmp(str_at(run_job(d, sleep_body(text("a%d", i), 1, "")), "state"), "completed") ==
              0);
    }
    CHECK(counted(d, "waiting") == JOBS + 1 && receiver_most(r) == 1, "one request at a time");
    daemon_stop(d);
    CHECK(d->ended_in < 10, "%.1f s", d->ended_in);
}
END_TEST

/* The oldest make room, and are counted. Jobs that end in the queue cost no server anything. */
START_TEST(test_too_many)
{
    enum { JOBS = 1010, KEPT = 1000 };
    struct sim *s = sim_plain();
    struct receiver *r = receiver_start();
    struct daemon *d = daemon_for(s, r, "");
    receiver_stop(r);
    post(d, "/queue/pause", "");
    char *first = NULL;
    char *last = NULL;
    for (int i = 0; i < JOBS; i++) {
        last = submit(d, sleep_body("a", 1, ""));
        first = first == NULL ? last : first;
        (void)cancel(d, last);
    }
    AWAIT(counted(d, "waiting") + counted(d, "dropped") == JOBS);
    CHECK(counted(d, "waiting") == KEPT && counted(d, "dropped") == JOBS - KEPT);
    receiver_restart(r);
    AWAIT(receiver_count(r) > 0 && counted(d, "sent") == KEPT);
    char *all = read_file(r->log);
    CHECK(strstr(all, first) == NULL && strstr(all, last) != NULL, "the oldest are gone");
    CHECK(receiver_count(r) < KEPT / 10, "%zu requests", receiver_count(r));
}
END_TEST

Suite *push_suite(void)
{
    static const struct named_test tests[] = {
        {"pushed", &test_pushed, 0},
        {"which", &test_which, 0},
        {"comes back", &test_comes_back, 5},
        {"refused", &test_refused, 5},
        {"never answers", &test_never_answers, 0},
        {"too many", &test_too_many, 0},
    };
    return SUITE("push", 120, tests);
}
