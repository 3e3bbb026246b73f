/*
 * The network side of comfysim: one port, HTTP and WebSocket by libwebsockets on a libuv loop.
 *
 * Knows connections, requests, answers, and which socket a client id has; leaves what the routes
 * mean to routes.c. The listening socket is ours (accepted fds are given to lws), so that a crash
 * can close it and open it again. Frames queue per socket and go out in one write at server_flush.
 * The registry of client ids is a dict as in server.py, with its bug: a socket that closes removes
 * whatever socket its id has by then.
 */
#ifndef COMFYSIM_SERVER_H
#define COMFYSIM_SERVER_H

#include "text.h"

#include <libwebsockets.h>
#include <uv.h>

enum method { METHOD_GET, METHOD_POST, METHOD_OTHER };

/* Bytes of an answer made while they are sent: `at` counts from the resource's first byte. */
typedef void (*make_bytes)(uint64_t at, unsigned char *bytes, size_t len);

struct held; /* an answer that waits, prompts.c */

struct conn {
    struct conn *next;
    struct conn *prev;
    struct server *server;
    struct lws *wsi;
    int fd;
    bool cut; /* shut down; nothing may be written any more */

    /* HTTP: the request being read or answered. */
    enum method method;
    bool head;
    bool with_api; /* the path began with /api */
    bool chunked;
    bool too_large;
    bool waiting; /* handed over, not answered yet */
    char *path;
    char *query; /* decoded "name=value" strings, each NUL terminated, then an empty one */
    char *content_type;
    char *range;
    struct text body;
    long prompts_posted; /* on this connection */
    struct held *held;
    struct text answer;
    make_bytes stream;
    uint64_t stream_at, stream_end;
    bool answered; /* `answer` is ready to be written from a callback */

    /* WebSocket. */
    bool is_ws;
    bool deaf;
    bool frozen;
    bool had_message;
    bool dirty;
    char *sid;
    struct text rx;
    size_t rx_len;
    struct text out;
};

struct registration {
    char *sid;
    struct conn *conn;
    bool takes_metadata; /* with its previews */
};

struct server {
    uv_loop_t *loop;
    struct lws_context *context;
    struct lws_vhost *vhost;
    uv_poll_t listen_poll;
    int listen_fd;
    bool listening;
    const char *host;
    int port;
    struct conn *conns;
    struct registration *registry;
    size_t n_registered, registry_cap;
    bool any_dirty;
    bool held; /* frames wait in `out` */
    void *owner;
    bool plain_previews; /* nobody gets metadata with images */
};

/* What the rest gives the server. */
void sim_on_request(struct conn *conn); /* must answer, drop, or keep it waiting */
void sim_on_socket(struct conn *conn);  /* a WebSocket is there, registered */
void sim_on_message(struct conn *conn, const char *text, size_t len); /* its first text frame */
void sim_on_gone(struct conn *conn);                                  /* freed when this returns */

bool server_open(struct server *server, uv_loop_t *loop, const char *host, int port);
bool server_listen(struct server *server);
void server_deafen(struct server *server); /* closes the listening socket */
void server_close(struct server *server);  /* then run the loop until nothing is left */
void server_closed(struct server *server); /* after that */

/* Queues a frame of two parts for the socket of a client id, or (NULL) for every one. */
void server_send(struct server *server, const char *sid, const char *a, size_t a_len, const char *b,
                 size_t b_len, bool binary);
void conn_send(struct conn *conn, const char *a, size_t a_len, const char *b, size_t b_len,
               bool binary);
/* Feature flags belong to a client id until it connects again; no id takes nothing. */
void server_set_takes_metadata(struct server *server, const char *sid, bool takes);
bool server_takes_metadata(const struct server *server, const char *sid);
bool server_reaches(const struct server *server, const char *sid);
void server_flush(struct server *server);
/* No WebSocket is written to until it is told false; what waits goes then, in its order. */
void server_hold(struct server *server, bool hold);
size_t server_sockets(const struct server *server);
void server_cut_sockets(struct server *server); /* WebSockets, without a close frame */
void server_cut_all(struct server *server);
void server_unregister(struct server *server); /* every WebSocket of now: nothing is sent to it */
void server_silence(struct server *server, bool freeze); /* every WebSocket of now */

/* `headers` are whole lines with \r\n, or NULL. The body is copied. */
void conn_answer(struct conn *conn, int status, const char *type, const char *headers,
                 const char *body, size_t len);
void conn_answer_stream(struct conn *conn, int status, const char *type, const char *headers,
                        make_bytes make, uint64_t from, uint64_t to);
void conn_drop(struct conn *conn); /* closes without an answer */
const char *conn_query(const struct conn *conn, const char *name);

#endif
