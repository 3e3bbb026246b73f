/* Who can reach our listeners: without tokens, only this machine. */
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "inner.h"

/* True if only this machine can reach a socket that the service manager opened. */
static bool descriptor_is_local(int fd)
{
    struct sockaddr_storage at = {0};
    socklen_t n = sizeof at;
    char address[128] = "";
    if (getsockname(fd, (struct sockaddr *)&at, &n) != 0 || at.ss_family == AF_UNIX) {
        return true; /* no socket: reported later */
    }
    char host[100] = "";
    (void)getnameinfo((struct sockaddr *)&at, n, host, sizeof host, NULL, 0, NI_NUMERICHOST);
    (void)snprintf(address, sizeof address, at.ss_family == AF_INET6 ? "[%s]:1" : "%s:1", host);
    return config_address_is_local(address);
}

static bool refuse_address(const char *address)
{
    fprintf(stderr,
            "listen: %s can be reached from other machines, and there are no tokens: anybody could "
            "run workflows. Make one with comfypoold --new-token NAME:ROLE and name its file in "
            "auth.tokensFile, or listen on 127.0.0.1 or unix:/path, or say --insecure-no-auth.\n",
            address);
    return false;
}

bool exposure_check(const struct config *c, int sockets)
{
    for (unsigned i = 0; i < c->listen_len && sockets == 0; i++) {
        if (!config_address_is_local(c->listen[i])) {
            return refuse_address(c->listen[i]);
        }
    }
    for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + sockets; fd++) {
        if (!descriptor_is_local(fd)) {
            return refuse_address("the socket of the service manager");
        }
    }
    return true;
}
