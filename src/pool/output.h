/* Routes that give the bytes of outputs and previews. */
#ifndef COMFYPOOL_SRC_POOL_OUTPUT_H
#define COMFYPOOL_SRC_POOL_OUTPUT_H

#include "comfypool/http/http.h"

struct http_request;
struct pool;

void serve_output(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_preview(struct pool *p, struct http_request *rq, struct http_ref x);

#endif
