/*
 * Routes as rows of tables. An API is a family of routes: it says what there is, how each request
 * is read, who serves it and how refusals are written; http/ knows none of them by name. HEAD is
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

/* Reads a value into the arguments of the family. False: it has not this shape. */
typedef bool (*http_read_fn)(struct str value, void *args);

/* A parameter of the query string. One that is unknown, doubled or ill-formed is refused by name.
 */
struct http_param {
    const char *name;
    http_read_fn read;
    const char *shape; /* "NAME: must be SHAPE" */
    bool is_needed;
};
/* Those that http/ reads itself, since headers may say the same: ?wait= and Prefer: wait=; ?format=
   and Accept. */
extern const struct http_param http_param_wait, http_param_format;

/* A {parameter} in paths. */
struct http_segment {
    const char *prefix; /* of the paths that have it, with it: "/jobs/{id}" */
    http_read_fn read;
    enum err code; /* when it cannot be read, what it names is not there */
    const char *detail;
    bool spans; /* it may have slashes in it, and goes on to the end, or to what follows it in
                   another path of the family */
};

/* What a body is. */
enum http_body_kind {
    HTTP_BODY_NONE,  /* thrown away */
    HTTP_BODY_PLAIN, /* collected; its content type says nothing */
    HTTP_BODY_JSON,  /* collected; its content type must be JSON's, or none */
    HTTP_BODY_FORM,  /* as JSON, or multipart/form-data: that in a part "job", and files */
    HTTP_BODY_FILE,  /* one file, or multipart/form-data with one */
};
struct http_body {
    enum http_body_kind kind;
    /* Checks what was collected, into rq->args; of a large one on another thread. False: p says
       why. */
    bool (*read)(struct str body, struct http_request *rq, struct problem *p);
};

enum http_route_flags {
    HTTP_ANY_HOST = 1,     /* load balancers probe it by any name, and learn next to nothing */
    HTTP_HAS_RANGES = 2,   /* of files: rq has Range, If-Range and If-None-Match */
    HTTP_HAS_KEY = 4,      /* rq has the Idempotency-Key */
    HTTP_FINISHES = 8,     /* once it is held, it is answered though its token does not let in any
                              more: what was stored for it is told */
    HTTP_MAY_BE_NAME = 16, /* curl -d sends the name of a file in place of the file: refused */
};

struct http_route {
    const char *method;
    const char *path; /* "/jobs/{id}/profile" */
    enum role role;   /* the least */
    void (*serve)(void *ctx, struct http_request *rq, struct http_ref x);
    const struct http_body *body;           /* NULL: HTTP_BODY_NONE */
    const struct http_param *const *params; /* NULL at the end; NULL: none */
    unsigned formats;                       /* 1u << enum format each; 0: it has no choice */
    unsigned flags;
    int door; /* the family's own: what the path names, for who may see it */
};

struct http_table {
    const struct http_route *routes;
    size_t len;
};

/* A refusal as it is written. */
struct http_refused {
    unsigned status;
    enum err code;
    struct str detail;
    const struct str *pointer; /* or NULL */
};

/* All rows of a family, one after the other; zeroed: from the first. NULL: there is no more. */
struct http_rows {
    size_t table, row;
};
struct http_family;
const struct http_route *http_next_route(const struct http_family *f, struct http_rows *at);

/* HTTP_ADMIT_LATER: it goes on by http_let_in, or is answered. HTTP_ADMIT_REFUSED: it was. */
enum http_admission { HTTP_ADMIT, HTTP_ADMIT_LATER, HTTP_ADMIT_REFUSED };

struct http_family {
    void *ctx; /* of serve, admit and files */
    /* Asked once, before a route's serve. NULL: everybody is let in. */
    enum http_admission (*admit)(void *ctx, struct http_request *rq, struct http_ref x);
    const struct http_file_ops *files;      /* NULL: no files are taken */
    const struct http_table *const *tables; /* NULL at the end */
    const struct http_segment *segments;
    size_t segments_len;
    /* Where people look for what another server has there: a path, and what to do. */
    const struct http_hint {
        const char *path;
        const char *detail;
    } * hints;
    size_t hints_len;
    const char *no_hint;
    /* The arguments of one request: zeroed, then set to what holds where nothing is said. */
    size_t args_size;
    void (*args_init)(void *args);
    void (*args_done)(void *args);
    /* Writes a refusal; returns its content type. */
    const char *(*write)(const struct http_refused *r, struct buf *out);
};

#endif
