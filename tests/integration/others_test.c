/*
 * Servers that are not ours alone: what somebody else does there is noticed, and what is not ours
 * is left alone.
 */
#include "harness.h"

#include <math.h>
#include <string.h>

#include "suites.h"

/* ---- deleted by somebody else ---------------------------------------------------------------- */

/* How often the server was asked so. */
static int asked(struct sim *s, const char *what)
{
    const double n = sim_says(s, text("http.%s", what));
    return isnan(n) ? 0 : (int)n;
}

static char *foreign_body(const char *tag, int ms)
{
    return q("{'prompt':%s}", sleeper(tag, ms));
}

/* Ours waits at the server; its prompt id. */
static char *waits_there(struct daemon *d, struct sim *s, const char *id, const char *tag)
{
    AWAIT(ledger_count(s, "accepted", tag) == 1);
    AWAIT(*str_at(job_now(d, id), "promptId") != '\0');
    return text("%s", str_at(job_now(d, id), "promptId"));
}

struct deletion {
    const char *name;
    const char *path, *body; /* with the prompt's id */
};

static const struct deletion deletions[] = {
    {"delete", "/queue", "{'delete':['%s']}"},
    {"clear", "/queue", "{'clear':true}"},
    {"cancel", "/api/jobs/%s/cancel", "{}"},
};

enum { DELETIONS = sizeof deletions / sizeof *deletions };

/* The status frame tells it, not the poll, which comes after quietPollMs. */
START_TEST(test_deleted)
{
    const struct deletion *how = &deletions[_i % DELETIONS];
    const bool foreign = _i < DELETIONS; /* what runs before it */
    struct sim *s = sim_plain();
    struct daemon *d =
        DAEMON(.config = text("backends:\n  - {name: s0, url: '%s', maxInFlight: 2}\n"
                              "link: {quietPollMs: 20000}\n",
                              s->url));
    await_backends_up(d, 1);
    if (foreign) {
        (void)sim_ask(s, "/prompt", foreign_body("x", 60000));
    } else {
        (void)submit(d, sleep_body("x", 60000, ""));
    }
    AWAIT(ledger_count(s, "started", "x") == 1);
    char *id = submit(d, sleep_body("a", 5, ""));
    char *prompt = waits_there(d, s, id, "a");
    const double from = now_s();
    CHECK(sim_post(s, strchr(how->path, '%') ? text("/api/jobs/%s/cancel", prompt) : how->path,
                   strchr(how->body, '%') ? q("{'delete':['%s']}", prompt) : q("%s", how->body)) ==
          200);
    json_t *j = await_end(d, id);
    CHECK(now_s() - from < 10, "%s: noticed after %.1f s", how->name, now_s() - from);
    CHECK(strcmp(str_at(j, "state"), "cancelled") == 0 &&
              strcmp(str_at(j, "error.code"), "interrupted") == 0,
          "%s", how->name);
    CHECK(ledger_count(s, "started", "a") == 0 && ledger_count(s, "interrupted", NULL) == 0);
}
END_TEST

/* Bodies of /queue are big: a healthy run never asks for one, however many are in flight. */
START_TEST(test_healthy_runs_ask_nothing)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.config = text("backends: [{name: s0, url: '%s', maxInFlight: %d}]\n",
                                             s->url, _i + 1));
    await_backends_up(d, 1);
    char *ids[40];
    for (int i = 0; i < 40; i++) {
        ids[i] = submit(d, sleep_body(text("t%d", i), i % 3, ""));
    }
    for (int i = 0; i < 40; i++) {
        CHECK(strcmp(str_at(await_end(d, ids[i]), "state"), "completed") == 0, "job %d", i);
    }
    CHECK(asked(s, "GET /queue") == 0, "asked %d times with maxInFlight %d", asked(s, "GET /queue"),
          _i + 1);
}
END_TEST

/* Each end of somebody else's prompt is a fall that nothing of ours explains: asked less and less.
 */
START_TEST(test_behind_many_others)
{
    enum { OTHERS = 100 };
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .config = "link: {quietPollMs: 60000}\n");
    await_backends_up(d, 1);
    sim_control(s, "{'pause':true}");
    for (int i = 0; i < OTHERS; i++) {
        (void)sim_ask(s, "/prompt", foreign_body(text("x%d", i), 30));
    }
    char *id = submit(d, sleep_body("a", 5, ""));
    (void)waits_there(d, s, id, "a");
    sim_control(s, "{'pause':false}");
    CHECK(strcmp(str_at(await_end(d, id), "state"), "completed") == 0);
    CHECK(asked(s, "GET /queue") <= 6, "asked %d times behind %d prompts", asked(s, "GET /queue"),
          OTHERS);
}
END_TEST

/* ---- what is ours to end --------------------------------------------------------------------- */

/* 0.3.45: /interrupt stops whatever runs. */
static const char *const versions[] = {"0.3.45", "0.3", "0.28"};
enum { VERSIONS = 3 };

static struct daemon *daemon_of_two(struct sim *s)
{
    struct daemon *d =
        DAEMON(.config = text("backends:\n  - {name: s0, url: '%s', maxInFlight: 2}\n", s->url));
    await_backends_up(d, 1);
    AWAIT(*str_at(get(d, "/backends")->json, "backends.0.version") != '\0');
    return d;
}

