/* Work that is done apart: on another thread, one after the other, told once on the loop's. */
#include <check.h>
#include <stdlib.h>

#include "comfypool/loop/apart.h"
#include "suites.h"

enum { WORKS = 5 };

static struct {
    uv_loop_t loop;
    uv_thread_t main;
    int order[WORKS];
    int told;
    int not_worked;
} test;

struct work {
    int number;
    bool was_elsewhere;
};

static void work(void *ctx)
{
    struct work *w = ctx;
    const uv_thread_t self = uv_thread_self();
    w->was_elsewhere = uv_thread_equal(&self, &test.main) == 0;
}

static void done(void *ctx, bool worked)
{
    struct work *w = ctx;
    const uv_thread_t self = uv_thread_self();
    ck_assert(uv_thread_equal(&self, &test.main) != 0);
    ck_assert(w->was_elsewhere == worked);
    test.order[test.told++] = w->number;
    test.not_worked += worked ? 0 : 1;
}

static struct aparts *begin(struct work *works)
{
    (void)uv_loop_init(&test.loop);
    test.main = uv_thread_self();
    struct aparts *a = aparts_new(&test.loop);
    for (int i = 0; i < WORKS; i++) {
        works[i] = (struct work){.number = i};
        aparts_start(a, work, done, &works[i]);
    }
    return a;
}

static void check_end(void)
{
    (void)uv_run(&test.loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&test.loop), 0);
    ck_assert_int_eq(test.told, WORKS);
    for (int i = 0; i < WORKS; i++) {
        ck_assert_int_eq(test.order[i], i);
    }
}

START_TEST(works_in_order)
{
    struct work works[WORKS];
    struct aparts *a = begin(works);
    (void)uv_run(&test.loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(test.told, WORKS);
    aparts_close(a);
    check_end();
    ck_assert_int_eq(test.not_worked, 0);
}
END_TEST

/* What is under way is waited for, the rest is told that it was not done. */
START_TEST(close_tells_all)
{
    struct work works[WORKS];
    aparts_close(begin(works));
    ck_assert_int_eq(test.told, WORKS);
    check_end();
    ck_assert_int_eq(test.not_worked, WORKS - APART_AT_ONCE);
}
END_TEST

Suite *apart_suite(void)
{
    Suite *s = suite_create("apart");
    TCase *c = tcase_create("apart");
    tcase_add_test(c, works_in_order);
    tcase_add_test(c, close_tells_all);
    suite_add_tcase(s, c);
    return s;
}
