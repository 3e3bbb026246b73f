/*
 * A file of ours as an answer: read by libuv's pool, a block at a time, as fast as the client takes
 * it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "inner.h"

enum { BLOCK = 128 << 10 };

struct sending {
    struct pool *pool;
    uv_fs_t read;
    struct http_ref x;
    int fd;
    uint64_t at;
    bool busy; /* libuv has it */
    bool gone; /* nobody wants it any more */
    bool full; /* the client does not take more */
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
    if (s->gone || s->pool->server == NULL) {
        sending_free(s);
        return;
    }
    if (n <= 0) { /* the end, or a disk that fails */
        struct http_server *server = s->pool->server;
        const struct http_ref x = s->x;
        sending_free(s);
        http_stream_end(server, x, n == 0);
        return;
    }
    s->at += (uint64_t)n;
    s->full = !http_stream_write(s->pool->server, s->x, s->block, (size_t)n);
    if (!s->full) {
        read_on(s);
    }
}

static void read_on(struct sending *s)
{
    const uv_buf_t to = uv_buf_init(s->block, BLOCK);
    s->busy = true;
    s->read.data = s;
    if (uv_fs_read(s->pool->loop, &s->read, s->fd, &to, 1, (int64_t)s->at, block_read) != 0) {
        abort(); /* it has no other failure than a missing callback */
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

void file_answer(struct pool *p, struct http_ref x, int fd, uint64_t size, const char *type,
                 const char *name)
{
    struct http_answer a = http_answer_new(200);
    a.content_type = type;
    if (name != NULL) {
        (void)snprintf(a.filename, sizeof a.filename, "%s", name);
    }
    struct sending *s = mem_alloc(sizeof *s);
    *s = (struct sending){.pool = p, .x = x, .fd = fd};
    if (http_stream_begin(p->server, x, &a, (int64_t)size, &ops, s)) {
        read_on(s);
    } else {
        sending_free(s);
    }
}
