/*
 * Splits http and https URLs with the library that also connects to them, so that what was checked
 * is what is used.
 */
#ifndef COMFYPOOL_LOOP_URL_H
#define COMFYPOOL_LOOP_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/err.h"

struct url_parts {
    bool tls;
    char *host; /* IPv6 in brackets; as the library understood it: 127.1 is 127.0.0.1 */
    int port;
    char *path;        /* "/" at least */
    char *credentials; /* "user:password", or NULL */
    bool has_more;     /* a query or a fragment */
};

/* Parses a URL. False with a message for people: not a URL, another scheme, or no host. Owner of
 *ret: the caller, by url_parts_done, also after false. */
bool url_read(const char *url, struct url_parts *ret, char *why, size_t why_size) MUST_CHECK;
void url_parts_done(struct url_parts *u);

#endif
