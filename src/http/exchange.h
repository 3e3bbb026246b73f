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

/* Seconds without a byte either way; held and streaming exchanges do not count. */
enum { CONNECTION_IDLE_S = 75 };

struct exchange {
    struct http_server *server;
    struct listener *listener;
    struct conn *conn;                 /* outlives it; NULL: unknown */
    struct MHD_Connection *connection; /* NULL before the headers */
    struct http_ref ref;
    char *target;                     /* raw */
    const struct http_family *family; /* family of its route, or the one that refuses it */
    struct http_request rq;
    struct headers headers;
    struct problem problem; /* found before the body came */
    char allow[64];
    bool options;            /* answered by http/ */
    struct str cors;         /* origin that every answer names, inside the headers; or n == 0 */
    struct file_body *files; /* a body with files; or NULL */
    struct buf body;
    uint64_t body_seen;    /* bytes, kept or not */
    struct gunzip *gunzip; /* of a compressed body; or NULL */
    struct deadline slice; /* set while suspended for inflating */
    bool headers_done;
    bool served;
    bool serving;        /* serve is on the stack */
    bool again;          /* serve must be called once more */
    bool answered;       /* only a stream's bytes are still accepted from the caller */
    bool suspended;      /* in libmicrohttpd */
    bool gone;           /* hung up, or server closing */
    bool waiting;        /* counted in server.waits */
    bool preferred;      /* the wait came from Prefer */
    bool paused;         /* its body waits for a file write */
    bool early;          /* answered before its body came: ends the connection */
    bool reading;        /* another thread reads its body, and owns body, rq and problem
                            meanwhile */
    bool over;           /* libmicrohttpd is done: freed after reading */
    unsigned tokens_set; /* server.tokens_set that let it in: see exchange_is_let_in */
    unsigned status;
    struct MHD_Response *response; /* for the handler to queue */
    size_t answer_size;            /* counted in server.answers */
    struct stream *stream;
    struct mono_us wait_until;
    struct deadline hold; /* set while held */
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

/* Finds the unanswered exchange of ref, or NULL. */
struct exchange *exchange_find(struct http_server *s, struct http_ref ref);
/* Returns the exchange in this slot, in any state; NULL when free. */
struct exchange *exchange_at(struct http_server *s, uint32_t slot);
void exchange_suspend(struct exchange *x);
/* Resumes it in libmicrohttpd. */
void exchange_resume(struct exchange *x);
/* Calls serve once more; from inside serve, after it returns. */
void exchange_serve_again(struct exchange *x);
/* Takes the answer: ends holds and waits, and lets the handler queue it. */
void exchange_answered(struct exchange *x, unsigned status, struct MHD_Response *response);
/* Ends the connection: the client hung up while suspended, or the server closes. */
void exchange_abandon(struct exchange *x);
/* True if the current tokens still let it in and show it the same; else p says why not. */
bool exchange_is_let_in(struct exchange *x, struct problem *p) MUST_CHECK;
/* Like exchange_is_let_in; else answers why not. */
bool exchange_is_still_let_in(struct exchange *x) MUST_CHECK;
/* After a change of tokens: ends a stream or a held request that they do not let in. */
void exchange_check_token(struct exchange *x);

/* Adds bytes to the body; may set x->problem. */
void exchange_collect(struct exchange *x, const char *bytes, size_t n);

#endif
