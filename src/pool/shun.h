/* Jobs that leave a backend to others, because it was sick when they tried it. */
#ifndef COMFYPOOL_SRC_POOL_SHUN_H
#define COMFYPOOL_SRC_POOL_SHUN_H

#include <stdbool.h>

struct backend;
struct job;

/* Makes the job shun the backend: others go there first. */
void shun_begin(struct job *j, const struct backend *b);
void shun_leave(struct job *j);
bool shun_bars(const struct job *j, const struct backend *b);
/* Returns the job that shuns it, could go there and tried it longest ago; or NULL. */
struct job *shun_first(const struct backend *b);

#endif
