/* Bodies that go to files as they come. */
#ifndef COMFYPOOL_SRC_HTTP_FILE_BODY_H
#define COMFYPOOL_SRC_HTTP_FILE_BODY_H

#include <stdbool.h>
#include <stddef.h>

struct exchange;

/* True when the body of this request does so. */
bool file_body_is(const struct exchange *x);
/* May set x->problem. False: the body need not come. */
bool file_body_begin(struct exchange *x);
/* False: the connection must be suspended until exchange_resume. May set x->problem. */
bool file_body_feed(struct exchange *x, const char *bytes, size_t n);
/* Everything has come. False: files are being kept, the connection must be suspended. */
bool file_body_end(struct exchange *x);
/* The request is refused: its files are not wanted. */
void file_body_refused(struct exchange *x);
void file_body_free(struct exchange *x);

#endif
