/*
 * Routes as rows of tables. An API is a family of routes: it defines the paths, how each request is
 * read, who serves it and how refusals are written; http/ knows none of them by name. HEAD is
 * answered wherever GET is, OPTIONS everywhere; both, and Allow, follow from the tables.
 */
#ifndef COMFYPOOL_HTTP_ROUTES_H
#define COMFYPOOL_HTTP_ROUTES_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/err.h"
#include "comfypool/base/str.h"
#include "comfypool/core/token.h"
#include "comfypool/http/problem.h"

struct http_file_ops;
struct http_ref;
struct http_request;

/* Reads a value into the family's arguments. False: malformed. */
typedef bool (*http_read_fn)(struct str value, void *args);

/* A parameter of the query string. Unknown, repeated or malformed ones are refused by name. */
struct http_param {
    const char *name;
    http_read_fn read;
    const char *shape; /* "NAME: must be SHAPE" */
    bool is_needed;
};
/* Read by http/ itself, since headers may say the same: ?wait= and Prefer: wait=; ?format= and
   Accept. */
extern const struct http_param http_param_wait, http_param_format;

/* A {parameter} in paths. */
struct http_segment {
    const char *prefix; /* common prefix of its paths, inclusive: "/jobs/{id}" */
    http_read_fn read;
    enum err code; /* for an unreadable value: what it names does not exist */
    const char *detail;
    bool spans; /* it may contain slashes, up to the end, or to what follows it in another path of
                   the family */
};

/* Kinds of bodies. */
enum http_body_kind {
    HTTP_BODY_NONE,  /* discarded */
    HTTP_BODY_PLAIN, /* collected, of any content type */
    HTTP_BODY_JSON,  /* collected; its content type must be JSON's, or missing */
    HTTP_BODY_FORM,  /* JSON, or multipart/form-data with it in a part "job", and files */
    HTTP_BODY_FILE,  /* one file, or multipart/form-data with one */
};
struct http_body {
    enum http_body_kind kind;
    /* Reads a collected body into rq->args; a large one on another thread. False: p says why. */
    bool (*read)(struct str body, struct http_request *rq, struct problem *p);
};

enum http_route_flags {
    HTTP_ANY_HOST = 1,     /* load balancers probe it by any name, and learn almost nothing */
    HTTP_HAS_RANGES = 2,   /* for files: rq has Range, If-Range and If-None-Match */
    HTTP_HAS_KEY = 4,      /* rq has the Idempotency-Key */
    HTTP_FINISHES = 8,     /* once held, answered even if its token became invalid: its data is
                              stored */
    HTTP_MAY_BE_NAME = 16, /* refuses a file name, sent by a wrong curl -d */
};

struct http_route {
    const char *method;
    const char *path; /* "/jobs/{id}/profile" */
    enum role role;   /* least role */
    void (*serve)(void *ctx, struct http_request *rq, struct http_ref x);
    const struct http_body *body;           /* NULL: HTTP_BODY_NONE */
    const struct http_param *const *params; /* NULL at the end; NULL: none */
    unsigned formats;                       /* set of 1u << enum format; 0: no choice */
    unsigned flags;
    int door; /* the family's own: what the path names, to check who may see it */
};

struct http_table {
    const struct http_route *routes;
    size_t len;
};

/* A refusal to be written. */
struct http_refused {
    unsigned status;
    enum err code;
    struct str detail;
    const struct str *pointer; /* or NULL */
};

/* Walks all rows of a family; zeroed: from the first. NULL: the end. */
struct http_rows {
    size_t table, row;
};
struct http_family;
const struct http_route *http_next_route(const struct http_family *f, struct http_rows *at);

/* HTTP_ADMIT_LATER: http_let_in will follow, or an answer. HTTP_ADMIT_REFUSED: answered. */
enum http_admission { HTTP_ADMIT, HTTP_ADMIT_LATER, HTTP_ADMIT_REFUSED };

struct http_family {
    void *ctx; /* of serve, admit and files */
    /* Called once, before a route's serve. NULL: anyone is let in. */
    enum http_admission (*admit)(void *ctx, struct http_request *rq, struct http_ref x);
    const struct http_file_ops *files;      /* NULL: no files */
    const struct http_table *const *tables; /* NULL at the end */
    const struct http_segment *segments;
    size_t segments_len;
    /* Hints for paths of other servers: a path, and what to do. */
    const struct http_hint {
        const char *path;
        const char *detail;
    } * hints;
    size_t hints_len;
    const char *no_hint;
    /* Arguments of a request: zeroed, then set to their defaults. */
    size_t args_size;
    void (*args_init)(void *args);
    void (*args_done)(void *args);
    /* Writes a refusal; returns its content type. */
    const char *(*write)(const struct http_refused *r, struct buf *out);
};

#endif
