/* The program itself: arguments, log, its end, and what it keeps to itself. */
#include "harness.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "suites.h"

/* ---- arguments ------------------------------------------------------------------------------- */

struct command {
    const char *name;
    const char *arguments[6];
    const char *config; /* written to config.yaml, given by --config */
    int status;
    const char *says[4]; /* on stdout or stderr */
};

static const struct command commands[] = {
    {"version", {"--version"}, NULL, 0, {"comfypoold "}},
    {"help", {"--help"}, NULL, 0, {"usage:", "--backend", "--check-config"}},
    {"unknown option", {"--colour"}, NULL, 2, {"--colour", "--help"}},
    {"argument", {"what"}, NULL, 2, {"what", "--help"}},
    {"bad URL", {"--backend", "ftp://x"}, NULL, 2, {"--backend"}},
    {"bad listen", {"--listen", "127.0.0.1"}, NULL, 2, {"--listen"}},
    {"bad level", {"--log-level", "loud"}, NULL, 2, {"--log-level"}},
    {"no file", {"--config", "/nowhere/x.yaml"}, NULL, 2, {"/nowhere/x.yaml"}},
    {"check, good", {"--check-config"}, "backends: [{url: 'http://127.0.0.1:1'}]\n", 0, {NULL}},
    {"check, bad",
     {"--check-config"},
     "wobble:\n  limits: 3\nlog:\n  level: loud\nlog:\n  level: info\nbackends:\n"
     "  - url: http://127.0.0.1:1\n    maxInFlight: 1000\n",
     2,
     {"config.yaml:1:", "config.yaml:4:", "config.yaml:5:", "config.yaml:9:"}},
    {"twice the same backend",
     {"--check-config", "--backend", "http://127.0.0.1:1", "--backend", "http://127.0.0.1:1"},
     NULL,
     2,
     {"127.0.0.1:1"}},
    {"check, receivers that cannot be",
     {"--check-config"},
     "webhooks: {urls: ['http://10.1.2.3/x', 'http://a.example/'], secretFile: config.yaml}\n"
     "hooks: {exec: config.yaml}\notlp: {endpoint: 'http://a:4318', headersFile: /tmp}\n",
     2,
     {"webhooks.urls: http://10.1.2.3/x: its address is not public", "webhooks.secretFile",
      "hooks.exec", "otlp.headersFile: /tmp: this is no regular file"}},
    {"check, no such files",
     {"--check-config"},
     "webhooks: {secretFile: nothing}\nhooks: {exec: no/thing}\notlp: {headersFile: none}\n",
     2,
     {"webhooks.secretFile", "nothing: No such file", "no/thing: No such file",
      "none: No such file"}},
    {"check, no file of tokens",
     {"--check-config"},
     "auth: {tokensFile: none}\n",
     2,
     {"auth.tokensFile: ", "none: No such file", "--new-token"}},
    {"check, a directory to run",
     {"--check-config"},
     "hooks: {exec: /tmp}\n",
     2,
     {"hooks.exec: /tmp"}},
    {"check, good receivers",
     {"--check-config"},
     "webhooks: {urls: ['http://10.1.2.3/x', 'http://a.example/'], allow: [10.0.0.0/8]}\n"
     "hooks: {exec: /bin/sh}\notlp: {endpoint: 'http://127.0.0.1:4318'}\n",
     0,
     {NULL}},
    {"keys", {"--print-config-keys"}, NULL, 0, {"http.maxBodyBytes", "COMFYPOOLD_LISTEN"}},
};

enum { COMMANDS = sizeof commands / sizeof *commands };

