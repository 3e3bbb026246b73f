/* The beginning of an attempt: intent stored, files sent, prompt POSTed. */
#ifndef COMFYPOOL_SRC_POOL_ATTEMPT_BEGIN_H
#define COMFYPOOL_SRC_POOL_ATTEMPT_BEGIN_H

#include <stdbool.h>

struct attempt;
struct attempt_record;
struct backend;
struct job;

/* Gives a queued job to this backend: stores the intent; the rest follows by callbacks. */
void attempt_begin(struct job *j, struct backend *b);
/* Takes over an attempt from before a restart, on the backend that it ran on. False: the job's
   workflow cannot be read; *take is untouched. */
bool attempt_adopt(struct job *j, struct backend *b, struct attempt_record *take);

#endif
