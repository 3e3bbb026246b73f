/* Copies of jobs that are deleted while it is looked for them. */
#include "comfypool/files/output_copies.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comfypool/loop/deadlines.h"
#include "comfypool/store/jobs.h"
#include "store_fixture.h"
#include "suites.h"

enum { JOBS = 4 };

static struct deadlines deadlines;
static struct file_servers *servers;
static struct stamps *stamps;
static struct blobs *blobs;
static struct copies *copies;
static struct job_record jobs[JOBS]; /* the oldest first */

/* Jobs with copies that nothing is known of in memory. */
static void set_up_copies(void)
{
    char path[128];
    set_up();
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = make_job(JOB_COMPLETED);
        ck_assert_int_eq(insert(&jobs[i]), ERR_NONE);
    }
    close_store();
    open_store();
    (void)snprintf(path, sizeof path, "%s/copies", dir);
    ck_assert_msg(blobs_open(&loop, path, &blobs, why, sizeof why), "%s", why);
    deadlines_init(&deadlines, &loop);
    servers = file_servers_new();
    stamps = stamps_new(store, servers, true);
    copies =
        copies_new(store, &deadlines, servers, stamps,
                   &(struct copies_options){.blobs = blobs, .bytes = 1, .age = {INT64_MAX / 4}});
    for (int i = 0; i < JOBS; i++) {
        copies_begin(copies, &jobs[i], "[{\"state\":\"failed\"}]");
    }
}

static void end_copies(void)
{
    copies_stop(copies);
    copies_free(copies);
    copies = NULL;
}

static void tear_down_copies(void)
{
    if (copies != NULL) {
        end_copies();
    }
    stamps_free(stamps);
    file_servers_free(servers);
    blobs_close(blobs);
    deadlines_close(&deadlines, NULL);
    for (int i = 0; i < JOBS; i++) {
        job_record_done(&jobs[i]);
    }
    tear_down();
}

static size_t left(void)
{
    struct copies_stats s;
    copies_count(copies, &s);
    return s.jobs;
}

static void await_left(size_t n)
{
    while (left() != n) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
}

static void delete_first(int n)
{
    for (int i = 0; i < n; i++) {
        struct answer done = {0};
        store_delete(store, jobs[i].seq, on_kept, &done);
        (void)wait_for(&done);
    }
}

/* The one that is asked for is forgotten meanwhile; those behind it are found all the same. */
START_TEST(forgotten_while_it_is_found)
{
    delete_first(3);
    ck_assert_uint_eq(left(), JOBS);
    copies_of_deleted(copies);
    copies_forget(copies, jobs[0].id);
    await_left(1);
    copies_of_deleted(copies);
    copies_forget(copies, jobs[3].id);
    ck_assert_uint_eq(left(), 0);
}
END_TEST

static void say_so(void *ctx)
{
    (void)ctx;
    copies_of_deleted(copies);
}

/* It was read before it was deleted: it is read again. */
START_TEST(deleted_while_it_is_found)
{
    hold_writes();
    store_delete(store, jobs[0].seq, say_so, NULL);
    (void)uv_run(&loop, UV_RUN_NOWAIT); /* the writer is told */
    copies_of_deleted(copies);
    release_writes();
    ck_assert_uint_eq(left(), JOBS);
    await_left(JOBS - 1);
}
END_TEST

START_TEST(the_end_comes_while_it_is_found)
{
    delete_first(1);
    copies_of_deleted(copies);
    end_copies();
    close_store();
    open_store();
}
END_TEST

Suite *copies_suite(void)
{
    Suite *s = suite_create("copies: reads under way");
    TCase *t = tcase_create("of jobs that are deleted");
    tcase_add_checked_fixture(t, set_up_copies, tear_down_copies);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, forgotten_while_it_is_found);
    tcase_add_test(t, deleted_while_it_is_found);
    tcase_add_test(t, the_end_comes_while_it_is_found);
    suite_add_tcase(s, t);
    return s;
}
