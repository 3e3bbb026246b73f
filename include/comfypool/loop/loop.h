/*
 * The one loop. Everything runs on it; a turn that takes longer than 50 ms is logged with what
 * took longest in it, and whoever reads behind it can ask since when that may have waited.
 */
#ifndef COMFYPOOL_LOOP_LOOP_H
#define COMFYPOOL_LOOP_LOOP_H

#include <stdbool.h>
#include <uv.h>

#include "comfypool/base/time.h"

/* Prepares the loop and its watch. Ends the process when the kernel refuses an epoll descriptor. */
void loop_init(uv_loop_t *loop);

/* What begins now, for the log of a slow turn. `what` is static. Cost: one clock reading. */
void loop_note(const char *what);

/*
 * Since when what is read now may have waited for us, when that is more than 50 ms: a turn took so
 * long, or the whole process stood still (stopped, or not scheduled). 0: it has not. Only within
 * callbacks of I/O. A standstill is seen only between the next two. Cost: no clock reading.
 */
struct mono_us loop_waited_since(struct mono_us now);
/*
 * Whether the process stood still in this poll, shorter than a beat shows, by when the last byte of
 * a connection came (ws_last_came): while we polled, and long before we woke. Since when the poll
 * went on, or 0. What came before the poll began waited for a turn that was not slow. Many: much
 * was read at once, so that less tells. No system call.
 */
struct mono_us loop_stood_since(struct mono_us last_came, bool many);
/* Which poll reads now; 0: nobody cares, since nothing beats. */
unsigned loop_poll(void);
/* While begun, as often as ended, a timer beats every 100 ms: one that is late shows a standstill,
   which nothing else tells from a wait for I/O. */
void loop_beat_begin(void);
void loop_beat_end(void);

/*
 * Closes the watch, runs the loop until no handle lives and closes it. All rooms must have been
 * told to close before. Returns how many handles survived (0: uv_loop_close returned 0).
 */
int loop_finish(uv_loop_t *loop);

#endif
