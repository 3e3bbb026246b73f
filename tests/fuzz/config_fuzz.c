/*
 * A configuration file: taken, or refused with lines that say where. What is taken holds its
 * bounds.
 */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "comfypool/config/config.h"

static void hold(bool good)
{
    if (!good) {
        abort();
    }
}

static void check(struct config *c, struct buf *errors)
{
    hold(c->listen_len > 0 && c->http_max_waits >= 0 && c->queue_limit >= 1);
    hold(c->jobs.max_attempts >= 1 && c->jobs.max_attempts <= 20);
    hold(c->jobs.retry_on < 1u << RETRY_CLASS_COUNT);
    for (unsigned i = 0; i < c->backends_len; i++) {
        hold(c->backends[i].url != NULL && c->backends[i].name != NULL);
        hold(c->backends[i].weight >= 1);
    }
    hold(config_validate(c, errors));
}

/* Files that it names (headersFile) would be read: such a text is left out. */
static bool names_a_file(const uint8_t *data, size_t size)
{
    return memmem(data, size, "eadersFile", 10) != NULL;
}

int fuzz_config(const uint8_t *data, size_t size)
{
    if (names_a_file(data, size)) {
        return 0;
    }
    const int fd = memfd_create("config", MFD_CLOEXEC);
    hold(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    char path[32];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct config c;
    struct buf errors;
    config_init(&c);
    buf_init(&errors, BUF_NO_LIMIT);
    if (config_load_file(&c, path, &errors)) {
        hold(errors.len == 0);
        check(&c, &errors);
    } else {
        hold(strncmp(buf_text(&errors), path, strlen(path)) == 0);
    }
    buf_done(&errors);
    config_done(&c);
    (void)close(fd);
    return 0;
}
