/*
 * Counts work under way (writes, requests, reads) that must finish before a part of the program may
 * stop, and reports when none is left.
 */
#ifndef COMFYPOOL_BASE_PENDING_H
#define COMFYPOOL_BASE_PENDING_H

#include <stddef.h>

struct pending {
    size_t n;
    void (*over)(void *ctx); /* called whenever n becomes 0; or NULL */
    void *ctx;
};

static inline void pending_add(struct pending *p)
{
    p->n++;
}

static inline void pending_remove(struct pending *p)
{
    p->n--;
    if (p->n == 0 && p->over != NULL) {
        p->over(p->ctx);
    }
}

#endif
