/*
 * Tokens are walls: what a token of role submit sees and touches is its own name's, on every route,
 * in lists, streams, comparisons and bodies. What is another's answers byte for byte as what never
 * was.
 */
#include "harness.h"
#include "yaml_tree.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "receiver.h"
#include "sse.h"
#include "suites.h"

/* A token is its name and this; the hashes are of the whole. */
#define TOKEN "-token-0123456789abcdef0123456789"

static const char tokens[] =
    "alice:submit:a3c62fd0f995c25ba39f2dee98cc19183897e7fcad5bafc7790c5da6428cbd14\n"
    "bob:submit:4c8fb71701418ca87ba222646e9cd067b68246a0410168f8810464f18166601d\n"
    "reader:read:9332e4d370fdc6184f1ef7e57a1c90214087b78c3a97644faf3d2b2841d6ceef\n"
    "boss:operate:e411664b325b64e876022022e7cd7f98feaffce37ce4573e31a423439f13b3db\n";

static char *token_of(const char *who)
{
    return text("%s" TOKEN, who);
}

/* more: header lines, or NULL. */
static struct answer *with(struct daemon *d, const char *who, const char *method, const char *path,
                           const char *more, const char *body)
{
    return ask(d, method, path,
               text("Authorization: Bearer %s\nContent-Type: application/json%s%s", token_of(who),
                    more == NULL ? "" : "\n", more == NULL ? "" : more),
               body);
}

static struct answer *by(struct daemon *d, const char *who, const char *method, const char *path,
                         const char *body)
{
    return with(d, who, method, path, NULL, body);
}

static struct answer *seen(struct daemon *d, const char *who, const char *path)
{
    return by(d, who, "GET", path, NULL);
}

static char *submit_by(struct daemon *d, const char *who, const char *body)
{
    struct answer *a = by(d, who, "POST", "/jobs", body);
    expect(a, 202, NULL);
    return text("%s", str_at(a->json, "id"));
}

static char *ends(struct daemon *d, const char *who, const char *id)
{
    struct answer *a = seen(d, who, text("/jobs/%s?wait=60", id));
    expect(a, 200, NULL);
    return text("%s", str_at(a->json, "state"));
}

static char *upload_by(struct daemon *d, const char *who, const char *bytes)
{
    struct answer *a =
        ask(d, "POST", "/uploads",
            text("Authorization: Bearer %s\nContent-Type: a/b", token_of(who)), bytes);
    expect(a, 201, NULL);
    return text("%s", str_at(a->json, "sha256"));
}

/* auth: more of that section, beginning with a comma, or "". */
static struct daemon *daemon_for(struct sim *s, const char *auth)
{
    const char *file = write_file("tokens", tokens);
    struct daemon *d =
        DAEMON(.config = text("backends:\n  - {name: s0, url: '%s'}\nauth: {tokensFile: '%s'%s}\n"
                              "webhooks: {allow: [127.0.0.0/8]}\njobs: {retryDelayMs: 20}\n",
                              s->url, file, auth));
    await_ready(d);
    return d;
}

/* Things of alice's: a job that ended, one that runs, one that waits; a batch; an upload; a
   delivery that nobody took. And a job of bob's. */
static struct world {
    struct sim *s;
    struct daemon *d;
    const char *done, *runs, *waits, *batch, *hash, *delivery;
    const char *mine;
} w;

#define FILE_OF_ALICE "hello, this is alice's file"

static void make_world(const char *auth)
{
    w.s = sim_plain();
    struct daemon *d = w.d = daemon_for(w.s, auth);
    struct receiver *r = receiver_start();
    receiver_answers(r, 500, NULL);
    w.done = submit_by(d, "alice", sleep_body("a", 1, q(",'webhook':{'url':'%s/hook'}", r->url)));
    w.mine = submit_by(d, "bob", sleep_body("b", 1, ""));
    CHECK(strcmp(ends(d, "alice", w.done), "completed") == 0);
    CHECK(strcmp(ends(d, "bob", w.mine), "completed") == 0);
    w.runs = submit_by(d, "alice", sleep_body("c", 600000, ""));
    AWAIT(strcmp(str_at(seen(d, "alice", text("/jobs/%s", w.runs))->json, "state"), "running") ==
          0);
    w.waits = submit_by(d, "alice", sleep_body("e", 1, ""));
    struct answer *a = by(d, "alice", "POST", "/batches",
                          sleep_body("f", 1, q(",'overrides':[{'1._ms':2},{'1._ms':3}]")));
    expect(a, 202, NULL);
    w.batch = text("%s", str_at(a->json, "id"));
    w.hash = upload_by(d, "alice", FILE_OF_ALICE);
    AWAIT(has(seen(d, "boss", "/webhooks/deliveries?state=failing")->json, "deliveries.0"));
    w.delivery =
        text("%s", str_at(seen(d, "boss", "/webhooks/deliveries")->json, "deliveries.0.id"));
}

/* ---- every route that names something -------------------------------------------------------- */

