/* What is kept of many runs: sketches, measurements, roll-ups, the times that estimates stand on.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/pack.h"
#include "comfypool/core/measures.h"
#include "comfypool/core/rollup.h"
#include "suites.h"

/* ---- packed numbers -------------------------------------------------------------------------- */

START_TEST(what_is_packed_comes_back)
{
    static const uint64_t numbers[] = {0, 1, 127, 128, 300, UINT32_MAX, UINT64_MAX};
    AUTO_BUF struct buf b;
    buf_init(&b, BUF_NO_LIMIT);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        pack_uint(&b, numbers[i]);
    }
    pack_double(&b, -1234.5678e99);
    pack_text(&b, STR("some\0text"));
    pack_text(&b, STR(""));
    struct str from = buf_str(&b);
    uint64_t n = 0;
    double d = 0;
    struct str s;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        ck_assert(unpack_uint(&from, &n) && n == numbers[i]);
    }
    ck_assert(unpack_double(&from, &d) && d == -1234.5678e99);
    ck_assert(unpack_text(&from, &s) && str_eq(s, STR("some\0text")));
    ck_assert(unpack_text(&from, &s) && s.n == 0 && from.n == 0);
    ck_assert(!unpack_uint(&from, &n) && !unpack_double(&from, &d) && !unpack_text(&from, &s));
    struct str endless = STR("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff");
    ck_assert(!unpack_uint(&endless, &n));
    struct str longer = STR("\x05"
                            "abc");
    ck_assert(!unpack_text(&longer, &s) && longer.n == 4);
}
END_TEST

/* ---- sketches -------------------------------------------------------------------------------- */

static int by_value(const void *x, const void *y)
{
    const double a = *(const double *)x;
    const double b = *(const double *)y;
    return (a > b) - (a < b);
}

/* Deterministic, from 0 to 1. */
static double random_of(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (double)(*seed >> 8) / (1 << 24);
}

START_TEST(quantiles_are_within_their_error)
{
    enum { N = 5000 };
    double *values = mem_alloc(N * sizeof *values);
    struct sketch parts[3] = {{.buckets = NULL}};
    struct sketch whole = {.buckets = NULL};
    uint32_t seed = 7;
    for (int i = 0; i < N; i++) {
        /* From a microsecond to a quarter of an hour. */
        values[i] = exp(random_of(&seed) * 20) * (_i == 0 ? 1 : 0.5 + random_of(&seed));
        sketch_add(&parts[i % 3], values[i]);
    }
    for (int i = 0; i < 3; i++) {
        AUTO_BUF struct buf b;
        buf_init(&b, BUF_NO_LIMIT);
        sketch_write(&parts[i], &b);
        struct sketch back = {.buckets = NULL};
        struct str from = buf_str(&b);
        ck_assert(sketch_read(&back, &from) && from.n == 0);
        sketch_merge(&whole, &back);
        sketch_done(&back);
        sketch_done(&parts[i]);
    }
    ck_assert_uint_eq(whole.count, N);
    qsort(values, N, sizeof *values, by_value);
    static const double qs[] = {0, 0.01, 0.5, 0.9, 0.99, 1};
    for (size_t i = 0; i < sizeof qs / sizeof *qs; i++) {
        const int rank = (int)ceil(qs[i] * N); /* the nearest */
        const double want = values[rank == 0 ? 0 : rank - 1];
        const double got = sketch_quantile(&whole, qs[i]);
        ck_assert_msg(fabs(got - want) <= want * SKETCH_ERROR * 1.0001 || want <= 1,
                      "q %g: %g, want %g", qs[i], got, want);
    }
    sketch_done(&whole);
    free(values);
}
END_TEST

START_TEST(broken_sketches_are_refused)
{
    struct sketch s = {.buckets = NULL};
    static const struct str broken[] = {STR_INIT(""), STR_INIT("\x02\x01\x01"),
                                        STR_INIT("\xff\xff\xff\xff\x0f"),
                                        STR_INIT("\x01\xff\xff\xff\xff\x0f\x01")};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        struct str from = broken[i];
        ck_assert_msg(!sketch_read(&s, &from), "%zu", i);
        sketch_done(&s);
    }
    ck_assert(isnan(sketch_quantile(&s, 0.5)));
    sketch_add(&s, 0);
    sketch_add(&s, NAN);
    sketch_add(&s, INFINITY);
    ck_assert_uint_eq(s.count, 3);
    sketch_done(&s);
}
END_TEST

