/*
 * Silence, and what is found again: nodes that say nothing for long, attempts that were given up
 * and go on, and processes that are gone.
 */
#include "harness.h"

#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "suites.h"

static char *config_of(struct sim *s, const char *more)
{
    return text("backends: [{name: s0, url: '%s'}]\n"
                "link: {submitSettleMs: 300, quietPollMs: 200, pingIntervalMs: 200,\n"
                "       pongTimeoutMs: 200, requestTimeoutMs: 300, connectTimeoutMs: 300,\n"
                "       backendLostMs: 900}\n%s",
                s->url, more);
}

/* The first one is taken first. */
static char *config_of_two(struct sim *s[2], const char *more)
{
    return text("backends:\n  - {name: s0, url: '%s', weight: 9}\n"
                "  - {name: s1, url: '%s'}\n"
                "link: {submitSettleMs: 300, quietPollMs: 200, pingIntervalMs: 200,\n"
                "       pongTimeoutMs: 200, requestTimeoutMs: 300, backendLostMs: 900}\n%s",
                s[0]->url, s[1]->url, more);
}

static json_t *attempt_of(struct daemon *d, const char *id, size_t i)
{
    return json_array_get(at(get(d, "/jobs/%s/attempts", id)->json, "attempts"), i);
}

static bool is_up(struct daemon *d)
{
    return strcmp(str_at(get(d, "/backends/s0")->json, "state"), "up") == 0;
}

static bool ended_as(json_t *j, const char *state, const char *code)
{
    return strcmp(str_at(j, "state"), state) == 0 && strcmp(str_at(j, "error.code"), code) == 0;
}

/* ---- silence --------------------------------------------------------------------------------- */

/* A node says nothing for longer than any limit, and somebody else's prompt waits behind it. */
START_TEST(test_silence_is_not_death)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.config = config_of(s, "quarantine: {deadWorkerMs: 400}\n"));
    char *id = submit(d, sleep_body("a", 2500, ""));
    AWAIT(is_at_node(d, id, "1"));
    (void)sim_ask(s, "/prompt", q("{'prompt':%s}", sleeper("x", 1)));
    while (is_state(d, id, "running")) {
        CHECK(is_up(d));
        pause_a_moment();
    }
    json_t *j = await_end(d, id);
    CHECK(ended_as(j, "completed", "") && num_at(j, "attempts") == 1);
    CHECK(is_up(d) && ledger_count(s, "posted", "a") == 1);
}
END_TEST

static const struct {
    const char *name;
    const char *more; /* of the node's inputs */
    bool lives;
} signs[] = {
    {"text", "'_text_ms': 150", true},
    {"previews", "'_steps': 12, '_previews': 12", true},
    {"nothing", "'_tag': 'quiet'", false},
};

START_TEST(test_signs_of_life)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.config = config_of(s, ""));
    json_t *j =
        run_job(d, q("{'workflow':{'1':{'class_type':'T_SleepOut','inputs':{'_ms':2400,%s}}},"
                     "'nodeExecutionTimeoutMs':700,'maxAttempts':1}",
                     signs[_i].more));
    CHECK(signs[_i].lives ? ended_as(j, "completed", "") : ended_as(j, "failed", "node_timeout"),
          "%s: %s %s", signs[_i].name, str_at(j, "state"), str_at(j, "error.message"));
}
END_TEST

static const struct {
    const char *message;
    bool lives;
} events[] = {
    {"{'type':'VHS_latentpreview','data':{'length':3,'rate':8,'id':'1'}}", true},
    {"{'type':'progress','data':{'value':1,'max':9,'node':'1'}}", true},
    {"{'type':'progress_text','data':{'node':'1','text':'at work'}}", true},
    {"{'type':'crystools.monitor','data':{'ram_used':5}}", false},
    {"{'type':'feature_flags','data':{}}", false},
    {"{'type':'cm-queue-status','data':{'status':'done'}}", false},
};
enum { EVENTS = sizeof events / sizeof *events };

