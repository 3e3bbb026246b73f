/* The POST /prompt of an attempt, at most one, and its answer. */
#ifndef COMFYPOOL_SRC_POOL_ATTEMPT_POST_H
#define COMFYPOOL_SRC_POOL_ATTEMPT_POST_H

#include <stdbool.h>
#include <stdint.h>

#include "comfypool/base/time.h"
#include "comfypool/comfy/backend.h"

struct attempt;
struct http_call;

/* The part of an attempt that attempt_post.c owns. */
struct attempt_post {
    struct http_call *call; /* NULL: not under way */
    struct mono_us at;
    int64_t created_ms; /* the client's create_time; 0: none */
    unsigned status;    /* HTTP status of an answer that leaves the outcome in doubt; 0: none */
    bool page;          /* that answer was a gateway's page */
    char *node_errors;  /* of a prompt that was accepted in part; or NULL */
};

/* Sends the prompt; `answered` is called with the attempt, unless the POST is cancelled first. */
void attempt_send_post(struct attempt *a, comfy_submit_fn answered);
/* Keeps what is needed of the answer. */
void attempt_keep_answer(struct attempt *a, struct comfy_submit_answer *answer);
/* Cancels the POST. */
void attempt_cancel_post(struct attempt *a);
/* Notes that an earlier run of the daemon POSTed it at that time. */
void attempt_was_posted(struct attempt *a, struct mono_us at);

#endif
