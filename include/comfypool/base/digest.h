/* SHA-256, and HMAC with it (RFC 2104), by libcrypto. */
#ifndef COMFYPOOL_BASE_DIGEST_H
#define COMFYPOOL_BASE_DIGEST_H

#include <stdbool.h>

#include "comfypool/base/str.h"

enum { DIGEST_HEX_SIZE = 65 };

/* The lowercase hex SHA-256 of s, terminated. */
void digest_sha256_hex(struct str s, char ret[DIGEST_HEX_SIZE]);

/* SHA-256 of text that comes in pieces. */
struct digest;
struct digest *digest_begin(void);
void digest_add(struct digest *d, struct str s);
/* Frees d. ret may be NULL: no digest wanted. */
void digest_end(struct digest *d, char *ret);

enum { DIGEST_SIZE = 32 };

/* The HMAC-SHA256 of text under key. */
void digest_hmac_sha256(struct str key, struct str text, unsigned char ret[DIGEST_SIZE]);

/* Compares two hex digests in constant time. */
bool digest_hex_equal(const char a[DIGEST_HEX_SIZE], const char b[DIGEST_HEX_SIZE]);

#endif
