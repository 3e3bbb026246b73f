/* Access rules. */
#ifndef COMFYPOOL_SRC_HTTP_ACCESS_H
#define COMFYPOOL_SRC_HTTP_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "comfypool/base/err.h"
#include "comfypool/base/str.h"
#include "comfypool/core/token.h"
#include "comfypool/http/problem.h"
#include "comfypool/http/routes.h"

#include "headers.h"

/* One end of a connection. */
struct net_address {
    sa_family_t family;      /* AF_INET, AF_INET6, AF_UNIX; 0: unknown */
    unsigned char bytes[16]; /* 4 used, 16, or none */
};

/* Reads an address; IPv4 in IPv6 becomes IPv4. */
void net_address_read(const struct sockaddr *from, struct net_address *ret);
bool net_address_is_loopback(const struct net_address *a);

/* The facts that the rules judge. */
struct visitor {
    const struct headers *headers;
    struct str authority;            /* of a target in absolute form */
    const struct net_address *local; /* our end of the connection */
    const struct http_route *route;  /* NULL: not found */
};

/* Checks the Host: a loopback name, the local address or an allowed one; probes may use any. */
bool access_check_host(const struct visitor *v, const char *const *allowed,
                       struct problem *p) MUST_CHECK;
/* Refuses foreign web pages. *ret_cors: the origin (as sent) that an answer must name, or n ==
   0. */
bool access_check_origin(const struct visitor *v, const char *const *allowed, struct str *ret_cors,
                         struct problem *p) MUST_CHECK;
/* Checks that the token is known and its role sufficient. No tokens at all: anyone is let in. */
bool access_check_token(const struct visitor *v, const struct token *tokens, size_t n,
                        char ret_caller[CALLER_SIZE], enum role *ret_role,
                        struct problem *p) MUST_CHECK;
/* Rechecks a caller let in before under a name and role: the token must still grant the same. */
bool access_check_again(const struct visitor *v, const struct token *tokens, size_t n,
                        const char *caller, enum role role, struct problem *p) MUST_CHECK;

#endif
