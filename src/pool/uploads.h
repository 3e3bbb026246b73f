/*
 * Kept files: what came in bodies, by its SHA-256. A file that an active job needs is held; others
 * go when they are old, and the oldest first when there is no room. Whoever has sent a file's bytes
 * owns it, each client for itself: to know a hash is not to have sent it.
 */
#ifndef COMFYPOOL_SRC_POOL_UPLOADS_H
#define COMFYPOOL_SRC_POOL_UPLOADS_H

#include "comfypool/base/map.h"
#include "comfypool/http/http.h"
#include "comfypool/loop/deadlines.h"
#include "comfypool/store/blobs.h"

struct pool;

/* What a client has to do with a file. */
struct upload_share {
    struct upload *upload;
    struct upload_share *next, **link; /* of the upload */
    unsigned holds;                    /* by its active jobs */
    bool sent;                         /* it owns the file */
    const char *client;                /* the end of key; "": those without a token */
    char key[];                        /* the hash, a blank, the client's name */
};

struct upload {
    char sha256[DIGEST_HEX_SIZE];
    uint64_t size;
    struct wall_us used_at; /* kept from here on for uploads.maxAgeDays */
    unsigned holds;         /* by active jobs */
    bool forgotten;         /* its last owner has: it goes when nobody holds it */
    /* The request that it came with first, while no other has used it; generation 0: none. */
    struct http_ref came_with;
    struct upload_share *shares;
    struct upload *older, *newer; /* by used_at */
};

struct uploads {
    struct blobs *blobs;
    struct map by_sha;
    struct map shares; /* by key */
    char salt[33];     /* of the names that servers are told; "": they are the hashes */
    struct upload *oldest, *newest;
    uint64_t bytes;
    uint64_t incoming; /* bytes of what is being written */
    struct deadline expire;
    struct upload_writing *writings;
};

/* What the store and the directory have, brought together. False: the store failed. */
bool uploads_start(struct pool *p) MUST_CHECK;
void uploads_done(struct pool *p);
/* NULL: there is none. */
struct upload *uploads_find(struct pool *p, const char *sha256);
/* The same behind a wall (see walls.h): only what its client has sent. */
struct upload *uploads_seen(struct pool *p, const char *wall, const char *sha256);
/* The client ("": one without a token) has sent its bytes. */
void uploads_own(struct pool *p, struct upload *u, const char *client);
/* An active job of the client's (NULL: of nobody's) needs it, or not any more. */
void uploads_hold(struct pool *p, struct upload *u, const char *client);
void uploads_release(struct pool *p, struct upload *u, const char *client);
/* How its name at a server begins: 32 hex digits. Where clients have walls between them it cannot
   be guessed from the hash, since whoever knows it can give the file to a node. */
void uploads_server_name(const struct pool *p, const char *sha256, char ret[33]);
/* It is needed now: as new as any. */
void uploads_touch(struct pool *p, struct upload *u);

/* A file that is in the directory is kept from now on. NULL: there is no room for it, it is gone.
 */
struct upload *uploads_add(struct pool *p, const char *sha256, uint64_t size);

/* Whether a file may be as large as that. */
bool uploads_take(const struct pool *p, uint64_t size);
/* Bytes that are here as a whole are kept as a file, or not. owner: who has sent them, as in
   uploads_own; NULL: nobody. The callback comes once, later. */
typedef void (*upload_kept_fn)(void *ctx, enum err e, const char *why, const char *sha256);
void uploads_keep(struct pool *p, struct str bytes, const char *owner, upload_kept_fn done,
                  void *ctx);

void serve_upload(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_upload_get(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_upload_delete(struct pool *p, struct http_request *rq, struct http_ref x);

#endif
