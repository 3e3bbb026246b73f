/*
 * Profiles in every format, by ?format= and by Accept; many of them as one stream, also to a client
 * that takes its time and from a store that breaks meanwhile; traces that continue a client's own.
 */
#include "harness.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "suites.h"

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define SPAN "b7ad6b7169203331"

static char *run(struct daemon *d, const char *body)
{
    return text("%s", str_at(run_job(d, body), "id"));
}

static char *painter(const char *tag, int ms)
{
    return q("{'workflow':{'4':{'class_type':'KSampler','inputs':{'_ms':%d,'_steps':4,'_tag':'%s'},"
             "'_meta':{'title':'=Sum, of \\\"all\\\"'}},"
             "'9':{'class_type':'SaveImage','inputs':{'images':['4',0],'_ms':5}}}}",
             ms, tag);
}

static int count_of(const char *s, const char *what)
{
    int n = 0;
    for (const char *p = strstr(s, what); p != NULL; p = strstr(p + strlen(what), what)) {
        n++;
    }
    return n;
}

/* ---- formats of one profile ------------------------------------------------------------------ */

static const struct format {
    const char *name, *media_type, *holds;
} formats[] = {
    {"json", "application/json", "'progressEvents':["},
    {"text", "text/plain; charset=utf-8", "KSampler"},
    {"csv", "text/csv; charset=utf-8", "4,KSampler,'~=Sum, of ''all''',completed,"},
    {"chrome", "application/json", "'traceEvents':["},
    {"speedscope", "application/json", "'evented'"},
    {"folded", "text/plain; charset=utf-8", "=Sum, of 'all' [4] "},
    {"otlp", "application/json", "'resourceSpans':["},
};
enum { FORMATS = sizeof formats / sizeof *formats };

/* Each ~ becomes ': q makes quotes of that. */
static char *literal(const char *s)
{
    char *made = q("%s", s);
    for (char *p = made; *p != '\0'; p++) {
        *p = *p == '~' ? '\'' : *p;
    }
    return made;
}

START_TEST(test_formats)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    char *id = run(d, painter("a", 50));
    for (size_t i = 0; i < FORMATS; i++) {
        const struct format *f = &formats[i];
        struct answer *a = get(d, "/jobs/%s/profile?format=%s", id, f->name);
        CHECK(a->status == 200 && strcmp(header_of(a, "Content-Type"), f->media_type) == 0, "%s",
              f->name);
        CHECK(strstr(a->body, literal(f->holds)) != NULL, "%s: %s", f->name, f->holds);
        char *etag = header_of(a, "ETag");
        CHECK(*etag != '\0');
        struct answer *again = get(d, "/jobs/%s/attempts/1/profile?format=%s", id, f->name);
        CHECK(again->status == 200 && strcmp(again->body, a->body) == 0, "%s: its only attempt",
              f->name);
        again = ask(d, "GET", text("/jobs/%s/profile?format=%s", id, f->name),
                    text("If-None-Match: %s", etag), NULL);
        CHECK(again->status == 304, "%s", f->name);
    }
}
END_TEST

static const struct {
    const char *query, *accept;
    long status;
    const char *media_type; /* or code */
} choices[] = {
    {"", "application/json", 200, "application/json"},
    {"", "*/*", 200, "application/json"},
    {"", "text/plain", 200, "text/plain; charset=utf-8"},
    {"", "text/csv", 200, "text/csv; charset=utf-8"},
    {"", "TEXT/CSV", 200, "text/csv; charset=utf-8"},
    {"", "text/plain;q=0.2, text/csv;q=0.9", 200, "text/csv; charset=utf-8"},
    {"", "text/html, application/xhtml+xml, */*;q=0.8", 200, "application/json"},
    {"", "application/json;q=0, */*", 200, "text/plain; charset=utf-8"},
    {"", "image/png", 406, "not_acceptable"},
    {"", "application/x-ndjson", 406, "not_acceptable"},
    {"", "text/event-stream", 406, "not_acceptable"},
    {"", "*/*;q=0", 406, "not_acceptable"},
    {"?format=csv", "application/json", 200, "text/csv; charset=utf-8"},
    {"?format=json", "text/csv", 200, "application/json"},
    {"?format=folded", "image/png", 200, "text/plain; charset=utf-8"},
    {"?format=xml", "*/*", 400, "query_invalid"},
    {"?format=", "*/*", 400, "query_invalid"},
    {"?format=JSON", "*/*", 400, "query_invalid"},
    {"?format=ndjson", "*/*", 400, "query_invalid"},
    {"?format=csv&format=csv", "*/*", 400, "query_invalid"},
};

