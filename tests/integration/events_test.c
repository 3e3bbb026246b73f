/*
 * Server-sent events: what a job's stream and that of all jobs tell, in which order, what a reader
 * that comes back is given, and who is dropped. The reader (sse.h) checks what holds of each event.
 */
#include "sse.h"

#include <stdio.h>
#include <signal.h>
#include <string.h>

#include "suites.h"

#define NOWHERE "00000000-0000-7000-8000-000000000000"

/* A node with steps, then one that writes a file. */
static char *painter(const char *tag, int ms, int steps, const char *more)
{
    return q("{'workflow':{'4':{'class_type':'KSampler','inputs':{'_ms':%d,'_steps':%d,'_tag':'%s'"
             "%s}},'9':{'class_type':'SaveImage','inputs':{'images':['4',0],'_ms':5}}}}",
             ms, steps, tag, more);
}

/* Submitted while the queue stands still: its stream tells everything. */
static char *submit_watched(struct daemon *d, const char *body, const char *query,
                            struct sse **ret_stream)
{
    expect(post(d, "/queue/pause", ""), 200, NULL);
    char *id = submit(d, body);
    *ret_stream = sse_open(d, NULL, "/jobs/%s/events%s", id, query);
    CHECK(sse_is(sse_next(*ret_stream), "snapshot"), "a snapshot comes first");
    expect(post(d, "/queue/resume", ""), 200, NULL);
    return id;
}

/* Of these types, in their order: "a b c". */
static char *order_of(const struct sse *s, bool (*wanted)(const struct told *))
{
    char *all = text("%s", "");
    for (size_t i = 0; i < s->len; i++) {
        if (wanted(&s->list[i])) {
            all = text("%s%s%s", all, *all == '\0' ? "" : " ", s->list[i].type);
        }
    }
    return all;
}

static bool is_durable(const struct told *t)
{
    return *t->id != '\0';
}

/* A node that another one expanded into is told as what it is displayed as, too. */
START_TEST(test_displayed)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    await_ready(d);
    struct sse *stream = NULL;
    (void)submit_watched(d,
                         q("{'workflow':{'8':{'class_type':'T_Expand','inputs':{'_ms':10,"
                           "'_expand':2,'_child_ms':5}},"
                           "'9':{'class_type':'T_SleepOut','inputs':{'a':['8',0],'_ms':1}}}}"),
                         "?types=job:node", &stream);
    sse_drain(stream);
    int inner = 0;
    for (size_t i = 0; i < stream->len; i++) {
        json_t *data = stream->list[i].data;
        const bool is_inner = strncmp(str_at(data, "nodeId"), "8.", 2) == 0;
        CHECK(strcmp(str_at(data, "displayNodeId"), is_inner ? "8" : "") == 0, "node %s",
              str_at(data, "nodeId"));
        inner += is_inner;
    }
    CHECK(inner == 4, "two nodes begin and end: %d", inner);
}
END_TEST

static const struct told *last_of(const struct sse *s)
{
    CHECK(s->len > 0, "it told nothing");
    return &s->list[s->len - 1];
}

/* ---- one job --------------------------------------------------------------------------------- */

static void check_nodes(const struct sse *s)
{
    static const char *const expected[][2] = {
        {"4", "executing"}, {"4", "completed"}, {"9", "executing"}, {"9", "completed"}};
    size_t n = 0;
    for (size_t i = 0; i < s->len; i++) {
        json_t *data = s->list[i].data;
        if (sse_is(&s->list[i], "job:node")) {
            CHECK(n < 4 && strcmp(str_at(data, "nodeId"), expected[n][0]) == 0 &&
                      strcmp(str_at(data, "status"), expected[n][1]) == 0,
                  "node event %zu: %s %s", n, str_at(data, "nodeId"), str_at(data, "status"));
            n++;
        } else if (sse_is(&s->list[i], "job:progress") &&
                   strcmp(str_at(data, "nodeId"), "4") == 0) {
            CHECK(n == 1, "while it runs");
        } else if (sse_is(&s->list[i], "job:started")) {
            CHECK(n == 0, "before the first node");
        }
    }
    CHECK(n == 4);
}

static void check_completed(struct daemon *d, const char *id, json_t *data)
{
    json_t *p = at(data, "profileStats");
    CHECK(p != NULL && strcmp(str_at(data, "state"), "completed") == 0);
    CHECK(!has(data, "outputs"), "outputs are told by job:output");
    json_t *whole = json_deep_copy(profile_of(d, id));
    json_t *nodes = at(whole, "nodes");
    CHECK(has(json_array_get(nodes, 0), "progressEvents"), "the profile itself has them");
    for (size_t i = 0; i < json_array_size(nodes); i++) {
        (void)json_object_del(json_array_get(nodes, i), "progressEvents");
    }
    CHECK(json_equal(p, whole), "the profile without progressEvents: %s",
          json_dumps(p, JSON_COMPACT));
    json_decref(whole);
}

