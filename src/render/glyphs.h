/*
 * Characters of names that come from clients and servers, as far as a terminal, a spreadsheet or a
 * flame graph cares: which of them do something instead of being seen, and how wide they are.
 */
#ifndef COMFYPOOL_RENDER_GLYPHS_H
#define COMFYPOOL_RENDER_GLYPHS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/str.h"

/* Takes the first character off *s, which is not empty; a byte that begins none is U+FFFD. */
uint32_t glyph_next(struct str *s);

/* What a terminal may act on: C0, DEL, C1. */
bool glyph_is_control(uint32_t c);

/* What spoils a line: controls, separators of lines and paragraphs, marks that turn its direction.
 */
bool glyph_is_unruly(uint32_t c);

/* What a reader of text takes for a blank. */
bool glyph_is_blank(uint32_t c);

/* Columns in a terminal: 0 (it joins the one before), 1 or 2. */
size_t glyph_width(uint32_t c);

/* Columns of a whole text; what is unruly counts as the sign that is shown for it. */
size_t glyphs_width(struct str s);

#endif
