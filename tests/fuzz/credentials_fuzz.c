/*
 * Extra data, checked or not: what is cut out of it has no key any more, and what is put back makes
 * it what it was.
 */
#include "fuzz.h"

#include <stdlib.h>

#include "comfypool/base/json_read.h"
#include "comfypool/core/credentials.h"

int fuzz_credentials(const uint8_t *data, size_t size)
{
    const struct str text = {(const char *)data, size};
    AUTO_BUF struct buf rest;
    AUTO_BUF struct buf keys;
    AUTO_BUF struct buf whole;
    AUTO_BUF struct buf other;
    buf_init(&rest, BUF_NO_LIMIT);
    buf_init(&keys, BUF_NO_LIMIT);
    buf_init(&whole, BUF_NO_LIMIT);
    buf_init(&other, BUF_NO_LIMIT);
    size_t at = 0;
    const char *why = NULL;
    const unsigned found = credentials_cut(text, &rest, &keys);
    if (!js_check(text, 64, &at, &why)) {
        return 0; /* nothing but safe */
    }
    credentials_join(buf_str(&rest), buf_str(&keys), &whole);
    if (found != credentials_in(text) || credentials_in(buf_str(&rest)) != 0 ||
        credentials_in(buf_str(&keys)) != found || !str_eq(buf_str(&whole), text)) {
        abort();
    }
    if (size > 0 && data[0] == '{' && !credentials_are_all(text, buf_str(&rest), &other)) {
        abort();
    }
    return 0;
}
