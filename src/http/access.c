/*
 * Access: the Host that a request names (a page whose name was rebound to this address names its
 * own), the Origin of web pages, and bearer tokens with their roles. It prevents the use of
 * people's browsers against the daemon and leaves encryption to a proxy. Nothing of a token is ever
 * logged. Pure. Cost: O(allowed names + tokens).
 */
#include "access.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#include "comfypool/base/digest.h"
#include "comfypool/base/text.h"
#include "comfypool/http/problem.h"

#include "headers.h"

/* ---- addresses ------------------------------------------------------------------------------- */

static void from_v6(const struct in6_addr *a, struct net_address *ret)
{
    if (IN6_IS_ADDR_V4MAPPED(a)) {
        *ret = (struct net_address){.family = AF_INET};
        memcpy(ret->bytes, a->s6_addr + 12, 4);
    } else {
        *ret = (struct net_address){.family = AF_INET6};
        memcpy(ret->bytes, a->s6_addr, 16);
    }
}

void net_address_read(const struct sockaddr *from, struct net_address *ret)
{
    *ret = (struct net_address){.family = from->sa_family};
    if (from->sa_family == AF_INET) {
        memcpy(ret->bytes, &((const struct sockaddr_in *)(const void *)from)->sin_addr, 4);
    } else if (from->sa_family == AF_INET6) {
        from_v6(&((const struct sockaddr_in6 *)(const void *)from)->sin6_addr, ret);
    }
}

bool net_address_is_loopback(const struct net_address *a)
{
    static const unsigned char one[16] = {[15] = 1};
    return (a->family == AF_INET && a->bytes[0] == 127) ||
           (a->family == AF_INET6 && memcmp(a->bytes, one, 16) == 0);
}

/* Reads "127.0.0.1" or "[::1]". */
static bool read_literal(struct str host, struct net_address *ret)
{
    char text[INET6_ADDRSTRLEN];
    unsigned char bytes[16];
    const bool v6 = host.n > 2 && host.p[0] == '[';
    const struct str inner = v6 ? (struct str){host.p + 1, host.n - 2} : host;
    if (inner.n >= sizeof text) {
        return false;
    }
    memcpy(text, inner.p, inner.n);
    text[inner.n] = '\0';
    if (inet_pton(v6 ? AF_INET6 : AF_INET, text, bytes) != 1) {
        return false;
    }
    if (v6) {
        struct in6_addr a;
        memcpy(&a, bytes, 16);
        from_v6(&a, ret);
    } else {
        *ret = (struct net_address){.family = AF_INET};
        memcpy(ret->bytes, bytes, 4);
    }
    return true;
}

/* ---- Host ------------------------------------------------------------------------------------ */

static bool is_host_character(char c, bool literal)
{
    const char lower = (char)(c | 0x20);
    if (literal) {
        return (c >= '0' && c <= '9') || (lower >= 'a' && lower <= 'f') || c == ':' || c == '.';
    }
    return (c >= '0' && c <= '9') || (lower >= 'a' && lower <= 'z') ||
           (c != '\0' && strchr("-._~!$&'()*+;=%", c) != NULL);
}

/* Reads the host of "host", "host:port" or "[v6]:port"; false for anything else. */
static bool read_host(struct str text, struct str *ret)
{
    const bool literal = text.n > 0 && text.p[0] == '[';
    const char *close = literal ? memchr(text.p, ']', text.n) : NULL;
    if (literal && close == NULL) {
        return false;
    }
    const char *from = literal ? close : text.p;
    const char *colon = text.n == 0 ? NULL : memchr(from, ':', text.n - (size_t)(from - text.p));
    const size_t n = colon == NULL ? text.n : (size_t)(colon - text.p);
    *ret = (struct str){text.p, n};
    if (n == 0 || (literal && text.p[n - 1] != ']') || text.n - n > 6) {
        return false;
    }
    for (size_t i = literal ? 1 : 0; i < (literal ? n - 1 : n); i++) {
        if (!is_host_character(text.p[i], literal)) {
            return false;
        }
    }
    for (size_t i = n + 1; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9') {
            return false;
        }
    }
    return true;
}

static bool is_named(const char *const *list, struct str text)
{
    for (; list != NULL && *list != NULL; list++) {
        if (text_same_word(text, *list)) {
            return true;
        }
    }
    return false;
}

static bool host_is_ours(struct str host, const struct net_address *local,
                         const char *const *allowed)
{
    struct net_address a;
    if (text_same_word(host, "localhost") || is_named(allowed, host)) {
        return true;
    }
    return read_literal(host, &a) &&
           (net_address_is_loopback(&a) ||
            (a.family == local->family && memcmp(a.bytes, local->bytes, sizeof a.bytes) == 0));
}

static bool check_one_host(const struct visitor *v, struct str text, const char *const *allowed,
                           struct problem *p)
{
    struct str host;
    if (!read_host(text, &host)) {
        return problem_set(p, ERR_QUERY_INVALID, "Host: must be HOST or HOST:PORT");
    }
    if (v->local->family == AF_UNIX || host_is_ours(host, v->local, allowed)) {
        return true;
    }
    return problem_set(p, ERR_HOST_NOT_ALLOWED,
                       "%.*s is not served here; name it in http.allowedHosts if it should be",
                       host.n > 100 ? 100 : (int)host.n, host.p);
}

