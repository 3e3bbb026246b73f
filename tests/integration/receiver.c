/* See the header. One thread and poll(2); a request is in the log before it is answered. */
#include "receiver.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

enum { MOST_RECEIVERS = 8, MOST_CONNECTIONS = 64, MOST_REQUEST = 8 << 20 };

struct receiver_orders {
    _Atomic int status;
    char header[512]; /* written before the status */
    _Atomic int held, most;
};

static struct receiver all[MOST_RECEIVERS];
static size_t all_len;

/* ---- its process ----------------------------------------------------------------------------- */

struct connection {
    int fd; /* -1: none */
    char *data;
    size_t len;
    bool came; /* the whole request is there */
};

struct serving {
    struct receiver_orders *orders;
    int log;
    struct connection list[MOST_CONNECTIONS];
    int held;
};

static void drop(struct serving *s, struct connection *c)
{
    (void)close(c->fd);
    free(c->data);
    s->held -= c->came;
    *c = (struct connection){.fd = -1};
}

static json_t *read_headers(char *head)
{
    json_t *o = json_object();
    for (char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
        line += 2;
        char *colon = strchr(line, ':');
        if (colon == NULL) {
            break;
        }
        char name[128];
        const size_t n = (size_t)(colon - line);
        (void)snprintf(name, sizeof name, "%.*s", (int)n, line);
        for (char *p = name; *p != '\0'; p++) {
            *p = (char)tolower((unsigned char)*p);
        }
        const char *value = colon + 1 + strspn(colon + 1, " ");
        (void)json_object_set_new(o, name, json_stringn(value, strcspn(value, "\r\n")));
    }
    return o;
}

static void write_down(const struct serving *s, char *head, const char *body, size_t n)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    json_t *o = json_object();
    const size_t method = strcspn(head, " ");
    const char *path = head + method + 1;
    (void)json_object_set_new(o, "at", json_real((double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6));
    (void)json_object_set_new(o, "method", json_stringn(head, method));
    (void)json_object_set_new(o, "path", json_stringn(path, strcspn(path, " ")));
    (void)json_object_set_new(o, "headers", read_headers(head));
    (void)json_object_set_new(o, "body", json_stringn(body, n));
    char *line = json_dumps(o, JSON_COMPACT);
    const size_t len = strlen(line);
    line[len] = '\n';
    if (write(s->log, line, len + 1) != (ssize_t)(len + 1)) {
        _exit(1);
    }
    free(line);
    json_decref(o);
}

/* The request is whole: it is written down. */
static void look(struct serving *s, struct connection *c)
{
    char *end = memmem(c->data, c->len, "\r\n\r\n", 4);
    if (c->came || end == NULL) {
        return;
    }
    c->data[c->len] = '\0';
    const char *length = strcasestr(c->data, "\r\ncontent-length:");
    const size_t want = length == NULL || length > end ? 0 : strtoul(length + 17, NULL, 10);
    const size_t have = c->len - (size_t)(end + 4 - c->data);
    if (have >= want) {
        *end = '\0';
        c->came = true;
        s->held++;
        write_down(s, c->data, end + 4, want);
        if (s->held > s->orders->most) {
            s->orders->most = s->held;
        }
    }
}

static void read_more(struct serving *s, struct connection *c)
{
    if (c->data == NULL) {
        c->data = malloc(MOST_REQUEST + 1);
    }
    const ssize_t n = read(c->fd, c->data + c->len, MOST_REQUEST - c->len);
    if (n <= 0) {
        drop(s, c);
    } else {
        c->len += (size_t)n;
        look(s, c);
    }
}

static void answer(struct serving *s, struct connection *c, int status)
{
    char text[1024];
    const char *header = s->orders->header;
    const int n =
        snprintf(text, sizeof text,
                 "HTTP/1.1 %d Told\r\n%s%sContent-Length: 2\r\nConnection: close\r\n\r\n{}", status,
                 header, *header == '\0' ? "" : "\r\n");
    (void)!write(c->fd, text, (size_t)n);
    drop(s, c);
}

