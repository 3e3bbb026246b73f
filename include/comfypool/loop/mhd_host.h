/*
 * Puts a libmicrohttpd daemon on a libuv loop. The daemon must have been started with
 * MHD_USE_EPOLL, MHD_ALLOW_SUSPEND_RESUME and no thread of its own.
 */
#ifndef COMFYPOOL_LOOP_MHD_HOST_H
#define COMFYPOOL_LOOP_MHD_HOST_H

#include <microhttpd.h>
#include <uv.h>

struct mhd_host;

/* Owner: the caller, until mhd_host_close. The daemon stays the caller's. */
struct mhd_host *mhd_host_new(uv_loop_t *loop, struct MHD_Daemon *daemon);

/*
 * Call after every MHD_resume_connection: runs the daemon once in this turn of the loop, before it
 * polls again, for any number of kicks. May be called inside a handler of the daemon.
 */
void mhd_host_kick(struct mhd_host *h);

/* Runs the daemon now. Not inside one of its handlers. */
void mhd_host_run(struct mhd_host *h);

/* Stops watching; the daemon may be stopped then. Freed, and `closed` called, when the loop has run
   the close callbacks. */
void mhd_host_close(struct mhd_host *h, void (*closed)(void *ctx), void *ctx);

#endif
