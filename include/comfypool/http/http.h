/*
 * The HTTP server: connections, routes, queries, bodies, refusals, conditional requests, holds and
 * streams. Routes are rows of given tables (routes.h); it knows nothing of jobs: a well-formed
 * request is passed to its row's `serve`, and answered now or later (answer.h).
 *
 * An exchange (one request and its answer) is named by a ref (slot and generation): when the client
 * has hung up, a ref finds nothing and every call with it does nothing. All on the loop thread.
 */
#ifndef COMFYPOOL_HTTP_HTTP_H
#define COMFYPOOL_HTTP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/digest.h"
#include "comfypool/base/err.h"
#include "comfypool/base/str.h"
#include "comfypool/base/time.h"
#include "comfypool/core/format.h"
#include "comfypool/core/job.h"
#include "comfypool/core/token.h"
#include "comfypool/http/routes.h"

struct http_server;

struct http_ref {
    uint32_t slot;
    uint32_t generation;
};

/* A kept file of a body. */
struct http_file {
    char *part;     /* name of a multipart part; else NULL */
    char *filename; /* or NULL */
    char sha256[DIGEST_HEX_SIZE];
    uint64_t size;
};

/* Size of headers passed on unchanged; longer ones count as missing. */
enum { HTTP_PASSED_SIZE = 256 };

enum { HTTP_KEY_SIZE = 256, HTTP_EVENT_ID_SIZE = 64 };

struct http_request {
    const struct http_route *route;
    bool head;
    void *args;               /* checked values of path, query and body; the family's */
    char caller[CALLER_SIZE]; /* the token's name; "": none needed */
    enum role role;           /* the caller's permissions */
    /* From the headers: */
    bool waits;                             /* ?wait= or Prefer: wait= of more than 0 */
    struct dur_us wait;                     /* at most 300 s */
    enum format format;                     /* by ?format= or Accept */
    bool conditional;                       /* has an If-None-Match: see http_matches */
    bool resumes;                           /* has a Last-Event-ID */
    char last_event_id[HTTP_EVENT_ID_SIZE]; /* "": an unreadable one */
    char trace[JOB_TRACE_SIZE];             /* traceparent; "": none */
    char range[HTTP_PASSED_SIZE];           /* of HTTP_HAS_RANGES, these three; "": none */
    char if_range[HTTP_PASSED_SIZE];
    char if_none_match[HTTP_PASSED_SIZE];
    char idempotency_key[HTTP_KEY_SIZE]; /* of HTTP_HAS_KEY; "": none */
    /* From the body: */
    struct http_file *files; /* received with it, and kept */
    size_t files_len;
    bool had_file; /* of HTTP_BODY_FILE: kept before the request */
    /* For the family: */
    bool asked_again; /* served once more: http_again, or the wait is over */
    bool wait_over;
    void *note;                    /* kept with the request */
    void (*note_done)(void *note); /* called when the exchange is over; or NULL */
};

/*
 * Receivers of files in bodies. ctx is the family's. The callee calls http_file_done once a file is
 * kept, or cannot be; until then the request is not served.
 */
struct http_file_ops {
    /* Of HTTP_BODY_FILE: true if the content is kept, and was sent by this caller before. Then the
       body is not needed. */
    bool (*has)(void *ctx, const struct http_request *rq);
    /* rq: as far as the headers tell. index: number of the file. length: UINT64_MAX: unknown. Any
       error refuses the request, with *ret_why (static). */
    enum err (*begin)(void *ctx, const struct http_request *rq, struct http_ref x, size_t index,
                      uint64_t length, void **ret_file, const char **ret_why);
    /* False: no more bytes until http_file_resume. */
    bool (*write)(void *file, const char *bytes, size_t n);
    void (*end)(void *file);
    void (*abort)(void *file); /* request gone or refused; no call follows */
    /* The request is refused before it was served: drop its ended files, those known to be kept
       (rq->files) and others. */
    void (*refused)(void *ctx, const struct http_request *rq, struct http_ref x);
};

struct http_options {
    const struct http_family *const *families; /* NULL at the end; the first one refuses paths of no
                                                  family */
    size_t max_body_bytes;
    unsigned max_connections;             /* of all listeners */
    unsigned max_connections_per_address; /* of an IPv4 address or an IPv6 /64 network; 0, and
                                             loopback: max_connections alone */
    struct dur_us header_timeout;         /* from the connection, or the first byte of the next
                                             request, to the end of its headers; 0: none */
    struct dur_us body_timeout; /* from the end of the headers to the end of the body; 0: none */
    unsigned max_waits;
    unsigned max_streams;
    const char *const *allowed_hosts;   /* list, NULL at the end; or NULL */
    const char *const *allowed_origins; /* list, NULL at the end; or NULL */
};

struct http_server *http_server_new(uv_loop_t *loop, const struct http_options *options);
/*
 * Sets the tokens (copied). None: anyone may do anything. Streams that the new tokens do not let
 * in, or show other things, are cut; such held requests are refused; if many, within the next turns
 * of the loop.
 */
void http_server_set_tokens(struct http_server *s, const struct token *tokens, size_t n);
/* True if there are any. */
bool http_server_has_tokens(const struct http_server *s);
/* Listens on "ADDR:PORT" ("[::1]:8189" for IPv6; port 0 picks one) or "unix:/path" (mode 0660).
   ret_url is for printing: "http://127.0.0.1:41234". False with a message for people. */
bool http_server_listen(struct http_server *s, const char *address, char *ret_url, size_t url_size,
                        char *why, size_t why_size) MUST_CHECK;
/* Listens on an open socket (socket activation); takes it. */
bool http_server_listen_fd(struct http_server *s, int fd, char *ret_url, size_t url_size, char *why,
                           size_t why_size) MUST_CHECK;
/* Stops listening; held requests are served again with wait_over; answers go out. */
void http_server_drain(struct http_server *s);
/* Closes connections and handles; freed when the loop has run their close callbacks. After it no
   call may name the server. */
void http_server_close(struct http_server *s);

struct http_stats {
    unsigned connections;
    unsigned waits;
    uint64_t requests;
};
void http_server_stats(const struct http_server *s, struct http_stats *ret);

#endif
