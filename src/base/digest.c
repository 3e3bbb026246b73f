/* SHA-256 and HMAC; see the header. */
#include "comfypool/base/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdlib.h>

static void write_hex(const unsigned char sum[SHA256_DIGEST_LENGTH], char ret[DIGEST_HEX_SIZE])
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < SHA256_DIGEST_LENGTH; i++) {
        ret[2 * i] = hex[sum[i] >> 4];
        ret[2 * i + 1] = hex[sum[i] & 15];
    }
    ret[2 * SHA256_DIGEST_LENGTH] = '\0';
}

void digest_sha256_hex(struct str s, char ret[DIGEST_HEX_SIZE])
{
    unsigned char sum[SHA256_DIGEST_LENGTH];
    (void)SHA256((const unsigned char *)(s.n == 0 ? "" : s.p), s.n, sum);
    write_hex(sum, ret);
}

struct digest {
    EVP_MD_CTX *ctx;
};

struct digest *digest_begin(void)
{
    struct digest *d = mem_alloc(sizeof *d);
    d->ctx = EVP_MD_CTX_new();
    if (d->ctx == NULL || EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL) != 1) {
        abort(); /* out of memory */
    }
    return d;
}

void digest_add(struct digest *d, struct str s)
{
    (void)EVP_DigestUpdate(d->ctx, s.n == 0 ? "" : s.p, s.n);
}

void digest_end(struct digest *d, char *ret)
{
    unsigned char sum[SHA256_DIGEST_LENGTH];
    (void)EVP_DigestFinal_ex(d->ctx, sum, NULL);
    if (ret != NULL) {
        write_hex(sum, ret);
    }
    EVP_MD_CTX_free(d->ctx);
    free(d);
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
