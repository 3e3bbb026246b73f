/* Kept files, and the clients that sent them. Their bytes are in store/blobs.h. */
#ifndef COMFYPOOL_STORE_UPLOADS_H
#define COMFYPOOL_STORE_UPLOADS_H

#include <stdint.h>

#include "comfypool/base/digest.h"
#include "comfypool/base/err.h"
#include "comfypool/base/time.h"
#include "comfypool/store/store.h"

/* A kept file; see store/blobs.h. */
struct upload_record {
    char sha256[DIGEST_HEX_SIZE];
    int64_t size;
    struct wall_us used_at;
};
void store_put_upload(struct store *s, const struct upload_record *r);
/* Deletes it with all of its owners. */
void store_delete_upload(struct store *s, const char *sha256);

/* A client that sent the bytes of a file. */
struct owner_record {
    char sha256[DIGEST_HEX_SIZE];
    char *client;
};
void owner_record_done(struct owner_record *r);
void store_put_owner(struct store *s, const struct owner_record *r, store_kept_fn done, void *ctx);
void store_delete_owner(struct store *s, const struct owner_record *r, store_kept_fn done,
                        void *ctx);

/* Calls `each` for every upload, the least recently used first. Blocks. */
enum err store_load_uploads(struct store *s, void (*each)(void *ctx, const struct upload_record *r),
                            void *ctx) MUST_CHECK;

/* Calls `each` for every owner of an upload. Blocks. */
enum err store_load_owners(struct store *s, void (*each)(void *ctx, const struct owner_record *r),
                           void *ctx) MUST_CHECK;

#endif