struct route {
    const char *method;
    const char *path;
};

static const struct route words[] = {
    {"GET", "get"}, {"POST", "post"}, {"PUT", "put"}, {"PATCH", "patch"}, {"DELETE", "delete"}};

/* Those that api/openapi.yaml describes; a unit test holds it against the tables. */
static struct route all_routes[128];
static size_t all_routes_len;

static void find_routes(void)
{
    static struct yaml_tree *root; /* the routes' paths are in it */
    yaml_tree_free(root);
    root = yaml_tree_load("api/openapi.yaml");
    CHECK(root != NULL);
    const struct yaml_tree *paths = yaml_get(root, "paths");
    all_routes_len = 0;
    for (size_t i = 0; i < paths->len; i++) {
        for (size_t k = 0; k < sizeof words / sizeof *words; k++) {
            if (yaml_get(paths->items[i], words[k].path) != NULL) {
                CHECK(all_routes_len < sizeof all_routes / sizeof *all_routes);
                all_routes[all_routes_len++] = (struct route){words[k].method, paths->keys[i]};
            }
        }
    }
    CHECK(all_routes_len > 40);
}

/* The template with an id in place of its parameter, and 0 or 1 in that of {n}. */
static char *filled(const char *path, const char *parameter, const char *id)
{
    const char *at = strstr(path, parameter);
    char *made = text("%.*s%s%s", (int)(at - path), path, id, at + strlen(parameter));
    char *n = strstr(made, "{n}");
    if (n != NULL) {
        *n = strstr(made, "/attempts/") != NULL ? '1' : '0';
        memmove(n + 1, n + 3, strlen(n + 3) + 1);
    }
    return made;
}

static const char *body_for(const struct route *r)
{
    return strcmp(r->method, "PATCH") == 0  ? "{\"priority\":7}"
           : strcmp(r->method, "POST") == 0 ? "{}"
                                            : NULL;
}

/* One request for what is hers, and for what never was: the same bytes. */
static void is_never_was(const struct route *r, const char *parameter, const char *id,
                         const char *none)
{
    const char *path = filled(r->path, parameter, id);
    const char *other = filled(r->path, parameter, none);
    const struct answer *a = by(w.d, "bob", r->method, path, body_for(r));
    const struct answer *b = by(w.d, "bob", r->method, other, body_for(r));
    CHECK(a->status == 404 && b->status == 404, "%s %s: %ld and %ld", r->method, r->path, a->status,
          b->status);
    CHECK(strcmp(a->body, b->body) == 0, "%s %s: %s and %s", r->method, r->path, a->body, b->body);
    if (strcmp(r->method, "GET") == 0) {
        CHECK(by(w.d, "bob", "HEAD", path, NULL)->status == 404, "HEAD %s", r->path);
        expect(with(w.d, "bob", "GET", path, "If-None-Match: *\nRange: bytes=0-3", NULL), 404,
               NULL);
        expect(with(w.d, "bob", "GET", path, "Prefer: wait=60", NULL), 404, NULL);
    }
}

static void each_is_never_was(void)
{
    static const char never[] = "01900000-0000-7000-8000-0123456789ab";
    find_routes();
    for (size_t i = 0; i < all_routes_len; i++) {
        const struct route *r = &all_routes[i];
        if (strncmp(r->path, "/jobs/{id}", 10) == 0) {
            is_never_was(r, "{id}", w.done, never);
            is_never_was(r, "{id}", w.runs, never);
            is_never_was(r, "{id}", w.waits, never);
        } else if (strncmp(r->path, "/batches/{id}", 13) == 0) {
            is_never_was(r, "{id}", w.batch, never);
        } else if (strncmp(r->path, "/uploads/", 9) == 0 && strcmp(r->method, "PUT") != 0) {
            is_never_was(r, "{sha256}", w.hash, text("%064d", 7));
        } else if (strstr(r->path, "{delivery}") != NULL) {
            is_never_was(r, "{delivery}", w.delivery, never);
        }
    }
}

START_TEST(test_another_is_never_was)
{
    make_world("");
    each_is_never_was();
    expect(seen(w.d, "bob", text("/jobs/%s/profile?live=1", w.runs)), 404, "job_not_found");
    json_t *j = seen(w.d, "alice", text("/jobs/%s", w.waits))->json;
    CHECK(num_at(j, "priority") == 0 && strcmp(str_at(j, "state"), "queued") == 0);
    CHECK(!has(seen(w.d, "alice", text("/jobs/%s", w.runs))->json, "cancelRequested"));
    expect(seen(w.d, "alice", text("/uploads/%s", w.hash)), 200, NULL);
    /* It is so after an end that nobody chose. */
    daemon_kill(w.d);
    w.d = daemon_for(w.s, "");
    each_is_never_was();
    expect(seen(w.d, "alice", text("/uploads/%s", w.hash)), 200, NULL);
    expect(seen(w.d, "alice", text("/jobs/%s", w.done)), 200, NULL);
    expect(seen(w.d, "alice", text("/batches/%s", w.batch)), 200, NULL);
}
END_TEST

