/*
 * A growable byte buffer with a maximum from birth: what a peer feeds cannot grow without bound.
 * Reaching the maximum is remembered (`overflow`) and later appends are ignored, so that a writer
 * checks once at the end. One spare byte behind the content is always there for a terminator.
 */
#ifndef COMFYPOOL_BASE_BUF_H
#define COMFYPOOL_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/str.h"

struct buf {
    char *data;
    size_t len;
    size_t cap;
    size_t max;
    bool overflow;
};

#define BUF_NO_LIMIT ((size_t)1 << 40)

void buf_init(struct buf *b, size_t max);
void buf_done(struct buf *b);
#define AUTO_BUF __attribute__((cleanup(buf_done)))

/* Makes it empty and keeps the memory. */
void buf_clear(struct buf *b);

/* Room for n more bytes at data + len; NULL (and overflow) when the maximum forbids it. */
char *buf_reserve(struct buf *b, size_t n);

void buf_add(struct buf *b, const void *bytes, size_t n);
void buf_add_str(struct buf *b, struct str s);
void buf_add_text(struct buf *b, const char *c_string);
void buf_add_char(struct buf *b, char c);
/* In decimal. */
void buf_add_uint(struct buf *b, uint64_t v);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Writes a terminator behind the content and returns it. Lives until the next change. */
char *buf_text(struct buf *b);
/* Hands the content out, terminated; the buffer is empty after. Owner: the caller. */
char *buf_take(struct buf *b);

static inline struct str buf_str(const struct buf *b)
{
    return (struct str){b->data, b->len};
}

#endif
