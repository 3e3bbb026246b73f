/* Compact encoding of numbers and texts for private use: varints, little-endian doubles. */
#ifndef COMFYPOOL_BASE_PACK_H
#define COMFYPOOL_BASE_PACK_H

#include <stdbool.h>
#include <stdint.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/str.h"

void pack_uint(struct buf *out, uint64_t value);
void pack_double(struct buf *out, double value);
void pack_text(struct buf *out, struct str text);

/* Each reads from the front of *from and advances it; false when input ends. A text is borrowed. */
bool unpack_uint(struct str *from, uint64_t *ret);
bool unpack_double(struct str *from, double *ret);
bool unpack_text(struct str *from, struct str *ret);

#endif
