/* Cancelling, in every state of a job; by us and by somebody else; and the success that wins. */
#include "harness.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "suites.h"

static const char *const versions[] = {"0.3", "0.28"};

static struct sim *sim_of(int i)
{
    return sim_start("--version-as", versions[i], NULL);
}

/* maxInFlight 2 and quick questions. */
static char *two_at_a_time(struct sim *s)
{
    return text("backends:\n  - {name: s0, url: '%s', maxInFlight: 2}\n"
                "link: {quietPollMs: 300, submitSettleMs: 500}\n",
                s->url);
}

static void check_cancelled(json_t *j, const char *code)
{
    CHECK(strcmp(str_at(j, "state"), "cancelled") == 0);
    CHECK(strcmp(str_at(j, "error.code"), code) == 0 && has(j, "error") == (*code != '\0'),
          "the code should be '%s'", code);
    CHECK(!has(j, "cancelRequested"));
    CHECK(strcmp(str_at(j, "profileStats.outcome"), "cancelled") == 0);
    CHECK(num_at(j, "profileStats.summary.failedNodes") == 0, "an interrupt fails no node");
}

START_TEST(test_queued)
{
    struct daemon *d = DAEMON(.no_profile = false);
    char *id = submit(d, sleep_body("a", 5, ""));
    int wait = raw_request(d, "GET", text("/jobs/%s?wait=60", id), "");
    json_t *j = cancel(d, id);
    CHECK(strcmp(str_at(j, "state"), "cancelled") == 0);
    j = job_now(d, id);
    check_cancelled(j, "");
    json_t *p = at(j, "profileStats");
    CHECK(num_at(p, "attempt") == 0 && !has(p, "promptId") && !has(p, "backend") &&
          num_at(p, "summary.pendingNodes") == 2 && !has(p, "startedAt"));
    struct answer *a = raw_answer(wait);
    CHECK(a != NULL && strcmp(str_at(a->json, "state"), "cancelled") == 0, "a waiter is told");
    /* Again: the same. */
    CHECK(json_equal(cancel(d, id), j), "idempotent");
}
END_TEST

START_TEST(test_running)
{
    struct sim *s = sim_of(_i);
    struct daemon *d = DAEMON(.sims = {s});
    char *id = submit(d, sleep_body("a", 60000, ""));
    AWAIT(is_at_node(d, id, "1"));
    json_t *j = cancel(d, id);
    CHECK(strcmp(str_at(j, "state"), "cancelled") == 0 || is_true(j, "cancelRequested"));
    const double from = now_s();
    j = await_end(d, id);
    CHECK(now_s() - from < 5);
    check_cancelled(j, "");
    json_t *n = node_of(at(j, "profileStats"), "1");
    CHECK(strcmp(str_at(n, "status"), "executing") == 0 && has(n, "completedAt") &&
          has(n, "duration"));
    CHECK(num_at(j, "profileStats.summary.executedNodes") == 1 &&
          num_at(j, "profileStats.summary.pendingNodes") == 1);
    CHECK(ledger_count(s, "interrupted", "a") == 1);
    /* The backend is free again. */
    CHECK(strcmp(str_at(run_job(d, sleep_body("b", 1, "")), "state"), "completed") == 0);
}
END_TEST

/* The POST is not answered yet. */
START_TEST(test_assigned)
{
    struct sim *s = sim_of(_i);
    sim_control(s, "{'fault':'slow-accept@1:700'}");
    struct daemon *d = DAEMON(.sims = {s});
    char *id = submit(d, sleep_body("a", 60000, ""));
    AWAIT(ledger_count(s, "posted", "a") == 1);
    json_t *j = cancel(d, id);
    CHECK(strcmp(str_at(j, "state"), "running") == 0 && is_true(j, "cancelRequested"));
    check_cancelled(await_end(d, id), "");
    CHECK(sim_says(s, "running") == 0 && sim_says(s, "queue") == 0);
}
END_TEST

