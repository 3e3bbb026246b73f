/* Jobs that leave a backend to others, since it was sick when they tried it. */
#ifndef COMFYPOOL_SRC_POOL_SHUN_H
#define COMFYPOOL_SRC_POOL_SHUN_H

#include <stdbool.h>

struct backend;
struct job;

/* It tried that backend: others go there first from now on. */
void shun_begin(struct job *j, const struct backend *b);
void shun_leave(struct job *j);
bool shun_bars(const struct job *j, const struct backend *b);
/* Of the jobs that shun it and could go there: the one that tried it longest ago, or NULL. */
struct job *shun_first(const struct backend *b);

#endif
