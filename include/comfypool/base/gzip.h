/*
 * What gzip (RFC 1952) holds, as its bytes come and in pieces of a bounded size: one or several
 * members, nothing behind them. zlib checks each member's CRC and length. Pure. Cost: what comes
 * in and what goes out.
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

/* More bytes, copied; those before them that were not used yet come first. */
void gunzip_feed(struct gunzip *g, const void *bytes, size_t n);

/*
 * Appends up to `most` bytes to out. Of a broken text nothing more comes: *ret_why (static, for
 * people) says what is wrong.
 */
enum gunzip_step {
    GUNZIP_MORE,   /* there may be more without another byte: step again */
    GUNZIP_HUNGRY, /* everything that came was used */
    GUNZIP_BROKEN
};
enum gunzip_step gunzip_step(struct gunzip *g, size_t most, struct buf *out, const char **ret_why);

/* Everything was used, and it ends with a member's end. */
bool gunzip_is_whole(const struct gunzip *g);

#endif
