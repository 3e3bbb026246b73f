/*
 * Who may see what. A wall is the name of the only client whose things are visible behind it; NULL:
 * no wall, all is visible. Behind a wall, things of other clients look as if they did not exist.
 * Everything that names or lists things of clients checks here; for things in the store only, it
 * reads the client first (store_find_client).
 */
#ifndef COMFYPOOL_POOL_WALLS_H
#define COMFYPOOL_POOL_WALLS_H

#include <stdbool.h>

#include "comfypool/base/err.h"

struct pool;

/* True if things of this client (NULL: of no client) are visible there. */
bool wall_lets(const char *wall, const char *client);
/* False: no such job is active. *ret: ERR_NONE, or ERR_JOB_NOT_FOUND: not visible there. */
bool wall_active_job(struct pool *p, const char *wall, const char *id, enum err *ret);
/* ERR_NONE: there is such an upload, and it is visible there. */
enum err wall_upload(struct pool *p, const char *wall, const char *sha256) MUST_CHECK;

#endif
