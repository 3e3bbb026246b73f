/*
 * JPEG files. See jpeg.h.
 *
 * Baseline, grey, 64 blocks. Two Huffman tables suffice: a block's mean is as that of the one
 * before (0) or differs by seven bits (10), and a block has nothing but its mean (0). The size that
 * is asked for is reached by comments before the end.
 */
#include "jpeg.h"

enum { COMMENT_MAX = 65535, SCAN_BYTES = 17 };

static void add_u32(struct text *t, uint32_t value)
{
    const char bytes[4] = {(char)(value >> 24), (char)(value >> 16), (char)(value >> 8),
                           (char)value};
    text_add(t, bytes, sizeof(bytes));
}

/* Its first block's mean, then 63 times the same: 1 + 1 + 7 + 1 + 63 * 2 bits, the rest is filling.
 */
static void add_scan(struct text *t, uint32_t number)
{
    unsigned char bits[SCAN_BYTES] = {0};
    const uint32_t shade = 64 + number * 5 % 64;  /* seven bits, the first is 1: above the middle */
    const uint32_t first = 2U << 14 | shade << 7; /* 10, seven bits, 0 */
    bits[0] = (unsigned char)(first >> 8);
    bits[1] = (unsigned char)first;
    text_add(t, (const char *)bits, sizeof(bits));
}

static void add_picture(struct text *t, uint32_t number)
{
    TEXT_LIT(t, "\xff\xdb\0\x43\0"); /* DQT: 64 of 8 bits */
    for (int i = 0; i < 64; i++) {
        TEXT_LIT(t, "\x08");
    }
    TEXT_LIT(t, "\xff\xc0\0\x0b\x08\0\x40\0\x40\1\1\x11\0");               /* SOF0 */
    TEXT_LIT(t, "\xff\xc4\0\x15\0\1\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x07"); /* DHT: 0, 10 */
    TEXT_LIT(t, "\xff\xc4\0\x14\x10\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");   /* DHT: 0 */
    TEXT_LIT(t, "\xff\xda\0\x08\1\1\0\0\x3f\0");                           /* SOS */
    add_scan(t, number);
}

/* Comments up to `end`; three bytes and less are fill bytes, of which a marker may have any. */
static void add_comments(struct text *t, size_t end, uint32_t number)
{
    while (t->len + 4 <= end) {
        const size_t left = end - t->len - 2;
        const size_t len = left < COMMENT_MAX ? left : COMMENT_MAX;
        const char head[4] = {'\xff', '\xfe', (char)(len >> 8), (char)len};
        text_add(t, head, sizeof(head));
        text_reserve(t, len);
        for (uint32_t i = 2; i < len; i++) {
            t->data[t->len++] = (char)((i + number) & 127);
        }
    }
    while (t->len < end) {
        TEXT_LIT(t, "\xff");
    }
}

void jpeg_add(struct text *out, size_t size, uint32_t number, uint32_t serial)
{
    const size_t start = out->len;
    const size_t end = start + size;
    TEXT_LIT(out, "\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0");
    TEXT_LIT(out, "\xff\xfe\0\x0a");
    add_u32(out, number);
    add_u32(out, serial);
    if (size >= JPEG_LEAST) {
        add_comments(out, end - (JPEG_LEAST - (out->len - start)), number);
        add_picture(out, number);
    } else {
        add_comments(out, end - 2, number);
    }
    TEXT_LIT(out, "\xff\xd9");
}
