/* Sending the files of a job to its backend: once per connection and content. */
#ifndef COMFYPOOL_SRC_POOL_INPUT_SENDING_H
#define COMFYPOOL_SRC_POOL_INPUT_SENDING_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/core/verdict.h"

struct attempt;
struct input_mishap;

/* The part of an attempt that input_sending.c owns. */
struct attempt_sending {
    void (*ready)(struct attempt *a); /* called when all files are there */
    bool reuses;                      /* some files had been sent before */
    bool waits;                       /* waits for the file that was just sent, or failed */
};

/* Sends the files that the backend does not have; ready is called when they are there. */
void inputs_send(struct attempt *a, void (*ready)(struct attempt *a));
/* Called when the backend rejects a node whose file it was sent earlier: its input folder may have
   been emptied. True, once per job: all its files are sent again. */
bool inputs_are_lost(struct attempt *a, const struct verdict_error *errors, size_t len);
/* An input_sent_fn of a struct backend. */
void inputs_sent(void *ctx, const char *key, const struct input_mishap *failed);

#endif