START_TEST(test_choices)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    char *id = run(d, painter("a", 1));
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        struct answer *a = ask(d, "GET", text("/jobs/%s/profile%s", id, choices[i].query),
                               text("Accept: %s", choices[i].accept), NULL);
        CHECK(a->status == choices[i].status, "%s, %s", choices[i].query, choices[i].accept);
        CHECK(strcmp(a->status == 200 ? header_of(a, "Content-Type") : str_at(a->json, "code"),
                     choices[i].media_type) == 0,
              "%s, %s", choices[i].query, choices[i].accept);
        CHECK(a->status != 200 || strstr(header_of(a, "Vary"), "Accept") != NULL);
    }
}
END_TEST

/* Cancelled in the queue: there is not much to tell, in any format. */
START_TEST(test_never_ran)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    char *good = run(d, painter("a", 1));
    expect(post(d, "/queue/pause", ""), 200, NULL);
    char *id = submit(d, painter("b", 1));
    (void)cancel(d, id);
    for (size_t i = 0; i < FORMATS; i++) {
        struct answer *a = get(d, "/jobs/%s/profile?format=%s", id, formats[i].name);
        CHECK(a->status == 200 && a->len > 0, "%s", formats[i].name);
    }
    CHECK(count_of(get(d, "/profiles")->body, "\n") == 2);
    json_t *c = get(d, "/profiles/compare?base=%s&target=%s", good, id)->json;
    CHECK(json_is_null(at(c, "total.verdict")) && json_is_null(at(c, "nodes.0.verdict")) &&
              json_is_null(at(c, "nodes.0.delta")) && json_is_null(at(c, "target.backend")),
          "nothing to compare");
}
END_TEST

/* What the other tools need of their files, from a run with overlaps. */
START_TEST(test_tools)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    char *id = run(d, q("{'1':{'class_type':'T_Async','inputs':{'_async':200}},"
                        "'2':{'class_type':'T_Sleep','inputs':{'_ms':100},"
                        "'_meta':{'title':'a;b'}},"
                        "'3':{'class_type':'T_SleepOut','inputs':{'a':['1',0],'b':['2',0]}}}"));
    json_t *events = at(get(d, "/jobs/%s/profile?format=chrome", id)->json, "traceEvents");
    double lanes[2] = {0};
    for (size_t i = 0; i < json_array_size(events); i++) {
        json_t *e = json_array_get(events, i);
        const char *node = str_at(e, "args.nodeId");
        if (strcmp(str_at(e, "ph"), "X") == 0 && (*node == '1' || *node == '2')) {
            lanes[*node - '1'] = num_at(e, "tid");
            CHECK(num_at(e, "dur") > (*node == '1' ? 150000 : 70000), "microseconds");
        }
    }
    CHECK(lanes[0] != 0 && lanes[1] != 0 && lanes[0] != lanes[1], "what overlaps has own lanes");
    json_t *profiles = at(get(d, "/jobs/%s/profile?format=speedscope", id)->json, "profiles");
    CHECK(json_array_size(profiles) >= 2, "one a lane");
    struct answer *a = get(d, "/jobs/%s/profile?format=folded", id);
    CHECK(strstr(a->body, "a;b") == NULL && strstr(a->body, "T_Sleep") != NULL, "%s", a->body);
}
END_TEST

/* ---- many profiles --------------------------------------------------------------------------- */

/* The body without the framing of chunks; NULL: it was cut. */
static char *whole_body(const struct answer *a)
{
    char *out = text("%s", a->body);
    size_t len = 0;
    const char *p = a->body;
    for (;;) {
        char *end = NULL;
        const unsigned long n = strtoul(p, &end, 16);
        if (end == p || strncmp(end, "\r\n", 2) != 0 ||
            (size_t)(end + 2 - a->body) + n + 2 > a->len) {
            return NULL;
        }
        if (n == 0) {
            break;
        }
        memcpy(out + len, end + 2, n);
        len += n;
        p = end + 2 + n + 2;
    }
    out[len] = '\0';
    return out;
}

