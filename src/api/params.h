/* Parameters of queries and paths; a route's row lists its own. */
#ifndef COMFYPOOL_SRC_API_PARAMS_H
#define COMFYPOOL_SRC_API_PARAMS_H

#include <stddef.h>

#include "comfypool/http/routes.h"

/* Makes the list of a row, in the order shown to people. */
#define PARAMS(...) ((const struct http_param *const[]){__VA_ARGS__, NULL})

extern const struct http_param param_limit, param_cursor, param_state, param_traceback, param_live,
    param_types, param_previews, param_since, param_until, param_hash, param_backend, param_base,
    param_target, param_runs, param_group_by, param_delivery_state, param_dry_run, param_batch;

extern const struct http_segment api_segments[];
extern const size_t api_segments_len;

#endif