/* ---- roles ----------------------------------------------------------------------------------- */

START_TEST(test_roles)
{
    make_world("");
    struct daemon *d = w.d;
    expect(seen(d, "reader", text("/jobs/%s", w.done)), 200, NULL);
    expect(seen(d, "reader", text("/uploads/%s", w.hash)), 200, NULL);
    expect(by(d, "reader", "DELETE", text("/uploads/%s", w.hash), NULL), 403, "forbidden");
    expect(by(d, "reader", "PATCH", text("/jobs/%s", w.waits), "{\"priority\":1}"), 403, NULL);
    expect(by(d, "reader", "POST", text("/webhooks/deliveries/%s/redeliver", w.delivery), ""), 403,
           NULL);
    CHECK(has(seen(d, "reader", "/webhooks/deliveries")->json, "deliveries.0"));
    CHECK(has(seen(d, "alice", "/webhooks/deliveries")->json, "deliveries.0"));
    expect(by(d, "alice", "POST", text("/webhooks/deliveries/%s/redeliver", w.delivery), ""), 202,
           NULL);
    expect(by(d, "boss", "PATCH", text("/jobs/%s", w.waits), "{\"priority\":1}"), 200, NULL);
    expect(by(d, "boss", "DELETE", text("/jobs/%s", w.done), NULL), 204, NULL);
    /* What operate submits is hers whom it is for. */
    char *id = submit_by(d, "boss", sleep_body("g", 1, q(",'client':'alice'")));
    expect(seen(d, "alice", text("/jobs/%s", id)), 200, NULL);
    expect(seen(d, "bob", text("/jobs/%s", id)), 404, "job_not_found");
    expect(by(d, "bob", "POST", "/jobs", sleep_body("h", 1, q(",'client':'alice'"))), 403, NULL);
    expect(by(d, "boss", "DELETE", text("/uploads/%s", w.hash), NULL), 204, NULL);
    expect(seen(d, "alice", text("/uploads/%s", w.hash)), 404, NULL);
}
END_TEST

START_TEST(test_shared)
{
    make_world(", shared: true");
    struct daemon *d = w.d;
    expect(seen(d, "bob", text("/jobs/%s/workflow", w.done)), 200, NULL);
    expect(seen(d, "bob", text("/uploads/%s", w.hash)), 200, NULL);
    expect(by(d, "bob", "POST", "/jobs", sleep_body("g", 1, q(",'after':['%s']", w.runs))), 202,
           NULL);
    expect(by(d, "bob", "POST", text("/jobs/%s/cancel", w.waits), ""), 200, NULL);
    expect(seen(d, "bob", text("/profiles/compare?base=%s&target=%s", w.done, w.mine)), 200, NULL);
    CHECK(json_array_size(at(seen(d, "bob", "/jobs")->json, "jobs")) == 7);
}
END_TEST

/* ---- lists, sums and comparisons ------------------------------------------------------------- */

/* None of alice's is named. */
static void names_none(const struct answer *a)
{
    const char *const hers[] = {w.done, w.runs, w.waits, w.batch};
    CHECK(a->status == 200);
    for (size_t i = 0; i < sizeof hers / sizeof *hers; i++) {
        CHECK(strstr(a->body, hers[i]) == NULL, "%s", a->body);
    }
}

/* The jobs of all pages; *ret_pages: how many there are. */
static size_t count_pages(const char *who, const char *path, size_t *ret_pages)
{
    size_t n = 0;
    const char *cursor = "";
    *ret_pages = 0;
    do {
        json_t *page = seen(w.d, who,
                            text("%s%climit=2%s%s", path, strchr(path, '?') == NULL ? '?' : '&',
                                 *cursor == '\0' ? "" : "&cursor=", cursor))
                           ->json;
        n += json_array_size(at(page, "jobs"));
        cursor = str_at(page, "nextCursor");
        (*ret_pages)++;
    } while (*cursor != '\0');
    return n;
}

START_TEST(test_lists)
{
    make_world("");
    struct daemon *d = w.d;
    for (int i = 0; i < 4; i++) {
        (void)submit_by(d, "bob", sleep_body("g", 1, ""));
        (void)submit_by(d, "alice", sleep_body("h", 1, ""));
    }
    size_t pages = 0;
    CHECK(count_pages("bob", "/jobs", &pages) == 5 && pages == 3, "%zu pages", pages);
    CHECK(count_pages("bob", "/jobs?state=queued,running", &pages) == 4 && pages <= 3);
    CHECK(count_pages("bob", "/jobs?state=failed", &pages) == 0);
    CHECK(count_pages("alice", "/jobs", &pages) == 9);
    CHECK(count_pages("reader", "/jobs", &pages) == 14);
    CHECK(count_pages("bob", text("/jobs?batch=%s", w.batch), &pages) == 0);
    CHECK(count_pages("alice", text("/jobs?batch=%s", w.batch), &pages) == 2);
    names_none(seen(d, "bob", "/jobs"));
    names_none(seen(d, "bob", "/profiles"));
    names_none(seen(d, "bob", "/profiles?format=csv"));
    names_none(seen(d, "bob", "/webhooks/deliveries"));
    json_t *stats = seen(d, "bob", "/stats")->json;
    CHECK(num_at(stats, "jobs.completed") == 2 && num_at(stats, "jobs.queued") == 11);
}
END_TEST

