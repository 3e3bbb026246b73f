/* POST /jobs, and what it shares with POST /batches. */
#ifndef COMFYPOOL_SRC_POOL_SUBMIT_H
#define COMFYPOOL_SRC_POOL_SUBMIT_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/http/http.h"

struct http_request;
struct pool;

/* True when so many more jobs would be beyond queue.limit, or jobs.maxPerClient: the request is
   then answered. */
bool serve_queue_is_full(struct pool *p, size_t more, struct http_ref x);
bool serve_client_is_full(struct pool *p, const char *client, size_t more, struct http_ref x);
/* The jobs that it is to follow are there; else the request is answered. */
bool serve_after(struct pool *p, const struct http_request *rq, struct http_ref x);
/* True when the request was answered (or is held) because of its key. */
bool serve_key_decides(struct pool *p, struct http_request *rq, struct http_ref x, const char *key);
/* Who it is for: the token's name, or what the body says. False: it may not say that, and the
   request is answered. */
bool serve_client(struct pool *p, struct http_request *rq, struct http_ref x);
/* An Idempotency-Key as the store has it. Owner: the caller; NULL: none was sent. */
char *serve_key(const struct http_request *rq);
/* Seconds until a place is free, by the rate at which jobs ended in the last minute. */
int serve_drain_seconds(const struct pool *p);
/* The address of its webhook may be told at once; else the request is answered. */
bool serve_may_call(struct pool *p, const struct http_request *rq, struct http_ref x);
void serve_submit(struct pool *p, struct http_request *rq, struct http_ref x);

#endif
