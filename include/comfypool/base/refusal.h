/*
 * Why a request is refused: a code, words for people and, where a document was given, the place in
 * it. The rules fill it in; HTTP answers with it.
 */
#ifndef COMFYPOOL_BASE_REFUSAL_H
#define COMFYPOOL_BASE_REFUSAL_H

#include <stdbool.h>

#include "comfypool/base/err.h"

struct refusal {
    enum err code;    /* ERR_NONE: not refused */
    char *detail;     /* NULL: the code says it all */
    char pointer[64]; /* a JSON pointer (RFC 6901); "": none */
    int retry_after;  /* seconds; 0: unknown */
};

/* All of these set an empty refusal and return false. detail (copied) and pointer may be NULL. */
bool refusal_set(struct refusal *r, enum err code);
bool refusal_say(struct refusal *r, enum err code, const char *detail);
bool refusal_point(struct refusal *r, enum err code, const char *detail, const char *pointer);
bool refusal_wait(struct refusal *r, enum err code, const char *detail, int retry_after);
/* Frees what r points to; it may be set again. */
void refusal_done(struct refusal *r);

#endif