START_TEST(test_comparisons)
{
    struct sim *s = sim_plain();
    struct daemon *d = daemon_for(s, "");
    const char *a[3];
    const char *b[2];
    for (int i = 0; i < 3; i++) {
        a[i] = submit_by(d, "alice", sleep_body(text("a%d", i), 3, ""));
        (void)ends(d, "alice", a[i]);
    }
    for (int i = 0; i < 2; i++) {
        b[i] = submit_by(d, "bob", sleep_body(text("b%d", i), 3, ""));
        (void)ends(d, "bob", b[i]);
    }
    static const char compare[] = "/profiles/compare?base=%s&target=%s";
    expect(seen(d, "bob", text(compare, a[0], b[0])), 404, "job_not_found");
    expect(seen(d, "bob", text(compare, b[0], a[0])), 404, "job_not_found");
    expect(seen(d, "bob", text(compare, "baseline", a[0])), 404, "job_not_found");
    expect(seen(d, "bob", text(compare, b[0], b[1])), 200, NULL);
    expect(seen(d, "reader", text(compare, a[0], b[0])), 200, NULL);
    const struct answer *own = seen(d, "bob", text(compare, "baseline", b[1]));
    CHECK(own->status == 200 && strstr(own->body, b[0]) != NULL, "%s", own->body);
    for (int i = 0; i < 3; i++) {
        CHECK(strstr(own->body, a[i]) == NULL, "a run of another's: %s", own->body);
    }
    json_t *sums = seen(d, "bob", "/profiles/summary?groupBy=workflow")->json;
    CHECK(json_array_size(at(sums, "groups")) == 1 && num_at(sums, "groups.0.count") == 2);
    sums = seen(d, "reader", "/profiles/summary?groupBy=workflow")->json;
    CHECK(num_at(sums, "groups.0.count") == 5);
    const struct answer *all = seen(d, "reader", text(compare, "baseline", b[1]));
    CHECK(strstr(all->body, a[0]) != NULL, "%s", all->body);
}
END_TEST

/* ---- streams --------------------------------------------------------------------------------- */

static bool tells_of(const struct sse *s, const char *id)
{
    bool found = false;
    for (size_t i = 0; i < s->len && !found; i++) {
        char *data = json_dumps(s->list[i].data, JSON_COMPACT);
        found = strstr(data, id) != NULL;
        free(data);
    }
    return found;
}

START_TEST(test_streams)
{
    make_world("");
    struct daemon *d = w.d;
    struct sse *mine = sse_open_by(d, token_of("bob"), NULL, "/events?previews=1");
    struct sse *hers = sse_open_by(d, token_of("alice"), NULL, "/events");
    struct sse *all = sse_open_by(d, token_of("reader"), NULL, "/events");
    (void)sse_await(mine, "snapshot");
    (void)sse_await(hers, "snapshot");
    (void)sse_await(all, "snapshot");
    const char *first = text("%s", sse_last_id(all));
    expect(by(d, "alice", "POST", text("/batches/%s/cancel", w.batch), ""), 200, NULL);
    (void)sse_await(hers, "batch:completed");
    expect(by(d, "alice", "POST", text("/jobs/%s/cancel", w.runs), ""), 200, NULL);
    char *id = submit_by(d, "bob", sleep_body("z", 1, ""));
    (void)sse_await_of(mine, "job:completed", NULL);
    (void)ends(d, "bob", id);
    CHECK(tells_of(mine, id) && !tells_of(mine, w.runs) && !tells_of(mine, w.batch) &&
          !tells_of(mine, w.waits));
    CHECK(tells_of(hers, w.runs) && tells_of(hers, w.batch) && tells_of(hers, w.waits));
    (void)sse_await(all, "batch:completed");
    CHECK(tells_of(all, w.batch) && tells_of(all, w.runs));
    struct sse *back = sse_open_by(d, token_of("bob"), first, "/events");
    (void)sse_await(back, "job:completed");
    CHECK(tells_of(back, id) && !tells_of(back, w.runs) && !tells_of(back, w.batch));
}
END_TEST

/* ---- tokens that are taken back -------------------------------------------------------------- */

/* A request of alice's job that waits. */
static int waits_by(struct daemon *d, const char *who, const char *id)
{
    const int fd = raw_open(d->port);
    const char *request = text("GET /jobs/%s?wait=300 HTTP/1.1\r\nHost: localhost\r\n"
                               "Authorization: Bearer %s\r\nConnection: close\r\n\r\n",
                               id, token_of(who));
    raw_send(fd, request, strlen(request));
    return fd;
}

