/*
 * Runs beside each other: which node is which, by tables and in random runs; medians, deltas and
 * verdicts at their edges.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "suites.h"
#include "told_runs.h"

/* ---- which node is which --------------------------------------------------------------------- */

static const struct match_row {
    const char *name;
    const char *base;
    const char *target;
    const char *want; /* TARGET=BASE of pairs, +ADDED, -REMOVED */
} matches[] = {
    {"nothing at all", "", "", ""},
    {"no base", "", "1:A", "+1"},
    {"no target", "1:A", "", "-1"},
    {"the same", "1:A 2:B<1", "1:A 2:B<1", "1=1 2=2"},
    {"other order", "1:A 2:B<1", "2:B<1 1:A", "2=2 1=1"},
    {"renumbered", "1:A 2:B<1 3:B<2", "10:A 30:B<20 20:B<10", "10=1 30=3 20=2"},
    {"renumbered onto each other", "1:A 2:B<1 3:B<2", "3:A 1:B<3 2:B<1", "3=1 1=3 2=2"},
    {"a node more", "1:A 2:B<1", "1:A 2:B<1 3:C<2", "1=1 2=2 +3"},
    {"a node less", "1:A 2:B<1 3:C<2", "1:A 3:C<1", "1=1 3=3 -2"},
    {"one put between", "1:A 2:B<1 3:C<2", "1:A 4:X<1 2:B<4 3:C<2", "1=1 +4 2=2 3=3"},
    {"one put between, renumbered", "1:A 2:B<1 3:C<2", "11:A 14:X<11 12:B<14 13:C<12",
     "11=1 +14 12=2 13=3"},
    {"another class", "1:A 2:B<1", "1:A 2:C<1", "1=1 +2 -2"},
    {"classes changed places", "1:A 2:B", "1:B 2:A", "1=2 2=1"},
    {"ids of two samplers changed places", "1:A 2:B 3:K<1 4:K<2", "1:A 2:B 3:K<2 4:K<1",
     "1=1 2=2 3=3 4=4"},
    {"the same, renumbered", "1:A 2:B 3:K<1 4:K<2", "1:A 2:B 13:K<2 14:K<1", "1=1 2=2 13=4 14=3"},
    {"ancestors, not order", "1:A 2:B 3:K<1 4:K<2", "1:A 2:B 13:K<2", "1=1 2=2 13=4 -3"},
    {"of ancestors only what they are", "1:A 2:B<1 3:C<1,2", "7:A 6:B<7 5:C<6,7", "7=1 6=2 5=3"},
    {"the number of links counts", "1:A 2:B<1 3:B<1,1", "7:A 9:B<7,7 8:B<7", "7=1 9=3 8=2"},
    {"a chain of one class", "1:K 2:K<1 3:K<2", "9:K<8 8:K<7 7:K", "9=3 8=2 7=1"},
    {"a chain that became longer", "1:X 2:K<1 3:K<2", "11:Y 12:K<11 13:K<12 14:K<13",
     "+11 12=2 13=3 +14 -1"},
    {"twins in order of their ids", "9:T 10:T", "110:T 99:T", "110=10 99=9"},
    {"cached ones come first in time", "5:T 6:T=c 7:S<5", "16:T 15:T=c 17:S<15", "16=6 15=5 17=7"},
    {"triplets and twins", "1:T 2:T 3:T", "11:T 12:T", "11=1 12=2 -3"},
    {"twins and triplets", "1:T 2:T", "11:T 12:T 13:T", "11=1 12=2 +13"},
    {"no class on one side", "1:A 2:B", "1 2:B", "1=1 2=2"},
    {"no class on the other", "1 2:B", "1:A 2:B", "1=1 2=2"},
    {"no class, another id", "1", "2", "+2 -1"},
    {"no class among ancestors", "1 2:K<1 3:K", "11 13:K 12:K<11", "+11 13=3 12=2 -1"},
    {"a circle", "1:A<2 2:B<1", "3:A<4 4:B<3", "3=1 4=2"},
    {"a circle from its other end", "1:A<2 2:B<1", "4:B<3 3:A<4", "4=2 3=1"},
    {"a circle of one class", "1:K<3 2:K<1 3:K<2", "1:K<3 2:K<1 3:K<2", "1=1 2=2 3=3"},
    {"behind a circle", "1:A<1 2:B<1", "3:A<3 4:B<3", "3=1 4=2"},
    {"links to nobody", "1:A<x 2:B<1,y", "3:A<z 4:B<3", "3=1 4=2"},
    {"expanded", "8:E 8.0.0.1^8 8.0.0.2^8", "8:E 8.0.0.2^8 8.0.0.3^8",
     "8=8 8.0.0.2=8.0.0.2 +8.0.0.3 -8.0.0.1"},
    {"expanded, renumbered", "8:E 8.0.0.1^8 8.0.0.2^8", "12:E 12.0.0.2^12 12.0.0.3^12",
     "12=8 12.0.0.2=8.0.0.2 +12.0.0.3 -8.0.0.1"},
    {"expanded of expanded", "8:E 8.1^8 8.1.2^8.1", "12.1.2^12.1 12.1^12 12:E",
     "12.1.2=8.1.2 12.1=8.1 12=8"},
    {"expanded, with a class", "8:E 8.1:K^8 3:K", "12:E 12.1:K^12 3:K", "12=8 12.1=8.1 3=3"},
    {"expanded, of another class", "8:E 8.1:K^8", "12:E 12.1:L^12", "12=8 +12.1 -8.1"},
    {"expanded of nobody", "8:E 8.1^8", "9:F 9.1^9", "+9 +9.1 -8 -8.1"},
    {"expanded of who is not there", "8.1^8", "9.1^9", "+9.1 -8.1"},
    {"an id like an expanded one", "8:E 8.1", "12:E 12.1^12", "12=8 +12.1 -8.1"},
    {"a child with an id of its own", "8:E x^8", "12:E x2^12 y^12", "12=8 +x2 +y -x"},
    {"its own parent", "8:E 8^8", "9:E 9^9", "9=8 +9 -8"},
    {"ids twice", "1:A 1:B 1", "1:A 1:B 1", "1=1 1=1 1=1"},
    {"ids twice, of no class", "1 1", "1 1 1", "1=1 1=1 +1"},
};

