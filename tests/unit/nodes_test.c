/*
 * The nodes of a running prompt: what is said of one, by its state, the whole product; what lies in
 * what; what threw. What frames make of it is tested where they are read: profiler, core, trace.
 */
#include <check.h>
#include <string.h>

#include "comfypool/core/nodes.h"
#include "suites.h"

static struct workflow *two_nodes(void)
{
    struct workflow *w = NULL;
    struct workflow_problem problem;
    ck_assert(workflow_parse(STR("{\"a\":{\"inputs\":{}},\"b\":{\"inputs\":{}}}"), &w, &problem));
    return w;
}

/* P pending, E executing, C completed, H cached, F failed; in small letters: it has ended. */
static const char letters[] = "PECHFpechf";
enum { STATES = sizeof letters - 1 };

/* What becomes of a node in each of these states; behind the dash where frames were missed. */
static const struct row {
    const char *name;
    enum node_said said;
    const char *want;
} rows[] = {
    {"listed as cached", NODE_LISTED, "HECHFpechf-HECHFpechf"},
    {"it runs", NODE_RUNS, "EEEEEpechf-EEEEEpechf"},
    {"something else does", NODE_FOLLOWED, "PCCHFpechf-PCCHFpechf"},
    {"it gave an output", NODE_GAVE, "hECHFhechf-cECHFcechf"},
    {"finished", NODE_FINISHED, "hcchfpechf-ccchfpechf"},
    {"done, by history", NODE_DONE, "pECHFpechf-pECHFpechf"},
    {"an error", NODE_THREW, "ffffffffff-ffffffffff"},
};

static char letter_of(const struct node *n)
{
    return letters[n->status + (n->ended ? STATES / 2 : 0)];
}

START_TEST(moves)
{
    const struct row *row = &rows[_i];
    struct workflow *w = two_nodes();
    char got[2 * STATES + 2] = {0};
    size_t len = 0;
    for (int missed = 0; missed < 2; missed++) {
        for (int from = 0; from < STATES; from++) {
            struct nodes ns;
            nodes_init(&ns, w, sizeof(struct node));
            struct node *n = nodes_planned(&ns, 0);
            (void)nodes_move_by_copies(&ns, n, (enum profile_status)(from % (STATES / 2)));
            n->ended = from >= STATES / 2;
            const unsigned char old = n->status;
            ck_assert_int_eq(nodes_move(&ns, n, row->said, missed != 0), n->status != old);
            ck_assert_uint_eq(ns.running_len, n->status == PROFILE_EXECUTING ? 1 : 0);
            ck_assert_uint_eq(n->running_at, ns.running_len);
            got[len++] = letter_of(n);
            nodes_done(&ns, NULL);
        }
        got[len++] = missed == 0 ? '-' : '\0';
    }
    ck_assert_msg(strcmp(got, row->want) == 0, "%s:\ngot      %s\nexpected %s", row->name, got,
                  row->want);
    workflow_free(w);
}
END_TEST

static bool nobody_is_silent(const struct node *shown)
{
    (void)shown;
    return false;
}

static bool all_are_silent(const struct node *shown)
{
    (void)shown;
    return true;
}

static struct node *runs(struct nodes *ns, const char *id, const char *parent, const char *display)
{
    struct node *n = nodes_find(ns, str_of(id));
    n = n != NULL ? n : nodes_expand(ns, str_of(id));
    node_place(n, str_of(parent), str_of(display));
    (void)nodes_move(ns, n, NODE_RUNS, false);
    return n;
}

START_TEST(what_threw_began_last_inside)
{
    struct workflow *w = two_nodes();
    struct nodes ns;
    nodes_init(&ns, w, sizeof(struct node));
    (void)runs(&ns, "a", NULL, NULL);
    struct node *outer = runs(&ns, "a.1", "a", "a");
    struct node *inner = runs(&ns, "a.1.1", "a.1", "a");
    struct node *loose = runs(&ns, "x", NULL, "b");
    ck_assert(nodes_is_under(&ns, inner, STR("a")) && !nodes_is_under(&ns, inner, STR("b")));
    ck_assert(nodes_is_inside_of_copy(&ns, inner) && !nodes_is_inside_of_copy(&ns, outer));
    ck_assert_ptr_eq(nodes_innermost(&ns, STR("a"), nobody_is_silent), inner);
    ck_assert_ptr_eq(nodes_innermost(&ns, STR("a"), all_are_silent), loose);
    nodes_begin_again(&ns, outer);
    ck_assert_ptr_eq(nodes_innermost(&ns, STR("a"), all_are_silent), outer);
    /* Now another node of the workflow may be the one that the loose one is a copy in. */
    (void)nodes_move(&ns, outer, NODE_FINISHED, false);
    (void)nodes_move(&ns, inner, NODE_FINISHED, false);
    (void)runs(&ns, "b", NULL, NULL);
    ck_assert_ptr_null(nodes_innermost(&ns, STR("a"), all_are_silent));
    nodes_done(&ns, NULL);
    workflow_free(w);
}
END_TEST

START_TEST(parents_in_a_circle_end)
{
    struct workflow *w = two_nodes();
    struct nodes ns;
    nodes_init(&ns, w, sizeof(struct node));
    struct node *x = runs(&ns, "x", "y", "x");
    (void)runs(&ns, "y", "x", "b");
    ck_assert_ptr_null(x->display);
    ck_assert(nodes_is_under(&ns, x, STR("x")) && !nodes_is_under(&ns, x, STR("a")));
    nodes_done(&ns, NULL);
    workflow_free(w);
}
END_TEST

Suite *nodes_suite(void)
{
    Suite *s = suite_create("nodes");
    TCase *c = tcase_create("nodes");
    tcase_add_loop_test(c, moves, 0, sizeof rows / sizeof *rows);
    tcase_add_test(c, what_threw_began_last_inside);
    tcase_add_test(c, parents_in_a_circle_end);
    suite_add_tcase(s, c);
    return s;
}