bool access_check_host(const struct visitor *v, const char *const *allowed, struct problem *p)
{
    if (v->route != NULL && (v->route->flags & HTTP_ANY_HOST) != 0) {
        return true;
    }
    if (v->authority.n > 0 && !check_one_host(v, v->authority, allowed, p)) {
        return false;
    }
    /* Optional in HTTP/1.0; no browser omits it. */
    return v->headers->of[HEADER_HOST].count == 0 ||
           check_one_host(v, headers_first(v->headers, HEADER_HOST), allowed, p);
}

/* ---- Origin ---------------------------------------------------------------------------------- */

static bool is_own(struct str origin, struct str host)
{
    static const struct str schemes[] = {STR_INIT("http://"), STR_INIT("https://")};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        const size_t n = schemes[i].n;
        if (host.n > 0 && origin.n == n + host.n && memcmp(origin.p, schemes[i].p, n) == 0 &&
            strncasecmp(origin.p + n, host.p, host.n) == 0) {
            return true;
        }
    }
    return false;
}

bool access_check_origin(const struct visitor *v, const char *const *allowed, struct str *ret_cors,
                         struct problem *p)
{
    const struct headers *h = v->headers;
    const unsigned count = h->of[HEADER_ORIGIN].count;
    const struct str origin = headers_first(h, HEADER_ORIGIN);
    *ret_cors = (struct str){NULL, 0};
    if (count == 1 && is_named(allowed, origin)) {
        *ret_cors = origin;
        return true;
    }
    const bool foreign =
        count > 1 || (count == 1 && !is_own(origin, headers_first(h, HEADER_HOST)));
    if (foreign || text_same_word(headers_first(h, HEADER_SEC_FETCH_SITE), "cross-site")) {
        return problem_set(p, ERR_FORBIDDEN_ORIGIN,
                           "web pages of another origin may not do this; name theirs in "
                           "http.allowedOrigins if they should");
    }
    return true;
}

/* ---- tokens ---------------------------------------------------------------------------------- */

/* Returns the token of "Bearer TOKEN"; n == 0: none. */
static struct str presented_token(const struct headers *h)
{
    struct str rest = headers_first(h, HEADER_AUTHORIZATION);
    struct str scheme = {"", 0};
    if (h->of[HEADER_AUTHORIZATION].count != 1 || !text_cut(&rest, ' ', &scheme) ||
        !text_same_word(scheme, "Bearer")) {
        return (struct str){"", 0};
    }
    return rest.p == NULL ? (struct str){"", 0} : text_trim(rest);
}

/* Compares all tokens, so that time does not tell which is near. */
static const struct token *find_token(struct str presented, const struct token *tokens, size_t n)
{
    char hash[DIGEST_HEX_SIZE];
    const struct token *found = NULL;
    digest_sha256_hex(presented, hash);
    for (size_t i = 0; i < n; i++) {
        if (digest_hex_equal(hash, tokens[i].sha256)) {
            found = &tokens[i];
        }
    }
    return found;
}

static bool refuse(struct problem *p, enum err code, const char *challenge, const char *detail)
{
    p->authenticate = challenge;
    return problem_set(p, code, "%s", detail);
}

bool access_check_token(const struct visitor *v, const struct token *tokens, size_t n,
                        char ret_caller[CALLER_SIZE], enum role *ret_role, struct problem *p)
{
    /* Missing paths are told only to those who may read. */
    const enum role least = v->route != NULL ? v->route->role : ROLE_READ;
    ret_caller[0] = '\0';
    *ret_role = n == 0 ? ROLE_OPERATE : ROLE_ANYBODY;
    if (n == 0 || least == ROLE_ANYBODY) {
        return true;
    }
    const struct str presented = presented_token(v->headers);
    const struct token *t = presented.n == 0 ? NULL : find_token(presented, tokens, n);
    if (t == NULL && v->headers->of[HEADER_AUTHORIZATION].count == 0) {
        return refuse(p, ERR_UNAUTHORIZED, "Bearer", "send Authorization: Bearer TOKEN");
    }
    if (presented.n == 0) {
        return refuse(p, ERR_UNAUTHORIZED, "Bearer error=\"invalid_token\"",
                      "the header must have the scheme Bearer, once: Authorization: Bearer TOKEN");
    }
    if (t == NULL) {
        return refuse(p, ERR_UNAUTHORIZED, "Bearer error=\"invalid_token\"",
                      "this token is not known");
    }
    memcpy(ret_caller, t->name, CALLER_SIZE);
    *ret_role = t->role;
    if (t->role < least) {
        return refuse(p, ERR_FORBIDDEN, "Bearer error=\"insufficient_scope\"",
                      least == ROLE_OPERATE ? "this needs a token of the role operate"
                                            : "this needs a token of the role submit or operate");
    }
    return true;
}

bool access_check_again(const struct visitor *v, const struct token *tokens, size_t n,
                        const char *caller, enum role role, struct problem *p)
{
    char now[CALLER_SIZE];
    enum role role_now;
    if (!access_check_token(v, tokens, n, now, &role_now, p)) {
        return false;
    }
    /* With the role submit the name limits what is visible, with others nothing does. */
    const bool walled = role == ROLE_SUBMIT || role_now == ROLE_SUBMIT;
    return !walled || (role == role_now && strcmp(caller, now) == 0) ||
           refuse(p, ERR_UNAUTHORIZED, "Bearer error=\"invalid_token\"",
                  "this token has another name or role since the tokens were reloaded; ask again");
}
