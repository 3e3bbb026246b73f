/* Listening sockets. */
#ifndef COMFYPOOL_SRC_HTTP_LISTEN_H
#define COMFYPOOL_SRC_HTTP_LISTEN_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/err.h"

struct listener;

/* Opens "HOST:PORT" or "unix:/path" into l (fd, path). False with a message for people. */
bool listen_open(struct listener *l, const char *address, char *why, size_t why_size) MUST_CHECK;
/* Takes over a socket if it is listening. */
bool listen_adopt(struct listener *l, int fd, char *why, size_t why_size) MUST_CHECK;
void listen_url(int fd, char *ret, size_t size);
/* Closes the socket and removes its file. */
void listen_close(struct listener *l, int fd);

#endif
