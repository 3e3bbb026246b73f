/*
 * Listening sockets: TCP addresses, unix sockets, and inherited ones. Leaves accepting to
 * libmicrohttpd. A unix socket's file belongs to the daemon that bound it: a dead one is replaced,
 * and at the end only our own is removed.
 */
#include "listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "server.h"

enum { SOCKET_MODE = 0660 };

static const char unix_prefix[] = "unix:";

/* ---- TCP ------------------------------------------------------------------------------------- */

/* Splits "127.0.0.1:8189", "[::1]:8189", ":8189" (every address). */
static bool split_address(const char *address, char host[256], char port[16])
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL || strlen(colon + 1) == 0 || strlen(colon + 1) > 5 ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1) || atoi(colon + 1) > 65535) {
        return false;
    }
    size_t n = (size_t)(colon - address);
    if (n >= 2 && address[0] == '[' && address[n - 1] == ']') {
        address++;
        n -= 2;
    } else if (memchr(address, ':', n) != NULL) {
        return false; /* IPv6 without brackets */
    }
    if (n >= 256) {
        return false;
    }
    (void)snprintf(host, 256, "%.*s", (int)n, address);
    (void)snprintf(port, 16, "%s", colon + 1);
    return true;
}

/* Opens a socket; accepted ones inherit TCP_NODELAY. */
static int open_socket(const struct addrinfo *a)
{
    const int on = 1;
    const int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (a->ai_family == AF_INET6) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    }
    if (bind(fd, a->ai_addr, a->ai_addrlen) != 0 || listen(fd, SOMAXCONN) != 0) {
        const int e = errno;
        (void)close(fd);
        errno = e;
        return -1;
    }
    return fd;
}

static int open_tcp(const char *address, char *why, size_t why_size)
{
    char host[256];
    char port[16];
    if (!split_address(address, host, port)) {
        (void)snprintf(why, why_size, "%s: an address is HOST:PORT or [IPv6]:PORT", address);
        return -1;
    }
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    const int rc = getaddrinfo(host[0] == '\0' ? NULL : host, port, &hints, &found);
    if (rc != 0) {
        (void)snprintf(why, why_size, "cannot listen on %s: %s", address, gai_strerror(rc));
        return -1;
    }
    int fd = -1;
    for (const struct addrinfo *a = found; a != NULL && fd < 0; a = a->ai_next) {
        fd = open_socket(a);
    }
    if (fd < 0) {
        (void)snprintf(
            why, why_size,
            "cannot listen on %s: %s%s; choose another address with --listen, or listen: "
            "in the configuration file",
            address, strerror(errno),
            errno == EADDRINUSE ? " (perhaps by another comfypoold)" : "");
    }
    freeaddrinfo(found);
    return fd;
}

/* ---- unix sockets ---------------------------------------------------------------------------- */

static bool complain(char *why, size_t why_size, const char *path, const char *text)
{
    (void)snprintf(why, why_size, "cannot listen on %s%s: %s", unix_prefix, path, text);
    return false;
}

static bool is_answered(const struct sockaddr_un *at)
{
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return false;
    }
    /* EAGAIN: its backlog is full. */
    const bool answered =
        connect(fd, (const struct sockaddr *)at, sizeof *at) == 0 || errno == EAGAIN;
    (void)close(fd);
    return answered;
}

/* Frees the path by removing a dead socket; fails if another's. */
static bool clear_path(const struct sockaddr_un *at, char *why, size_t why_size)
{
    struct stat st;
    if (lstat(at->sun_path, &st) != 0) {
        return errno == ENOENT || complain(why, why_size, at->sun_path, strerror(errno));
    }
    if (!S_ISSOCK(st.st_mode)) {
        return complain(why, why_size, at->sun_path, "there is a file that is no socket");
    }
    if (is_answered(at)) {
        return complain(why, why_size, at->sun_path, "another process listens there");
    }
    return unlink(at->sun_path) == 0 || complain(why, why_size, at->sun_path, strerror(errno));
}