START_TEST(test_job)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    await_ready(d);
    struct sse *stream = NULL;
    char *id = submit_watched(d, painter("a", 400, 4, ""), "", &stream);
    CHECK(strcmp(str_at(stream->list[0].data, "job.id"), id) == 0 &&
          strcmp(str_at(stream->list[0].data, "job.state"), "queued") == 0);
    sse_drain(stream);
    CHECK(strcmp(order_of(stream, is_durable),
                 "snapshot job:accepted job:started job:output job:completed") == 0,
          "%s", order_of(stream, is_durable));
    CHECK(sse_is(last_of(stream), "job:completed"), "it ends after the end");
    for (size_t i = 1; i < stream->len; i++) {
        CHECK(strcmp(str_at(stream->list[i].data, "jobId"), id) == 0, "%s", stream->list[i].type);
    }
    check_nodes(stream);
    CHECK(sse_count(stream, "job:progress") >= 3);
    stream->at = 0;
    json_t *progress = sse_await(stream, "job:progress")->data;
    CHECK(strcmp(str_at(progress, "nodeId"), "4") == 0 && num_at(progress, "max") == 4);
    json_t *output = sse_await(stream, "job:output")->data;
    CHECK(strcmp(str_at(output, "nodeId"), "9") == 0 && !has(output, "ui") &&
              json_array_size(at(output, "files")) == 1 && *str_at(output, "files.0.name") != '\0',
          "files: %s", json_dumps(output, 0));
    check_completed(d, id, sse_await(stream, "job:completed")->data);
}
END_TEST

START_TEST(test_ended_job)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    char *id = text("%s", str_at(run_job(d, painter("a", 1, 1, "")), "id"));
    struct sse *stream = sse_open(d, NULL, "/jobs/%s/events", id);
    sse_drain(stream);
    CHECK(stream->len == 1 && sse_is(last_of(stream), "snapshot"));
    CHECK(strcmp(str_at(last_of(stream)->data, "job.state"), "completed") == 0);
    /* What it missed, then the same. */
    char *start = text("%.*s", (int)strcspn(last_of(stream)->id, "-"), last_of(stream)->id);
    stream = sse_open(d, text("%s-0", start), "/jobs/%s/events", id);
    sse_drain(stream);
    CHECK(strcmp(order_of(stream, is_durable),
                 "job:queued job:accepted job:started job:output job:completed snapshot") == 0,
          "%s", order_of(stream, is_durable));
    CHECK(stream->len == 6, "what nobody keeps is not told again");
    check_completed(d, id, stream->list[4].data);
    /* Its end was not told yet. */
    struct sse *late = sse_open(d, stream->list[3].id, "/jobs/%s/events", id);
    sse_drain(late);
    CHECK(strcmp(order_of(late, is_durable), "job:completed snapshot") == 0);
    /* It was, by itself or in the snapshot: nothing will come, and EventSource ends. */
    (void)run_job(d, painter("b", 1, 1, ""));
    for (size_t i = 4; i < 6; i++) {
        struct answer *a = ask(d, "GET", text("/jobs/%s/events", id),
                               text("Last-Event-ID: %s", stream->list[i].id), NULL);
        CHECK(a->status == 204 && a->len == 0, "event %zu: %ld", i, a->status);
    }
    /* Who does not know the end yet, and knows nothing that is kept, comes to the same. */
    stream = sse_open(d, "1-1", "/jobs/%s/events", id);
    sse_drain(stream);
    struct answer *a = ask(d, "GET", text("/jobs/%s/events", id),
                           text("Last-Event-ID: %s", last_of(stream)->id), NULL);
    CHECK(a->status == 204);
}
END_TEST

/* Nothing stands behind the headers, and the connection ends, or goes on with the next answer. */
START_TEST(test_head)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    char *ended = text("%s", str_at(run_job(d, painter("a", 1, 1, "")), "id"));
    char *runs = submit(d, painter("b", 60000, 1, ""));
    const char *const paths[] = {
        "/events",   text("/jobs/%s/events", ended), text("/jobs/%s/events", runs),
        "/profiles", "/profiles?format=csv",         text("/jobs/%s/profile", ended)};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        for (int closes = 0; closes < 2; closes++) {
            const int fd = raw_open(d->port);
            const char *both = text("HEAD %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n"
                                    "%s",
                                    paths[i], closes ? "Connection: close\r\n" : "",
                                    closes ? ""
                                           : "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
                                             "Connection: close\r\n\r\n");
            raw_send(fd, both, strlen(both));
            struct answer *a = raw_answer(fd);
            CHECK(a != NULL && a->status == 200, "%s", paths[i]);
            CHECK(*a->body == '\0' || (!closes && strncmp(a->body, "HTTP/1.1 200 ", 13) == 0),
                  "%s: behind its headers: %s", paths[i], a->body);
        }
    }
}
END_TEST

START_TEST(test_unprofiled_job)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = true);
    await_ready(d);
    struct sse *stream = NULL;
    (void)submit_watched(d, painter("a", 200, 4, ""), "", &stream);
    sse_drain(stream);
    CHECK(strcmp(order_of(stream, is_durable),
                 "snapshot job:accepted job:started job:output job:completed") == 0);
    CHECK(!has(last_of(stream)->data, "profileStats"));
    check_nodes(stream);
}
END_TEST

