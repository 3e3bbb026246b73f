/*
 * Images that only pass by: sent over the WebSocket, and on no server afterwards. They are written
 * to disk as they come, and are outputs of their node when the job ends: the list "streamed" of its
 * ui output, {"filename", "subfolder": "", "type": "streamed", "sha256", "size"} each.
 */
#ifndef COMFYPOOL_FILES_STREAMED_IMAGES_H
#define COMFYPOOL_FILES_STREAMED_IMAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/map.h"
#include "comfypool/base/str.h"

struct copies;
struct streamed_image;

/* Of all sets: a few images are written at a time, so that they never take all descriptors. */
struct streamed_writes {
    struct copies *copies;
    struct streamed_image *first, *last; /* they wait */
    unsigned open;
    bool stopping; /* what is let go makes no place for others */
};

/* One of a set was written; why: it could not be, or NULL. */
typedef void (*streamed_fn)(void *ctx, const char *node_id, const char *why);

/* Those of an attempt, then of its job until its row of copies is stored. */
struct streamed {
    struct streamed_writes *all;
    streamed_fn written;
    void *ctx;
    struct streamed_image **list;
    size_t len;
    struct map by_hash; /* the same, those that are written */
    size_t pending;     /* still to be written */
    uint64_t bytes;     /* of all */
    uint64_t unwritten; /* ... that the disk has not taken yet */
};

/* written and ctx: NULL when it takes none. */
void streamed_init(struct streamed *s, struct streamed_writes *all, streamed_fn written, void *ctx);
/* False: there is no room for it. media_type: static. */
bool streamed_add(struct streamed *s, struct str node_id, const char *media_type, struct str image);
/* Calls back for each node that sent some, with their list as JSON. */
void streamed_lists(struct streamed *s,
                    void (*each)(void *ctx, struct str node_id, struct str list), void *ctx);
/* Whether a file of that hash is one of them; streamed: a struct streamed. */
bool streamed_has(const void *streamed, const char *sha256);
/* What one of them has is the other's from now on, which has nothing. */
void streamed_move(struct streamed *to, struct streamed *from);
/* They are let go: files that no row of copies names go too. */
void streamed_done(struct streamed *s);

#endif
