/*
 * Answers: whole ones, refusals, files and streams, and held requests. A call for a finished
 * exchange does nothing.
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
    bool etag;                /* send an ETag of the body; If-None-Match may make it a 304 */
    bool wait_applied;        /* name it in Preference-Applied if Prefer asked for it */
    int retry_after;          /* seconds; below 0: none. 0 is sent */
    char location[320];       /* "": none */
    char link[256];           /* "": none */
    char filename[256];       /* "": none; Content-Disposition: inline; filename="..." */
    bool attachment;          /* Content-Disposition: attachment; filename="..." */
    bool sandbox;             /* foreign content: nothing in it may run */
    bool ranges;              /* Accept-Ranges: bytes */
    char content_range[64];   /* "": none */
    char given_etag[HTTP_PASSED_SIZE]; /* with its quotes; "": none */
    bool replayed;                     /* Idempotency-Replayed: true */
    bool no_store;                     /* an event stream: proxies must not keep or buffer it */
    size_t volatile_at;                /* this part of the body is left out of the ETag */
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
/* http_problem with Retry-After in seconds. */
void http_problem_retry(struct http_server *s, struct http_ref x, enum err code, const char *detail,
                        int retry_after);
/* Sends 416: the requested part does not exist; content_range as in http_answer. */
void http_problem_range(struct http_server *s, struct http_ref x, const char *content_range);

/* Holds a waiting request: serve is called again when its wait is over (wait_over set). */
void http_hold(struct http_server *s, struct http_ref x);
/* Makes the ETag of a body, with its quotes, for use on another thread. */
enum { HTTP_ETAG_SIZE = 35 };
void http_make_etag(struct str body, char ret[HTTP_ETAG_SIZE]);
/* True if If-None-Match names the ETag that this body would have. */
bool http_matches(struct http_server *s, struct http_ref x, struct str body);
/* http_matches of an ETag (with its quotes). */
bool http_matches_etag(struct http_server *s, struct http_ref x, const char *etag);
/*
 * Says which part of a file of `size` bytes with this ETag (with its quotes) a request's Range and
 * If-Range ask for: all, a part, or one that does not exist (416).
 */
enum http_part { HTTP_WHOLE, HTTP_PART, HTTP_NO_PART };
enum http_part http_part_of(const struct http_request *rq, const char *etag, uint64_t size,
                            uint64_t *ret_from, uint64_t *ret_len);
/* False once answered, or when the client has hung up. */
bool http_is_open(struct http_server *s, struct http_ref x);
/* Reports that the ended file (or, with an error, an unended one) is kept, or not. */
void http_file_done(struct http_server *s, struct http_ref x, size_t index, enum err e,
                    const char *why, const char *sha256, uint64_t size);
void http_file_resume(struct http_server *s, struct http_ref x);
/* Serves a request after HTTP_ADMIT_LATER, if the exchange still lives. */
void http_let_in(struct http_server *s, struct http_ref x);
/* Calls serve again now, with asked_again set, if the exchange still lives. */
void http_again(struct http_server *s, struct http_ref x);

/* ---- a streamed answer: whoever has the bytes pushes them ------------------------------------ */

struct http_stream_ops {
    void (*drained)(void *ctx); /* room again after http_stream_write returned false */
    void (*gone)(void *ctx);    /* the client hung up or the server stops; no call follows */
    void (*empty)(void *ctx);   /* all bytes handed to the network; may be NULL */
};

/*
 * Begins a streamed answer (status, content type, headers as in a; its body is not used). length <
 * 0: unknown (chunked). False when the client is gone, or was refused for max_streams: no callback
 * will come.
 */
bool http_stream_begin(struct http_server *s, struct http_ref x, struct http_answer *a,
                       int64_t length, const struct http_stream_ops *ops, void *ctx);
/* Queues bytes (copied). Returns false when the buffer (256 KiB) is full: pause until drained. */
bool http_stream_write(struct http_server *s, struct http_ref x, const void *bytes, size_t n);
/* Returns queued bytes, and bytes handed to the network so far. False: no such stream any more. */
bool http_stream_state(struct http_server *s, struct http_ref x, size_t *ret_waiting,
                       uint64_t *ret_taken);
/* Ends it at once, even if the client does not read: discards queued bytes. No callback. */
void http_stream_drop(struct http_server *s, struct http_ref x);
/* Ends the bytes. whole == false: cuts the connection, so that it does not look complete. */
void http_stream_end(struct http_server *s, struct http_ref x, bool whole);

#endif