static void is_over(struct sse *s)
{
    while (sse_next(s) != NULL) {
    }
    CHECK(s->is_cut, "it must not look like the end of its job");
}

static void reloads(struct daemon *d, const char *content)
{
    (void)write_file("tokens", content);
    (void)kill(d->pid, SIGHUP);
    AWAIT(strstr(read_file(d->err), "the tokens were reloaded") != NULL);
}

/* alice's is gone, bob's has another name now, boss may only read. */
static const char fewer_tokens[] =
    "bobby:submit:4c8fb71701418ca87ba222646e9cd067b68246a0410168f8810464f18166601d\n"
    "reader:read:9332e4d370fdc6184f1ef7e57a1c90214087b78c3a97644faf3d2b2841d6ceef\n"
    "boss:read:e411664b325b64e876022022e7cd7f98feaffce37ce4573e31a423439f13b3db\n";

START_TEST(test_tokens_taken_back)
{
    make_world("");
    struct daemon *d = w.d;
    char *job = text("/jobs/%s/events", w.runs);
    struct sse *gone[] = {sse_open_by(d, token_of("alice"), NULL, "/events"),
                          sse_open_by(d, token_of("alice"), NULL, job),
                          sse_open_by(d, token_of("bob"), NULL, "/events")};
    struct sse *stay[] = {sse_open_by(d, token_of("reader"), NULL, "/events"),
                          sse_open_by(d, token_of("boss"), NULL, job)};
    for (size_t i = 0; i < 3; i++) {
        (void)sse_await(gone[i], "snapshot");
    }
    for (size_t i = 0; i < 2; i++) {
        (void)sse_await(stay[i], "snapshot");
    }
    const int waits[] = {waits_by(d, "alice", w.runs), waits_by(d, "reader", w.runs)};
    AWAIT(num_at(seen(d, "reader", "/stats")->json, "http.waits") == 2);
    reloads(d, fewer_tokens);
    for (size_t i = 0; i < 3; i++) {
        is_over(gone[i]);
    }
    struct answer *refused = raw_answer(waits[0]);
    expect(refused, 401, "unauthorized");
    CHECK(strstr(header_of(refused, "WWW-Authenticate"), "invalid_token") != NULL);
    expect(seen(d, "alice", "/events"), 401, "unauthorized");
    CHECK(num_at(seen(d, "reader", "/stats")->json, "http.waits") == 1);
    sim_kill(w.s); /* the others are told what happens */
    (void)sse_await(stay[0], "backend:state");
    CHECK(!stay[1]->ended);
    (void)close(waits[1]);
}
END_TEST

/* The daemon has taken a request that is not answered: it counts one more than were asked here. */
static bool is_taken(struct daemon *d, double *asked)
{
    *asked += 1;
    return num_at(seen(d, "reader", "/stats")->json, "http.requests") == *asked + 1;
}

/* The request waits for a server, and its stream would begin when the token is gone. */
START_TEST(test_token_taken_back_before_the_stream)
{
    struct sim *s = sim_plain();
    struct daemon *d = daemon_for(s, "");
    const char *id = submit_by(d, "alice",
                               q("{'workflow':{'1':{'class_type':'SaveImage','inputs':{'_file':"
                                 "'big-1.bin','_ms':0}}}}"));
    CHECK(strcmp(ends(d, "alice", id), "completed") == 0);
    const char *request = text("GET /jobs/%s/outputs/0 HTTP/1.1\r\nHost: localhost\r\n"
                               "Authorization: Bearer %s\r\nConnection: close\r\n\r\n",
                               id, token_of("alice"));
    (void)kill(s->pid, SIGSTOP);
    double asked = num_at(seen(d, "reader", "/stats")->json, "http.requests");
    const int fd = raw_open(d->port);
    raw_send(fd, request, strlen(request));
    AWAIT(is_taken(d, &asked));
    reloads(d, fewer_tokens);
    (void)kill(s->pid, SIGCONT);
    expect(raw_answer(fd), 401, "unauthorized");
}
END_TEST

/* Told 401, she would send it again. */
START_TEST(test_token_taken_back_behind_a_submission)
{
    struct sim *s = sim_plain();
    struct daemon *d = daemon_for(s, "");
    const char *body = sleep_body("a", 600, "");
    const char *request = text("POST /jobs?wait=60 HTTP/1.1\r\nHost: localhost\r\n"
                               "Authorization: Bearer %s\r\nContent-Length: %zu\r\n"
                               "Connection: close\r\n\r\n%s",
                               token_of("alice"), strlen(body), body);
    const int fd = raw_open(d->port);
    raw_send(fd, request, strlen(request));
    AWAIT(num_at(seen(d, "reader", "/stats")->json, "http.waits") == 1);
    reloads(d, fewer_tokens);
    struct answer *a = raw_answer(fd);
    expect(a, 200, NULL);
    CHECK(strcmp(str_at(a->json, "state"), "completed") == 0, "%s", a->body);
}
END_TEST

