/*
 * Connections: their limits in total and per address, and deadlines for headers and body.
 * libmicrohttpd knows only inactivity, and a byte a second is activity; so each connection has a
 * deadline that shuts its socket down, which libmicrohttpd then sees as a hang-up. It also misses
 * some hang-ups: when it reads data together with the end of the other side's bytes, it takes the
 * data for all there is (0.9.75 clears its read mark, and no other edge comes), so the end is
 * checked after each piece of a body. A kept connection between two requests is left to
 * libmicrohttpd's idle timeout until bytes of the next request have come: the kernel knows when the
 * last ones did.
 */
#include "conns.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "comfypool/base/log.h"

#include "access.h"
#include "server.h"

enum stage {
    STAGE_HEADERS, /* expected by the deadline */
    STAGE_BODY,
    STAGE_BUSY, /* all received: no deadline */
    STAGE_IDLE  /* answered: checked now and then */
};

enum {
    LOOKS = 2,         /* checks of an idle connection per header_timeout */
    TICK_MS = 20,      /* precision of the kernel's receive times */
    IDLE_MOST_S = 150, /* for sockets without receive times; libmicrohttpd gives silent ones 75 s */
    END_MS = 20,       /* time for libmicrohttpd to hand on what it has read */
    STUCK_MS = 500,    /* time for it to read something available */
    NETWORK = 8        /* bytes of an IPv6 address that identify a client */
};

struct conn {
    struct http_server *server;
    int fd;
    struct net_address local;
    struct net_address peer;
    bool counted; /* in server.addresses */
    bool paused;  /* read bytes of its body wait for us */
    enum stage stage;
    struct deadline deadline;
    struct mono_us idle_since;
    struct deadline look; /* check whether its body is being read */
    size_t pieces;        /* pieces of the body handed on */
    struct stuck stuck;
};

/* ---- how many -------------------------------------------------------------------------------- */

struct peer {
    unsigned count;
    size_t len;
    char key[1 + NETWORK];
};

static struct str peer_key(const struct net_address *a, char text[1 + NETWORK])
{
    const size_t n = a->family == AF_INET ? 4 : NETWORK;
    text[0] = a->family == AF_INET ? '4' : '6';
    memcpy(text + 1, a->bytes, n);
    return (struct str){text, n + 1};
}

bool conn_count(struct http_server *s, const struct net_address *from)
{
    char text[1 + NETWORK];
    const unsigned most = s->options.max_connections_per_address;
    if (most == 0 || (from->family != AF_INET && from->family != AF_INET6) ||
        net_address_is_loopback(from)) {
        return true;
    }
    const struct str key = peer_key(from, text);
    struct peer *p = map_get(&s->addresses, key);
    if (p == NULL) {
        p = mem_zero(1, sizeof *p);
        p->len = key.n;
        memcpy(p->key, key.p, key.n);
        (void)map_put(&s->addresses, (struct str){p->key, p->len}, p);
    }
    if (p->count >= most) {
        return false;
    }
    p->count++;
    return true;
}

void conn_uncount(struct http_server *s, const struct net_address *from)
{
    char text[1 + NETWORK];
    const struct str key = peer_key(from, text);
    struct peer *p = map_get(&s->addresses, key);
    if (p != NULL && --p->count == 0) {
        (void)map_remove(&s->addresses, key);
        free(p);
    }
}

/* ---- how slow -------------------------------------------------------------------------------- */

static void shut(struct conn *c)
{
    (void)shutdown(c->fd, SHUT_RDWR);
}

static void too_slow(void *ctx)
{
    struct conn *c = ctx;
    LOG(LOG_DEBUG, "a client was too slow",
        LOG_S("with", c->stage == STAGE_BODY ? "its body" : "its headers"));
    shut(c);
}

static void look_whether_stuck(void *ctx);

static void look_whether_stuck_later(struct conn *c)
{
    deadline_set(&c->server->deadlines, &c->look, mono_add(time_mono(), dur_ms(STUCK_MS)),
                 look_whether_stuck, c);
}

bool stuck_look(struct stuck *s, size_t pieces, bool waits)
{
    const bool stuck = waits && s->waited && pieces == s->pieces;
    *s = (struct stuck){pieces, waits};
    return stuck;
}

/* Detects a stuck body: libmicrohttpd 0.9.75 may stop reading a body and still spin, since there is
   something to read: one client would take a whole core until the body's deadline. */
static void look_whether_stuck(void *ctx)
{
    struct conn *c = ctx;
    int unread = 0;
    if (c->stage != STAGE_BODY) {
        return; /* answered before its body came */
    }
    const bool waits = !c->paused && ioctl(c->fd, FIONREAD, &unread) == 0 && unread > 0;
    if (stuck_look(&c->stuck, c->pieces, waits)) {
        LOG_PLAIN(LOG_INFO, "a client's body goes on, and cannot be read: its connection ends");
        shut(c);
        return;
    }
    look_whether_stuck_later(c);
}

static void give_time(struct conn *c, enum stage stage, struct dur_us most)
{
    if (stage != STAGE_BODY) {
        deadline_clear(&c->server->deadlines, &c->look);
    } else if (c->stage != STAGE_BODY) {
        c->stuck.waited = false;
        look_whether_stuck_later(c);
    }
    c->stage = stage;
    if (!c->counted) {
        return; /* until settle() */
    }
    if (most.us > 0) {
        deadline_set(&c->server->deadlines, &c->deadline, mono_add(time_mono(), most), too_slow, c);
    } else {
        deadline_clear(&c->server->deadlines, &c->deadline);
    }
}

