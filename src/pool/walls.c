/* Who may see what; see the header. Cost: a lookup in memory. */
#include "comfypool/pool/walls.h"

#include <string.h>

#include "comfypool/files/uploads.h"

#include "jobs.h"
#include "state.h"

bool wall_lets(const char *wall, const char *client)
{
    return wall == NULL || (client != NULL && strcmp(wall, client) == 0);
}

bool wall_active_job(struct pool *p, const char *wall, const char *id, enum err *ret)
{
    const struct job *j = job_find(p, (struct str){id, UUID_TEXT});
    *ret = j != NULL && wall_lets(wall, j->r.client) ? ERR_NONE : ERR_JOB_NOT_FOUND;
    return j != NULL;
}

enum err wall_upload(struct pool *p, const char *wall, const char *sha256)
{
    return uploads_seen(p->uploads, wall, sha256) == NULL ? ERR_UPLOAD_NOT_FOUND : ERR_NONE;
}
