/* Routes of people who operate: backends, the queue, changes to jobs. */
#ifndef COMFYPOOL_SRC_POOL_OPERATE_H
#define COMFYPOOL_SRC_POOL_OPERATE_H

#include "comfypool/http/http.h"

struct http_request;
struct pool;

void serve_backend_add(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_backend_change(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_backend_remove(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_backend_admin(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_backend_refresh(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_queue_pause(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_change(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_retry(struct pool *p, struct http_request *rq, struct http_ref x);

#endif
