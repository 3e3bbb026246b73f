/*
 * What a hostile client, server or machine does: no descriptors, a disk that does not answer, more
 * frames than anybody expects, a large batch. Nobody else waits for it.
 */
#include "harness.h"

#include <openssl/evp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <poll.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <netinet/in.h>

#include "suites.h"

/* ---- descriptors ----------------------------------------------------------------------------- */

enum { CROWD = 60, ROOM = 20 };

/* Nobody is there any more to wake the listening socket. */
START_TEST(test_no_descriptors)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    await_ready(d);
    const struct rlimit few = {(rlim_t)open_files(d) + ROOM, RLIM_INFINITY};
    struct rlimit was;
    CHECK(prlimit(d->pid, RLIMIT_NOFILE, NULL, &was) == 0);
    CHECK(prlimit(d->pid, RLIMIT_NOFILE, &(struct rlimit){few.rlim_cur, was.rlim_max}, NULL) == 0);
    int crowd[CROWD];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < CROWD; i++) {
            crowd[i] = raw_open(d->port);
        }
        AWAIT(open_files(d) >= (int)few.rlim_cur);
        for (int i = 0; i < CROWD; i++) {
            (void)close(crowd[i]);
        }
        struct answer *a = raw_answer(raw_request(d, "GET", "/healthz", ""));
        CHECK(a != NULL && a->status == 200, "it is deaf");
    }
    CHECK(prlimit(d->pid, RLIMIT_NOFILE, &was, NULL) == 0);
    (void)run_job(d, sleep_body("a", 1, ""));
}
END_TEST

START_TEST(test_too_few_descriptors)
{
    struct rlimit was;
    CHECK(getrlimit(RLIMIT_NOFILE, &was) == 0);
    CHECK(setrlimit(RLIMIT_NOFILE, &(struct rlimit){40, 40}) == 0);
    struct daemon *d = DAEMON(.may_fail = true);
    CHECK(d->port == 0 && daemon_wait(d) == 1);
    CHECK(strstr(read_file(d->err), "limit of open files") != NULL);
    d->status = 0;
}
END_TEST

/* ---- the service manager's watchdog ---------------------------------------------------------- */

static int bind_notify(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0);
    return fd;
}

/* How often it was fed until then. */
static int fed_until(int fd, double until, bool *ready)
{
    int n = 0;
    while (now_s() < until) {
        char said[512] = "";
        struct pollfd p = {fd, POLLIN, 0};
        if (poll(&p, 1, (int)((until - now_s()) * 1000) + 1) > 0 &&
            recv(fd, said, sizeof said - 1, 0) > 0) {
            n += strcmp(said, "WATCHDOG=1") == 0;
            *ready = *ready || strstr(said, "READY=1") != NULL;
        }
    }
    return n;
}

START_TEST(test_watchdog)
{
    const int fd = bind_notify(path_of("notify"));
    struct sim *s = sim_plain();
    struct daemon *d =
        DAEMON(.sims = {s}, .environment = {text("NOTIFY_SOCKET=%s", path_of("notify")),
                                            "WATCHDOG_USEC=1000000"});
    bool ready = false;
    CHECK(fed_until(fd, now_s() + 1.5, &ready) >= 3, "while nothing happens");
    CHECK(ready);
    /* Somebody has the database: the writer waits 2 s for it. */
    sqlite3 *db = NULL;
    CHECK(sqlite3_open(text("%s/comfypoold.db", d->state), &db) == SQLITE_OK);
    CHECK(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK);
    const int job = raw_request(d, "POST", "/jobs", sleep_body("a", 1, ""));
    (void)fed_until(fd, now_s() + 0.8, &ready);
    CHECK(fed_until(fd, now_s() + 0.9, &ready) == 0, "while the store does not answer");
    CHECK(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK);
    (void)sqlite3_close(db);
    struct answer *a = raw_answer(job);
    CHECK(a != NULL && (a->status == 202 || a->status == 503));
    CHECK(fed_until(fd, now_s() + 1.5, &ready) >= 3, "then");
    (void)close(fd);
}
END_TEST

/* ---- a server that talks --------------------------------------------------------------------- */

enum { FRAMES = 300 };

static void add_frame(char *to, size_t *at, const char *body)
{
    const size_t n = strlen(body);
    to[(*at)++] = (char)0x81;
    to[(*at)++] = (char)126;
    to[(*at)++] = (char)(n >> 8);
    to[(*at)++] = (char)(n & 255);
    memcpy(to + *at, body, n);
    *at += n;
}

