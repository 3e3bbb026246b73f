/*
 * Processes, by /proc. A process is read through a descriptor of its directory: once its start time
 * is checked, all reads are of that process, even when its pid is reused. The table of sockets is
 * read at self/net, which exists even when everything but processes is hidden (ProcSubset=pid of
 * systemd).
 */
#include "internal.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    MAX_FILE = 1 << 20, /* net/dev of some thousand interfaces */
    MAX_SOCKETS = 64,   /* listening on one port: one an address, or one a worker */
};

/* ---- files ----------------------------------------------------------------------------------- */

static void close_fd(const int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
    }
}
#define AUTO_FD __attribute__((cleanup(close_fd)))

/* Appends the whole file. Returns 0 or an errno. */
static int read_whole(int dir, const char *name, struct buf *out)
{
    AUTO_FD const int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno;
    }
    for (;;) {
        char *room = buf_reserve(out, 4096);
        if (room == NULL) {
            return EFBIG;
        }
        const ssize_t n = read(fd, room, 4096);
        if (n < 0 && errno != EINTR) {
            return errno;
        }
        if (n == 0) {
            return 0;
        }
        out->len += n < 0 ? 0 : (size_t)n;
    }
}

static int open_process(const char *root, int64_t pid)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%lld", root, (long long)pid);
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static bool read_stat(int dir, struct proc_stat *ret)
{
    AUTO_BUF struct buf text;
    buf_init(&text, MAX_FILE);
    return read_whole(dir, "stat", &text) == 0 && proc_parse_stat(buf_str(&text), ret);
}

/* ---- usage ----------------------------------------------------------------------------------- */

static bool take_memory(struct str text, struct host_usage *ret)
{
    ret->has_memory = proc_parse_statm(text, sysconf(_SC_PAGESIZE), &ret->resident_bytes);
    return ret->has_memory;
}

static bool take_disk(struct str text, struct host_usage *ret)
{
    ret->has_disk = proc_parse_io(text, &ret->read_bytes, &ret->write_bytes);
    return ret->has_disk;
}

static bool take_network(struct str text, struct host_usage *ret)
{
    ret->has_network = proc_parse_net_dev(text, &ret->received_bytes, &ret->sent_bytes);
    return ret->has_network;
}

static bool take_namespace(struct str text, struct host_usage *ret)
{
    ret->has_namespace = proc_parse_link(text, "net", &ret->namespace_inode);
    return ret->has_namespace;
}

static const struct {
    const char *file;
    bool is_link;
    bool (*take)(struct str text, struct host_usage *ret);
} parts[] = {
    {"statm", false, take_memory},
    {"io", false, take_disk},
    {"net/dev", false, take_network},
    {"ns/net", true, take_namespace},
};

static int read_link(int dir, const char *name, struct buf *out)
{
    char target[128];
    const ssize_t n = readlinkat(dir, name, target, sizeof target);
    if (n < 0) {
        return errno;
    }
    buf_add(out, target, (size_t)n);
    return 0;
}

static void note_missing(struct host_usage *u, const char *file, const char *why)
{
    const size_t n = strlen(u->missing);
    (void)snprintf(u->missing + n, sizeof u->missing - n, "%s%s: %s", n == 0 ? "" : "; ", file,
                   why);
}

static void read_part(int dir, size_t i, struct host_usage *ret)
{
    AUTO_BUF struct buf text;
    buf_init(&text, MAX_FILE);
    const int error = parts[i].is_link ? read_link(dir, parts[i].file, &text)
                                       : read_whole(dir, parts[i].file, &text);
    if (error != 0) {
        note_missing(ret, parts[i].file, strerror(error));
    } else if (!parts[i].take(buf_str(&text), ret)) {
        note_missing(ret, parts[i].file, "not understood");
    }
}

bool proc_read_usage(const char *root, int64_t pid, uint64_t start_time, struct host_usage *ret)
{
    struct proc_stat stat;
    *ret = (struct host_usage){.missing = ""};
    AUTO_FD const int dir = open_process(root, pid);
    if (dir < 0 || !read_stat(dir, &stat) || stat.start_time != start_time || stat.dead) {
        return false;
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        read_part(dir, i, ret);
    }
    return true;
}

bool host_read_usage(int64_t pid, uint64_t start_time, struct host_usage *ret)
{
    return proc_read_usage("/proc", pid, start_time, ret);
}

/* ---- who listens ----------------------------------------------------------------------------- */

struct hunt {
    unsigned port;
    uint64_t inodes[MAX_SOCKETS];
    size_t inodes_len;
    uint64_t uid;     /* of the last one */
    unsigned refused; /* processes that could not be inspected */
    bool found;
    struct host_process best;
};

static bool knows_inode(const struct hunt *h, uint64_t inode)
{
    for (size_t i = 0; i < h->inodes_len; i++) {
        if (h->inodes[i] == inode) {
            return true;
        }
    }
    return false;
}

