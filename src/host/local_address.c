/* Checks whether an address is ours; see the header. No name is looked up. */
#include "internal.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <unistd.h>

#include "comfypool/base/net_rules.h"

/* An address of either family as 16 bytes, IPv4 in its v4-mapped form. */
static bool bytes_of(const struct sockaddr *a, unsigned char *ret)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (a->sa_family == AF_INET) {
        memcpy(ret, mapped, sizeof mapped);
        memcpy(ret + 12, (const char *)a + offsetof(struct sockaddr_in, sin_addr), 4);
        return true;
    }
    if (a->sa_family == AF_INET6) {
        memcpy(ret, (const char *)a + offsetof(struct sockaddr_in6, sin6_addr), 16);
        return true;
    }
    return false;
}

/* True for loopback, and the unspecified address: a connection to it comes back here. */
static bool means_ourselves(const unsigned char *bytes)
{
    static const unsigned char zero[16];
    static const unsigned char one[16] = {[15] = 1};
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (memcmp(bytes, mapped, sizeof mapped) == 0) {
        return bytes[12] == 127 || memcmp(bytes + 12, zero, 4) == 0;
    }
    return memcmp(bytes, zero, 16) == 0 || memcmp(bytes, one, 16) == 0;
}

bool here_by_bind(const struct sockaddr *a, socklen_t n)
{
    const int fd = socket(a->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const bool ours = fd >= 0 && bind(fd, a, n) == 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return ours;
}

static bool is_of_an_interface(const struct sockaddr_storage *a, const unsigned char *bytes)
{
    struct ifaddrs *all = NULL;
    if (getifaddrs(&all) != 0) { /* needs netlink, which a sandbox may forbid */
        return here_by_bind((const struct sockaddr *)a, a->ss_family == AF_INET
                                                            ? sizeof(struct sockaddr_in)
                                                            : sizeof(struct sockaddr_in6));
    }
    bool ours = false;
    for (const struct ifaddrs *i = all; i != NULL && !ours; i = i->ifa_next) {
        unsigned char own[16];
        ours = i->ifa_addr != NULL && bytes_of(i->ifa_addr, own) && memcmp(own, bytes, 16) == 0;
    }
    freeifaddrs(all);
    return ours;
}

bool host_is_here(const char *host)
{
    struct sockaddr_storage a;
    unsigned char bytes[16];
    return net_literal(str_of(host), &a) && bytes_of((const struct sockaddr *)&a, bytes) &&
           (means_ourselves(bytes) || is_of_an_interface(&a, bytes));
}
