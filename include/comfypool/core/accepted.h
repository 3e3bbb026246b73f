/*
 * Values outside an input's list that a server accepted anyway: loaders that download, or take
 * paths, check them themselves, and /object_info does not show that. One value is remembered for
 * each class and input, with the shape of the class at the time, until the list contains it or the
 * class changes.
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
/* Empties a. */
void accepted_clear(struct accepted *a);
bool accepted_has(const struct accepted *a, struct str class_type, struct str input);
/* Remembers a value. shape: of the class, a digest in hex. False: one is known already, or no
   room. */
bool accepted_add(struct accepted *a, struct str class_type, struct str input, struct str value,
                  struct str shape);
/* Drops entries that the classes no longer support. True if any was dropped. */
bool accepted_review(struct accepted *a, const struct catalog *now);

/* Writes JSON text (appended) and reads it back, skipping what it cannot read. */
void accepted_write(const struct accepted *a, struct buf *out);
void accepted_read(struct accepted *a, struct str text);

#endif
