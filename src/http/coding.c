/*
 * Compressed bodies (Content-Encoding: gzip): inflated as they come, a bounded piece in a turn of
 * the loop; the connection is suspended while more is left. The inflated size is bounded like any
 * other body.
 */
#include "coding.h"

#include "comfypool/base/gzip.h"
#include "comfypool/http/problem.h"

#include "body.h"
#include "exchange.h"
#include "file_body.h"
#include "headers.h"
#include "server.h"

/* Output per turn (some 5 ms), and per step. */
enum { SLICE = 1 << 20, PIECE = 64 << 10 };

bool coding_check(struct exchange *x)
{
    const bool file = file_body_is(x);
    struct problem *p = &x->problem;
    const enum coding c = headers_coding(&x->headers);
    if (c == CODING_NONE || (!file && !body_is_read(x->rq.route))) {
        return true;
    }
    if (c == CODING_GZIP && !file) {
        x->gunzip = gunzip_new();
        return true;
    }
    const struct str given = headers_first(&x->headers, HEADER_CONTENT_ENCODING);
    p->accept_encoding = file ? "identity" : "gzip, identity";
    p->close = headers_expect_continue(&x->headers); /* the client does not send the body */
    return problem_set(p, ERR_MEDIA_TYPE_UNSUPPORTED,
                       file ? "Content-Encoding: %.*s of files is not read; send them as they are"
                            : "Content-Encoding: %.*s is not read; gzip is, and none",
                       given.n > 40 ? 40 : (int)given.n, given.p);
}

static void broken(struct exchange *x, const char *why)
{
    coding_free(x);
    (void)problem_set(&x->problem, ERR_JSON_INVALID, "Content-Encoding: gzip: %s", why);
}

/* False: more to do. */
static bool inflate_slice(struct exchange *x)
{
    AUTO_BUF struct buf piece;
    buf_init(&piece, BUF_NO_LIMIT);
    const char *why = "";
    for (size_t made = 0; made < SLICE; made += piece.len) {
        buf_clear(&piece);
        const enum gunzip_step s = gunzip_step(x->gunzip, PIECE, &piece, &why);
        if (s == GUNZIP_BROKEN) {
            broken(x, why);
            return true;
        }
        exchange_collect(x, piece.data, piece.len);
        if (x->problem.code != ERR_NONE) {
            coding_free(x);
            return true;
        }
        if (s == GUNZIP_HUNGRY) {
            return true;
        }
        made += piece.len == 0 ? PIECE / 64 : 0; /* empty members cost time, too */
    }
    return false;
}

static void go_on(void *ctx)
{
    struct exchange *x = ctx;
    if (inflate_slice(x)) {
        exchange_resume(x);
    } else {
        deadline_set(&x->server->deadlines, &x->slice, time_mono(), go_on, x);
    }
}

bool coding_feed(struct exchange *x, const char *bytes, size_t n)
{
    gunzip_feed(x->gunzip, bytes, n);
    if (inflate_slice(x)) {
        return true;
    }
    deadline_set(&x->server->deadlines, &x->slice, time_mono(), go_on, x);
    return false;
}

void coding_end(struct exchange *x)
{
    if (x->gunzip != NULL && x->body_seen > 0 && !gunzip_is_whole(x->gunzip)) {
        broken(x, "it ends in the middle");
    }
    coding_free(x);
}

void coding_free(struct exchange *x)
{
    deadline_clear(&x->server->deadlines, &x->slice);
    gunzip_free(x->gunzip);
    x->gunzip = NULL;
}
