/* Who may see what; see the header. Cost: a look at what is in memory, or one row by its key. */
#include "walls.h"

#include <stdlib.h>
#include <string.h>

#include "jobs.h"
#include "serve.h"
#include "state.h"
#include "uploads.h"

const char *wall_of(const struct pool *p, const struct http_request *rq)
{
    return rq->role == ROLE_SUBMIT && !p->options.shared ? rq->caller : NULL;
}

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
    const struct job *j = job_find(p, serve_id(id));
    if (j != NULL) {
        return wall_lets(wall, j->r.client) ? ERR_NONE : ERR_JOB_NOT_FOUND;
    }
    return stored(p, wall, STORE_JOB, id, ERR_JOB_NOT_FOUND);
}

enum err wall_batch(struct pool *p, const char *wall, const char *id)
{
    return stored(p, wall, STORE_BATCH, id, ERR_BATCH_NOT_FOUND);
}

bool wall_opens(struct pool *p, const struct http_request *rq, struct http_ref x,
                enum wall_door door)
{
    const char *wall = wall_of(p, rq);
    enum err e = ERR_NONE;
    if (wall == NULL || door == DOOR_OPEN) {
        return true;
    }
    if (door == DOOR_JOB) {
        e = wall_job(p, wall, rq->job_id);
    } else if (door == DOOR_BATCH) {
        e = wall_batch(p, wall, rq->job_id);
    } else if (door == DOOR_DELIVERY) {
        e = stored(p, wall, STORE_DELIVERY, rq->delivery, ERR_DELIVERY_NOT_FOUND);
    } else if (uploads_seen(p, wall, rq->sha256) == NULL) {
        e = ERR_UPLOAD_NOT_FOUND;
    }
    if (e != ERR_NONE) {
        serve_problem(p, x, e);
    }
    return e == ERR_NONE;
}
