/* GET /profiles/summary. */
#ifndef COMFYPOOL_SRC_POOL_SUMMARY_H
#define COMFYPOOL_SRC_POOL_SUMMARY_H

#include "comfypool/http/http.h"

struct http_request;
struct pool;

void serve_summary(struct pool *p, struct http_request *rq, struct http_ref x);

#endif
