/* Who may see what; see the header. Cost: a look at what is in memory, or one row by its key. */
#include "comfypool/pool/walls.h"

#include <stdlib.h>
#include <string.h>

#include "comfypool/files/uploads.h"
#include "comfypool/store/finds.h"
#include "comfypool/store/jobs.h"

#include "jobs.h"
#include "state.h"

bool wall_lets(const char *wall, const char *client)
{
    return wall == NULL || (client != NULL && strcmp(wall, client) == 0);
}

/* What is in the store only. */
static enum err stored(struct pool *p, const char *wall, enum store_owned what, const char *id,
                       enum err when_none)
{
    AUTO_FREE char *client = NULL;
    const enum err e = store_get_client(p->store, what, id, &client);
    return e == ERR_NONE && !wall_lets(wall, client) ? when_none : e;
}

enum err wall_job(struct pool *p, const char *wall, const char *id)
{
    const struct job *j = job_find(p, (struct str){id, UUID_TEXT});
    if (j != NULL) {
        return wall_lets(wall, j->r.client) ? ERR_NONE : ERR_JOB_NOT_FOUND;
    }
    return stored(p, wall, STORE_JOB, id, ERR_JOB_NOT_FOUND);
}

enum err wall_batch(struct pool *p, const char *wall, const char *id)
{
    return stored(p, wall, STORE_BATCH, id, ERR_BATCH_NOT_FOUND);
}

enum err wall_delivery(struct pool *p, const char *wall, const char *id)
{
    return stored(p, wall, STORE_DELIVERY, id, ERR_DELIVERY_NOT_FOUND);
}

enum err wall_upload(struct pool *p, const char *wall, const char *sha256)
{
    return uploads_seen(p->uploads, wall, sha256) == NULL ? ERR_UPLOAD_NOT_FOUND : ERR_NONE;
}
