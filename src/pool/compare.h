/* GET /profiles/compare. */
#ifndef COMFYPOOL_SRC_POOL_COMPARE_H
#define COMFYPOOL_SRC_POOL_COMPARE_H

#include "comfypool/http/http.h"

struct http_request;
struct pool;

void serve_compare(struct pool *p, struct http_request *rq, struct http_ref x);

#endif