static void write_ids(struct buf *out, char sign, const struct compare_node *nodes,
                      const size_t *list, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        buf_add_text(out, out->len > 0 ? " " : "");
        buf_add_char(out, sign);
        buf_add_str(out, nodes[list[i]].id);
    }
}

/* Pairs and added ones in order of the target. */
static void write_matches(struct buf *out, const struct comparison_result *r,
                          const struct compare_run *target, const struct compare_run *base)
{
    size_t added = 0;
    for (size_t i = 0; i < r->pairs_len; i++) {
        while (added < r->added_len && r->added[added] < r->pairs[i].node) {
            write_ids(out, '+', target->nodes, &r->added[added++], 1);
        }
        buf_add_text(out, out->len > 0 ? " " : "");
        buf_add_str(out, target->nodes[r->pairs[i].node].id);
        buf_add_char(out, '=');
        buf_add_str(out, r->pairs[i].base_id);
    }
    write_ids(out, '+', target->nodes, r->added + added, r->added_len - added);
    write_ids(out, '-', base->nodes, r->removed, r->removed_len);
}

START_TEST(nodes_are_matched)
{
    const struct match_row *r = &matches[_i];
    struct told target;
    struct told base;
    AUTO_BUF struct buf got;
    buf_init(&got, BUF_NO_LIMIT);
    tell(&target, r->target, 1);
    tell(&base, r->base, 1);
    struct comparison *c = comparison_new(&target.run);
    comparison_add(c, &base.run);
    write_matches(&got, comparison_end(c), &target.run, &base.run);
    ck_assert_msg(strcmp(buf_text(&got), r->want) == 0, "%s: got \"%s\"", r->name, buf_text(&got));
    comparison_free(c);
}
END_TEST

