/*
 * Which addresses requests may go to; see the header. All addresses are compared as 16 bytes, IPv4
 * ones in their v4-mapped form, so that one comparison serves both families; a network of IPv4 is
 * then 96 bits longer. Only net_rules_new allocates.
 */
#include "comfypool/base/net_rules.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { MAPPED_BITS = 96, MAX_NAME = 253, MAX_LABEL = 63 };

/* An address, or a network: its first `bits` bits count. */
struct net {
    unsigned char bytes[16];
    unsigned bits;
};

struct net_rules {
    struct net *nets;
    size_t nets_len;
    char **names; /* without a dot at the end */
    size_t names_len;
};

/* ---- bits ------------------------------------------------------------------------------------ */

static bool net_holds(const struct net *n, const unsigned char *bytes)
{
    const size_t whole = n->bits / 8;
    const unsigned rest = n->bits % 8;
    if (memcmp(n->bytes, bytes, whole) != 0) {
        return false;
    }
    return rest == 0 || ((n->bytes[whole] ^ bytes[whole]) >> (8 - rest)) == 0;
}

static bool has_bits_behind(const struct net *n)
{
    for (unsigned bit = n->bits; bit < 128; bit++) {
        if ((n->bytes[bit / 8] & (0x80u >> (bit % 8))) != 0) {
            return true;
        }
    }
    return false;
}

static void map_v4(const void *four, unsigned char *ret)
{
    memset(ret, 0, 10);
    memset(ret + 10, 0xff, 2);
    memcpy(ret + 12, four, 4);
}

/* The address as 16 bytes; false for other families. */
static bool bytes_of(const struct sockaddr *a, unsigned char *ret)
{
    if (a->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, a, sizeof v4);
        map_v4(&v4.sin_addr, ret);
        return true;
    }
    if (a->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, a, sizeof v6);
        memcpy(ret, &v6.sin6_addr, 16);
        return true;
    }
    return false;
}

/* ---- what is public -------------------------------------------------------------------------- */

struct special4 {
    unsigned char bytes[4];
    unsigned bits;
};

/* https://www.iana.org/assignments/iana-ipv4-special-registry, and multicast. */
static const struct special4 not_public4[] = {
    {{0, 0, 0, 0}, 8},       /* this network (RFC 791) */
    {{10, 0, 0, 0}, 8},      /* private (RFC 1918) */
    {{100, 64, 0, 0}, 10},   /* shared with a carrier (RFC 6598) */
    {{127, 0, 0, 0}, 8},     /* loopback (RFC 1122) */
    {{169, 254, 0, 0}, 16},  /* link-local (RFC 3927); clouds keep credentials there */
    {{172, 16, 0, 0}, 12},   /* private (RFC 1918) */
    {{192, 0, 0, 0}, 24},    /* protocol assignments (RFC 6890) */
    {{192, 0, 2, 0}, 24},    /* documentation (RFC 5737) */
    {{192, 88, 99, 0}, 24},  /* 6to4 relays, withdrawn (RFC 7526) */
    {{192, 168, 0, 0}, 16},  /* private (RFC 1918) */
    {{198, 18, 0, 0}, 15},   /* benchmarking (RFC 2544) */
    {{198, 51, 100, 0}, 24}, /* documentation (RFC 5737) */
    {{203, 0, 113, 0}, 24},  /* documentation (RFC 5737) */
    {{224, 0, 0, 0}, 4},     /* multicast (RFC 5771) */
    {{240, 0, 0, 0}, 4},     /* reserved, and the broadcast address (RFC 1112) */
};

/*
 * Non-public parts of 2000::/3. Nothing outside it is public: unspecified, loopback, fc00::/7,
 * fe80::/10, fec0::/10, ff00::/8, 100::/64, 64:ff9b:1::/48, 5f00::/16
 * (https://www.iana.org/assignments/iana-ipv6-special-registry).
 */
static const struct net not_public6[] = {
    {{0x20, 0x01}, 23},             /* protocol assignments, Teredo and benchmarking (RFC 2928) */
    {{0x20, 0x01, 0x0d, 0xb8}, 32}, /* documentation (RFC 3849) */
    {{0x3f, 0xff}, 20},             /* documentation (RFC 9637) */
};

static const struct net global_unicast = {{0x20}, 3};

/* Networks whose addresses carry an IPv4 address at byte `at`. */
static const struct {
    struct net net;
    size_t at;
} carriers[] = {
    {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96}, 12}, /* v4-mapped (RFC 4291) */
    {{{0}, 96}, 12},                                        /* v4-compatible, ::, ::1 (RFC 4291) */
    {{{0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96}, 12},       /* v4-translated (RFC 2765) */
    {{{0x00, 0x64, 0xff, 0x9b}, 96}, 12},                   /* NAT64 (RFC 6052) */
    {{{0x20, 0x02}, 16}, 2},                                /* 6to4 (RFC 3056) */
};