static char *export_of(struct daemon *d, const char *query)
{
    struct answer *a = get(d, "/profiles%s", query);
    expect(a, 200, NULL);
    CHECK(strstr(header_of(a, "Transfer-Encoding"), "chunked") != NULL);
    return a->body == NULL ? text("%s", "") : a->body;
}

/* Each line is the profile of the job at its place; "" is the end of the list. */
static void check_lines(struct daemon *d, const char *query, char *const *ids, size_t n)
{
    const char *all = export_of(d, query);
    char *expected = text("%s", "");
    for (size_t i = 0; i < n; i++) {
        expected = text("%s%s\n", expected, get(d, "/jobs/%s/profile", ids[i])->body);
    }
    CHECK(strcmp(all, expected) == 0, "%s: %d lines, not %zu", query, count_of(all, "\n"), n);
}

/* Eight jobs on two backends, of two workflows, with all ends. */
struct many {
    struct daemon *d;
    char *ids[8];
    char *hash; /* of 0 to 3 */
    double completed[8];
};

static char *pinned(const char *tag, const char *more)
{
    return q("{'workflow':{'1':{'class_type':'T_SleepOut','inputs':{'_ms':1,'_tag':'%s'%s}}}}", tag,
             more);
}

/* Jobs go to s0 while s1 is drained, then the other way round. */
static struct many run_many(void)
{
    struct sim *a = sim_plain();
    struct sim *b = sim_plain();
    struct many m = {.d = DAEMON(.sims = {a, b}, .config = "jobs: {maxAttempts: 1}\n")};
    await_backends_up(m.d, 2);
    expect(post(m.d, "/backends/s1/drain", ""), 200, NULL);
    for (int i = 0; i < 8; i++) {
        char *tag = text("t%d", i);
        if (i == 4) {
            expect(post(m.d, "/backends/s1/resume", ""), 200, NULL);
            expect(post(m.d, "/backends/s0/drain", ""), 200, NULL);
        }
        m.ids[i] = run(m.d, i < 4    ? painter(tag, i)
                            : i == 6 ? pinned(tag, ",'_error':'broken'")
                                     : pinned(tag, ""));
        m.completed[i] = num_at(profile_of(m.d, m.ids[i]), "completedAt");
    }
    (void)run(m.d, q("{'workflow':{'1':{'class_type':'T_SleepOut','inputs':{'_ms':1}}},"
                     "'profile':false}"));
    m.hash = text("%s", str_at(job_now(m.d, m.ids[0]), "workflowHash"));
    return m;
}

START_TEST(test_export)
{
    struct many m = run_many();
    check_lines(m.d, "", m.ids, 8);
    check_lines(m.d, "?format=ndjson", m.ids, 8);
    check_lines(m.d, "?backend=s0", m.ids, 4);
    check_lines(m.d, "?backend=s1", m.ids + 4, 4);
    check_lines(m.d, "?backend=nobody", m.ids, 0);
    check_lines(m.d, text("?workflowHash=%s", m.hash), m.ids, 4);
    check_lines(m.d, text("?workflowHash=%s&backend=s1", m.hash), m.ids, 0);
    check_lines(m.d, text("?since=%.3f", m.completed[3]), m.ids + 3, 5);
    check_lines(m.d, text("?until=%.3f", m.completed[3]), m.ids, 3);
    check_lines(m.d, text("?since=%.3f&until=%.3f", m.completed[2], m.completed[6]), m.ids + 2, 4);
    check_lines(m.d, text("?since=%.3f&backend=s0", m.completed[2]), m.ids + 2, 2);
    check_lines(m.d, "?since=2020-01-01T00:00:00Z", m.ids, 8);
    check_lines(m.d, "?until=2020-01-01T00:00:00Z", m.ids, 0);
    struct answer *a = ask(m.d, "GET", "/profiles", "Accept: application/x-ndjson", NULL);
    CHECK(a->status == 200 && strcmp(header_of(a, "Content-Type"), "application/x-ndjson") == 0 &&
          strcmp(header_of(a, "Cache-Control"), "no-store") == 0);
    a = ask(m.d, "HEAD", "/profiles", NULL, NULL);
    CHECK(a->status == 200 && strcmp(header_of(a, "Content-Type"), "application/x-ndjson") == 0);
    expect(ask(m.d, "DELETE", text("/jobs/%s", m.ids[0]), NULL, NULL), 204, NULL);
    check_lines(m.d, "", m.ids + 1, 7);
}
END_TEST

