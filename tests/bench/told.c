/* A reader and a receiver; see the header. */
#include "told.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net.h"

enum { CONNECTIONS = 16 };

static void die(const char *what)
{
    perror(what);
    _exit(1);
}

/* ---- a receiver of webhooks ------------------------------------------------------------------ */

/* Answers each whole request that has come. */
static void take_requests(struct conn *c)
{
    static const char taken[] = "HTTP/1.1 204 No Content\r\n\r\n";
    while (c->done < c->len) {
        const char *head = c->data + c->done;
        const char *end = strstr(head, "\r\n\r\n");
        const char *length = end == NULL ? NULL : strcasestr(head, "content-length:");
        if (length == NULL || length > end) {
            return;
        }
        const size_t whole = (size_t)(end - head) + 4 + strtoul(length + 15, NULL, 10);
        if (c->len - c->done < whole) {
            return;
        }
        c->done += whole;
        conn_write(c, taken, sizeof taken - 1);
    }
}

static void receive(int listening)
{
    struct conn conns[CONNECTIONS];
    struct pollfd fds[CONNECTIONS + 1] = {{.fd = listening, .events = POLLIN}};
    int n = 0;
    while (poll(fds, (nfds_t)n + 1, -1) > 0) {
        for (int i = n - 1; i >= 0; i--) {
            if (fds[i + 1].revents == 0) {
                continue;
            }
            if (conn_read(&conns[i])) {
                take_requests(&conns[i]);
            } else {
                conn_close(&conns[i]);
                conns[i] = conns[--n];
                fds[i + 1] = fds[n + 1];
            }
        }
        if (fds[0].revents != 0 && n < CONNECTIONS) {
            const int fd = accept(listening, NULL, NULL);
            conns[n] = (struct conn){.fd = fd};
            fds[++n] = (struct pollfd){.fd = fd, .events = POLLIN};
        }
    }
}

static pid_t fork_with_us(void)
{
    const pid_t pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    }
    return pid;
}

pid_t receiver_start(int *ret_port)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t size = sizeof a;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, 16) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &size) != 0) {
        die("bench: a receiver");
    }
    *ret_port = ntohs(a.sin_port);
    const pid_t pid = fork_with_us();
    if (pid == 0) {
        receive(fd);
        _exit(0);
    }
    (void)close(fd);
    return pid;
}

/* ---- a reader of events ---------------------------------------------------------------------- */

pid_t reader_start(int daemon_port)
{
    struct conn c;
    conn_open(&c, daemon_port);
    http_send(&c, "GET", "/events", "", 0);
    if (!conn_read(&c)) {
        die("bench: no stream of events");
    }
    const pid_t pid = fork_with_us();
    if (pid == 0) {
        do {
            c.done = c.len;
        } while (conn_read(&c));
        _exit(0);
    }
    conn_close(&c);
    return pid;
}

void told_stop(pid_t pid)
{
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
}
