/* The server and its listeners. */
#ifndef COMFYPOOL_SRC_HTTP_SERVER_H
#define COMFYPOOL_SRC_HTTP_SERVER_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "comfypool/base/map.h"
#include "comfypool/core/token.h"
#include "comfypool/http/http.h"
#include "comfypool/loop/deadlines.h"

struct aparts;
struct mhd_host;
struct slot;

struct listener {
    struct listener *next;
    struct http_server *server;
    int fd;     /* -1: not listening */
    char *path; /* of our unix socket, removed at the end; or NULL */
    dev_t device;
    ino_t inode;
    struct MHD_Daemon *daemon;
    struct mhd_host *host;
};

struct http_server {
    uv_loop_t *loop;
    struct http_options options;
    struct listener *listeners;
    struct slot *slots;
    uint32_t slots_len;
    uint32_t free_slot;         /* slot + 1; 0: none */
    struct deadlines deadlines; /* of holds, headers and bodies */
    struct aparts *aparts;      /* large bodies being read */
    struct token *tokens;
    size_t tokens_len;
    unsigned tokens_set;   /* counts their changes */
    uint32_t checked;      /* slots checked since the last change */
    struct deadline check; /* next part of that check */
    unsigned counted;      /* admitted connections */
    struct map addresses;  /* numbers of connections: struct peer by address */
    unsigned streams;
    size_t bodies;  /* bytes being collected from requests */
    size_t answers; /* bytes of unsent answers */
    unsigned refs;  /* live handles; freed at 0 */
    bool draining;
    bool closing;
    struct http_stats stats;
};

void server_unref(struct http_server *s);

#endif