/* ---- measurements ---------------------------------------------------------------------------- */

static void note(void *ctx, struct wall_us at, const struct observation *o)
{
    static const char *const groups[] = {"class", "node", "workflow", "backend", "run"};
    static const char *const statuses[] = {"ran", "cached", "failed"};
    struct buf *out = ctx;
    ck_assert_int_eq(at.us, 1700000000000001);
    buf_printf(out, "%s %.*s %s", groups[o->group], (int)o->key.n, o->key.p, statuses[o->status]);
    if (o->has_value) {
        buf_printf(out, " %g", o->us);
    }
    buf_printf(out, " %d/%d%s\n", (int)o->hits, (int)o->lookups, o->cold ? " cold" : "");
}

static const struct node_run node_runs[] = {
    {STR_INIT("3"), STR_INIT("KSampler"), RUN_EXECUTED, 1500},
    {STR_INIT("4"), STR_INIT("Loader"), RUN_CACHED, 0},
    {STR_INIT("9"), {NULL, 0}, RUN_FAILED, 0},
};

static struct measurement a_measurement(void)
{
    return (struct measurement){
        .at = {1700000000000001},
        .state = JOB_COMPLETED,
        .cold = true,
        .executed = true,
        .execution_us = 2000,
        .nodes = 3,
        .nodes_cached = 1,
        .workflow_hash = STR("hash"),
        .cost_key = STR("cost"),
        .backend = STR("one"),
        .runs = node_runs,
        .runs_len = 3,
    };
}

START_TEST(a_measurement_says_something_of_each_key)
{
    AUTO_BUF struct buf bytes;
    AUTO_BUF struct buf out;
    buf_init(&bytes, BUF_NO_LIMIT);
    buf_init(&out, BUF_NO_LIMIT);
    struct measurement m = a_measurement();
    measurement_write(&m, &bytes);
    ck_assert(measurement_observe(buf_str(&bytes), note, &out));
    ck_assert_str_eq(buf_text(&out), "workflow hash ran 2000 1/3 cold\n"
                                     "backend one ran 2000 1/3 cold\n"
                                     "run cost/one ran 2000 1/3 cold\n"
                                     "node hash/3 ran 1500 0/1 cold\n"
                                     "class KSampler ran 1500 0/1 cold\n"
                                     "node hash/4 cached 1/1 cold\n"
                                     "class Loader cached 1/1 cold\n"
                                     "node hash/9 failed 0/0 cold\n");
    for (size_t n = 0; n < bytes.len; n++) { /* cut anywhere it is broken */
        buf_clear(&out);
        ck_assert(!measurement_observe((struct str){bytes.data, n}, note, &out));
    }
    buf_clear(&bytes);
    buf_clear(&out);
    m.executed = m.cold = false; /* all was in the cache: no estimate learns from it */
    m.nodes_cached = 3;
    m.runs_len = 0;
    measurement_write(&m, &bytes);
    ck_assert(measurement_observe(buf_str(&bytes), note, &out));
    ck_assert_str_eq(buf_text(&out), "workflow hash ran 2000 3/3\n"
                                     "backend one ran 2000 3/3\n"
                                     "run cost/one ran 3/3\n");
    buf_clear(&bytes);
    buf_clear(&out);
    m.state = JOB_FAILED;
    m.execution_us = -1;
    m.backend = STR("");
    m.runs_len = 0;
    measurement_write(&m, &bytes);
    ck_assert(measurement_observe(buf_str(&bytes), note, &out));
    ck_assert_str_eq(buf_text(&out), "workflow hash failed 0/0\n");
}
END_TEST

/* ---- roll-ups -------------------------------------------------------------------------------- */

static void add_value(struct rollup *r, double us, bool cold)
{
    rollup_add(
        r, &(struct observation){
               .status = RUN_EXECUTED, .has_value = true, .cold = cold, .us = us, .lookups = 1});
}

