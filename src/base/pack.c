/* Packed numbers and texts; see the header. */
#include "comfypool/base/pack.h"

#include <string.h>

void pack_uint(struct buf *out, uint64_t value)
{
    while (value >= 0x80) {
        buf_add_char(out, (char)(value | 0x80));
        value >>= 7;
    }
    buf_add_char(out, (char)value);
}

void pack_double(struct buf *out, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    char bytes[8];
    for (int i = 0; i < 8; i++) {
        bytes[i] = (char)(bits >> (8 * i));
    }
    buf_add(out, bytes, sizeof bytes);
}

void pack_text(struct buf *out, struct str text)
{
    pack_uint(out, text.n);
    buf_add_str(out, text);
}

bool unpack_uint(struct str *from, uint64_t *ret)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < from->n && i < 10; i++) {
        const unsigned char byte = (unsigned char)from->p[i];
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if ((byte & 0x80) == 0) {
            *from = (struct str){from->p + i + 1, from->n - i - 1};
            *ret = value;
            return true;
        }
    }
    return false;
}

bool unpack_double(struct str *from, double *ret)
{
    if (from->n < 8) {
        return false;
    }
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++) {
        bits |= (uint64_t)(unsigned char)from->p[i] << (8 * i);
    }
    memcpy(ret, &bits, sizeof bits);
    *from = (struct str){from->p + 8, from->n - 8};
    return true;
}

bool unpack_text(struct str *from, struct str *ret)
{
    uint64_t n = 0;
    struct str rest = *from;
    if (!unpack_uint(&rest, &n) || n > rest.n) {
        return false;
    }
    *ret = (struct str){rest.p, (size_t)n};
    *from = (struct str){rest.p + n, rest.n - (size_t)n};
    return true;
}
