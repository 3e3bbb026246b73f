/*
 * GPUs, by a library that says what a file says (tests/fakenvml): values, errors, a driver that
 * hangs, and no library at all. Each test ends with a loop that closes.
 */
#include "../../src/host/internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "suites.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

static char dir[256];
static uv_loop_t loop;
static struct host_gpus *gpus;

static struct {
    int calls;
    size_t n;
    struct host_gpu gpu[4];
    int64_t pids[4][256];
    char trouble[512];
} got;

static const char *in_dir(const char *name)
{
    static char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void set_up(void)
{
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(dir, sizeof dir, "%s/gpus_XXXXXX", tmp == NULL ? "/tmp" : tmp);
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    ck_assert_int_eq(setenv("FAKE_NVML", in_dir("script"), 1), 0);
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
    (void)nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* What the library says from now on. */
static void script(const char *lines)
{
    char to[512];
    FILE *f = fopen(in_dir("new"), "we");
    ck_assert_ptr_nonnull(f);
    (void)fputs(lines, f);
    ck_assert_int_eq(fclose(f), 0);
    (void)snprintf(to, sizeof to, "%s", in_dir("script"));
    ck_assert_int_eq(rename(in_dir("new"), to), 0);
}

static const char *library(const char *name)
{
    static char path[1024];
    const char *built = getenv("TEST_FAKENVML");
    (void)snprintf(path, sizeof path, "%s/%s", built == NULL ? "build/asan/fakenvml" : built, name);
    return path;
}

static void open_gpus(const char *name, int64_t retry_ms)
{
    gpus = gpus_open(&loop, library(name), dur_ms(retry_ms), dur_ms(60000));
}

static void on_gpus(void *ctx, const struct host_gpu *list, size_t n, const char *trouble)
{
    ck_assert_ptr_eq(ctx, &got);
    ck_assert_uint_le(n, COUNT(got.gpu));
    got.calls++;
    got.n = n;
    for (size_t i = 0; i < n; i++) {
        got.gpu[i] = list[i];
        ck_assert_uint_le(list[i].pids_len, COUNT(got.pids[i]));
        for (size_t k = 0; k < list[i].pids_len; k++) {
            got.pids[i][k] = list[i].pids[k];
        }
    }
    (void)snprintf(got.trouble, sizeof got.trouble, "%s", trouble);
}

static void wait_for_answer(int calls)
{
    while (got.calls < calls) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    ck_assert_int_eq(got.calls, calls);
    ck_assert_str_eq(host_gpus_trouble(gpus), got.trouble);
}

static void ask(void)
{
    const int before = got.calls;
    ck_assert(host_gpus_ask(gpus, on_gpus, &got));
    ck_assert_int_eq(got.calls, before); /* not from inside */
    wait_for_answer(before + 1);
}

static void close_gpus(void)
{
    ck_assert(host_gpus_close(gpus));
    gpus = NULL;
}

/* ---- values ---------------------------------------------------------------------------------- */

#define GPU0                                                                                       \
    "gpu0.uuid=GPU-0a\ngpu0.utilization=37\ngpu0.temperature=61\n"                                 \
    "gpu0.memory=1000/25757220864\ngpu0.pids=10,11\n"
#define GPU1                                                                                       \
    "gpu1.uuid=GPU-1b\ngpu1.utilization=0\ngpu1.temperature=30\n"                                  \
    "gpu1.memory=0/500\ngpu1.pids=\n"

START_TEST(values_arrive)
{
    script("count=2\n" GPU0 GPU1);
    open_gpus("libnvidia-ml.so.1", 30000);
    ck_assert_str_eq(host_gpus_trouble(gpus), "");
    ask();
    ck_assert_str_eq(got.trouble, "");
    ck_assert_uint_eq(got.n, 2);
    const struct host_gpu *g = &got.gpu[0];
    ck_assert_str_eq(g->uuid, "GPU-0a");
    ck_assert(g->index == 0 && g->utilization == 37 && g->temperature == 61);
    ck_assert(g->vram_used == 1000 && g->vram_total == 25757220864);
    ck_assert(g->has_pids && g->pids_len == 2 && got.pids[0][0] == 10 && got.pids[0][1] == 11);
    g = &got.gpu[1];
    ck_assert_str_eq(g->uuid, "GPU-1b");
    ck_assert(g->index == 1 && g->utilization == 0 && g->temperature == 30);
    ck_assert(g->vram_used == 0 && g->vram_total == 500);
    ck_assert(g->has_pids && g->pids_len == 0);
    script("count=1\n" GPU0 "gpu0.utilization=38\n");
    ask();
    ck_assert_uint_eq(got.n, 1);
    close_gpus();
}
END_TEST

/* Each layout that drivers have had, with more processes than fit at first, and old names. */
static const struct {
    const char *library;
    const char *line;
} layouts[] = {
    {"libnvidia-ml.so.1", ""},
    {"libnvidia-ml.so.1", "process=16\n"},
    {"libnvidia-ml.so.1", "process=32\n"},
    {"old/libnvidia-ml.so.1", ""},
};

START_TEST(lists_of_processes)
{
    static const unsigned lengths[] = {1, 2, 3, 31, 32, 33, 150};
    open_gpus(layouts[_i].library, 0);
    for (size_t k = 0; k < COUNT(lengths); k++) {
        AUTO_BUF struct buf b;
        buf_init(&b, BUF_NO_LIMIT);
        buf_printf(&b, "count=1\n%sgpu0.pids=", layouts[_i].line);
        for (unsigned i = 0; i < lengths[k]; i++) {
            buf_printf(&b, "%s%u", i == 0 ? "" : ",", 4000000 + i);
        }
        script(buf_text(&b));
        ask();
        ck_assert_str_eq(got.trouble, "");
        ck_assert_uint_eq(got.gpu[0].pids_len, lengths[k]);
        for (unsigned i = 0; i < lengths[k]; i++) {
            ck_assert_int_eq(got.pids[0][i], 4000000 + i);
        }
    }
    close_gpus();
}
END_TEST

/* ---- errors ---------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    const char *lines; /* behind a GPU that tells everything; the first of a key counts */
    const char *trouble;
    unsigned unknown; /* of uuid, utilization, temperature, memory, pids: bits 0 to 4 */
} errors[] = {
    {"uuid", "gpu0.uuid=!15\n", "GPU 0 does not tell its UUID: fake error 15", 1},
    {"utilization", "gpu0.utilization=!15\n", "GPU 0 does not tell its utilization: ", 2},
    {"utilization is not there", "gpu0.utilization=!3\n", "", 2},
    {"temperature", "gpu0.temperature=!999\n", "GPU 0 does not tell its temperature: ", 4},
    {"memory", "gpu0.memory=!4\n", "GPU 0 does not tell its memory: fake error 4", 8},
    {"processes", "gpu0.pids=!4\n", "GPU 0 does not tell its processes: fake error 4", 16},
    {"processes are not there", "gpu0.pids=!3\n", "", 16},
    {"processes for ever too many", "gpu0.pids=!7\n", "GPU 0 does not tell its processes: ", 16},
    {"two of them", "gpu0.temperature=!15\ngpu0.memory=!4\n",
     "GPU 0 does not tell its temperature: fake error 15", 12},
    {"a function fails", "nvmlDeviceGetTemperature=2\n",
     "GPU 0 does not tell its temperature: ", 4},
};

static unsigned unknown_values(const struct host_gpu *g)
{
    ck_assert((g->vram_used == -1) == (g->vram_total == -1));
    return (g->uuid[0] == '\0' ? 1u : 0) | (g->utilization == -1 ? 2u : 0) |
           (g->temperature == -1 ? 4u : 0) | (g->vram_used == -1 ? 8u : 0) |
           (!g->has_pids ? 16u : 0);
}

START_TEST(what_fails_is_unknown)
{
    char lines[1024];
    (void)snprintf(lines, sizeof lines, "%scount=2\n" GPU0 GPU1, errors[_i].lines);
    script(lines);
    open_gpus("libnvidia-ml.so.1", 30000);
    ask();
    ck_assert_uint_eq(got.n, 2);
    ck_assert_msg(strstr(got.trouble, errors[_i].trouble) != NULL &&
                      (errors[_i].trouble[0] != '\0' || got.trouble[0] == '\0'),
                  "%s: %s", errors[_i].name, got.trouble);
    ck_assert_msg(unknown_values(&got.gpu[0]) == errors[_i].unknown, "%s", errors[_i].name);
    close_gpus();
}
END_TEST

START_TEST(a_lost_gpu_hides_no_other)
{
    script("count=2\ngpu0.handle=!15\n" GPU0 GPU1);
    open_gpus("libnvidia-ml.so.1", 30000);
    ask();
    ck_assert_uint_eq(got.n, 2);
    ck_assert_uint_eq(unknown_values(&got.gpu[0]), 31);
    ck_assert_uint_eq(unknown_values(&got.gpu[1]), 0);
    ck_assert_str_eq(got.trouble, "GPU 0 does not tell its values: fake error 15");
    close_gpus();
}
END_TEST

/* No GPU at all is known. */
static const struct {
    const char *name;
    const char *library;
    const char *lines;
    const char *trouble;
} failures[] = {
    {"no library", "missing.so", "", "NVIDIA's library is not there: "},
    {"not a library", "../comfypoold", "", "NVIDIA's library is not there: "},
    {"init fails", "libnvidia-ml.so.1", "nvmlInit_v2=9\n",
     "NVIDIA's driver cannot be used: fake error 9"},
    {"count fails", "libnvidia-ml.so.1", "nvmlDeviceGetCount_v2=999\n",
     "NVIDIA's driver does not tell its GPUs: fake error 999"},
    {"no GPU", "libnvidia-ml.so.1", "count=0\n", "NVIDIA's driver knows no GPU"},
    {"too many", "libnvidia-ml.so.1", "count=4000000000\n", "more GPUs than there can be"},
};

static void must_fail(size_t i)
{
    ask();
    ck_assert_uint_eq(got.n, 0);
    ck_assert_msg(strstr(got.trouble, failures[i].trouble) != NULL, "%s: %s", failures[i].name,
                  got.trouble);
}

START_TEST(failures_are_told_and_tried_again)
{
    const bool is_there = strcmp(failures[_i].library, "libnvidia-ml.so.1") == 0;
    script(failures[_i].lines);
    open_gpus(failures[_i].library, 0);
    must_fail((size_t)_i);
    must_fail((size_t)_i);
    script("count=1\n" GPU0);
    ask();
    ck_assert_uint_eq(got.n, is_there ? 1 : 0);
    ck_assert((got.trouble[0] == '\0') == is_there);
    close_gpus();
}
END_TEST

START_TEST(failures_are_not_tried_again_at_once)
{
    script(failures[_i].lines);
    open_gpus(failures[_i].library, 60000);
    must_fail((size_t)_i);
    script("count=1\n" GPU0);
    must_fail((size_t)_i);
    close_gpus();
}
END_TEST

START_TEST(another_library_is_not_taken)
{
    gpus = gpus_open(&loop, "libc.so.6", dur_ms(0), dur_ms(60000));
    ask();
    ck_assert_str_eq(got.trouble, "libc.so.6 has no nvmlInit_v2; NVIDIA's driver is too old");
    close_gpus();
}
END_TEST

START_TEST(gpus_that_say_nothing_are_opened_anew)
{
    script("count=1\n");
    open_gpus("libnvidia-ml.so.1", 0);
    ask();
    ck_assert_uint_eq(got.n, 1);
    ck_assert_uint_eq(unknown_values(&got.gpu[0]), 31);
    script("nvmlInit_v2=18\ncount=1\n" GPU0); /* which only a new start sees */
    ask();
    ck_assert_str_eq(got.trouble, "NVIDIA's driver cannot be used: fake error 18");
    close_gpus();
}
END_TEST

/* With the real library, or without: an answer comes. */
START_TEST(the_real_name_answers)
{
    gpus = host_gpus_new(&loop);
    ck_assert(host_gpus_ask(gpus, on_gpus, &got));
    while (got.calls == 0) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    ck_assert_msg(got.n > 0 || got.trouble[0] != '\0', "nothing is known, and nobody says why");
    (void)host_gpus_close(gpus);
}
END_TEST

/* ---- a driver that hangs --------------------------------------------------------------------- */

static const char *const hanging[] = {
    "nvmlInit_v2",
    "nvmlDeviceGetCount_v2",
    "nvmlDeviceGetHandleByIndex_v2",
    "nvmlDeviceGetUUID",
    "nvmlDeviceGetUtilizationRates",
    "nvmlDeviceGetTemperature",
    "nvmlDeviceGetMemoryInfo",
    "nvmlDeviceGetComputeRunningProcesses_v3",
};

static void tick(uv_timer_t *timer)
{
    ck_assert_ptr_nonnull(timer->data);
    (*(int *)timer->data)++;
}

/* Turns the loop until the library is inside a call; the loop's timers run meanwhile. */
static void run_until_it_hangs(void)
{
    int ticks = 0;
    uv_timer_t timer = {.data = &ticks};
    const struct mono_us late = mono_add(time_mono(), dur_ms(30000));
    (void)uv_timer_init(&loop, &timer);
    (void)uv_timer_start(&timer, tick, 1, 1);
    while (access(in_dir("hung"), F_OK) != 0 || ticks < 10) {
        ck_assert_msg(mono_before(time_mono(), late), "it does not hang");
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&timer, NULL);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
}

static void script_hang(const char *function, const char *more)
{
    char lines[2048];
    (void)snprintf(lines, sizeof lines, "%s=hang\nhung=%s/hung\n%scount=1\n" GPU0, function, dir,
                   more);
    script(lines);
}

static void close_in_time(void)
{
    const struct mono_us before = time_mono();
    ck_assert_msg(!host_gpus_close(gpus), "nothing hangs");
    ck_assert_int_lt(mono_diff(time_mono(), before).us, 5000000);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_alive(&loop), 0);
}

