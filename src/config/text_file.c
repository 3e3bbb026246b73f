/* Text files of the configuration: checked, then read whole. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "inner.h"

enum { READ_SIZE = 16 * 1024 };

static bool read_all(int fd, size_t max, struct buf *ret, char why[CONFIG_WHY_SIZE])
{
    for (;;) {
        char *to = buf_reserve(ret, READ_SIZE);
        const ssize_t n = to == NULL ? 0 : read(fd, to, READ_SIZE);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            (void)snprintf(why, CONFIG_WHY_SIZE, "%s", strerror(errno));
            return false;
        }
        ret->len += (size_t)n;
        if (ret->overflow || ret->len > max) {
            (void)snprintf(why, CONFIG_WHY_SIZE, "the file is larger than %zu bytes", max);
            return false;
        }
        if (n == 0) {
            return true;
        }
    }
}

bool config_file_read(const char *path, size_t max, struct buf *ret, char why[CONFIG_WHY_SIZE])
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        (void)snprintf(why, CONFIG_WHY_SIZE, "%s", strerror(errno));
        return false;
    }
    const bool good = read_all(fd, max, ret, why);
    (void)close(fd);
    return good;
}

/* Checks the file first, as a FIFO would block the start. */
bool config_file_look(const char *path, char why[CONFIG_WHY_SIZE])
{
    struct stat st;
    if (stat(path, &st) != 0) {
        (void)snprintf(why, CONFIG_WHY_SIZE, "%s", strerror(errno));
        return false;
    }
    if (!S_ISREG(st.st_mode)) {
        (void)snprintf(why, CONFIG_WHY_SIZE, "this is no regular file");
        return false;
    }
    if ((st.st_mode & S_IROTH) != 0) {
        LOG(LOG_WARN, "everybody may read this file of credentials; chmod o-r it",
            LOG_S("file", path));
    }
    return true;
}
