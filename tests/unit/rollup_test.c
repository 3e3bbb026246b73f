/* The rules of roll-ups: what counts under which key and in which stretch of time. */
#include <string.h>

#include "comfypool/core/rollup.h"
#include "comfypool/core/rollup_age.h"
#include "comfypool/core/rollup_keys.h"
#include "comfypool/core/rollup_piles.h"

#include "suites.h"

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HOUR (INT64_C(3600) * 1000000)

static struct wall_us hours(int64_t n)
{
    return (struct wall_us){n * HOUR};
}

/* ---- kinds and bounds ------------------------------------------------------------------------ */

static const struct {
    const char *name;
    enum group_by group;
    bool of_clients;
    int number; /* on disk */
    bool has_other;
    int64_t most;
} kinds[] = {
    {"classes", GROUP_CLASS, false, 0, true, 2000},
    {"workflows", GROUP_WORKFLOW, false, 2, true, 2000},
    {"backends", GROUP_BACKEND, false, 3, true, 2000},
    {"runs", GROUP_RUN, false, 4, false, 4000},
    {"workflows of clients", GROUP_WORKFLOW, true, 18, false, 8000},
    {"runs of clients", GROUP_RUN, true, 20, false, 8000},
};

START_TEST(kinds_are_bounded)
{
    const int kind = rollup_kind(kinds[_i].group, kinds[_i].of_clients);
    ck_assert_msg(kind == kinds[_i].number, "%s", kinds[_i].name);
    ck_assert_int_eq(rollup_group(kind), kinds[_i].group);
    ck_assert(rollup_has_other(kind) == kinds[_i].has_other);
    ck_assert_int_eq(rollup_most_keys(kind), kinds[_i].most);
    ck_assert_int_eq(rollup_kind_beside(kind, GROUP_NODE), kinds[_i].of_clients ? 17 : 1);
}
END_TEST

/* ---- keys ------------------------------------------------------------------------------------ */

static int compare(struct str a, struct str b)
{
    const int d = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
    return d != 0 ? d : (a.n > b.n) - (a.n < b.n);
}

static bool is_in(const struct key_range *r, const char *key)
{
    return compare(str_of(key), r->from) >= 0 && compare(str_of(key), r->to) < 0;
}

START_TEST(ranges_hold_what_they_name)
{
    AUTO_BUF struct buf b;
    buf_init(&b, BUF_NO_LIMIT);
    struct key_range r = rollup_range_of_key(GROUP_CLASS, STR("KSampler"), &b);
    ck_assert(is_in(&r, "KSampler"));
    ck_assert(!is_in(&r, "KSample") && !is_in(&r, "KSampler/1") && !is_in(&r, "KSamplerAdvanced"));
    buf_clear(&b);
    r = rollup_range_of_nodes(GROUP_NODE, STR("abc"), &b);
    ck_assert(is_in(&r, "abc/3") && is_in(&r, "abc/other") && is_in(&r, "abc/\xc3\xa9"));
    ck_assert(!is_in(&r, "abc") && !is_in(&r, "abcd/3") && !is_in(&r, "abd/3"));
    r = rollup_range_of_kind(GROUP_NODE);
    ck_assert(is_in(&r, "") && is_in(&r, "abc/3") && is_in(&r, "\xf4\x8f\xbf\xbf"));
}
END_TEST

static const struct {
    const char *name, *key, *workflow, *other;
} nodes[] = {
    {"everybody's", "abc/3:1/2", "abc", "abc/other"},
    {"a client's",
     "ann\x1f"
     "abc/3",
     "ann\x1f"
     "abc",
     "ann\x1f"
     "abc/other"},
    {"of a client with a slash",
     "a/b\x1f"
     "abc/3",
     "a/b\x1f"
     "abc",
     "a/b\x1f"
     "abc/other"},
    {"without a node", "abc", "abc", "abc/other"},
};

START_TEST(nodes_belong_to_workflows)
{
    AUTO_BUF struct buf b;
    buf_init(&b, BUF_NO_LIMIT);
    const struct str workflow = rollup_workflow_of_node(str_of(nodes[_i].key));
    ck_assert_msg(str_is(workflow, nodes[_i].workflow), "%s", nodes[_i].name);
    rollup_add_other_node(workflow, &b);
    ck_assert_str_eq(buf_text(&b), nodes[_i].other);
}
END_TEST

/* ---- questions ------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    struct rollup_question asked;
    int kind;
    const char *key, *label; /* of a roll-up that is looked at */
    const char *told;        /* NULL: it counts nowhere */
    const char *missed;      /* a key that is not looked at; NULL: all are */
} questions[] = {
    {"all classes", {GROUP_CLASS, "", NULL}, 0, "KSampler", "", "KSampler", NULL},
    {"classes of a workflow",
     {GROUP_CLASS, HASH, NULL},
     1,
     HASH "/3",
     "KSampler",
     "KSampler",
     "f" HASH "/3"},
    {"nodes of a workflow",
     {GROUP_NODE, HASH, NULL},
     1,
     HASH "/3",
     "KSampler",
     HASH "/3",
     HASH "0"},
    {"a workflow", {GROUP_WORKFLOW, HASH, NULL}, 2, HASH, "", HASH, HASH "1"},
    {"a client's workflows",
     {GROUP_WORKFLOW, "", "ann"},
     18,
     "ann\x1f" HASH,
     "",
     HASH,
     "anna\x1f" HASH},
    {"a client's nodes",
     {GROUP_NODE, HASH, "ann"},
     17,
     "ann\x1f" HASH "/3",
     "",
     HASH "/3",
     "bob\x1f" HASH "/3"},
    {"all backends", {GROUP_BACKEND, "", NULL}, 3, "gpu", "", "gpu", NULL},
};

