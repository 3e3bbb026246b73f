/*
 * What the files of http/ share. The pure parts (router, query, headers, submission) know neither
 * libmicrohttpd nor libuv and are tested by tables; the rest is about exchanges.
 */
#ifndef HTTP_INTERNAL_H
#define HTTP_INTERNAL_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/heap.h"
#include "comfypool/http/http.h"
#include "comfypool/loop/mhd_host.h"

/* Why a request is refused. */
struct problem {
    enum err code;   /* ERR_NONE: it is not */
    unsigned status; /* 0: the code's own */
    bool close;      /* the connection ends with it: its framing cannot be trusted */
    int retry_after; /* 0: none */
    bool has_pointer;
    struct buf pointer;
    struct buf detail;
};

void problem_init(struct problem *p);
void problem_done(struct problem *p);
/* Sets it, unless it is set already; returns false. */
bool problem_set(struct problem *p, enum err code, const char *detail, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- text.c ------------------------------------------------------------------------------------
 */

/* Appends s with its %xx decoded (and + as a blank, in queries). False when an escape is broken or
   the result has a NUL or is no UTF-8. */
bool text_unescape(struct str s, bool plus, struct buf *out) MUST_CHECK;
/* Cuts what is before the first `separator` off *rest; false when nothing is left. A separator
   inside "..." does not count. */
bool text_cut(struct str *rest, char separator, struct str *ret) MUST_CHECK;
struct str text_trim(struct str s);
bool text_same_word(struct str a, const char *word); /* without regard to case */

/* ---- router.c ----------------------------------------------------------------------------------
 */

struct match {
    enum http_route route;
    bool head;
    char job_id[UUID_SIZE];
    unsigned output;
    struct str query; /* inside the target; n == 0: none */
    char allow[64];   /* with ERR_METHOD_NOT_ALLOWED */
};

/* Finds the route of a raw request target. On false p says why (404 or 405). */
bool router_match(struct str method, struct str target, struct match *ret,
                  struct problem *p) MUST_CHECK;
const char *route_method(enum http_route route);
const char *route_path(enum http_route route);

/* ---- headers.c: the request headers that count --------------------------------------------------
 */

enum header {
    HEADER_CONTENT_LENGTH,
    HEADER_TRANSFER_ENCODING,
    HEADER_HOST,
    HEADER_CONTENT_TYPE,
    HEADER_EXPECT,
    HEADER_ACCEPT,
    HEADER_PREFER,
    HEADER_IF_NONE_MATCH,
    HEADER_COUNT
};

enum { HEADER_VALUES = 4 };

/* The values are borrowed from the request. */
struct headers {
    struct header_values {
        unsigned count; /* all; of those beyond HEADER_VALUES no value is kept */
        struct str value[HEADER_VALUES];
    } of[HEADER_COUNT];
};

void headers_add(struct headers *h, struct str name, struct str value);
/* The framing must leave no doubt where the body ends: else the connection is closed. */
bool headers_check_framing(const struct headers *h, bool http_1_1, struct problem *p) MUST_CHECK;
/* The declared length of the body; 0 when there is none, UINT64_MAX when it is chunked. */
uint64_t headers_body_length(const struct headers *h);
bool headers_expect_continue(const struct headers *h);
/* A body of POST /jobs may be JSON, unnamed, or what curl -d calls it. */
bool headers_check_body_type(const struct headers *h, struct problem *p) MUST_CHECK;
/* Prefer: wait=N. False when there is none that is well formed. */
bool headers_prefer_wait(const struct headers *h, int64_t *ret_seconds);
/* JSON or text/plain, by Accept. */
bool headers_choose_text(const struct headers *h, bool *ret_text, struct problem *p) MUST_CHECK;
/* True when If-None-Match names this ETag (with its quotes). */
bool headers_match_etag(const struct headers *h, struct str etag);

/* ---- query.c -----------------------------------------------------------------------------------
 */

enum { MAX_WAIT_S = 300 };

/* A number of seconds, digits only; above MAX_WAIT_S it is MAX_WAIT_S. */
bool query_read_wait(struct str value, int64_t *ret_seconds);
/* Fills rq from the query string and, where the query is silent, from the headers. rq->route is
   set. *ret_preferred: the wait came from Prefer. */
bool query_parse(struct str query, const struct headers *h, struct http_request *rq,
                 bool *ret_preferred, struct problem *p) MUST_CHECK;

/* ---- submission.c ------------------------------------------------------------------------------
 */

/* Checks the body of POST /jobs. Owner of *ret: the caller, by submission_done. */
bool submission_parse(struct str body, struct submission *ret, struct problem *p) MUST_CHECK;

/* ---- exchanges ---------------------------------------------------------------------------------
 */

struct listener;
struct stream;
struct watch;

struct exchange {
    struct http_server *server;
    struct listener *listener;
    struct MHD_Connection *connection; /* NULL before the headers are there */
    struct http_ref ref;
    char *target; /* raw */
    struct http_request rq;
    struct headers headers;
    struct problem problem; /* found before the body was there */
    char allow[64];
    struct buf body;
    uint64_t body_seen; /* bytes, kept or not */
    bool headers_done;
    bool served;
    bool serving;   /* serve is on the stack */
    bool again;     /* ... and is to be called once more */
    bool answered;  /* nothing more is taken from the other side, but a stream's bytes */
    bool suspended; /* in libmicrohttpd */
    bool gone;      /* hung up, or the server closes */
    bool waiting;   /* counted in server.waits */
    bool preferred; /* the wait came from Prefer */
    unsigned status;
    struct MHD_Response *response; /* to be queued by the handler */
    struct stream *stream;
    /* While held. */
    struct heap_node by_deadline;
    struct mono_us deadline;
    struct watch *watch;
};

struct slot {
    struct exchange *x; /* NULL: free */
    uint32_t generation;
    uint32_t next_free; /* slot + 1; 0: none */
};

struct listener {
    struct listener *next;
    struct http_server *server;
    int fd; /* -1 once it does not listen any more */
    struct MHD_Daemon *daemon;
    struct mhd_host *host;
};

struct http_server {
    uv_loop_t *loop;
    struct http_options options;
    http_serve_fn serve;
    void *ctx;
    struct listener *listeners;
    struct slot *slots;
    uint32_t slots_len;
    uint32_t free_slot; /* slot + 1; 0: none */
    struct heap holds;
    uv_timer_t hold_timer;
    unsigned refs; /* handles that live; freed at 0 */
    bool draining;
    bool closing;
    struct http_stats stats;
};

void server_unref(struct http_server *s);

/* exchange.c: callbacks of libmicrohttpd */
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

/* answer.c */
struct MHD_Response *answer_headers(struct exchange *x, struct MHD_Response *r,
                                    const struct http_answer *a);
void answer_problem(struct exchange *x, const struct problem *p);

/* hold.c */
void hold_init(struct http_server *s);
void hold_end(struct exchange *x);
void hold_close(struct http_server *s);
void watch_begin(struct exchange *x);
void watch_end(struct exchange *x);

/* stream.c */
void stream_cut(struct stream *st);
/* The exchange is over: `gone` is told unless the stream was ended. */
void stream_free(struct stream *st);

#endif