static bool is_public4(const unsigned char *four)
{
    struct net n = {.bits = 0};
    for (size_t i = 0; i < sizeof not_public4 / sizeof *not_public4; i++) {
        memcpy(n.bytes, not_public4[i].bytes, 4);
        n.bits = not_public4[i].bits;
        if (net_holds(&n, four)) {
            return false;
        }
    }
    return true;
}

bool net_address_is_public(const struct sockaddr *a)
{
    unsigned char bytes[16];
    if (!bytes_of(a, bytes)) {
        return false;
    }
    for (size_t i = 0; i < sizeof carriers / sizeof *carriers; i++) {
        if (net_holds(&carriers[i].net, bytes)) {
            return is_public4(bytes + carriers[i].at);
        }
    }
    for (size_t i = 0; i < sizeof not_public6 / sizeof *not_public6; i++) {
        if (net_holds(&not_public6[i], bytes)) {
            return false;
        }
    }
    return net_holds(&global_unicast, bytes);
}

/* ---- hosts ----------------------------------------------------------------------------------- */

static bool same_name(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || strncasecmp(a.p, b.p, a.n) == 0);
}

static struct str without_dot(struct str host)
{
    if (host.n > 0 && host.p[host.n - 1] == '.') {
        host.n--;
    }
    return host;
}

static bool is_made_of(struct str s, const char *set)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\0' || strchr(set, s.p[i]) == NULL) {
            return false;
        }
    }
    return s.n > 0;
}

static bool means_loopback(struct str host)
{
    static const struct str tail = STR_INIT(".localhost");
    return same_name(host, STR("localhost")) ||
           (host.n > tail.n && same_name((struct str){host.p + host.n - tail.n, tail.n}, tail));
}

/* Accepts all forms of inet_aton, as resolvers do. */
static bool parse_v4(struct str host, struct in_addr *ret)
{
    if (!is_made_of(host, "0123456789abcdefABCDEFxX.")) {
        return false; /* inet_aton would ignore anything after a blank */
    }
    AUTO_FREE char *text = mem_copy(host);
    return inet_aton(text, ret) != 0;
}

static bool parse_v6(struct str host, bool zone_allowed, struct in6_addr *ret)
{
    if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']') {
        host = (struct str){host.p + 1, host.n - 2};
    }
    const char *zone = host.n == 0 ? NULL : memchr(host.p, '%', host.n);
    if (zone != NULL && zone_allowed) {
        host.n = (size_t)(zone - host.p);
    }
    char text[INET6_ADDRSTRLEN];
    if (!is_made_of(host, "0123456789abcdefABCDEF:.") || host.n >= sizeof text) {
        return false;
    }
    memcpy(text, host.p, host.n);
    text[host.n] = '\0';
    return inet_pton(AF_INET6, text, ret) == 1;
}

bool net_literal(struct str host, struct sockaddr_storage *ret)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    const struct str name = without_dot(host);
    if (means_loopback(name)) {
        v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    } else if (!parse_v4(name, &v4.sin_addr)) {
        if (!parse_v6(host, true, &v6.sin6_addr)) {
            return false;
        }
        *ret = (struct sockaddr_storage){0};
        memcpy(ret, &v6, sizeof v6);
        return true;
    }
    *ret = (struct sockaddr_storage){0};
    memcpy(ret, &v4, sizeof v4);
    return true;
}

/* ---- entries --------------------------------------------------------------------------------- */

struct entry {
    bool is_net;
    struct net net;
    struct str name;
};

static bool refuse(char *why, size_t size, const char *text)
{
    (void)snprintf(why, size, "%s", text);
    return false;
}

/* Reads a full address: dotted IPv4, or IPv6. No short forms: they are mostly mistakes. */
static bool read_address(struct str text, struct net *ret)
{
    char four[INET_ADDRSTRLEN];
    struct in_addr v4;
    struct in6_addr v6;
    if (text.n < sizeof four && is_made_of(text, "0123456789.")) {
        memcpy(four, text.p, text.n);
        four[text.n] = '\0';
        if (inet_pton(AF_INET, four, &v4) == 1) {
            map_v4(&v4, ret->bytes);
            ret->bits = MAPPED_BITS;
            return true;
        }
        return false;
    }
    if (!parse_v6(text, false, &v6)) {
        return false;
    }
    memcpy(ret->bytes, &v6, 16);
    ret->bits = 0;
    return true;
}

