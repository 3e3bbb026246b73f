/* GET /profiles. */
#ifndef COMFYPOOL_SRC_POOL_EXPORTS_H
#define COMFYPOOL_SRC_POOL_EXPORTS_H

#include "comfypool/http/http.h"

struct http_request;
struct pool;

void serve_export(struct pool *p, struct http_request *rq, struct http_ref x);

#endif
