/*
 * One child process on the loop; see the header. Its stdin is a real pipe and not libuv's
 * socketpair: a script that opens /dev/stdin could not open a socket. The process handle is closed
 * only after the exit was seen, since libuv reaps no child whose handle is gone; a killed child
 * that the kernel cannot end (a dead network disk) is left behind after KILL_GRACE_MS, so that
 * neither its caller nor the loop's end waits for ever. Freed when the last handle has closed.
 */
#include "comfypool/loop/process.h"

#include <errno.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "comfypool/base/buf.h"
#include "comfypool/loop/loop.h"

enum { KILL_GRACE_MS = 3000 };

struct process {
    uv_process_t child;
    uv_timer_t timer; /* the deadline, the grace after a kill, or a deferred failure */
    uv_pipe_t in;
    uv_write_t write;
    unsigned handles; /* open handles */
    char *path, *input;
    size_t input_n;
    struct dur_us timeout;
    process_done_fn done;
    void *ctx;
    bool started;
    bool killed;
    bool over; /* the callback is done, or cancelled */
    char why[256];
};

/* ---- its end --------------------------------------------------------------------------------- */

static void handle_closed(uv_handle_t *handle)
{
    struct process *p = handle->data;
    if (--p->handles == 0) {
        free(p->path);
        free(p->input);
        free(p);
    }
}

static void close_handle(uv_handle_t *handle)
{
    if (uv_is_closing(handle) == 0) {
        uv_close(handle, handle_closed);
    }
}

static void finish(struct process *p, const struct process_end *end)
{
    if (!p->over) {
        p->over = true;
        p->done(p->ctx, end);
    }
    close_handle((uv_handle_t *)&p->in);
    close_handle((uv_handle_t *)&p->timer);
    close_handle((uv_handle_t *)&p->child);
}

static void describe_exit(struct process *p, const struct process_end *end)
{
    if (end->timed_out) {
        (void)snprintf(p->why, sizeof p->why, "%s did not end within %lld ms and was killed",
                       p->path, (long long)(p->timeout.us / 1000));
    } else if (end->signal != 0) {
        (void)snprintf(p->why, sizeof p->why, "%s was ended by signal %d (%s)", p->path,
                       end->signal, strsignal(end->signal));
    } else if (end->exit_status != 0) {
        (void)snprintf(p->why, sizeof p->why, "%s exited with status %d", p->path,
                       end->exit_status);
    }
}

static void exited(uv_process_t *child, int64_t status, int by_signal)
{
    loop_note("process");
    struct process *p = child->data;
    const struct process_end end = {
        .started = true,
        .exit_status = by_signal == 0 ? (int)status : -1,
        .signal = by_signal,
        .timed_out = p->killed && by_signal == SIGKILL,
        .why = p->why,
    };
    describe_exit(p, &end);
    finish(p, &end);
}

static void could_not_start(uv_timer_t *timer)
{
    struct process *p = timer->data;
    const struct process_end end = {.exit_status = -1, .why = p->why};
    finish(p, &end);
}

static void survived_kill(uv_timer_t *timer)
{
    struct process *p = timer->data;
    const struct process_end end = {
        .started = true, .exit_status = -1, .timed_out = true, .why = p->why};
    (void)snprintf(p->why, sizeof p->why, "%s did not end within %lld ms, nor when it was killed",
                   p->path, (long long)(p->timeout.us / 1000));
    finish(p, &end);
}

static void kill_group(struct process *p)
{
    p->killed = true;
    (void)kill(-p->child.pid, SIGKILL);
    (void)uv_timer_start(&p->timer, survived_kill, KILL_GRACE_MS, 0);
}

static void time_is_up(uv_timer_t *timer)
{
    loop_note("process");
    kill_group(timer->data);
}

void process_cancel(struct process *p)
{
    if (p->over) {
        return;
    }
    p->over = true;
    close_handle((uv_handle_t *)&p->in);
    if (p->started) {
        kill_group(p);
    } /* else its timer fires in the next turn and closes the rest */
}

/* ---- its start ------------------------------------------------------------------------------- */

static void input_written(uv_write_t *write, int status)
{
    (void)status; /* an unread rest means nothing: the exit status does */
    struct process *p = write->data;
    close_handle((uv_handle_t *)&p->in);
}