/* Nodes tell things of their own, and name no prompt; others do whether or not something runs. */
START_TEST(test_events_are_signs_of_life)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.config = config_of(s, ""));
    char *id = submit(d, sleep_body("a", 4000,
                                    ", \"nodeExecutionTimeoutMs\": 2000, "
                                    "\"maxAttempts\": 1"));
    AWAIT(is_at_node(d, id, "1")); /* what is said while nothing runs proves nothing later */
    while (is_state(d, id, "running")) {
        sim_control(s, text("{'say':%s}", events[_i].message));
        pause_a_moment();
    }
    json_t *j = await_end(d, id);
    CHECK(events[_i].lives ? ended_as(j, "completed", "") : ended_as(j, "failed", "node_timeout"),
          "%s: %s %s", events[_i].message, str_at(j, "state"), str_at(j, "error.message"));
}
END_TEST

/* Before the first node: it lives as long as it speaks; what all extensions say proves no more. */
START_TEST(test_a_worker_that_speaks)
{
    struct sim *s = sim_start("--fault", "dead-worker", NULL);
    struct daemon *d = DAEMON(.config = config_of(s, "quarantine: {deadWorkerMs: 800}\n"));
    char *id = submit(d, sleep_body("a", 1, ", \"maxAttempts\": 1"));
    AWAIT(ledger_count(s, "started", "a") == 1 && is_state(d, id, "running"));
    const double from = now_s();
    while (now_s() < from + 2.4 && is_state(d, id, "running")) {
        sim_control(s, text("{'say':%s}", events[_i].message));
        pause_a_moment();
    }
    CHECK(is_state(d, id, "running") == events[_i].lives, "%s", events[_i].message);
    CHECK(ended_as(await_end(d, id), "failed", "lost"));
}
END_TEST

/* What came while nothing ran tells nothing of what runs: neither of a node that hangs, nor of a
   worker that died. */
START_TEST(test_bystanders)
{
    static const char tick[] = "{'say':{'type':'gpu_temp.tick','data':{}}}";
    const bool dead = _i == 1;
    struct sim *s = sim_start("--fault", dead ? "dead-worker" : "hang", NULL);
    struct daemon *d = DAEMON(.config = config_of(s, "quarantine: {deadWorkerMs: 800}\n"));
    await_backends_up(d, 1);
    AWAIT(num_at(get(d, "/backends/s0")->json, "queue") == 0);
    sim_control(s, tick);
    char *id = submit(d, sleep_body("a", 1,
                                    ", \"nodeExecutionTimeoutMs\": 1000, "
                                    "\"maxAttempts\": 1"));
    while (is_state(d, id, "queued") || is_state(d, id, "running")) {
        sim_control(s, tick);
        pause_a_moment();
    }
    CHECK(ended_as(await_end(d, id), "failed", dead ? "lost" : "node_timeout"));
}
END_TEST

/* It ended while nobody listened, and its server cannot tell how: it is in no queue any more, and
   /history answers 500. Nobody waits for ever. */
START_TEST(test_an_end_that_cannot_be_read)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.config = config_of(s, ""));
    char *id = submit(d, sleep_body("a", 700, ", \"maxAttempts\": 1"));
    AWAIT(is_at_node(d, id, "1"));
    sim_control(s, "{'refusing': 500, 'refusing_path': '/history', 'page': {'type':'text/plain',"
                   "'body':'500 Internal Server Error'}, 'hold': true, 'drop': true}");
    AWAIT(ledger_count(s, "success", "a") == 1);
    sim_control(s, "{'drop': true, 'hold': false}");
    json_t *j = await_end(d, id);
    CHECK(ended_as(j, "failed", "lost") && strstr(str_at(j, "error.message"), "history") != NULL,
          "%s", str_at(j, "error.message"));
    CHECK(is_up(d) && num_at(get(d, "/backends/s0")->json, "inFlight") == 0);
}
END_TEST

/* ---- given up, and found again --------------------------------------------------------------- */

