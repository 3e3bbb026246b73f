/*
 * Writes JSON text into a buffer: commas and escapes are its business, nesting is the caller's.
 * Raw fragments (a client's metadata, a backend's outputs) are put in verbatim with json_raw, or
 * made valid first with json_clean. Docs: docs/decisions/0005-json-text.md says why not a tree.
 */
#ifndef COMFYPOOL_BASE_JSON_WRITE_H
#define COMFYPOOL_BASE_JSON_WRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/str.h"

struct json_out {
    struct buf *buf;
    bool comma; /* a comma is due before the next member or element */
};

static inline struct json_out json_out_to(struct buf *b)
{
    return (struct json_out){.buf = b};
}

void json_open(struct json_out *o, char bracket);  /* '{' or '[' */
void json_close(struct json_out *o, char bracket); /* '}' or ']' */

/* A member's name; a value must follow. */
void json_key(struct json_out *o, const char *name);
void json_key_str(struct json_out *o, struct str name);

/* Invalid UTF-8 is written as U+FFFD. */
void json_str(struct json_out *o, struct str value);
void json_string(struct json_out *o, const char *value);
void json_integer(struct json_out *o, int64_t value);
void json_bool(struct json_out *o, bool value);
void json_null(struct json_out *o);
/* Microseconds as milliseconds with up to three decimals: 1500 is 1.5. */
void json_ms(struct json_out *o, int64_t us);
/* A double: whole ones as integers, else nine significant digits; null when it is not finite. */
void json_real(struct json_out *o, double value);
/* Valid JSON text of one value, verbatim. */
void json_raw(struct json_out *o, struct str value);

/* Member in one call. */
void json_member_str(struct json_out *o, const char *name, struct str value);
void json_member_string(struct json_out *o, const char *name, const char *value);
void json_member_int(struct json_out *o, const char *name, int64_t value);
void json_member_ms(struct json_out *o, const char *name, int64_t us);
void json_member_bool(struct json_out *o, const char *name, bool value);
void json_member_raw(struct json_out *o, const char *name, struct str value);

/*
 * Appends a backend's JSON value as valid JSON: NaN and infinities become null, lone surrogates
 * and broken UTF-8 become U+FFFD, control characters are escaped; numbers keep their digits and
 * members their order. Returns false and leaves `out` as it was when the text is beyond repair.
 */
bool json_clean(struct str value, struct buf *out);

#endif