/* A job with a cached node and one with a failed one. */
START_TEST(test_node_states)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .config = "jobs: {maxAttempts: 1}\n");
    await_ready(d);
    struct sse *stream = NULL;
    (void)submit_watched(
        d,
        q("{'1':{'class_type':'T_Sleep','inputs':{'_ms':5,'_cached':true}},"
          "'2':{'class_type':'T_SleepOut','inputs':{'a':['1',0],'_ms':5,'_error':'broken'}}}"),
        "?types=job:node,job:failed", &stream);
    sse_drain(stream);
    CHECK(stream->len == 5 && sse_is(last_of(stream), "job:failed"), "%zu", stream->len);
    static const char *const expected[][2] = {{"1", "cached"}, {"2", "executing"}, {"2", "failed"}};
    for (size_t i = 0; i < 3; i++) {
        json_t *data = stream->list[i + 1].data;
        CHECK(strcmp(str_at(data, "nodeId"), expected[i][0]) == 0 &&
                  strcmp(str_at(data, "status"), expected[i][1]) == 0,
              "%zu: %s %s", i, str_at(data, "nodeId"), str_at(data, "status"));
    }
    json_t *error = at(last_of(stream)->data, "error");
    CHECK(strcmp(str_at(error, "code"), "node_failed") == 0 &&
          strcmp(str_at(error, "nodeId"), "2") == 0);
}
END_TEST

/* ---- the other ends -------------------------------------------------------------------------- */

START_TEST(test_cancelled)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    await_ready(d);
    struct sse *stream = NULL;
    char *id = submit_watched(d, sleep_body("a", 60000, ""), "", &stream);
    (void)sse_await(stream, "job:started");
    (void)cancel(d, id);
    sse_drain(stream);
    CHECK(sse_is(last_of(stream), "job:cancelled"));
    CHECK(strcmp(str_at(last_of(stream)->data, "state"), "cancelled") == 0 &&
          !has(last_of(stream)->data, "profileStats"));
    /* In the queue, at once. */
    expect(post(d, "/queue/pause", ""), 200, NULL);
    id = submit(d, sleep_body("b", 1, ""));
    stream = sse_open(d, NULL, "/jobs/%s/events", id);
    (void)sse_await(stream, "snapshot");
    (void)cancel(d, id);
    sse_drain(stream);
    CHECK(stream->len == 2 && sse_is(last_of(stream), "job:cancelled"));
}
END_TEST

START_TEST(test_retrying)
{
    struct sim *s = sim_start("--fault", "refuse@1:100", NULL);
    struct daemon *d = DAEMON(.sims = {s}, .config = "jobs: {retryDelayMs: 20}\n");
    await_ready(d);
    struct sse *stream = NULL;
    char *id = submit_watched(d, sleep_body("a", 10, ""), "", &stream);
    sse_drain(stream);
    CHECK(sse_count(stream, "job:retrying") == 1 && sse_is(last_of(stream), "job:completed"));
    stream->at = 0;
    json_t *data = sse_await(stream, "job:retrying")->data;
    CHECK(num_at(data, "failedAttempt.attempt") == 1 &&
              strcmp(str_at(data, "failedAttempt.backend"), "s0") == 0 &&
              *str_at(data, "failedAttempt.outcome") != '\0' && num_at(data, "retryAt") > 0,
          "%s", json_dumps(data, 0));
    CHECK(strcmp(str_at(data, "state"), "queued") == 0);
    data = sse_await(stream, "job:accepted")->data;
    CHECK(num_at(data, "attempt") == 2);
    (void)id;
}
END_TEST

/* A job that failed and is queued again by hand: its stream goes on. */
START_TEST(test_queued_again)
{
    struct sim *s = sim_start("--fault", "oom@1", NULL);
    struct daemon *d = DAEMON(.sims = {s}, .config = "jobs: {maxAttempts: 1}\n");
    json_t *j = run_job(d, sleep_body("a", 5, ""));
    CHECK(strcmp(str_at(j, "state"), "failed") == 0);
    char *id = text("%s", str_at(j, "id"));
    struct sse *all = sse_open(d, NULL, "/events?types=job:queued,job:completed");
    (void)sse_await(all, "snapshot");
    expect(post(d, text("/jobs/%s/retry", id), ""), 202, NULL);
    (void)sse_await_of(all, "job:queued", id);
    (void)sse_await_of(all, "job:completed", id);
    CHECK(all->len == 3);
    /* From the beginning: past its first end to the second. */
    struct sse *stream =
        sse_open(d, text("%.*s-0", (int)strcspn(sse_last_id(all), "-"), sse_last_id(all)),
                 "/jobs/%s/events?types=job:queued,job:failed,job:completed", id);
    sse_drain(stream);
    CHECK(strcmp(order_of(stream, is_durable),
                 "job:queued job:failed job:queued job:completed snapshot") == 0,
          "%s", order_of(stream, is_durable));
}
END_TEST

/* ---- all jobs -------------------------------------------------------------------------------- */

static bool is_backend_state(const struct told *t, const char *name, const char *state)
{
    return sse_is(t, "backend:state") && strcmp(str_at(t->data, "backend"), name) == 0 &&
           strcmp(str_at(t->data, "state"), state) == 0;
}

