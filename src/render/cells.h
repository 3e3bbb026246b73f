/*
 * Cells of tables for terminals: text from a workflow or a backend is cut to its column and
 * stripped of controls, so that a row stays a row. Widths are columns of a terminal, not bytes.
 * Used by the files of this room only.
 */
#ifndef COMFYPOOL_RENDER_CELLS_H
#define COMFYPOOL_RENDER_CELLS_H

#include <stddef.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/str.h"

/* Limits: a cell of text, a row, and a line of running text. */
enum { CELL_MAX = 28, CELLS_ROW = 120, CELLS_LINE = 100 };

void add_blanks(struct buf *out, size_t n);
/* Adds s in at most `width` (2 or more) columns, cut with ".." when longer; returns the columns
   used. */
size_t add_cut(struct buf *out, struct str s, size_t width);
/* Adds s like add_cut, padded to `width`, and two blanks. */
void add_cell(struct buf *out, struct str s, size_t width);
/* Adds a text of any length, "-" for none. */
void add_whole(struct buf *out, struct str s);
/* Adds bytes for people: three digits or four, and a unit. */
void add_bytes(struct buf *out, double n);

/* Makes a column wide enough for s, but not wider than CELL_MAX. */
void widen(size_t *column, struct str s);

#endif
