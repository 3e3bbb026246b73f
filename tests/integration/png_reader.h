/* Reads a PNG file as strictly as the standard has it; for the simulator's pictures. */
#ifndef COMFYPOOL_TESTS_PNG_READER_H
#define COMFYPOOL_TESTS_PNG_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Whether `bytes` is one whole PNG file: its signature, IHDR first, each chunk's CRC, pixels that
 * inflate to just as many bytes as its size asks for, valid filters, IEND last. Knows 8 bit RGB
 * only. *ret_width and *ret_height are in pixels, and set when it is one.
 */
bool png_is_whole(const char *bytes, size_t len, uint32_t *ret_width, uint32_t *ret_height);

#endif
