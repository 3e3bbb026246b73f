/* The least HTTP and WebSocket client; see the header. A failure ends the benchmark. */
#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void die(const char *what)
{
    fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

void conn_open(struct conn *c, int port)
{
    *c = (struct conn){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int one = 1;
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&a, sizeof a) != 0) {
        die("connect");
    }
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

void conn_close(struct conn *c)
{
    (void)close(c->fd);
    free(c->data);
}

void conn_write(struct conn *c, const char *bytes, size_t n)
{
    while (n > 0) {
        const ssize_t wrote = send(c->fd, bytes, n, MSG_NOSIGNAL);
        if (wrote < 0) {
            die("send");
        }
        bytes += wrote;
        n -= (size_t)wrote;
    }
}

bool conn_read(struct conn *c)
{
    if (c->done == c->len) {
        c->done = c->len = 0;
    } else if (c->done > 65536) {
        memmove(c->data, c->data + c->done, c->len - c->done);
        c->len -= c->done;
        c->done = 0;
    }
    if (c->cap - c->len < 65536) {
        c->cap = c->cap * 2 + 262144;
        c->data = realloc(c->data, c->cap + 1);
        if (c->data == NULL) {
            die("realloc");
        }
    }
    const ssize_t n = recv(c->fd, c->data + c->len, c->cap - c->len, 0);
    if (n <= 0) {
        return false;
    }
    c->len += (size_t)n;
    c->data[c->len] = '\0';
    return true;
}

void http_send(struct conn *c, const char *method, const char *path, const char *body, size_t n)
{
    char head[512];
    const int len = snprintf(head, sizeof head,
                             "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: "
                             "application/json\r\nContent-Length: %zu\r\n\r\n",
                             method, path, n);
    char *whole = malloc((size_t)len + n);
    if (whole == NULL) {
        die("malloc");
    }
    memcpy(whole, head, (size_t)len);
    if (n > 0) {
        memcpy(whole + len, body, n);
    }
    conn_write(c, whole, (size_t)len + n);
    free(whole);
}

bool http_answer(struct conn *c, int *ret_status, char **ret_body, size_t *ret_len)
{
    if (c->len == c->done) {
        return false;
    }
    char *start = c->data + c->done;
    char *end = strstr(start, "\r\n\r\n");
    if (end == NULL) {
        return false;
    }
    const char *length = strcasestr(start, "content-length:");
    if (length == NULL || length > end) {
        die("an answer without Content-Length");
    }
    const size_t n = strtoul(length + 15, NULL, 10);
    if (c->len < (size_t)(end + 4 - c->data) + n) {
        return false;
    }
    *ret_status = atoi(start + 9);
    *ret_body = end + 4;
    *ret_len = n;
    c->done = (size_t)(end + 4 - c->data) + n;
    return true;
}

int http_wait(struct conn *c, char **ret_body, size_t *ret_len)
{
    int status = 0;
    while (!http_answer(c, &status, ret_body, ret_len)) {
        if (!conn_read(c)) {
            die("the connection was closed");
        }
    }
    return status;
}

void ws_open(struct conn *c, int port, const char *client_id)
{
    conn_open(c, port);
    char head[512];
    const int n = snprintf(head, sizeof head,
                           "GET /ws?clientId=%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: "
                           "websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: "
                           "AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                           client_id, port);
    conn_write(c, head, (size_t)n);
    char *end = NULL;
    while (end == NULL) {
        if (!conn_read(c)) {
            die("the WebSocket was refused");
        }
        end = strstr(c->data, "\r\n\r\n");
    }
    c->done = (size_t)(end + 4 - c->data);
}

bool ws_frame(struct conn *c, char **ret_payload, size_t *ret_len)
{
    const unsigned char *p = (const unsigned char *)c->data + c->done;
    const size_t have = c->len - c->done;
    if (have < 2) {
        return false;
    }
    size_t head = 2;
    uint64_t n = p[1] & 127u;
    if (n == 126) {
        head = 4;
        n = have < 4 ? 0 : (uint64_t)p[2] << 8 | p[3];
    } else if (n == 127) {
        head = 10;
        n = 0;
        for (size_t i = 2; i < 10 && have >= 10; i++) {
            n = n << 8 | p[i];
        }
    }
    if (have < head || have - head < n) {
        return false;
    }
    *ret_payload = c->data + c->done + head;
    *ret_len = (size_t)n;
    c->done += head + (size_t)n;
    return true;
}