START_TEST(test_all)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    await_ready(d);
    expect(post(d, "/queue/pause", ""), 200, NULL);
    char *first = submit(d, sleep_body("a", 5, ""));
    struct sse *all = sse_open(d, NULL, "/events");
    const struct told *t = sse_next(all);
    CHECK(sse_is(t, "snapshot") && json_array_size(at(t->data, "jobs")) == 1 &&
              strcmp(str_at(t->data, "jobs.0.id"), first) == 0,
          "the active jobs");
    char *second = submit(d, sleep_body("b", 5, ""));
    (void)sse_await_of(all, "job:queued", second);
    expect(post(d, "/queue/resume", ""), 200, NULL);
    (void)await_end(d, first);
    (void)await_end(d, second);
    (void)sse_await_of(all, "job:completed", second);
    sim_kill(s);
    do {
        t = sse_await(all, "backend:state");
    } while (!is_backend_state(t, "s0", "down"));
    for (size_t i = 1; i < all->len; i++) {
        const struct told *before = &all->list[i - 1];
        CHECK(*all->list[i].id == '\0' || *before->id == '\0' ||
                  sse_number(all->list[i].id) == sse_number(before->id) + 1,
              "%s after %s", all->list[i].id, before->id);
    }
    CHECK(sse_count(all, "job:completed") == 2 && sse_count(all, "job:started") == 2 &&
          sse_count(all, "job:queued") == 1);
    CHECK(all->retry > 0 && !all->ended);
}
END_TEST

START_TEST(test_types)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    struct sse *some = sse_open(d, NULL, "/events?types=job:completed,job:output");
    struct sse *ends = sse_open(d, NULL, "/events?types=job%%3Acancelled");
    (void)sse_await(some, "snapshot");
    (void)sse_await(ends, "snapshot");
    char *id = text("%s", str_at(run_job(d, painter("a", 5, 1, "")), "id"));
    (void)sse_await_of(some, "job:completed", id);
    CHECK(some->len == 3 && sse_is(&some->list[1], "job:output"), "%zu events", some->len);
    expect(post(d, "/queue/pause", ""), 200, NULL);
    (void)cancel(d, submit(d, sleep_body("b", 5, "")));
    (void)sse_await(ends, "job:cancelled");
    CHECK(ends->len == 2);
    /* The end of a stream is not a matter of its filter. */
    struct sse *nodes = NULL;
    (void)submit_watched(d, painter("c", 5, 1, ""), "?types=job:node", &nodes);
    sse_drain(nodes);
    CHECK(sse_count(nodes, "job:node") == (int)nodes->len - 1 && nodes->len == 5);
}
END_TEST

/* Metadata are kept to the byte, line breaks too; an event's data stays one line. */
START_TEST(test_line_breaks)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    struct sse *all = sse_open(d, NULL, "/events");
    (void)sse_await(all, "snapshot");
    char *id = submit(d, sleep_body("a", 60000, ",'metadata':{\r\n\n 'a':1,\r\r'b':2}"));
    const char *events[] = {"job:queued", "job:cancelled"};
    AWAIT(is_at_node(d, id, "1"));
    struct sse *later = sse_open(d, NULL, "/events");
    struct sse *one = sse_open(d, NULL, "/jobs/%s/events", id);
    CHECK(num_at(sse_await(later, "snapshot")->data, "jobs.0.metadata.b") == 2);
    CHECK(num_at(sse_await(one, "snapshot")->data, "job.metadata.b") == 2);
    (void)cancel(d, id);
    for (size_t i = 0; i < 2; i++) {
        CHECK(num_at(sse_await_of(all, events[i], id)->data, "metadata.b") == 2);
    }
    CHECK(strstr(get(d, "/jobs/%s", id)->body, "{\r\n\n \"a\":1,\r\r\"b\":2}") != NULL);
}
END_TEST

/* ---- coming back ----------------------------------------------------------------------------- */

static const struct told *durable_at(const struct sse *s, size_t n)
{
    for (size_t i = 0; i < s->len; i++) {
        if (is_durable(&s->list[i]) && !sse_is(&s->list[i], "snapshot") && n-- == 0) {
            return &s->list[i];
        }
    }
    return NULL;
}

static void check_replay(struct daemon *d, const struct sse *witness, const char *id)
{
    struct sse *r = sse_open(d, id, "/events");
    size_t n = 0;
    while (durable_at(witness, n) != NULL &&
           sse_number(durable_at(witness, n)->id) <= sse_number(id)) {
        n++;
    }
    for (const struct told *t = sse_next(r); !sse_is(t, "snapshot"); t = sse_next(r)) {
        const struct told *was = durable_at(witness, n++);
        CHECK(t != NULL && was != NULL && strcmp(t->id, was->id) == 0 &&
                  strcmp(t->type, was->type) == 0 && json_equal(t->data, was->data),
              "after %s: %s, not %s", id, t == NULL ? "the end" : t->id,
              was == NULL ? "none" : was->id);
    }
    CHECK(durable_at(witness, n) == NULL, "after %s: nothing is lost", id);
    CHECK(strcmp(sse_last_id(r), sse_last_id(witness)) == 0, "the snapshot includes all");
    CHECK(sse_count(r, "reset") == 0);
    sse_close(r);
}

START_TEST(test_replay)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    await_ready(d);
    struct sse *witness = sse_open(d, NULL, "/events");
    for (int i = 0; i < 3; i++) {
        (void)run_job(d, painter(text("t%d", i), 5, 1, ""));
    }
    for (int i = 0; i < 3; i++) {
        (void)sse_await(witness, "job:completed");
    }
    CHECK(durable_at(witness, 14) != NULL, "five events a job");
    for (size_t i = 0; i < 15; i++) {
        check_replay(d, witness, durable_at(witness, i)->id);
    }
    check_replay(d, witness, witness->list[0].id);
}
END_TEST

