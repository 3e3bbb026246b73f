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
#include <sys/socket.h>
#include <sys/types.h>
#include <uv.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/gzip.h"
#include "comfypool/base/json_read.h"
#include "comfypool/base/map.h"
#include "comfypool/http/http.h"
#include "comfypool/loop/apart.h"
#include "comfypool/loop/deadlines.h"
#include "comfypool/loop/mhd_host.h"

/* Why a request is refused. */
struct problem {
    enum err code;               /* ERR_NONE: it is not */
    unsigned status;             /* 0: the code's own */
    bool close;                  /* the connection ends with it: its framing cannot be trusted */
    int retry_after;             /* 0: none */
    const char *authenticate;    /* WWW-Authenticate; static, or NULL */
    const char *content_range;   /* or NULL */
    const char *accept_encoding; /* Accept-Encoding; static, or NULL */
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
/* A backend's: printable ASCII but blanks, quotes and backslashes; one without a name of its own is
   called by its URL. No part of a path that clients resolve before they ask: . and .. */
bool text_is_name(struct str s);
bool text_is_plain(struct str s); /* no control characters */
bool text_is_hex(struct str s);   /* lowercase hex digits */

/* ---- router.c ----------------------------------------------------------------------------------
 */

struct match {
    enum http_route route; /* HTTP_ROUTE_COUNT: none was found, or it is OPTIONS */
    bool head;
    bool options; /* OPTIONS of a path that there is: allow says the rest */
    char job_id[UUID_SIZE];
    char backend[HTTP_NAME_SIZE];
    char delivery[UUID_SIZE];
    char sha256[DIGEST_HEX_SIZE];
    unsigned number;
    struct str authority; /* of a target in absolute form; n == 0: none */
    struct str query;     /* inside the target; n == 0: none */
    char allow[64];       /* with ERR_METHOD_NOT_ALLOWED and options */
};

/* Finds the route of a raw request target. On false p says why (404 or 405). */
bool router_match(struct str method, struct str target, struct match *ret,
                  struct problem *p) MUST_CHECK;
const char *route_method(enum http_route route);
const char *route_path(enum http_route route);
enum http_role route_role(enum http_route route);

/* ---- headers.c: the request headers that count --------------------------------------------------
 */

enum header {
    HEADER_CONTENT_LENGTH,
    HEADER_TRANSFER_ENCODING,
    HEADER_HOST,
    HEADER_CONTENT_TYPE,
    HEADER_CONTENT_ENCODING,
    HEADER_EXPECT,
    HEADER_ACCEPT,
    HEADER_PREFER,
    HEADER_IF_NONE_MATCH,
    HEADER_ORIGIN,
    HEADER_SEC_FETCH_SITE,
    HEADER_AUTHORIZATION,
    HEADER_IDEMPOTENCY_KEY,
    HEADER_LAST_EVENT_ID,
    HEADER_TRACEPARENT,
    HEADER_RANGE,
    HEADER_IF_RANGE,
    HEADER_COUNT
};

enum { HEADER_VALUES = 4 };

/* The values are borrowed from the request. */
struct headers {
    struct header_values {
        unsigned count; /* all; of those beyond HEADER_VALUES no value is kept */
        struct str value[HEADER_VALUES];
    } of[HEADER_COUNT];
    bool padded_name;     /* blanks stand behind the name of one */
    bool padded_encoding; /* blanks stand behind the value of Transfer-Encoding */
};

void headers_add(struct headers *h, struct str name, struct str value);
/* The framing must leave no doubt where the body ends: else the connection is closed. */
bool headers_check_framing(const struct headers *h, bool http_1_1, struct problem *p) MUST_CHECK;
/* The declared length of the body; 0 when there is none, UINT64_MAX when it is chunked. */
uint64_t headers_body_length(const struct headers *h);
bool headers_expect_continue(const struct headers *h);
/* The first value; n == 0 when there is none. */
struct str headers_first(const struct headers *h, enum header which);
/* A body may be JSON, unnamed, or what curl -d calls it. */
/* How the body is coded: not at all, as gzip (or x-gzip), or in a way that nobody reads here. */
enum coding { CODING_NONE, CODING_GZIP, CODING_OTHER };
enum coding headers_coding(const struct headers *h);
bool headers_check_body_type(const struct headers *h, struct problem *p) MUST_CHECK;
/* What curl says of -d and --data-binary: it says nothing about the body. */
bool headers_say_form(const struct headers *h);
/* The value as it came; "" when it is not there, doubled, long, or no plain text. */
void headers_pass(const struct headers *h, enum header which, char ret[HTTP_PASSED_SIZE]);
/* Prefer: wait=N. False when there is none that is well formed. */
bool headers_prefer_wait(const struct headers *h, int64_t *ret_seconds);
/* The format that Accept wants most, of those in the mask (1u << format) that it may choose; the
   first one among equals. */
bool headers_choose_format(const struct headers *h, unsigned formats, enum format *ret,
                           struct problem *p) MUST_CHECK;
/* Last-Event-ID; "" when it cannot be one of ours. False: there is none. */
bool headers_last_event_id(const struct headers *h, char ret[HTTP_EVENT_ID_SIZE]);
/* traceparent (W3C Trace Context); "" when there is none, or a malformed one. */
void headers_trace(const struct headers *h, char ret[JOB_TRACE_SIZE]);
/* True when If-None-Match names this ETag (with its quotes). */
bool headers_match_etag(const struct headers *h, struct str etag);
/* Idempotency-Key, its quotes taken off; "" when there is none. */
bool headers_idempotency_key(const struct headers *h, char ret[HTTP_KEY_SIZE],
                             struct problem *p) MUST_CHECK;

/* ---- access.c: who may come in ------------------------------------------------------------------
 */

/* An end of a connection. */
struct net_address {
    sa_family_t family;      /* AF_INET, AF_INET6, AF_UNIX; 0: not known */
    unsigned char bytes[16]; /* 4 of them, 16, none */
};

/* IPv4 in IPv6 becomes IPv4. */
void net_address_read(const struct sockaddr *from, struct net_address *ret);
bool net_address_is_loopback(const struct net_address *a);

/* What the rules are about. */
struct visitor {
    const struct headers *headers;
    struct str authority;            /* of a target in absolute form */
    const struct net_address *local; /* the connection's own end */
    enum http_route route;
};

/* The Host must be a loopback name, the local address or an allowed one; probes may use any. */
bool access_check_host(const struct visitor *v, const char *const *allowed,
                       struct problem *p) MUST_CHECK;
/* Foreign web pages stay out. *ret_cors: the origin (as sent) that an answer must name, or n == 0.
 */
bool access_check_origin(const struct visitor *v, const char *const *allowed, struct str *ret_cors,
                         struct problem *p) MUST_CHECK;
/* The token must be known and its role large enough. No token at all: everybody may come in. */
bool access_check_token(const struct visitor *v, const struct http_token *tokens, size_t n,
                        char ret_caller[HTTP_NAME_SIZE], enum http_role *ret_role,
                        struct problem *p) MUST_CHECK;
/* The same for somebody who came in under a name and a role before: the token must let in to the
   same things. */
bool access_check_again(const struct visitor *v, const struct http_token *tokens, size_t n,
                        const char *caller, enum http_role role, struct problem *p) MUST_CHECK;

/* ---- query.c -----------------------------------------------------------------------------------
 */

enum { MAX_WAIT_S = 300 };

/* Which formats a route has, 1u << format each; 0: it has no choice. */
unsigned route_formats(enum http_route route);
/* A number of seconds, digits only; above MAX_WAIT_S it is MAX_WAIT_S. */
bool query_read_wait(struct str value, int64_t *ret_seconds);
/* Fills rq from the query string and, where the query is silent, from the headers. rq->route is
   set. *ret_preferred: the wait came from Prefer. */
bool query_parse(struct str query, const struct headers *h, struct http_request *rq,
                 bool *ret_preferred, struct problem *p) MUST_CHECK;

/* ---- members.c: the members of a body, by tables ------------------------------------------------
 */

enum { BODY_DEPTH = 64 };

/* A member's value: its first token and its whole text. */
struct value {
    struct js_token token;
    struct str text;
    int bad; /* set by a reader: which entry of a list is wrong; -1: the whole of it */
};

struct member {
    const char *name;
    /* Stores the value in ret (often at offset); false when it is not of the shape. */
    bool (*read)(const struct member *m, struct value *v, void *ret);
    const char *shape; /* "NAME must be SHAPE"; NULL: a whole number from least to most */
    int64_t least;
    int64_t most;
    size_t offset;
    /* In place of read, for a value with members of its own: sets p, whose pointer names this
       member already. */
    bool (*read_inside)(struct value *v, void *ret, struct problem *p);
};

/* Strict JSON and an object. */
bool members_check(struct str body, struct problem *p) MUST_CHECK;
/* The place in the table, len when it has no such name. */
size_t members_find(const struct member *table, size_t len, struct js_token key);
/* Reads one value; on false p names the member. */
bool members_read_one(const struct member *m, struct js_token key, struct value *v, void *ret,
                      struct problem *p) MUST_CHECK;
/* Reads a checked object; others than those of the table are refused. *ret_seen: 1u << place. */
bool members_read(struct str body, const struct member *table, size_t len, void *ret,
                  unsigned *ret_seen, struct problem *p) MUST_CHECK;
bool members_refuse_key(struct js_token key, enum err code, const char *detail, struct problem *p);
/* ... with the nearest name of the table and of the others (up to a NULL; or NULL), or all of them.
 */
bool members_refuse_unknown(struct js_token key, const char *const *others,
                            const struct member *table, size_t len, struct problem *p);
/* Appends a name to the pointer of p. */
void members_point_at(struct problem *p, struct str name);

/* Readers: int64_t; a priority as int; a copy of a string of 1 to `most` bytes without control
   characters; each string of an array (false ends it). */
enum { MEMBER_URL_MOST = 2000 };
bool member_text(const struct member *m, struct value *v, void *ret, size_t most);
bool member_int(const struct member *m, struct value *v, void *ret);
bool member_priority(const struct member *m, struct value *v, void *ret);
bool member_each_string(struct value *v, bool (*each)(void *ctx, struct str text), void *ctx);
extern const char member_priority_shape[];

/* ---- submission.c, bodies.c ---------------------------------------------------------------------
 */

/* Checks the body of POST /jobs. Owner of *ret: the caller, by submission_done. */
bool submission_parse(struct str body, struct submission *ret, struct problem *p) MUST_CHECK;
/* Checks the body of POST /jobs/{id}/retry: extra_data alone is filled. */
bool submission_parse_retry(struct str body, struct submission *ret, struct problem *p) MUST_CHECK;
/* The same of POST /batches. */
bool submission_parse_batch(struct str body, struct submission *ret, struct problem *p) MUST_CHECK;
/* Reads a graph; NULL: p says why. Owner: the caller. */
struct workflow *submission_graph(struct str text, struct problem *p);

/* ---- submission_spec.c: members of a submission -------------------------------------------------
 */

bool submission_backends(struct value *v, void *ret, struct problem *p);
bool submission_labels(struct value *v, void *ret, struct problem *p);
bool submission_variants(struct value *v, void *ret, struct problem *p);
bool submission_attachments(struct value *v, void *ret, struct problem *p);
/* The jobs whose outputs are attached are jobs that it comes after. */
void submission_follow_attached(struct submission *s);
/* Each attachment names a node of the workflow. */
bool submission_attached_known(const struct workflow *w, const struct submission *s,
                               struct problem *p) MUST_CHECK;
/* Each part that an attachment names has come: its file is the attachment's. */
bool submission_attach_parts(struct submission *s, const struct http_request *rq,
                             struct problem *p) MUST_CHECK;
bool submission_outputs(struct value *v, void *ret, struct problem *p);
bool submission_include(const struct member *m, struct value *v, void *ret);
bool submission_auto_seed(const struct member *m, struct value *v, void *ret);
bool submission_skip_eligibility(const struct member *m, struct value *v, void *ret);
bool submission_client(const struct member *m, struct value *v, void *ret);
bool submission_not_before(const struct member *m, struct value *v, void *ret);
bool submission_after(const struct member *m, struct value *v, void *ret);
bool submission_on_failure(const struct member *m, struct value *v, void *ret);
/* Each of includeOutputs is a node of the workflow. */
bool submission_include_known(const struct workflow *w, const struct spec *s,
                              struct problem *p) MUST_CHECK;
/* Takes the overrides of a batch; w was parsed from ret->workflow. */
bool submission_overrides(struct str value, const struct workflow *w, struct submission *ret,
                          struct problem *p) MUST_CHECK;

/* Whether a route reads its body; else it is thrown away. */
bool body_is_read(enum http_route route);
/* Whether the body must be JSON by its content type. */
bool body_is_json(enum http_route route);
/* Checks the body of rq->route and fills rq. */
bool body_read(struct str body, const struct http_options *o, struct http_request *rq,
               struct problem *p) MUST_CHECK;

/* ---- exchanges ---------------------------------------------------------------------------------
 */

/* Seconds without a byte either way; held and streaming ones do not count. */
enum { CONNECTION_IDLE_S = 75 };

struct listener;
struct file_body;
struct stream;
struct watch;
struct conn;

struct exchange {
    struct http_server *server;
    struct listener *listener;
    struct conn *conn;                 /* outlives it; NULL: none was seen */
    struct MHD_Connection *connection; /* NULL before the headers are there */
    struct http_ref ref;
    char *target; /* raw */
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
    struct exchange *x; /* NULL: free */
    uint32_t generation;
    uint32_t next_free; /* slot + 1; 0: none */
};

struct listener {
    struct listener *next;
    struct http_server *server;
    int fd;     /* -1 once it does not listen any more */
    char *path; /* of a unix socket of ours, removed at the end; or NULL */
    dev_t device;
    ino_t inode;
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
    uint32_t free_slot;         /* slot + 1; 0: none */
    struct deadlines deadlines; /* of holds, headers and bodies */
    struct aparts *aparts;      /* large bodies that are read */
    struct http_token *tokens;
    size_t tokens_len;
    unsigned tokens_set;   /* how often they were */
    uint32_t checked;      /* of the slots, since then */
    struct deadline check; /* of the next ones */
    unsigned counted;      /* connections that may stay */
    struct map addresses;  /* who has how many connections: struct peer by its address */
    unsigned streams;
    size_t bodies;  /* bytes of requests that are being collected */
    size_t answers; /* bytes of answers that are on their way */
    unsigned refs;  /* handles that live; freed at 0 */
    bool draining;
    bool closing;
    struct http_stats stats;
};

void server_unref(struct http_server *s);

/* ---- listen.c ----------------------------------------------------------------------------------
 */

/* Opens "HOST:PORT" or "unix:/path" into l (fd, path). False with a message for people. */
bool listen_open(struct listener *l, const char *address, char *why, size_t why_size) MUST_CHECK;
/* Takes over a socket if it listens. */
bool listen_adopt(struct listener *l, int fd, char *why, size_t why_size) MUST_CHECK;
void listen_url(int fd, char *ret, size_t size);
/* Closes it and removes its file. */
void listen_close(struct listener *l, int fd);

/* ---- conns.c: how many connections there may be, and how slow ----------------------------------
 */

/* A connection was accepted; it may be shut down at once. Never NULL. */
struct conn *conn_open(struct listener *l, struct MHD_Connection *connection);
void conn_close(struct conn *c);
/* Its request line is there, its headers, its body, its answer. NULL: does nothing. */
void conn_request(struct conn *c);
void conn_headers(struct conn *c);
void conn_body(struct conn *c);
/* A part of a body with files has come: as much time for the next one. */
void conn_progress(struct conn *c);
void conn_answered(struct conn *c);
/* A piece of a body was taken: when nothing can follow, and the body is not complete a moment
   later, the connection ends. A client that closes its side behind a whole request is answered. */
void conn_look_for_end(struct conn *c);
/* Looks at a body: whether bytes of it waited in the socket at two looks in a row, and none was
   handed on between them. pieces: how many were handed on so far. */
struct stuck {
    size_t pieces;
    bool waited;
};
bool stuck_look(struct stuck *s, size_t pieces, bool waits) MUST_CHECK;
/* While it is paused nothing that was read of a body is taken, so that its end says nothing. */
void conn_pause(struct conn *c, bool paused);
/* Its client has shut its sending side, and all that it sent was read. */
bool conn_has_ended(const struct conn *c);
const struct net_address *conn_local(const struct conn *c);
/* Counts a connection from there; false when there are too many. Loopback and unix sockets: never.
 */
bool conn_count(struct http_server *s, const struct net_address *from) MUST_CHECK;
void conn_uncount(struct http_server *s, const struct net_address *from);

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
/* Whether the tokens of now let in what those of then did, and show it the same; else p says why
   not. */
bool exchange_is_let_in(struct exchange *x, struct problem *p) MUST_CHECK;
/* The same; else it is answered why not. */
bool exchange_is_still_let_in(struct exchange *x) MUST_CHECK;
/* The tokens are others now: a stream or a held request that they do not let in ends. */
void exchange_check_token(struct exchange *x);

/* These bytes belong to the body; may set x->problem. */
void exchange_collect(struct exchange *x, const char *bytes, size_t n);

/* coding.c: bodies that come compressed */

/* Whether the body can be read as it is coded; else it sets x->problem. */
bool coding_check(struct exchange *x) MUST_CHECK;
/* Bytes of a body with x->gunzip. False: the connection must be suspended until exchange_resume.
   May set x->problem. */
bool coding_feed(struct exchange *x, const char *bytes, size_t n);
/* Everything has come; may set x->problem. */
void coding_end(struct exchange *x);
void coding_free(struct exchange *x);

/* file_body.c: bodies that go to files as they come */

/* True when the body of this request does. */
bool file_body_is(const struct exchange *x);
/* May set x->problem. False: the body need not come. */
bool file_body_begin(struct exchange *x);
/* False: the connection must be suspended until exchange_resume. May set x->problem. */
bool file_body_feed(struct exchange *x, const char *bytes, size_t n);
/* Everything has come. False: files are being kept, the connection must be suspended. */
bool file_body_end(struct exchange *x);
/* The request is refused: its files are not wanted. */
void file_body_refused(struct exchange *x);
void file_body_free(struct exchange *x);

/* answer.c */
struct MHD_Response *answer_headers(struct exchange *x, struct MHD_Response *r,
                                    const struct http_answer *a);
void answer_problem(struct exchange *x, const struct problem *p);

void answer_options(struct exchange *x);

/* hold.c */
void hold_end(struct exchange *x);
void watch_begin(struct exchange *x);
void watch_end(struct exchange *x);

/* stream.c */
void stream_cut(struct stream *st);
/* The same at once, whether or not its client reads. */
void stream_shut(struct stream *st);
/* The exchange is over: `gone` is told unless the stream was ended. */
void stream_free(struct stream *st);

/* ---- sniff.c -----------------------------------------------------------------------------------
 */

/* What a body is that is no JSON, and what to send instead; static. NULL: nobody knows. */
const char *sniff(struct str body);
/* A short text without braces and line ends that ends as the name of a file does: what curl sends
   of -d workflow.json. FILE_NAME_MOST and more bytes are none. */
enum { FILE_NAME_MOST = 1024 };
bool sniff_is_file_name(struct str body);

#endif
