/*
 * Values outside the list of an input that a server took nevertheless: loaders that download, or
 * take paths, check them themselves, and /object_info does not show that. One value is remembered
 * for each class and input, with the shape of the class at the time; until the list holds it, or
 * the class becomes another one.
 */
#ifndef COMFYPOOL_CORE_ACCEPTED_H
#define COMFYPOOL_CORE_ACCEPTED_H

#include <stdbool.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/map.h"
#include "comfypool/base/str.h"

struct catalog;

struct accepted {
    struct map by_input; /* by "CLASS\nINPUT" */
};

void accepted_init(struct accepted *a);
/* Empty again. */
void accepted_clear(struct accepted *a);
bool accepted_has(const struct accepted *a, struct str class_type, struct str input);
/* shape: of the class, a digest in hex. False: one was remembered before, or there is no room. */
bool accepted_add(struct accepted *a, struct str class_type, struct str input, struct str value,
                  struct str shape);
/* Drops what the classes do not bear out any more. True: something went. */
bool accepted_review(struct accepted *a, const struct catalog *now);

/* As JSON text, and back; what cannot be read is left out. write appends. */
void accepted_write(const struct accepted *a, struct buf *out);
void accepted_read(struct accepted *a, struct str text);

#endif