/* More ends than memory holds: their profiles are read again, for several readers at once. */
START_TEST(test_replay_from_disk)
{
    enum { ENDED = 40, READERS = 8 };
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    await_ready(d);
    struct sse *witness = sse_open(d, NULL, "/events?types=job:completed");
    char *ids[ENDED];
    for (int i = 0; i < ENDED; i++) {
        ids[i] = text("%s", str_at(run_job(d, painter(text("t%d", i), 1, 1, "")), "id"));
        (void)sse_await_of(witness, "job:completed", ids[i]);
    }
    struct sse *readers[READERS];
    for (int i = 0; i < READERS; i++) {
        readers[i] = sse_open(d, witness->list[0].id, "/events?types=job:completed");
    }
    for (int i = 0; i < READERS; i++) {
        for (size_t n = 1; n <= ENDED; n++) {
            const struct told *t = sse_next(readers[i]);
            const struct told *was = &witness->list[n];
            CHECK(t != NULL && strcmp(t->id, was->id) == 0 && json_equal(t->data, was->data) &&
                      has(t->data, "profileStats"),
                  "reader %d, event %zu", i, n);
        }
        CHECK(sse_is(sse_next(readers[i]), "snapshot"));
        sse_close(readers[i]);
    }
    /* One job alone, as it ended; then without what was deleted. */
    struct sse *one = sse_open(d, witness->list[0].id, "/jobs/%s/events", ids[1]);
    sse_drain(one);
    CHECK(one->len == 6 && strcmp(str_at(last_of(one)->data, "job.state"), "completed") == 0);
    check_completed(d, ids[1], one->list[4].data);
    expect(ask(d, "DELETE", text("/jobs/%s", ids[0]), NULL, NULL), 204, NULL);
    struct sse *all = sse_open(d, witness->list[0].id, "/events?types=job:completed");
    CHECK(!has(sse_await_of(all, "job:completed", ids[0])->data, "profileStats"));
    CHECK(has(sse_await_of(all, "job:completed", ids[1])->data, "profileStats"));
}
END_TEST

/* Cut again and again while jobs run: nothing is lost, nothing comes twice. */
START_TEST(test_coming_back)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    await_ready(d);
    enum { JOBS = 12 };
    struct sse *r = sse_open(d, NULL, "/events");
    long last = sse_number(sse_await(r, "snapshot")->id);
    char *ids[JOBS];
    for (int i = 0; i < JOBS; i++) {
        ids[i] = submit(d, painter(text("t%d", i), 10, 2, ""));
    }
    int ended = 0;
    int came = 0;
    while (ended < JOBS) {
        const struct told *t = sse_next(r);
        CHECK(t != NULL && !sse_is(t, "reset"));
        if (is_durable(t) && !sse_is(t, "snapshot")) {
            CHECK(sse_number(t->id) == last + 1, "%s after %ld", t->id, last);
            last++;
            came++;
            ended += sse_is(t, "job:completed");
        }
        if (came == 3) {
            came = 0;
            sse_close(r);
            r = sse_open(d, t->id, "/events");
        }
    }
    for (int i = 0; i < JOBS; i++) {
        CHECK(is_state(d, ids[i], "completed"));
    }
}
END_TEST

static const char *wide(const char *tag)
{
    return sleep_body(tag, 1, text(",'metadata':{'p':'%s'}", text("%*s", 15000, "")));
}

/* More than sockets take in advance; nobody reads yet. */
enum { JOBS = 400, CANCELLED = 20 };

static struct sse *open_long(struct daemon *d, char *ids[JOBS])
{
    expect(post(d, "/queue/pause", ""), 200, NULL);
    for (int i = 0; i < JOBS; i++) {
        ids[i] = submit(d, wide(text("t%d", i)));
    }
    struct sse *r = sse_open(d, NULL, "/events");
    AWAIT(num_at(get(d, "/stats")->json, "events.streams") == 1);
    return r;
}

/* A snapshot that its reader takes in pieces: what happens meanwhile comes after it. */
START_TEST(test_long_snapshot)
{
    struct daemon *d = DAEMON(.no_profile = true);
    char *ids[JOBS];
    struct sse *r = open_long(d, ids);
    for (int i = 0; i < CANCELLED; i++) {
        (void)cancel(d, ids[i == 0 ? JOBS - 1 : i]);
    }
    const struct told *t = sse_await(r, "snapshot");
    const size_t active = json_array_size(at(t->data, "jobs"));
    CHECK(sse_number(t->id) == JOBS, "as it began: %s", t->id);
    CHECK(active >= JOBS - CANCELLED && active < JOBS, "%zu: it was sent in pieces", active);
    long last = sse_number(t->id);
    for (int i = 0; i < CANCELLED; i++) {
        t = sse_await(r, "job:cancelled");
        CHECK(sse_number(t->id) == ++last, "%s, not %ld", t->id, last);
    }
}
END_TEST

