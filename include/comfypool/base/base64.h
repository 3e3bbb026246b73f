/* Base64 (RFC 4648, section 4), by libcrypto. */
#ifndef COMFYPOOL_BASE_BASE64_H
#define COMFYPOOL_BASE_BASE64_H

#include <stdbool.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/str.h"

/* Appends the text of some bytes, padded. */
void base64_write(struct buf *out, struct str bytes);
/* Appends the bytes of a text; false, and nothing appended, when it is not padded base64. */
bool base64_read(struct str text, struct buf *out);

#endif
