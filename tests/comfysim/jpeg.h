/* A JPEG file that every decoder takes: one grey, 64 x 64 pixels. */
#ifndef COMFYSIM_JPEG_H
#define COMFYSIM_JPEG_H

#include "text.h"

enum { JPEG_LEAST = 188 }; /* bytes of the smallest whole picture; what is shorter has no pixels */

/*
 * Appends `size` bytes, 34 at least, from SOI to EOI. The comment at byte 20 holds both numbers,
 * big endian, so that no two files are the same; the first one is the shade.
 */
void jpeg_add(struct text *out, size_t size, uint32_t number, uint32_t serial);

#endif
