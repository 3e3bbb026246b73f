/* Parses a multipart/form-data body as it comes. */
#ifndef COMFYPOOL_SRC_HTTP_MULTIPART_H
#define COMFYPOOL_SRC_HTTP_MULTIPART_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/str.h"

struct multipart;

struct multipart_ops {
    /* A part begins. False, with *ret_why (static), ends everything. */
    bool (*begin)(void *ctx, struct str name, bool is_file, struct str filename,
                  const char **ret_why);
    void (*data)(void *ctx, const char *bytes, size_t n);
    void (*end)(void *ctx);
};

/* NULL: the content type has no valid boundary. */
struct multipart *multipart_new(struct str content_type, const struct multipart_ops *ops,
                                void *ctx);
void multipart_free(struct multipart *m);
/* False: invalid, and why (static, for people). */
bool multipart_feed(struct multipart *m, const char *bytes, size_t n, const char **ret_why);
/* True after the last boundary. */
bool multipart_is_whole(const struct multipart *m);

#endif
