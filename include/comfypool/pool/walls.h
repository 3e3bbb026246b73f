/*
 * Who may see what. A wall is the name of the only client whose things are seen behind it; NULL:
 * there is none, and all is seen. What is another's is, behind a wall, what never was. Everything
 * that names or lists things of clients asks here. What is in the store only, its reader asks for
 * its client (store_find_client), and asks wall_lets.
 */
#ifndef COMFYPOOL_POOL_WALLS_H
#define COMFYPOOL_POOL_WALLS_H

#include <stdbool.h>

#include "comfypool/base/err.h"

struct pool;

/* Whether things of this client (NULL: of nobody) are seen there. */
bool wall_lets(const char *wall, const char *client);
/* False: no such job is active. *ret: ERR_NONE, or ERR_JOB_NOT_FOUND: it is not seen there. */
bool wall_active_job(struct pool *p, const char *wall, const char *id, enum err *ret);
/* ERR_NONE: there is such an upload, and it is seen there. */
enum err wall_upload(struct pool *p, const char *wall, const char *sha256) MUST_CHECK;

#endif