static bool read_net(struct str text, struct net *ret, char *why, size_t size)
{
    const char *slash = memchr(text.p, '/', text.n);
    const struct str address = {text.p, (size_t)(slash - text.p)};
    const struct str length = {slash + 1, text.n - address.n - 1};
    int64_t bits = -1;
    if (!read_address(address, ret)) {
        return refuse(why, size,
                      "what stands before the / is no address; write 10.0.0.0/8 or "
                      "fd00::/8");
    }
    const unsigned most = 128 - ret->bits;
    if (!is_made_of(length, "0123456789") || !str_to_int64(length, &bits) || bits > most) {
        (void)snprintf(why, size, "the number behind the / must be between 0 and %u", most);
        return false;
    }
    ret->bits += (unsigned)bits;
    if (has_bits_behind(ret)) {
        return refuse(why, size,
                      "the address has bits set behind the network's own; write the "
                      "network's first address");
    }
    return true;
}

static const char *trouble_of_label(struct str label)
{
    if (label.n == 0 || label.n > MAX_LABEL) {
        return "a part of the name is empty or longer than 63 characters";
    }
    if (label.p[0] == '-' || label.p[label.n - 1] == '-') {
        return "a part of the name begins or ends with a hyphen";
    }
    return NULL;
}

/* Says why it is no host name, or NULL. */
static const char *trouble_of_name(struct str name)
{
    struct in_addr number;
    if (name.n == 0) {
        return "it is empty; write an address, a network or a host name";
    }
    if (memchr(name.p, '*', name.n) != NULL) {
        return "a * is not known here; write each name in full";
    }
    if (memchr(name.p, '%', name.n) != NULL) {
        return "an address with a zone cannot be a rule; write it without the %";
    }
    if (memchr(name.p, ':', name.n) != NULL) {
        return "this is no address; write a host alone, without scheme and port";
    }
    if (!is_made_of(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")) {
        return "a host name has letters, digits, hyphens and dots only (others as xn--...)";
    }
    if (parse_v4(name, &number) || is_made_of(name, "0123456789.")) {
        return "this is no address; write its four numbers, as in 192.168.1.7";
    }
    if (name.n > MAX_NAME) {
        return "the name is longer than 253 characters";
    }
    for (struct str rest = name; rest.p != NULL;) {
        const char *dot = memchr(rest.p, '.', rest.n);
        const struct str label = {rest.p, dot == NULL ? rest.n : (size_t)(dot - rest.p)};
        const char *trouble = trouble_of_label(label);
        if (trouble != NULL) {
            return trouble;
        }
        rest = dot == NULL ? (struct str){NULL, 0} : (struct str){dot + 1, rest.n - label.n - 1};
    }
    return NULL;
}

static bool read_entry(struct str text, struct entry *ret, char *why, size_t size)
{
    *ret = (struct entry){.is_net = true};
    if (text.n > 0 && memchr(text.p, '/', text.n) != NULL &&
        memmem(text.p, text.n, "://", 3) == NULL) {
        return read_net(text, &ret->net, why, size);
    }
    if (read_address(text, &ret->net)) {
        ret->net.bits = 128;
        return true;
    }
    ret->is_net = false;
    ret->name = without_dot(text);
    const char *trouble = trouble_of_name(ret->name);
    return trouble == NULL || refuse(why, size, trouble);
}

bool net_rules_check_entry(struct str entry, char *why, size_t why_size)
{
    struct entry e;
    return read_entry(entry, &e, why, why_size);
}

struct net_rules *net_rules_new(char *const *entries, size_t n, char *why, size_t why_size)
{
    struct net_rules *r = mem_zero(1, sizeof *r);
    r->nets = mem_zero(n, sizeof *r->nets);
    r->names = mem_zero(n, sizeof *r->names);
    for (size_t i = 0; i < n; i++) {
        struct entry e;
        char trouble[128];
        if (!read_entry(str_of(entries[i]), &e, trouble, sizeof trouble)) {
            (void)snprintf(why, why_size, "\"%s\": %s", entries[i], trouble);
            net_rules_free(r);
            return NULL;
        }
        if (e.is_net) {
            r->nets[r->nets_len++] = e.net;
        } else {
            r->names[r->names_len++] = mem_copy(e.name);
        }
    }
    return r;
}

void net_rules_free(struct net_rules *r)
{
    if (r == NULL) {
        return;
    }
    for (size_t i = 0; i < r->names_len; i++) {
        free(r->names[i]);
    }
    free(r->names);
    free(r->nets);
    free(r);
}

bool net_rules_allow(const struct net_rules *r, struct str url_host, const struct sockaddr *a)
{
    unsigned char bytes[16];
    if (net_address_is_public(a)) {
        return true;
    }
    if (r == NULL || !bytes_of(a, bytes)) {
        return false;
    }
    for (size_t i = 0; i < r->nets_len; i++) {
        /* ::/0 and the like are IPv6 networks: they hold no IPv4 address. */
        const bool of_v6 = r->nets[i].bits < MAPPED_BITS;
        if (net_holds(&r->nets[i], bytes) && !(of_v6 && a->sa_family == AF_INET)) {
            return true;
        }
    }
    for (size_t i = 0; i < r->names_len; i++) {
        if (same_name(without_dot(url_host), str_of(r->names[i]))) {
            return true;
        }
    }
    return false;
}
