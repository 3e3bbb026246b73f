/*
 * Images that only pass by: a node of class SaveImageWebsocket (or of one in outputs.streamClasses)
 * sends them over the WebSocket, and no server has them afterwards. They are written to disk as
 * they come, and are outputs of their node when the job ends: the list "streamed" of its ui output,
 * {"filename", "subfolder": "", "type": "streamed", "sha256", "size"} each. What other nodes send
 * are previews. A list of that name that the server gives itself goes: it has no such files.
 */
#ifndef COMFYPOOL_SRC_POOL_STREAMED_H
#define COMFYPOOL_SRC_POOL_STREAMED_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/map.h"
#include "comfypool/base/str.h"
#include "comfypool/core/frame.h"

struct attempt;
struct pool;
struct streamed_image;

/* Of the pool: a few are written at a time, so that they never take all descriptors. */
struct streamed_writes {
    struct streamed_image *first, *last; /* they wait */
    unsigned open;
};

/* Of an attempt, then of its job until its row of copies is stored. */
struct streamed {
    struct pool *pool;
    struct streamed_image **list;
    size_t len;
    struct map by_hash; /* the same, those that are written */
    size_t pending;     /* still to be written */
    uint64_t bytes;     /* of all */
    uint64_t unwritten; /* ... that the disk has not taken yet */
};

void streamed_init(struct streamed *s, struct pool *p);
/* Whether the image is one of a node whose images are outputs. */
bool streamed_is_output(const struct attempt *a, const struct frame_preview *f);
/* Keeps it. When they are all written, and the attempt has ended, attempt_conclude is called. */
void streamed_add(struct attempt *a, const struct frame_preview *f);
/* The attempt is about to be concluded: they become outputs of their nodes. */
void streamed_end(struct attempt *a);
/* Whether a file of that hash is one of them. */
static inline bool streamed_has(const void *streamed, const char *sha256)
{
    const struct streamed *s = streamed;
    return map_get(&s->by_hash, str_of(sha256)) != NULL;
}

/* What one of them has is the other's from now on, which has nothing. */
void streamed_move(struct pool *p, struct streamed *to, struct streamed *from);
/* They are let go: files that no row of copies names go too. */
void streamed_done(struct streamed *s);

#endif
