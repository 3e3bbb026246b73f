/* A backend's URL in parts. */
#ifndef COMFYPOOL_SRC_COMFY_URL_H
#define COMFYPOOL_SRC_COMFY_URL_H

#include <stdbool.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/err.h"
#include "comfypool/loop/url.h"

/* Reads a URL; its path is a prefix, without a slash at its end. Owner: the caller, by
   url_parts_done. */
bool comfy_address_read(const char *url, struct url_parts *ret, char *why,
                        size_t why_size) MUST_CHECK;
/* Appends "http://host:port/prefix", without credentials. */
void comfy_address_base(const struct url_parts *a, struct buf *out);

#endif