START_TEST(a_hang_stalls_nobody)
{
    script_hang(hanging[_i], "");
    gpus = gpus_open(&loop, library("libnvidia-ml.so.1"), dur_ms(0), dur_ms(0));
    ck_assert(host_gpus_ask(gpus, on_gpus, &got));
    run_until_it_hangs();
    ck_assert_int_eq(got.calls, 0);
    ck_assert_msg(!host_gpus_ask(gpus, on_gpus, &got), "two questions are open");
    ck_assert_msg(strstr(host_gpus_trouble(gpus), "has not answered for 0 s") != NULL, "%s",
                  host_gpus_trouble(gpus));
    close_in_time();
    ck_assert_int_eq(got.calls, 0);
}
END_TEST

START_TEST(a_hang_at_the_end_stalls_nobody)
{
    script_hang("nvmlShutdown", "");
    open_gpus("libnvidia-ml.so.1", 0);
    ask();
    close_in_time();
    ck_assert_int_eq(got.calls, 1);
}
END_TEST

static const char *release_line(void)
{
    static char line[1024];
    ck_assert_int_eq(mkfifo(in_dir("fifo"), 0600), 0);
    (void)snprintf(line, sizeof line, "release=%s\n", in_dir("fifo"));
    return line;
}

static void release(void)
{
    const int fd = open(in_dir("fifo"), O_WRONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    (void)close(fd);
}

START_TEST(a_late_answer_is_an_answer)
{
    script_hang("nvmlDeviceGetTemperature", release_line());
    open_gpus("libnvidia-ml.so.1", 0);
    ck_assert(host_gpus_ask(gpus, on_gpus, &got));
    run_until_it_hangs();
    script("count=1\n" GPU0);
    release();
    wait_for_answer(1);
    ck_assert(got.n == 1 && got.gpu[0].temperature == 61);
    ask();
    ck_assert_str_eq(got.trouble, "");
    close_gpus();
}
END_TEST

static int count_threads(void)
{
    int n = 0;
    DIR *list = opendir("/proc/self/task");
    ck_assert_ptr_nonnull(list);
    for (const struct dirent *e = readdir(list); e != NULL; e = readdir(list)) {
        n += e->d_name[0] != '.';
    }
    (void)closedir(list);
    return n;
}

/* The thread that was left behind comes back: it frees what is its own, and touches nothing else.
 */
START_TEST(what_was_left_behind_ends)
{
    const struct mono_us late = mono_add(time_mono(), dur_ms(30000));
    script_hang("nvmlDeviceGetTemperature", release_line());
    open_gpus("libnvidia-ml.so.1", 0);
    ck_assert(host_gpus_ask(gpus, on_gpus, &got));
    run_until_it_hangs();
    close_in_time();
    const int threads = count_threads();
    ck_assert_int_eq(uv_loop_close(&loop), 0); /* a wake-up of it would now abort */
    release();
    while (count_threads() >= threads) {
        ck_assert_msg(mono_before(time_mono(), late), "the thread does not end");
        (void)sched_yield();
    }
    ck_assert_int_eq(got.calls, 0);
    ck_assert_int_eq(uv_loop_init(&loop), 0); /* for the tear-down */
}
END_TEST

/* ---- the end --------------------------------------------------------------------------------- */

START_TEST(without_gpus_nothing_is_asked)
{
    ck_assert(!host_gpus_ask(NULL, on_gpus, &got));
    ck_assert_str_eq(host_gpus_trouble(NULL), "the GPUs are not watched");
    ck_assert(host_gpus_close(NULL));
}
END_TEST

START_TEST(closed_unused)
{
    open_gpus("libnvidia-ml.so.1", 0);
    close_gpus();
}
END_TEST

START_TEST(closed_with_an_open_question)
{
    script("count=1\n" GPU0);
    for (int i = 0; i < 200; i++) {
        open_gpus("libnvidia-ml.so.1", 0);
        ck_assert(host_gpus_ask(gpus, on_gpus, &got));
        for (int k = 0; k < i % 40; k++) { /* so that the answer is in any state */
            (void)sched_yield();
        }
        close_gpus();
        (void)uv_run(&loop, UV_RUN_DEFAULT);
        ck_assert_int_eq(got.calls, 0);
    }
}
END_TEST

static void close_inside(void *ctx, const struct host_gpu *list, size_t n, const char *trouble)
{
    ck_assert(ctx == &got && list != NULL && n == 1 && trouble[0] == '\0');
    got.calls++;
    close_gpus();
}

START_TEST(closed_by_its_callback)
{
    script("count=1\n" GPU0);
    open_gpus("libnvidia-ml.so.1", 0);
    ck_assert(host_gpus_ask(gpus, close_inside, &got));
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(got.calls, 1);
}
END_TEST

static void ask_inside(void *ctx, const struct host_gpu *list, size_t n, const char *trouble)
{
    on_gpus(ctx, list, n, trouble);
    if (got.calls < 3) {
        ck_assert(host_gpus_ask(gpus, ask_inside, &got));
    }
}

START_TEST(asked_again_by_its_callback)
{
    script("count=1\n" GPU0);
    open_gpus("libnvidia-ml.so.1", 0);
    ck_assert(host_gpus_ask(gpus, ask_inside, &got));
    wait_for_answer(1);
    wait_for_answer(3);
    close_gpus();
}
END_TEST

Suite *gpus_suite(void)
{
    Suite *s = suite_create("gpus");
    TCase *t = tcase_create("gpus");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, values_arrive);
    tcase_add_loop_test(t, lists_of_processes, 0, (int)COUNT(layouts));
    tcase_add_loop_test(t, what_fails_is_unknown, 0, (int)COUNT(errors));
    tcase_add_test(t, a_lost_gpu_hides_no_other);
    tcase_add_loop_test(t, failures_are_told_and_tried_again, 0, (int)COUNT(failures));
    tcase_add_loop_test(t, failures_are_not_tried_again_at_once, 0, (int)COUNT(failures));
    tcase_add_test(t, another_library_is_not_taken);
    tcase_add_test(t, gpus_that_say_nothing_are_opened_anew);
    tcase_add_test(t, the_real_name_answers);
    tcase_add_loop_test(t, a_hang_stalls_nobody, 0, (int)COUNT(hanging));
    tcase_add_test(t, a_hang_at_the_end_stalls_nobody);
    tcase_add_test(t, a_late_answer_is_an_answer);
    tcase_add_test(t, what_was_left_behind_ends);
    tcase_add_test(t, without_gpus_nothing_is_asked);
    tcase_add_test(t, closed_unused);
    tcase_add_test(t, closed_with_an_open_question);
    tcase_add_test(t, closed_by_its_callback);
    tcase_add_test(t, asked_again_by_its_callback);
    suite_add_tcase(s, t);
    return s;
}
