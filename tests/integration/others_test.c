/*
 * Servers that are not ours alone: what somebody else does there is noticed, and what is not ours
 * is left alone.
 */
#include "harness.h"

#include <math.h>
#include <string.h>

#include "suites.h"

/* ---- deleted by somebody else -----------------------------------------------------------------
 */

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

Suite *others_suite(void)
{
    static const struct named_test tests[] = {
        {"deleted", &test_deleted, 2 * DELETIONS},
        {"healthy runs ask nothing", &test_healthy_runs_ask_nothing, 5},
        {"behind many others", &test_behind_many_others, 1},
    };
    return SUITE("others", 60, tests);
}
