/*
 * Who may see what. Where the daemon has tokens and auth.shared is off, a token of role submit sees
 * and touches only what is of its own name; what is another's is, to it, what never was. Roles read
 * and operate see all. Everything that names or lists things of clients asks here, once.
 */
#ifndef COMFYPOOL_SRC_POOL_WALLS_H
#define COMFYPOOL_SRC_POOL_WALLS_H

#include <stdbool.h>

#include "comfypool/http/http.h"

struct pool;

/* What a route names in its path. */
enum wall_door { DOOR_OPEN, DOOR_JOB, DOOR_BATCH, DOOR_UPLOAD, DOOR_DELIVERY };

/* The only client whose things the caller of a request sees; NULL: it sees all. Lives as long as
   the request. */
const char *wall_of(const struct pool *p, const struct http_request *rq);
/* Whether things of this client (NULL: of nobody) are seen there. */
bool wall_lets(const char *wall, const char *client);
/* ERR_NONE: there is such a job, active or ended, and it is seen there. */
enum err wall_job(struct pool *p, const char *wall, const char *id) MUST_CHECK;
/* The same of a batch. */
enum err wall_batch(struct pool *p, const char *wall, const char *id) MUST_CHECK;
/* Whether the caller sees what its path names. Else it was answered, as for what never was. */
bool wall_opens(struct pool *p, const struct http_request *rq, struct http_ref x,
                enum wall_door door) MUST_CHECK;

#endif