static int run_command(const struct command *c, char **ret_said)
{
    char *out = path_of("said");
    const char *argv[12] = {getenv("TEST_DAEMON")};
    size_t n = 1;
    for (size_t i = 0; i < 6 && c->arguments[i] != NULL; i++) {
        argv[n++] = c->arguments[i];
    }
    if (c->config != NULL) {
        argv[n++] = "--config";
        argv[n++] = write_file("config.yaml", c->config);
    }
    const pid_t pid = fork();
    if (pid == 0) {
        (void)!freopen(out, "w", stdout);
        (void)dup2(STDOUT_FILENO, STDERR_FILENO);
        execv(argv[0], (char **)(uintptr_t)argv);
        _exit(127);
    }
    int status = 0;
    (void)waitpid(pid, &status, 0);
    *ret_said = read_file(out);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

START_TEST(test_command)
{
    const struct command *c = &commands[_i];
    char *said = NULL;
    const int status = run_command(c, &said);
    CHECK(status == c->status, "%s: exit status %d, not %d: %s", c->name, status, c->status, said);
    for (size_t i = 0; i < 4 && c->says[i] != NULL; i++) {
        CHECK(strstr(said, c->says[i]) != NULL, "%s does not say %s: %s", c->name, c->says[i],
              said);
    }
}
END_TEST

START_TEST(test_environment)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.environment = {text("COMFYPOOLD_BACKENDS=env=%s", s->url),
                                              "COMFYPOOLD_HTTP_MAX_BODY_BYTES=2000"});
    json_t *j = run_job(d, sleep_body("a", 1, ""));
    CHECK(strcmp(str_at(j, "backend"), "env") == 0);
    expect(post(d, "/jobs", text("%3000s", "")), 413, "body_too_large");
}
END_TEST

START_TEST(test_log_and_port_line)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    (void)run_job(d, q("{'workflow':%s}", sleeper("a\\u0007", 1)));
    CHECK(strcmp(read_file(d->out), text("listening on %s\n", d->url)) == 0, "the one line");
    daemon_stop(d);
    char *rest = read_file(d->err);
    int lines = 0;
    for (char *line = strsep(&rest, "\n"); line != NULL && rest != NULL;
         line = strsep(&rest, "\n")) {
        CHECK(line[0] == '<' && line[1] >= '0' && line[1] <= '7' && line[2] == '>' &&
                  strncmp(line + 3, "level=", 6) == 0 && strstr(line, " msg=") != NULL,
              "%s", line);
        lines++;
    }
    CHECK(lines >= 3);
}
END_TEST

/* ---- the end --------------------------------------------------------------------------------- */

START_TEST(test_stop_with_held_waits)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    char *id = submit(d, sleep_body("a", 60000, ""));
    AWAIT(is_at_node(d, id, "1"));
    char *queued = submit(d, sleep_body("b", 5, ""));
    enum { WAITS = 20 };
    int fds[WAITS];
    for (int i = 0; i < WAITS; i++) {
        fds[i] =
            i % 3 == 0 ? raw_request(d, "POST", "/jobs?wait=100", sleep_body(text("w%d", i), 1, ""))
            : i % 3 == 1 ? raw_request(d, "GET", text("/jobs/%s?wait=100", id), "")
                         : raw_request(d, "GET", text("/jobs/%s/profile?wait=100", queued), "");
    }
    AWAIT(num_at(get(d, "/stats")->json, "http.waits") == WAITS);
    daemon_stop(d);
    CHECK(d->ended_in < 2, "it took %.2f s", d->ended_in);
    static const long statuses[] = {202, 200, 409};
    for (int i = 0; i < WAITS; i++) {
        struct answer *a = raw_answer(fds[i]);
        CHECK(a != NULL && a->status == statuses[i % 3], "a held wait gets its answer: %ld",
              a == NULL ? 0 : a->status);
    }
    d = DAEMON(.sims = {s});
    (void)cancel(d, id);
    (void)await_end(d, id);
    (void)await_end(d, queued);
    AWAIT(num_at(get(d, "/stats")->json, "jobs.completed") == 1 + (WAITS + 2) / 3);
}
END_TEST

START_TEST(test_stop_with_idle_connections)
{
    struct daemon *d = DAEMON(.no_profile = true);
    int fds[200];
    for (int i = 0; i < 200; i++) {
        fds[i] = raw_open(d->port);
        if (i % 2 == 0) {
            static const char half[] =
                "POST /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{";
            raw_send(fds[i], half, i % 4 == 0 ? sizeof half - 1 : 20);
        }
    }
    AWAIT(num_at(get(d, "/stats")->json, "http.connections") >= 200);
    daemon_stop(d);
    CHECK(d->ended_in < 2, "it took %.2f s", d->ended_in);
    for (int i = 0; i < 200; i++) {
        (void)close(fds[i]);
    }
}
END_TEST

