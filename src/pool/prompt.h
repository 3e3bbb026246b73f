/* What an attempt POSTs to its backend. */
#ifndef COMFYPOOL_SRC_POOL_PROMPT_H
#define COMFYPOOL_SRC_POOL_PROMPT_H

struct attempt;
struct buf;

/* The texts that the attempt POSTs: seeds are chosen. Before the intent is stored. */
void prompt_prepare(struct attempt *a);
/* The body of POST /prompt. */
void prompt_render(struct attempt *a, struct buf *body);

#endif
