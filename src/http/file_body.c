/*
 * Bodies with files: those of /uploads, which are a file, or a form with one; and submissions as
 * multipart/form-data. File bytes are passed on as they come and never held as a whole; only the
 * part "job" of a submission is collected, like any other JSON. The request is served when all of
 * its files are kept.
 */
#include "file_body.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "comfypool/base/sniff.h"
#include "comfypool/http/answer.h"
#include "comfypool/http/http.h"
#include "comfypool/http/problem.h"

#include "body.h"
#include "conns.h"
#include "exchange.h"
#include "headers.h"
#include "multipart.h"
#include "server.h"

enum { RETRY_S = 2, FILES_MOST = 64 };

struct file_body {
    struct exchange *exchange;
    struct multipart *parts; /* NULL: the body is one file */
    void *open;              /* file being received; or NULL */
    uint64_t come;           /* its bytes so far */
    unsigned pending;        /* ended files not known to be kept */
    bool in_job;             /* inside the part "job" */
    bool has_job;
    bool ended;
    bool may_be_name; /* the bytes so far, in head, may be a file name */
    struct buf head;
};

static bool is_multipart(const struct exchange *x)
{
    static const char wanted[] = "multipart/form-data";
    const struct str type = headers_first(&x->headers, HEADER_CONTENT_TYPE);
    return type.n >= sizeof wanted - 1 && strncasecmp(type.p, wanted, sizeof wanted - 1) == 0;
}

/* True for a body of one file, or a form with one. */
static bool is_upload(const struct http_route *route)
{
    return body_kind(route) == HTTP_BODY_FILE;
}

bool file_body_is(const struct exchange *x)
{
    const struct http_route *route = x->rq.route;
    return x->family->files != NULL &&
           (is_upload(route) || (body_kind(route) == HTTP_BODY_FORM && is_multipart(x)));
}

/* Keeps the first problem. */
static void refuse(struct exchange *x, enum err e, const char *why)
{
    if (x->problem.code == ERR_NONE) {
        (void)problem_set(&x->problem, e, "%s", why);
        x->problem.retry_after = e == ERR_STORE_UNAVAILABLE ? RETRY_S : 0;
    }
}

static void give_up(struct exchange *x, enum err e, const char *why)
{
    struct file_body *f = x->files;
    if (f->open != NULL) {
        x->family->files->abort(f->open);
        f->open = NULL;
    }
    refuse(x, e, why);
}

/* Adds a file to the request. */
static struct http_file *add_file(struct exchange *x)
{
    struct http_request *rq = &x->rq;
    rq->files = mem_grow(rq->files, (rq->files_len + 1) * sizeof *rq->files);
    struct http_file *file = &rq->files[rq->files_len++];
    *file = (struct http_file){.size = 0};
    return file;
}

static bool open_file(struct exchange *x, uint64_t length)
{
    const struct http_family *family = x->family;
    const char *why = NULL;
    const enum err e = family->files->begin(family->ctx, &x->rq, x->ref, x->rq.files_len - 1,
                                            length, &x->files->open, &why);
    if (e != ERR_NONE) {
        x->files->open = NULL;
        give_up(x, e, why);
    }
    x->files->come = 0;
    return e == ERR_NONE;
}

/* ---- parts ----------------------------------------------------------------------------------- */

static bool has_part(const struct http_request *rq, struct str name)
{
    for (size_t i = 0; i < rq->files_len; i++) {
        if (str_is(name, rq->files[i].part)) {
            return true;
        }
    }
    return false;
}

static bool refuse_no_file(struct exchange *x, struct str name)
{
    const int n = name.n > 100 ? 100 : (int)name.n;
    return problem_set(&x->problem, ERR_MEMBER_INVALID,
                       "the part %.*s is no file; curl -F %.*s=@FILE sends one%s", n, name.p, n,
                       name.p,
                       is_upload(x->rq.route) ? ". A form of /uploads is one file, and no other "
                                                "part: leave those of ComfyUI's uploads out"
                                              : "");
}

