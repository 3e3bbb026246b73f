/* Routing of a request line. */
#ifndef COMFYPOOL_SRC_HTTP_ROUTER_H
#define COMFYPOOL_SRC_HTTP_ROUTER_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/err.h"
#include "comfypool/base/str.h"
#include "comfypool/http/problem.h"
#include "comfypool/http/routes.h"

struct match {
    const struct http_family *family;
    const struct http_route *route; /* NULL: not found, or OPTIONS */
    bool head;
    bool options;         /* OPTIONS of an existing path: see allow */
    void *args;           /* filled from the path; NULL without a route. Owner: the caller */
    struct str authority; /* of a target in absolute form; n == 0: none */
    struct str query;     /* inside the target; n == 0: none */
    char allow[64];       /* set with ERR_METHOD_NOT_ALLOWED and options */
};

/* Finds the route of a raw request target. families as in http_options. On false p says why: 404,
   405, or what the path names does not exist. */
bool router_match(const struct http_family *const *families, struct str method, struct str target,
                  struct match *ret, struct problem *p) MUST_CHECK;
/* args may be NULL. */
void match_args_free(const struct http_family *f, void *args);

#endif