static const char *message_of(struct daemon *d, const char *id, int attempt)
{
    return str_at(get(d, "/jobs/%s/attempts", id)->json,
                  text("attempts.%d.error.message", attempt));
}

/* Ours waits behind somebody else's prompt, which is none of our business. */
START_TEST(test_waits_behind_others)
{
    static const char *const ends[] = {"", ",'jobTimeoutMs':500,'maxAttempts':1"};
    struct sim *s = sim_start("--version-as", versions[_i % VERSIONS], NULL);
    struct daemon *d = daemon_of_two(s);
    (void)sim_ask(s, "/prompt", foreign_body("x", 2500));
    AWAIT(ledger_count(s, "started", "x") == 1);
    char *id = submit(d, sleep_body("a", 5, ends[_i / VERSIONS]));
    (void)waits_there(d, s, id, "a");
    if (_i < VERSIONS) {
        (void)cancel(d, id);
    }
    const char *state = _i < VERSIONS ? "cancelled" : "failed";
    CHECK(strcmp(str_at(await_end(d, id), "state"), state) == 0);
    AWAIT(ledger_count(s, "deleted", "a") == 1);
    AWAIT(sim_says(s, "running") == 0);
    CHECK(ledger_count(s, "success", "x") == 1 && ledger_count(s, "started", "a") == 0);
    CHECK(asked(s, "POST /interrupt") == 0, "%d times", asked(s, "POST /interrupt"));
}
END_TEST

/* Of two of ours the one that waits is cancelled: the other goes on. */
START_TEST(test_waits_behind_ours)
{
    struct sim *s = sim_start("--version-as", versions[_i], NULL);
    struct daemon *d = daemon_of_two(s);
    char *first = submit(d, sleep_body("a", 1500, ""));
    AWAIT(is_at_node(d, first, "1"));
    char *second = submit(d, sleep_body("b", 5, ""));
    (void)waits_there(d, s, second, "b");
    (void)cancel(d, second);
    CHECK(strcmp(str_at(await_end(d, second), "state"), "cancelled") == 0);
    json_t *j = await_end(d, first);
    CHECK(strcmp(str_at(j, "state"), "completed") == 0 && num_at(j, "attempts") == 1);
    CHECK(asked(s, "POST /interrupt") == 0 && ledger_count(s, "interrupted", NULL) == 0);
}
END_TEST

/* The interrupt of one comes when it is over and the other runs: that one is tried again, at no
   cost. A server that knows prompt ids does nothing; where a cancel is one step there is no such
   race. */
START_TEST(test_innocent)
{
    struct sim *s = sim_start("--version-as", versions[_i], NULL);
    struct daemon *d = daemon_of_two(s);
    sim_control(s, "{'late_interrupt':1500}");
    char *first = submit(d, sleep_body("a", 700, ""));
    AWAIT(is_at_node(d, first, "1"));
    char *second = submit(d, sleep_body("b", 2500, ",'maxAttempts':1,'retryOn':[]"));
    (void)waits_there(d, s, second, "b");
    (void)cancel(d, first);
    const char *state = str_at(await_end(d, first), "state");
    CHECK(strcmp(state, "completed") == 0, "%s: its own end came first", state);
    AWAIT(is_at_node(d, second, "1"));
    json_t *j = await_end(d, second);
    CHECK(strcmp(str_at(j, "state"), "completed") == 0, "%s", str_at(j, "error.message"));
    const bool hit = _i == 0;
    CHECK(num_at(j, "attempts") == (hit ? 2 : 1) && ledger_count(s, "interrupted", "b") == hit);
    if (hit) {
        const char *said = message_of(d, second, 0);
        CHECK(strstr(said, "our own") != NULL && strstr(said, "somebody else") == NULL, "%s", said);
    }
}
END_TEST

/* Somebody else's interrupt, before and after one of our own that hit what it was sent for. */
START_TEST(test_others_interrupt)
{
    struct sim *s = sim_start("--version-as", versions[_i], NULL);
    struct daemon *d = daemon_of_two(s);
    for (int i = 0; i < 2; i++) {
        char *id = submit(d, sleep_body(text("t%d", i), 60000, ""));
        AWAIT(is_at_node(d, id, "1"));
        CHECK(sim_post(s, "/interrupt", "{}") == 200);
        json_t *j = await_end(d, id);
        CHECK(strcmp(str_at(j, "state"), "cancelled") == 0 &&
              strcmp(str_at(j, "error.code"), "interrupted") == 0 && num_at(j, "attempts") == 1);
        if (i == 0) {
            id = submit(d, sleep_body("ours", 60000, ""));
            AWAIT(is_at_node(d, id, "1"));
            (void)cancel(d, id);
            CHECK(strcmp(str_at(await_end(d, id), "state"), "cancelled") == 0);
        }
    }
}
END_TEST

Suite *others_suite(void)
{
    static const struct named_test tests[] = {
        {"deleted", &test_deleted, 2 * DELETIONS},
        {"healthy runs ask nothing", &test_healthy_runs_ask_nothing, 5},
        {"behind many others", &test_behind_many_others, 1},
        {"waits behind others", &test_waits_behind_others, 2 * VERSIONS},
        {"waits behind ours", &test_waits_behind_ours, VERSIONS},
        {"innocent", &test_innocent, 2},
        {"others interrupt", &test_others_interrupt, VERSIONS},
    };
    return SUITE("others", 60, tests);
}