/* ---- bodies ---------------------------------------------------------------------------------- */

static char *loading(const char *more)
{
    return q("{'workflow':{'1':{'class_type':'LoadImage','inputs':{'image':'x.png'}},"
             "'2':{'class_type':'SaveImage','inputs':{'images':['1',0]}}},%s}",
             more);
}

/* What names hers is refused as what names nothing. */
static void refused_alike(const char *more, const char *none)
{
    static const char *const paths[] = {"/jobs", "/jobs?dryRun=1", "/batches"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        const char *batch = i == 2 ? ",'overrides':[{'1.image':'y.png'}]" : "";
        const struct answer *a =
            by(w.d, "bob", "POST", paths[i], loading(text("%s%s", more, batch)));
        const struct answer *b =
            by(w.d, "bob", "POST", paths[i], loading(text("%s%s", none, batch)));
        CHECK(a->status == 404 && strcmp(a->body, b->body) == 0, "%s %s: %s and %s", paths[i], more,
              a->body, b->body);
    }
}

START_TEST(test_bodies)
{
    make_world("");
    static const char never[] = "01900000-0000-7000-8000-0123456789ab";
    static const char output[] =
        "'attachments':[{'nodeId':'1','inputName':'image','job':'%s','output':0}]";
    static const char upload[] = "'attachments':[{'nodeId':'1','inputName':'image','upload':'%s'}]";
    refused_alike(text("'after':['%s']", w.done), text("'after':['%s']", never));
    refused_alike(text("'after':['%s']", w.runs), text("'after':['%s']", never));
    refused_alike(text(output, w.done), text(output, never));
    refused_alike(text(output, w.runs), text(output, never));
    refused_alike(text(upload, w.hash), text(upload, text("%064d", 7)));
    /* One key, two clients. */
    const char *key = "Idempotency-Key: order-1";
    const char *body = sleep_body("k", 1, "");
    const struct answer *a = with(w.d, "alice", "POST", "/jobs", key, body);
    const struct answer *b = with(w.d, "bob", "POST", "/jobs", key, body);
    CHECK(a->status == 202 && b->status == 202 &&
          strcmp(str_at(a->json, "id"), str_at(b->json, "id")) != 0);
}
END_TEST

/* A token that submitted for others, and then is given a smaller role. */
START_TEST(test_a_smaller_role)
{
    struct sim *s = sim_plain();
    struct daemon *d = daemon_for(s, "");
    const char *key = "Idempotency-Key: k";
    const char *body = sleep_body("a", 1, q(",'client':'alice'"));
    expect(with(d, "boss", "POST", "/jobs", key, body), 202, NULL);
    char *smaller = text("%s", tokens);
    char *role = strstr(smaller, "boss:operate");
    memmove(role + 11, role + 12, strlen(role + 12) + 1);
    memcpy(role, "boss:submit", 11);
    (void)write_file("tokens", smaller);
    daemon_stop(d);
    d = DAEMON(.config = text("backends:\n  - {name: s0, url: '%s'}\n"
                              "auth: {tokensFile: '%s'}\n",
                              s->url, path_of("tokens")));
    expect(with(d, "boss", "POST", "/jobs", key, body), 404, "job_not_found");
}
END_TEST

/* ---- uploads --------------------------------------------------------------------------------- */

/* PUT with Expect: 100-continue. 100: the bytes are asked for. */
static long put_status(struct daemon *d, const char *who, const char *hash, size_t length)
{
    char *head = text("PUT /uploads/%s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n"
                      "Content-Length: %zu\r\nExpect: 100-continue\r\n\r\n",
                      hash, token_of(who), length);
    int fd = raw_open(d->port);
    raw_send(fd, head, strlen(head));
    char line[16] = "";
    size_t n = 0;
    while (n < 12) { /* "HTTP/1.1 100" */
        const ssize_t got = read(fd, line + n, 12 - n);
        CHECK(got > 0);
        n += (size_t)got;
    }
    (void)close(fd);
    return strtol(line + 9, NULL, 10);
}

static long put_bytes(struct daemon *d, const char *who, const char *hash, const char *bytes)
{
    return ask(d, "PUT", text("/uploads/%s", hash),
               text("Authorization: Bearer %s\nContent-Type: a/b", token_of(who)), bytes)
        ->status;
}

static long opened(struct daemon *d, const char *who, const char *hash)
{
    return seen(d, who, text("/uploads/%s", hash))->status;
}

