/*
 * Runs one program on the loop, with bytes on its stdin. It gets a session and process group of its
 * own, an environment that holds PATH alone (ours, or a usual one), our working directory, no
 * arguments, and three descriptors: stdin is a pipe that ends after the input, stdout goes to
 * /dev/null, stderr is ours, so that its complaints appear in our log (in the journal). The result
 * comes through its callback exactly once, never from inside process_start.
 */
#ifndef COMFYPOOL_LOOP_PROCESS_H
#define COMFYPOOL_LOOP_PROCESS_H

#include <stdbool.h>
#include <uv.h>

#include "comfypool/base/str.h"
#include "comfypool/base/time.h"

struct process;

struct process_spec {
    const char *path;      /* without a slash it is searched in PATH */
    struct str input;      /* copied; may be left unread */
    struct dur_us timeout; /* then SIGKILL to its whole group; 0: none */
};

struct process_end {
    bool started;    /* false: there never was a process */
    int exit_status; /* -1 if ended by a signal, or never started */
    int signal;      /* that ended it, or 0 */
    bool timed_out;
    const char *why; /* for people; "" after exit with 0. For the callback only */
};

typedef void (*process_done_fn)(void *ctx, const struct process_end *end);

/*
 * Starts it. SIGPIPE is ignored in the whole process from then on; every descriptor above 2 is made
 * close-on-exec, including those of libraries. Lives until its callback begins, or process_cancel.
 * Background processes that it leaves when it exits by itself are not touched. Cost: a fork, and
 * the wait for its exec; a copy of the input.
 */
struct process *process_start(uv_loop_t *loop, const struct process_spec *spec,
                              process_done_fn done, void *ctx);

/*
 * Ends it and its group with SIGKILL, without its callback. Its handles close when the kernel has
 * ended it, at most some seconds later (one in an uninterruptible state is left behind).
 */
void process_cancel(struct process *p);

#endif