START_TEST(test_in_the_backends_queue)
{
    struct sim *s = sim_of(_i);
    struct daemon *d = DAEMON(.config = two_at_a_time(s));
    char *first = submit(d, sleep_body("a", 60000, ""));
    AWAIT(is_at_node(d, first, "1"));
    char *second = submit(d, sleep_body("b", 5, ""));
    AWAIT(ledger_count(s, "accepted", "b") == 1);
    (void)cancel(d, second);
    const double from = now_s();
    check_cancelled(await_end(d, second), "");
    CHECK(now_s() - from < 5);
    CHECK(ledger_count(s, "started", "b") == 0 && ledger_count(s, "deleted", "b") == 1);
    CHECK(is_state(d, first, "running"), "the one beside it goes on");
    CHECK(ledger_count(s, "interrupted", NULL) == 0);
    (void)cancel(d, first);
    check_cancelled(await_end(d, first), "");
}
END_TEST

START_TEST(test_terminal)
{
    struct sim *s = sim_of(_i);
    struct daemon *d = DAEMON(.sims = {s});
    json_t *j = run_job(d, sleep_body("a", 1, ""));
    CHECK(json_equal(cancel(d, str_at(j, "id")), j));
    CHECK(sim_says(s, "http.POST /interrupt") != 1);
}
END_TEST

/* A last node that cannot be interrupted: success is what the server says last. */
START_TEST(test_success_wins)
{
    struct sim *s = sim_of(_i);
    struct daemon *d = DAEMON(.sims = {s});
    char *id = submit(d, q("{'1':{'class_type':'T_SleepOut','inputs':{'_ms':700,'_tag':'a',"
                           "'_uninterruptible':true}}}"));
    AWAIT(is_at_node(d, id, "1"));
    json_t *j = cancel(d, id);
    CHECK(is_true(j, "cancelRequested") && strcmp(str_at(j, "state"), "running") == 0);
    j = await_end(d, id);
    CHECK(strcmp(str_at(j, "state"), "completed") == 0 && !has(j, "cancelRequested"));
    CHECK(!has(j, "error"));
}
END_TEST

/* A node in the middle: the interrupt is noticed before the next one, which is innocent. */
START_TEST(test_innocent_next_node)
{
    struct sim *s = sim_of(_i);
    struct daemon *d = DAEMON(.sims = {s});
    char *id = submit(d, q("{'1':{'class_type':'T_Sleep','inputs':{'_ms':400,'_tag':'a',"
                           "'_uninterruptible':true}},"
                           "'2':{'class_type':'T_SleepOut','inputs':{'a':['1',0],'_ms':50}}}"));
    AWAIT(is_at_node(d, id, "1"));
    (void)cancel(d, id);
    json_t *j = await_end(d, id);
    check_cancelled(j, "");
    CHECK(strcmp(str_at(node_of(at(j, "profileStats"), "1"), "status"), "completed") == 0);
}
END_TEST

START_TEST(test_interrupted_by_another)
{
    struct sim *s = sim_of(_i);
    struct daemon *d = DAEMON(.sims = {s});
    char *id = submit(d, sleep_body("a", 60000, ""));
    AWAIT(is_at_node(d, id, "1"));
    CHECK(sim_post(s, "/interrupt", "{}") == 200);
    json_t *j = await_end(d, id);
    check_cancelled(j, "interrupted");
    CHECK(num_at(j, "attempts") == 1, "it is not tried again");
    CHECK(*str_at(node_of(at(j, "profileStats"), "1"), "error") != '\0',
          "the node that the interrupt names says so");
}
END_TEST

