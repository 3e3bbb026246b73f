/*
 * Streamed answers: the producer pushes bytes into a buffer, libmicrohttpd pulls them out. While it
 * is empty the connection is suspended and watched; when it is full the producer is told to pause,
 * and told when half of it is gone. An exchange has at most one stream, which ends with it.
 */
#include "stream.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "comfypool/http/answer.h"
#include "comfypool/http/http.h"

#include "answer.h"
#include "exchange.h"
#include "long_poll.h"
#include "server.h"

enum { STREAM_FULL = 256 * 1024, STREAM_HALF = STREAM_FULL / 2, STREAM_BLOCK = 32 * 1024 };
enum { TOO_MANY_RETRY_S = 1 };

struct stream {
    struct exchange *exchange;
    const struct http_stream_ops *ops;
    void *ctx;
    struct buf data;
    size_t taken;          /* bytes of data pulled by libmicrohttpd */
    uint64_t taken_before; /* pulled bytes dropped from data */
    bool paused;           /* write returned false; drained is due */
    bool ended;            /* by the producer */
    bool cut;              /* the connection must not look complete */
};

static size_t left(const struct stream *st)
{
    return st->data.len - st->taken;
}

/* Frees pulled bytes without moving data each time. An idle stream holds no memory. */
static void compact(struct stream *st)
{
    if (st->taken == st->data.len && st->data.cap > STREAM_BLOCK) {
        buf_done(&st->data);
        buf_init(&st->data, BUF_NO_LIMIT);
    } else if (st->taken == st->data.len) {
        buf_clear(&st->data);
    } else if (st->taken >= STREAM_HALF && st->taken >= left(st)) { /* amortised O(1) a byte */
        memmove(st->data.data, st->data.data + st->taken, left(st));
        st->data.len -= st->taken;
    } else {
        return;
    }
    st->taken_before += st->taken;
    st->taken = 0;
}

static void tell_drained(struct stream *st)
{
    if (st->paused && !st->ended && left(st) <= STREAM_HALF) {
        st->paused = false;
        if (st->ops->drained != NULL) {
            st->ops->drained(st->ctx);
        }
    }
}

/*
 * Ends a cut stream. MHD_CONTENT_READER_END_WITH_ERROR would close the connection, but 0.9.75 then
 * forgets to free it until its idle timeout if it was suspended before (an open descriptor each
 * time). A failed send does both: so the socket is shut down, and the one byte returned is never
 * sent.
 */
static ssize_t end_it(const struct stream *st, char *out)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(st->exchange->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info == NULL) {
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    (void)shutdown(info->connect_fd, SHUT_RDWR); /* fails after a reset, which is as good */
    *out = '\0';
    return 1;
}

/* Hands bytes to libmicrohttpd. */
static ssize_t pull(void *ctx, uint64_t at, char *out, size_t max)
{
    (void)at;
    struct stream *st = ctx;
    if (!st->cut && left(st) == 0) {
        tell_drained(st);
    }
    if (st->cut) {
        return end_it(st, out);
    }
    const size_t n = left(st) < max ? left(st) : max;
    if (n == 0 && st->ended) {
        return MHD_CONTENT_READER_END_OF_STREAM;
    }
    if (n == 0) {
        exchange_suspend(st->exchange);
        watch_begin(st->exchange);
        return 0;
    }
    memcpy(out, st->data.data + st->taken, n);
    st->taken += n;
    compact(st);
    tell_drained(st);
    if (left(st) == 0 && !st->ended && st->ops->empty != NULL) {
        st->ops->empty(st->ctx);
    }
    return (ssize_t)n;
}

/* Makes the response; chunked if its size is unknown, but not to HEAD: 0.9.75 would send the last
   chunk behind the headers. Without chunks such an answer ends with its connection. */
