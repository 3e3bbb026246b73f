/* Lookup of ended jobs for requests. */
#ifndef COMFYPOOL_SRC_API_FOUND_H
#define COMFYPOOL_SRC_API_FOUND_H

#include <stdbool.h>

#include "comfypool/http/http.h"
#include "comfypool/store/finds.h"

struct api;

/* Continues a request once its job was read: rq is open, and the job is not active, unless
   active_too. */
typedef void (*api_found_fn)(struct api *a, struct http_request *rq, struct http_ref x,
                             const struct store_found *f);

struct api_find {
    unsigned wants;
    unsigned attempt; /* see store_wish */
    bool active_too;  /* the wanted parts are in the store, whether the job is active or not */
    api_found_fn found;
};

/* Reads a job from the store. If it has become active meanwhile, serves the request again, from
   memory. */
void api_find_job(struct api *a, struct http_request *rq, struct http_ref x, const char *id,
                  const struct api_find *find);

#endif
