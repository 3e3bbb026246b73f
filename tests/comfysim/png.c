/*
 * PNG files. See png.h.
 *
 * Signature, IHDR, one IDAT, IEND. The pixels are a gradient with noise, in blocks that are stored
 * rather than compressed: a file costs little time and has the size that its pixels say.
 */
#include "png.h"

#include <stdlib.h>
#include <zlib.h>

enum { COLOURS = 3, BITS = 8, TYPE_RGB = 2 };

static void put_u32(unsigned char bytes[4], uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        bytes[i] = (unsigned char)(value >> (24 - 8 * i));
    }
}

static void add_chunk(struct text *out, const char *type, const unsigned char *data, size_t len)
{
    unsigned char number[4];
    put_u32(number, (uint32_t)len);
    text_add(out, (const char *)number, sizeof(number));
    const size_t at = out->len;
    text_add(out, type, 4);
    text_add(out, (const char *)data, len);
    /* Of type and data. */
    put_u32(number, (uint32_t)crc32(0, (const Bytef *)out->data + at, (uInt)(len + 4)));
    text_add(out, (const char *)number, sizeof(number));
}

/* Rows of pixels, each behind its filter byte (0: none). */
static unsigned char *make_rows(uint32_t width, uint32_t height, uint64_t seed)
{
    unsigned char *rows = sim_alloc((size_t)height * (1 + (size_t)width * COLOURS));
    unsigned char *at = rows;
    const uint32_t tint = (uint32_t)(seed >> 40);
    for (uint32_t y = 0; y < height; y++) {
        *at++ = 0;
        for (uint32_t x = 0; x < width; x++) {
            seed = seed * 6364136223846793005U + 1442695040888963407U;
            const uint32_t noise = (uint32_t)(seed >> 58);
            *at++ = (unsigned char)(x * 192 / width + noise);
            *at++ = (unsigned char)(y * 192 / height + noise);
            *at++ = (unsigned char)((tint & 191) + noise);
        }
    }
    return rows;
}

void png_add(struct text *out, uint32_t width, uint32_t height, uint64_t seed)
{
    unsigned char head[13] = {[8] = BITS, [9] = TYPE_RGB};
    put_u32(head, width);
    put_u32(head + 4, height);
    const size_t len = (size_t)height * (1 + (size_t)width * COLOURS);
    unsigned char *rows = make_rows(width, height, seed);
    uLongf packed_len = compressBound((uLong)len);
    unsigned char *packed = sim_alloc(packed_len);
    (void)compress2(packed, &packed_len, rows, (uLong)len, Z_NO_COMPRESSION); /* there is room */
    TEXT_LIT(out, "\x89PNG\r\n\x1a\n");
    add_chunk(out, "IHDR", head, sizeof(head));
    add_chunk(out, "IDAT", packed, packed_len);
    add_chunk(out, "IEND", (const unsigned char *)"", 0);
    free(packed);
    free(rows);
}
