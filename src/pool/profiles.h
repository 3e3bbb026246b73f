/* Routes of profiles: of a job, live ones, of an attempt; traces. */
#ifndef COMFYPOOL_SRC_POOL_PROFILES_H
#define COMFYPOOL_SRC_POOL_PROFILES_H

#include <stddef.h>

#include "comfypool/http/http.h"

struct http_request;
struct job_record;
struct pool;
struct render_trace;
struct str;

void serve_profile(struct pool *p, struct http_request *rq, struct http_ref x);
void serve_attempt_profile(struct pool *p, struct http_request *rq, struct http_ref x);
/* A job and its profiles as a trace; everything is borrowed. */
void profiles_render_trace(struct pool *p, const struct job_record *r, const struct str *profiles,
                           size_t len, struct render_trace *ret);

#endif
