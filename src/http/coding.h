/* Compressed bodies. */
#ifndef COMFYPOOL_SRC_HTTP_CODING_H
#define COMFYPOOL_SRC_HTTP_CODING_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/err.h"

struct exchange;

/* True if the body's coding is supported; else sets x->problem. */
bool coding_check(struct exchange *x) MUST_CHECK;
/* Feeds bytes of a body with x->gunzip. False: the connection must be suspended until
   exchange_resume. May set x->problem. */
bool coding_feed(struct exchange *x, const char *bytes, size_t n);
/* Ends the body; may set x->problem. */
void coding_end(struct exchange *x);
void coding_free(struct exchange *x);

#endif
