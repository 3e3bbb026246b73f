/*
 * The one loop. Everything runs on it; a turn that takes longer than 50 ms is logged with its
 * longest part, and readers after it can ask how long their input may have waited.
 */
#ifndef COMFYPOOL_LOOP_LOOP_H
#define COMFYPOOL_LOOP_LOOP_H

#include <stdbool.h>
#include <uv.h>

#include "comfypool/base/time.h"

/* Prepares the loop and its watch. Ends the process when the kernel refuses an epoll descriptor. */
void loop_init(uv_loop_t *loop);

/* Names what begins now, for the log of a slow turn. `what` is static. Cost: one clock reading. */
void loop_note(const char *what);

/*
 * Returns since when input read now may have waited, if more than 50 ms: a turn took so long, or
 * the whole process stood still (stopped, or not scheduled). 0: it has not. Only within callbacks
 * of I/O. A standstill is visible only between loop_beat_begin and loop_beat_end. Cost: no clock
 * reading.
 */
struct mono_us loop_waited_since(struct mono_us now);
/*
 * Returns since when the poll went on if the process stood still in it, for less than a beat shows;
 * else 0. Judged by when a connection's last byte came (ws_last_came): during the poll, and long
 * before we woke. Bytes from before the poll waited for a turn that was not slow. many: much was
 * read at once, so a shorter delay counts. No system call.
 */
struct mono_us loop_stood_since(struct mono_us last_came, bool many);
/* Returns the number of the poll that reads now; 0: none, or no beat. */
unsigned loop_poll(void);
/* Begin and end a beat every 100 ms (calls nest): a late beat shows a standstill, which otherwise
   looks like a wait for I/O. */
void loop_beat_begin(void);
void loop_beat_end(void);

/*
 * Closes the watch, runs the loop until no handle is left and closes it. All rooms must have been
 * told to close before. Returns how many handles survived (0: uv_loop_close returned 0).
 */
int loop_finish(uv_loop_t *loop);

#endif
