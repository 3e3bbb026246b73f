/*
 * Programs on the loop: shell scripts in a directory of the test's own. A script that has to wait
 * for the test reads a FIFO. Each test ends with a loop that closes.
 */
#include "comfypool/loop/process.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "comfypool/base/buf.h"
#include "suites.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

static char dir[256];
static uv_loop_t loop;

static struct {
    int calls;
    bool started, timed_out;
    int exit_status, signal;
    char why[512];
} end;

static bool inside_start;

static void on_done(void *ctx, const struct process_end *e)
{
    ck_assert_ptr_eq(ctx, &end);
    ck_assert_msg(!inside_start, "called from inside process_start");
    end.calls++;
    end.started = e->started;
    end.timed_out = e->timed_out;
    end.exit_status = e->exit_status;
    end.signal = e->signal;
    (void)snprintf(end.why, sizeof end.why, "%s", e->why);
}

static void set_up(void)
{
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(dir, sizeof dir, "%s/process_XXXXXX", tmp == NULL ? "/tmp" : tmp);
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    memset(&end, 0, sizeof end);
    inside_start = false;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static void tear_down(void)
{
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    ck_assert_msg(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD, "a child is left");
    (void)nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---- files ----------------------------------------------------------------------------------- */

static const char *in_dir(const char *name)
{
    static char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

/* A script; the directory is $D in it. Returns its path. */
static const char *script(const char *body)
{
    FILE *f = fopen(in_dir("script"), "we");
    ck_assert_ptr_nonnull(f);
    (void)fprintf(f, "#!/bin/sh\nD='%s'\n%s\n", dir, body);
    ck_assert_int_eq(fclose(f), 0);
    ck_assert_int_eq(chmod(in_dir("script"), 0755), 0);
    return in_dir("script");
}

static void content(const char *name, struct buf *ret)
{
    FILE *f = fopen(in_dir(name), "re");
    ck_assert_msg(f != NULL, "%s is not there", name);
    buf_init(ret, BUF_NO_LIMIT);
    char chunk[65536];
    for (size_t n = fread(chunk, 1, sizeof chunk, f); n > 0; n = fread(chunk, 1, sizeof chunk, f)) {
        buf_add(ret, chunk, n);
    }
    (void)fclose(f);
}

static void content_is(const char *name, const char *want)
{
    AUTO_BUF struct buf got;
    content(name, &got);
    ck_assert_str_eq(buf_text(&got), want);
}

static void make_fifo(void)
{
    ck_assert_int_eq(mkfifo(in_dir("fifo"), 0600), 0);
}

/* Lets the script go that reads $D/fifo. */
static void open_fifo(void)
{
    const int fd = open(in_dir("fifo"), O_WRONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    (void)close(fd);
}

/* Open at both ends: who reads it waits until this is closed. */
static int hold_fifo(void)
{
    make_fifo();
    const int fd = open(in_dir("fifo"), O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    return fd;
}

/* ---- running --------------------------------------------------------------------------------- */

static struct process *start(const char *path, struct str input, int64_t timeout_ms)
{
    const struct process_spec spec = {path, input, dur_ms(timeout_ms)};
    inside_start = true;
    struct process *p = process_start(&loop, &spec, on_done, &end);
    inside_start = false;
    return p;
}

static void wait_for_end(void)
{
    while (end.calls == 0) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(end.calls, 1);
}

static void run(const char *body, struct str input)
{
    (void)start(script(body), input, 60000);
    wait_for_end();
}

static void ended_well(void)
{
    ck_assert_msg(end.started && end.exit_status == 0 && end.signal == 0 && !end.timed_out &&
                      end.why[0] == '\0',
                  "%s", end.why);
}

/* A megabyte, more than any pipe holds. */
static struct str much(void)
{
    enum { BYTES = 1 << 20 };
    static char bytes[BYTES];
    for (size_t i = 0; i < BYTES; i++) {
        bytes[i] = (char)(i * 2654435761u >> 13);
    }
    return (struct str){bytes, BYTES};
}

/* ---- input ----------------------------------------------------------------------------------- */

static const char *const readers[] = {
    "cat >$D/out",
    "cat /dev/stdin >$D/out", /* which a socket would not allow */
    "dd of=$D/out bs=777 2>/dev/null",
};

START_TEST(all_input_arrives)
{
    AUTO_BUF struct buf got;
    run(readers[_i], much());
    ended_well();
    content("out", &got);
    ck_assert_uint_eq(got.len, much().n);
    ck_assert_int_eq(memcmp(got.data, much().p, got.len), 0);
}
END_TEST

START_TEST(no_input_is_an_end_of_file)
{
    run("wc -c >$D/out", STR(""));
    ended_well();
    content_is("out", "0\n");
}
END_TEST

/* What does not read its input, and goes on until the FIFO lets it. */
static const char *const idlers[] = {
    "read x <$D/fifo; exit 7",
    "exec 0<&-; read x <$D/fifo; exit 7",
};

static void let_go(uv_timer_t *timer)
{
    open_fifo();
    uv_close((uv_handle_t *)timer, NULL);
}

START_TEST(unread_input_stalls_nobody)
{
    uv_timer_t turn;
    make_fifo();
    (void)start(script(idlers[_i]), much(), 60000);
    /* The loop turns meanwhile: it is a timer of it that lets the script end. */
    (void)uv_timer_init(&loop, &turn);
    (void)uv_timer_start(&turn, let_go, 1, 0);
    wait_for_end();
    ck_assert(end.started && !end.timed_out);
    ck_assert_int_eq(end.exit_status, 7);
    ck_assert_msg(strstr(end.why, "exited with status 7") != NULL, "%s", end.why);
}
END_TEST

START_TEST(it_may_exit_at_once)
{
    run("exit 3", much());
    ck_assert(end.started && !end.timed_out);
    ck_assert_int_eq(end.exit_status, 3);
    ck_assert_int_eq(end.signal, 0);
}
END_TEST

/* A child in the background that holds the input keeps nothing open here. */
START_TEST(its_children_keep_nothing_open)
{
    make_fifo();
    ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
    run("(read x <$D/fifo) <&0 & exit 0", much());
    ended_well();
    ck_assert_int_eq(uv_loop_alive(&loop), 0);
    open_fifo();
    int status = -1;
    ck_assert_int_gt(waitpid(-1, &status, 0), 0);
    ck_assert_msg(WIFEXITED(status), "what it left in the background was touched");
}
END_TEST

/* ---- its surroundings ------------------------------------------------------------------------ */

static void environment_is(const char *path)
{
    AUTO_BUF struct buf got;
    char want[4096];
    run("/bin/cat /proc/$$/environ >$D/out", STR(""));
    ended_well();
    content("out", &got);
    (void)snprintf(want, sizeof want, "PATH=%s", path);
    ck_assert_uint_eq(got.len, strlen(want) + 1);
    ck_assert_str_eq(buf_text(&got), want);
}

START_TEST(path_is_its_environment)
{
    ck_assert_int_eq(setenv("PATH", "/bin:/usr/bin:/x y", 1), 0);
    ck_assert_int_eq(setenv("COMFYPOOLD_SECRET", "x", 1), 0);
    environment_is("/bin:/usr/bin:/x y");
}
END_TEST

START_TEST(without_a_path_it_gets_a_usual_one)
{
    ck_assert_int_eq(unsetenv("PATH"), 0);
    environment_is("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
}
END_TEST

START_TEST(it_inherits_no_descriptor)
{
    int pair[2];
    ck_assert_int_eq(pipe(pair), 0); /* without O_CLOEXEC, as careless libraries do */
    run("ls /proc/self/fd >$D/out; x=$(readlink /proc/$$/fd/1); echo $x >$D/stdout", STR("x"));
    ended_well();
    content_is("out", "0\n1\n2\n3\n"); /* 3 is the directory that ls reads */
    content_is("stdout", "/dev/null\n");
    (void)close(pair[0]);
    (void)close(pair[1]);
}
END_TEST

START_TEST(stderr_is_ours)
{
    const int saved = dup(STDERR_FILENO);
    const int fd = open(in_dir("log"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert(saved >= 0 && fd >= 0);
    ck_assert_int_eq(dup2(fd, STDERR_FILENO), STDERR_FILENO);
    run("echo complaint >&2", STR(""));
    ck_assert_int_eq(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    (void)close(saved);
    (void)close(fd);
    ended_well();
    content_is("log", "complaint\n");
}
END_TEST

START_TEST(it_leads_a_session_of_its_own)
{
    int pid = 0;
    int group = 0;
    int session = 0;
    AUTO_BUF struct buf got;
    run("cut -d' ' -f1,5,6 /proc/$$/stat >$D/out", STR(""));
    ended_well();
    content("out", &got);
    ck_assert_int_eq(sscanf(buf_text(&got), "%d %d %d", &pid, &group, &session), 3);
    ck_assert(pid > 0 && pid == group && pid == session);
}
END_TEST

/* SIGPIPE, which is ignored here, among them. Signals above 31 are the C library's own. */
START_TEST(signals_are_as_usual)
{
    unsigned long long blocked = ~0ull;
    unsigned long long ignored = ~0ull;
    AUTO_BUF struct buf got;
    run("sed -n 's/^Sig\\(Blk\\|Ign\\)://p' /proc/self/status >$D/out", STR(""));
    ended_well();
    content("out", &got);
    ck_assert_int_eq(sscanf(buf_text(&got), "%llx %llx", &blocked, &ignored), 2);
    ck_assert_uint_eq(blocked & 0x7fffffff, 0);
    ck_assert_uint_eq(ignored & 0x7fffffff, 0);
}
END_TEST

/* ---- its end --------------------------------------------------------------------------------- */

START_TEST(a_signal_ends_it)
{
    run("kill -TERM $$", STR(""));
    ck_assert(end.started && !end.timed_out);
    ck_assert_int_eq(end.exit_status, -1);
    ck_assert_int_eq(end.signal, SIGTERM);
    ck_assert_msg(strstr(end.why, "ended by signal 15 (Terminated)") != NULL, "%s", end.why);
}
END_TEST

START_TEST(somebody_elses_kill_is_no_timeout)
{
    run("kill -KILL $$", STR(""));
    ck_assert(!end.timed_out);
    ck_assert_int_eq(end.signal, SIGKILL);
}
END_TEST

/* Orphans become ours (PR_SET_CHILD_SUBREAPER): the grandchild was killed, and none lives on. */
static void grandchild_was_killed(void)
{
    int status = 0;
    AUTO_BUF struct buf text;
    content("grandchild", &text);
    const pid_t pid = (pid_t)atoi(buf_text(&text));
    if (waitpid(pid, &status, 0) == pid) {
        ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    } else { /* its parent died after it, and had the time to wait for it */
        ck_assert_int_eq(kill(pid, 0), -1);
    }
    while (waitpid(-1, NULL, 0) > 0) {
    }
}

static const char with_grandchild[] =
    "cat $D/fifo & echo $! >$D/new; mv $D/new $D/grandchild; wait; exit 0";

START_TEST(late_ones_are_killed_with_their_children)
{
    ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
    const int fifo = hold_fifo();
    /* A slow machine may need more time to get as far as the grandchild. */
    for (int64_t ms = 100; access(in_dir("grandchild"), F_OK) != 0; ms *= 2) {
        while (waitpid(-1, NULL, WNOHANG) > 0) {
        }
        end.calls = 0;
        (void)start(script(with_grandchild), much(), ms);
        wait_for_end();
        ck_assert(end.started && end.timed_out);
    }
    ck_assert_int_eq(end.exit_status, -1);
    ck_assert_int_eq(end.signal, SIGKILL);
    ck_assert_msg(strstr(end.why, "ms and was killed") != NULL, "%s", end.why);
    grandchild_was_killed();
    (void)close(fifo);
}
END_TEST

static const struct {
    const char *name; /* in the directory; with a slash at its front: as it is */
    const char *body; /* what is written there; NULL: nothing */
    mode_t mode;
    const char *why;
} failures[] = {
    {"missing", NULL, 0, "no such file or directory"},
    {"plain", "#!/bin/sh\n", 0644, "permission denied"},
    {"interpreter", "#!/does/not/exist\n", 0755, "the interpreter"},
    {"/", NULL, 0, "permission denied"},
    {"/dev/null/x", NULL, 0, "not a directory"},
};

START_TEST(failures_to_start)
{
    const char *name = failures[_i].name;
    char path[512];
    (void)snprintf(path, sizeof path, "%s", *name == '/' ? name : in_dir(name));
    if (failures[_i].body != NULL) {
        FILE *f = fopen(path, "we");
        ck_assert_ptr_nonnull(f);
        (void)fputs(failures[_i].body, f);
        (void)fclose(f);
        ck_assert_int_eq(chmod(path, failures[_i].mode), 0);
    }
    (void)start(path, much(), 60000);
    wait_for_end();
    ck_assert(!end.started && !end.timed_out);
    ck_assert_int_eq(end.exit_status, -1);
    ck_assert_int_eq(end.signal, 0);
    ck_assert_msg(strstr(end.why, failures[_i].why) != NULL && strstr(end.why, path) != NULL, "%s",
                  end.why);
}
END_TEST

START_TEST(without_descriptors_it_fails)
{
    struct rlimit limit;
    const char *path = script("exit 0");
    const int first_free = dup(STDIN_FILENO);
    (void)close(first_free);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    const struct rlimit none = {(rlim_t)first_free, limit.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    (void)start(path, STR("x"), 60000);
    wait_for_end();
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert(!end.started);
    ck_assert_msg(strstr(end.why, "too many open files") != NULL, "%s", end.why);
}
END_TEST

/* ---- cancelling ------------------------------------------------------------------------------ */

START_TEST(a_cancelled_one_is_killed_and_silent)
{
    ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
    const int fifo = hold_fifo();
    struct process *p = start(script(with_grandchild), much(), 60000);
    const struct mono_us late = mono_add(time_mono(), dur_ms(30000));
    while (access(in_dir("grandchild"), F_OK) != 0) {
        ck_assert_msg(mono_before(time_mono(), late), "the script does not get on");
        (void)uv_run(&loop, UV_RUN_NOWAIT);
    }
    process_cancel(p);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(end.calls, 0);
    grandchild_was_killed();
    (void)close(fifo);
}
END_TEST

START_TEST(cancelled_at_once)
{
    make_fifo();
    process_cancel(start(script("read x <$D/fifo"), much(), 60000));
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(end.calls, 0);
}
END_TEST

START_TEST(a_failed_start_is_cancelled)
{
    process_cancel(start(in_dir("missing"), much(), 60000));
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(end.calls, 0);
}
END_TEST

START_TEST(many_at_once)
{
    const char *path = script("cat >/dev/null; exit 0");
    for (int i = 0; i < 32; i++) {
        (void)start(path, much(), 60000);
    }
    while (end.calls < 32) {
        (void)uv_run(&loop, UV_RUN_ONCE);
        ck_assert(end.calls == 0 || end.exit_status == 0);
    }
}
END_TEST

Suite *process_suite(void)
{
    Suite *s = suite_create("process");
    TCase *t = tcase_create("process");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_loop_test(t, all_input_arrives, 0, (int)COUNT(readers));
    tcase_add_test(t, no_input_is_an_end_of_file);
    tcase_add_loop_test(t, unread_input_stalls_nobody, 0, (int)COUNT(idlers));
    tcase_add_test(t, it_may_exit_at_once);
    tcase_add_test(t, its_children_keep_nothing_open);
    tcase_add_test(t, path_is_its_environment);
    tcase_add_test(t, without_a_path_it_gets_a_usual_one);
    tcase_add_test(t, it_inherits_no_descriptor);
    tcase_add_test(t, stderr_is_ours);
    tcase_add_test(t, it_leads_a_session_of_its_own);
    tcase_add_test(t, signals_are_as_usual);
    tcase_add_test(t, a_signal_ends_it);
    tcase_add_test(t, somebody_elses_kill_is_no_timeout);
    tcase_add_test(t, late_ones_are_killed_with_their_children);
    tcase_add_loop_test(t, failures_to_start, 0, (int)COUNT(failures));
    tcase_add_test(t, without_descriptors_it_fails);
    tcase_add_test(t, a_cancelled_one_is_killed_and_silent);
    tcase_add_test(t, cancelled_at_once);
    tcase_add_test(t, a_failed_start_is_cancelled);
    tcase_add_test(t, many_at_once);
    suite_add_tcase(s, t);
    return s;
}