static const struct many_row {
    const char *name;
    const char *bases[MAX_RUNS]; /* newest first */
    const char *target;
    const char *want;
} many[] = {
    {"none", {0}, "1:A 2:B", "+1 +2"},
    {"the newest lacks it", {"1:A", "1:A 2:B"}, "1:A 2:B", "1=1 2=2"},
    {"the newest with it gives the name", {"1:A", "12:B", "22:B"}, "2:B", "2=12 -1"},
    {"the oldest lacks it", {"11:A 12:B", "1:A"}, "1:A 2:B", "1=11 2=12"},
    {"nobody has it", {"1:A", "2:B"}, "3:C", "+3 -1"},
    {"removed is of the newest", {"1:A 2:B", "1:A 3:C"}, "1:A", "1=1 -2"},
};

START_TEST(nodes_are_matched_in_many_runs)
{
    const struct many_row *r = &many[_i];
    static struct told bases[MAX_RUNS];
    struct told target;
    AUTO_BUF struct buf got;
    buf_init(&got, BUF_NO_LIMIT);
    tell(&target, r->target, 1);
    struct comparison *c = comparison_new(&target.run);
    for (size_t i = 0; i < MAX_RUNS && r->bases[i] != NULL; i++) {
        /* All but the newest are gone when it ends. */
        struct told *t = &bases[i > 0];
        AUTO_FREE char *text = mem_strdup(i > 0 ? r->bases[i] : "");
        tell(t, i > 0 ? text : r->bases[i], 1);
        comparison_add(c, &t->run);
    }
    write_matches(&got, comparison_end(c), &target.run, &bases[0].run);
    ck_assert_msg(strcmp(buf_text(&got), r->want) == 0, "%s: got \"%s\"", r->name, buf_text(&got));
    comparison_free(c);
}
END_TEST

/* ---- verdicts -------------------------------------------------------------------------------- */

static const struct verdict_row {
    const char *name;
    int64_t base;
    int64_t target;
    int64_t mad;
    size_t runs;
    enum compare_verdict want;
} verdicts[] = {
    {"5 ms of one run", 20000, 25000, 0, 1, COMPARE_SAME},
    {"above 5 ms of one run", 20000, 25001, 0, 1, COMPARE_SLOWER},
    {"5 ms less", 20000, 15000, 0, 1, COMPARE_SAME},
    {"more than 5 ms less", 20000, 14999, 0, 1, COMPARE_FASTER},
    {"10 % of one run", 1000000, 1100000, 0, 1, COMPARE_SAME},
    {"above 10 % of one run", 1000000, 1100001, 0, 1, COMPARE_SLOWER},
    {"10 % less of two", 1000000, 900000, 0, 2, COMPARE_SAME},
    {"more than 10 % less of two", 1000000, 899999, 0, 2, COMPARE_FASTER},
    {"two have no spread", 100000, 110001, 90000, 2, COMPARE_SLOWER},
    {"5 % of three", 1000000, 1050000, 0, 3, COMPARE_SAME},
    {"above 5 % of three", 1000000, 1050001, 0, 3, COMPARE_SLOWER},
    {"5 % less of three", 1000000, 950000, 0, 3, COMPARE_SAME},
    {"more than 5 % less of three", 1000000, 949999, 0, 3, COMPARE_FASTER},
    {"5 ms of three", 20000, 25000, 100, 3, COMPARE_SAME},
    {"above 5 ms of three", 20000, 25001, 100, 3, COMPARE_SLOWER},
    {"the spread", 100000, 144478, 10000, 3, COMPARE_SAME},
    {"above the spread", 100000, 144479, 10000, 3, COMPARE_SLOWER},
    {"the spread less", 100000, 55522, 10000, 20, COMPARE_SAME},
    {"less than the spread", 100000, 55521, 10000, 20, COMPARE_FASTER},
    {"percent of the base, not of the target", 1000000, 1110000, 0, 1, COMPARE_SLOWER},
    {"no time at all", 0, 0, 0, 1, COMPARE_SAME},
    {"5 ms of no time", 0, 5000, 0, 1, COMPARE_SAME},
    {"more than 5 ms of no time", 0, 5001, 0, 3, COMPARE_SLOWER},
    {"a year", 31536000000000, 34689600000000, 0, 1, COMPARE_SAME},
    {"more than a year", 31536000000000, 34689600000001, 0, 1, COMPARE_SLOWER},
};

