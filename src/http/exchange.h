/* One request and its answer. */
#ifndef COMFYPOOL_SRC_HTTP_EXCHANGE_H
#define COMFYPOOL_SRC_HTTP_EXCHANGE_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/str.h"
#include "comfypool/http/http.h"
#include "comfypool/http/problem.h"
#include "comfypool/loop/deadlines.h"

#include "headers.h"

struct conn;
struct file_body;
struct gunzip;
struct http_server;
struct listener;
struct stream;
struct watch;

/* Seconds without a byte either way; held and streaming ones do not count. */
enum { CONNECTION_IDLE_S = 75 };

struct exchange {
    struct http_server *server;
    struct listener *listener;
    struct conn *conn;                 /* outlives it; NULL: none was seen */
    struct MHD_Connection *connection; /* NULL before the headers are there */
    struct http_ref ref;
    char *target;                     /* raw */
    const struct http_family *family; /* whose route it is, or who refuses it */
    struct http_request rq;
    struct headers headers;
    struct problem problem; /* found before the body was there */
    char allow[64];
    bool options;            /* answered here */
    struct str cors;         /* the origin that every answer names, inside the headers; or n == 0 */
    struct file_body *files; /* a body with files; or NULL */
    struct buf body;
    uint64_t body_seen;    /* bytes, kept or not */
    struct gunzip *gunzip; /* of a body that comes compressed; or NULL */
    struct deadline slice; /* set while the connection is suspended for it */
    bool headers_done;
    bool served;
    bool serving;        /* serve is on the stack */
    bool again;          /* ... and is to be called once more */
    bool answered;       /* nothing more is taken from the other side, but a stream's bytes */
    bool suspended;      /* in libmicrohttpd */
    bool gone;           /* hung up, or the server closes */
    bool waiting;        /* counted in server.waits */
    bool preferred;      /* the wait came from Prefer */
    bool paused;         /* its body waits for a file to be written */
    bool early;          /* answered before its body came: the connection ends with it */
    bool reading;        /* its body, on another thread, which has body, rq and problem meanwhile */
    bool over;           /* libmicrohttpd is done with it: freed when it was read */
    unsigned tokens_set; /* which tokens of the server let it in: see exchange_is_let_in */
    unsigned status;
    struct MHD_Response *response; /* to be queued by the handler */
    size_t answer_size;            /* counted in server.answers */
    struct stream *stream;
    struct mono_us wait_until;
    struct deadline hold; /* set while it is held */
    struct watch *watch;
};

struct slot {
    struct exchange *exchange; /* NULL: free */
    uint32_t generation;
    uint32_t next_free; /* slot + 1; 0: none */
};

/* Callbacks of libmicrohttpd. */
void *exchange_begin(void *listener, const char *target, struct MHD_Connection *connection);
enum MHD_Result exchange_handle(void *listener, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *upload,
                                size_t *upload_size, void **con_cls);
void exchange_completed(void *listener, struct MHD_Connection *connection, void **con_cls,
                        enum MHD_RequestTerminationCode how);

/* The exchange that ref names and that is not answered yet, or NULL. */
struct exchange *exchange_find(struct http_server *s, struct http_ref ref);
/* The exchange in this slot, whatever its state; NULL when it is free. */
struct exchange *exchange_at(struct http_server *s, uint32_t slot);
void exchange_suspend(struct exchange *x);
/* Lets libmicrohttpd go on with it. */
void exchange_resume(struct exchange *x);
/* Calls serve once more (not from inside itself: then when it returns). */
void exchange_serve_again(struct exchange *x);
/* The answer is there: ends holds and waits, and lets the handler queue it. */
void exchange_answered(struct exchange *x, unsigned status, struct MHD_Response *response);
/* The client hung up while suspended, or the server closes: the connection is ended. */
void exchange_abandon(struct exchange *x);
/* Whether the tokens of now let in what those of then did, and show it the same; else p says why
   not. */
bool exchange_is_let_in(struct exchange *x, struct problem *p) MUST_CHECK;
/* The same; else it is answered why not. */
bool exchange_is_still_let_in(struct exchange *x) MUST_CHECK;
/* The tokens are others now: a stream or a held request that they do not let in ends. */
void exchange_check_token(struct exchange *x);

/* These bytes belong to the body; may set x->problem. */
void exchange_collect(struct exchange *x, const char *bytes, size_t n);

#endif
