/*
 * Characters of names from clients and servers: which of them act on a terminal, a spreadsheet or a
 * flame graph instead of being seen, and how wide they are.
 */
#ifndef COMFYPOOL_RENDER_GLYPHS_H
#define COMFYPOOL_RENDER_GLYPHS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/str.h"

/* Takes the first character off *s, which is not empty; an invalid byte is U+FFFD. */
uint32_t glyph_next(struct str *s);

/* True for what a terminal may act on: C0, DEL, C1. */
bool glyph_is_control(uint32_t c);

/* True for what spoils a line: controls, separators of lines and paragraphs, direction marks. */
bool glyph_is_unruly(uint32_t c);

/* True for what readers see as a blank. */
bool glyph_is_blank(uint32_t c);

/* Returns columns in a terminal: 0 (it joins the one before), 1 or 2. */
size_t glyph_width(uint32_t c);

/* Returns the columns of a text, unruly characters as the sign shown for them. */
size_t glyphs_width(struct str s);

#endif
