/*
 * Parts of main.c beside the rooms: the process and its descriptors, signals, the service manager,
 * the HTTP server as configured.
 */
#ifndef COMFYPOOL_SRC_MAIN_INNER_H
#define COMFYPOOL_SRC_MAIN_INNER_H

#include <stdbool.h>
#include <uv.h>

#include "comfypool/base/err.h"
#include "comfypool/base/time.h"
#include "comfypool/config/settings.h"
#include "comfypool/http/http.h"
#include "comfypool/store/store.h"

/* ---- descriptors.c --------------------------------------------------------------------------- */

/* Opens /dev/null for closed standard descriptors: the next file opened must not become one of
   them, and libuv cannot start a program without. */
void descriptors_open_standard(void);
/*
 * Raises the limit of open files, and lowers http_max_connections so that clients leave enough
 * descriptors to the store and the backends. False after an error in the log: too few for anything.
 */
bool descriptors_fit(struct config *c) MUST_CHECK;

/* ---- exposure.c ------------------------------------------------------------------------------ */

/* Checks that without tokens only this machine can connect. sockets: number passed by the service
   manager. False after an error on stderr: an address is reachable from elsewhere. */
bool exposure_check(const struct config *c, int sockets) MUST_CHECK;

/* ---- server.c -------------------------------------------------------------------------------- */

/* families: borrowed, NULL at the end. */
struct http_server *server_new(uv_loop_t *loop, const struct settings *s,
                               const struct http_family *const *families);
/* Listens on the sockets that the service manager holds open over restarts, else as configured, and
   prints each URL. False after an error in the log. */
bool server_listen(struct http_server *server, const struct config *c, int sockets) MUST_CHECK;

/* ---- signals.c ------------------------------------------------------------------------------- */

enum { SIGNALS = 3 };

struct signals {
    uv_signal_t handles[SIGNALS];
    void (*stop)(void *ctx);   /* SIGTERM or SIGINT, once */
    void (*reload)(void *ctx); /* SIGHUP, before the stop */
    void *ctx;
    bool stopping;
};

/* stop, reload and ctx must be set. */
void signals_watch(struct signals *s, uv_loop_t *loop);
void signals_close(struct signals *s);

/* ---- watchdog.c ------------------------------------------------------------------------------ */

/* The service manager's watchdog. */
struct watchdog {
    uv_timer_t timer;
    struct store *store;
    struct dur_us limit; /* it kills us after this silence; 0: no watchdog */
};

void watchdog_init(struct watchdog *w, uv_loop_t *loop);
/* Feeds it while the loop turns and the store answers; its timer does not keep the loop alive. */
void watchdog_begin(struct watchdog *w, struct store *store);
void watchdog_close(struct watchdog *w);

#endif