/* False for a socket without receive times. */
static bool has_received_since(const struct conn *c, struct mono_us since)
{
    struct tcp_info info = {0};
    socklen_t n = sizeof info;
    if (c->local.family == AF_UNIX || getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &n) != 0) {
        return false;
    }
    return (int64_t)info.tcpi_last_data_recv + TICK_MS < mono_diff(time_mono(), since).us / 1000;
}

static void look_again_soon(struct conn *c);

/* Ends it: libmicrohttpd had time to hand on what it had read, and no more can follow. */
static void has_hung_up(void *ctx)
{
    struct conn *c = ctx;
    if (c->paused) {
        look_again_soon(c);
        return;
    }
    LOG(LOG_DEBUG, "a client hung up",
        LOG_S("when", c->stage == STAGE_BODY ? "in the middle of a body" : "behind an answer"));
    shut(c);
}

bool conn_has_ended(const struct conn *c)
{
    char byte;
    return recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static void look_again_soon(struct conn *c)
{
    deadline_set(&c->server->deadlines, &c->deadline, mono_add(time_mono(), dur_ms(END_MS)),
                 has_hung_up, c);
}

void conn_look_for_end(struct conn *c)
{
    if (c != NULL) {
        c->pieces++;
    }
    if (c != NULL && c->counted && c->stage == STAGE_BODY && conn_has_ended(c)) {
        look_again_soon(c);
    }
}

void conn_pause(struct conn *c, bool paused)
{
    if (c != NULL) {
        c->paused = paused;
    }
    if (!paused) {
        conn_look_for_end(c);
    }
}

static void look(void *ctx);

static void look_later(struct conn *c)
{
    const struct dur_us pause = {c->server->options.header_timeout.us / LOOKS};
    if (pause.us > 0) {
        deadline_set(&c->server->deadlines, &c->deadline, mono_add(time_mono(), pause), look, c);
    }
}

static void look(void *ctx)
{
    struct conn *c = ctx;
    const int64_t idle_us = mono_diff(time_mono(), c->idle_since).us;
    if (has_received_since(c, c->idle_since)) {
        give_time(c, STAGE_HEADERS, c->server->options.header_timeout);
    } else if (idle_us > (int64_t)IDLE_MOST_S * 1000000) {
        too_slow(c);
    } else {
        look_later(c);
    }
}

/* ---- a connection's life --------------------------------------------------------------------- */

static int fd_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info == NULL ? -1 : info->connect_fd;
}

static void read_ends(struct conn *c)
{
    struct sockaddr_storage at = {0};
    socklen_t n = sizeof at;
    if (getsockname(c->fd, (struct sockaddr *)&at, &n) == 0) {
        net_address_read((const struct sockaddr *)&at, &c->local);
    }
    memset(&at, 0, sizeof at);
    n = sizeof at;
    if (getpeername(c->fd, (struct sockaddr *)&at, &n) == 0) {
        net_address_read((const struct sockaddr *)&at, &c->peer);
    }
}

static bool count(struct conn *c)
{
    struct http_server *s = c->server;
    c->counted = s->counted < s->options.max_connections && conn_count(s, &c->peer);
    s->counted += c->counted ? 1 : 0;
    return c->counted;
}

/* Recounts a connection that was one too many: others may have gone meanwhile, as libmicrohttpd
   accepts before it notices hang-ups. */
static void settle(void *ctx)
{
    struct conn *c = ctx;
    if (!count(c)) {
        shut(c);
    } else if (c->stage == STAGE_IDLE) {
        look_later(c);
    } else if (c->stage != STAGE_BUSY) {
        give_time(c, c->stage, c->server->options.header_timeout);
    }
}

struct conn *conn_open(struct listener *l, struct MHD_Connection *connection)
{
    struct http_server *s = l->server;
    struct conn *c = mem_zero(1, sizeof *c);
    c->server = s;
    c->fd = fd_of(connection);
    read_ends(c);
    s->stats.connections++;
    if (count(c)) {
        give_time(c, STAGE_HEADERS, s->options.header_timeout);
    } else {
        deadline_set(&s->deadlines, &c->deadline, mono_add(time_mono(), dur_ms(END_MS)), settle, c);
    }
    return c;
}

void conn_close(struct conn *c)
{
    c->server->stats.connections--;
    if (c->counted) {
        c->server->counted--;
        conn_uncount(c->server, &c->peer);
    }
    deadline_clear(&c->server->deadlines, &c->deadline);
    deadline_clear(&c->server->deadlines, &c->look);
    free(c);
}

void conn_request(struct conn *c)
{
    if (c != NULL && c->stage != STAGE_HEADERS) {
        give_time(c, STAGE_HEADERS, c->server->options.header_timeout);
    }
}

void conn_headers(struct conn *c)
{
    if (c != NULL) {
        give_time(c, STAGE_BODY, c->server->options.body_timeout);
    }
}

void conn_progress(struct conn *c)
{
    if (c != NULL) {
        give_time(c, STAGE_BODY, c->server->options.body_timeout);
    }
}

void conn_body(struct conn *c)
{
    if (c != NULL) {
        give_time(c, STAGE_BUSY, (struct dur_us){0});
    }
}

void conn_answered(struct conn *c)
{
    if (c != NULL) {
        c->stage = STAGE_IDLE;
        c->idle_since = time_mono();
        if (!c->counted) {
            return;
        }
        if (conn_has_ended(c)) {
            look_again_soon(c);
        } else {
            look_later(c);
        }
    }
}

const struct net_address *conn_local(const struct conn *c)
{
    static const struct net_address unknown = {.family = 0};
    return c == NULL ? &unknown : &c->local;
}
