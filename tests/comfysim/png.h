/* A PNG file that every decoder takes: 8 bit RGB, whose pixels follow from a number. */
#ifndef COMFYSIM_PNG_H
#define COMFYSIM_PNG_H

#include "text.h"

/* Appends one of width x height pixels, each from 1 to 4096: some 3 bytes a pixel, not compressed.
 */
void png_add(struct text *out, uint32_t width, uint32_t height, uint64_t seed);

#endif