START_TEST(test_deleted_by_another)
{
    struct sim *s = sim_of(_i);
    struct daemon *d = DAEMON(.config = two_at_a_time(s));
    char *first = submit(d, sleep_body("a", 60000, ""));
    AWAIT(is_at_node(d, first, "1"));
    char *second = submit(d, sleep_body("b", 5, ""));
    AWAIT(ledger_count(s, "accepted", "b") == 1);
    AWAIT(*str_at(job_now(d, second), "promptId") != '\0');
    char *prompt = text("%s", str_at(job_now(d, second), "promptId"));
    CHECK(sim_post(s, "/queue", q("{'delete':['%s']}", prompt)) == 200);
    json_t *j = await_end(d, second);
    check_cancelled(j, "interrupted");
    CHECK(ledger_count(s, "started", "b") == 0);
    (void)cancel(d, first);
    (void)await_end(d, first);
}
END_TEST

/* Between two attempts. */
START_TEST(test_in_the_retry_delay)
{
    struct sim *s = sim_of(_i);
    sim_control(s, "{'fault':'http429@*'}");
    struct daemon *d = DAEMON(.sims = {s}, .config = "jobs: {retryDelayMs: 60000}\n");
    char *id = submit(d, sleep_body("a", 5, ""));
    AWAIT(strcmp(str_at(job_now(d, id), "waitingReason"), "retry_delay") == 0);
    CHECK(num_at(job_now(d, id), "attempts") == 1);
    json_t *j = cancel(d, id);
    CHECK(strcmp(str_at(j, "state"), "cancelled") == 0);
    CHECK(num_at(job_now(d, id), "attempts") == 1);
}
END_TEST

/* A node that hangs, or an end that never comes, until somebody interrupts it. */
START_TEST(test_stuck)
{
    static const char *const faults[] = {"hang", "never-finish"};
    struct sim *s = sim_start("--fault", faults[_i / 2], "--version-as", versions[_i % 2], NULL);
    struct daemon *d = DAEMON(.sims = {s});
    char *id = submit(d, sleep_body("a", 20, ""));
    AWAIT(ledger_count(s, "started", "a") == 1);
    AWAIT(is_state(d, id, "running"));
    (void)cancel(d, id);
    check_cancelled(await_end(d, id), "");
}
END_TEST

/* Many, all at once, in whatever state they are; each ends once. */
START_TEST(test_storm)
{
    struct sim *a = sim_start("--version-as", "0.3", NULL);
    struct sim *b = sim_start("--version-as", "0.28", NULL);
    struct daemon *d = DAEMON(.sims = {a, b});
    char *ids[40];
    for (int i = 0; i < 40; i++) {
        ids[i] = submit(d, sleep_body(text("t%d", i), 8, ""));
        if (i >= 3) {
            (void)cancel(d, ids[i - 3]);
        }
    }
    int ended[2] = {0};
    for (int i = 0; i < 40; i++) {
        json_t *j = await_end(d, ids[i]);
        const bool done = strcmp(str_at(j, "state"), "completed") == 0;
        CHECK(done || strcmp(str_at(j, "state"), "cancelled") == 0);
        CHECK(done == (ledger_count(a, "success", text("t%d", i)) +
                           ledger_count(b, "success", text("t%d", i)) ==
                       1),
              "job %d", i);
        ended[done]++;
    }
    json_t *stats = get(d, "/stats")->json;
    CHECK(num_at(stats, "jobs.completed") == ended[1] &&
          num_at(stats, "jobs.cancelled") == ended[0]);
    CHECK(num_at(stats, "badTransitions") == 0);
}
END_TEST

Suite *cancel_suite(void)
{
    static const struct named_test tests[] = {
        {"queued", &test_queued, 1},
        {"running", &test_running, 2},
        {"assigned", &test_assigned, 2},
        {"in the backend's queue", &test_in_the_backends_queue, 2},
        {"terminal", &test_terminal, 2},
        {"success wins", &test_success_wins, 2},
        {"innocent next node", &test_innocent_next_node, 2},
        {"interrupted by another", &test_interrupted_by_another, 2},
        {"deleted by another", &test_deleted_by_another, 2},
        {"in the retry delay", &test_in_the_retry_delay, 2},
        {"stuck", &test_stuck, 4},
        {"storm", &test_storm, 1},
    };
    return SUITE("cancel", 60, tests);
}
