/* What an attempt POSTs to its backend. */
#ifndef COMFYPOOL_SRC_POOL_ATTEMPT_PROMPT_H
#define COMFYPOOL_SRC_POOL_ATTEMPT_PROMPT_H

#include <stdint.h>

struct attempt;
struct buf;

/* Chooses seeds and spellings for the prompt. Called before the intent is stored. */
void attempt_prepare_prompt(struct attempt *a);
/* Appends the body of POST /prompt. Returns the client's create_time (ms); 0: none. */
int64_t attempt_render_prompt(struct attempt *a, struct buf *body);

#endif