/* SIGTERM at any moment of its life, twice for good measure. */
START_TEST(test_stop_at_once)
{
    struct sim *s = sim_plain();
    for (int i = 0; i < 4; i++) {
        struct daemon *d = DAEMON(.sims = {s}, .arguments = {"--backend", "http://127.0.0.1:1"});
        if (i > 0) {
            (void)submit(d, sleep_body(text("t%d", i), 5, ""));
        }
        if (i > 1) {
            int fd = raw_request(d, "GET", "/jobs?limit=1000", "");
            (void)kill(d->pid, SIGTERM);
            (void)close(fd);
        }
        daemon_stop(d);
        CHECK(d->ended_in < 2, "it took %.2f s", d->ended_in);
    }
    struct daemon *d = DAEMON(.sims = {s});
    AWAIT(num_at(get(d, "/stats")->json, "jobs.completed") == 3);
}
END_TEST

/* With a POST that is not answered, and a backend that answers nothing. */
START_TEST(test_stop_in_a_post)
{
    struct sim *s = sim_start("--fault", "slow-accept@1:100000000", NULL);
    struct daemon *d = DAEMON(.sims = {s});
    (void)submit(d, sleep_body("a", 5, ""));
    AWAIT(ledger_count(s, "posted", "a") == 1);
    daemon_stop(d);
    CHECK(d->ended_in < 2.5, "it took %.2f s", d->ended_in);
    (void)kill(s->pid, SIGSTOP);
    d = DAEMON(.sims = {s});
    expect(get(d, "/healthz"), 200, NULL);
    expect(get(d, "/readyz"), 503, NULL);
    daemon_stop(d);
    (void)kill(s->pid, SIGCONT);
    CHECK(d->ended_in < 2.5, "it took %.2f s", d->ended_in);
}
END_TEST

/* ---- credentials ----------------------------------------------------------------------------- */

struct listener {
    int fd;
    int port;
};

static struct listener listen_raw(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    struct listener l = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    CHECK(bind(l.fd, (struct sockaddr *)&a, n) == 0 && listen(l.fd, 16) == 0 &&
          getsockname(l.fd, (struct sockaddr *)&a, &n) == 0);
    l.port = ntohs(a.sin_port);
    return l;
}

/* The next request's head; the connection gets an error and is closed. */
static char *next_request(const struct listener *l)
{
    struct pollfd p = {l->fd, POLLIN, 0};
    CHECK(poll(&p, 1, PATIENCE_S * 1000) == 1, "nobody connects");
    const int fd = accept(l->fd, NULL, NULL);
    char buf[8192];
    size_t n = 0;
    while (n < sizeof buf - 1) {
        const ssize_t got = read(fd, buf + n, sizeof buf - 1 - n);
        if (got <= 0) {
            break;
        }
        n += (size_t)got;
        buf[n] = '\0';
        if (strstr(buf, "\r\n\r\n") != NULL) {
            break;
        }
    }
    buf[n] = '\0';
    static const char no[] = "HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    raw_send(fd, no, sizeof no - 1);
    (void)close(fd);
    return text("%s", buf);
}

static void check_secret(const char *where, const char *s)
{
    CHECK(strstr(s, "hunter2") == NULL && strstr(s, "dXNlcjpodW50ZXIy") == NULL &&
              strstr(s, "t0ken") == NULL,
          "a secret stands in %s: %s", where, s);
}

START_TEST(test_credentials)
{
    const struct listener l = listen_raw();
    char *headers = write_file("secret.headers", "# for the proxy\nX-Key: t0ken\n");
    struct daemon *d = DAEMON(.config = text("backends:\n  - name: s0\n"
                                             "    url: 'http://user:hunter2@127.0.0.1:%d/comfy'\n"
                                             "    headersFile: %s\nlog: {level: debug}\n",
                                             l.port, headers));
    bool socket_seen = false;
    for (int i = 0; i < 4 && !socket_seen; i++) {
        char *head = next_request(&l);
        CHECK(strncmp(head, "GET /comfy/", 11) == 0, "the path prefix is kept: %s", head);
        CHECK(strcasestr(head, "Authorization: Basic dXNlcjpodW50ZXIy\r\n") != NULL, "%s", head);
        CHECK(strcasestr(head, "X-Key: t0ken\r\n") != NULL, "%s", head);
        socket_seen = strcasestr(head, "Upgrade: websocket") != NULL;
    }
    CHECK(socket_seen, "the WebSocket carries them too");
    char *id = submit(d, sleep_body("a", 1, ""));
    const char *paths[] = {"/backends", "/stats", "/readyz", "/jobs", text("/jobs/%s", id)};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        check_secret(paths[i], get(d, "%s", paths[i])->body);
    }
    AWAIT(*str_at(get(d, "/backends")->json, "backends.0.lastError") != '\0');
    check_secret("lastError", get(d, "/backends")->body);
    CHECK(strcmp(str_at(get(d, "/backends")->json, "backends.0.url"),
                 text("http://127.0.0.1:%d/comfy", l.port)) == 0);
    daemon_stop(d);
    check_secret("the log", read_file(d->err));
    (void)close(l.fd);
}
END_TEST

