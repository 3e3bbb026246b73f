/*
 * Kept files: what came in bodies, by its SHA-256. A file that an active job needs is held; others
 * go when they are old, and the oldest first when there is no room. Whoever has sent a file's bytes
 * owns it, each client for itself: to know a hash is not to have sent it.
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
    struct blobs *blobs; /* where they are; NULL: none are kept */
    uint64_t file_bytes; /* of one, at most */
    uint64_t bytes;      /* of all, at most */
    struct dur_us age;   /* since a file was used last, at most */
    bool hides_names;    /* a file's name at a server cannot be guessed from its hash: clients have
                            walls between them, and whoever knows the name can give it to a node */
};

/* A kept file. */
struct upload {
    char sha256[DIGEST_HEX_SIZE];
    uint64_t size;
    struct wall_us used_at; /* kept from here on for options.age */
    unsigned holds;         /* by active jobs */
    bool forgotten;         /* its last owner has: it goes when nobody holds it */
    uint64_t came_with;     /* the request that it came with first, while no other has used it; 0:
                               none */
    struct upload_share *shares;
    struct upload *older, *newer; /* by used_at */
};

/* pending counts what the store writes for them. All is borrowed until uploads_free. */
struct uploads *uploads_new(struct store *store, struct deadlines *deadlines,
                            struct pending *pending, const struct uploads_options *options);
/* Brings together what the store and the directory have. False: the store failed. */
bool uploads_start(struct uploads *all) MUST_CHECK;
/* No file goes any more. */
void uploads_stop(struct uploads *all);
void uploads_free(struct uploads *all);

/* ---- what is there --------------------------------------------------------------------------- */

/* NULL: there is none. */
struct upload *uploads_find(struct uploads *all, const char *sha256);
/* The same behind a wall (pool/walls.h; NULL: there is none): only what its client has sent. */
struct upload *uploads_seen(struct uploads *all, const char *wall, const char *sha256);
/* Below 0: it is gone. Owner of the descriptor: the caller. */
int uploads_open(const struct uploads *all, const char *sha256, uint64_t *ret_size);
/* When it goes, unless it is used again. */
struct wall_us uploads_expires_at(const struct uploads *all, const struct upload *u);
/* How its name at a server begins: 32 hex digits. */
void uploads_server_name(const struct uploads *all, const char *sha256, char ret[33]);
struct blobs *uploads_blobs(const struct uploads *all);
void uploads_count(const struct uploads *all, size_t *ret_files, uint64_t *ret_bytes);

/* ---- what is done with it -------------------------------------------------------------------- */

/* The client ("": one without a token) has sent its bytes. */
void uploads_own(struct uploads *all, struct upload *u, const char *client);
/* An active job of the client's (NULL: of nobody's) needs it, or not any more. */
void uploads_hold(struct uploads *all, struct upload *u, const char *client);
void uploads_release(struct uploads *all, struct upload *u, const char *client);
/* It is needed now: as new as any. */
void uploads_touch(struct uploads *all, struct upload *u);
/* A file that is in the directory is kept from now on. NULL: there is no room for it, it is gone.
 */
struct upload *uploads_add(struct uploads *all, const char *sha256, uint64_t size);
/* Deletes one that is seen behind the wall: for its client, and for all when that was its last
   owner. False: it is refused; else `done` comes once, perhaps before this returns. */
bool uploads_forget(struct uploads *all, const char *wall, const char *sha256, store_kept_fn done,
                    void *ctx, struct refusal *ret);

/* ---- new ones -------------------------------------------------------------------------------- */

/* Whether a file may be as large as that. */
bool uploads_take(const struct uploads *all, uint64_t size);
/* Bytes that are here as a whole are kept as a file, or not. owner: who has sent them; NULL:
   nobody. The callback comes once, later. */
typedef void (*upload_kept_fn)(void *ctx, enum err e, const char *why, const char *sha256);
void uploads_keep(struct uploads *all, struct str bytes, const char *owner, upload_kept_fn done,
                  void *ctx);

/* A file that comes piece by piece. */
struct incoming_upload {
    const char *owner;  /* who sends it */
    uint64_t request;   /* which request it belongs to; not 0 */
    bool is_whole;      /* it is all of the request, which is answered when its owner is durable */
    uint64_t length;    /* UINT64_MAX: not known */
    const char *sha256; /* what it must have; NULL: any */
};
struct incoming_ops {
    void (*has_room)(void *ctx); /* again, after upload_write returned false */
    /* One of these comes once, unless upload_abort was called: it is kept, or cannot be (why: for
       people); or its request was refused. */
    void (*done)(void *ctx, enum err e, const char *why, const char *sha256, uint64_t size);
    void (*gone)(void *ctx);
};
struct upload_writing;
/* NULL: it is refused; *ret_e and *ret_why (static) say why. */
struct upload_writing *upload_begin(struct uploads *all, const struct incoming_upload *in,
                                    const struct incoming_ops *ops, void *ctx, enum err *ret_e,
                                    const char **ret_why);
/* False: no more bytes until there is room. done may come before this returns. */
bool upload_write(struct upload_writing *w, const char *bytes, size_t n);
void upload_end(struct upload_writing *w);
void upload_abort(struct upload_writing *w);
/* The request is refused: a file that it brought goes, unless somebody else has used it since. */
void uploads_refuse(struct uploads *all, uint64_t request);
void uploads_refuse_file(struct uploads *all, uint64_t request, const char *sha256);

#endif
