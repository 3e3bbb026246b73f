/*
 * A pull reader of JSON text that allocates nothing: it hands out tokens as offsets into the text,
 * so that numbers keep every digit and whatever the daemon does not understand is passed on
 * verbatim. One reader, two manners:
 *   strict    what clients send: RFC 8259, valid UTF-8, bounded depth (js_check adds: no
 *             duplicate members);
 *   lenient   what backends send: also NaN, Infinity, -Infinity, raw control characters and bytes
 *             that are no UTF-8 inside strings. Lone surrogates are text in both manners and are
 *             decoded as U+FFFD.
 * Cost: one pass, O(length); runs of plain string bytes are skipped eight at a time. Of a checked
 * text, skipping costs a fifth of that.
 */
#ifndef COMFYPOOL_BASE_JSON_READ_H
#define COMFYPOOL_BASE_JSON_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/str.h"

enum js_kind {
    JS_END, /* behind the whole value */
    JS_ERROR,
    JS_OBJECT,     /* { */
    JS_OBJECT_END, /* } */
    JS_ARRAY,      /* [ */
    JS_ARRAY_END,  /* ] */
    JS_KEY,        /* a member's name; its value follows */
    JS_STRING,
    JS_NUMBER, /* lenient: also NaN, Infinity, -Infinity */
    JS_TRUE,
    JS_FALSE,
    JS_NULL,
};

struct js_token {
    enum js_kind kind;
    bool escaped;    /* a string or key that holds a backslash */
    struct str text; /* keys and strings: between the quotes; else the token itself */
};

enum { JS_MAX_DEPTH = 512 };

struct js_reader {
    const char *start;
    const char *at;
    const char *end;
    const char *why; /* set with JS_ERROR: what is wrong, for people; static */
    unsigned depth;
    unsigned max_depth;
    bool lenient;
    bool checked;
    unsigned char expect;                      /* internal */
    unsigned char is_object[JS_MAX_DEPTH / 8]; /* internal: one bit a level */
};

/* max_depth: arrays and objects inside each other, at most JS_MAX_DEPTH. */
void js_read_strict(struct js_reader *r, struct str text, unsigned max_depth);
void js_read_lenient(struct js_reader *r, struct str text, unsigned max_depth);

/* Reads a text that js_check has accepted: js_skip and js_rest do not check again. */
void js_read_checked(struct js_reader *r, struct str text);

/* Reads strictly from inside an object, as if its brace had just been read: members follow, then
   the brace; JS_END is not looked for (see js_offset). */
void js_read_members(struct js_reader *r, struct str text, unsigned max_depth);

/* The next token. After JS_END and JS_ERROR it stays there. */
struct js_token js_next(struct js_reader *r);

/*
 * Reads the next value whole and returns its text, outer blanks excluded; n == 0 on an error or
 * when no value follows (the end of an array or object is then read).
 */
struct str js_skip(struct js_reader *r);
/* Like js_skip, with the first token `first` already read. */
struct str js_rest(struct js_reader *r, struct js_token first);

/* Byte offset of the reader, for messages. */
static inline size_t js_offset(const struct js_reader *r)
{
    return (size_t)(r->at - r->start);
}

/*
 * The text of a string or key token without escapes, as valid UTF-8 (U+FFFD where it is none).
 * Borrowed from the reader's text when nothing had to change, else from scratch (appended).
 */
struct str js_text(struct js_token t, struct buf *scratch);
/* True when a string or key is exactly this text; decodes on the fly, allocates nothing. */
bool js_is(struct js_token t, const char *c_string);

/* The number as a double (NaN for NaN, infinite when too large); false when t is no number. */
bool js_double(struct js_token t, double *ret);
/* True when t is a number written as an integer that fits. */
bool js_int(struct js_token t, int64_t *ret);

/*
 * Checks a whole text as clients must send it: strict, nothing behind the value, depth, and no
 * duplicate member names (compared unescaped). On false says where and why.
 * Cost: O(length) expected; allocates for the names of open objects.
 */
bool js_check(struct str text, unsigned max_depth, size_t *ret_offset, const char **ret_why);

/* Counts the bytes at the beginning of s that need no escape in a JSON string: ASCII without
   controls, quotes and backslashes. */
size_t js_plain_length(struct str s);

#endif