/* One node that cannot be interrupted, then an output. */
static char *stubborn_body(int ms, const char *more)
{
    return q("{'workflow':{'1':{'class_type':'T_Sleep','inputs':{'_ms':%d,'_uninterruptible':true,"
             "'_tag':'a'}},'2':{'class_type':'T_SleepOut','inputs':{'seconds':['1',0]}}}%s}",
             ms, more);
}

/* A timeout told it to stop, it went on, was given up, and ended well while its job waited; the
   same with the daemon killed meanwhile. */
START_TEST(test_a_success_after_a_timeout)
{
    struct sim *s = sim_start("--fault", "ignore-interrupt@1", NULL);
    char *config = config_of(s, "jobs: {cancelGraceMs: 300, retryDelayMs: 60000}\n");
    struct daemon *d = DAEMON(.config = config);
    char *id = submit(d, q("{'workflow':{'1':{'class_type':'T_SleepOut','inputs':{'_ms':3000,"
                           "'_uninterruptible':true,'_tag':'a'}}},'nodeExecutionTimeoutMs':400}"));
    AWAIT(has(attempt_of(d, id, 0), "outcome") && is_state(d, id, "queued"));
    if (_i == 1) {
        daemon_kill(d);
        d = DAEMON(.config = config);
    }
    json_t *j = await_end(d, id);
    CHECK(ended_as(j, "completed", "") && num_at(j, "attempts") == 1);
    CHECK(has(j, "outputs.1"));
    CHECK(strcmp(str_at(attempt_of(d, id, 0), "outcome"), "timed_out") == 0 &&
          strcmp(str_at(attempt_of(d, id, 0), "lateOutcome"), "completed") == 0);
    CHECK(strcmp(str_at(j, "profileStats.promptId"), str_at(attempt_of(d, id, 0), "promptId")) ==
          0);
    CHECK(ledger_count(s, "posted", "a") == 1);
}
END_TEST

/* Its server does not answer until it is given up, and then goes on as if nothing had been. */
static char *lost_and_waiting(struct daemon *d, struct sim *s, int ms, const char *more)
{
    char *id = submit(d, sleep_body("a", ms, more));
    AWAIT(is_at_node(d, id, "1"));
    (void)kill(s->pid, SIGSTOP);
    AWAIT(is_state(d, id, "queued"));
    CHECK(strcmp(str_at(attempt_of(d, id, 0), "outcome"), "lost") == 0);
    return id;
}

static void is_result_of_first(struct daemon *d, struct sim *s, const char *id)
{
    json_t *j = await_end(d, id);
    CHECK(ended_as(j, "completed", "") && num_at(j, "attempts") == 1);
    CHECK(has(j, "outputs.2") && ledger_count(s, "posted", "a") == 1);
    CHECK(strcmp(str_at(attempt_of(d, id, 0), "outcome"), "lost") == 0 &&
          strcmp(str_at(attempt_of(d, id, 0), "lateOutcome"), "completed") == 0);
    json_t *p = profile_of(d, id);
    check_profile(p);
    CHECK(!is_true(p, "evidence.complete"));
    CHECK(strcmp(str_at(p, "promptId"), str_at(attempt_of(d, id, 0), "promptId")) == 0);
}

/* It runs when it is found: the job goes on with it. The same over a kill of the daemon. */
START_TEST(test_found_running)
{
    struct sim *s = sim_plain();
    char *config = config_of(s, "");
    struct daemon *d = DAEMON(.config = config);
    char *id = lost_and_waiting(d, s, 6000, ", \"retryDelayMs\": 1");
    if (_i == 1) {
        daemon_kill(d);
        d = DAEMON(.config = config);
    }
    (void)kill(s->pid, SIGCONT);
    AWAIT(is_state(d, id, "running"));
    CHECK(num_at(job_now(d, id), "attempts") == 1);
    is_result_of_first(d, s, id);
    CHECK(ledger_count(s, "interrupted", NULL) == 0);
}
END_TEST

