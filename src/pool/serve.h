/* One function a route, and what they share. */
#ifndef COMFYPOOL_SRC_POOL_SERVE_H
#define COMFYPOOL_SRC_POOL_SERVE_H

#include <stdbool.h>

#include "comfypool/base/err.h"
#include "comfypool/base/str.h"
#include "comfypool/http/http.h"

struct buf;
struct http_request;
struct job;
struct pool;

typedef void (*route_fn)(struct pool *p, struct http_request *rq, struct http_ref x);

/* Answers with a problem of this code, in words of its own where it has some. */
void serve_problem(struct pool *p, struct http_ref x, enum err e);
/* Answers with the Job; active_status is 200, or 202 for a submission whose job goes on. */
void serve_answer_job(struct pool *p, struct http_request *rq, struct http_ref x, struct str id,
                      unsigned active_status);
/* The Job's JSON of an active job. */
void serve_render_active(struct job *j, bool traceback, struct buf *out);
/* The Job's JSON of any job, without its profile; null when there is none (any more). */
void serve_render_job(struct pool *p, struct str id, struct buf *out);

/* ERR_NONE when there is such a job, active or ended. */
enum err serve_is_stored(struct pool *p, const char *id);

struct str serve_id(const char *id);
/* A cancel of a job that has not ended; noted once. */
void serve_request_cancel(struct job *j);

#endif
