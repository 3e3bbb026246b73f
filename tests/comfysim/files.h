/*
 * Files that do not exist: /view answers bytes that follow from the name alone, uploads are kept in
 * memory. "big-N.bin" is N MiB whose byte i is (i + (i >> 8) * 7 + (i >> 16) * 31) & 255, made
 * while it is sent; names in .png give a picture, others noise behind the magic bytes of their
 * type, either of 20 to 80 kB. Names that begin with "missing" are not there; type=input holds
 * uploads and example.png only.
 */
#ifndef COMFYSIM_FILES_H
#define COMFYSIM_FILES_H

#include "server.h"

struct upload {
    struct upload *next;
    char *type, *subfolder, *name;
    char *bytes;
    size_t len;
};

struct files {
    struct upload *uploads;
    long long modified; /* epoch seconds of Last-Modified; 0: a day of the recordings */
    bool broken;        /* /view is 500 */
};

void files_free(struct files *files);
void files_view(struct files *files, struct conn *conn);
void files_upload(struct files *files, struct conn *conn);
/* As LoadImage names it: "a.png", "sub/a.png", either with " [input]" and so on. */
bool files_has_image(void *files, const char *name);
json_t *files_images(const struct files *files); /* new reference */

#endif
