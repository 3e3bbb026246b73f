/* Base64; see the header. libcrypto is lenient about blanks and padding, so input is checked
   first. */
#include "comfypool/base/base64.h"

#include <limits.h>
#include <openssl/evp.h>

enum { PIECE = 3 << 20 }; /* bytes a piece: a multiple of three that fits an int */

void base64_write(struct buf *out, struct str bytes)
{
    for (size_t at = 0; at < bytes.n; at += PIECE) {
        const size_t n = bytes.n - at < PIECE ? bytes.n - at : PIECE;
        char *to = buf_reserve(out, (n + 2) / 3 * 4 + 1);
        if (to == NULL) {
            return;
        }
        out->len += (size_t)EVP_EncodeBlock((unsigned char *)to,
                                            (const unsigned char *)bytes.p + at, (int)n);
    }
}

static bool is_digit(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/';
}

bool base64_read(struct str text, struct buf *out)
{
    if (text.n % 4 != 0 || text.n > INT_MAX) {
        return false;
    }
    size_t padding = 0;
    while (padding < 2 && padding < text.n && text.p[text.n - 1 - padding] == '=') {
        padding++;
    }
    for (size_t i = 0; i + padding < text.n; i++) {
        if (!is_digit(text.p[i])) {
            return false;
        }
    }
    char *to = text.n == 0 ? NULL : buf_reserve(out, text.n / 4 * 3);
    if (to != NULL) {
        const int n =
            EVP_DecodeBlock((unsigned char *)to, (const unsigned char *)text.p, (int)text.n);
        out->len += n < 0 ? 0 : (size_t)n - padding;
    }
    return true;
}