/* The answer to the upgrade and all frames behind it, in one write. */
static void answer_upgrade(int fd, const char *request)
{
    static char out[128 * 1024];
    char key[128] = "";
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned char accept[64];
    unsigned n = 0;
    const char *at = strcasestr(request, "Sec-WebSocket-Key: ");
    (void)snprintf(key, sizeof key, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", at + 19);
    (void)EVP_Digest(key, strlen(key), digest, &n, EVP_sha1(), NULL);
    (void)EVP_EncodeBlock(accept, digest, (int)n);
    size_t len = (size_t)snprintf(out, sizeof out,
                                  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                  "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                                  (const char *)accept);
    for (int i = 0; i < FRAMES; i++) {
        char body[300];
        (void)snprintf(
            body, sizeof body,
            "{\"type\":\"status\",\"data\":{\"status\":{\"exec_info\":{\"queue_remaining\":"
            "0}},\"sid\":\"s%d\",\"more\":\"%0*d\"}}",
            i, 100, i);
        add_frame(out, &len, body);
    }
    raw_send(fd, out, len);
}

/* One thing at a time; ends with its parent. */
static _Noreturn void serve(int listener)
{
    for (;;) {
        char request[8192] = "";
        const int fd = accept(listener, NULL, NULL);
        size_t n = 0;
        for (ssize_t got = 1; got > 0 && strstr(request, "\r\n\r\n") == NULL;) {
            got = read(fd, request + n, sizeof request - 1 - n);
            n += got > 0 ? (size_t)got : 0;
        }
        if (strstr(request, "ebSocket-Key") != NULL) {
            answer_upgrade(fd, request); /* and stays */
        } else {
            static const char no[] =
                "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            raw_send(fd, no, sizeof no - 1);
            (void)close(fd);
        }
    }
}

START_TEST(test_frames_behind_the_upgrade)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(listener, (struct sockaddr *)&at, n) == 0 && listen(listener, 8) == 0 &&
          getsockname(listener, (struct sockaddr *)&at, &n) == 0);
    const pid_t child = fork();
    if (child == 0) {
        serve(listener);
    }
    (void)close(listener);
    struct daemon *d =
        DAEMON(.arguments = {"--backend", text("talker=http://127.0.0.1:%d", ntohs(at.sin_port))});
    AWAIT(strcmp(str_at(get(d, "/backends/talker")->json, "state"), "up") == 0);
    CHECK(strstr(read_file(d->err), "too long") == NULL);
    CHECK(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
}
END_TEST

/* ---- a large batch --------------------------------------------------------------------------- */

enum { OVERRIDES = 300, PROMPT = 3000000, MODELS = 3, SLOW_MS = 500 };

static long slowest_turn(struct daemon *d)
{
    long most = 0;
    for (const char *at = read_file(d->err); (at = strstr(at, "\"slow turn\" ms=")) != NULL; at++) {
        const long ms = atol(at + strlen("\"slow turn\" ms="));
        most = ms > most ? ms : most;
    }
    return most;
}

/* Each changes the structure; the text was parsed anew for each of them, in one turn. */
START_TEST(test_large_batch)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    await_backends_up(d, 1);
    expect(post(d, "/queue/pause", ""), 200, NULL);
    char *body = malloc(PROMPT + OVERRIDES * 64 + 1000);
    size_t n = (size_t)sprintf(body, "{\"workflow\":{\"1\":{\"class_type\":\"T_Sleep\",\"inputs\":"
                                     "{\"model_name\":\"a.safetensors\",\"text\":\"");
    memset(body + n, 'p', PROMPT);
    n += PROMPT;
    n += (size_t)sprintf(body + n, "\"}},\"2\":{\"class_type\":\"T_SleepOut\",\"inputs\":{\"a\":"
                                   "[\"1\",0]}}},\"overrides\":[");
    for (int i = 0; i < OVERRIDES; i++) {
        n += (size_t)sprintf(body + n, "%s{\"1.model_name\":\"%d.safetensors\"}", i == 0 ? "" : ",",
                             i % MODELS);
    }
    (void)sprintf(body + n, "]}");
    struct answer *a = post(d, "/batches", body);
    free(body);
    expect(a, 202, NULL);
    CHECK(num_at(a->json, "total") == OVERRIDES);
    CHECK(slowest_turn(d) < SLOW_MS, "a turn of %ld ms", slowest_turn(d));
    /* As many workflows as there are models. */
    json_t *jobs = at(get(d, "/jobs?limit=%d", OVERRIDES)->json, "jobs");
    CHECK(json_array_size(jobs) == OVERRIDES);
    for (size_t i = 0; i + MODELS < OVERRIDES; i++) {
        const char *one = str_at(json_array_get(jobs, i), "workflowHash");
        CHECK(strcmp(one, str_at(json_array_get(jobs, i + MODELS), "workflowHash")) == 0 &&
                  strcmp(one, str_at(json_array_get(jobs, i + 1), "workflowHash")) != 0,
              "job %zu", i);
    }
}
END_TEST

