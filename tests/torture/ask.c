/*
 * A small HTTP client: a connection a request, and an answer that is whole or none, since whoever
 * is asked may be killed at any moment.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "torture.h"

int connect_to(int port, double seconds)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const struct timeval limit = {(time_t)seconds, 500000};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

bool send_all(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        const ssize_t wrote = send(fd, bytes, n, MSG_NOSIGNAL);
        if (wrote <= 0) {
            return false;
        }
        bytes += wrote;
        n -= (size_t)wrote;
    }
    return true;
}

static bool send_request(int fd, int port, const char *method, const char *path,
                         const char *headers, const char *body)
{
    char head[1024];
    const size_t n = body == NULL ? 0 : strlen(body);
    const int len = snprintf(head, sizeof head,
                             "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n"
                             "Content-Type: application/json\r\nContent-Length: %zu\r\n%s\r\n",
                             method, path, port, n, headers == NULL ? "" : headers);
    return send_all(fd, head, (size_t)len) && (n == 0 || send_all(fd, body, n));
}

/* Until the other side closes. Owner: the caller. */
static char *read_all(int fd, size_t *ret_len)
{
    size_t cap = 16384;
    size_t len = 0;
    char *data = malloc(cap);
    for (;;) {
        if (cap - len < 8192) {
            cap *= 2;
            data = realloc(data, cap);
        }
        if (data == NULL) {
            die("out of memory");
        }
        const ssize_t n = recv(fd, data + len, cap - len - 1, 0);
        if (n <= 0) {
            break;
        }
        len += (size_t)n;
    }
    data[len] = '\0';
    *ret_len = len;
    return data;
}

static bool parse(char *data, size_t len, struct reply *ret)
{
    char *end = strstr(data, "\r\n\r\n");
    if (end == NULL || strncmp(data, "HTTP/1.1 ", 9) != 0) {
        return false;
    }
    *end = '\0';
    const char *length = strcasestr(data, "\r\ncontent-length:");
    const size_t have = len - (size_t)(end + 4 - data);
    if (length != NULL && have < strtoul(length + 17, NULL, 10)) {
        return false;
    }
    ret->status = strtol(data + 9, NULL, 10);
    ret->replayed = strcasestr(data, "\r\nidempotency-replayed: true") != NULL;
    ret->json = json_loadb(end + 4, have, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
    return true;
}

bool ask(int port, const char *method, const char *path, const char *headers, const char *body,
         double seconds, struct reply *ret)
{
    *ret = (struct reply){0};
    const int fd = port == 0 ? -1 : connect_to(port, seconds);
    if (fd < 0) {
        return false;
    }
    bool whole = send_request(fd, port, method, path, headers, body);
    if (whole) {
        size_t len = 0;
        char *data = read_all(fd, &len);
        whole = parse(data, len, ret);
        free(data);
    }
    (void)close(fd);
    return whole;
}

int open_stream(struct storm *s, const char *path, const char *headers)
{
    char head[512];
    const int fd = s->port == 0 ? -1 : connect_to(s->port, 2);
    const int len =
        snprintf(head, sizeof head, "GET %s HTTP/1.0\r\nHost: 127.0.0.1\r\n%s\r\n", path, headers);
    if (fd >= 0 && !send_all(fd, head, (size_t)len)) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

bool ask_daemon(struct storm *s, const char *method, const char *path, const char *headers,
                const char *body, double seconds, struct reply *ret)
{
    const bool whole = ask(s->port, method, path, headers, body, seconds, ret);
    if (!whole) {
        s->cut_answers++;
    }
    return whole;
}

void reply_done(struct reply *r)
{
    json_decref(r->json);
    *r = (struct reply){0};
}

const char *text_at(const json_t *o, const char *member)
{
    const char *s = json_string_value(json_object_get(o, member));
    return s == NULL ? "" : s;
}