START_TEST(test_reset)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    (void)run_job(d, painter("a", 1, 1, ""));
    struct sse *r = sse_open(d, NULL, "/events");
    char *old = text("%s", sse_await(r, "snapshot")->id);
    const int start = (int)strcspn(old, "-");
    const char *ids[] = {"x",
                         "17",
                         "1-1",
                         text("%.*s", start, old),
                         text("%.*s-", start, old),
                         text("%.*s-1000000", start, old),
                         text("%.*s--1", start, old),
                         text("%s0x", old),
                         text("%.*s-0", start, old),
                         text("%.*s-1", start, old),
                         NULL,
                         NULL};
    daemon_stop(d);
    d = DAEMON(.sims = {s});
    r = sse_open(d, NULL, "/events");
    char *now = text("%s", sse_await(r, "snapshot")->id);
    ids[10] = old;
    ids[11] = text("%.*s-1000000", (int)strcspn(now, "-"), now);
    CHECK(strncmp(old, now, (size_t)start + 1) != 0, "another start: %s, %s", old, now);
    char *id = submit(d, sleep_body("b", 60000, ""));
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        r = sse_open(d, ids[i], "/events");
        CHECK(sse_is(sse_next(r), "reset"), "%s", ids[i]);
        const struct told *t = sse_next(r);
        CHECK(sse_is(t, "snapshot") && strcmp(str_at(t->data, "jobs.0.id"), id) == 0, "%s", ids[i]);
        sse_close(r);
    }
    r = sse_open(d, now, "/events");
    CHECK(sse_is(sse_await(r, "job:queued"), "job:queued"), "one of this daemon");
    CHECK(sse_count(r, "reset") == 0);
    (void)cancel(d, id);
}
END_TEST

/* ---- previews and progress ------------------------------------------------------------------- */

START_TEST(test_previews)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    await_ready(d);
    expect(post(d, "/queue/pause", ""), 200, NULL);
    char *id = submit(d, painter("a", 600, 6, ",'_previews':6,'_preview_bytes':3000"));
    struct sse *with = sse_open(d, NULL, "/jobs/%s/events?previews=1", id);
    struct sse *without = sse_open(d, NULL, "/jobs/%s/events", id);
    struct sse *no = sse_open(d, NULL, "/jobs/%s/events?previews=0", id);
    (void)sse_await(with, "snapshot");
    (void)sse_await(without, "snapshot");
    expect(post(d, "/queue/resume", ""), 200, NULL);
    sse_drain(with);
    sse_drain(without);
    sse_drain(no);
    CHECK(sse_count(without, "job:preview") == 0 && sse_count(no, "job:preview") == 0);
    CHECK(sse_count(with, "job:preview") > 0 && sse_count(with, "job:preview") <= 6, "%d",
          sse_count(with, "job:preview"));
    with->at = 0;
    json_t *p = sse_await(with, "job:preview")->data;
    CHECK(strcmp(str_at(p, "nodeId"), "4") == 0 &&
          strcmp(str_at(p, "mediaType"), "image/jpeg") == 0);
    CHECK(strncmp(str_at(p, "image"), "/9j/4", 5) == 0 && strlen(str_at(p, "image")) == 4000,
          "base64 of 3000 bytes: %zu", strlen(str_at(p, "image")));
}
END_TEST

/* One image is more than a reader may be behind: one that reads is not dropped for it. */
START_TEST(test_large_previews)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    await_ready(d);
    struct sse *stream = NULL;
    (void)submit_watched(d, painter("a", 600, 3, ",'_previews':3,'_preview_bytes':2000000"),
                         "?previews=1", &stream);
    sse_drain(stream);
    CHECK(sse_is(last_of(stream), "job:completed") && sse_count(stream, "job:preview") > 0);
    CHECK(num_at(get(d, "/stats")->json, "events.slowReaders") == 0);
}
END_TEST

/* At most ten a second, the last one always. */
START_TEST(test_progress)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    await_ready(d);
    struct sse *stream = NULL;
    char *id = submit_watched(d, painter("a", 2500, 250, ""), "?types=job:progress,job:completed",
                              &stream);
    sse_drain(stream);
    const int n = sse_count(stream, "job:progress");
    const double seconds = num_at(profile_of(d, id), "executionTime") / 1000;
    CHECK(n >= 10 && n <= 11 + 10 * seconds, "%d in %.1f s", n, seconds);
    double value = 0;
    double last = 0;
    for (size_t i = 0; i < stream->len; i++) {
        json_t *data = stream->list[i].data;
        if (sse_is(&stream->list[i], "job:progress") && strcmp(str_at(data, "nodeId"), "4") == 0) {
            value = num_at(data, "value");
            CHECK(value > last && num_at(data, "max") == 250, "%g after %g", value, last);
            last = value;
        }
    }
    CHECK(last == 250, "the last one: %g", last);
}
END_TEST

