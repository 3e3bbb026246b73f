/* Who may come in. */
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

/* An end of a connection. */
struct net_address {
    sa_family_t family;      /* AF_INET, AF_INET6, AF_UNIX; 0: not known */
    unsigned char bytes[16]; /* 4 of them, 16, none */
};

/* IPv4 in IPv6 becomes IPv4. */
void net_address_read(const struct sockaddr *from, struct net_address *ret);
bool net_address_is_loopback(const struct net_address *a);

/* What the rules are about. */
struct visitor {
    const struct headers *headers;
    struct str authority;            /* of a target in absolute form */
    const struct net_address *local; /* the connection's own end */
    const struct http_route *route;  /* NULL: none was found */
};

/* The Host must be a loopback name, the local address or an allowed one; probes may use any. */
bool access_check_host(const struct visitor *v, const char *const *allowed,
                       struct problem *p) MUST_CHECK;
/* Foreign web pages stay out. *ret_cors: the origin (as sent) that an answer must name, or n == 0.
 */
bool access_check_origin(const struct visitor *v, const char *const *allowed, struct str *ret_cors,
                         struct problem *p) MUST_CHECK;
/* The token must be known and its role large enough. No token at all: everybody may come in. */
bool access_check_token(const struct visitor *v, const struct token *tokens, size_t n,
                        char ret_caller[CALLER_SIZE], enum role *ret_role,
                        struct problem *p) MUST_CHECK;
/* The same for somebody who came in under a name and a role before: the token must let in to the
   same things. */
bool access_check_again(const struct visitor *v, const struct token *tokens, size_t n,
                        const char *caller, enum role role, struct problem *p) MUST_CHECK;

#endif
