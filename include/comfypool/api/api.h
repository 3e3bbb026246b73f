/*
 * Our REST API over the pool: its routes and answers, described in api/openapi.yaml. All on the
 * loop thread.
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
    bool shared; /* tokens of role submit see and change all clients' things, not only their own */
};

/* All arguments are borrowed until api_close. */
struct api *api_new(uv_loop_t *loop, struct pool *pool, struct store *store,
                    const struct api_options *options);
/* Sets the server for answers; call before the first request. NULL: requests are no longer
   answered. */
void api_set_server(struct api *a, struct http_server *server);
/* Returns the family of routes, which lives as long as the api. */
const struct http_family *api_family(const struct api *a);
/* Ends all event streams; their clients reconnect. */
void api_end_streams(struct api *a);
/* Frees everything (handles once the loop has run their close callbacks). Call after the server was
   closed, and before pool_close. */
void api_close(struct api *a);

#endif
