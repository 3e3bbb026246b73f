/*
 * HTTP requests to servers, by libcurl's multi interface on the loop. Kept-alive connections are
 * shared by all requests. A call's result comes through its callback exactly once, never from
 * inside http_call.
 */
#ifndef COMFYPOOL_LOOP_HTTP_CLIENT_H
#define COMFYPOOL_LOOP_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/str.h"
#include "comfypool/base/time.h"

struct http_client;
struct http_call;

enum http_outcome {
    HTTP_ANSWERED,  /* has a status */
    HTTP_NOT_SENT,  /* no connection: the server never saw the request */
    HTTP_AMBIGUOUS, /* sent, at least partly, but unanswered: may have been executed */
};

struct http_result {
    enum http_outcome outcome;
    unsigned status;
    struct str body;          /* borrowed, for the callback only; empty for streams */
    const char *content_type; /* lives as long as body; "" if not given */
    const char *error;        /* for people; "" when answered */
    bool timed_out;
    bool connection_refused;   /* no listener there: with NOT_SENT */
    bool connected;            /* a connection was accepted for it, whatever followed */
    bool forbidden;            /* may_connect denied each address: with NOT_SENT */
    struct dur_us retry_after; /* the answer's Retry-After; 0: none */
};

typedef void (*http_done_fn)(void *ctx, const struct http_result *r);

/* For answers that are streamed. */
struct http_sink {
    /* Called with status and headers: length < 0 is unknown. False ends the call (done still
       comes). */
    bool (*begin)(void *ctx, unsigned status, const char *content_type, int64_t length);
    /* Takes the bytes. Returns false to pause: no more come until http_call_resume. */
    bool (*bytes)(void *ctx, const char *data, size_t n);
};
/* For answers of which only the status matters, of any size. */
extern const struct http_sink http_sink_none;

/* A multipart/form-data body: a file on disk, and plain fields. */
struct http_form {
    const char *path;
    const char *part; /* name of the file's part */
    const char *filename;
    const char *const *fields; /* name, value, name, value, NULL */
};

struct http_request_spec {
    const char *method; /* "GET", "POST" */
    const char *url;
    const char *const *headers;   /* "Name: value", NULL at the end; or NULL */
    const char *credentials;      /* "user:password", or NULL */
    const char *ca_file;          /* certificates that TLS trusts beside the system's; or NULL */
    struct str body;              /* copied */
    const struct http_form *form; /* in place of the body; or NULL */
    struct dur_us stall;          /* with timeout 0: longest stall; 0: 60 s */
    bool once;                    /* never resends the body, even on stale connections */
    struct dur_us connect_timeout;
    struct dur_us timeout;        /* in total; 0: none (streams: stalls of 60 s end it) */
    size_t max_answer;            /* limit of the body in bytes; more is an error */
    const struct http_sink *sink; /* or NULL: the body is collected */
    /* Asked for each address to connect to, with the call's ctx; NULL: all are allowed. A
       kept-alive connection is reused without asking, so within a client either all calls have
       rules or none. */
    bool (*may_connect)(void *ctx, const struct sockaddr *a);
};

struct http_client *http_client_new(uv_loop_t *loop);
/* Ends all calls without their callbacks and closes the handles; freed when the loop has run
   their close callbacks. */
void http_client_close(struct http_client *c);

/* The call lives until its callback has returned, or http_call_cancel. */
struct http_call *http_call_start(struct http_client *c, const struct http_request_spec *spec,
                                  http_done_fn done, void *ctx);
/* Ends it without its callback. Not from inside the call's own sink. */
void http_call_cancel(struct http_call *call);
void http_call_resume(struct http_call *call);
/* Returns a header of the answer, from the sink's begin until the callback has returned; NULL:
   none. Lives until the next call. */
const char *http_call_header(struct http_call *call, const char *name);
/* Like http_call_header for a date: seconds since the epoch; -1: none, or unreadable. */
int64_t http_call_header_time(struct http_call *call, const char *name);
/* Frees `memory` with the call, however it ends. */
void http_call_own(struct http_call *call, void *memory);

/* Percent-encodes s as a query value or path segment; appends. */
void url_encode(struct buf *out, struct str s);

#endif
