/*
 * The account keys of API nodes, which clients send in a job's extra data: needed while attempts
 * may come, and no longer. They are cut out of the extra data, kept apart, and put back into what a
 * server is sent. Pure. Cost: one pass over the text.
 */
#ifndef COMFYPOOL_CORE_CREDENTIALS_H
#define COMFYPOOL_CORE_CREDENTIALS_H

#include <stdbool.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/str.h"

/* symbol, member of extra data. The places of the bits are on disk. */
#define CREDENTIAL_TABLE(X)                                                                        \
    X(CREDENTIAL_API_KEY, "api_key_comfy_org")                                                     \
    X(CREDENTIAL_AUTH_TOKEN, "auth_token_comfy_org")

enum credential {
#define X(symbol, name) symbol,
    CREDENTIAL_TABLE(X)
#undef X
        CREDENTIAL_COUNT
};

/* Of a job: 1u << credential each that it was sent with, and this when its end has removed them. */
enum { CREDENTIALS_GONE = 1 << 30 };

/* The member's name. Static. */
const char *credential_name(enum credential c);
/* Which there are, 1u << credential each; null and "" are none. A text that is no object has none.
 */
unsigned credentials_in(struct str extra_data);
/* Appends the text with null for each of them to rest, and an object of them to keys. Returns which
   there were; then nothing is appended to keys when it is 0. */
unsigned credentials_cut(struct str extra_data, struct buf *rest, struct buf *keys);
/* Appends the text with the keys (an object, blanks before it; n == 0: none) in their places, or at
   its end. extra_data n == 0: the keys alone. */
void credentials_join(struct str extra_data, struct str keys, struct buf *out);
/* Whether every other member of `given` is in extra_data (n == 0: there is none) as well, with the
   same text; else the name of one that is not is appended to ret_other. Both texts were checked. */
bool credentials_are_all(struct str given, struct str extra_data, struct buf *ret_other);

#endif
