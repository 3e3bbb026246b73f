/* What the name of an output implies: its kind, its media type, and where its server has it. */
#ifndef COMFYPOOL_SRC_RENDER_OUTPUT_NAMES_H
#define COMFYPOOL_SRC_RENDER_OUTPUT_NAMES_H

#include <stdbool.h>

#include "comfypool/base/str.h"

/* Returns image, video, audio, 3d, text or file; static. */
const char *output_kind(const char *filename);

/*
 * Moves a folder in *filename into *subfolder, where a server's /view looks for it: it uses only
 * the last part of filename. A note after the name ("x.png [temp]") becomes *type, unless that is
 * set. Both separators are understood: the server may run on Windows.
 */
void output_place(char **filename, char **subfolder, char **type);

/* True if a string of a ui output names a file of a known kind. of_text: among displayed texts,
   where only a path counts. */
bool output_is_named(const char *s, bool of_text);

/* True if names in two folders are one file of a server: one folder may be absolute. */
bool output_folders_match(const char *a, const char *b);

#endif