static struct MHD_Response *make_stream_response(struct stream *st, int64_t length)
{
    struct MHD_Response *r = MHD_create_response_from_callback(
        length < 0 ? MHD_SIZE_UNKNOWN : (uint64_t)length, STREAM_BLOCK, pull, st, NULL);
    if (length < 0 && st->exchange->rq.head) {
        (void)MHD_set_response_options(r, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
    }
    return r;
}

bool http_stream_begin(struct http_server *s, struct http_ref ref, struct http_answer *a,
                       int64_t length, const struct http_stream_ops *ops, void *ctx)
{
    buf_done(&a->body);
    struct exchange *x = exchange_find(s, ref);
    if (x == NULL) {
        return false;
    }
    if (s->streams >= s->options.max_streams) {
        http_problem_retry(s, ref, ERR_TOO_MANY_WAITS, "too many answers are streamed already",
                           TOO_MANY_RETRY_S);
        return false;
    }
    if (!exchange_is_still_let_in(x)) {
        return false;
    }
    s->streams++;
    struct stream *st = mem_zero(1, sizeof *st);
    st->exchange = x;
    st->ops = ops;
    st->ctx = ctx;
    buf_init(&st->data, BUF_NO_LIMIT);
    x->stream = st;
    struct MHD_Response *r = make_stream_response(st, length);
    exchange_answered(x, a->status == 0 ? MHD_HTTP_OK : a->status, answer_headers(x, r, a));
    return true;
}

/* Finds the stream of ref until its end, or NULL. Its client may have just hung up. */
static struct stream *find_open(struct http_server *s, struct http_ref ref)
{
    struct exchange *x = exchange_at(s, ref.slot);
    if (x == NULL || s->slots[ref.slot].generation != ref.generation || x->stream == NULL ||
        x->stream->ended) {
        return NULL;
    }
    return x->stream;
}

/* Like find_open, while the client is there. */
static struct stream *find(struct http_server *s, struct http_ref ref)
{
    struct stream *st = find_open(s, ref);
    return st == NULL || st->exchange->gone ? NULL : st;
}

/* Accepts and drops bytes for a client that is gone: drained would never come. */
bool http_stream_write(struct http_server *s, struct http_ref ref, const void *bytes, size_t n)
{
    struct stream *st = find(s, ref);
    if (st == NULL) {
        return true;
    }
    buf_add(&st->data, bytes, n);
    if (n > 0) {
        exchange_resume(st->exchange);
    }
    st->paused = left(st) >= STREAM_FULL;
    return !st->paused;
}

void http_stream_end(struct http_server *s, struct http_ref ref, bool whole)
{
    struct stream *st = find_open(s, ref);
    if (st != NULL) {
        st->ended = true; /* no `gone` callback, even if the client is */
        st->cut = st->cut || !whole;
        exchange_resume(st->exchange);
    }
}

bool http_stream_state(struct http_server *s, struct http_ref ref, size_t *ret_waiting,
                       uint64_t *ret_taken)
{
    const struct stream *st = find(s, ref);
    if (st != NULL) {
        *ret_waiting = left(st);
        *ret_taken = st->taken_before + st->taken;
    }
    return st != NULL;
}

/*
 * Drops a stream whose client may never read again, so that libmicrohttpd would wait for the
 * socket: shuts the socket down, and resets it on close, so that the kernel keeps nothing either.
 */
void http_stream_drop(struct http_server *s, struct http_ref ref)
{
    struct stream *st = find_open(s, ref);
    if (st == NULL) {
        return;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(st->exchange->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info != NULL) {
        const struct linger at_once = {.l_onoff = 1};
        (void)setsockopt(info->connect_fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        (void)shutdown(info->connect_fd, SHUT_RDWR);
    }
    st->ended = true;
    st->cut = true;
    buf_done(&st->data);
    buf_init(&st->data, BUF_NO_LIMIT);
    st->taken = 0;
    exchange_resume(st->exchange);
}

void stream_cut(struct stream *st)
{
    st->cut = true;
}

/* libmicrohttpd notices the shut socket even while waiting to send. */
void stream_shut(struct stream *st)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(st->exchange->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info != NULL) {
        (void)shutdown(info->connect_fd, SHUT_RDWR);
    }
    exchange_abandon(st->exchange);
}

void stream_free(struct stream *st)
{
    if (!st->ended && st->ops->gone != NULL) {
        st->ended = true;
        st->ops->gone(st->ctx);
    }
    st->exchange->server->streams--;
    buf_done(&st->data);
    free(st);
}
