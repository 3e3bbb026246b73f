/*
 * Inflates gzip (RFC 1952) piecewise, in output of a bounded size: one or several members, nothing
 * behind them. zlib checks each member's CRC and length. Pure. Cost: bytes in and bytes out.
 */
#ifndef COMFYPOOL_BASE_GZIP_H
#define COMFYPOOL_BASE_GZIP_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/buf.h"

struct gunzip;

/* Owner: the caller, until gunzip_free. */
struct gunzip *gunzip_new(void);
void gunzip_free(struct gunzip *g); /* or NULL */

/* Appends input, copied. */
void gunzip_feed(struct gunzip *g, const void *bytes, size_t n);

/*
 * Appends up to `most` bytes to out. A broken stream yields no more: *ret_why (static, for people)
 * says what is wrong.
 */
enum gunzip_step {
    GUNZIP_MORE,   /* there may be more without input: step again */
    GUNZIP_HUNGRY, /* all input was used */
    GUNZIP_BROKEN
};
enum gunzip_step gunzip_step(struct gunzip *g, size_t most, struct buf *out, const char **ret_why);

/* True when all input was used and it ends with a member's end. */
bool gunzip_is_whole(const struct gunzip *g);

#endif
