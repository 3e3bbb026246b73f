/*
 * Kept files: files from bodies, by their SHA-256. A file needed by an active job is held; others
 * go when they are old, and the oldest first when there is no room. A client that sent a file's
 * bytes owns it, each client separately: knowing a hash is not enough.
 */
#ifndef COMFYPOOL_FILES_UPLOADS_H
#define COMFYPOOL_FILES_UPLOADS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/digest.h"
#include "comfypool/base/err.h"
#include "comfypool/base/pending.h"
#include "comfypool/base/refusal.h"
#include "comfypool/base/time.h"
#include "comfypool/store/blobs.h"
#include "comfypool/store/store.h"

struct deadlines;
struct uploads;

struct uploads_options {
    struct blobs *blobs; /* their storage; NULL: no files */
    uint64_t file_bytes; /* limit of a file */
    uint64_t bytes;      /* limit in total */
    struct dur_us age;   /* limit since the last use */
    bool hides_names;    /* a file's name at a server must not be guessable from its hash:
                            clients have walls between them, and a name is enough to give the
                            file to a node */
};

/* A kept file. */
struct upload {
    char sha256[DIGEST_HEX_SIZE];
    uint64_t size;
    struct wall_us used_at; /* start of options.age */
    unsigned holds;         /* by active jobs */
    bool forgotten;         /* no owners left: removed when no one holds it */
    uint64_t came_with;     /* the request that first brought it, while no other has used it; 0:
                               none */
    struct upload_share *shares;
    struct upload *older, *newer; /* by used_at */
};

/* pending counts its writes. All arguments are borrowed until uploads_free. */
struct uploads *uploads_new(struct store *store, struct deadlines *deadlines,
                            struct pending *pending, const struct uploads_options *options);
/* Reconciles the store and the directory. False: the store failed. */
bool uploads_start(struct uploads *all) MUST_CHECK;
/* Stops removing files. */
void uploads_stop(struct uploads *all);
void uploads_free(struct uploads *all);

/* ---- what is there --------------------------------------------------------------------------- */

/* NULL: none. */
struct upload *uploads_find(struct uploads *all, const char *sha256);
/* Finds a file behind a wall (pool/walls.h; NULL: none): only what its client has sent. */
struct upload *uploads_seen(struct uploads *all, const char *wall, const char *sha256);
/* Opens a file. Below 0: gone. Owner of the descriptor: the caller. */
int uploads_open(const struct uploads *all, const char *sha256, uint64_t *ret_size);
/* Returns when it is removed, unless used again. */
struct wall_us uploads_expires_at(const struct uploads *all, const struct upload *u);
/* Returns the beginning of its name at a server: 32 hex digits. */
void uploads_server_name(const struct uploads *all, const char *sha256, char ret[33]);
struct blobs *uploads_blobs(const struct uploads *all);
void uploads_count(const struct uploads *all, size_t *ret_files, uint64_t *ret_bytes);

/* ---- what is done with it -------------------------------------------------------------------- */

/* Notes that the client ("": one without a token) has sent its bytes. */
void uploads_own(struct uploads *all, struct upload *u, const char *client);
/* Hold and release it for an active job of the client's (NULL: none). */
void uploads_hold(struct uploads *all, struct upload *u, const char *client);
void uploads_release(struct uploads *all, struct upload *u, const char *client);
/* Marks it as just used. */
void uploads_touch(struct uploads *all, struct upload *u);
/* Keeps a file in the directory. NULL: no room, it is removed. */
struct upload *uploads_add(struct uploads *all, const char *sha256, uint64_t size);
/* Deletes one visible behind the wall: for its client, and for all when that was its last owner.
   False: refused; else `done` comes once, perhaps before this returns. */
bool uploads_forget(struct uploads *all, const char *wall, const char *sha256, store_kept_fn done,
                    void *ctx, struct refusal *ret);

/* ---- new ones -------------------------------------------------------------------------------- */

/* True if a file may be that large. */
bool uploads_take(const struct uploads *all, uint64_t size);
/* Keeps bytes in memory as a file. owner: their sender; NULL: none. The callback comes once,
   later. */
typedef void (*upload_kept_fn)(void *ctx, enum err e, const char *why, const char *sha256);
void uploads_keep(struct uploads *all, struct str bytes, const char *owner, upload_kept_fn done,
                  void *ctx);

/* A file that comes in pieces. */
struct incoming_upload {
    const char *owner;  /* its sender */
    uint64_t request;   /* its request; not 0 */
    bool is_whole;      /* it is the whole request, which is answered when its owner is durable */
    uint64_t length;    /* UINT64_MAX: unknown */
    const char *sha256; /* required hash; NULL: any */
};
struct incoming_ops {
    void (*has_room)(void *ctx); /* after upload_write returned false */
    /* One of these comes once, unless upload_abort was called: kept, or failed (why: for people);
       or its request was refused. */
    void (*done)(void *ctx, enum err e, const char *why, const char *sha256, uint64_t size);
    void (*gone)(void *ctx);
};
struct upload_writing;
/* NULL: refused; see *ret_e and *ret_why (static). */
struct upload_writing *upload_begin(struct uploads *all, const struct incoming_upload *in,
                                    const struct incoming_ops *ops, void *ctx, enum err *ret_e,
                                    const char **ret_why);
/* False: pause until has_room. done may come before this returns. */
bool upload_write(struct upload_writing *w, const char *bytes, size_t n);
void upload_end(struct upload_writing *w);
void upload_abort(struct upload_writing *w);
/* Drops the files of a refused request, unless used by others since. */
void uploads_refuse(struct uploads *all, uint64_t request);
void uploads_refuse_file(struct uploads *all, uint64_t request, const char *sha256);

#endif
