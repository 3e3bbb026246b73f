/* Tables of names: of strings, or of rows whose first member is a name. */
#ifndef COMFYPOOL_BASE_NAMES_H
#define COMFYPOOL_BASE_NAMES_H

#include <stddef.h>

#include "comfypool/base/str.h"

/* Returns the index of a name among `len` rows of `row` bytes each; len: not found. Rows without
   a name (NULL) are skipped, and an empty name is never found. */
static inline size_t names_find(const void *table, size_t len, size_t row, struct str name)
{
    size_t i = 0;
    for (; i < len; i++) {
        const char *const *it = (const void *)((const char *)table + i * row);
        if (name.n > 0 && *it != NULL && str_is(name, *it)) {
            break;
        }
    }
    return i;
}

/* names_find() of an array. */
#define names_index(table, name)                                                                   \
    names_find((table), sizeof(table) / sizeof *(table), sizeof *(table), (name))

#endif
