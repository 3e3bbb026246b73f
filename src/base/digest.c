/* SHA-256 and HMAC; see the header. */
#include "comfypool/base/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

void digest_sha256_hex(struct str s, char ret[DIGEST_HEX_SIZE])
{
    static const char hex[] = "0123456789abcdef";
    unsigned char sum[SHA256_DIGEST_LENGTH];
    (void)SHA256((const unsigned char *)(s.n == 0 ? "" : s.p), s.n, sum);
    for (size_t i = 0; i < sizeof sum; i++) {
        ret[2 * i] = hex[sum[i] >> 4];
        ret[2 * i + 1] = hex[sum[i] & 15];
    }
    ret[2 * sizeof sum] = '\0';
}

void digest_hmac_sha256(struct str key, struct str text, unsigned char ret[DIGEST_SIZE])
{
    (void)HMAC(EVP_sha256(), key.n == 0 ? "" : key.p, (int)key.n,
               (const unsigned char *)(text.n == 0 ? "" : text.p), text.n, ret, NULL);
}

bool digest_hex_equal(const char a[DIGEST_HEX_SIZE], const char b[DIGEST_HEX_SIZE])
{
    return CRYPTO_memcmp(a, b, DIGEST_HEX_SIZE) == 0;
}
