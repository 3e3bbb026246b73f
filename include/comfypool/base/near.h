/* "Did you mean": which of some names a wrong one is nearest to. Case, - and _ do not count. */
#ifndef COMFYPOOL_BASE_NEAR_H
#define COMFYPOOL_BASE_NEAR_H

#include <stddef.h>

#include "comfypool/base/str.h"

/* Letters to be changed, added or taken away, among the first 40 of each. */
size_t near_distance(struct str a, struct str b);

struct near {
    struct str given;
    size_t best;      /* a nearer one takes its place */
    const char *name; /* the nearest so far; NULL: none is near enough */
};
/* given is borrowed. */
struct near near_to(struct str given);
void near_try(struct near *n, const char *candidate);

#endif
