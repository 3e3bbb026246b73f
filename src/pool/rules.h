/* Rules of the configuration: where jobs may go, and where they should go. */
#ifndef COMFYPOOL_SRC_POOL_RULES_H
#define COMFYPOOL_SRC_POOL_RULES_H

#include <stdbool.h>

struct pool;
struct job_options;

/* rules_allow: no hard rule bars the backend for such a job. rules_prefer: a soft rule prefers it.
 */
bool rules_allow(const struct pool *p, const char *hash, const char *metadata,
                 const struct job_options *spec, const char *backend);
bool rules_prefer(const struct pool *p, const char *hash, const char *metadata,
                  const struct job_options *spec, const char *backend);

#endif
