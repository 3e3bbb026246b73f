/*
 * Cells of the tables that people read in a terminal: text from a workflow or a backend is cut to
 * its column and stripped of controls, so that a row stays a row. Widths are columns of a terminal,
 * not bytes. Used by the files of this room only.
 */
#ifndef COMFYPOOL_RENDER_CELLS_H
#define COMFYPOOL_RENDER_CELLS_H

#include <stddef.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/str.h"

/* The widest cell of text, and how wide rows and lines of running text become at most. */
enum { CELL_MAX = 28, CELLS_ROW = 120, CELLS_LINE = 100 };

void add_blanks(struct buf *out, size_t n);
/* Adds s in at most `width` (2 or more) columns, cut with ".." when it is longer; returns how many
   it took. */
size_t add_cut(struct buf *out, struct str s, size_t width);
/* The same, filled up to `width`, and two blanks. */
void add_cell(struct buf *out, struct str s, size_t width);
/* A text of any length, "-" for none. */
void add_whole(struct buf *out, struct str s);
/* Bytes for people: three digits or four, and a unit. */
void add_bytes(struct buf *out, double n);

/* Makes a column wide enough for s, but not wider than CELL_MAX. */
void widen(size_t *column, struct str s);

#endif