/* It is over when its server is found again. */
START_TEST(test_found_ended)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.config = config_of(s, ""));
    sim_control(s, "{'slow': 1}");
    char *id = submit(d, sleep_body("a", 1500, ", \"retryDelayMs\": 1"));
    AWAIT(is_at_node(d, id, "1"));
    (void)kill(s->pid, SIGSTOP);
    AWAIT(is_state(d, id, "queued"));
    (void)kill(s->pid, SIGCONT); /* its time is over: it ends at once */
    is_result_of_first(d, s, id);
}
END_TEST

/* More text waits than memory may hold: what is needed to go on with it is read once it is found,
   running (_i 0) or ended, and nobody runs it anew meanwhile. */
START_TEST(test_found_on_disk)
{
    enum { FILLERS = 3, FILLER = 20 << 20, OWN = 8 << 20 };
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.config = config_of(s, ""));
    await_backends_up(d, 1);
    char *filler = text("%0*d", FILLER, 0);
    post(d, "/queue/pause", "");
    for (int i = 0; i < FILLERS; i++) {
        (void)submit(d, text("{\"workflow\":{\"1\":{\"class_type\":\"T_SleepOut\",\"inputs\":"
                             "{\"_ms\":0,\"n\":%d,\"text\":\"%s\"}}},\"priority\":-1}",
                             i, filler));
    }
    char *id =
        submit(d, text("{\"workflow\":{\"1\":{\"class_type\":\"T_Sleep\",\"inputs\":{\"_ms\":%d,"
                       "\"_tag\":\"a\",\"text\":\"%s\"}},\"2\":{\"class_type\":\"T_SleepOut\","
                       "\"inputs\":{\"a\":[\"1\",0],\"_ms\":0}}},\"retryDelayMs\":1}",
                       _i == 0 ? 8000 : 1500, filler + FILLER - OWN));
    post(d, "/queue/resume", "");
    AWAIT(is_at_node(d, id, "1"));
    if (_i == 1) {
        post(d, "/queue/pause", "");
    }
    (void)kill(s->pid, SIGSTOP);
    AWAIT(is_state(d, id, "queued"));
    (void)kill(s->pid, SIGCONT);
    is_result_of_first(d, s, id);
}
END_TEST

/* Somebody cancelled the job meanwhile: what is found is told to stop. */
START_TEST(test_found_when_cancelled)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.config = config_of(s, ""));
    char *id = lost_and_waiting(d, s, 60000, "");
    cancel(d, id);
    CHECK(ended_as(await_end(d, id), "cancelled", ""));
    (void)kill(s->pid, SIGCONT);
    AWAIT(ledger_count(s, "interrupted", "a") == 1);
}
END_TEST

/* Found and followed again, it is cancelled like any other. */
START_TEST(test_cancelled_when_found)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.config = config_of(s, ""));
    char *id = lost_and_waiting(d, s, 60000, ", \"retryDelayMs\": 60000");
    (void)kill(s->pid, SIGCONT);
    AWAIT(is_state(d, id, "running"));
    cancel(d, id);
    CHECK(ended_as(await_end(d, id), "cancelled", "") && ledger_count(s, "interrupted", "a") == 1);
    CHECK(strcmp(str_at(attempt_of(d, id, 0), "lateOutcome"), "cancelled") == 0);
}
END_TEST

/* Found and followed again, it is lost once more: its retry is what it was, and comes. */
START_TEST(test_found_and_lost_again)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.config = config_of(s, ""));
    char *id = lost_and_waiting(d, s, 60000, ", \"retryDelayMs\": 1");
    (void)kill(s->pid, SIGCONT);
    AWAIT(is_state(d, id, "running"));
    sim_control(s, "{'crash': 300}");
    AWAIT(num_at(job_now(d, id), "attempts") == 2);
    cancel(d, id);
    await_end(d, id);
    CHECK(strcmp(str_at(attempt_of(d, id, 0), "outcome"), "lost") == 0);
}
END_TEST

