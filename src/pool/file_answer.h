/* Answers that are files. */
#ifndef COMFYPOOL_SRC_POOL_FILE_ANSWER_H
#define COMFYPOOL_SRC_POOL_FILE_ANSWER_H

#include <stdint.h>

#include "comfypool/http/http.h"

struct http_answer;
struct http_request;
struct pool;

/* Answers with a file of ours (its descriptor is taken), or the part that is asked for; status,
   ETag and ranges of `a` are set here. */
void file_answer(struct pool *p, const struct http_request *rq, struct http_ref x, int fd,
                 uint64_t size, const char *sha256, struct http_answer *a);

#endif
