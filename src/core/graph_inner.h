/* What graph_check.c has of its own: how a server reads numbers, and cycles. */
#ifndef COMFYPOOL_SRC_CORE_GRAPH_INNER_H
#define COMFYPOOL_SRC_CORE_GRAPH_INNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/json_read.h"

enum graph_number {
    GRAPH_NUMBER_IS,
    GRAPH_NUMBER_IS_NOT,
    GRAPH_NUMBER_MAY_BE, /* not sure, and ret is not set */
};
/* What int() (is_int), else float() of Python makes of a value that is no array. ret may be NaN. */
enum graph_number graph_number_read(struct js_token v, bool is_int, double *ret);

/* Links between nodes, those of a node beside each other. */
struct graph_links {
    size_t *first; /* by node, and one more: where its links begin */
    uint32_t *to;
    size_t len, cap;
};
void graph_links_init(struct graph_links *l, size_t nodes);
void graph_links_done(struct graph_links *l);
/* Of the node whose links are the last ones; the same as the one before is left out. */
void graph_links_add(struct graph_links *l, uint32_t node, uint32_t to);
/* Calls `each` for each link that closes a cycle. O(nodes + links). */
void graph_links_cycles(const struct graph_links *l, size_t nodes,
                        void (*each)(void *ctx, uint32_t node, uint32_t to), void *ctx);

#endif
