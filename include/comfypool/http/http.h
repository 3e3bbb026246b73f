/*
 * The HTTP server: connections, routes, queries, bodies, problem+json, conditional requests, holds
 * and streams. It knows the shape of each request and nothing about jobs: a request that is well
 * formed is handed to `serve`, whoever that is, and answered now or later.
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
#include "comfypool/base/uuid.h"
#include "comfypool/core/backend_change.h"
#include "comfypool/core/format.h"
#include "comfypool/core/group.h"
#include "comfypool/core/job.h"
#include "comfypool/core/submission.h"

struct http_server;

struct http_ref {
    uint32_t slot;
    uint32_t generation;
};

/* What a caller may do; each role includes those before it. ROLE_ANYBODY needs no token. */
enum http_role { ROLE_ANYBODY, ROLE_READ, ROLE_SUBMIT, ROLE_OPERATE };

/* symbol, method, path template, the least role. One table: the router, the 405s, who may call it,
   and the test that holds api/openapi.yaml against it are made from it. HEAD is answered wherever
   GET is, OPTIONS everywhere. */
#define HTTP_ROUTE_TABLE(X)                                                                        \
    X(ROUTE_SUBMIT, "POST", "/jobs", ROLE_SUBMIT)                                                  \
    X(ROUTE_LIST, "GET", "/jobs", ROLE_READ)                                                       \
    X(ROUTE_JOB, "GET", "/jobs/{id}", ROLE_READ)                                                   \
    X(ROUTE_CHANGE, "PATCH", "/jobs/{id}", ROLE_SUBMIT)                                            \
    X(ROUTE_DELETE, "DELETE", "/jobs/{id}", ROLE_SUBMIT)                                           \
    X(ROUTE_PROFILE, "GET", "/jobs/{id}/profile", ROLE_READ)                                       \
    X(ROUTE_ATTEMPTS, "GET", "/jobs/{id}/attempts", ROLE_READ)                                     \
    X(ROUTE_ATTEMPT_PROFILE, "GET", "/jobs/{id}/attempts/{n}/profile", ROLE_READ)                  \
    X(ROUTE_WORKFLOW, "GET", "/jobs/{id}/workflow", ROLE_READ)                                     \
    X(ROUTE_CANCEL, "POST", "/jobs/{id}/cancel", ROLE_SUBMIT)                                      \
    X(ROUTE_RETRY, "POST", "/jobs/{id}/retry", ROLE_SUBMIT)                                        \
    X(ROUTE_BATCH_SUBMIT, "POST", "/batches", ROLE_SUBMIT)                                         \
    X(ROUTE_BATCH, "GET", "/batches/{id}", ROLE_READ)                                              \
    X(ROUTE_BATCH_CANCEL, "POST", "/batches/{id}/cancel", ROLE_SUBMIT)                             \
    X(ROUTE_OUTPUTS, "GET", "/jobs/{id}/outputs", ROLE_READ)                                       \
    X(ROUTE_OUTPUT, "GET", "/jobs/{id}/outputs/{n}", ROLE_READ)                                    \
    X(ROUTE_PREVIEW, "GET", "/jobs/{id}/preview", ROLE_READ)                                       \
    X(ROUTE_JOB_EVENTS, "GET", "/jobs/{id}/events", ROLE_READ)                                     \
    X(ROUTE_EVENTS, "GET", "/events", ROLE_READ)                                                   \
    X(ROUTE_EXPORT, "GET", "/profiles", ROLE_READ)                                                 \
    X(ROUTE_COMPARE, "GET", "/profiles/compare", ROLE_READ)                                        \
    X(ROUTE_SUMMARY, "GET", "/profiles/summary", ROLE_READ)                                        \
    X(ROUTE_DELIVERIES, "GET", "/webhooks/deliveries", ROLE_READ)                                  \
    X(ROUTE_REDELIVER, "POST", "/webhooks/deliveries/{delivery}/redeliver", ROLE_SUBMIT)           \
    X(ROUTE_UPLOAD, "POST", "/uploads", ROLE_SUBMIT)                                               \
    X(ROUTE_UPLOAD_PUT, "PUT", "/uploads/{sha256}", ROLE_SUBMIT)                                   \
    X(ROUTE_UPLOAD_GET, "GET", "/uploads/{sha256}", ROLE_READ)                                     \
    X(ROUTE_UPLOAD_DELETE, "DELETE", "/uploads/{sha256}", ROLE_SUBMIT)                             \
    X(ROUTE_BACKENDS, "GET", "/backends", ROLE_READ)                                               \
    X(ROUTE_BACKEND_ADD, "POST", "/backends", ROLE_OPERATE)                                        \
    X(ROUTE_BACKEND, "GET", "/backends/{name}", ROLE_READ)                                         \
    X(ROUTE_BACKEND_CHANGE, "PATCH", "/backends/{name}", ROLE_OPERATE)                             \
    X(ROUTE_BACKEND_REMOVE, "DELETE", "/backends/{name}", ROLE_OPERATE)                            \
    X(ROUTE_BACKEND_DRAIN, "POST", "/backends/{name}/drain", ROLE_OPERATE)                         \
    X(ROUTE_BACKEND_RESUME, "POST", "/backends/{name}/resume", ROLE_OPERATE)                       \
    X(ROUTE_BACKEND_QUARANTINE, "POST", "/backends/{name}/quarantine", ROLE_OPERATE)               \
    X(ROUTE_BACKEND_REFRESH, "POST", "/backends/{name}/refresh", ROLE_OPERATE)                     \
    X(ROUTE_QUEUE_PAUSE, "POST", "/queue/pause", ROLE_OPERATE)                                     \
    X(ROUTE_QUEUE_RESUME, "POST", "/queue/resume", ROLE_OPERATE)                                   \
    X(ROUTE_STATS, "GET", "/stats", ROLE_READ)                                                     \
    X(ROUTE_HEALTHZ, "GET", "/healthz", ROLE_ANYBODY)                                              \
    X(ROUTE_READYZ, "GET", "/readyz", ROLE_ANYBODY)                                                \
    X(ROUTE_OPENAPI, "GET", "/openapi.yaml", ROLE_READ)

