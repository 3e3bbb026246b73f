/* Files by their hash, with a loop and a directory of the test's own. */
#include "comfypool/store/blobs.h"

#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "suites.h"

static uv_loop_t loop;
static struct blobs *blobs;
static char top[] = "/tmp/comfypoold-blobs.XXXXXX";
static char dir[64];

struct end {
    unsigned times;
    enum err e;
    char sha256[DIGEST_HEX_SIZE];
    uint64_t size;
    unsigned drained;
};

static void done(void *ctx, enum err e, const char *why, const char *sha256, uint64_t size)
{
    struct end *to = ctx;
    (void)why;
    to->times++;
    to->e = e;
    to->size = size;
    (void)snprintf(to->sha256, sizeof to->sha256, "%s", sha256);
}

static void drained(void *ctx)
{
    ((struct end *)ctx)->drained++;
}

static const struct blob_writer_ops ops = {drained, done};

static void open_dir(void)
{
    char why[128] = "";
    ck_assert_msg(blobs_open(&loop, dir, &blobs, why, sizeof why), "%s", why);
}

static void begin(void)
{
    ck_assert_ptr_nonnull(mkdtemp(top));
    (void)snprintf(dir, sizeof dir, "%s/a", top);
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    open_dir();
}

static void finish(void)
{
    char command[96];
    blobs_close(blobs);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    (void)snprintf(command, sizeof command, "rm -rf %s", top);
    ck_assert_int_eq(system(command), 0);
}

/* How many files there are in DIR/NAME, or -1. */
static int files_in(const char *name)
{
    char path[96];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    DIR *d = opendir(path);
    int n = d == NULL ? -1 : 0;
    for (struct dirent *e = d == NULL ? NULL : readdir(d); e != NULL; e = readdir(d)) {
        n += e->d_name[0] != '.';
    }
    if (d != NULL) {
        (void)closedir(d);
    }
    return n;
}

static struct end keep(const char *text, size_t piece)
{
    struct end end = {.times = 0};
    struct blob_writer *w = blob_begin(blobs, &ops, &end);
    for (size_t at = 0; at < strlen(text); at += piece) {
        const size_t n = strlen(text) - at;
        (void)blob_write(w, text + at, n < piece ? n : piece);
        (void)uv_run(&loop, UV_RUN_NOWAIT);
    }
    ck_assert_uint_eq(blob_written(w), strlen(text));
    blob_finish(w);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    return end;
}

static bool has(const char *sha256, const char *text)
{
    char read_back[64] = "";
    uint64_t size = 0;
    const int fd = blob_open(blobs, sha256, &size);
    if (fd < 0) {
        return false;
    }
    const ssize_t n = read(fd, read_back, sizeof read_back - 1);
    (void)close(fd);
    return n == (ssize_t)size && strcmp(read_back, text) == 0;
}

#define HELLO_SHA "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
#define EMPTY_SHA "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

