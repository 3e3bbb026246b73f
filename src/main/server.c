/* The HTTP server: its configured options and listeners. */
#include <stdio.h>
#include <systemd/sd-daemon.h>

#include "comfypool/base/log.h"

#include "inner.h"

struct http_server *server_new(uv_loop_t *loop, const struct settings *s,
                               const struct http_family *const *families)
{
    const struct config *c = &s->config;
    const struct http_options o = {
        .families = families,
        .max_body_bytes = (size_t)c->http_max_body_bytes,
        .max_connections = (unsigned)c->http_max_connections,
        .max_connections_per_address = (unsigned)c->http_max_connections_per_address,
        .header_timeout = dur_ms(c->http_header_timeout_ms),
        .body_timeout = dur_ms(c->http_body_timeout_ms),
        .max_waits = (unsigned)c->http_max_waits,
        .max_streams = (unsigned)c->http_max_streams,
        .allowed_hosts = (const char *const *)c->http_allowed_hosts.items,
        .allowed_origins = (const char *const *)c->http_allowed_origins.items,
    };
    struct http_server *server = http_server_new(loop, &o);
    http_server_set_tokens(server, s->tokens.list, s->tokens.len);
    return server;
}

static bool listened(bool good, const char *url, const char *why)
{
    if (good) {
        printf("listening on %s\n", url);
    } else {
        LOG_PLAIN(LOG_ERROR, why);
    }
    return good;
}

bool server_listen(struct http_server *server, const struct config *c, int sockets)
{
    char url[256];
    char why[256];
    bool good = true;
    if (sockets > 0 && c->listen_from != CONFIG_DEFAULT) {
        LOG_PLAIN(LOG_WARN, "listen does not count: the service manager passed sockets on");
    }
    for (int fd = SD_LISTEN_FDS_START; good && fd < SD_LISTEN_FDS_START + sockets; fd++) {
        good =
            listened(http_server_listen_fd(server, fd, url, sizeof url, why, sizeof why), url, why);
    }
    for (unsigned i = 0; good && sockets == 0 && i < c->listen_len; i++) {
        good = listened(http_server_listen(server, c->listen[i], url, sizeof url, why, sizeof why),
                        url, why);
    }
    (void)fflush(stdout);
    return good;
}
