/*
 * Which addresses a request to a URL chosen by a client may go to: public ones, and those that the
 * operator allowed. Pure; names are not resolved here.
 *
 * A name in a URL says nothing about where it leads: the address that is connected to must be
 * judged (net_rules_allow), each time and for each redirect. net_literal refuses early, with a
 * clear error, what needs no resolving.
 */
#ifndef COMFYPOOL_BASE_NET_RULES_H
#define COMFYPOOL_BASE_NET_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "comfypool/base/str.h"

struct net_rules;

/*
 * True if an entry can be a rule: a network (10.0.0.0/8, fd00::/8), a single address (192.168.1.7,
 * ::1, brackets allowed) or a host name (hooks.example.com; trusted wherever it leads). False:
 * `why` says what is wrong, for people.
 */
bool net_rules_check_entry(struct str entry, char *why, size_t why_size);

/*
 * Rules from a list of entries. NULL when one is wrong: `why` names it and says what is wrong.
 * Owner: the caller, until net_rules_free.
 */
struct net_rules *net_rules_new(char *const *entries, size_t n, char *why, size_t why_size);
/* NULL is allowed. */
void net_rules_free(struct net_rules *r);

/*
 * True if the address is public: false for what IANA's registries of special-purpose addresses keep
 * from the public (private, loopback, link-local, documentation, multicast, reserved ...), for IPv6
 * outside 2000::/3, and for other address families. An IPv6 address that carries an IPv4 address
 * (mapped, compatible, NAT64, 6to4) is judged by that one.
 */
bool net_address_is_public(const struct sockaddr *a);

/*
 * True if a request to `url_host` may be sent to the address `a`: it is public, or in an allowed
 * network (of IPv4: its v4-mapped form too), or the host is an allowed name (case and a trailing
 * dot do not matter). r NULL: public addresses only. Cost: the entries.
 */
bool net_rules_allow(const struct net_rules *r, struct str url_host, const struct sockaddr *a);

/*
 * True if a URL's host is an address that needs no resolving: dotted IPv4, inet_aton's other forms,
 * which resolvers take (2130706433, 127.1, 0x7f.1, 0177.0.0.1), IPv6 with or without brackets (a
 * zone is ignored), localhost and *.localhost (127.0.0.1, RFC 6761). The host is percent-decoded.
 * *ret is set on true only, with port 0.
 */
bool net_literal(struct str host, struct sockaddr_storage *ret);

#endif
