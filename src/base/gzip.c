/* Inflating; see the header. */
#include "comfypool/base/gzip.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* 15 bits of window, and a gzip header alone. */
enum { GZIP_ONLY = 15 + 16 };

struct gunzip {
    z_stream z;
    struct buf in; /* unused input, from `at` on */
    size_t at;
    bool begun; /* inside a member */
    bool ended; /* a member has ended */
    const char *why;
};

struct gunzip *gunzip_new(void)
{
    struct gunzip *g = mem_zero(1, sizeof *g);
    buf_init(&g->in, BUF_NO_LIMIT);
    if (inflateInit2(&g->z, GZIP_ONLY) != Z_OK) {
        abort(); /* out of memory, as elsewhere */
    }
    return g;
}

void gunzip_free(struct gunzip *g)
{
    if (g != NULL) {
        (void)inflateEnd(&g->z);
        buf_done(&g->in);
        free(g);
    }
}

void gunzip_feed(struct gunzip *g, const void *bytes, size_t n)
{
    if (g->at == g->in.len) {
        buf_clear(&g->in);
        g->at = 0;
    }
    buf_add(&g->in, bytes, n);
}

static const char *broken(const struct gunzip *g)
{
    return g->ended && !g->begun ? "something that is no gzip follows the end of gzip"
                                 : "it is no gzip, or damaged";
}

/* Calls zlib once and appends its output. */
static int inflate_once(struct gunzip *g, size_t most, struct buf *out)
{
    const size_t left = g->in.len - g->at;
    char *to = buf_reserve(out, most);
    if (to == NULL) {
        return Z_MEM_ERROR;
    }
    g->z.next_in = (unsigned char *)g->in.data + g->at;
    g->z.avail_in = left > UINT_MAX ? UINT_MAX : (unsigned)left;
    g->z.next_out = (unsigned char *)to;
    g->z.avail_out = most > UINT_MAX ? UINT_MAX : (unsigned)most;
    const int rc = inflate(&g->z, Z_NO_FLUSH);
    g->at = (size_t)((const char *)g->z.next_in - g->in.data);
    out->len += (size_t)((const char *)g->z.next_out - to);
    return rc;
}

enum gunzip_step gunzip_step(struct gunzip *g, size_t most, struct buf *out, const char **ret_why)
{
    if (g->why != NULL) {
        *ret_why = g->why;
        return GUNZIP_BROKEN;
    }
    if (g->at == g->in.len && !g->begun) {
        return GUNZIP_HUNGRY;
    }
    const size_t before = out->len;
    const size_t left = g->in.len - g->at;
    const bool fresh = !g->begun;
    g->begun = true;
    const int rc = inflate_once(g, most, out);
    if (rc == Z_STREAM_END) {
        g->begun = false;
        g->ended = true;
        (void)inflateReset(&g->z);
        return g->at < g->in.len ? GUNZIP_MORE : GUNZIP_HUNGRY;
    }
    if (rc != Z_OK && rc != Z_BUF_ERROR) {
        g->begun = !fresh;
        *ret_why = g->why = broken(g);
        return GUNZIP_BROKEN;
    }
    /* Z_BUF_ERROR: no progress possible. Output may still be held when `most` bytes were
       written. */
    const bool full = out->len - before == most;
    const bool moved = full || g->in.len - g->at < left;
    return full || (moved && g->at < g->in.len) ? GUNZIP_MORE : GUNZIP_HUNGRY;
}

bool gunzip_is_whole(const struct gunzip *g)
{
    return g->why == NULL && g->ended && !g->begun && g->at == g->in.len;
}
