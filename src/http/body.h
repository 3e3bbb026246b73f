/* The complete body of a request. */
#ifndef COMFYPOOL_SRC_HTTP_BODY_H
#define COMFYPOOL_SRC_HTTP_BODY_H

#include <stdbool.h>

#include "comfypool/base/err.h"
#include "comfypool/base/str.h"
#include "comfypool/http/http.h"
#include "comfypool/http/problem.h"

/* Returns the body of a route; NULL: unknown. */
enum http_body_kind body_kind(const struct http_route *route);
/* True if the body is collected; else it is discarded, or goes to a file. */
bool body_is_read(const struct http_route *route);
/* True if its content type must be JSON's, unless it is a form. */
bool body_is_json(const struct http_route *route);
/* Checks the body of rq->route, into rq->args. */
bool body_read(struct str body, struct http_request *rq, struct problem *p) MUST_CHECK;

#endif
