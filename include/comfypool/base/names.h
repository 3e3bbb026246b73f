/* Tables of names: of strings, or of rows whose first member is a name. */
#ifndef COMFYPOOL_BASE_NAMES_H
#define COMFYPOOL_BASE_NAMES_H

#include <stddef.h>

#include "comfypool/base/str.h"

/* The place of a name among `len` rows of `row` bytes each; len: it is not there. Rows without a
   name (NULL) are passed over, and an empty name is never found. */
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

/* The same of an array. */
#define names_index(table, name)                                                                   \
    names_find((table), sizeof(table) / sizeof *(table), sizeof *(table), (name))

#endif