/* Reads line by line: the table also has every connection of the host. Returns 0 or an errno. */
static int find_sockets(struct hunt *h, const char *root, const char *table)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/self/net/%s", root, table);
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return errno;
    }
    char line[512];
    while (fgets(line, sizeof line, f) != NULL) {
        struct proc_socket s;
        if (proc_parse_socket(str_of(line), &s) && s.listens && s.port == h->port &&
            h->inodes_len < MAX_SOCKETS) {
            h->inodes[h->inodes_len++] = s.inode;
            h->uid = s.uid;
        }
    }
    (void)fclose(f);
    return 0;
}

/* True if the process has one of the sockets open. */
static bool holds_socket(struct hunt *h, int dir)
{
    const int fds = openat(dir, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fds < 0 ? NULL : fdopendir(fds);
    if (list == NULL) {
        h->refused += errno == EACCES || errno == EPERM;
        close_fd(&fds);
        return false;
    }
    bool holds = false;
    for (const struct dirent *e = readdir(list); e != NULL && !holds; e = readdir(list)) {
        char target[64];
        uint64_t inode = 0;
        const ssize_t n = readlinkat(fds, e->d_name, target, sizeof target);
        holds = n > 0 && proc_parse_link((struct str){target, (size_t)n}, "socket", &inode) &&
                knows_inode(h, inode);
    }
    (void)closedir(list);
    return holds;
}

static void look_at(struct hunt *h, const char *root, int64_t pid)
{
    struct proc_stat stat;
    AUTO_FD const int dir = open_process(root, pid);
    if (dir < 0 || !holds_socket(h, dir) || !read_stat(dir, &stat)) {
        return;
    }
    const bool same_time = stat.start_time == h->best.start_time;
    if (!h->found || stat.start_time < h->best.start_time || (same_time && pid < h->best.pid)) {
        h->found = true;
        h->best.pid = pid;
        h->best.start_time = stat.start_time;
        memcpy(h->best.name, stat.name, sizeof h->best.name);
    }
}

static int look_at_all(struct hunt *h, const char *root)
{
    DIR *list = opendir(root);
    if (list == NULL) {
        return errno;
    }
    for (const struct dirent *e = readdir(list); e != NULL; e = readdir(list)) {
        int64_t pid = 0;
        if (isdigit((unsigned char)e->d_name[0]) != 0 && str_to_int64(str_of(e->d_name), &pid)) {
            look_at(h, root, pid);
        }
    }
    (void)closedir(list);
    return 0;
}

/* True for programs that forward connections: their usage says nothing of the server behind. */
static bool is_forwarder(const char *name)
{
    static const char *const names[] = {
        "ssh",        "sshd",    "docker-proxy", "rootlessport", "socat", "slirp4netns", "pasta",
        "pasta.avx2", "kubectl", "haproxy",      "nginx",        "caddy", "traefik",     "envoy"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static bool judge(const struct hunt *h, char *why, size_t size)
{
    if (h->inodes_len == 0) {
        (void)snprintf(why, size,
                       "nothing listens on port %u in the daemon's network namespace; is the "
                       "server up, or does it run in a container?",
                       h->port);
    } else if (!h->found && h->refused > 0) {
        (void)snprintf(why, size,
                       "the process that listens on port %u belongs to user %llu and the daemon "
                       "may not look into it; run both as one user (under systemd with "
                       "PrivateUsers=no), or give the daemon CAP_SYS_PTRACE",
                       h->port, (unsigned long long)h->uid);
    } else if (!h->found) {
        (void)snprintf(why, size,
                       "no process that listens on port %u can be seen; /proc hides processes of "
                       "user %llu from the daemon's user (hidepid, ProtectProc= of systemd), or "
                       "it runs in a container",
                       h->port, (unsigned long long)h->uid);
    } else if (is_forwarder(h->best.name)) {
        (void)snprintf(why, size,
                       "port %u is held by %s (pid %lld), which passes connections on; what the "
                       "server behind it uses cannot be seen",
                       h->port, h->best.name, (long long)h->best.pid);
    } else {
        return true;
    }
    return false;
}

bool proc_find_listener(const char *root, int port, struct host_process *ret, char *why,
                        size_t why_size)
{
    struct hunt h = {.port = (unsigned)port};
    const int v4 = find_sockets(&h, root, "tcp");
    const int v6 = find_sockets(&h, root, "tcp6");
    if (v4 != 0 && v6 != 0) {
        (void)snprintf(why, why_size, "%s/self/net/tcp cannot be read: %s; is /proc mounted?", root,
                       strerror(v4));
        return false;
    }
    const int error = h.inodes_len == 0 ? 0 : look_at_all(&h, root);
    if (error != 0) {
        (void)snprintf(why, why_size, "%s cannot be read: %s", root, strerror(error));
        return false;
    }
    if (!judge(&h, why, why_size)) {
        return false;
    }
    *ret = h.best;
    return true;
}
