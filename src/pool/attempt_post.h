/* The POST /prompt of an attempt: at most one, and what its answer said. */
#ifndef COMFYPOOL_SRC_POOL_ATTEMPT_POST_H
#define COMFYPOOL_SRC_POOL_ATTEMPT_POST_H

#include <stdbool.h>
#include <stdint.h>

#include "comfypool/base/time.h"
#include "comfypool/comfy/backend.h"

struct attempt;
struct http_call;

/* Of an attempt. */
struct attempt_post {
    struct http_call *call; /* NULL: it is not under way */
    struct mono_us at;
    int64_t created_ms; /* create_time as the client gave it; 0: it did not */
    unsigned status;    /* of an answer that leaves it in doubt; 0: there was none */
    bool page;          /* ... which was a gateway's */
    char *node_errors;  /* of a 200 that runs in part; or NULL */
};

/* Sends its prompt; answered is called with the attempt, unless the call is cancelled before. */
void attempt_send_post(struct attempt *a, comfy_submit_fn answered);
/* It was answered: keeps what is needed later. */
void attempt_keep_answer(struct attempt *a, struct comfy_submit_answer *answer);
/* Nobody waits for the answer any more. */
void attempt_cancel_post(struct attempt *a);
/* It was POSTed then, by another life of the daemon. */
void attempt_was_posted(struct attempt *a, struct mono_us at);

#endif
