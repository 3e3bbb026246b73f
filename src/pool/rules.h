/* Rules of the configuration: which jobs may go where, and where they had better go. */
#ifndef COMFYPOOL_SRC_POOL_RULES_H
#define COMFYPOOL_SRC_POOL_RULES_H

#include <stdbool.h>

struct pool;
struct job_options;

/* No hard rule keeps such a job from the backend; a soft one prefers it. */
bool rules_allow(const struct pool *p, const char *hash, const char *metadata,
                 const struct job_options *spec, const char *backend);
bool rules_prefer(const struct pool *p, const char *hash, const char *metadata,
                  const struct job_options *spec, const char *backend);

#endif
