/* File descriptors: the standard ones, and how many connections may be open at once. */
#include <fcntl.h>
#include <stdint.h>
#include <sys/resource.h>
#include <unistd.h>

#include "comfypool/base/log.h"

#include "inner.h"

void descriptors_open_standard(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0) {
            (void)open("/dev/null", O_RDWR); /* gets the lowest free number: this one */
        }
    }
}

/*
 * Descriptors not available to clients: 28 that an idle daemon has open, some for reads of the
 * store, names and files, and for each backend a socket and two requests. A third of the rest is
 * for files and backend requests on behalf of clients.
 */
enum { SPARE_FILES = 40, SPARE_PER_BACKEND = 3, LEAST_CONNECTIONS = 8 };

/* Raises the limit: each connection takes a descriptor, and shells allow few. Returns the new
   limit; 0: none. */
static uint64_t raise_file_limit(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) != 0) {
        return 0;
    }
    if (l.rlim_cur < l.rlim_max) {
        const rlim_t was = l.rlim_cur;
        l.rlim_cur = l.rlim_max;
        l.rlim_cur = setrlimit(RLIMIT_NOFILE, &l) == 0 ? l.rlim_max : was;
    }
    return l.rlim_cur == RLIM_INFINITY ? 0 : (uint64_t)l.rlim_cur;
}

bool descriptors_fit(struct config *c)
{
    const uint64_t limit = raise_file_limit();
    const uint64_t spare = SPARE_FILES + (uint64_t)c->backends_len * SPARE_PER_BACKEND;
    const uint64_t least = spare + LEAST_CONNECTIONS * 3 / 2;
    if (limit == 0) {
        return true;
    }
    if (limit < least) {
        LOG(LOG_ERROR,
            "the limit of open files is too low (ulimit -n, LimitNOFILE): nothing would work",
            LOG_I("limit", (int64_t)limit), LOG_I("needed", (int64_t)least));
        return false;
    }
    const int64_t most = (int64_t)((limit - spare) * 2 / 3);
    if (c->http_max_connections > most) {
        LOG(LOG_WARN,
            "the limit of open files (ulimit -n, LimitNOFILE) allows fewer connections "
            "than http.maxConnections",
            LOG_I("limit", (int64_t)limit), LOG_I("connections", most));
        c->http_max_connections = most;
    }
    return true;
}