START_TEST(questions_find_their_rollups)
{
    AUTO_BUF struct buf from;
    AUTO_BUF struct buf to;
    buf_init(&from, BUF_NO_LIMIT);
    buf_init(&to, BUF_NO_LIMIT);
    const struct rollup_question *q = &questions[_i].asked;
    ck_assert_msg(rollup_kind_asked(q) == questions[_i].kind, "%s", questions[_i].name);
    const bool some = rollup_range_asked(q, &from, &to);
    ck_assert(some == (questions[_i].missed != NULL));
    if (some) {
        const struct key_range r = {questions[_i].kind, buf_str(&from), buf_str(&to)};
        ck_assert_msg(is_in(&r, questions[_i].key), "%s", questions[_i].name);
        ck_assert_msg(!is_in(&r, questions[_i].missed), "%s", questions[_i].name);
    }
    const struct str told =
        rollup_key_told(q, str_of(questions[_i].key), str_of(questions[_i].label));
    ck_assert_msg(str_is(told, questions[_i].told), "%s", questions[_i].name);
}
END_TEST

/* ---- age ------------------------------------------------------------------------------------- */

START_TEST(hours_become_days)
{
    const struct wall_us now = hours(24 * 1000 + 5);
    const int64_t from = rollup_hours_from(now);
    ck_assert_int_eq(from, 24 * 993);
    const struct rollup_span hour = rollup_hour_of((struct wall_us){hours(24 * 990 + 7).us + 1});
    ck_assert(hour.start == 24 * 990 + 7 && hour.hours == ROLLUP_HOUR);
    const struct rollup_span day = rollup_day_of(hour);
    ck_assert(day.start == 24 * 990 && day.hours == ROLLUP_DAY);
    ck_assert_int_eq(rollup_days_from(now), 24 * 600 + 5);
}
END_TEST

START_TEST(since_is_told_by_hours_and_days)
{
    const struct wall_us now = hours(24 * 1000 + 5);
    const struct wall_us old = {hours(24 * 992 + 19).us + 3};
    ck_assert_int_eq(rollup_since(old, now).us, hours(24 * 992).us);
    const struct wall_us lately = {now.us - 3 * HOUR / 2};
    ck_assert_int_eq(rollup_since(lately, now).us, hours(24 * 1000 + 3).us);
}
END_TEST

/* ---- piles ----------------------------------------------------------------------------------- */

static void add(struct piles *p, int64_t hour, const char *client, int64_t us)
{
    const struct node_run run = {STR("3"), STR("KSampler"), RUN_EXECUTED, us};
    const struct measurement m = {
        .at = {hours(hour).us + us},
        .state = JOB_COMPLETED,
        .executed = true,
        .execution_us = us,
        .nodes = 1,
        .workflow_hash = STR(HASH),
        .cost_key = STR("cost"),
        .backend = STR("gpu"),
        .client = str_of(client),
        .runs = &run,
        .runs_len = 1,
    };
    AUTO_BUF struct buf b;
    buf_init(&b, BUF_NO_LIMIT);
    measurement_write(&m, &b);
    piles_add(p, buf_str(&b));
}

static const struct pile *pile_named(const struct piles *p, int kind, int64_t hour, const char *key)
{
    size_t at = 0;
    const struct pile *one = map_next(&p->by_id, &at);
    while (one != NULL &&
           (one->kind != kind || one->span.start != hour || !str_is(pile_key(one), key))) {
        one = map_next(&p->by_id, &at);
    }
    return one;
}

START_TEST(measurements_pile_up_by_hour_and_key)
{
    struct piles p;
    piles_init(&p);
    add(&p, 100, "", 10);
    add(&p, 100, "", 30);
    add(&p, 101, "ann", 50);
    piles_add(&p, STR("no measurement"));
    const struct pile *first = pile_named(&p, GROUP_WORKFLOW, 100, HASH);
    ck_assert_ptr_nonnull(first);
    ck_assert(first->data.count == 2 && first->data.mean == 20);
    ck_assert_int_eq(first->last.us, hours(100).us + 30);
    const struct pile *node = pile_named(&p, GROUP_NODE, 101, HASH "/3");
    ck_assert_ptr_nonnull(node);
    ck_assert_str_eq(node->label, "KSampler");
    const int of_ann = rollup_kind(GROUP_WORKFLOW, true);
    ck_assert_ptr_nonnull(pile_named(&p, of_ann, 101, "ann\x1f" HASH));
    ck_assert_ptr_null(pile_named(&p, of_ann, 100, "ann\x1f" HASH));
    ck_assert(!piles_are_enough(&p));
    for (int i = 0; i < ROLLUP_FOLD_PILES; i++) {
        add(&p, 200 + i, "", 1);
    }
    ck_assert(piles_are_enough(&p));
    piles_done(&p);
}
END_TEST

Suite *rollup_suite(void)
{
    Suite *s = suite_create("roll-up rules");
    TCase *t = tcase_create("all");
    tcase_add_loop_test(t, kinds_are_bounded, 0, (int)(sizeof kinds / sizeof *kinds));
    tcase_add_test(t, ranges_hold_what_they_name);
    tcase_add_loop_test(t, nodes_belong_to_workflows, 0, (int)(sizeof nodes / sizeof *nodes));
    tcase_add_loop_test(t, questions_find_their_rollups, 0,
                        (int)(sizeof questions / sizeof *questions));
    tcase_add_test(t, hours_become_days);
    tcase_add_test(t, since_is_told_by_hours_and_days);
    tcase_add_test(t, measurements_pile_up_by_hour_and_key);
    suite_add_tcase(s, t);
    return s;
}
