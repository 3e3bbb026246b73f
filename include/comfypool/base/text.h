/* Small helpers for texts from outside. Pure; each costs its bytes. */
#ifndef COMFYPOOL_BASE_TEXT_H
#define COMFYPOOL_BASE_TEXT_H

#include <stdbool.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/err.h"
#include "comfypool/base/str.h"

/* Appends s with its %xx decoded (and + as a blank, in queries). False when an escape is broken or
   the result has a NUL or is no UTF-8. */
bool text_unescape(struct str s, bool plus, struct buf *out) MUST_CHECK;
/* Cuts the part before the first `separator` off *rest; false when nothing is left. A separator
   inside "..." does not count. */
bool text_cut(struct str *rest, char separator, struct str *ret) MUST_CHECK;
struct str text_trim(struct str s);
bool text_same_word(struct str a, const char *word); /* without regard to case */
/* True for a backend's name: printable ASCII without blanks, quotes and backslashes; a backend
   without a name is called by its URL. Not . and .., which clients resolve in paths. */
enum { TEXT_NAME_MOST = 100 };
bool text_is_name(struct str s);
bool text_is_plain(struct str s); /* no control characters */
bool text_is_hex(struct str s);   /* lowercase hex digits */

#endif