static void take(struct serving *s, int listener)
{
    const int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    for (size_t i = 0; i < MOST_CONNECTIONS && fd >= 0; i++) {
        if (s->list[i].fd < 0) {
            s->list[i].fd = fd;
            return;
        }
    }
    if (fd >= 0) {
        (void)close(fd);
    }
}

static void turn(struct serving *s, int listener)
{
    enum { ORDERS_MS = 5 };
    struct pollfd p[MOST_CONNECTIONS + 1] = {{listener, POLLIN, 0}};
    for (size_t i = 0; i < MOST_CONNECTIONS; i++) {
        p[i + 1] = (struct pollfd){s->list[i].fd, POLLIN, 0};
    }
    (void)poll(p, MOST_CONNECTIONS + 1, ORDERS_MS);
    if (p[0].revents != 0) {
        take(s, listener);
    }
    for (size_t i = 0; i < MOST_CONNECTIONS; i++) {
        if (p[i + 1].revents != 0) {
            read_more(s, &s->list[i]);
        }
    }
    s->orders->held = s->held;
    const int status = s->orders->status;
    for (size_t i = 0; i < MOST_CONNECTIONS && status != 0; i++) {
        if (s->list[i].fd >= 0 && s->list[i].came) {
            answer(s, &s->list[i], status);
        }
    }
    s->orders->held = s->held;
}

static _Noreturn void serve(int listener, const char *log, struct receiver_orders *orders,
                            pid_t parent)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)signal(SIGPIPE, SIG_IGN);
    struct serving s = {.orders = orders};
    s.log = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    for (size_t i = 0; i < MOST_CONNECTIONS; i++) {
        s.list[i].fd = -1;
    }
    while (getppid() == parent) {
        turn(&s, listener);
    }
    _exit(0);
}

/* ---- the test's side ------------------------------------------------------------------------- */

static void begin(struct receiver *r)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)r->port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    const int one = 1;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&a, n) == 0 && listen(fd, 64) == 0, "%s",
          strerror(errno));
    (void)getsockname(fd, (struct sockaddr *)&a, &n);
    r->port = ntohs(a.sin_port);
    const pid_t parent = getpid();
    r->orders->held = 0;
    r->pid = fork();
    if (r->pid == 0) {
        serve(fd, r->log, r->orders, parent);
    }
    (void)close(fd);
}

struct receiver *receiver_start(void)
{
    CHECK(all_len < MOST_RECEIVERS);
    struct receiver *r = &all[all_len];
    r->log = path_of("received%zu", all_len++);
    r->orders =
        mmap(NULL, sizeof *r->orders, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(r->orders != MAP_FAILED);
    r->orders->status = 200;
    begin(r);
    (void)snprintf(r->url, sizeof r->url, "http://127.0.0.1:%d", r->port);
    return r;
}

void receiver_stop(struct receiver *r)
{
    (void)kill(r->pid, SIGKILL);
    (void)waitpid(r->pid, NULL, 0);
    r->pid = 0;
}

void receiver_restart(struct receiver *r)
{
    begin(r);
}

void receiver_answers(struct receiver *r, int status, const char *header)
{
    (void)snprintf(r->orders->header, sizeof r->orders->header, "%s", header == NULL ? "" : header);
    r->orders->status = status;
}

size_t receiver_count(const struct receiver *r)
{
    size_t n = 0;
    for (const char *p = strchr(read_file(r->log), '\n'); p != NULL; p = strchr(p + 1, '\n')) {
        n++;
    }
    return n;
}

json_t *receiver_got(const struct receiver *r, size_t i)
{
    char *rest = read_file(r->log);
    char *line = strsep(&rest, "\n");
    for (; i > 0 && line != NULL; i--) {
        line = strsep(&rest, "\n");
    }
    json_t *o = line == NULL || rest == NULL ? NULL : json_of(line);
    CHECK(o != NULL, "there is no such request in %s", r->log);
    return o;
}

int receiver_held(const struct receiver *r)
{
    return r->orders->held;
}

int receiver_most(const struct receiver *r)
{
    return r->orders->most;
}
