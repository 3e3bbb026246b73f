/*
 * Files by their SHA-256, in a directory: DIR/ab/abcdef... A file comes in pieces, is written by
 * libuv's pool, and appears when whole and durable; equal content is kept once. Unfinished files
 * are removed at the next start. The caller decides which files are needed, and limits them. All
 * functions are called on the loop thread.
 */
#ifndef COMFYPOOL_STORE_BLOBS_H
#define COMFYPOOL_STORE_BLOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/digest.h"
#include "comfypool/base/err.h"
#include "comfypool/base/str.h"

struct blobs;
struct blob_writer;

/* Makes the directory (0700; files 0600) and removes unfinished files. False with a message for
   people. Owner: the caller, until blobs_close. */
bool blobs_open(uv_loop_t *loop, const char *dir, struct blobs **ret, char *why,
                size_t why_size) MUST_CHECK;
/* Closes b, aborting writers without callbacks. */
void blobs_close(struct blobs *b);
/* Calls `each` for every file. Blocks; at start-up only. */
void blobs_each(struct blobs *b, void (*each)(void *ctx, const char *sha256, uint64_t size),
                void *ctx);

struct blob_writer_ops {
    void (*drained)(void *ctx); /* after blob_write returned false: more may come */
    /* Called once, after blob_finish, or at once on a disk error: ERR_NONE, or
       ERR_STORE_UNAVAILABLE with why. The writer is freed. */
    void (*done)(void *ctx, enum err e, const char *why, const char *sha256, uint64_t size);
};

struct blob_writer *blob_begin(struct blobs *b, const struct blob_writer_ops *ops, void *ctx);
/* Copies the bytes. False: pause until `drained`. Never calls back from inside. */
bool blob_write(struct blob_writer *w, const void *bytes, size_t n);
/* Ends the content. */
void blob_finish(struct blob_writer *w);
/* Aborts; no callback follows. */
void blob_abort(struct blob_writer *w);
/* Returns the bytes so far. */
uint64_t blob_written(const struct blob_writer *w);

/* Appends the path of a file, whether it exists or not. */
void blob_path(const struct blobs *b, const char *sha256, struct buf *out);
/* Opens a file for reading; -1: none. Owner of the descriptor: the caller. */
int blob_open(const struct blobs *b, const char *sha256, uint64_t *ret_size);
/* Removes a file; it is gone at once. */
void blob_remove(struct blobs *b, const char *sha256);
/* Links a file of `from` into `to` (on the same file system). */
bool blob_share(const struct blobs *from, const struct blobs *to, const char *sha256) MUST_CHECK;

#endif
