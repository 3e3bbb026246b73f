/*
 * What may be gzip: the first byte says in how large pieces it comes and in how large ones it goes.
 * What it becomes, and whether it is whole, is the same as when it comes at once; no step makes
 * more than it may.
 */
#include "fuzz.h"

#include <stdlib.h>

#include "comfypool/base/gzip.h"

enum { MOST = 1 << 20 };

/* True when it is whole. */
static bool feed(const char *bytes, size_t size, size_t piece, size_t step, struct buf *out)
{
    struct gunzip *g = gunzip_new();
    const char *why = NULL;
    for (size_t at = 0; at < size && out->len < MOST; at += piece) {
        gunzip_feed(g, bytes + at, at + piece < size ? piece : size - at);
        enum gunzip_step s = GUNZIP_MORE;
        while (s == GUNZIP_MORE && out->len < MOST) {
            const size_t before = out->len;
            s = gunzip_step(g, step, out, &why);
            if (out->len - before > step || (s == GUNZIP_BROKEN && why == NULL)) {
                abort();
            }
        }
    }
    const bool whole = gunzip_is_whole(g);
    gunzip_free(g);
    return whole;
}

int fuzz_gzip(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    AUTO_BUF struct buf at_once;
    AUTO_BUF struct buf in_pieces;
    buf_init(&at_once, BUF_NO_LIMIT);
    buf_init(&in_pieces, BUF_NO_LIMIT);
    const char *body = (const char *)data + 1;
    const bool whole = feed(body, size - 1, size, 4096, &at_once);
    const bool again = feed(body, size - 1, 1 + data[0] % 16, 1 + data[0] / 16, &in_pieces);
    if (at_once.len < MOST && in_pieces.len < MOST &&
        (whole != again || (whole && !str_eq(buf_str(&at_once), buf_str(&in_pieces))))) {
        abort();
    }
    return 0;
}
