/* A growable byte buffer with a maximum; see the header. Appending is amortised O(1) a byte. */
#include "comfypool/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_done(struct buf *b)
{
    free(b->data);
    *b = (struct buf){.max = b->max};
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->overflow = false;
}

char *buf_reserve(struct buf *b, size_t n)
{
    if (b->overflow || n > b->max || b->len > b->max - n) {
        b->overflow = true;
        return NULL;
    }
    const size_t need = b->len + n + 1;
    if (need > b->cap) {
        size_t cap = b->cap == 0 ? 64 : b->cap;
        while (cap < need) {
            cap *= 2;
        }
        b->data = mem_grow(b->data, cap);
        b->cap = cap;
    }
    return b->data + b->len;
}

void buf_add(struct buf *b, const void *bytes, size_t n)
{
    if (n == 0) {
        return;
    }
    char *at = buf_reserve(b, n);
    if (at != NULL) {
        memcpy(at, bytes, n);
        b->len += n;
    }
}

void buf_add_str(struct buf *b, struct str s)
{
    buf_add(b, s.p, s.n);
}

void buf_add_text(struct buf *b, const char *c_string)
{
    buf_add(b, c_string, strlen(c_string));
}

void buf_add_char(struct buf *b, char c)
{
    if (b->len + 1 < b->cap && b->len < b->max && !b->overflow) {
        b->data[b->len++] = c; /* the common case: no call */
        return;
    }
    buf_add(b, &c, 1);
}

void buf_add_uint(struct buf *b, uint64_t v)
{
    char field[20]; /* fits 2^64 - 1 */
    char *p = field + sizeof field;
    do {
        *--p = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    buf_add(b, p, (size_t)(field + sizeof field - p));
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    const int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n > 0) {
        char *at = buf_reserve(b, (size_t)n);
        if (at != NULL) {
            (void)vsnprintf(at, (size_t)n + 1, format, again);
            b->len += (size_t)n;
        }
    }
    va_end(again);
}

char *buf_text(struct buf *b)
{
    if (b->data == NULL) {
        b->data = mem_alloc(64);
        b->cap = 64;
    }
    b->data[b->len] = '\0';
    return b->data;
}

char *buf_take(struct buf *b)
{
    char *text = buf_text(b);
    b->data = NULL;
    b->len = b->cap = 0;
    return text;
}
