/* Backends, counters and health, as the API shows them. */
#ifndef COMFYPOOL_SRC_POOL_STATS_H
#define COMFYPOOL_SRC_POOL_STATS_H

#include "comfypool/http/http.h"

struct backend;
struct http_request;
struct js_out;
struct pool;

/* One backend as GET /backends shows it. */
void stats_render_backend(struct js_out *o, const struct backend *b);
void serve_backends(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_backend(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_stats(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_healthz(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_readyz(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_openapi(struct pool *p, struct http_request *rq, struct http_ref x);
/* Jobs ended in the last 60 s. */
unsigned stats_ended_last_minute(const struct pool *p);

#endif
