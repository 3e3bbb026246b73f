/*
 * hooks.exec: shell scripts of the test's own that write down what they get, wait at a FIFO to be
 * let go, or never end.
 */
#include "harness.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "suites.h"

/* Each %s of the script is the test's directory. */
static char *program(const char *script)
{
    const char *dir = path_of("%s", "");
    char *path = write_file("hook", text("#!/bin/sh\nd='%s'\n%s", dir, script));
    CHECK(chmod(path, 0755) == 0);
    return path;
}

/* more: of the hooks section, beginning with a comma, or "". */
static struct daemon *daemon_for(struct sim *s, const char *script, const char *more)
{
    char *config = text("hooks: {exec: '%s'%s}\n", program(script), more);
    struct daemon *d =
        s == NULL ? DAEMON(.config = config, .no_profile = true)
                  : DAEMON(.sims = {s}, .config = config, .environment = {"HOOK_SECRET=geheim"});
    if (s != NULL) {
        await_ready(d);
    }
    return d;
}

static double counted(struct daemon *d, const char *name)
{
    return num_at(get(d, "/stats")->json, text("hooks.%s", name));
}

static char *written(const char *name)
{
    return read_file(path_of("%s", name));
}

/* It is no process any more, or one that nobody has buried yet. */
static bool is_gone(const char *pid)
{
    char *status = read_file(text("/proc/%d/status", atoi(pid)));
    return *status == '\0' || strstr(status, "State:\tZ") != NULL ||
           strstr(status, "State:\tX") != NULL;
}

START_TEST(test_told)
{
    struct sim *s = sim_plain();
    struct daemon *d = daemon_for(s,
                                  "cat >\"$d/body\"\n"
                                  "tr '\\0' '\\n' </proc/$$/environ >\"$d/env\"\n"
                                  "cut -d' ' -f1,5,6 /proc/$$/stat >\"$d/ids\"\n"
                                  "x=$(readlink /proc/$$/fd/1)\necho \"$x\" >\"$d/out\"\n",
                                  "");
    json_t *j = run_job(d, sleep_body("a", 1, ",'metadata':{'k':1}"));
    AWAIT(counted(d, "completed") == 1);
    json_t *b = json_of(written("body"));
    CHECK(json_object_size(b) == 3 && *str_at(b, "timestamp") != '\0');
    CHECK(strcmp(str_at(b, "type"), "job:completed") == 0);
    CHECK(strcmp(str_at(b, "data.jobId"), str_at(j, "id")) == 0 &&
          strcmp(str_at(b, "data.state"), "completed") == 0);
    CHECK(at(b, "data.profileStats") == NULL && at(b, "data.outputs") == NULL);
    char *env = written("env");
    CHECK(strncmp(env, "PATH=", 5) == 0 && strchr(env, '\n') == env + strlen(env) - 1,
          "PATH and nothing else: %s", env);
    int pid = 0;
    int group = 0;
    int session = 0;
    CHECK(sscanf(written("ids"), "%d %d %d", &pid, &group, &session) == 3);
    CHECK(pid == group && group != d->pid, "its own group: %d of %d", pid, group);
    CHECK(strcmp(written("out"), "/dev/null\n") == 0, "its output is not the daemon's: %s",
          written("out"));
}
END_TEST

static const struct {
    const char *events; /* of the configuration */
    const char *types;  /* that come of a job that completes, sorted */
} chosen[] = {
    {"", "job:completed\n"},
    {", events: [job:failed, job:cancelled]", ""},
    {", events: [job:queued, job:accepted, job:started, job:output, job:completed]",
     "job:accepted\njob:completed\njob:output\njob:queued\njob:started\n"},
};

