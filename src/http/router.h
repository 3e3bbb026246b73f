/* From a request line to a row of a table. */
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
    const struct http_route *route; /* NULL: none was found, or it is OPTIONS */
    bool head;
    bool options;         /* OPTIONS of a path that there is: allow says the rest */
    void *args;           /* with what the path says; NULL without a route. Owner: the caller */
    struct str authority; /* of a target in absolute form; n == 0: none */
    struct str query;     /* inside the target; n == 0: none */
    char allow[64];       /* with ERR_METHOD_NOT_ALLOWED and options */
};

/* Finds the route of a raw request target. families as in http_options. On false p says why: 404,
   405, or what a parameter of the path names is not there. */
bool router_match(const struct http_family *const *families, struct str method, struct str target,
                  struct match *ret, struct problem *p) MUST_CHECK;
/* NULL does nothing. */
void match_args_free(const struct http_family *f, void *args);

#endif