/* Its retry was POSTed to another server: then the first one is told to stop. */
START_TEST(test_found_when_the_retry_runs)
{
    struct sim *s[2] = {sim_plain(), sim_plain()};
    struct daemon *d = DAEMON(.config = config_of_two(s, "jobs: {retryDelayMs: 1}\n"));
    await_backends_up(d, 2);
    char *id = submit(d, stubborn_body(4000, ""));
    AWAIT(is_at_node(d, id, "1"));
    (void)kill(s[0]->pid, SIGSTOP);
    AWAIT(ledger_count(s[1], "started", "a") == 1);
    (void)kill(s[0]->pid, SIGCONT);
    json_t *j = await_end(d, id);
    CHECK(ended_as(j, "completed", "") && strcmp(str_at(j, "backend"), "s1") == 0);
    AWAIT(ledger_count(s[0], "interrupted", "a") == 1);
}
END_TEST

/* Its retry is not POSTed yet, since its intent cannot be stored: it is withdrawn, in the write
   that ends the job. */
START_TEST(test_found_before_the_retry_is_posted)
{
    struct sim *s[2] = {sim_plain(), sim_plain()};
    struct daemon *d = DAEMON(.config = config_of_two(s, ""));
    await_backends_up(d, 2);
    char *id = submit(d, stubborn_body(1500, ", 'retryDelayMs': 1500"));
    AWAIT(is_at_node(d, id, "1"));
    (void)kill(s[0]->pid, SIGSTOP);
    AWAIT(is_state(d, id, "queued"));
    daemon_limit_files(d, 1);
    AWAIT(is_state(d, id, "running") && strcmp(str_at(job_now(d, id), "backend"), "s1") == 0);
    (void)kill(s[0]->pid, SIGCONT);
    AWAIT(strcmp(str_at(job_now(d, id), "backend"), "s0") == 0);
    daemon_limit_files(d, 0);
    is_result_of_first(d, s[0], id);
    CHECK(ledger_count(s[1], "posted", NULL) == 0);
    expect(get(d, "/jobs/%s/attempts/2/profile", id), 404, "attempt_not_found");
}
END_TEST

/* Its retry cannot be queued yet, since the end of the attempt waits for the disk; it is found
   ended, or running, meanwhile. */
START_TEST(test_found_while_the_disk_is_full)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.config = config_of(s, "jobs: {retryDelayMs: 1}\n"));
    char *id = submit(d, stubborn_body(_i == 0 ? 1500 : 6000, ""));
    AWAIT(is_at_node(d, id, "1"));
    daemon_limit_files(d, 1);
    (void)kill(s->pid, SIGSTOP);
    AWAIT(num_at(get(d, "/backends/s0")->json, "counters.lost") == 1);
    (void)kill(s->pid, SIGCONT);
    AWAIT(is_up(d));
    if (_i == 0) {
        AWAIT(ledger_count(s, "success", "a") == 1);
    }
    daemon_limit_files(d, 0);
    is_result_of_first(d, s, id);
    CHECK(ledger_count(s, "interrupted", NULL) == 0);
}
END_TEST

/* ---- gone ------------------------------------------------------------------------------------ */

/* A port that refuses is a process that is gone; one that is said to be behind a tunnel is not. */
START_TEST(test_a_port_that_refuses)
{
    const bool tunnel = _i == 1;
    struct sim *s[2] = {sim_start("--fault", "vanish@1:3000", NULL), sim_plain()};
    struct daemon *d =
        DAEMON(.config = text("backends:\n  - {name: s0, url: '%s', weight: 9%s}\n"
                              "  - {name: s1, url: '%s'}\n"
                              "link: {refusedLostMs: 700}\njobs: {retryDelayMs: 1}\n",
                              s[0]->url, tunnel ? ", refusedLostMs: 0" : "", s[1]->url));
    await_backends_up(d, 2);
    char *id = submit(d, sleep_body("a", 100, ""));
    json_t *j = await_end(d, id);
    CHECK(ended_as(j, "completed", "") && num_at(j, "attempts") == 2);
    const double died = ledger_at(s[0], "started", "a"); /* just then */
    const double again =
        ledger_at(ledger_count(s[1], "posted", "a") > 0 ? s[1] : s[0], "posted", "a");
    CHECK(tunnel == (again - died > 2500), "it was tried again after %.0f ms", again - died);
    CHECK(strcmp(str_at(attempt_of(d, id, 0), "outcome"), "lost") == 0);
    CHECK(json_array_size(at(get(d, "/backends")->json, "poison")) == 0);
}
END_TEST