START_TEST(test_a_hash_opens_nothing)
{
    struct sim *s = sim_plain();
    struct daemon *d = daemon_for(s, "");
    static const char bytes[] = FILE_OF_ALICE;
    char *hash = upload_by(d, "alice", bytes);
    CHECK(put_status(d, "alice", hash, sizeof bytes - 1) == 200);
    CHECK(put_status(d, "bob", hash, sizeof bytes - 1) == 100);
    CHECK(put_status(d, "boss", hash, sizeof bytes - 1) == 200);
    CHECK(put_bytes(d, "bob", hash, "other bytes") == 422 && opened(d, "bob", hash) == 404);
    CHECK(put_bytes(d, "bob", hash, bytes) == 201 && opened(d, "bob", hash) == 200);
    daemon_kill(d);
    d = daemon_for(s, "");
    CHECK(put_status(d, "bob", hash, sizeof bytes - 1) == 200, "who sent it is durable");
    /* Each forgets for itself. */
    expect(by(d, "alice", "DELETE", text("/uploads/%s", hash), NULL), 204, NULL);
    CHECK(opened(d, "alice", hash) == 404 && opened(d, "bob", hash) == 200);
    CHECK(put_status(d, "alice", hash, sizeof bytes - 1) == 100);
    daemon_kill(d);
    d = daemon_for(s, "");
    CHECK(opened(d, "alice", hash) == 404 && opened(d, "bob", hash) == 200);
    expect(by(d, "bob", "DELETE", text("/uploads/%s", hash), NULL), 204, NULL);
    CHECK(opened(d, "boss", hash) == 404, "it went with its last owner");
}
END_TEST

enum { FILES_AT_ONCE = 40 };

/* Requests of alice's on one connection, each sent before the one before it was answered; the
   daemon is killed as soon as the last one was. */
static void kill_after(struct daemon *d, char *requests[FILES_AT_ONCE], const char *status)
{
    char *answer = text("HTTP/1.1 %s", status);
    const int fd = raw_open(d->port);
    for (size_t i = 0; i < FILES_AT_ONCE; i++) {
        raw_send(fd, requests[i], strlen(requests[i]));
    }
    static char got[1 << 16];
    size_t n = 0;
    size_t answers = 0;
    for (const char *at = got; answers < FILES_AT_ONCE;) {
        const char *next = strstr(at, answer);
        if (next != NULL) {
            answers++;
            at = next + strlen(answer);
            continue;
        }
        const ssize_t more = read(fd, got + n, sizeof got - 1 - n);
        CHECK(more > 0, "%zu of the answers came", answers);
        n += (size_t)more;
        got[n] = '\0';
    }
    daemon_kill(d);
    (void)close(fd);
}

/* 201 and 204 are promises, as 202 is. */
START_TEST(test_what_was_answered_outlives_a_kill)
{
    struct sim *s = sim_plain();
    struct daemon *d = daemon_for(s, "");
    char *hashes[FILES_AT_ONCE];
    char *requests[FILES_AT_ONCE];
    for (size_t i = 0; i < FILES_AT_ONCE; i++) {
        hashes[i] = upload_by(d, "bob", text("file %02zu", i));
        requests[i] = text("PUT /uploads/%s HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                           "Authorization: Bearer %s\r\nContent-Length: 7\r\n\r\nfile %02zu",
                           hashes[i], token_of("alice"), i);
    }
    kill_after(d, requests, "201");
    d = daemon_for(s, "");
    for (size_t i = 0; i < FILES_AT_ONCE; i++) {
        CHECK(opened(d, "alice", hashes[i]) == 200, "file %zu", i);
        requests[i] = text("DELETE /uploads/%s HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                           "Authorization: Bearer %s\r\n\r\n",
                           hashes[i], token_of("alice"));
    }
    kill_after(d, requests, "204");
    d = daemon_for(s, "");
    for (size_t i = 0; i < FILES_AT_ONCE; i++) {
        CHECK(opened(d, "alice", hashes[i]) == 404, "file %zu", i);
        CHECK(opened(d, "bob", hashes[i]) == 200, "file %zu", i);
    }
}
END_TEST

/* Base64 in a body, and a part of a form, are bytes too. */
START_TEST(test_all_ways_of_sending)
{
    struct sim *s = sim_plain();
    struct daemon *d = daemon_for(s, "");
    char *hash = upload_by(d, "alice", "hello, file");
    static const char data[] =
        "'attachments':[{'nodeId':'1','inputName':'image','data':'aGVsbG8sIGZpbGU='}]";
    CHECK(opened(d, "bob", hash) == 404);
    (void)submit_by(d, "bob", loading(data));
    CHECK(opened(d, "bob", hash) == 200);
    char *other = "d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa"; /* "other" */
    const char *form =
        text("--x\r\nContent-Disposition: form-data; name=\"job\"\r\n\r\n%s\r\n--x\r\n"
             "Content-Disposition: form-data; name=\"p\"; filename=\"p.png\"\r\n\r\nother\r\n"
             "--x--\r\n",
             loading("'attachments':[{'nodeId':'1','inputName':'image','part':'p'}]"));
    expect(ask(d, "POST", "/jobs",
               text("Authorization: Bearer %s\nContent-Type: multipart/form-data; boundary=x",
                    token_of("bob")),
               form),
           202, NULL);
    CHECK(opened(d, "bob", other) == 200 && opened(d, "alice", other) == 404);
}
END_TEST

