/* Kinds of request bodies; a route's row names its own. */
#ifndef COMFYPOOL_SRC_API_BODIES_H
#define COMFYPOOL_SRC_API_BODIES_H

#include "comfypool/http/routes.h"

extern const struct http_body body_submission, body_batch, body_change, body_retry, body_backend,
    body_backend_change, body_file;
/* An empty body, or {}. */
extern const struct http_body body_nothing;

#endif