START_TEST(parts_merge_into_the_whole)
{
    struct rollup whole = {.count = 0};
    struct rollup parts[4] = {{.count = 0}};
    struct rollup merged = {.count = 0};
    uint32_t seed = 3;
    for (int i = 0; i < 1000; i++) {
        const double us = 1000 + 100000 * random_of(&seed);
        add_value(&whole, us, i % 10 == 0);
        add_value(&parts[i % 3], us, i % 10 == 0);
    }
    rollup_add(&parts[3], &(struct observation){.status = RUN_FAILED});
    rollup_add(&parts[3], &(struct observation){.status = RUN_CACHED, .hits = 1, .lookups = 1});
    for (int i = 0; i < 4; i++) {
        AUTO_BUF struct buf b;
        buf_init(&b, BUF_NO_LIMIT);
        rollup_write(&parts[i], &b);
        struct rollup back = {.count = 0};
        ck_assert(rollup_read(&back, buf_str(&b)));
        rollup_merge(&merged, &back);
        rollup_done(&back);
        ck_assert(!rollup_read(&back, (struct str){b.data, b.len - 1}));
        rollup_done(&back);
        rollup_done(&parts[i]);
    }
    ck_assert_uint_eq(merged.count, 1000);
    ck_assert(merged.failures == 1 && merged.hits == 1 && merged.lookups == 1001);
    ck_assert(fabs(merged.mean - whole.mean) < 1e-6 * whole.mean);
    ck_assert(fabs(rollup_stddev(&merged) - rollup_stddev(&whole)) < 1e-6 * whole.mean);
    ck_assert(merged.min == whole.min && merged.max == whole.max);
    ck_assert(rollup_quantile(&merged, 0.9) == rollup_quantile(&whole, 0.9));
    ck_assert_uint_eq(merged.cold.count, 100);
    rollup_done(&merged);
    rollup_done(&whole);
}
END_TEST

/* ---- estimates ------------------------------------------------------------------------------- */

#define KEY_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-1111111111111111"
#define KEY_B "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-2222222222222222"
#define KEY_C "cccccccccccccccccccccccccccccccc-1111111111111111"

static int64_t expected(struct measures *m, const char *key, const char *backend)
{
    struct dur_us ret = {-1};
    return measures_expect(m, str_of(key), str_of(backend), &ret) ? ret.us : -1;
}

START_TEST(the_nearest_measurement_counts)
{
    struct measures *m = measures_new();
    ck_assert_int_eq(expected(m, KEY_A, "one"), -1);
    measures_add(m, STR(KEY_A), STR("one"), true, (struct dur_us){900});
    ck_assert_int_eq(expected(m, KEY_A, "one"), 900); /* only a cold one is known */
    for (int i = 0; i < 9; i++) {
        measures_add(m, STR(KEY_A), STR("one"), false, (struct dur_us){i < 5 ? 100 : 5000});
    }
    measures_add(m, STR(KEY_A), STR("two"), false, (struct dur_us){300});
    measures_add(m, STR(KEY_C), STR("two"), false, (struct dur_us){7000});
    ck_assert_int_eq(expected(m, KEY_A, "one"), 100);   /* the median of the last nine */
    ck_assert_int_eq(expected(m, KEY_A, "two"), 300);   /* on this backend */
    ck_assert_int_eq(expected(m, KEY_A, "three"), 300); /* this cost, anywhere */
    ck_assert_int_eq(expected(m, KEY_B, "three"), 300); /* this structure */
    ck_assert_int_eq(expected(m, "x", "two"), 7000);    /* this backend */
    ck_assert_int_eq(expected(m, "x", "four"), 5000);   /* anything */
    measures_free(m);
}
END_TEST

START_TEST(keys_are_bounded)
{
    struct measures *m = measures_new();
    char key[64];
    for (int i = 0; i < MEASURES_KEYS; i++) {
        (void)snprintf(key, sizeof key, "%032d-%016d", i, i);
        measures_add(m, str_of(key), STR("one"), false, (struct dur_us){i});
    }
    ck_assert_int_eq(expected(m, key, "one"), MEASURES_KEYS - 1);
    (void)snprintf(key, sizeof key, "%032d-%016d", 0, 0);
    ck_assert_int_ne(expected(m, key, "one"), 0); /* forgotten: what else is known counts */
    measures_free(m);
}
END_TEST

Suite *measures_suite(void)
{
    Suite *s = suite_create("measures");
    TCase *c = tcase_create("measures");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, what_is_packed_comes_back);
    tcase_add_loop_test(c, quantiles_are_within_their_error, 0, 2);
    tcase_add_test(c, broken_sketches_are_refused);
    tcase_add_test(c, a_measurement_says_something_of_each_key);
    tcase_add_test(c, parts_merge_into_the_whole);
    tcase_add_test(c, the_nearest_measurement_counts);
    tcase_add_test(c, keys_are_bounded);
    suite_add_tcase(s, c);
    return s;
}
