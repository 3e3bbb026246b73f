/* GET /events: its readers. */
#ifndef COMFYPOOL_SRC_POOL_STREAMS_H
#define COMFYPOOL_SRC_POOL_STREAMS_H

#include "comfypool/http/http.h"

struct http_request;
struct pool;

void serve_events(struct pool *p, struct http_request *rq, struct http_ref x);

#endif
