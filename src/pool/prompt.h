/* What an attempt POSTs to its backend. */
#ifndef COMFYPOOL_SRC_POOL_PROMPT_H
#define COMFYPOOL_SRC_POOL_PROMPT_H

#include <stdint.h>

struct attempt;
struct buf;

/* The texts that the attempt POSTs: seeds are chosen. Before the intent is stored. */
void prompt_prepare(struct attempt *a);
/* The body of POST /prompt. Returns its create_time, which the client gave; 0: it has none. */
int64_t prompt_render(struct attempt *a, struct buf *body);

#endif