/* Names the parts that came instead, 16 of them. */
static void refuse_jobless(struct exchange *x)
{
    enum { SAID = 16 };
    if (x->problem.code != ERR_NONE) {
        return;
    }
    AUTO_BUF struct buf names;
    buf_init(&names, BUF_NO_LIMIT);
    const size_t len = x->rq.files_len;
    for (size_t i = 0; i < len && i < SAID; i++) {
        buf_printf(&names, "%s%.100s", i == 0 ? "" : ", ", x->rq.files[i].part);
    }
    (void)problem_set(
        &x->problem, ERR_MEMBER_INVALID, "the form has no part job, which holds the JSON%s%s%s",
        len == 0 ? "" : "; its parts are: ", buf_text(&names), len > SAID ? ", ..." : "");
}

/* Checks a part of a form to /uploads. */
static bool may_be_upload(struct exchange *x, struct str name, bool is_file)
{
    const int n = name.n > 100 ? 100 : (int)name.n;
    if (!is_file) {
        return refuse_no_file(x, name);
    }
    return x->rq.files_len == 0 ||
           problem_set(&x->problem, ERR_MEMBER_INVALID,
                       "the part %.*s is a second file; one is taken at a time", n, name.p);
}

static bool part_begins(void *ctx, struct str name, bool is_file, struct str filename,
                        const char **ret_why)
{
    struct exchange *x = ctx;
    struct file_body *f = x->files;
    if (is_upload(x->rq.route)) {
        *ret_why = "";
        if (!may_be_upload(x, name, is_file)) {
            return false;
        }
        add_file(x)->part = mem_copy(name);
        return open_file(x, UINT64_MAX);
    }
    f->in_job = !f->has_job && str_is(name, "job");
    if (f->in_job) {
        f->has_job = true;
        return true;
    }
    if (str_is(name, "job") || has_part(&x->rq, name)) {
        const int n = name.n > 100 ? 100 : (int)name.n;
        *ret_why = "";
        return problem_set(&x->problem, ERR_MEMBER_INVALID,
                           "two parts are named %.*s; each has a name of its own", n, name.p);
    }
    if (x->rq.files_len == FILES_MOST) {
        *ret_why = "there may be 64 files at most";
        return false;
    }
    f->may_be_name = !is_file; /* curl -F pic=cat.png sends these letters */
    buf_clear(&f->head);
    struct http_file *file = add_file(x);
    file->part = mem_copy(name);
    file->filename = is_file ? mem_copy(filename) : NULL;
    *ret_why = "";
    return open_file(x, UINT64_MAX);
}

static void keep_head(struct file_body *f, const char *bytes, size_t n)
{
    f->may_be_name = f->may_be_name && f->head.len + n < FILE_NAME_MOST;
    if (f->may_be_name) {
        buf_add(&f->head, bytes, n);
    }
}

static void part_data(void *ctx, const char *bytes, size_t n)
{
    struct exchange *x = ctx;
    struct file_body *f = x->files;
    if (f->in_job) {
        exchange_collect(x, bytes, n);
    } else if (f->open != NULL) {
        f->come += n;
        keep_head(f, bytes, n);
        x->paused = !x->family->files->write(f->open, bytes, n);
    }
}

static void refuse_empty(struct exchange *x)
{
    const char *part = x->rq.files[x->rq.files_len - 1].part;
    char why[160] = "the body is empty; the file is the body (curl --data-binary @FILE), or the "
                    "one part of a form (curl -F file=@FILE)";
    if (part != NULL) {
        (void)snprintf(why, sizeof why, "the part %.100s is empty", part);
    }
    give_up(x, ERR_UPLOAD_EMPTY, why);
}

static void refuse_name(struct exchange *x)
{
    const char *part = x->rq.files[x->rq.files_len - 1].part;
    if (part != NULL) {
        (void)!refuse_no_file(x, str_of(part));
    }
    give_up(x, ERR_MEMBER_INVALID,
            "this is the name of a file: curl sends what is in it with an @ before the name, "
            "--data-binary @FILE; if the name is what you mean, send Content-Type: text/plain");
}

static void part_ends(void *ctx)
{
    struct exchange *x = ctx;
    struct file_body *f = x->files;
    f->in_job = false;
    if (f->open != NULL && f->come == 0) {
        refuse_empty(x);
    } else if (f->open != NULL && f->may_be_name && sniff_is_file_name(buf_str(&f->head))) {
        refuse_name(x);
    } else if (f->open != NULL) {
        void *file = f->open;
        f->open = NULL;
        f->pending++;
        x->family->files->end(file);
    }
}

static const struct multipart_ops part_ops = {part_begins, part_data, part_ends};

/* ---- the body -------------------------------------------------------------------------------- */

