/* The beginning of an attempt: its intent is stored, its files are sent, its prompt is POSTed. */
#ifndef COMFYPOOL_SRC_POOL_ATTEMPT_BEGIN_H
#define COMFYPOOL_SRC_POOL_ATTEMPT_BEGIN_H

#include <stdbool.h>

struct attempt;
struct attempt_record;
struct backend;
struct job;

/* A job that was queued goes to this backend: its intent is stored, the rest follows. */
void attempt_begin(struct job *j, struct backend *b);
/* An attempt from before a restart, on the backend that it ran on. False: its job cannot be read,
   and nothing was taken. */
bool attempt_adopt(struct job *j, struct backend *b, struct attempt_record *take);

#endif
