/*
 * Writes JSON text into a buffer: commas and escapes are its business, nesting is the caller's.
 * Raw fragments (a client's metadata, a backend's outputs) are put in verbatim with js_raw, or
 * made valid first with js_clean. Docs: docs/decisions/0005-json-text.md says why not a tree.
 */
#ifndef COMFYPOOL_BASE_JSON_WRITE_H
#define COMFYPOOL_BASE_JSON_WRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/str.h"

struct js_out {
    struct buf *buf;
    bool comma; /* a comma is due before the next member or element */
};

static inline struct js_out js_out_to(struct buf *b)
{
    return (struct js_out){.buf = b};
}

void js_open(struct js_out *o, char bracket);  /* '{' or '[' */
void js_close(struct js_out *o, char bracket); /* '}' or ']' */

/* A member's name; a value must follow. */
void js_key(struct js_out *o, const char *name);
void js_key_str(struct js_out *o, struct str name);

/* Invalid UTF-8 is written as U+FFFD. */
void js_str(struct js_out *o, struct str value);
void js_string(struct js_out *o, const char *value);
void js_integer(struct js_out *o, int64_t value);
void js_bool(struct js_out *o, bool value);
void js_null(struct js_out *o);
/* Microseconds as milliseconds with up to three decimals: 1500 is 1.5. */
void js_ms(struct js_out *o, int64_t us);
/* A double: whole ones as integers, else nine significant digits; null when it is not finite. */
void js_real(struct js_out *o, double value);
/* Valid JSON text of one value, verbatim. */
void js_raw(struct js_out *o, struct str value);

/* Member in one call. */
void js_member_str(struct js_out *o, const char *name, struct str value);
void js_member_string(struct js_out *o, const char *name, const char *value);
void js_member_int(struct js_out *o, const char *name, int64_t value);
void js_member_ms(struct js_out *o, const char *name, int64_t us);
void js_member_bool(struct js_out *o, const char *name, bool value);
void js_member_raw(struct js_out *o, const char *name, struct str value);

/*
 * Appends a backend's JSON value as valid JSON: NaN and infinities become null, lone surrogates
 * and broken UTF-8 become U+FFFD, control characters are escaped; numbers keep their digits and
 * members their order. Returns false and leaves `out` as it was when the text is beyond repair.
 */
bool js_clean(struct str value, struct buf *out);

#endif
