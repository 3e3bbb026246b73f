/* How many connections there may be, and how slow. */
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

/* A connection was accepted; it may be shut down at once. Never NULL. */
struct conn *conn_open(struct listener *l, struct MHD_Connection *connection);
void conn_close(struct conn *c);
/* Its request line is there, its headers, its body, its answer. NULL: does nothing. */
void conn_request(struct conn *c);
void conn_headers(struct conn *c);
void conn_body(struct conn *c);
/* A part of a body with files has come: as much time for the next one. */
void conn_progress(struct conn *c);
void conn_answered(struct conn *c);
/* A piece of a body was taken: when nothing can follow, and the body is not complete a moment
   later, the connection ends. A client that closes its side behind a whole request is answered. */
void conn_look_for_end(struct conn *c);
/* Looks at a body: whether bytes of it waited in the socket at two looks in a row, and none was
   handed on between them. pieces: how many were handed on so far. */
struct stuck {
    size_t pieces;
    bool waited;
};
bool stuck_look(struct stuck *s, size_t pieces, bool waits) MUST_CHECK;
/* While it is paused nothing that was read of a body is taken, so that its end says nothing. */
void conn_pause(struct conn *c, bool paused);
/* Its client has shut its sending side, and all that it sent was read. */
bool conn_has_ended(const struct conn *c);
const struct net_address *conn_local(const struct conn *c);
/* Counts a connection from there; false when there are too many. Loopback and unix sockets: never.
 */
bool conn_count(struct http_server *s, const struct net_address *from) MUST_CHECK;
void conn_uncount(struct http_server *s, const struct net_address *from);

#endif