enum http_route {
#define X(symbol, method, path, role) symbol,
    HTTP_ROUTE_TABLE(X)
#undef X
        HTTP_ROUTE_COUNT
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

enum { HTTP_NAME_SIZE = 101, HTTP_KEY_SIZE = 256, HTTP_EVENT_ID_SIZE = 64 };

struct http_request {
    enum http_route route;
    bool head;
    char job_id[UUID_SIZE];       /* {id}: a canonical UUID */
    unsigned number;              /* {n}: of an output, from 0, or an attempt, from 1 */
    char backend[HTTP_NAME_SIZE]; /* {name}, unescaped */
    char caller[HTTP_NAME_SIZE];  /* the token's name; "": no token was needed */
    enum http_role role;          /* what the caller may do */
    /* Queries and headers, checked. */
    bool waits;         /* ?wait= or Prefer: wait= of more than 0 */
    struct dur_us wait; /* at most 300 s */
    enum format format; /* by ?format= or Accept */
    bool traceback;
    bool live;
    bool dry_run;
    char batch[UUID_SIZE];                  /* ?batch=; "": not given */
    bool conditional;                       /* there is an If-None-Match: see http_matches */
    unsigned state_mask;                    /* (1u << state) each; all when none was named */
    unsigned limit;                         /* 1 to 1000, default 50 */
    int64_t cursor;                         /* 0: from the newest */
    unsigned event_types;                   /* 1u << event_type each */
    bool previews;                          /* of event streams */
    bool resumes;                           /* there is a Last-Event-ID */
    char last_event_id[HTTP_EVENT_ID_SIZE]; /* "": an unreadable one */
    struct wall_us since;                   /* 0: not given */
    struct wall_us until;                   /* INT64_MAX: not given */
    char workflow_hash[DIGEST_HEX_SIZE];    /* "": not given */
    char base[UUID_SIZE];                   /* of a comparison: a job, or "" for the baseline */
    char target[UUID_SIZE];
    unsigned runs; /* of a baseline: 1 to 100, default 20 */
    enum group_by group_by;
    unsigned delivery_states;   /* (1u << state) each; all when none was named */
    char delivery[UUID_SIZE];   /* {delivery} */
    char trace[JOB_TRACE_SIZE]; /* of POST /jobs, from traceparent; "": none */
    struct http_file *files;    /* that came with the body */
    size_t files_len;
    char sha256[DIGEST_HEX_SIZE]; /* {sha256} */
    bool had_file;                /* ROUTE_UPLOAD_PUT: it was kept before the request */
    char range[HTTP_PASSED_SIZE]; /* of files, these three; "": none */
    char if_range[HTTP_PASSED_SIZE];
    char if_none_match[HTTP_PASSED_SIZE];
    struct submission submission;
    char idempotency_key[HTTP_KEY_SIZE];  /* of POST /jobs; "": none */
    char body_digest[DIGEST_HEX_SIZE];    /* SHA-256 of the body, beside a key */
    struct backend_change backend_change; /* may be taken by clearing it */
    int priority;                         /* PATCH /jobs/{id} */
    /* The other side's notes. */
    bool asked_again; /* serve is called once more: http_again, or the wait is over */
    bool wait_over;
    void *note;                    /* whatever the callee keeps with the request */
    void (*note_done)(void *note); /* called when the exchange is over, unless NULL */
};

/*
 * Called for each well-formed request. The callee answers at once, or keeps the ref and answers
 * later (the connection is suspended meanwhile). It may take the submission by clearing it. rq
 * lives as long as the exchange.
 */
typedef void (*http_serve_fn)(void *ctx, struct http_request *rq, struct http_ref x);

/*
 * Where files of bodies go, as they come: bodies of /uploads, and parts of multipart ones. ctx is
 * that of serve. The callee tells http_file_done once a file is kept, or cannot be; until then the
 * request is not served.
 */
struct http_file_ops {
    /* Whether the content that the path of a PUT names is kept already, and its caller has sent it
       before: then the body need not come. */
    bool (*has)(void *ctx, const struct http_request *rq);
    /* rq: the request, as far as its headers say it. index: which file of it. length: UINT64_MAX
       when it is not known. sha256: what it must have, or NULL. Any error refuses the request, and
       *ret_why says why (static). */
    enum err (*begin)(void *ctx, const struct http_request *rq, struct http_ref x, size_t index,
                      uint64_t length, const char *sha256, void **ret_file, const char **ret_why);
    /* False: no more bytes until http_file_resume. */
    bool (*write)(void *file, const char *bytes, size_t n);
    void (*end)(void *file);
    void (*abort)(void *file); /* its request is gone, or refused; no call follows */
    /* The request is refused before it was served: those of its files that were ended are not
       wanted, those that are known to be kept (rq->files) and others. */
    void (*refused)(void *ctx, const struct http_request *rq, struct http_ref x);
};

struct http_options {
    const struct http_file_ops *files; /* NULL: no files are taken */
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
    /* The rule for a backend's url; false with a message for people. NULL: any will do. */
    bool (*check_backend_url)(const char *url, char *why, size_t why_size);
};

/* One bearer token, by its hash. */
struct http_token {
    char name[HTTP_NAME_SIZE];
    enum http_role role;
    char sha256[DIGEST_HEX_SIZE];
};

struct http_server *http_server_new(uv_loop_t *loop, const struct http_options *options,
                                    http_serve_fn serve, void *ctx);
/* The tokens that count from now on (copied). None: everybody may do everything. Streams of those
   that they do not let in, or who would see other things now, are cut; their held requests are
   refused; where there are many, within the next turns of the loop. */
void http_server_set_tokens(struct http_server *s, const struct http_token *tokens, size_t n);
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

struct http_answer {
    unsigned status;          /* 0: 200 */
    const char *content_type; /* static; NULL: application/json */
    struct buf body;          /* taken */
    bool etag;                /* give an ETag of the body; If-None-Match may make it a 304 */
    bool wait_applied;        /* say so in Preference-Applied when Prefer asked for it */
    int retry_after;          /* seconds; below 0: none. 0 is sent */
    char location[320];       /* "": none */
    char link[256];           /* "": none */
    char filename[256];       /* "": none; Content-Disposition: inline; filename="..." */
    bool attachment;          /* ... attachment; filename="..." */
    bool sandbox;             /* bytes of somebody else's: nothing in them may run */
    bool ranges;              /* Accept-Ranges: bytes */
    char content_range[64];   /* "": none */
    char given_etag[HTTP_PASSED_SIZE]; /* with its quotes; "": none */
    bool replayed;                     /* Idempotency-Replayed: true */
    bool no_store;      /* an event stream: nothing on the way may keep it or hold it back */
    size_t volatile_at; /* this part of the body is no part of the ETag */
    size_t volatile_len;
};

static inline struct http_answer http_answer_new(unsigned status)
{
    struct http_answer a = {.status = status, .retry_after = -1};
    buf_init(&a.body, BUF_NO_LIMIT);
    return a;
}

/* Sends the answer and ends the exchange. Takes a->body in any case. */
void http_answer(struct http_server *s, struct http_ref x, struct http_answer *a);
/* Sends problem+json: detail is for people; pointer may be NULL. */
void http_problem(struct http_server *s, struct http_ref x, enum err code, const char *detail,
                  const char *pointer);
/* The same with Retry-After in seconds. */
void http_problem_retry(struct http_server *s, struct http_ref x, enum err code, const char *detail,
                        int retry_after);
/* 416: the part that is asked for is not there; content_range as in http_answer. */
void http_problem_range(struct http_server *s, struct http_ref x, const char *content_range);

/* Holds a request that waits: serve is called again when its wait is over (wait_over set). */
void http_hold(struct http_server *s, struct http_ref x);
/* The ETag of a body, with its quotes: for one that is made on another thread. */
enum { HTTP_ETAG_SIZE = 35 };
void http_make_etag(struct str body, char ret[HTTP_ETAG_SIZE]);
/* True when the request has an If-None-Match that names the ETag that this body would have. */
bool http_matches(struct http_server *s, struct http_ref x, struct str body);
/* The same of an ETag (with its quotes). */
bool http_matches_etag(struct http_server *s, struct http_ref x, const char *etag);
/*
 * What a request wants of a file of `size` bytes with this ETag (with its quotes), by its Range and
 * If-Range: all of it, a part, or a part that is not there (416).
 */
enum http_part { HTTP_WHOLE, HTTP_PART, HTTP_NO_PART };
enum http_part http_part_of(const struct http_request *rq, const char *etag, uint64_t size,
                            uint64_t *ret_from, uint64_t *ret_len);
/* False when it was answered or its client has hung up. */
bool http_is_open(struct http_server *s, struct http_ref x);
/* The file that was ended (or, with an error, any time before) is kept, or not. */
void http_file_done(struct http_server *s, struct http_ref x, size_t index, enum err e,
                    const char *why, const char *sha256, uint64_t size);
void http_file_resume(struct http_server *s, struct http_ref x);
/* Calls serve again now, with asked_again set, if the exchange still lives. */
void http_again(struct http_server *s, struct http_ref x);

/* ---- a streamed answer: whoever has the bytes pushes them ------------------------------------ */

struct http_stream_ops {
    void (*drained)(void *ctx); /* there is room again after http_stream_write said false */
    void (*gone)(void *ctx);    /* the client hung up or the server stops; no call follows */
    void (*empty)(void *ctx);   /* everything was handed to the network; may be NULL */
};

/*
 * Begins a streamed answer (status, content type, headers as in a; its body is not used).
 * length < 0: unknown (chunked). False when the client is gone, or was told that there are
 * max_streams already: no callback will come.
 */
bool http_stream_begin(struct http_server *s, struct http_ref x, struct http_answer *a,
                       int64_t length, const struct http_stream_ops *ops, void *ctx);
/* Queues bytes (copied). Returns false when the buffer (256 KiB) is full: pause until drained. */
bool http_stream_write(struct http_server *s, struct http_ref x, const void *bytes, size_t n);
/* Bytes that wait, and bytes that were handed to the network so far. False: there is no such stream
   any more. */
bool http_stream_state(struct http_server *s, struct http_ref x, size_t *ret_waiting,
                       uint64_t *ret_taken);
/* Ends it at once, also when the client does not read: what waits is thrown away. No callback. */
void http_stream_drop(struct http_server *s, struct http_ref x);
/* No more bytes. whole == false: the connection is cut so that nobody takes it for complete. */
void http_stream_end(struct http_server *s, struct http_ref x, bool whole);

struct http_stats {
    unsigned connections;
    unsigned waits;
    uint64_t requests;
};
void http_server_stats(const struct http_server *s, struct http_stats *ret);

#endif
