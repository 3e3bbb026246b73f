/* "Did you mean": finds the name nearest to a wrong one, ignoring case, - and _. */
#ifndef COMFYPOOL_BASE_NEAR_H
#define COMFYPOOL_BASE_NEAR_H

#include <stddef.h>

#include "comfypool/base/str.h"

/* Counts the letters to change, add or remove, among the first 40 of each. */
size_t near_distance(struct str a, struct str b);

struct near {
    struct str given;
    size_t best;      /* distance to beat */
    const char *name; /* the nearest so far; NULL: none near enough */
};
/* given is borrowed. */
struct near near_to(struct str given);
void near_try(struct near *n, const char *candidate);

#endif
