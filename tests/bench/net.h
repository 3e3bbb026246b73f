/*
 * The least that an HTTP and WebSocket client can be: one socket, one buffer, blocking writes,
 * reads when poll says so. It stands for what a hand-written client would cost.
 */
#ifndef COMFYPOOL_TESTS_BENCH_NET_H
#define COMFYPOOL_TESTS_BENCH_NET_H

#include <stdbool.h>
#include <stddef.h>

struct conn {
    int fd;
    char *data;
    size_t len, cap;
    size_t done; /* bytes of data that were handled */
};

void conn_open(struct conn *c, int port);
void conn_close(struct conn *c);
void conn_write(struct conn *c, const char *bytes, size_t n);
/* Reads what there is; false when the other side has closed. */
bool conn_read(struct conn *c);

/* Sends a request over a kept-alive connection. */
void http_send(struct conn *c, const char *method, const char *path, const char *body, size_t n);
/* A whole answer has come: its status and body (inside the buffer, until the next read). */
bool http_answer(struct conn *c, int *ret_status, char **ret_body, size_t *ret_len);
/* The same, waiting for it. */
int http_wait(struct conn *c, char **ret_body, size_t *ret_len);

void ws_open(struct conn *c, int port, const char *client_id);
/* The next whole frame's payload, if it has come. */
bool ws_frame(struct conn *c, char **ret_payload, size_t *ret_len);

#endif
