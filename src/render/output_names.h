/* What the name of an output tells: its kind, its media type, and where its server has it. */
#ifndef COMFYPOOL_SRC_RENDER_OUTPUT_NAMES_H
#define COMFYPOOL_SRC_RENDER_OUTPUT_NAMES_H

#include <stdbool.h>

#include "comfypool/base/str.h"

/* image, video, audio, 3d, text or file; static. */
const char *output_kind(const char *filename);

/*
 * Moves a folder in *filename into *subfolder, where /view of a server looks for it: only the last
 * part of its filename counts. A note behind the name ("x.png [temp]") becomes *type, unless that
 * is there already. Both separators are understood: the server may run on Windows.
 */
void output_place(char **filename, char **subfolder, char **type);

/* Whether a string of a ui output names a file of a known kind. of_text: it stands among texts that
   are shown, where only a path is meant as one. */
bool output_is_named(const char *s, bool of_text);

/* Whether two names in two folders are one file of a server: one folder may be absolute. */
bool output_folders_match(const char *a, const char *b);

#endif