START_TEST(test_events)
{
    struct sim *s = sim_plain();
    struct daemon *d = daemon_for(
        s, "sed 's/^{\"type\":\"\\([a-z:]*\\)\".*/\\1/' >>\"$d/types\"\necho >>\"$d/types\"\n",
        text("%s, maxConcurrent: 1", chosen[_i].events));
    (void)run_job(d, q("{'1':{'class_type':'SaveImage','inputs':{'_ms':1,'_tag':'a'}}}"));
    int want = 0;
    for (const char *p = chosen[_i].types; *p != '\0'; p++) {
        want += *p == '\n';
    }
    AWAIT(counted(d, "completed") == want && counted(d, "waiting") + counted(d, "running") == 0);
    char *types = written("types");
    int came = 0;
    for (const char *p = strstr(types, "job:"); p != NULL; p = strstr(p + 1, "job:")) {
        char *name = text("%.*s\n", (int)strcspn(p, "\n"), p);
        CHECK(strstr(chosen[_i].types, name) != NULL, "%s", types);
        came++;
    }
    CHECK(came == want, "%d, not %d: %s", came, want, types);
}
END_TEST

/* A FIFO, open at both ends from the beginning: no reader misses what is written, and none ends
   before the test does. */
static int gate_open(void)
{
    CHECK(mkfifo(path_of("go"), 0600) == 0);
    const int fd = open(path_of("go"), O_RDWR | O_CLOEXEC);
    CHECK(fd >= 0);
    return fd;
}

/* Its time is over: it, and what it started. */
START_TEST(test_killed_with_its_children)
{
    struct sim *s = sim_plain();
    const int gate = gate_open(); /* nobody passes */
    struct daemon *d = daemon_for(s,
                                  "cat \"$d/go\" &\necho $! >\"$d/child\"\n"
                                  "trap '' TERM\necho $$ >\"$d/self\"\ncat \"$d/go\"\n",
                                  ", timeoutMs: 500");
    (void)run_job(d, sleep_body("a", 1, ""));
    AWAIT(counted(d, "timedOut") == 1);
    CHECK(atoi(written("child")) > 0 && atoi(written("self")) > 0, "it had begun");
    AWAIT(is_gone(written("child")) && is_gone(written("self")));
    CHECK(counted(d, "failed") == 0 && counted(d, "completed") == 0 && counted(d, "running") == 0);
    AWAIT(strstr(read_file(d->err), "500 ms") != NULL);
    (void)close(gate);
}
END_TEST

/* Ends when there is a line for it in a FIFO. */
static const char waits[] = "echo >>\"$d/began\"\nread line <\"$d/go\"\n";

static void gate_pass(int gate, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        CHECK(write(gate, "\n", 1) == 1);
    }
}

START_TEST(test_bounded)
{
    enum { JOBS = 5 };
    struct sim *s = sim_plain();
    const int gate = gate_open();
    struct daemon *d = daemon_for(s, waits, ", maxConcurrent: 2");
    for (int i = 0; i < JOBS; i++) {
        (void)run_job(d, sleep_body(text("a%d", i), 1, ""));
    }
    AWAIT(counted(d, "running") == 2 && strlen(written("began")) == 2);
    CHECK(counted(d, "waiting") == JOBS - 2 && counted(d, "completed") == 0);
    gate_pass(gate, JOBS);
    AWAIT(counted(d, "completed") == JOBS);
    CHECK(counted(d, "running") == 0 && counted(d, "waiting") == 0);
    CHECK(strlen(written("began")) == JOBS);
    (void)close(gate);
}
END_TEST