START_TEST(verdicts_have_edges)
{
    const struct verdict_row *r = &verdicts[_i];
    const enum compare_verdict got = compare_judge(
        (struct dur_us){r->base}, (struct dur_us){r->target}, (struct dur_us){r->mad}, r->runs);
    ck_assert_msg(got == r->want, "%s: got %d", r->name, got);
}
END_TEST

/* ---- times ----------------------------------------------------------------------------------- */

static const struct times_row {
    const char *name;
    const char *bases[MAX_RUNS]; /* how the node was, newest first; "-": it was not there */
    const char *target;
    const char *want; /* BASE TARGET DELTA RATIO VERDICT */
} times[] = {
    {"one run", {"100000"}, "150000", "100000 150000 +50000 1.5 slower"},
    {"faster", {"100000"}, "50000", "100000 50000 -50000 0.5 faster"},
    {"same", {"100000"}, "109000", "100000 109000 +9000 1.09 same"},
    {"an odd median", {"300000", "100000", "110000"}, "110000", "110000 110000 +0 1 same"},
    {"an even median", {"100000", "100003"}, "200000", "100002 200000 +99998 1.99996 slower"},
    {"the spread is of the runs",
     {"100000", "110000", "120000", "130000", "140000"},
     "164478",
     "120000 164478 +44478 1.37065 same"},
    {"above it",
     {"140000", "110000", "120000", "130000", "100000"},
     "164479",
     "120000 164479 +44479 1.37066 slower"},
    {"cached runs have no duration",
     {"c", "100000", "C"},
     "105001",
     "100000c 105001 +5001 1.05001 same"},
    {"cached in half of them", {"c", "100000"}, "111000", "100000 111000 +11000 1.11 slower"},
    {"three of four executed",
     {"100000", "100000", "c", "100000"},
     "105001",
     "100000 105001 +5001 1.05001 slower"},
    {"cached in most of where it was",
     {"c", "-", "-", "c", "50000"},
     "50000",
     "50000c 50000 +0 1 same"},
    {"cached in the target", {"100000"}, "c", "100000 0c -100000 0 faster"},
    {"cached without a duration", {"C"}, "C", "-c -c - - -"},
    {"cached in the base", {"c"}, "100000", "0c 100000 +100000 - slower"},
    {"cached in all", {"C", "c", "c"}, "100000", "0c 100000 +100000 - slower"},
    {"cached in one of three, pending else", {"p", "c", "p"}, "100000", "- 100000 - - -"},
    {"cached in both", {"c"}, "c", "0c 0c +0 - same"},
    {"zero base", {"0"}, "3000", "0 3000 +3000 - same"},
    {"zero base, slower", {"0"}, "5001", "0 5001 +5001 - slower"},
    {"zero target", {"5001"}, "0", "5001 0 -5001 0 faster"},
    {"zero both", {"0"}, "0", "0 0 +0 - same"},
    {"pending target", {"100000"}, "p", "100000 - - - -"},
    {"pending base", {"p"}, "100000", "- 100000 - - -"},
    {"pending both", {"p"}, "p", "- - - - -"},
    {"not watched", {"100000"}, "?", "100000 - - - -"},
    {"not watched in one run",
     {"100000", "?", "100000"},
     "110000",
     "100000 110000 +10000 1.1 same"},
    {"open ended in one run", {"100000", "o900000"}, "111000", "100000 111000 +11000 1.11 slower"},
    {"open ended in all", {"o900000"}, "110000", "- 110000 - - -"},
    {"open ended in the target", {"100000"}, "o900000", "100000 900000 +800000 9 -"},
    {"it runs", {"100000"}, "x", "100000 - - - -"},
    {"cut off", {"100000"}, "x20000", "100000 20000 -80000 0.2 -"},
    {"failed", {"100000"}, "f300000", "100000 300000 +200000 3 -"},
    {"failed in the base", {"f100000"}, "300000", "100000 300000 +200000 3 -"},
    {"failed before it began", {"100000"}, "f", "100000 - - - -"},
};

static void write_side(struct buf *out, const struct compare_side *s)
{
    if (s->has_duration) {
        buf_printf(out, "%lld", (long long)s->duration.us);
    } else {
        buf_add_char(out, '-');
    }
    buf_add_text(out, s->cached ? "c " : " ");
}