bool file_body_begin(struct exchange *x)
{
    const struct http_family *family = x->family;
    const bool asks = headers_expect_continue(&x->headers);
    x->rq.had_file = is_upload(x->rq.route) && family->files->has(family->ctx, &x->rq);
    if (x->rq.had_file && asks) {
        return false;
    }
    struct file_body *f = mem_zero(1, sizeof *f);
    f->exchange = x;
    x->files = f;
    buf_init(&f->head, FILE_NAME_MOST);
    f->may_be_name = (x->rq.route->flags & HTTP_MAY_BE_NAME) != 0 && headers_say_form(&x->headers);
    if (is_upload(x->rq.route) && !is_multipart(x)) {
        (void)add_file(x);
        (void)open_file(x, headers_body_length(&x->headers));
    } else {
        f->parts = multipart_new(headers_first(&x->headers, HEADER_CONTENT_TYPE), &part_ops, x);
        if (f->parts == NULL) {
            (void)problem_set(&x->problem, ERR_MEDIA_TYPE_UNSUPPORTED,
                              "multipart/form-data needs a boundary");
        }
    }
    if (x->problem.code != ERR_NONE && asks) {
        x->problem.close = true; /* the client does not send the body */
    }
    return true;
}

bool file_body_feed(struct exchange *x, const char *bytes, size_t n)
{
    struct file_body *f = x->files;
    const char *why = "";
    x->paused = false;
    if (f->parts == NULL) {
        part_data(x, bytes, n);
    } else if (!multipart_feed(f->parts, bytes, n, &why) && x->problem.code == ERR_NONE) {
        give_up(x, ERR_MEMBER_INVALID, why);
    }
    const bool goes_on = !x->paused || x->problem.code != ERR_NONE;
    x->paused = !goes_on;
    return goes_on;
}

bool file_body_end(struct exchange *x)
{
    struct file_body *f = x->files;
    if (!f->ended) {
        f->ended = true;
        conn_body(x->conn);
        if (f->parts == NULL) {
            part_ends(x);
        } else if (!multipart_is_whole(f->parts)) {
            give_up(x, ERR_MEMBER_INVALID, "the multipart body has no end");
        } else if (is_upload(x->rq.route)) {
            if (x->rq.files_len == 0) {
                give_up(x, ERR_MEMBER_INVALID,
                        "the form has no file; curl -F file=@FILE sends one");
            }
        } else if (!f->has_job) {
            refuse_jobless(x);
        }
    }
    return f->pending == 0 || x->problem.code != ERR_NONE;
}

void file_body_refused(struct exchange *x)
{
    if (x->files != NULL) {
        x->family->files->refused(x->family->ctx, &x->rq, x->ref);
    }
}

void file_body_free(struct exchange *x)
{
    struct file_body *f = x->files;
    if (f != NULL) {
        if (f->open != NULL) {
            x->family->files->abort(f->open);
        }
        multipart_free(f->parts);
        buf_done(&f->head);
        free(f);
        x->files = NULL;
    }
    for (size_t i = 0; i < x->rq.files_len; i++) {
        free(x->rq.files[i].part);
        free(x->rq.files[i].filename);
    }
    free(x->rq.files);
}

/* ---- the other side -------------------------------------------------------------------------- */

void http_file_resume(struct http_server *s, struct http_ref ref)
{
    struct exchange *x = exchange_find(s, ref);
    if (x != NULL && x->paused) {
        x->paused = false;
        exchange_resume(x);
    }
}

void http_file_done(struct http_server *s, struct http_ref ref, size_t index, enum err e,
                    const char *why, const char *sha256, uint64_t size)
{
    struct exchange *x = exchange_find(s, ref);
    struct file_body *f = x == NULL ? NULL : x->files;
    if (f == NULL) {
        return;
    }
    const bool was_open = f->open != NULL && index + 1 == x->rq.files_len;
    if (was_open) {
        f->open = NULL; /* failed while receiving */
    } else {
        f->pending--;
    }
    if (e != ERR_NONE) {
        refuse(x, e, why);
    }
    (void)snprintf(x->rq.files[index].sha256, DIGEST_HEX_SIZE, "%s", sha256);
    x->rq.files[index].size = size;
    if (x->suspended && (f->pending == 0 || x->problem.code != ERR_NONE)) {
        x->paused = false;
        exchange_resume(x);
    }
}