/* More than 1,000 wait: the rest is dropped and counted, and nobody waits for any of it. */
START_TEST(test_dropped)
{
    enum { JOBS = 504, WAITING = 1000 };
    const int gate = gate_open(); /* nobody passes */
    struct daemon *d =
        daemon_for(NULL, waits, ", maxConcurrent: 1, events: [job:queued, job:cancelled]");
    for (int i = 0; i < JOBS; i++) {
        (void)cancel(d, submit(d, sleep_body("a", 1, "")));
    }
    AWAIT(counted(d, "running") + counted(d, "waiting") + counted(d, "dropped") == 2 * JOBS);
    CHECK(counted(d, "running") == 1 && counted(d, "waiting") == WAITING &&
          counted(d, "dropped") == 2 * JOBS - WAITING - 1);
    CHECK(strstr(read_file(d->err), "dropped") != NULL);
    daemon_stop(d);
    CHECK(strlen(written("began")) == 1, "those that wait are forgotten");
    (void)close(gate);
}
END_TEST

/* Nothing is read and nothing ends: jobs go on, and so does the end of the daemon. */
START_TEST(test_stalls_nobody)
{
    enum { JOBS = 6 };
    struct sim *s = sim_plain();
    const int gate = gate_open(); /* nobody passes */
    struct daemon *d = daemon_for(s, "echo $$ >>\"$d/pids\"\nexec cat \"$d/go\"\n",
                                  ", maxConcurrent: 2, events: [job:queued, job:completed]");
    for (int i = 0; i < JOBS; i++) {
        json_t *j = run_job(
            d, q("{'workflow':%s,'metadata':{'long':'%016000d'}}", sleeper(text("a%d", i), 1), 1));
        CHECK(strcmp(str_at(j, "state"), "completed") == 0);
    }
    AWAIT(counted(d, "running") == 2 && counted(d, "waiting") == 2 * JOBS - 2);
    AWAIT(strchr(written("pids"), '\n') != strrchr(written("pids"), '\n'));
    daemon_stop(d);
    CHECK(d->ended_in < 10, "%.1f s", d->ended_in);
    char *pids = written("pids");
    CHECK(is_gone(pids) && is_gone(strchr(pids, '\n') + 1), "its end ends them");
    (void)close(gate);
}
END_TEST

static const struct {
    const char *name, *script, *says;
} failures[] = {
    {"a status", "exit 3\n", "exited with status 3"},
    {"a signal", "kill -9 $$\n", "ended by signal 9"},
    {"no such command", "exec /nowhere/at/all 2>/dev/null\n", "exited with status 127"},
};

START_TEST(test_failures)
{
    struct sim *s = sim_plain();
    struct daemon *d = daemon_for(s, failures[_i].script, "");
    (void)run_job(d, sleep_body("a", 1, ""));
    AWAIT(counted(d, "failed") == 1);
    CHECK(counted(d, "completed") == 0 && counted(d, "timedOut") == 0);
    CHECK(strstr(read_file(d->err), failures[_i].says) != NULL, "%s", failures[_i].name);
    /* It is run again all the same. */
    (void)run_job(d, sleep_body("b", 1, ""));
    AWAIT(counted(d, "failed") == 2);
}
END_TEST

/* It is taken away while the daemon runs, and comes back. */
START_TEST(test_vanished)
{
    struct sim *s = sim_plain();
    struct daemon *d = daemon_for(s, "exit 0\n", "");
    CHECK(unlink(path_of("hook")) == 0);
    (void)run_job(d, sleep_body("a", 1, ""));
    AWAIT(counted(d, "failed") == 1);
    (void)program("exit 0\n");
    (void)run_job(d, sleep_body("b", 1, ""));
    AWAIT(counted(d, "completed") == 1);
}
END_TEST

Suite *hooks_suite(void)
{
    static const struct named_test tests[] = {
        {"told", &test_told, 0},
        {"events", &test_events, (int)(sizeof chosen / sizeof *chosen)},
        {"killed with its children", &test_killed_with_its_children, 0},
        {"bounded", &test_bounded, 0},
        {"dropped", &test_dropped, 0},
        {"stalls nobody", &test_stalls_nobody, 0},
        {"failures", &test_failures, (int)(sizeof failures / sizeof *failures)},
        {"vanished", &test_vanished, 0},
    };
    return SUITE("hooks", 120, tests);
}
