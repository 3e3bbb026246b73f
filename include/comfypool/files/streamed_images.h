/*
 * Streamed images: sent over the WebSocket, and stored on no server. They are written to disk as
 * they come, and are outputs of their node when the job ends: the list "streamed" of its ui output,
 * {"filename", "subfolder": "", "type": "streamed", "sha256", "size"} each.
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

/* Writes of all sets: a few images at a time, so that they never take all descriptors. */
struct streamed_writes {
    struct copies *copies;
    struct streamed_image *first, *last; /* waiting images */
    unsigned open;
    bool stopping; /* freed images start no others */
};

/* An image of a set was written; why: it failed, or NULL. */
typedef void (*streamed_fn)(void *ctx, const char *node_id, const char *why);

/* A set of an attempt, then of its job until its row of copies is stored. */
struct streamed {
    struct streamed_writes *all;
    streamed_fn written;
    void *ctx;
    struct streamed_image **list;
    size_t len;
    struct map by_hash; /* written ones, by hash */
    size_t pending;     /* not written yet */
    uint64_t bytes;     /* of all */
    uint64_t unwritten; /* bytes not on disk yet */
};

/* written and ctx: NULL for a set that takes none. */
void streamed_init(struct streamed *s, struct streamed_writes *all, streamed_fn written, void *ctx);
/* Adds an image; false: no room. media_type: static. */
bool streamed_add(struct streamed *s, struct str node_id, const char *media_type, struct str image);
/* Calls `each` for each node with images, with their list as JSON. */
void streamed_lists(struct streamed *s,
                    void (*each)(void *ctx, struct str node_id, struct str list), void *ctx);
/* True if a file of that hash is in the set; streamed: a struct streamed. */
bool streamed_has(const void *streamed, const char *sha256);
/* Moves all images to a set that has none. */
void streamed_move(struct streamed *to, struct streamed *from);
/* Frees the images; files that no row of copies names are removed. */
void streamed_done(struct streamed *s);

#endif
