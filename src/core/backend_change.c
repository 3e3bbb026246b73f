/* Frees the texts of a change. */
#include "comfypool/core/backend_change.h"

#include <stdlib.h>

void backend_change_done(struct backend_change *c)
{
    free(c->name);
    free(c->url);
    free(c->labels);
    *c = (struct backend_change){0};
}