START_TEST(test_csv)
{
    struct many m = run_many();
    char *all = export_of(m.d, "?format=csv");
    CHECK(strncmp(all, "jobId,nodeId,type,title,status,order,", 37) == 0, "%.80s", all);
    CHECK(count_of(all, "nodeId") == 1 && count_of(all, "jobId") == 1, "one head");
    CHECK(count_of(all, "\r\n") == 1 + 4 * 2 + 4, "a row a node");
    CHECK(count_of(all, "\n") == count_of(all, "\r\n"));
    char *expected = text("%s", "");
    for (int i = 0; i < 8; i++) {
        char *one = get(m.d, "/jobs/%s/profile?format=csv", m.ids[i])->body;
        char *line = strstr(one, "\r\n") + 2;
        expected = i == 0 ? text("jobId,%.*s", (int)(line - one), one) : expected;
        for (char *end = strstr(line, "\r\n"); end != NULL; end = strstr(line, "\r\n")) {
            expected = text("%s%s,%.*s", expected, m.ids[i], (int)(end + 2 - line), line);
            line = end + 2;
        }
    }
    CHECK(strcmp(all, expected) == 0, "the rows of each job, with its id:\n%s\nnot\n%s", all,
          expected);
    struct answer *a = ask(m.d, "GET", "/profiles?backend=nobody", "Accept: text/csv", NULL);
    CHECK(strcmp(header_of(a, "Content-Type"), "text/csv; charset=utf-8") == 0 &&
          count_of(a->body, "\r\n") == 1);
}
END_TEST

static const struct {
    const char *query, *accept;
    long status;
} export_refusals[] = {
    {"?format=json", "*/*", 400},
    {"?format=text", "*/*", 400},
    {"?format=otlp", "*/*", 400},
    {"?since=yesterday", "*/*", 400},
    {"?until=", "*/*", 400},
    {"?workflowHash=abc", "*/*", 400},
    {"?backend=%20", "*/*", 400},
    {"?limit=3", "*/*", 400},
    {"", "application/json", 406},
    {"", "text/plain", 406},
    {"?format=csv", "application/json", 200},
};

START_TEST(test_export_refusals)
{
    struct daemon *d = DAEMON(.no_profile = true);
    for (size_t i = 0; i < sizeof export_refusals / sizeof *export_refusals; i++) {
        struct answer *a = ask(d, "GET", text("/profiles%s", export_refusals[i].query),
                               text("Accept: %s", export_refusals[i].accept), NULL);
        CHECK(a->status == export_refusals[i].status, "%s, %s: %ld", export_refusals[i].query,
              export_refusals[i].accept, a->status);
    }
}
END_TEST

/* ---- clients that take their time, stores that break ----------------------------------------- */

enum { WIDE = 90, WIDTH = 100000 };

/* Their profiles are as large as their titles: more than sockets take in advance. */
static struct daemon *run_wide(void)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    char *title = text("%*s", WIDTH, "");
    for (int i = 0; i < WIDE; i++) {
        (void)run(d, q("{'1':{'class_type':'T_SleepOut','inputs':{'_ms':0},"
                       "'_meta':{'title':'%s'}}}",
                       title));
    }
    return d;
}

/* Its first bytes have come; the rest waits. */
static int begin_export(struct daemon *d, const char *query)
{
    const int fd = raw_open(d->port);
    const char *request =
        text("GET /profiles%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", query);
    raw_send(fd, request, strlen(request));
    struct pollfd p = {fd, POLLIN, 0};
    AWAIT(poll(&p, 1, 0) == 1);
    return fd;
}

START_TEST(test_slow_client)
{
    struct daemon *d = run_wide();
    const int ndjson = begin_export(d, "");
    const int csv = begin_export(d, "?format=csv");
    (void)run(d, q("{'1':{'class_type':'T_SleepOut','inputs':{'_ms':1}}}"));
    expect(get(d, "/healthz"), 200, NULL);
    CHECK(num_at(get(d, "/stats")->json, "http.connections") >= 2);
    char *all = whole_body(raw_answer(ndjson));
    CHECK(all != NULL && count_of(all, "\n") == WIDE, "what ended later is for the next one");
    char *rest = all;
    for (char *line = strsep(&rest, "\n"); *line != '\0'; line = strsep(&rest, "\n")) {
        json_t *p = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        CHECK(strlen(str_at(p, "nodes.0.title")) == WIDTH);
        json_decref(p);
    }
    all = whole_body(raw_answer(csv));
    CHECK(all != NULL && count_of(all, "\r\n") == WIDE + 1 && count_of(all, "nodeId") == 1);
}
END_TEST

