/* Deliveries of webhooks that were not taken, and giving them again. */
#ifndef COMFYPOOL_SRC_POOL_DELIVERIES_H
#define COMFYPOOL_SRC_POOL_DELIVERIES_H

#include "comfypool/http/http.h"

struct http_request;
struct pool;

void serve_deliveries(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_redeliver(struct pool *p, struct http_request *rq, struct http_ref x);

#endif