/* However fast nodes go by, the progress of one is never told behind its end. */
START_TEST(test_progress_order)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    await_ready(d);
    enum { NODES = 24 };
    char *graph = text("%s", "'1':{'class_type':'EmptyImage','inputs':{}}");
    for (int i = 2; i <= NODES; i++) {
        graph = text("%s,'%d':{'class_type':'%s','inputs':{'images':['%d',0],'_ms':30,'_steps':3}}",
                     graph, i, i == NODES ? "SaveImage" : "KSampler", i - 1);
    }
    struct sse *stream = NULL;
    (void)submit_watched(d, q("{'workflow':{%s}}", graph), "", &stream);
    sse_drain(stream);
    bool over[NODES + 1] = {false};
    double last = 0;
    int told = 0;
    for (size_t i = 0; i < stream->len; i++) {
        json_t *data = stream->list[i].data;
        const int node = atoi(str_at(data, "nodeId"));
        if (sse_is(&stream->list[i], "job:node") &&
            strcmp(str_at(data, "status"), "completed") == 0) {
            over[node] = true;
        } else if (sse_is(&stream->list[i], "job:progress")) {
            CHECK(!over[node], "node %d", node);
            last = node == NODES ? num_at(data, "value") : last;
            told++;
        }
    }
    CHECK(last == 3 && told > 3, "%g, %d", last, told);
}
END_TEST

/* ---- readers and the daemon ------------------------------------------------------------------ */

START_TEST(test_headers)
{
    struct daemon *d = DAEMON(.no_profile = true);
    struct sse *r = sse_open(d, NULL, "/events");
    (void)sse_await(r, "snapshot");
    static const char *const lines[] = {"Cache-Control: no-store\r\n", "X-Accel-Buffering: no\r\n",
                                        "Content-Type: text/event-stream\r\n"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        CHECK(r->status == 200 && strstr(r->head, lines[i]) != NULL, "%s in %s", lines[i], r->head);
    }
    CHECK(num_at(get(d, "/stats")->json, "events.streams") == 1);
    struct answer *a = ask(d, "HEAD", "/events", NULL, NULL);
    CHECK(a->status == 200 && strcmp(header_of(a, "Cache-Control"), "no-store") == 0);
    AWAIT(num_at(get(d, "/stats")->json, "events.streams") == 1);
    sse_close(r);
    AWAIT(num_at(get(d, "/stats")->json, "events.streams") == 0);
}
END_TEST

struct refusal {
    const char *path, *headers;
    long status;
    const char *code;
};

START_TEST(test_refusals)
{
    static const struct refusal refusals[] = {
        {"/jobs/" NOWHERE "/events", NULL, 404, "job_not_found"},
        {"/jobs/17/events", NULL, 404, "job_not_found"},
        {"/events?types=job:lost", NULL, 400, "query_invalid"},
        {"/events?types=", NULL, 400, "query_invalid"},
        {"/events?previews=yes", NULL, 400, "query_invalid"},
        {"/events?wait=1", NULL, 400, "query_invalid"},
        {"/events", "Accept: application/json", 406, "not_acceptable"},
    };
    struct daemon *d = DAEMON(.no_profile = true);
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        expect(ask(d, "GET", refusals[i].path, refusals[i].headers, NULL), refusals[i].status,
               refusals[i].code);
    }
}
END_TEST

/* Its job:output is about a hundred bytes a file. */
static char *gallery(const char *tag, int files)
{
    char *images = text("%*s", files * 64, "");
    size_t n = 0;
    for (int i = 0; i < files; i++) {
        n += (size_t)sprintf(images + n, "%s{'filename':'%05d.png','subfolder':'','type':'output'}",
                             i == 0 ? "" : ",", i);
    }
    return q("{'1':{'class_type':'SaveImage','inputs':{'_ms':0,'_tag':'%s','_ui':{'images':["
             "%.*s]}}}}",
             tag, (int)n, images);
}

/* It reads nothing, and jobs go on; what it does not read is not kept for it for ever. */
START_TEST(test_slow_reader)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = true);
    await_ready(d);
    struct sse *slow = sse_open(d, NULL, "/events");
    struct sse *good = sse_open(d, NULL, "/events?types=job:completed");
    (void)sse_await(slow, "snapshot");
    int jobs = 0;
    while (num_at(get(d, "/stats")->json, "events.slowReaders") == 0) {
        CHECK(jobs < 100, "nobody is dropped");
        const char *id = str_at(run_job(d, gallery(text("t%d", jobs), 4000)), "id");
        (void)sse_await_of(good, "job:completed", id);
        jobs++;
    }
    CHECK(jobs > 2, "not for the first: %d jobs", jobs);
    CHECK(strstr(read_file(d->err), "it is 1 MiB behind") != NULL);
    CHECK(num_at(get(d, "/stats")->json, "events.streams") == 1 && !good->ended);
    (void)run_job(d, sleep_body("after", 0, ""));
    while (sse_next(slow) != NULL) {
    }
    CHECK(slow->is_cut, "not ended as if that were all");
    struct sse *again = sse_open(d, sse_last_id(slow), "/events?types=job:completed");
    (void)sse_await(again, "snapshot");
    CHECK(sse_count(again, "reset") == 0 && sse_count(again, "job:completed") > 0,
          "what it missed is kept");
}
END_TEST

START_TEST(test_stop)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    char *id = submit(d, sleep_body("a", 60000, ""));
    AWAIT(is_at_node(d, id, "1"));
    struct sse *all = sse_open(d, NULL, "/events");
    struct sse *one = sse_open(d, NULL, "/jobs/%s/events", id);
    (void)sse_await(all, "snapshot");
    (void)sse_await(one, "snapshot");
    daemon_stop(d);
    CHECK(d->ended_in < 10, "%.1f s", d->ended_in);
    sse_drain(all);
    sse_drain(one);
    d = DAEMON(.sims = {s});
    (void)cancel(d, id);
    (void)await_end(d, id);
}
END_TEST

