/* Private to graph_check.c: how a server reads numbers, and cycles. */
#ifndef COMFYPOOL_SRC_CORE_GRAPH_INNER_H
#define COMFYPOOL_SRC_CORE_GRAPH_INNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/json_read.h"

enum graph_number {
    GRAPH_NUMBER_IS,
    GRAPH_NUMBER_IS_NOT,
    GRAPH_NUMBER_MAY_BE, /* uncertain; ret is not set */
};
/* Reads a non-array value as Python's int() (is_int), else float() does. ret may be NaN. */
enum graph_number graph_number_read(struct js_token v, bool is_int, double *ret);

/* Links between nodes, grouped by node. */
struct graph_links {
    size_t *first; /* by node, and one more: index of its first link */
    uint32_t *to;
    size_t len, cap;
};
void graph_links_init(struct graph_links *l, size_t nodes);
void graph_links_done(struct graph_links *l);
/* Adds a link of the latest node; repeats of the one before are dropped. */
void graph_links_add(struct graph_links *l, uint32_t node, uint32_t to);
/* Calls `each` for each link that closes a cycle. O(nodes + links). */
void graph_links_cycles(const struct graph_links *l, size_t nodes,
                        void (*each)(void *ctx, uint32_t node, uint32_t to), void *ctx);

#endif
