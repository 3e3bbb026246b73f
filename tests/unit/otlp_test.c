/* Traces whose jobs are read when the end comes: nobody is called back. */
#include "comfypool/notify/otlp.h"

#include "comfypool/base/pending.h"
#include "comfypool/loop/deadlines.h"
#include "comfypool/store/finds.h"
#include "store_fixture.h"
#include "suites.h"

START_TEST(the_end_comes_while_a_job_is_read)
{
    enum { A_BATCH = 16 };
    struct pending reads = {.n = 0};
    static struct deadlines deadlines;
    deadlines_init(&deadlines, &loop);
    store_count_finds(store, &reads);
    struct otlp *t =
        otlp_new(store, NULL, &deadlines, &(struct otlp_options){.url = "http://127.0.0.1:9/"});
    for (int i = 0; i < A_BATCH; i++) {
        otlp_add(t, "00000000-0000-7000-8000-000000000000");
    }
    while (reads.n == 0) {
        (void)uv_run(&loop, UV_RUN_NOWAIT);
    }
    ck_assert_uint_eq(reads.n, 1); /* one after the other */
    otlp_stop(t);
    otlp_free(t);
    deadlines_close(&deadlines, NULL);
    close_store();
    ck_assert_uint_eq(reads.n, 0);
    open_store();
}
END_TEST

Suite *otlp_suite(void)
{
    Suite *s = suite_create("otlp: reads under way");
    TCase *t = tcase_create("open");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, the_end_comes_while_a_job_is_read);
    suite_add_tcase(s, t);
    return s;
}