/* Each of its jobs is another structure of a large graph: the workflow is hashed for each, and
   others are answered in between. */
START_TEST(test_many_structures)
{
    enum { LINKS = 15000, KINDS = 60 };
    struct daemon *d = DAEMON(.no_profile = true);
    const size_t room = (size_t)LINKS * 80 + 4096;
    char *body = malloc(room);
    size_t n = (size_t)sprintf(
        body, "{\"prompt\":{\"0\":{\"class_type\":\"S\",\"inputs\":{\"ckpt_name\":\"a\"}}");
    for (int i = 1; i <= LINKS; i++) {
        n += (size_t)sprintf(
            body + n, ",\"%d\":{\"class_type\":\"E\",\"inputs\":{\"c\":[\"%d\",0]}}", i, i - 1);
    }
    n += (size_t)sprintf(body + n, "},\"overrides\":[");
    for (int i = 0; i < KINDS; i++) {
        n += (size_t)sprintf(body + n, "%s{\"0.ckpt_name\":\"m%d\"}", i == 0 ? "" : ",", i);
    }
    (void)sprintf(body + n, "]}");
    const double began = now_s();
    const int fd = raw_request(d, "POST", "/batches", body);
    double longest = 0;
    struct pollfd come = {.fd = fd, .events = POLLIN};
    while (poll(&come, 1, 0) == 0) {
        const double asked = now_s();
        expect(get(d, "/healthz"), 200, NULL);
        const double took = now_s() - asked;
        longest = took > longest ? took : longest;
    }
    const double all = now_s() - began;
    CHECK(raw_answer(fd)->status == 202);
    CHECK(longest < all / 4, "%.3f of %.3f s", longest, all);
    free(body);
}
END_TEST

/* ---- many that end at once ------------------------------------------------------------------- */

enum { MANY_NODES = 6000, MANY_JOBS = 100 };

/* A batch of profiled jobs over a large graph. Its id. */
static const char *large_batch(struct daemon *d, const char *more)
{
    char *body = malloc((size_t)MANY_NODES * 64 + (size_t)MANY_JOBS * 32 + 4096);
    size_t n = (size_t)sprintf(body,
                               "{\"profile\":true,%s\"workflow\":{\"0\":{\"class_type\":"
                               "\"T_SleepOut\",\"inputs\":{\"x\":0}}",
                               more);
    for (int i = 1; i <= MANY_NODES; i++) {
        n += (size_t)sprintf(body + n, ",\"%d\":{\"class_type\":\"T_Sleep\",\"inputs\":{}}", i);
    }
    n += (size_t)sprintf(body + n, "},\"overrides\":[");
    for (int i = 0; i < MANY_JOBS; i++) {
        n += (size_t)sprintf(body + n, "%s{\"0.x\":%d}", i == 0 ? "" : ",", i);
    }
    (void)sprintf(body + n, "]}");
    struct answer *a = post(d, "/batches", body);
    free(body);
    expect(a, 202, NULL);
    return str_at(a->json, "id");
}

/* From now on until all of the batch has that state, nobody waits for a quarter of the time. */
static void others_are_served(struct daemon *d, const char *batch, const char *state)
{
    const double began = now_s();
    double longest = 0;
    double done = 0;
    while (done < MANY_JOBS) {
        const double asked = now_s();
        done = num_at(get(d, "/batches/%s", batch)->json, text("counts.%s", state));
        const double took = now_s() - asked;
        longest = took > longest ? took : longest;
    }
    const double all = now_s() - began;
    CHECK(longest < all / 4, "%.3f of %.3f s", longest, all);
}

