/* Limits of connections: number and slowness. */
#ifndef COMFYPOOL_SRC_HTTP_CONNS_H
#define COMFYPOOL_SRC_HTTP_CONNS_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/err.h"

#include "access.h"

struct conn;
struct http_server;
struct listener;

/* Notes an accepted connection; it may be shut down at once. Never NULL. */
struct conn *conn_open(struct listener *l, struct MHD_Connection *connection);
void conn_close(struct conn *c);
/* Note the stage of a request: line, headers, body, answer. NULL: does nothing. */
void conn_request(struct conn *c);
void conn_headers(struct conn *c);
void conn_body(struct conn *c);
/* Restarts the body's deadline after a part of a body with files. */
void conn_progress(struct conn *c);
void conn_answered(struct conn *c);
/*
 * Called after each piece of a body: ends the connection when no more can follow and the body is
 * still incomplete a moment later. A client that shuts its side after a whole request is answered.
 */
void conn_look_for_end(struct conn *c);
/* Detects a stuck body: true if bytes waited in the socket at two looks in a row, and none was
   handed on between. pieces: number handed on so far. */
struct stuck {
    size_t pieces;
    bool waited;
};
bool stuck_look(struct stuck *s, size_t pieces, bool waits) MUST_CHECK;
/* While paused, read bytes of a body are not consumed, so that its end says nothing. */
void conn_pause(struct conn *c, bool paused);
/* True if the client has shut its sending side, and everything it sent was read. */
bool conn_has_ended(const struct conn *c);
const struct net_address *conn_local(const struct conn *c);
/* Counts a connection of that address; false: too many. Loopback and unix sockets: never. */
bool conn_count(struct http_server *s, const struct net_address *from) MUST_CHECK;
void conn_uncount(struct http_server *s, const struct net_address *from);

#endif
