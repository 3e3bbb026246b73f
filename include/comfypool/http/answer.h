/*
 * Answers: whole ones, refusals, files and streams, and requests that are held meanwhile. A call
 * for an exchange that is over does nothing.
 */
#ifndef COMFYPOOL_HTTP_ANSWER_H
#define COMFYPOOL_HTTP_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/err.h"
#include "comfypool/base/str.h"
#include "comfypool/http/http.h"

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
/* Serves a request now that was to be let in later, if the exchange still lives. */
void http_let_in(struct http_server *s, struct http_ref x);
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

#endif
