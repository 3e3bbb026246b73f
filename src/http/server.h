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
    int fd;     /* -1 once it does not listen any more */
    char *path; /* of a unix socket of ours, removed at the end; or NULL */
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
    struct aparts *aparts;      /* large bodies that are read */
    struct token *tokens;
    size_t tokens_len;
    unsigned tokens_set;   /* how often they were */
    uint32_t checked;      /* of the slots, since then */
    struct deadline check; /* of the next ones */
    unsigned counted;      /* connections that may stay */
    struct map addresses;  /* who has how many connections: struct peer by its address */
    unsigned streams;
    size_t bodies;  /* bytes of requests that are being collected */
    size_t answers; /* bytes of answers that are on their way */
    unsigned refs;  /* handles that live; freed at 0 */
    bool draining;
    bool closing;
    struct http_stats stats;
};

void server_unref(struct http_server *s);

#endif
