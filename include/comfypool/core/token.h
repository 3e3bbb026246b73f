/* Permissions: roles, and the bearer tokens that grant them. */
#ifndef COMFYPOOL_CORE_TOKEN_H
#define COMFYPOOL_CORE_TOKEN_H

#include "comfypool/base/digest.h"

/* A caller's permissions; each role includes those before it. ROLE_ANYBODY needs no token. */
enum role { ROLE_ANYBODY, ROLE_READ, ROLE_SUBMIT, ROLE_OPERATE };

enum { CALLER_SIZE = 101 };

/* One bearer token, by its hash. */
struct token {
    char name[CALLER_SIZE];
    enum role role;
    char sha256[DIGEST_HEX_SIZE];
};

#endif
