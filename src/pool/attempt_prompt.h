/* What an attempt POSTs to its backend. */
#ifndef COMFYPOOL_SRC_POOL_ATTEMPT_PROMPT_H
#define COMFYPOOL_SRC_POOL_ATTEMPT_PROMPT_H

#include <stdint.h>

struct attempt;
struct buf;

/* The texts that the attempt POSTs: seeds are chosen. Before the intent is stored. */
void attempt_prepare_prompt(struct attempt *a);
/* The body of POST /prompt. Returns its create_time, which the client gave; 0: it has none. */
int64_t attempt_render_prompt(struct attempt *a, struct buf *body);

#endif