/* Each has a profile of its whole workflow, in which everything is pending. They were all made in
   one turn, and all in memory. */
START_TEST(test_large_batch_is_cancelled)
{
    struct daemon *d = DAEMON(.sims = {sim_plain()});
    await_backends_up(d, 1);
    const char *batch = large_batch(d, "\"notBefore\":\"2099-01-01T00:00:00Z\",");
    const int fd = raw_request(d, "POST", text("/batches/%s/cancel", batch), "");
    others_are_served(d, batch, "cancelled");
    CHECK(raw_answer(fd)->status == 200);
}
END_TEST

START_TEST(test_many_wait_for_one_that_fails)
{
    struct daemon *d = DAEMON(.sims = {sim_plain()});
    await_backends_up(d, 1);
    const char *first = submit(d, sleep_body("a", 1, ",\"notBefore\":\"2099-01-01T00:00:00Z\""));
    const char *batch = large_batch(d, text("\"after\":[\"%s\"],", first));
    const int fd = raw_request(d, "POST", text("/jobs/%s/cancel", first), "");
    others_are_served(d, batch, "failed");
    CHECK(raw_answer(fd)->status == 200);
    json_t *j = json_array_get(at(get(d, "/jobs?limit=1&batch=%s", batch)->json, "jobs"), 0);
    CHECK(strcmp(str_at(j, "error.code"), "dependency_failed") == 0);
    CHECK(strstr(str_at(j, "error.message"), first) != NULL);
}
END_TEST

/* ---- tokens that are taken back -------------------------------------------------------------- */

enum { TOKENS = 12000, READERS = 800 };

static void write_tokens(bool all)
{
    static const char secret[] = "2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90";
    char *text_of = malloc((TOKENS + 1) * 96);
    size_t n = all ? (size_t)sprintf(text_of, "alice:submit:%s\n", secret) : 0;
    for (int i = 0; i < TOKENS; i++) {
        n += (size_t)sprintf(text_of + n, "t%d:read:%064x\n", i, (unsigned)i + 1);
    }
    (void)write_file("tokens", text_of);
    free(text_of);
}

/* Each was held against all tokens, in one turn. */
START_TEST(test_many_tokens_taken_back)
{
    struct sim *s = sim_plain();
    write_tokens(true);
    struct daemon *d = DAEMON(.config = text("backends: [{url: '%s'}]\nauth: {tokensFile: '%s'}\n"
                                             "http: {maxConnectionsPerAddress: 0}\n",
                                             s->url, path_of("tokens")));
    static const char request[] = "GET /events HTTP/1.1\r\nHost: localhost\r\n"
                                  "Authorization: Bearer alice\r\n\r\n";
    int readers[READERS];
    char some[16];
    for (int i = 0; i < READERS; i++) {
        readers[i] = raw_open(d->port);
        raw_send(readers[i], request, sizeof request - 1);
        CHECK(recv(readers[i], some, sizeof some, MSG_WAITALL) == sizeof some);
        CHECK(memcmp(some, "HTTP/1.1 200 OK\r", sizeof some) == 0);
    }
    write_tokens(false);
    CHECK(kill(d->pid, SIGHUP) == 0);
    for (int i = 0; i < READERS; i++) {
        char rest[4096];
        while (recv(readers[i], rest, sizeof rest, 0) > 0) {
        }
        (void)close(readers[i]);
    }
    expect(get(d, "/healthz"), 200, NULL); /* that turn is over */
    CHECK(slowest_turn(d) < SLOW_MS / 2, "%ld ms", slowest_turn(d));
}
END_TEST

Suite *hostile_suite(void)
{
    static const struct named_test tests[] = {
        {"no descriptors", &test_no_descriptors, 1},
        {"too few descriptors", &test_too_few_descriptors, 1},
        {"watchdog", &test_watchdog, 1},
        {"frames behind the upgrade", &test_frames_behind_the_upgrade, 1},
        {"a large batch", &test_large_batch, 1},
        {"many structures", &test_many_structures, 0},
        {"a large batch is cancelled", &test_large_batch_is_cancelled, 1},
        {"many wait for one that fails", &test_many_wait_for_one_that_fails, 1},
        {"many tokens taken back", &test_many_tokens_taken_back, 0},
    };
    return SUITE("hostile", 60, tests);
}
