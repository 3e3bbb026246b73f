/* The files of a job on their way to its backend: once for each connection and content. */
#ifndef COMFYPOOL_SRC_POOL_INPUT_SENDING_H
#define COMFYPOOL_SRC_POOL_INPUT_SENDING_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/core/verdict.h"

struct attempt;
struct input_mishap;

/* Of an attempt. */
struct attempt_sending {
    void (*ready)(struct attempt *a); /* its files are there */
    bool reuses;                      /* some of them had been sent before it */
    bool waits;                       /* for the one that is sent, or failed, just now */
};

/* Sends what the attempt's backend does not have yet; ready is called when that is done. */
void inputs_send(struct attempt *a, void (*ready)(struct attempt *a));
/* The backend refuses a node that was given a file, and had been sent it before: somebody may have
   emptied its input folder. True, once a job: whatever it has been sent is sent anew. */
bool inputs_are_lost(struct attempt *a, const struct verdict_error *errors, size_t len);
/* An input_sent_fn of a struct backend. */
void inputs_sent(void *ctx, const char *key, const struct input_mishap *failed);

#endif
