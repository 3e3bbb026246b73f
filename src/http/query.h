/* The query string of a request. */
#ifndef COMFYPOOL_SRC_HTTP_QUERY_H
#define COMFYPOOL_SRC_HTTP_QUERY_H

#include <stdbool.h>
#include <stdint.h>

#include "comfypool/base/err.h"
#include "comfypool/base/str.h"
#include "comfypool/http/http.h"
#include "comfypool/http/problem.h"

#include "headers.h"

enum { MAX_WAIT_S = 300 };

/* Reads seconds, digits only; at most MAX_WAIT_S. */
bool query_read_wait(struct str value, int64_t *ret_seconds);
/* Fills rq and its arguments from the query string and, for what it lacks, from the headers.
   rq->route and rq->args are set. *ret_preferred: the wait came from Prefer. */
bool query_parse(struct str query, const struct headers *h, struct http_request *rq,
                 bool *ret_preferred, struct problem *p) MUST_CHECK;

#endif