static void write_times(struct buf *out, const struct compare_times *t)
{
    const char *verdict = compare_verdict_name(t->verdict);
    write_side(out, &t->base);
    write_side(out, &t->target);
    buf_printf(out, t->has_delta ? "%+lld " : "- ", (long long)t->delta.us);
    buf_printf(out, t->has_ratio ? "%.6g " : "- ", t->ratio);
    buf_add_text(out, verdict == NULL ? "-" : verdict);
}

START_TEST(times_are_compared)
{
    const struct times_row *r = &times[_i];
    static struct told bases[MAX_RUNS];
    struct told target;
    char text[64];
    AUTO_BUF struct buf got;
    buf_init(&got, BUF_NO_LIMIT);
    (void)snprintf(text, sizeof text, "1:A=%s", r->target);
    tell(&target, text, 1);
    struct comparison *c = comparison_new(&target.run);
    for (size_t i = 0; i < MAX_RUNS && r->bases[i] != NULL; i++) {
        char base[64];
        (void)snprintf(base, sizeof base, "1:A=%s", r->bases[i]);
        tell(&bases[i], strcmp(r->bases[i], "-") == 0 ? "" : base, 1);
        comparison_add(c, &bases[i].run);
    }
    const struct comparison_result *result = comparison_end(c);
    ck_assert_uint_eq(result->pairs_len, 1);
    write_times(&got, &result->pairs[0].times);
    ck_assert_msg(strcmp(buf_text(&got), r->want) == 0, "%s: got \"%s\"", r->name, buf_text(&got));
    comparison_free(c);
}
END_TEST

static const struct total_row {
    const char *name;
    int64_t bases[MAX_RUNS]; /* of the execution; negative: its amount, but failed; 0: no more */
    int64_t target;
    bool finished;
    const char *want;
} totals[] = {
    {"one run", {1000000}, 1100001, true, "1000000 1100001 +100001 1.1 slower"},
    {"three runs", {1000000, 1010000, 900000}, 1050000, true, "1000000 1050000 +50000 1.05 same"},
    {"failed", {1000000}, 10000, false, "1000000 10000 -990000 0.01 -"},
    {"of two one failed", {1000000, -1000000}, 10000, true, "1000000 10000 -990000 0.01 -"},
    {"no base", {0}, 10000, true, "- 10000 - - -"},
};

START_TEST(totals_are_compared)
{
    const struct total_row *r = &totals[_i];
    static struct told bases[MAX_RUNS];
    struct told target;
    AUTO_BUF struct buf got;
    buf_init(&got, BUF_NO_LIMIT);
    tell(&target, "1:A", r->target);
    target.run.finished = r->finished;
    struct comparison *c = comparison_new(&target.run);
    for (size_t i = 0; i < MAX_RUNS && r->bases[i] != 0; i++) {
        tell(&bases[i], "1:A", r->bases[i] < 0 ? -r->bases[i] : r->bases[i]);
        bases[i].run.finished = r->bases[i] > 0;
        comparison_add(c, &bases[i].run);
    }
    write_times(&got, &comparison_end(c)->total);
    ck_assert_msg(strcmp(buf_text(&got), r->want) == 0, "%s: got \"%s\"", r->name, buf_text(&got));
    comparison_free(c);
}
END_TEST