/* What one has deleted while another's job needs it goes when that has ended. */
START_TEST(test_forgotten_while_needed)
{
    struct sim *s = sim_plain();
    struct daemon *d = daemon_for(s, "");
    char *hash = upload_by(d, "alice", FILE_OF_ALICE);
    char *blocker = submit_by(d, "bob", sleep_body("a", 600000, ""));
    const char *use =
        text("'attachments':[{'nodeId':'1','inputName':'image','upload':'%s'}]", hash);
    char *job = submit_by(d, "boss", loading(text("%s,'client':'bob'", use)));
    char *own = submit_by(d, "alice", loading(use));
    expect(by(d, "alice", "DELETE", text("/uploads/%s", hash), NULL), 409, "job_active");
    expect(by(d, "alice", "POST", text("/jobs/%s/cancel", own), ""), 200, NULL);
    (void)ends(d, "alice", own);
    expect(by(d, "alice", "DELETE", text("/uploads/%s", hash), NULL), 204, NULL);
    CHECK(opened(d, "alice", hash) == 404 && opened(d, "boss", hash) == 200);
    expect(by(d, "bob", "POST", text("/jobs/%s/cancel", blocker), ""), 200, NULL);
    CHECK(strcmp(ends(d, "bob", job), "completed") == 0);
    AWAIT(opened(d, "boss", hash) == 404);
}
END_TEST

/* Another try of a job tells nobody that somebody else has its file, too. */
START_TEST(test_try_again_without_the_file)
{
    struct sim *s = sim_plain();
    struct daemon *d = daemon_for(s, "");
    expect(by(d, "boss", "POST", "/queue/pause", ""), 200, NULL);
    const char *answers[2];
    for (int i = 0; i < 2; i++) {
        char *hash = upload_by(d, "alice", text("file %d", i));
        CHECK(i == 1 || upload_by(d, "bob", "file 0") != NULL);
        char *job = submit_by(
            d, "alice",
            loading(
                text("'attachments':[{'nodeId':'1','inputName':'image','upload':'%s'}]", hash)));
        expect(by(d, "alice", "POST", text("/jobs/%s/cancel", job), ""), 200, NULL);
        (void)ends(d, "alice", job);
        expect(by(d, "alice", "DELETE", text("/uploads/%s", hash), NULL), 204, NULL);
        struct answer *a = by(d, "alice", "POST", text("/jobs/%s/retry", job), "");
        expect(a, 409, "job_not_retriable");
        answers[i] = text("%s", a->body);
        /* Who sees all tries again with what is there. */
        expect(by(d, "boss", "POST", text("/jobs/%s/retry", job), ""), i == 0 ? 202 : 409, NULL);
    }
    CHECK(strcmp(answers[0], answers[1]) == 0);
}
END_TEST

/* Nor does it at a server: there the file has a name that nobody can guess, and keeps it. */
START_TEST(test_names_at_servers)
{
    struct sim *s = sim_plain();
    struct daemon *d = daemon_for(s, "");
    char *hash = upload_by(d, "alice", FILE_OF_ALICE);
    const char *use =
        text("'attachments':[{'nodeId':'1','inputName':'image','upload':'%s'}]", hash);
    const char *names[2];
    for (int i = 0; i < 2; i++) {
        char *id = submit_by(d, "alice", loading(use));
        CHECK(strcmp(ends(d, "alice", id), "completed") == 0);
        json_t *history = sim_get(s, "/history?max_items=1");
        json_t *prompt =
            json_array_get(at(json_object_iter_value(json_object_iter(history)), "prompt"), 2);
        names[i] = text("%s", str_at(prompt, "1.inputs.image"));
        CHECK(strlen(names[i]) == strlen("comfypool/") + 32 && strstr(hash, names[i] + 10) == NULL);
        daemon_stop(d);
        d = daemon_for(s, "");
    }
    CHECK(strcmp(names[0], names[1]) == 0);
}
END_TEST

static const struct named_test tests[] = {
    {"another's is never was", &test_another_is_never_was, 0},
    {"roles", &test_roles, 0},
    {"shared", &test_shared, 0},
    {"lists", &test_lists, 0},
    {"comparisons", &test_comparisons, 0},
    {"streams", &test_streams, 0},
    {"tokens taken back", &test_tokens_taken_back, 0},
    {"before the stream", &test_token_taken_back_before_the_stream, 0},
    {"a token taken back behind a submission", &test_token_taken_back_behind_a_submission, 0},
    {"bodies", &test_bodies, 0},
    {"a smaller role", &test_a_smaller_role, 0},
    {"a hash opens nothing", &test_a_hash_opens_nothing, 0},
    {"what was answered outlives a kill", &test_what_was_answered_outlives_a_kill, 0},
    {"all ways of sending", &test_all_ways_of_sending, 0},
    {"names at servers", &test_names_at_servers, 0},
    {"forgotten while needed", &test_forgotten_while_needed, 0},
    {"try again without the file", &test_try_again_without_the_file, 0},
};

Suite *walls_suite(void)
{
    return SUITE("walls", 120, tests);
}