START_TEST(a_file_is_kept_by_its_hash)
{
    struct stat st;
    char path[160];
    const struct end end = keep("hello", 2);
    ck_assert(end.times == 1 && end.e == ERR_NONE && end.size == 5);
    ck_assert_str_eq(end.sha256, HELLO_SHA);
    ck_assert(has(HELLO_SHA, "hello"));
    (void)snprintf(path, sizeof path, "%s/2c/%s", dir, HELLO_SHA);
    ck_assert(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
    ck_assert(stat(dir, &st) == 0 && (st.st_mode & 0777) == 0700);
    ck_assert_int_eq(files_in("unfinished"), 0);
    ck_assert_str_eq(keep("hello", 5).sha256, HELLO_SHA);
    ck_assert_int_eq(files_in("2c"), 1);
    ck_assert_str_eq(keep("", 1).sha256, EMPTY_SHA);
    ck_assert(has(EMPTY_SHA, ""));
}
END_TEST

START_TEST(what_is_given_up_leaves_nothing)
{
    struct end end = {.times = 0};
    struct blob_writer *w = blob_begin(blobs, &ops, &end);
    (void)blob_write(w, "hello", 5); /* the pool has it now */
    blob_abort(w);
    blob_abort(blob_begin(blobs, &ops, &end));
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert(end.times == 0 && files_in("unfinished") == 0 && files_in("2c") == -1);
}
END_TEST

START_TEST(a_writer_pauses)
{
    static char block[200 << 10];
    struct end end = {.times = 0};
    struct blob_writer *w = blob_begin(blobs, &ops, &end);
    bool goes_on = true;
    for (int i = 0; i < 8 && goes_on; i++) {
        goes_on = blob_write(w, block, sizeof block);
    }
    ck_assert(!goes_on && end.drained == 0);
    while (end.drained == 0) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    blob_finish(w);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert(end.times == 1 && end.e == ERR_NONE);
}
END_TEST

/* Also when the same content is on its way while the old file goes. */
START_TEST(what_is_removed_may_come_again)
{
    (void)keep("hello", 5);
    blob_remove(blobs, HELLO_SHA);
    ck_assert_msg(!has(HELLO_SHA, "hello"), "gone at once");
    ck_assert_str_eq(keep("hello", 5).sha256, HELLO_SHA);
    ck_assert(has(HELLO_SHA, "hello") && files_in("unfinished") == 0);
    struct end end = {.times = 0};
    struct blob_writer *w = blob_begin(blobs, &ops, &end);
    (void)blob_write(w, "hello", 5);
    blob_finish(w);
    while (end.times == 0) { /* at every point of its way */
        blob_remove(blobs, HELLO_SHA);
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    ck_assert(end.e == ERR_NONE && has(HELLO_SHA, "hello"));
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert(has(HELLO_SHA, "hello"));
}
END_TEST

START_TEST(a_file_is_shared)
{
    struct blobs *first = blobs;
    (void)keep("hello", 5);
    (void)snprintf(dir, sizeof dir, "%s/b", top);
    open_dir();
    ck_assert(blob_share(first, blobs, HELLO_SHA) && blob_share(first, blobs, HELLO_SHA));
    blob_remove(first, HELLO_SHA);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert(has(HELLO_SHA, "hello"));
    ck_assert(!blob_share(first, blobs, EMPTY_SHA));
    blobs_close(first);
}
END_TEST

static void count(void *ctx, const char *sha256, uint64_t size)
{
    unsigned *n = ctx;
    ck_assert((strcmp(sha256, HELLO_SHA) == 0 && size == 5) || strcmp(sha256, EMPTY_SHA) == 0);
    (*n)++;
}

START_TEST(a_start_finds_what_is_whole)
{
    struct end end = {.times = 0};
    (void)keep("hello", 5);
    (void)keep("", 5);
    (void)blob_write(blob_begin(blobs, &ops, &end), "half", 4);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(files_in("unfinished"), 1);
    struct blobs *first = blobs;
    open_dir(); /* as after a kill */
    ck_assert_int_eq(files_in("unfinished"), 0);
    unsigned n = 0;
    blobs_each(blobs, count, &n);
    ck_assert_uint_eq(n, 2);
    blobs_close(first); /* with a writer under way */
    ck_assert_uint_eq(end.times, 0);
}
END_TEST

Suite *blobs_suite(void)
{
    Suite *s = suite_create("blobs");
    TCase *c = tcase_create("blobs");
    tcase_add_checked_fixture(c, begin, finish);
    tcase_add_test(c, a_file_is_kept_by_its_hash);
    tcase_add_test(c, what_is_given_up_leaves_nothing);
    tcase_add_test(c, a_writer_pauses);
    tcase_add_test(c, what_is_removed_may_come_again);
    tcase_add_test(c, a_file_is_shared);
    tcase_add_test(c, a_start_finds_what_is_whole);
    suite_add_tcase(s, c);
    return s;
}