/* NAN is NAN. */
static bool is_same(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

START_TEST(resources_are_compared)
{
    static const struct {
        const char *name;
        double bases[3]; /* of one run each */
        double target;
        double want;
    } rows[] = {
        {"more", {1e9, 1e9, 1e9}, 3e9, 2e9},
        {"the median", {1e9, 9e9, 3e9}, 2e9, -1e9},
        {"of those that know", {NAN, 9e9, NAN}, 2e9, -7e9},
        {"no base knows", {NAN, NAN, NAN}, 2e9, NAN},
        {"the target does not know", {1e9, 1e9, 1e9}, NAN, NAN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        static struct told bases[3];
        struct told target;
        tell(&target, "1:A", 1);
        target.nodes[0].resources = (struct compare_resources){
            .vram_max = rows[i].target, .ram_max = 5, .gpu_average = NAN};
        target.run.resources = (struct compare_resources){
            .vram_max = NAN, .ram_max = rows[i].target, .gpu_average = 7};
        struct comparison *c = comparison_new(&target.run);
        for (size_t k = 0; k < 3; k++) {
            tell(&bases[k], "1:A", 1);
            bases[k].nodes[0].resources = (struct compare_resources){
                .vram_max = rows[i].bases[k], .ram_max = NAN, .gpu_average = 5};
            bases[k].run.resources = (struct compare_resources){
                .vram_max = 5, .ram_max = rows[i].bases[k], .gpu_average = 5};
            comparison_add(c, &bases[k].run);
        }
        const struct comparison_result *r = comparison_end(c);
        const struct compare_resources *node = &r->pairs[0].deltas;
        ck_assert_msg(is_same(node->vram_max, rows[i].want), "%s: %g", rows[i].name,
                      node->vram_max);
        ck_assert_msg(is_same(r->deltas.ram_max, rows[i].want), "%s: %g", rows[i].name,
                      r->deltas.ram_max);
        ck_assert(isnan(node->ram_max) && isnan(node->gpu_average) && isnan(r->deltas.vram_max));
        ck_assert_double_eq(r->deltas.gpu_average, 2);
        comparison_free(c);
    }
}
END_TEST

/* ---- random ---------------------------------------------------------------------------------- */

/* Of a baseline: each node of the target is in one list, and added only when no run has it. */
START_TEST(random_baselines_keep_the_rules)
{
    enum { RUNS = 6 };
    for (unsigned seed = 1; seed <= 100; seed++) {
        static struct told bases[RUNS];
        static struct told target;
        struct buf texts[RUNS + 1];
        const unsigned long long with = seed + 1000u * (unsigned)_i;
        random_seed(with);
        for (size_t i = 0; i <= RUNS; i++) {
            buf_init(&texts[i], BUF_NO_LIMIT);
            random_run(&texts[i]);
            tell(i < RUNS ? &bases[i] : &target, buf_text(&texts[i]), random_below(1000));
        }
        struct comparison *all = comparison_new(&target.run);
        unsigned char there[MAX_NODES] = {0}; /* in so many runs */
        for (size_t i = 0; i < RUNS; i++) {
            comparison_add(all, &bases[i].run);
            struct comparison *one = comparison_new(&target.run);
            comparison_add(one, &bases[i].run);
            const struct comparison_result *r = comparison_end(one);
            ck_assert_uint_eq(r->pairs_len + r->removed_len, bases[i].run.nodes_len);
            for (size_t k = 0; k < r->pairs_len; k++) {
                there[r->pairs[k].node]++;
            }
            comparison_free(one);
        }
        const struct comparison_result *r = comparison_end(all);
        ck_assert_uint_eq(r->pairs_len + r->added_len, target.run.nodes_len);
        for (size_t k = 0; k < r->pairs_len; k++) {
            ck_assert_msg(there[r->pairs[k].node] > 0, "seed %llu", with);
        }
        for (size_t k = 0; k < r->added_len; k++) {
            ck_assert_msg(there[r->added[k]] == 0, "seed %llu", with);
        }
        comparison_free(all);
        for (size_t i = 0; i <= RUNS; i++) {
            buf_done(&texts[i]);
        }
    }
}
END_TEST

Suite *compare_suite(void)
{
    Suite *s = suite_create("compare");
    TCase *c = tcase_create("compare");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, nodes_are_matched, 0, sizeof matches / sizeof *matches);
    tcase_add_loop_test(c, nodes_are_matched_in_many_runs, 0, sizeof many / sizeof *many);
    tcase_add_loop_test(c, verdicts_have_edges, 0, sizeof verdicts / sizeof *verdicts);
    tcase_add_loop_test(c, times_are_compared, 0, sizeof times / sizeof *times);
    tcase_add_loop_test(c, totals_are_compared, 0, sizeof totals / sizeof *totals);
    tcase_add_test(c, resources_are_compared);
    tcase_add_loop_test(c, random_baselines_keep_the_rules, 0, 4);
    suite_add_tcase(s, c);
    return s;
}
