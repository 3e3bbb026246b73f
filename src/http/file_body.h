/* Bodies streamed to files. */
#ifndef COMFYPOOL_SRC_HTTP_FILE_BODY_H
#define COMFYPOOL_SRC_HTTP_FILE_BODY_H

#include <stdbool.h>
#include <stddef.h>

struct exchange;

/* True if this request's body goes to files. */
bool file_body_is(const struct exchange *x);
/* May set x->problem. False: the body is not needed. */
bool file_body_begin(struct exchange *x);
/* False: the connection must be suspended until exchange_resume. May set x->problem. */
bool file_body_feed(struct exchange *x, const char *bytes, size_t n);
/* Ends the body. False: files are being kept, the connection must be suspended. */
bool file_body_end(struct exchange *x);
/* Gives the files of a refused request back. */
void file_body_refused(struct exchange *x);
void file_body_free(struct exchange *x);

#endif