static bool next_has(const struct listener *l, const char *line)
{
    return strcasestr(next_request(l), line) != NULL;
}

/* SIGHUP reads the headersFile again. A broken one changes nothing. */
START_TEST(test_headers_are_reloaded)
{
    const struct listener l = listen_raw();
    char *headers = write_file("proxy.headers", "X-Key: old\n");
    struct daemon *d = DAEMON(.config = text("backends:\n  - url: 'http://127.0.0.1:%d'\n"
                                             "    headersFile: proxy.headers\n",
                                             l.port));
    CHECK(next_has(&l, "X-Key: old\r\n"));
    (void)write_file("proxy.headers", "no header\n");
    (void)kill(d->pid, SIGHUP);
    AWAIT(strstr(read_file(d->err), "were not reloaded") != NULL);
    CHECK(next_has(&l, "X-Key: old\r\n"));
    (void)write_file("proxy.headers", "X-Key: new\n");
    (void)kill(d->pid, SIGHUP);
    AWAIT(next_has(&l, "X-Key: new\r\n"));
    CHECK(strstr(read_file(d->err), headers) != NULL, "the file is named");
    (void)close(l.fd);
}
END_TEST

/* Also where the configuration is wrong. */
START_TEST(test_credentials_in_errors)
{
    static const char *const configs[] = {
        "backends:\n  - {name: a, url: 'http://user:hunter2@127.0.0.1:1'}\n"
        "  - {name: b, url: 'http://user:hunter2@127.0.0.1:1'}\n",
        "backends:\n  - url: 'http://user:hunter2@127.0.0.1:99999'\n",
        "backends:\n  - url: 'htp://user:hunter2@127.0.0.1'\n",
        "backends:\n  - url: 'http://user:hunter2@'\n",
    };
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        const struct command c = {.arguments = {"--check-config"}, .config = configs[i]};
        char *said = NULL;
        CHECK(run_command(&c, &said) == 2, "%s", said);
        check_secret("an error", said);
    }
    const struct command c = {.arguments = {"--backend", "http://user:hunter2@127.0.0.1:99999"}};
    char *said = NULL;
    CHECK(run_command(&c, &said) == 2, "%s", said);
    check_secret("an error", said);
}
END_TEST

/* ---- retention ------------------------------------------------------------------------------- */

START_TEST(test_retention)
{
    struct sim *s = sim_start("--zero", NULL);
    struct daemon *d = DAEMON(.sims = {s});
    for (int i = 0; i < 6; i++) {
        (void)run_job(d, sleep_body(text("t%d", i), 0, ""));
    }
    daemon_stop(d);
    d = DAEMON(.sims = {s}, .config = "retention: {count: 2}\n");
    AWAIT(json_array_size(at(get(d, "/jobs")->json, "jobs")) == 2);
    CHECK(num_at(get(d, "/stats")->json, "jobs.completed") == 2);
}
END_TEST

Suite *daemon_suite(void)
{
    static const struct named_test tests[] = {
        {"command", &test_command, COMMANDS},
        {"environment", &test_environment, 1},
        {"log and port line", &test_log_and_port_line, 1},
        {"stop with held waits", &test_stop_with_held_waits, 1},
        {"stop with idle connections", &test_stop_with_idle_connections, 1},
        {"stop at once", &test_stop_at_once, 1},
        {"stop in a POST", &test_stop_in_a_post, 1},
        {"credentials", &test_credentials, 1},
        {"headers are reloaded", &test_headers_are_reloaded, 0},
        {"credentials in errors", &test_credentials_in_errors, 1},
        {"retention", &test_retention, 1},
    };
    return SUITE("daemon", 60, tests);
}
