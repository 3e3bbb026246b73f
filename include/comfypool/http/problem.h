/* A refusal found while reading a request. */
#ifndef COMFYPOOL_HTTP_PROBLEM_H
#define COMFYPOOL_HTTP_PROBLEM_H

#include <stdbool.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/err.h"

struct problem {
    enum err code;               /* ERR_NONE: no problem */
    unsigned status;             /* 0: the code's own */
    bool close;                  /* end the connection: its framing cannot be trusted */
    int retry_after;             /* 0: none */
    const char *authenticate;    /* WWW-Authenticate; static, or NULL */
    const char *content_range;   /* or NULL */
    const char *accept_encoding; /* Accept-Encoding; static, or NULL */
    bool has_pointer;
    struct buf pointer;
    struct buf detail;
};

void problem_init(struct problem *p);
void problem_done(struct problem *p);
/* Sets a problem, unless set already; returns false. */
bool problem_set(struct problem *p, enum err code, const char *detail, ...)
    __attribute__((format(printf, 3, 4)));

#endif
