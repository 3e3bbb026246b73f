/* The files of a job on their way to its backend: once for each connection and content. */
#ifndef COMFYPOOL_SRC_POOL_INPUT_SENDING_H
#define COMFYPOOL_SRC_POOL_INPUT_SENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/map.h"
#include "comfypool/core/verdict.h"

struct attempt;
struct backend;
struct sent_file;
struct transfer;

/* Of an attempt. */
struct attempt_sending {
    void (*ready)(struct attempt *a); /* its files are there */
    bool reuses;                      /* some of them had been sent before it */
    bool waits;                       /* for the one that is sent, or failed, just now */
};

/* What a backend has been sent on this connection. */
struct sent {
    struct map names; /* by hash and extension: struct sent_file */
    struct sent_file *oldest, *newest;
    struct transfer *transfers; /* under way */
    uint64_t most;              /* bytes that it takes; 0: not known */
};

/* Sends what the attempt's backend does not have yet; ready is called when that is done. */
void inputs_send(struct attempt *a, void (*ready)(struct attempt *a));
/* The backend refuses a node that was given a file, and had been sent it before: somebody may have
   emptied its input folder. True, once a job: whatever it has been sent is sent anew. */
bool inputs_are_lost(struct attempt *a, const struct verdict_error *errors, size_t len);
/* A connection is a new one, or lost: whatever was sent may be gone. */
void inputs_forget(struct backend *b);
void inputs_done(struct backend *b);

#endif