/* A client that goes leaves nothing behind. */
START_TEST(test_client_goes)
{
    struct daemon *d = run_wide();
    const int fd = begin_export(d, "");
    const double with = num_at(get(d, "/stats")->json, "http.connections");
    (void)close(fd);
    AWAIT(num_at(get(d, "/stats")->json, "http.connections") < with);
}
END_TEST

START_TEST(test_stop_during_an_export)
{
    struct daemon *d = run_wide();
    const int fd = begin_export(d, "");
    daemon_stop(d);
    CHECK(d->ended_in < 10, "%.1f s", d->ended_in);
    struct answer *a = raw_answer(fd);
    CHECK(a == NULL || whole_body(a) == NULL, "nobody takes a part for the whole");
}
END_TEST

/* The database loses its pages under the daemon; what it has read by then is all that can come. */
START_TEST(test_broken_store)
{
    struct daemon *d = run_wide();
    const int fd = begin_export(d, "");
    CHECK(truncate(text("%s/comfypoold.db", d->state), 4096) == 0);
    CHECK(truncate(text("%s/comfypoold.db-wal", d->state), 0) == 0);
    struct answer *a = raw_answer(fd);
    CHECK(a != NULL && a->status == 200 && a->len > WIDTH, "it had begun");
    CHECK(whole_body(a) == NULL, "nobody takes a part for the whole");
    CHECK(count_of(a->body, q("'outcome'")) < WIDE);
    expect(get(d, "/healthz"), 200, NULL);
    AWAIT(strstr(read_file(d->err), "an export is cut") != NULL);
    /* One that has not begun is refused. */
    expect(get(d, "/profiles"), 503, "store_unavailable");
    daemon_kill(d);
}
END_TEST

/* ---- traces ---------------------------------------------------------------------------------- */

static char *submit_traced(struct daemon *d, const char *header)
{
    struct answer *a =
        ask(d, "POST", "/jobs?wait=60",
            text("Content-Type: application/json%s%s", header[0] == '\0' ? "" : "\n", header),
            painter(text("t%u", (unsigned)rand()), 5));
    expect(a, 200, NULL);
    return text("%s", str_at(a->json, "id"));
}

static json_t *spans_of(struct daemon *d, const char *id)
{
    struct answer *a = get(d, "/jobs/%s/profile?format=otlp", id);
    expect(a, 200, NULL);
    json_t *spans = at(a->json, "resourceSpans.0.scopeSpans.0.spans");
    CHECK(json_array_size(spans) > 0);
    return spans;
}

static bool is_hex(const char *s, size_t n)
{
    return strlen(s) == n && strspn(s, "0123456789abcdef") == n;
}

static const struct {
    const char *header;
    bool continues;
} parents[] = {
    {"traceparent: 00-" TRACE "-" SPAN "-01", true},
    {"Traceparent: 00-" TRACE "-" SPAN "-00", true},
    {"traceparent: 01-" TRACE "-" SPAN "-01-more", true},
    {"", false},
    {"traceparent: nonsense", false},
    {"traceparent: 00-" TRACE "-" SPAN "-01-more", false},
    {"traceparent: ff-" TRACE "-" SPAN "-01", false},
    {"traceparent: 00-00000000000000000000000000000000-" SPAN "-01", false},
    {"traceparent: 00-" TRACE "-0000000000000000-01", false},
    {"traceparent: 00-0AF7651916CD43DD8448EB211C80319C-" SPAN "-01", false},
    {"traceparent: 00-" TRACE "-" SPAN, false},
    {"traceparent: 00-" TRACE "-" SPAN "-01\ntraceparent: 00-" TRACE "-" SPAN "-01", false},
};

START_TEST(test_traceparent)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    for (size_t i = 0; i < sizeof parents / sizeof *parents; i++) {
        json_t *root = json_array_get(spans_of(d, submit_traced(d, parents[i].header)), 0);
        CHECK(is_hex(str_at(root, "traceId"), 32) && is_hex(str_at(root, "spanId"), 16));
        CHECK((strcmp(str_at(root, "traceId"), TRACE) == 0) == parents[i].continues, "%s",
              parents[i].header);
        CHECK((strcmp(str_at(root, "parentSpanId"), SPAN) == 0) == parents[i].continues &&
                  (parents[i].continues || !has(root, "parentSpanId")),
              "%s", parents[i].header);
    }
}
END_TEST

