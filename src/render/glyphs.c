/* Characters by ranges, and their widths by libutf8proc; see the header. */
#include "glyphs.h"

#include <utf8proc.h>

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
    const int width = utf8proc_charwidth((utf8proc_int32_t)c);
    return width < 0 ? 1 : (size_t)width;
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
