/*
 * Our REST API over the pool: its routes, and what each answers. api/openapi.yaml describes it. All
 * on the loop thread.
 */
#ifndef COMFYPOOL_API_API_H
#define COMFYPOOL_API_API_H

#include <stdbool.h>
#include <uv.h>

#include "comfypool/http/http.h"

struct api;
struct pool;
struct store;

struct api_options {
    const char *version; /* of the daemon */
    bool shared; /* tokens of role submit see and touch everybody's things, not only their own */
};

/* Everything is borrowed until api_close. */
struct api *api_new(uv_loop_t *loop, struct pool *pool, struct store *store,
                    const struct api_options *options);
/* Where answers go; before the first request. NULL: nobody is answered any more. */
void api_set_server(struct api *a, struct http_server *server);
/* Its routes; it lives as long as the api. */
const struct http_family *api_family(const struct api *a);
/* Ends all event streams; their clients come back. */
void api_end_streams(struct api *a);
/* Frees everything (handles when the loop has run their close callbacks). After the server was
   closed, and before pool_close. */
void api_close(struct api *a);

#endif
