/*
 * Who may see what. A wall is the name of the only client whose things are seen behind it; NULL:
 * there is none, and all is seen. What is another's is, behind a wall, what never was. Everything
 * that names or lists things of clients asks here. Cost: a look at what is in memory, or one row by
 * its key.
 */
#ifndef COMFYPOOL_POOL_WALLS_H
#define COMFYPOOL_POOL_WALLS_H

#include <stdbool.h>

#include "comfypool/base/err.h"

struct pool;

/* Whether things of this client (NULL: of nobody) are seen there. */
bool wall_lets(const char *wall, const char *client);
/* ERR_NONE: there is such a job, active or ended, and it is seen there. The same of a batch, a
   delivery, an upload. */
enum err wall_job(struct pool *p, const char *wall, const char *id) MUST_CHECK;
enum err wall_batch(struct pool *p, const char *wall, const char *id) MUST_CHECK;
enum err wall_delivery(struct pool *p, const char *wall, const char *id) MUST_CHECK;
enum err wall_upload(struct pool *p, const char *wall, const char *sha256) MUST_CHECK;

#endif