START_TEST(test_many_readers)
{
    enum { READERS = 300 };
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    struct sse *readers[READERS];
    for (int i = 0; i < READERS; i++) {
        readers[i] = sse_open(d, NULL, "/events?types=job:queued,job:completed");
    }
    AWAIT(num_at(get(d, "/stats")->json, "events.streams") == READERS);
    char *id = text("%s", str_at(run_job(d, painter("a", 5, 1, "")), "id"));
    for (int i = 0; i < READERS; i++) {
        (void)sse_await_of(readers[i], "job:queued", id);
        (void)sse_await_of(readers[i], "job:completed", id);
        CHECK(readers[i]->len == 3 && sse_is(&readers[i]->list[0], "snapshot"));
        sse_close(readers[i]);
    }
    AWAIT(num_at(get(d, "/stats")->json, "events.streams") == 0);
}
END_TEST

/* The loop reads them at one go: what it costs must not grow with their square, and its list has an
   end. */
START_TEST(test_many_files)
{
    enum { LISTED = 25000 };
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = true);
    await_ready(d);
    struct sse *stream = NULL;
    const double before = now_s();
    (void)submit_watched(d, gallery("a", 60000), "?types=job:output", &stream);
    sse_drain(stream);
    CHECK(json_array_size(at(last_of(stream)->data, "files")) == LISTED);
    CHECK(now_s() - before < PATIENCE_S, "%.1f s", now_s() - before);
}
END_TEST

/* http.maxStreams: the next one is refused until another goes. */
START_TEST(test_too_many)
{
    struct daemon *d = DAEMON(.config = "http: {maxStreams: 2}\n", .no_profile = true);
    struct sse *first = sse_open(d, NULL, "/events");
    struct sse *second = sse_open(d, NULL, "/events");
    (void)sse_await(first, "snapshot");
    (void)sse_await(second, "snapshot");
    struct answer *a = get(d, "/events");
    expect(a, 503, "too_many_waits");
    CHECK(*header_of(a, "Retry-After") != '\0');
    expect(get(d, "/profiles"), 503, "too_many_waits");
    sse_close(first);
    AWAIT(get(d, "/profiles")->status == 200);
    CHECK(num_at(get(d, "/stats")->json, "events.streams") == 1);
}
END_TEST

/* A reader that reads nothing does not hold the daemon. */
START_TEST(test_stop_with_a_stuck_reader)
{
    struct daemon *d = DAEMON(.no_profile = true);
    char *ids[JOBS];
    struct sse *r = open_long(d, ids);
    daemon_stop(d);
    CHECK(d->ended_in < 10, "%.1f s", d->ended_in);
    while (sse_next(r) != NULL) {
    }
    CHECK(r->is_cut, "half a snapshot is not all of it");
}
END_TEST

/* The daemon sees both at once: clients that hang up, and its own end. */
START_TEST(test_hang_up_at_the_stop)
{
    enum { READERS = 20 };
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    struct sse *readers[READERS];
    for (int i = 0; i < READERS; i++) {
        readers[i] = sse_open(d, NULL, "/events");
        (void)sse_await(readers[i], "snapshot");
    }
    (void)kill(d->pid, SIGSTOP);
    for (int i = 0; i < READERS; i++) {
        sse_close(readers[i]);
    }
    (void)kill(d->pid, SIGTERM);
    (void)kill(d->pid, SIGCONT);
    daemon_stop(d);
}
END_TEST

Suite *events_suite(void)
{
    static const struct named_test tests[] = {
        {"a job", &test_job, 1},
        {"a displayed node", &test_displayed, 1},
        {"an ended job", &test_ended_job, 1},
        {"HEAD", &test_head, 1},
        {"an unprofiled job", &test_unprofiled_job, 1},
        {"states of nodes", &test_node_states, 1},
        {"cancelled", &test_cancelled, 1},
        {"retrying", &test_retrying, 1},
        {"queued again", &test_queued_again, 1},
        {"all jobs", &test_all, 1},
        {"types", &test_types, 1},
        {"line breaks", &test_line_breaks, 1},
        {"replay", &test_replay, 1},
        {"replay from the disk", &test_replay_from_disk, 1},
        {"coming back", &test_coming_back, 1},
        {"a long snapshot", &test_long_snapshot, 1},
        {"reset", &test_reset, 1},
        {"previews", &test_previews, 1},
        {"large previews", &test_large_previews, 1},
        {"progress", &test_progress, 1},
        {"order of progress", &test_progress_order, 1},
        {"headers", &test_headers, 1},
        {"refusals", &test_refusals, 1},
        {"a slow reader", &test_slow_reader, 1},
        {"many readers", &test_many_readers, 1},
        {"many files", &test_many_files, 1},
        {"too many", &test_too_many, 1},
        {"stop", &test_stop, 1},
        {"hang up at the stop", &test_hang_up_at_the_stop, 1},
        {"a stop with a stuck reader", &test_stop_with_a_stuck_reader, 1},
    };
    return SUITE("events", 90, tests);
}
