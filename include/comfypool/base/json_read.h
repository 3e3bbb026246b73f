/*
 * A pull reader of JSON text that allocates nothing: it hands out tokens as offsets into the text,
 * so that numbers keep every digit and whatever the daemon does not understand is passed on
 * verbatim. One reader, two manners:
 *   strict    what clients send: RFC 8259, valid UTF-8, bounded depth (json_check adds: no
 *             duplicate members);
 *   lenient   what backends send: also NaN, Infinity, -Infinity, raw control characters and bytes
 *             that are no UTF-8 inside strings. Lone surrogates are text in both manners and are
 *             decoded as U+FFFD.
 * Cost: one pass, O(length); runs of plain string bytes are skipped eight at a time.
 */
#ifndef COMFYPOOL_BASE_JSON_READ_H
#define COMFYPOOL_BASE_JSON_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/str.h"

enum json_kind {
    JSON_END, /* behind the whole value */
    JSON_ERROR,
    JSON_OBJECT,     /* { */
    JSON_OBJECT_END, /* } */
    JSON_ARRAY,      /* [ */
    JSON_ARRAY_END,  /* ] */
    JSON_KEY,        /* a member's name; its value follows */
    JSON_STRING,
    JSON_NUMBER, /* lenient: also NaN, Infinity, -Infinity */
    JSON_TRUE,
    JSON_FALSE,
    JSON_NULL,
};

struct json_token {
    enum json_kind kind;
    bool escaped;    /* a string or key that holds a backslash */
    struct str text; /* keys and strings: between the quotes; else the token itself */
};

enum { JSON_MAX_DEPTH = 512 };

struct json_reader {
    const char *start;
    const char *at;
    const char *end;
    const char *why; /* set with JSON_ERROR: what is wrong, for people; static */
    unsigned depth;
    unsigned max_depth;
    bool lenient;
    unsigned char expect;                        /* internal */
    unsigned char is_object[JSON_MAX_DEPTH / 8]; /* internal: one bit a level */
};

/* max_depth: arrays and objects inside each other, at most JSON_MAX_DEPTH. */
void json_read_strict(struct json_reader *r, struct str text, unsigned max_depth);
void json_read_lenient(struct json_reader *r, struct str text, unsigned max_depth);

/* The same from inside an object, as if its brace had just been read: members follow, then the
   brace, then JSON_END is not looked for (see json_offset). */
void json_read_members(struct json_reader *r, struct str text, unsigned max_depth);

/* The next token. After JSON_END and JSON_ERROR it stays there. */
struct json_token json_next(struct json_reader *r);

/*
 * Reads the next value whole and returns its text, outer blanks excluded; n == 0 on an error or
 * when no value follows (the end of an array or object is then read).
 */
struct str json_skip(struct json_reader *r);
/* The same where `first` was read already. */
struct str json_rest(struct json_reader *r, struct json_token first);

/* Byte offset of the reader, for messages. */
static inline size_t json_offset(const struct json_reader *r)
{
    return (size_t)(r->at - r->start);
}

/*
 * The text of a string or key token without escapes, as valid UTF-8 (U+FFFD where it is none).
 * Borrowed from the reader's text when nothing had to change, else from scratch (appended).
 */
struct str json_text(struct json_token t, struct buf *scratch);
/* True when a string or key is exactly this text; decodes on the fly, allocates nothing. */
bool json_is(struct json_token t, const char *c_string);

/* The number as a double (NaN for NaN, infinite when too large); false when t is no number. */
bool json_double(struct json_token t, double *ret);
/* True when t is a number written as an integer that fits. */
bool json_int(struct json_token t, int64_t *ret);

/*
 * Checks a whole text as clients must send it: strict, nothing behind the value, depth, and no
 * duplicate member names (compared unescaped). On false says where and why.
 * Cost: O(length) expected; allocates for the names of open objects.
 */
bool json_check(struct str text, unsigned max_depth, size_t *ret_offset, const char **ret_why);

#endif