/* What was taken up goes on when the daemon is started anew, though the other server answers first.
 */
START_TEST(test_taken_up_over_a_restart)
{
    struct sim *s[2] = {sim_plain(), sim_plain()};
    char *config = config_of_two(s, "jobs: {retryDelayMs: 1}\n");
    struct daemon *d = DAEMON(.config = config);
    await_backends_up(d, 2);
    char *busy = submit(d, sleep_body("busy", 60000, ", \"backends\": {\"only\": [\"s1\"]}"));
    AWAIT(is_at_node(d, busy, "1"));
    char *id = submit(d, sleep_body("a", 6000, ""));
    AWAIT(is_at_node(d, id, "1"));
    (void)kill(s[0]->pid, SIGSTOP);
    AWAIT(is_state(d, id, "queued"));
    (void)kill(s[0]->pid, SIGCONT);
    AWAIT(is_state(d, id, "running"));
    cancel(d, busy);
    (void)await_end(d, busy);
    (void)kill(s[0]->pid, SIGSTOP); /* it answers later than the other one */
    if (_i == 0) {
        daemon_kill(d);
    } else {
        daemon_stop(d);
    }
    d = DAEMON(.config = config);
    AWAIT(strcmp(str_at(get(d, "/backends/s1")->json, "state"), "up") == 0);
    (void)kill(s[0]->pid, SIGCONT);
    json_t *j = await_end(d, id);
    CHECK(ended_as(j, "completed", "") && strcmp(str_at(j, "backend"), "s0") == 0);
    CHECK(ledger_count(s[1], "posted", "a") == 0);
}
END_TEST

/* A listening socket in the place of a simulator that was killed. */
static int listen_at(int port)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in at = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int yes = 1;
    CHECK(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0);
    CHECK(bind(fd, (const struct sockaddr *)(const void *)&at, sizeof at) == 0 &&
          listen(fd, 8) == 0);
    return fd;
}

static const char *const words[] = {
    "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", ""};

/* Whoever takes one connection ends the count, whatever he says; then it begins anew. */
START_TEST(test_one_connection_between)
{
    enum { LOST_MS = 4000 };
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.config = text("backends: [{name: s0, url: '%s'}]\n"
                                             "link: {refusedLostMs: %d, backendLostMs: 60000}\n",
                                             s->url, LOST_MS));
    char *id = submit(d, sleep_body("a", 60000, ", \"maxAttempts\": 1"));
    AWAIT(is_at_node(d, id, "1"));
    sim_kill(s);
    const double from = now_s();
    AWAIT(strstr(read_file(d->err), "backend lost") != NULL && !is_up(d) && now_s() > from + 1);
    const int listener = listen_at(s->port);
    const int fd = accept(listener, NULL, NULL);
    char asked[4096];
    CHECK(fd >= 0 && recv(fd, asked, sizeof asked, 0) > 0);
    (void)send(fd, words[_i], strlen(words[_i]), MSG_NOSIGNAL);
    (void)close(fd);
    (void)close(listener);
    const double between = now_s();
    CHECK(is_state(d, id, "running"));
    CHECK(ended_as(await_end(d, id), "failed", "lost"));
    const double took = now_s() - between;
    CHECK(took > (LOST_MS - 200) / 1e3 && took < LOST_MS / 1e3 + 8, "lost after %.1f s", took);
}
END_TEST

static bool is_poison(struct daemon *d)
{
    return json_array_size(at(get(d, "/backends")->json, "poison")) == 1;
}

