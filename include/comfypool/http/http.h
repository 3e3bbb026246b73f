/*
 * The HTTP server: connections, routes, queries, bodies, refusals, conditional requests, holds and
 * streams. It knows routes as rows of tables that it is given (routes.h) and nothing about jobs: a
 * request that is well formed is handed to its row's `serve`, and answered now or later (answer.h).
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

/* A file that came in a body, and is kept. */
struct http_file {
    char *part;     /* of multipart: its name; else NULL */
    char *filename; /* or NULL */
    char sha256[DIGEST_HEX_SIZE];
    uint64_t size;
};

/* Headers that are passed on as they came; one that is longer is none. */
enum { HTTP_PASSED_SIZE = 256 };

enum { HTTP_KEY_SIZE = 256, HTTP_EVENT_ID_SIZE = 64 };

struct http_request {
    const struct http_route *route;
    bool head;
    void *args;               /* what the path, the query and the body say, checked; the family's */
    char caller[CALLER_SIZE]; /* the token's name; "": no token was needed */
    enum role role;           /* what the caller may do */
    /* Of the headers. */
    bool waits;                             /* ?wait= or Prefer: wait= of more than 0 */
    struct dur_us wait;                     /* at most 300 s */
    enum format format;                     /* by ?format= or Accept */
    bool conditional;                       /* there is an If-None-Match: see http_matches */
    bool resumes;                           /* there is a Last-Event-ID */
    char last_event_id[HTTP_EVENT_ID_SIZE]; /* "": an unreadable one */
    char trace[JOB_TRACE_SIZE];             /* traceparent; "": none */
    char range[HTTP_PASSED_SIZE];           /* of HTTP_HAS_RANGES, these three; "": none */
    char if_range[HTTP_PASSED_SIZE];
    char if_none_match[HTTP_PASSED_SIZE];
    char idempotency_key[HTTP_KEY_SIZE]; /* of HTTP_HAS_KEY; "": none */
    /* Of the body. */
    struct http_file *files; /* that came with it, and are kept */
    size_t files_len;
    bool had_file; /* of HTTP_BODY_FILE: it was kept before the request */
    /* The family's notes. */
    bool asked_again; /* it is served once more: http_again, or the wait is over */
    bool wait_over;
    void *note;                    /* whatever is kept with the request */
    void (*note_done)(void *note); /* called when the exchange is over, unless NULL */
};

/*
 * Where files of bodies go, as they come. ctx is the family's. The callee tells http_file_done once
 * a file is kept, or cannot be; until then the request is not served.
 */
struct http_file_ops {
    /* Of HTTP_BODY_FILE: the content is kept already, and its caller has sent it before. Then the
       body need not come. */
    bool (*has)(void *ctx, const struct http_request *rq);
    /* rq: the request, as far as its headers say it. index: which file of it. length: UINT64_MAX
       when it is not known. Any error refuses the request, and *ret_why says why (static). */
    enum err (*begin)(void *ctx, const struct http_request *rq, struct http_ref x, size_t index,
                      uint64_t length, void **ret_file, const char **ret_why);
    /* False: no more bytes until http_file_resume. */
    bool (*write)(void *file, const char *bytes, size_t n);
    void (*end)(void *file);
    void (*abort)(void *file); /* its request is gone, or refused; no call follows */
    /* The request is refused before it was served: those of its files that were ended are not
       wanted, those that are known to be kept (rq->files) and others. */
    void (*refused)(void *ctx, const struct http_request *rq, struct http_ref x);
};

struct http_options {
    const struct http_family *const *families; /* NULL at the end; the first one writes the refusals
                                                  of what is of none */
    size_t max_body_bytes;
    unsigned max_connections;             /* over all listeners */
    unsigned max_connections_per_address; /* of an IPv4 address or an IPv6 /64 network; 0: as many
                                             as there may be in all; loopback: always so */
    struct dur_us header_timeout;         /* from the connection, or the first byte of the next
                                             request, to the end of its headers; 0: none */
    struct dur_us body_timeout; /* from the end of the headers to the end of the body; 0: none */
    unsigned max_waits;
    unsigned max_streams;
    const char *const *allowed_hosts;   /* NULL at the end; or NULL */
    const char *const *allowed_origins; /* NULL at the end; or NULL */
};

struct http_server *http_server_new(uv_loop_t *loop, const struct http_options *options);
/* The tokens that count from now on (copied). None: everybody may do everything. Streams of those
   that they do not let in, or who would see other things now, are cut; their held requests are
   refused; where there are many, within the next turns of the loop. */
void http_server_set_tokens(struct http_server *s, const struct token *tokens, size_t n);
/* There are any. */
bool http_server_has_tokens(const struct http_server *s);
/* Listens on "ADDR:PORT" ("[::1]:8189" for IPv6; port 0 picks one) or "unix:/path" (mode 0660).
   ret_url is what to print: "http://127.0.0.1:41234". False with a message for people. */
bool http_server_listen(struct http_server *s, const char *address, char *ret_url, size_t url_size,
                        char *why, size_t why_size) MUST_CHECK;
/* Listens on a socket that somebody else opened (socket activation); taken. */
bool http_server_listen_fd(struct http_server *s, int fd, char *ret_url, size_t url_size, char *why,
                           size_t why_size) MUST_CHECK;
/* Ends listening; held requests are asked again with wait_over; answers go out. */
void http_server_drain(struct http_server *s);
/* Closes what is left and its handles; freed when the loop has run their close callbacks.
   After it no call may name the server. */
void http_server_close(struct http_server *s);

struct http_stats {
    unsigned connections;
    unsigned waits;
    uint64_t requests;
};
void http_server_stats(const struct http_server *s, struct http_stats *ret);

#endif
