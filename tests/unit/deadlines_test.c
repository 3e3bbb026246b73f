/* Deadlines on a loop: their order, and what is set while others run. */
#include "comfypool/loop/deadlines.h"

#include "suites.h"

static uv_loop_t loop;
static struct deadlines deadlines;
static int turn;

static void a_turn_begins(uv_prepare_t *handle)
{
    (void)handle;
    turn++;
}

static void on_closed(uv_handle_t *handle)
{
    (void)handle;
}

static uv_prepare_t prepare;

static void begin(void)
{
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    deadlines_init(&deadlines, &loop);
    (void)uv_prepare_init(&loop, &prepare);
    (void)uv_prepare_start(&prepare, a_turn_begins);
    turn = 0;
}

/* Until nothing is set any more. */
static void run(void)
{
    uv_unref((uv_handle_t *)&prepare);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&prepare, NULL);
    deadlines_close(&deadlines, on_closed);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
}

enum { PARTS = 5 };

static struct {
    struct deadline next;
    int done;
    int turns[PARTS];
} work;

static void one_part(void *ctx)
{
    (void)ctx;
    work.turns[work.done++] = turn;
    if (work.done < PARTS) {
        deadline_set(&deadlines, &work.next, time_mono(), one_part, NULL);
    }
}

/* Work that is done some at a time leaves the loop a turn between two parts. */
START_TEST(a_part_a_turn)
{
    begin();
    deadline_set(&deadlines, &work.next, time_mono(), one_part, NULL);
    run();
    ck_assert_int_eq(work.done, PARTS);
    for (int i = 1; i < PARTS; i++) {
        ck_assert_int_gt(work.turns[i], work.turns[i - 1]);
    }
}
END_TEST

static struct {
    int len;
    int of[3];
    struct deadline all[3];
} order;

static void note(void *ctx)
{
    const struct deadline *e = ctx;
    order.of[order.len++] = (int)(e - order.all);
}

/* In the order of time, whenever they were set; one that is cleared does not come. */
START_TEST(in_order_of_time)
{
    begin();
    const struct mono_us now = time_mono();
    for (int i = 0; i < 3; i++) {
        deadline_set(&deadlines, &order.all[i], mono_add(now, dur_ms(3 - i)), note, &order.all[i]);
    }
    deadline_clear(&deadlines, &order.all[1]);
    run();
    ck_assert_int_eq(order.len, 2);
    ck_assert_int_eq(order.of[0], 2);
    ck_assert_int_eq(order.of[1], 0);
}
END_TEST

enum { LONG_ONES = 12, LONG_US = 4000 };

static struct {
    struct deadline all[LONG_ONES];
    int done;
    int turns[LONG_ONES];
} crowd;

static void takes_long(void *ctx)
{
    (void)ctx;
    const struct mono_us since = time_mono();
    while (mono_diff(time_mono(), since).us < LONG_US) {
    }
    crowd.turns[crowd.done++] = turn;
}

/* Many that are due together do not hold the loop. */
START_TEST(a_crowd_has_many_turns)
{
    begin();
    crowd.done = 0;
    for (int i = 0; i < LONG_ONES; i++) {
        crowd.all[i] = (struct deadline){.node = {0}};
        deadline_set(&deadlines, &crowd.all[i], time_mono(), takes_long, NULL);
    }
    run();
    ck_assert_int_eq(crowd.done, LONG_ONES);
    for (int i = 3; i < LONG_ONES; i++) {
        ck_assert_int_gt(crowd.turns[i], crowd.turns[i - 3]);
    }
}
END_TEST

Suite *deadlines_suite(void)
{
    Suite *s = suite_create("deadlines");
    TCase *c = tcase_create("deadlines");
    tcase_add_test(c, a_part_a_turn);
    tcase_add_test(c, in_order_of_time);
    tcase_add_test(c, a_crowd_has_many_turns);
    suite_add_tcase(s, c);
    return s;
}
