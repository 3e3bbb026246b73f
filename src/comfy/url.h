/* A backend's URL in parts. */
#ifndef COMFYPOOL_SRC_COMFY_URL_H
#define COMFYPOOL_SRC_COMFY_URL_H

#include <stdbool.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/err.h"

struct comfy_address {
    bool tls;
    char *host; /* with brackets when it is an IPv6 address */
    int port;
    char *prefix;      /* path prefix without a slash at its end */
    char *credentials; /* "user:password", or NULL */
};

bool comfy_address_read(const char *url, struct comfy_address *ret, char *why,
                        size_t why_size) MUST_CHECK;
void comfy_address_done(struct comfy_address *a);
/* "http://host:port/prefix", without credentials. */
void comfy_address_base(const struct comfy_address *a, struct buf *out);

#endif
