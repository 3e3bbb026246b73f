/* Cells of tables; see the header. */
#include "cells.h"

#include "glyphs.h"

void add_blanks(struct buf *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_add_char(out, ' ');
    }
}

size_t add_cut(struct buf *out, struct str s, size_t width)
{
    const bool cut = glyphs_width(s) > width;
    const size_t keep = cut ? width - 2 : width;
    size_t shown = 0;
    while (s.n > 0) {
        const char *from = s.p;
        const uint32_t c = glyph_next(&s);
        const size_t columns = glyph_is_unruly(c) ? 1 : glyph_width(c);
        if (shown + columns > keep) {
            break;
        }
        if (glyph_is_unruly(c)) {
            buf_add_char(out, '?');
        } else {
            buf_add(out, from, (size_t)(s.p - from));
        }
        shown += columns;
    }
    buf_add_text(out, cut ? ".." : "");
    return shown + (cut ? 2 : 0);
}

void add_cell(struct buf *out, struct str s, size_t width)
{
    add_blanks(out, width - add_cut(out, s, width) + 2);
}

void add_whole(struct buf *out, struct str s)
{
    (void)add_cut(out, s.n == 0 ? STR("-") : s, SIZE_MAX);
}

void add_bytes(struct buf *out, double n)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    while ((n >= 1023.95 || n <= -1023.95) && unit + 1 < sizeof units / sizeof *units) {
        n /= 1024;
        unit++;
    }
    buf_printf(out, unit == 0 ? "%.0f %s" : "%.1f %s", n, units[unit]);
}

void widen(size_t *column, struct str s)
{
    const size_t n = glyphs_width(s);
    const size_t wanted = n > CELL_MAX ? CELL_MAX : n;
    *column = wanted > *column ? wanted : *column;
}
