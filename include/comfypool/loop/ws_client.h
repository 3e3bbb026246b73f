/*
 * WebSocket connections to servers, by libwebsockets on the loop: names resolved off the loop and
 * each address tried in turn, messages put together with a cap, sending when writable.
 */
#ifndef COMFYPOOL_LOOP_WS_CLIENT_H
#define COMFYPOOL_LOOP_WS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/str.h"
#include "comfypool/base/time.h"

struct ws_client;
struct ws_conn;

struct ws_events {
    /* Connected, WebSocket not negotiated yet. With TLS only after negotiation. */
    void (*taken)(void *ctx);
    void (*open)(void *ctx);
    /* A whole text message; the callee may swap the buffer. */
    void (*text)(void *ctx, struct buf *message);
    /* A whole binary message. */
    void (*binary)(void *ctx, struct str message);
    void (*pong)(void *ctx);
    /* The end, exactly once, even if it never opened; the connection is gone. */
    void (*closed)(void *ctx, const char *why);
};

struct ws_spec {
    const char *host; /* a name or an address, without brackets */
    int port;
    bool tls;
    const char *host_header;    /* "name:port" as in the URL */
    const char *path;           /* with its query */
    const char *const *headers; /* "Name: value", NULL at the end; or NULL. Copied */
    const char *ca_file;        /* certificates that TLS trusts beside the system's; or NULL */
    struct dur_us connect_timeout;
    size_t max_message;
};

struct ws_client *ws_client_new(uv_loop_t *loop);
/* Drops all connections without their callbacks; then run the loop until it is empty, and call
   ws_client_finish. */
void ws_client_close(struct ws_client *c);
void ws_client_finish(struct ws_client *c);

/* No callback comes from inside ws_connect. */
struct ws_conn *ws_connect(struct ws_client *c, const struct ws_spec *spec,
                           const struct ws_events *events, void *ctx);
/* Queues a text message (short ones: flags). */
void ws_send_text(struct ws_conn *conn, struct str text);
void ws_ping(struct ws_conn *conn);
/*
 * Returns when the message now delivered came to this machine, to some milliseconds: however late
 * we read it, the kernel knows when the last byte of a connection came. 0: later bytes came, or
 * TLS. For the callbacks text and binary. Cost: two system calls.
 */
struct mono_us ws_came_at(const struct ws_conn *conn, struct mono_us now);
/* Returns when the last byte of a connection came, read or not, to a tick of the kernel. 0:
   unknown. Cost: a system call. */
struct mono_us ws_last_came(const struct ws_conn *conn, struct mono_us now);
/* Cuts the connection; no callback comes after. */
void ws_drop(struct ws_conn *conn);

#endif
