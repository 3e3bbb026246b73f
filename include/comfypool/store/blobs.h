/*
 * Files by their SHA-256, in a directory: DIR/ab/abcdef... A file comes in pieces, is written by
 * libuv's pool, and is there when it is whole and durable; the same content is kept once. What was
 * not finished is gone at the next start. Who needs a file, and how many there may be, is the
 * caller's. All functions are called on the loop thread.
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

/* Makes the directory (0700; files 0600) and removes what was not finished. False with a message
   for people. Owner: the caller, until blobs_close. */
bool blobs_open(uv_loop_t *loop, const char *dir, struct blobs **ret, char *why,
                size_t why_size) MUST_CHECK;
/* What is being written is given up, without callbacks. */
void blobs_close(struct blobs *b);
/* Calls `each` for every file. Blocks; at start-up only. */
void blobs_each(struct blobs *b, void (*each)(void *ctx, const char *sha256, uint64_t size),
                void *ctx);

struct blob_writer_ops {
    void (*drained)(void *ctx); /* after blob_write said false: more may come */
    /* Once, after blob_finish, or at once when the disk failed: ERR_NONE, or ERR_STORE_UNAVAILABLE
       with why. The writer is freed. */
    void (*done)(void *ctx, enum err e, const char *why, const char *sha256, uint64_t size);
};

struct blob_writer *blob_begin(struct blobs *b, const struct blob_writer_ops *ops, void *ctx);
/* Copies the bytes. False: pause until `drained`. Never calls back from inside. */
bool blob_write(struct blob_writer *w, const void *bytes, size_t n);
/* That was all. */
void blob_finish(struct blob_writer *w);
/* Gives it up: no callback follows. */
void blob_abort(struct blob_writer *w);
/* So far. */
uint64_t blob_written(const struct blob_writer *w);

/* Where a file is (there or not). Appends. */
void blob_path(const struct blobs *b, const char *sha256, struct buf *out);
/* Opens one for reading; -1: there is none. Owner of the descriptor: the caller. */
int blob_open(const struct blobs *b, const char *sha256, uint64_t *ret_size);
/* Removes one: it is not there any more at once. */
void blob_remove(struct blobs *b, const char *sha256);
/* A file of `from` is one of `to` as well (both on one file system). */
bool blob_share(const struct blobs *from, const struct blobs *to, const char *sha256) MUST_CHECK;

#endif
