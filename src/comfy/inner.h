/* Parts of a backend shared by link.c (the socket) and rest.c (the requests). */
#ifndef COMFYPOOL_SRC_COMFY_INNER_H
#define COMFYPOOL_SRC_COMFY_INNER_H

#include "comfypool/comfy/backend.h"
#include "comfypool/comfy/decoder.h"
#include "comfypool/core/backlog.h"

#include "url.h"

/* Frames read by the current poll. */
struct comfy_read {
    unsigned poll;
    unsigned frames; /* that begin or end nodes */
    unsigned begun;
    struct mono_us came;  /* last byte's arrival; 0: not asked */
    struct mono_us since; /* since when they may have waited; 0: not late */
};

struct comfy_backend {
    uv_loop_t *loop;
    struct http_client *http;
    struct ws_client *ws;
    char *name;
    struct url_parts address;
    char *base; /* URL of the server, without credentials */
    const char **headers;
    size_t headers_len;
    struct comfy_timeouts timeouts;
    char *ca_file; /* or NULL */
    comfy_event_fn on_event;
    void *ctx;
    /* The socket. */
    enum comfy_link link;
    struct ws_conn *conn;
    struct decoder *decoder;
    struct comfy_read read;
    struct backlog backlog;
    char client_id[UUID_SIZE];
    bool pinned;
    bool taken;        /* the connection was accepted */
    unsigned failures; /* failed connection attempts in a row */
    uv_timer_t timer;  /* reconnect, ping or pong deadline: one at a time */
    bool pong_due;
    struct mono_us pong_at; /* its deadline */
    bool closing;
    bool wants_previews;
    struct http_call *stats_call;
    struct http_call *knock_call;
    /* The requests. */
    int jobs_api;           /* has /api/jobs/{id}/cancel: -1 unknown, 0 no, 1 yes */
    struct cancel *cancels; /* running ones */
    struct interrupts interrupts;
};

/* rest.c: checks for a listener, since libwebsockets does not say why it failed to connect. Reports
   COMFY_EVENT_LISTENS or COMFY_EVENT_REFUSED; no event: unknown. */
void comfy_knock(struct comfy_backend *b);

/* rest.c: ends the requests that belong to the backend itself. */
void comfy_end_requests(struct comfy_backend *b);

#endif