/* Binds; no one can connect before listen(), when the mode is set. */
static bool bind_unix(struct listener *l, const struct sockaddr_un *at)
{
    struct stat st;
    if (bind(l->fd, (const struct sockaddr *)at, sizeof *at) != 0) {
        return false;
    }
    l->path = mem_strdup(at->sun_path);
    if (lstat(l->path, &st) == 0) {
        l->device = st.st_dev;
        l->inode = st.st_ino;
    }
    return chmod(l->path, SOCKET_MODE) == 0 && listen(l->fd, SOMAXCONN) == 0;
}

static bool open_unix(struct listener *l, const char *path, char *why, size_t why_size)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (*path != '/' || strlen(path) >= sizeof at.sun_path) {
        (void)snprintf(why, why_size, "%s%s: the path must begin with / and have at most %zu bytes",
                       unix_prefix, path, sizeof at.sun_path - 1);
        return false;
    }
    memcpy(at.sun_path, path, strlen(path) + 1);
    if (!clear_path(&at, why, why_size)) {
        return false;
    }
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd >= 0 && bind_unix(l, &at)) {
        return true;
    }
    (void)complain(why, why_size, path, strerror(errno));
    if (l->fd >= 0) {
        listen_close(l, l->fd);
    }
    return false;
}

/* ---- all of them ----------------------------------------------------------------------------- */

bool listen_open(struct listener *l, const char *address, char *why, size_t why_size)
{
    if (strncmp(address, unix_prefix, sizeof unix_prefix - 1) == 0) {
        return open_unix(l, address + sizeof unix_prefix - 1, why, why_size);
    }
    l->fd = open_tcp(address, why, why_size);
    return l->fd >= 0;
}

static int option_of(int fd, int name)
{
    int value = 0;
    socklen_t n = sizeof value;
    return getsockopt(fd, SOL_SOCKET, name, &value, &n) == 0 ? value : -1;
}

bool listen_adopt(struct listener *l, int fd, char *why, size_t why_size)
{
    const int on = 1;
    const int family = option_of(fd, SO_DOMAIN);
    const bool known = family == AF_INET || family == AF_INET6 || family == AF_UNIX;
    if (!known || option_of(fd, SO_TYPE) != SOCK_STREAM || option_of(fd, SO_ACCEPTCONN) != 1) {
        (void)snprintf(why, why_size, "descriptor %d is no stream socket that listens", fd);
        return false;
    }
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    if (family != AF_UNIX) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    l->fd = fd;
    return true;
}

void listen_url(int fd, char *ret, size_t size)
{
    struct sockaddr_storage at = {0};
    socklen_t n = sizeof at;
    char host[INET6_ADDRSTRLEN + 32] = "";
    char port[16] = "";
    (void)getsockname(fd, (struct sockaddr *)&at, &n);
    if (at.ss_family == AF_UNIX) {
        const char *path = ((const struct sockaddr_un *)(const void *)&at)->sun_path;
        (void)snprintf(ret, size, "%s%s%s", unix_prefix, *path == '\0' ? "@" : "",
                       *path == '\0' ? path + 1 : path);
        return;
    }
    (void)getnameinfo((struct sockaddr *)&at, n, host, sizeof host, port, sizeof port,
                      NI_NUMERICHOST | NI_NUMERICSERV);
    (void)snprintf(ret, size, at.ss_family == AF_INET6 ? "http://[%s]:%s" : "http://%s:%s", host,
                   port);
}

void listen_close(struct listener *l, int fd)
{
    struct stat st;
    if (l->path != NULL && lstat(l->path, &st) == 0 && st.st_dev == l->device &&
        st.st_ino == l->inode) {
        (void)unlink(l->path);
    }
    mem_free_ptr(&l->path);
    (void)close(fd);
    l->fd = -1;
}
