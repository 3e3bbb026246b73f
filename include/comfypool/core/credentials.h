/*
 * Account keys for API nodes, which clients send in a job's extra data. They are kept only while
 * attempts may come: cut out of the extra data, stored apart, and put back into what a server is
 * sent. Pure. Cost: one pass over the text.
 */
#ifndef COMFYPOOL_CORE_CREDENTIALS_H
#define COMFYPOOL_CORE_CREDENTIALS_H

#include <stdbool.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/str.h"

/* symbol, member of extra data. Bit positions are stored on disk. */
#define CREDENTIAL_TABLE(X)                                                                        \
    X(CREDENTIAL_API_KEY, "api_key_comfy_org")                                                     \
    X(CREDENTIAL_AUTH_TOKEN, "auth_token_comfy_org")

enum credential {
#define X(symbol, name) symbol,
    CREDENTIAL_TABLE(X)
#undef X
        CREDENTIAL_COUNT
};

/* In a job's bits (1u << credential each): its end removed the keys. */
enum { CREDENTIALS_GONE = 1 << 30 };

/* Returns the member's name. Static. */
const char *credential_name(enum credential c);
/* Returns those present, 1u << credential each; null and "" count as absent. A text that is no
   object has none. */
unsigned credentials_in(struct str extra_data);
/* Appends the text with null in place of each key to rest, and an object of the keys to keys.
   Returns the bits found; when 0, keys gets nothing. */
unsigned credentials_cut(struct str extra_data, struct buf *rest, struct buf *keys);
/* Appends the text with the keys (an object, leading blanks allowed; n == 0: none) in their places,
   or at its end. extra_data n == 0: the keys alone. */
void credentials_join(struct str extra_data, struct str keys, struct buf *out);
/* True if every other member of `given` is in extra_data (n == 0: there is none) too, with the same
   text; else appends the name of one that is not to ret_other. Both texts were checked. */
bool credentials_are_all(struct str given, struct str extra_data, struct buf *ret_other);

#endif
