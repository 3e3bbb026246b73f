/*
 * Runs work that would block the loop (reading a large body, rendering a large profile) on libuv's
 * thread pool: APART_AT_ONCE at a time, since names and files need its threads too; the rest waits
 * in order.
 */
#ifndef COMFYPOOL_LOOP_APART_H
#define COMFYPOOL_LOOP_APART_H

#include <stdbool.h>
#include <uv.h>

enum { APART_AT_ONCE = 1 };

struct aparts;

/* Owner: the caller, until aparts_close. */
struct aparts *aparts_new(uv_loop_t *loop);

/* Runs on another thread: touches nothing but what ctx lends it. */
typedef void (*apart_work_fn)(void *ctx);
/* Called once on the loop's thread. worked false: not run, since the loop ends. */
typedef void (*apart_done_fn)(void *ctx, bool worked);

void aparts_start(struct aparts *a, apart_work_fn work, apart_done_fn done, void *ctx);

/* Waits for running work; calls each due `done` before it returns. Freed when the loop has run. */
void aparts_close(struct aparts *a);

#endif
