/*
 * Backends behind TLS: whom the daemon trusts, and what it says of whom it does not. socat ends TLS
 * in front of a simulator.
 */
#include "harness.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "suites.h"

/* A key and a certificate that signed itself, for these names ("IP:127.0.0.1"), in one file. */
static char *certificate(const char *names)
{
    char *pem = path_of("cert.pem");
    char *command =
        text("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
             "-subj /CN=test -addext subjectAltName=%s -keyout '%s.key' -out '%s' 2>'%s.err' && "
             "cat '%s.key' '%s' >'%s.both'",
             names, pem, pem, pem, pem, pem, pem);
    CHECK(system(command) == 0, "%s", read_file(text("%s.err", pem))); // NOLINT(cert-env33-c)
    return pem;
}

/* The port on which TLS is ended in front of s; the process goes with the test. */
static int front(struct sim *s, const char *pem)
{
    char *err = path_of("socat.err");
    const pid_t pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)!freopen(err, "a", stderr);
        execlp("socat", "socat", "-d", "-d",
               text("OPENSSL-LISTEN:0,bind=127.0.0.1,fork,reuseaddr,verify=0,cert=%s.both", pem),
               text("TCP:127.0.0.1:%d", s->port), (char *)NULL);
        _exit(127);
    }
    static const char mark[] = "listening on AF=2 127.0.0.1:";
    AWAIT(strstr(read_file(err), mark) != NULL);
    return atoi(strstr(read_file(err), mark) + strlen(mark));
}

static const char *last_error(struct daemon *d)
{
    return text("%s", str_at(get(d, "/backends/x")->json, "lastError"));
}

START_TEST(test_trust)
{
    struct sim *s = sim_plain();
    char *pem = certificate("IP:127.0.0.1");
    const int port = front(s, pem);
    char *item = text("{name: x, url: 'https://127.0.0.1:%d'", port);
    struct daemon *d = DAEMON(.config = text("backends: [%s}]\n", item));
    AWAIT(strstr(last_error(d), "certificate") != NULL);
    CHECK(strstr(last_error(d), "caFile") != NULL, "%s", last_error(d));
    daemon_stop(d);
    /* Relative to the file's own directory, too. */
    const char *const configs[] = {text("backends: [%s, caFile: cert.pem}]\n", item),
                                   text("link: {caFile: '%s'}\nbackends: [%s}]\n", pem, item)};
    for (int i = 0; i < 2; i++) {
        d = DAEMON(.config = configs[i]);
        json_t *j = run_job(d, sleep_body(text("t%d", i), 1, ""));
        CHECK(strcmp(str_at(j, "state"), "completed") == 0);
        daemon_stop(d);
    }
    d = DAEMON(.config = text("backends: [%s}]\n", item),
               .environment = {text("SSL_CERT_FILE=%s", pem)});
    CHECK(strcmp(str_at(run_job(d, sleep_body("t3", 1, "")), "state"), "completed") == 0);
    daemon_stop(d);
    d = DAEMON(.may_fail = true, .config = text("backends: [%s, caFile: nowhere.pem}]\n", item));
    CHECK(daemon_wait(d) == 2 && strstr(read_file(d->err), "nowhere.pem cannot be read") != NULL);
    /* A key, or a folder, in the place of certificates. */
    static const struct {
        const char *file;
        const char *said;
    } bad[] = {{"cert.pem.key", "cert.pem.key has no certificate"},
               {".", "cannot be read: Is a directory"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        d = DAEMON(.may_fail = true,
                   .config = text("backends: [%s, caFile: %s}]\n", item, bad[i].file));
        CHECK(daemon_wait(d) == 2 && strstr(read_file(d->err), bad[i].said) != NULL, "%s",
              read_file(d->err));
    }
}
END_TEST

START_TEST(test_another_name)
{
    struct sim *s = sim_plain();
    char *pem = certificate("DNS:other.example");
    struct daemon *d =
        DAEMON(.config = text("backends: [{name: x, url: 'https://127.0.0.1:%d', caFile: '%s'}]\n",
                              front(s, pem), pem));
    AWAIT(strstr(last_error(d), "another address") != NULL);
    CHECK(strcmp(str_at(get(d, "/backends/x")->json, "state"), "up") != 0);
}
END_TEST

START_TEST(test_no_tls_there)
{
    struct sim *s = sim_plain();
    struct daemon *d =
        DAEMON(.config = text("backends: [{name: x, url: 'https://127.0.0.1:%d'}]\n", s->port));
    AWAIT(strstr(last_error(d), "write http://") != NULL);
}
END_TEST

static int listen_anywhere(int *ret_port)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&at, size) == 0 && listen(fd, 100) == 0 &&
          getsockname(fd, (struct sockaddr *)&at, &size) == 0);
    *ret_port = ntohs(at.sin_port);
    return fd;
}

/* Whoever takes the connection and says nothing, and whoever closes it then; nothing of it stays
   behind: the daemon's end looks for leaks. */
START_TEST(test_broken_handshakes)
{
    int port = 0;
    const int fd = listen_anywhere(&port);
    struct daemon *d = DAEMON(.config = text("link: {connectTimeoutMs: 100}\n"
                                             "backends: [{name: x, url: 'https://127.0.0.1:%d'}]\n",
                                             port));
    AWAIT(strstr(last_error(d), "did not answer in time") != NULL);
    CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    double until = now_s() + 20;
    while (strstr(last_error(d), "in the middle of the TLS handshake") == NULL) {
        CHECK(now_s() < until, "%s", last_error(d));
        struct pollfd p = {fd, POLLIN, 0};
        (void)poll(&p, 1, 10);
        const int taken = accept(fd, NULL, NULL);
        if (taken >= 0) {
            (void)close(taken);
        }
    }
    daemon_stop(d);
    (void)close(fd);
}
END_TEST

/* The file of who is trusted is another one now. */
START_TEST(test_renewed)
{
    struct sim *s = sim_plain();
    char *pem = certificate("IP:127.0.0.1");
    const int port = front(s, pem);
    CHECK(rename(pem, text("%s.right", pem)) == 0);
    (void)certificate("IP:127.0.0.1"); /* somebody else's */
    struct daemon *d =
        DAEMON(.config = text("backends: [{name: x, url: 'https://127.0.0.1:%d', caFile: '%s'}]\n",
                              port, pem));
    AWAIT(strstr(last_error(d), "certificate") != NULL);
    CHECK(rename(text("%s.right", pem), pem) == 0);
    AWAIT(strcmp(str_at(get(d, "/backends/x")->json, "state"), "up") == 0);
    (void)run_job(d, sleep_body("r", 1, ""));
}
END_TEST

Suite *tls_suite(void)
{
    static const struct named_test tests[] = {
        {"trust", &test_trust, 1},
        {"another name", &test_another_name, 1},
        {"no TLS there", &test_no_tls_there, 1},
        {"broken handshakes", &test_broken_handshakes, 1},
        {"renewed certificates", &test_renewed, 1},
    };
    return SUITE("tls", 60, tests);
}
