/*
 * Those who are told: a receiver of webhooks that fails now and then, and a reader of /events that
 * comes back with the last id it saw. What they hear must agree with what the API says, and at the
 * end nobody's end may be untold.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "torture.h"

enum { CONNECTIONS = 8, REQUEST = 65536, PATIENCE_MS = 200 };

/* ---- the receiver ---------------------------------------------------------------------------- */

struct connection {
    int fd;
    size_t len;
    char data[REQUEST];
};

struct receiver {
    struct storm *storm;
    struct dice dice;
    struct connection open[CONNECTIONS];
    size_t len;
};

void receiver_listen(struct storm *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t size = sizeof a;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s->receiver_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->receiver_fd < 0 || bind(s->receiver_fd, (struct sockaddr *)&a, sizeof a) != 0 ||
        listen(s->receiver_fd, 16) != 0 ||
        getsockname(s->receiver_fd, (struct sockaddr *)&a, &size) != 0) {
        die("a receiver cannot listen");
    }
    s->receiver_port = ntohs(a.sin_port);
}

/* The delivery of an end: it was taken. */
static void note_delivery(struct storm *s, const char *body, size_t n)
{
    json_t *o = json_loadb(body, n, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
    const json_t *data = json_object_get(o, "data");
    const char *type = text_at(o, "type");
    if (strncmp(type, "job:", 4) != 0 || strcmp(type + 4, text_at(data, "state")) != 0) {
        violation(s, "a webhook of type %s about a job that is %s", type, text_at(data, "state"));
    }
    note_told(s, data);
    s->deliveries++;
    json_decref(o);
}

/* Whether the connection goes on. */
static bool answer_delivery(struct receiver *r, struct connection *c, const char *body, size_t n)
{
    static const char taken[] = "HTTP/1.1 204 No Content\r\n\r\n";
    static const char failed[] = "HTTP/1.1 500 Error\r\nContent-Length: 0\r\n\r\n";
    const int fate = r->storm->calm ? 100 : dice_between(&r->dice, 1, 100);
    if (fate <= 5) {
        return false;
    }
    if (fate <= 15) {
        return send(c->fd, failed, sizeof failed - 1, MSG_NOSIGNAL) > 0;
    }
    note_delivery(r->storm, body, n);
    return fate > 20 && send(c->fd, taken, sizeof taken - 1, MSG_NOSIGNAL) > 0;
}

/* False: it is over. */
static bool hear(struct receiver *r, struct connection *c)
{
    const ssize_t n = recv(c->fd, c->data + c->len, sizeof c->data - c->len - 1, 0);
    if (n <= 0) {
        return false;
    }
    c->len += (size_t)n;
    c->data[c->len] = '\0';
    const char *end = strstr(c->data, "\r\n\r\n");
    const char *length = end == NULL ? NULL : strcasestr(c->data, "\r\ncontent-length:");
    if (length == NULL || length > end) {
        return c->len < sizeof c->data - 1;
    }
    const size_t head = (size_t)(end + 4 - c->data);
    const size_t body = strtoul(length + 17, NULL, 10);
    if (head + body > sizeof c->data - 1) {
        violation(r->storm, "a webhook has %zu bytes", body);
        return false;
    }
    if (c->len < head + body) {
        return true;
    }
    c->len = 0; /* there is one request at a time */
    return answer_delivery(r, c, c->data + head, body);
}

static void hear_all(struct receiver *r, const struct pollfd *fds)
{
    for (size_t i = r->len; i > 0; i--) {
        struct connection *c = &r->open[i - 1];
        if (fds[i].revents != 0 && !hear(r, c)) {
            (void)close(c->fd);
            *c = r->open[--r->len];
        }
    }
}

void *receiver_run(void *worker)
{
    struct storm *s = ((struct worker *)worker)->storm;
    static struct receiver r;
    r.storm = s;
    r.dice = dice_of(s->seed, 3000);
    while (!s->gone) {
        struct pollfd fds[CONNECTIONS + 1] = {{.fd = s->receiver_fd, .events = POLLIN}};
        for (size_t i = 0; i < r.len; i++) {
            fds[i + 1] = (struct pollfd){.fd = r.open[i].fd, .events = POLLIN};
        }
        if (poll(fds, (nfds_t)r.len + 1, PATIENCE_MS) <= 0) {
            continue;
        }
        hear_all(&r, fds);
        if (fds[0].revents != 0 && r.len < CONNECTIONS) {
            r.open[r.len].fd = accept(s->receiver_fd, NULL, NULL);
            r.open[r.len++].len = 0;
        }
    }
    while (r.len > 0) {
        (void)close(r.open[--r.len].fd);
    }
    (void)close(s->receiver_fd);
    return NULL;
}

/* ---- deliveries at the end ------------------------------------------------------------------- */

/* How many are left; each is asked for again. */
static size_t redeliver_all(struct storm *s)
{
    struct reply r;
    size_t left = 1;
    if (ask_daemon(s, "GET", "/webhooks/deliveries?limit=100", NULL, NULL, 10, &r) &&
        r.status == 200) {
        const json_t *list = json_object_get(r.json, "deliveries");
        left = json_array_size(list);
        for (size_t i = 0; i < left; i++) {
            char path[128];
            struct reply again;
            (void)snprintf(path, sizeof path, "/webhooks/deliveries/%s/redeliver",
                           text_at(json_array_get(list, i), "id"));
            (void)ask_daemon(s, "POST", path, NULL, NULL, 10, &again);
            reply_done(&again);
        }
    }
    reply_done(&r);
    return left;
}

void await_deliveries(struct storm *s, double seconds)
{
    const double until = now_s() + seconds;
    size_t left = 1;
    while (left > 0 && now_s() < until) {
        left = redeliver_all(s);
        sleep_ms(200);
    }
    if (left > 0) {
        violation(s, "%zu webhooks are not delivered within %.0f s", left, seconds);
    }
}

/* ---- the reader ------------------------------------------------------------------------------ */

struct reading {
    struct storm *storm;
    char start[40]; /* of the last id */
    unsigned long long n;
    char event[40];
    char id[64];
    double asked;
};

static void note_id(struct reading *r)
{
    const char *dash = strrchr(r->id, '-');
    if (dash == NULL) {
        violation(r->storm, "an event's id is %s", r->id);
        return;
    }
    char start[40];
    const unsigned long long n = strtoull(dash + 1, NULL, 10);
    (void)snprintf(start, sizeof start, "%.*s", (int)(dash - r->id), r->id);
    const bool same = strcmp(start, r->start) == 0;
    const bool snapshot = strcmp(r->event, "snapshot") == 0 || strcmp(r->event, "reset") == 0;
    if (same && !snapshot && n != r->n + 1) {
        violation(r->storm, "event %s comes after %s-%llu", r->id, r->start, r->n);
    }
    if (same && snapshot && n < r->n) {
        violation(r->storm, "a snapshot as of %s after %s-%llu", r->id, r->start, r->n);
    }
    memcpy(r->start, start, sizeof r->start);
    r->n = n;
}

/* A whole event has come. */
static void note_event(struct reading *r, const char *data)
{
    if (r->id[0] != '\0') {
        note_id(r);
    }
    json_t *o = json_loads(data, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
    if (o == NULL) {
        violation(r->storm, "the data of %s is no JSON", r->event);
    } else if (strncmp(r->event, "job:", 4) == 0 && is_terminal(r->event + 4)) {
        note_job(r->storm, o, r->asked);
        r->storm->events++;
    }
    json_decref(o);
}

static void note_line(struct reading *r, const char *line)
{
    if (line[0] == '\0') {
        r->event[0] = r->id[0] = '\0';
        r->asked = now_s();
    } else if (strncmp(line, "event: ", 7) == 0) {
        (void)snprintf(r->event, sizeof r->event, "%s", line + 7);
    } else if (strncmp(line, "id: ", 4) == 0) {
        (void)snprintf(r->id, sizeof r->id, "%s", line + 4);
    } else if (strncmp(line, "data: ", 6) == 0) {
        note_event(r, line + 6);
    }
}

/* Until the daemon is killed, or long nothing came. */
static void read_stream(struct reading *r)
{
    char headers[128] = "";
    if (r->start[0] != '\0') {
        (void)snprintf(headers, sizeof headers, "Last-Event-ID: %s-%llu\r\n", r->start, r->n);
    }
    const int fd = open_stream(r->storm, "/events", headers);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
    char *line = NULL;
    size_t cap = 0;
    r->asked = now_s();
    r->event[0] = r->id[0] = '\0';
    while (f != NULL && !r->storm->over && getline(&line, &cap, f) > 0) {
        line[strcspn(line, "\r\n")] = '\0';
        note_line(r, line);
    }
    free(line);
    if (f != NULL) {
        (void)fclose(f);
    }
}

void *reader_run(void *worker)
{
    struct reading r = {.storm = ((struct worker *)worker)->storm};
    while (!r.storm->over) {
        read_stream(&r);
        sleep_ms(50);
    }
    return NULL;
}
