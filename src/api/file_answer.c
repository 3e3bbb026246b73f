/*
 * A file of ours as an answer: read by libuv's pool, a block at a time, as fast as the client takes
 * it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "args.h"
#include "bodies.h"
#include "inner.h"
#include "params.h"

enum { BLOCK = 128 << 10 };

struct sending {
    struct api *api;
    uv_fs_t read;
    struct http_ref request;
    int fd;
    uint64_t at;
    uint64_t end;
    bool busy; /* libuv uses it */
    bool gone; /* the client is gone */
    bool full; /* the client takes no more for now */
    bool failed;
    char block[BLOCK];
};

static void sending_free(struct sending *s)
{
    (void)close(s->fd);
    free(s);
}

static void read_on(struct sending *s);

static void block_read(uv_fs_t *req)
{
    struct sending *s = req->data;
    const ssize_t n = req->result;
    uv_fs_req_cleanup(req);
    s->busy = false;
    if (s->gone || s->api->http == NULL) {
        sending_free(s);
        return;
    }
    if (n <= 0) { /* the end, a failing disk, or a truncated file */
        struct http_server *server = s->api->http;
        const struct http_ref x = s->request;
        const bool whole = s->at == s->end;
        sending_free(s);
        http_stream_end(server, x, whole);
        return;
    }
    s->at += (uint64_t)n;
    s->full = !http_stream_write(s->api->http, s->request, s->block, (size_t)n);
    if (!s->full) {
        read_on(s);
    }
}

static void read_on(struct sending *s)
{
    const uint64_t left = s->end - s->at;
    const uv_buf_t to = uv_buf_init(s->block, left < BLOCK ? (unsigned)left : BLOCK);
    s->busy = true;
    s->read.data = s;
    if (uv_fs_read(s->api->loop, &s->read, s->fd, &to, 1, (int64_t)s->at, block_read) != 0) {
        abort(); /* its only failure is a missing callback */
    }
}

static void drained(void *ctx)
{
    struct sending *s = ctx;
    s->full = false;
    if (!s->busy) {
        read_on(s);
    }
}

static void gone(void *ctx)
{
    struct sending *s = ctx;
    s->gone = true;
    if (!s->busy) {
        sending_free(s);
    }
}

static const struct http_stream_ops ops = {.drained = drained, .gone = gone};

void api_answer_file(struct api *a, const struct http_request *rq, struct http_ref x, int fd,
                     uint64_t size, const char *sha256, struct http_answer *answer)
{
    struct sending *s = mem_alloc(sizeof *s);
    *s = (struct sending){.api = a, .request = x, .fd = fd};
    uint64_t len = size;
    (void)snprintf(answer->given_etag, sizeof answer->given_etag, "\"%s\"", sha256);
    answer->ranges = true;
    const enum http_part part = http_part_of(rq, answer->given_etag, size, &s->at, &len);
    s->end = s->at + len;
    if (http_matches_etag(a->http, x, answer->given_etag)) {
        sending_free(s);
        answer->status = 304;
        http_answer(a->http, x, answer);
        return;
    }
    if (part == HTTP_NO_PART) {
        sending_free(s);
        (void)snprintf(answer->content_range, sizeof answer->content_range, "bytes */%" PRIu64,
                       size);
        http_problem_range(a->http, x, answer->content_range);
        buf_done(&answer->body);
        return;
    }
    if (part == HTTP_PART) {
        answer->status = 206;
        (void)snprintf(answer->content_range, sizeof answer->content_range,
                       "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, s->at, s->end - 1, size);
    }
    if (http_stream_begin(a->http, x, answer, (int64_t)len, &ops, s)) {
        read_on(s);
    } else {
        sending_free(s);
    }
}
