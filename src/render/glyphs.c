/* Characters by ranges; see the header. The ranges are those of the Unicode blocks that occur in
   titles of workflows, not a full table of East Asian Width. */
#include "glyphs.h"

struct range {
    uint32_t first;
    uint32_t last;
};

static bool is_in(uint32_t c, const struct range *ranges, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (c >= ranges[i].first && c <= ranges[i].last) {
            return true;
        }
    }
    return false;
}

uint32_t glyph_next(struct str *s)
{
    const unsigned char first = (unsigned char)*s->p;
    const size_t more = first < 0xc0 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    s->p++;
    s->n--;
    if (first < 0x80) {
        return first;
    }
    if (more == 0 || s->n < more) {
        return 0xfffd;
    }
    uint32_t c = first & (0x3fu >> more);
    for (size_t i = 0; i < more; i++) {
        c = c << 6 | ((unsigned char)s->p[i] & 0x3f);
    }
    s->p += more;
    s->n -= more;
    return c;
}

bool glyph_is_control(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0x9f);
}

bool glyph_is_unruly(uint32_t c)
{
    static const struct range marks[] = {{0x2028, 0x202e}, {0x2066, 0x2069}};
    return glyph_is_control(c) || is_in(c, marks, sizeof marks / sizeof *marks);
}

bool glyph_is_blank(uint32_t c)
{
    static const struct range blanks[] = {
        {0x09, 0x0d},     {0x20, 0x20},     {0xa0, 0xa0},     {0x1680, 0x1680}, {0x2000, 0x200b},
        {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f}, {0x3000, 0x3000}, {0xfeff, 0xfeff},
    };
    return is_in(c, blanks, sizeof blanks / sizeof *blanks);
}

size_t glyph_width(uint32_t c)
{
    static const struct range joining[] = {
        {0x300, 0x36f},   {0x483, 0x489},   {0x591, 0x5bd},   {0x610, 0x61a},   {0x64b, 0x65f},
        {0x200b, 0x200f}, {0x20d0, 0x20f0}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0xfeff, 0xfeff},
    };
    static const struct range wide[] = {
        {0x1100, 0x115f},   {0x2e80, 0x303e},   {0x3041, 0xa4cf},   {0xac00, 0xd7a3},
        {0xf900, 0xfaff},   {0xfe30, 0xfe6f},   {0xff00, 0xff60},   {0xffe0, 0xffe6},
        {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1faff}, {0x20000, 0x3fffd},
    };
    if (c < 0x300) {
        return 1;
    }
    if (is_in(c, joining, sizeof joining / sizeof *joining)) {
        return 0;
    }
    return is_in(c, wide, sizeof wide / sizeof *wide) ? 2 : 1;
}

size_t glyphs_width(struct str s)
{
    size_t width = 0;
    while (s.n > 0) {
        const uint32_t c = glyph_next(&s);
        width += glyph_is_unruly(c) ? 1 : glyph_width(c);
    }
    return width;
}
