/*
 * The one loop. Everything runs on it; a turn that takes longer than 50 ms is logged with what
 * took longest in it.
 */
#ifndef COMFYPOOL_LOOP_LOOP_H
#define COMFYPOOL_LOOP_LOOP_H

#include <uv.h>

/* Prepares the loop and its watch. Ends the process when the kernel refuses an epoll descriptor. */
void loop_init(uv_loop_t *loop);

/* What begins now, for the log of a slow turn. `what` is static. Cost: one clock reading. */
void loop_note(const char *what);

/*
 * Closes the watch, runs the loop until no handle lives and closes it. All rooms must have been
 * told to close before. Returns how many handles survived (0: uv_loop_close returned 0).
 */
int loop_finish(uv_loop_t *loop);

#endif
