/* See png_reader.h. */
#include "png_reader.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { CHUNK_HEAD = 8, CHUNK_END = 4, HEADER = 13, FILTERS = 5, MOST_PIXELS = 1 << 26 };

struct reader {
    const unsigned char *at, *end;
    uint32_t width, height;
};

struct chunk {
    const unsigned char *data;
    uint32_t len;
    char type[5];
};

static uint32_t get_u32(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static bool next_chunk(struct reader *r, struct chunk *chunk)
{
    const size_t left = (size_t)(r->end - r->at);
    if (left < CHUNK_HEAD + CHUNK_END) {
        return false;
    }
    chunk->len = get_u32(r->at);
    if (chunk->len > left - CHUNK_HEAD - CHUNK_END) {
        return false;
    }
    memcpy(chunk->type, r->at + 4, 4);
    chunk->type[4] = '\0';
    chunk->data = r->at + CHUNK_HEAD;
    const uLong sum = crc32(0, r->at + 4, chunk->len + 4);
    r->at = chunk->data + chunk->len + CHUNK_END;
    return sum == get_u32(chunk->data + chunk->len);
}

static bool read_header(struct reader *r)
{
    static const unsigned char rgb[] = {8, 2, 0, 0, 0}; /* bits, colours, the only methods */
    struct chunk head;
    if (!next_chunk(r, &head) || strcmp(head.type, "IHDR") != 0 || head.len != HEADER ||
        memcmp(head.data + 8, rgb, sizeof(rgb)) != 0) {
        return false;
    }
    r->width = get_u32(head.data);
    r->height = get_u32(head.data + 4);
    return r->width > 0 && r->height > 0 && r->height <= MOST_PIXELS / r->width;
}

static bool pixels_are_good(const struct reader *r, const struct chunk *data)
{
    const size_t row = 1 + (size_t)r->width * 3;
    const uLong size = (uLong)(row * r->height);
    uLongf got = size + 1;
    uLong used = data->len;
    unsigned char *rows = malloc(got);
    bool good = rows && uncompress2(rows, &got, data->data, &used) == Z_OK && got == size &&
                used == data->len;
    for (uint32_t y = 0; good && y < r->height; y++) {
        good = rows[y * row] < FILTERS;
    }
    free(rows);
    return good;
}

bool png_is_whole(const char *bytes, size_t len, uint32_t *ret_width, uint32_t *ret_height)
{
    static const char signature[] = "\x89PNG\r\n\x1a\n";
    const size_t n = sizeof(signature) - 1;
    const unsigned char *start = (const unsigned char *)bytes;
    if (len < n || memcmp(bytes, signature, n) != 0) {
        return false;
    }
    struct reader r = {.at = start + n, .end = start + len};
    struct chunk data;
    struct chunk last;
    if (!read_header(&r) || !next_chunk(&r, &data) || strcmp(data.type, "IDAT") != 0 ||
        !pixels_are_good(&r, &data) || !next_chunk(&r, &last) || strcmp(last.type, "IEND") != 0 ||
        last.len != 0 || r.at != r.end) {
        return false;
    }
    *ret_width = r.width;
    *ret_height = r.height;
    return true;
}