/* Two servers die under it, and each is back after it was given up there. */
START_TEST(test_deaths_are_counted_late)
{
    struct sim *s[2] = {sim_start("--fault", "vanish@1:3000", NULL),
                        sim_start("--fault", "vanish@1:3000", NULL)};
    struct daemon *d =
        DAEMON(.config = text("backends:\n  - {name: s0, url: '%s'}\n  - {name: s1, url: '%s'}\n"
                              "link: {refusedLostMs: 400}\njobs: {retryDelayMs: 1}\n",
                              s[0]->url, s[1]->url));
    await_backends_up(d, 2);
    char *id = submit(d, sleep_body("a", 100, ""));
    AWAIT(ledger_count(s[0], "started", "a") + ledger_count(s[1], "started", "a") == 2);
    expect(post(d, "/queue/pause", ""), 200, NULL);
    AWAIT(is_poison(d));
    CHECK(ended_as(await_end(d, id), "failed", "backend_error"));
}
END_TEST

/* It does not answer until its attempt is given up; then its process goes, which nobody but the
   socket asks about. */
static void stop_and_kill(struct daemon *d, struct sim *s, const char *id, size_t attempt)
{
    AWAIT(ledger_count(s, "started", "a") == 1);
    (void)kill(s->pid, SIGSTOP);
    AWAIT(strcmp(str_at(attempt_of(d, id, attempt), "outcome"), "lost") == 0);
    sim_kill(s);
    AWAIT(strstr(str_at(get(d, "/backends/%s", s->name)->json, "lastError"), "refused") != NULL);
}

START_TEST(test_deaths_are_seen_by_the_socket)
{
    struct sim *s[2] = {sim_plain(), sim_plain()};
    struct daemon *d = DAEMON(.config = config_of_two(s, "jobs: {retryDelayMs: 1}\n"));
    await_backends_up(d, 2);
    char *id = submit(d, stubborn_body(60000, ""));
    stop_and_kill(d, s[0], id, 0);
    AWAIT(ledger_count(s[1], "started", "a") == 1);
    expect(post(d, "/queue/pause", ""), 200, NULL);
    stop_and_kill(d, s[1], id, 1);
    (void)sim_start("--port", text("%d", s[0]->port), NULL);
    (void)sim_start("--port", text("%d", s[1]->port), NULL);
    AWAIT(is_poison(d));
    CHECK(ended_as(await_end(d, id), "failed", "backend_error"));
}
END_TEST

Suite *found_suite(void)
{
    static const struct named_test tests[] = {
        {"silence is not death", &test_silence_is_not_death, 0},
        {"signs of life", &test_signs_of_life, sizeof signs / sizeof *signs},
        {"events are signs of life", &test_events_are_signs_of_life, EVENTS},
        {"a worker that speaks", &test_a_worker_that_speaks, EVENTS},
        {"bystanders", &test_bystanders, 2},
        {"an end that cannot be read", &test_an_end_that_cannot_be_read, 0},
        {"a success after a timeout", &test_a_success_after_a_timeout, 2},
        {"found running", &test_found_running, 2},
        {"found ended", &test_found_ended, 0},
        {"found on disk", &test_found_on_disk, 2},
        {"found when cancelled", &test_found_when_cancelled, 0},
        {"cancelled when found", &test_cancelled_when_found, 0},
        {"found and lost again", &test_found_and_lost_again, 0},
        {"found when the retry runs", &test_found_when_the_retry_runs, 0},
        {"found before the retry is POSTed", &test_found_before_the_retry_is_posted, 0},
        {"found while the disk is full", &test_found_while_the_disk_is_full, 2},
        {"a port that refuses", &test_a_port_that_refuses, 2},
        {"taken up over a restart", &test_taken_up_over_a_restart, 2},
        {"one connection between", &test_one_connection_between, 2},
        {"deaths are counted late", &test_deaths_are_counted_late, 0},
        {"deaths are seen by the socket", &test_deaths_are_seen_by_the_socket, 0},
    };
    return SUITE("found", 90, tests);
}