static void send_input(struct process *p, int fd)
{
    const uv_buf_t b = uv_buf_init(p->input, (unsigned)p->input_n);
    p->write.data = p;
    if (uv_pipe_open(&p->in, fd) != 0) {
        (void)close(fd);
        close_handle((uv_handle_t *)&p->in);
    } else if (p->input_n == 0 ||
               uv_write(&p->write, (uv_stream_t *)&p->in, &b, 1, input_written) != 0) {
        close_handle((uv_handle_t *)&p->in);
    }
}

static const struct {
    int error;
    const char *hint;
} hints[] = {
    {UV_ENOENT, " (the file, or the interpreter that its first line names)"},
    {UV_EACCES, " (it must be a file that the daemon's user may execute)"},
    {UV_EAGAIN, " (there are too many processes)"},
};

static void fail_soon(struct process *p, int error)
{
    const char *hint = "";
    for (size_t i = 0; i < sizeof hints / sizeof *hints; i++) {
        if (hints[i].error == error) {
            hint = hints[i].hint;
        }
    }
    (void)snprintf(p->why, sizeof p->why, "cannot run %s: %s%s", p->path, uv_strerror(error), hint);
    (void)uv_timer_start(&p->timer, could_not_start, 0, 0);
}

static void ignore_sigpipe(void)
{
    struct sigaction present;
    if (sigaction(SIGPIPE, NULL, &present) == 0 && present.sa_handler == SIG_DFL) {
        (void)signal(SIGPIPE, SIG_IGN);
    }
}

/* Makes descriptors close-on-exec: libuv closes none in the child, and not every library opens with
   O_CLOEXEC (libcurl's sockets, as of 7.88). */
static void keep_descriptors_here(void)
{
    (void)close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC);
}

static int spawn(struct process *p, uv_loop_t *loop, int stdin_fd)
{
    static const char usual[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    const char *ours = getenv("PATH");
    AUTO_BUF struct buf path;
    buf_init(&path, BUF_NO_LIMIT);
    buf_printf(&path, "PATH=%s", ours == NULL ? usual : ours);
    char *env[] = {buf_text(&path), NULL};
    char *args[] = {p->path, NULL};
    uv_stdio_container_t fds[] = {
        {.flags = UV_INHERIT_FD, .data.fd = stdin_fd},
        {.flags = UV_IGNORE},
        {.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO},
    };
    const uv_process_options_t options = {
        .exit_cb = exited,
        .file = p->path,
        .args = args,
        .env = env,
        .flags = UV_PROCESS_DETACHED,
        .stdio_count = 3,
        .stdio = fds,
    };
    keep_descriptors_here();
    return uv_spawn(loop, &p->child, &options);
}

struct process *process_start(uv_loop_t *loop, const struct process_spec *spec,
                              process_done_fn done, void *ctx)
{
    struct process *p = mem_zero(1, sizeof *p);
    uv_file fds[2] = {-1, -1};
    p->path = mem_strdup(spec->path);
    p->input = mem_copy(spec->input);
    p->input_n = spec->input.n;
    p->timeout = spec->timeout;
    p->done = done;
    p->ctx = ctx;
    p->handles = 3;
    (void)uv_timer_init(loop, &p->timer);
    (void)uv_pipe_init(loop, &p->in, 0);
    p->timer.data = p->in.data = p;
    ignore_sigpipe();
    const int pipe_error = uv_pipe(fds, 0, UV_NONBLOCK_PIPE);
    /* Without a pipe spawn fails too, but makes the handle: one way to the end. */
    int error = spawn(p, loop, fds[0]);
    p->child.data = p;
    error = pipe_error != 0 ? pipe_error : error;
    if (pipe_error == 0) {
        (void)close(fds[0]);
    }
    if (error != 0) {
        if (pipe_error == 0) {
            (void)close(fds[1]);
        }
        fail_soon(p, error);
        return p;
    }
    p->started = true;
    send_input(p, fds[1]);
    if (p->timeout.us > 0) {
        (void)uv_timer_start(&p->timer, time_is_up, (uint64_t)(p->timeout.us + 999) / 1000, 0);
    }
    return p;
}