static bool has_attribute(json_t *of, const char *key, const char *value)
{
    json_t *list = at(of, "attributes");
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *a = json_array_get(list, i);
        if (strcmp(str_at(a, "key"), key) == 0 &&
            strcmp(str_at(a, "value.stringValue"), value) == 0) {
            return true;
        }
    }
    return false;
}

/* Spans by the attempt that they are under: how many, and each named once. */
static void check_spans(json_t *spans, size_t n)
{
    CHECK(json_array_size(spans) == n, "%zu spans", json_array_size(spans));
    const char *trace = str_at(json_array_get(spans, 0), "traceId");
    for (size_t i = 0; i < n; i++) {
        json_t *span = json_array_get(spans, i);
        CHECK(strcmp(str_at(span, "traceId"), trace) == 0 && is_hex(str_at(span, "spanId"), 16));
        CHECK(strspn(str_at(span, "startTimeUnixNano"), "0123456789") == 19 &&
                  strspn(str_at(span, "endTimeUnixNano"), "0123456789") == 19,
              "64-bit numbers are strings");
        bool has_parent = i == 0;
        for (size_t k = 0; k < n; k++) {
            json_t *other = json_array_get(spans, k);
            CHECK(k == i || strcmp(str_at(other, "spanId"), str_at(span, "spanId")) != 0);
            has_parent |= strcmp(str_at(other, "spanId"), str_at(span, "parentSpanId")) == 0;
        }
        CHECK(has_parent, "span %zu", i);
    }
}

/* A job with two attempts; the same at each GET, after a restart too. */
START_TEST(test_trace)
{
    struct sim *s = sim_start("--fault", "crash@1:100", NULL);
    struct daemon *d = DAEMON(.sims = {s}, .config = "jobs: {retryDelayMs: 20}\n");
    char *id = submit_traced(d, "");
    CHECK(num_at(job_now(d, id), "attempts") == 2);
    json_t *spans = spans_of(d, id);
    check_spans(spans, json_array_size(spans));
    json_t *resource =
        at(get(d, "/jobs/%s/profile?format=otlp", id)->json, "resourceSpans.0.resource");
    CHECK(has_attribute(resource, "service.name", "comfypoold"));
    int nodes = 0;
    for (size_t i = 0; i < json_array_size(spans); i++) {
        json_t *span = json_array_get(spans, i);
        nodes += has_attribute(span, "comfyui.node.id", "4") ||
                 has_attribute(span, "comfyui.node.id", "9");
    }
    /* The root, two attempts, the nodes of the second; the first may have begun one. */
    CHECK(nodes == (int)json_array_size(spans) - 3 && nodes >= 2 && nodes <= 4, "%d nodes", nodes);
    json_t *second = at(get(d, "/jobs/%s/attempts/2/profile?format=otlp", id)->json,
                        "resourceSpans.0.scopeSpans.0.spans");
    check_spans(second, 4);
    char *first = get(d, "/jobs/%s/profile?format=otlp", id)->body;
    CHECK(strcmp(first, get(d, "/jobs/%s/profile?format=otlp", id)->body) == 0);
    daemon_stop(d);
    d = DAEMON(.sims = {s});
    CHECK(strcmp(first, get(d, "/jobs/%s/profile?format=otlp", id)->body) == 0);
}
END_TEST

Suite *exports_suite(void)
{
    static const struct named_test tests[] = {
        {"formats", &test_formats, 1},
        {"choices", &test_choices, 1},
        {"never ran", &test_never_ran, 1},
        {"other tools", &test_tools, 1},
        {"export", &test_export, 1},
        {"export as CSV", &test_csv, 1},
        {"export refusals", &test_export_refusals, 1},
        {"a slow client", &test_slow_client, 1},
        {"a client goes", &test_client_goes, 1},
        {"a stop during an export", &test_stop_during_an_export, 1},
        {"a broken store", &test_broken_store, 1},
        {"traceparent", &test_traceparent, 1},
        {"a trace", &test_trace, 1},
    };
    return SUITE("exports", 90, tests);
}
