/* What servers know: lists that count and lists that do not; classes that are kept once; what is
   wrong with a graph by that. */
#include "comfypool/core/catalog.h"

#include <check.h>

#include "comfypool/base/buf.h"
#include "comfypool/core/graph_check.h"
#include "suites.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define CLASS(inputs)                                                                              \
    "{\"C\":{\"input\":{\"required\":{" inputs "},\"optional\":{\"o\":[[\"in\"],{}]}},"            \
    "\"input_order\":{\"required\":[\"v\"]},\"output\":[\"X\"],\"output_node\":true,\"name\":"     \
    "\"C\"}}"

/* Whether a value that is not in the list (x) counts as refused; "in" never does. */
static const struct {
    const char *inputs;
    bool refuses;
} lists[] = {
    {"\"v\":[[\"in\",\"other\"]]", true},
    {"\"v\":[[\"in\"],{\"default\":\"in\",\"tooltip\":\"t\"}]", true},
    {"\"v\":[\"COMBO\",{\"options\":[\"a\",\"in\"]}]", true},
    {"\"v\":[\"COMBO\",{\"multiselect\":false,\"options\":[\"in\"]}]", true},
    {"\"v\":[[]]", true}, /* a server without any model */
    {"\"v\":[[\"in\"],{\"image_upload\":true}]", false},
    {"\"v\":[[\"in\"],{\"video_upload\":true}]", false},
    {"\"v\":[[\"in\"],{\"audio_upload\":true}]", false},
    {"\"v\":[\"COMBO\",{\"options\":[\"in\"],\"image_upload\":true,\"image_folder\":\"input\"}]",
     false},
    {"\"v\":[\"COMBO\",{\"options\":[\"in\"],\"remote\":{\"route\":\"/x\"}}]", false},
    {"\"v\":[\"COMBO\",{\"options\":[\"in\"],\"multiselect\":true}]", false},
    {"\"v\":[\"COMFY_DYNAMICCOMBO_V3\",{\"options\":[{\"key\":\"in\"}]}]", false},
    {"\"v\":[\"COMBO\",{}]", false},
    {"\"v\":[\"COMBO\"]", false},
    {"\"v\":[\"COMBO\",{\"options\":\"in\"}]", false},
    {"\"v\":[\"COMBO\",{\"options\":[{\"a\":1}]}]", false},
    {"\"v\":[\"STRING\",{\"default\":\"in\"}]", false},
    {"\"v\":[\"*\"]", false},
    {"\"v\":\"COMBO\"", false},
    {"\"w\":[[\"in\"]]", false},
};

static struct catalog_draft read(const char *text)
{
    struct catalog_draft d;
    ck_assert_msg(catalog_draft_read(str_of(text), &d), "%s", text);
    return d;
}

START_TEST(lists_count_when_servers_hold_them)
{
    AUTO_BUF struct buf text;
    buf_init(&text, BUF_NO_LIMIT);
    static const char head[] = "{\"C\":{\"input\":{\"required\":{";
    buf_printf(&text, "%s%s},\"optional\":{\"o\":[[\"in\"],{}]}},\"output_node\":true}}", head,
               lists[_i].inputs);
    struct catalog_draft d = read(buf_text(&text));
    ck_assert_uint_eq(d.len, 1);
    const struct catalog_class *c = d.classes[0];
    ck_assert(c->is_output);
    ck_assert_msg(catalog_allows(c, STR("v"), STR("x")) != lists[_i].refuses, "%s",
                  lists[_i].inputs);
    ck_assert_msg(!lists[_i].refuses || strstr(lists[_i].inputs, "\"in\"") == NULL ||
                      catalog_allows(c, STR("v"), STR("in")),
                  "%s", lists[_i].inputs);
    ck_assert(catalog_allows(c, STR("o"), STR("in")) && !catalog_allows(c, STR("o"), STR("i")));
    ck_assert(catalog_allows(c, STR("nothing"), STR("x")));
    catalog_draft_done(&d);
}
END_TEST

START_TEST(numbers_have_a_most)
{
    struct catalog_draft d =
        read(CLASS("\"v\":[\"INT\",{\"max\":4294967295,\"min\":0}],\"f\":[\"FLOAT\",{\"max\":1.5}],"
                   "\"n\":[\"INT\",{}],\"b\":[\"INT\",{\"max\":18446744073709551615}]"));
    const struct catalog_class *c = d.classes[0];
    ck_assert(catalog_input(c, STR("v"))->has_max &&
              catalog_input(c, STR("v"))->max == 4294967295.0);
    ck_assert(catalog_input(c, STR("b"))->has_max && catalog_input(c, STR("b"))->max > 1.8e19);
    const struct catalog_input *none = catalog_input(c, STR("n"));
    ck_assert(none == NULL || !none->has_max);
    catalog_draft_done(&d);
}
END_TEST

static const char *const odd[] = {
    "", "7", "[]", "{", "{\"C\":", "{\"C\":{\"input\":{\"required\":{\"v\":[[\"a\"", "{\"C\":{}} x",
};

START_TEST(what_is_no_answer_is_refused)
{
    struct catalog_draft d = {.len = 0};
    const bool good = catalog_draft_read(str_of(odd[_i]), &d);
    ck_assert_msg(!good, "%s", odd[_i]);
    catalog_draft_done(&d);
}
END_TEST

/* Odd classes are still classes. */
START_TEST(odd_classes_are_known)
{
    struct catalog_draft d =
        read("{\"A\":{},\"B\":7,\"C\":{\"input\":5},\"D\":{\"input\":{\"required\":"
             "{\"v\":7,\"w\":[],\"x\":[[1,null,\"s\"]]}},\"output_node\":\"yes\"}}");
    struct catalog c;
    struct catalog_pool p;
    catalog_init(&c);
    catalog_pool_init(&p);
    ck_assert(catalog_replace(&c, &p, &d));
    ck_assert(catalog_knows(&c, STR("A")) && catalog_knows(&c, STR("C")) &&
              catalog_knows(&c, STR("D")) && !catalog_knows(&c, STR("E")));
    ck_assert(!catalog_find(&c, STR("D"))->is_output);
    catalog_done(&c, &p);
    catalog_pool_done(&p);
}
END_TEST

START_TEST(equal_classes_are_kept_once)
{
    static const char text[] = CLASS("\"v\":[[\"in\"]]");
    struct catalog one;
    struct catalog two;
    struct catalog_pool p;
    catalog_init(&one);
    catalog_init(&two);
    catalog_pool_init(&p);
    struct catalog_draft d = read(text);
    ck_assert(catalog_replace(&one, &p, &d));
    d = read(text);
    ck_assert(catalog_replace(&two, &p, &d));
    ck_assert_ptr_eq(catalog_find(&one, STR("C")), catalog_find(&two, STR("C")));
    ck_assert_uint_eq(p.classes.len, 1);
    d = read(text);
    ck_assert_msg(!catalog_replace(&two, &p, &d), "nothing is different");
    d = read(CLASS("\"v\":[[\"in\",\"new\"]]"));
    ck_assert(catalog_update(&two, &p, STR("C"), &d));
    ck_assert(catalog_allows(catalog_find(&two, STR("C")), STR("v"), STR("new")) &&
              !catalog_allows(catalog_find(&one, STR("C")), STR("v"), STR("new")));
    ck_assert_uint_eq(p.classes.len, 2);
    d = read("{}"); /* what a server answers of a class that it does not have */
    ck_assert(catalog_update(&two, &p, STR("C"), &d));
    ck_assert(!catalog_knows(&two, STR("C")));
    ck_assert(catalog_read_replacements(&two, STR("{\"C\":[{\"new_node_id\":\"D\"}]}")));
    ck_assert(catalog_knows(&two, STR("C")) && catalog_find(&two, STR("C")) == NULL);
    ck_assert(!catalog_read_replacements(&two, STR("{\"C\":[{\"new_node_id\":\"D\"}]}")));
    catalog_done(&one, &p);
    catalog_done(&two, &p);
    ck_assert_uint_eq(p.classes.len, 0);
    catalog_pool_done(&p);
}
END_TEST

/* ---- what a server would refuse in a graph -----------------------------------------------------
 */

static const char graph_classes[] =
    "{\"Load\":{\"input\":{\"required\":{\"n\":[\"INT\",{\"min\":1,\"max\":10}],\"f\":[\"FLOAT\","
    "{\"max\":0.5}],\"name\":[[\"a\"]],\"grow\":[\"COMFY_AUTOGROW_V3\",{}]},\"optional\":{\"o\":"
    "[\"INT\",{\"min\":0}]}},\"output_node\":false},"
    "\"Seeds\":{\"input\":{\"required\":{\"seed\":[\"INT\",{\"min\":0}],\"noise_seed\":[\"INT\",{"
    "\"min\":0}],\"other_seed\":[\"INT\",{\"min\":0}]}},\"output_node\":true},"
    "\"Save\":{\"input\":{\"required\":{\"images\":[\"IMAGE\"]}},\"output_node\":true}}";

/* The inputs of node 1 (Load), and what is told: "nodeId.input fault". */
static const struct {
    const char *graph;
    const char *want;
} graphs[] = {
    {"{'1':{'class_type':'Load','inputs':{'n':1,'f':0.5,'name':'a'}},"
     "'2':{'class_type':'Save','inputs':{'images':['1',0]}}}",
     ""},
    {"{'1':{'class_type':'Load','inputs':{'n':11,'f':0.75,'name':'a','o':-1}},"
     "'2':{'class_type':'Save','inputs':{'images':['1',0]}}}",
     "1.n large 1.f large 1.o small "},
    {"{'1':{'class_type':'Load','inputs':{'n':0.9,'name':'a'}},"
     "'2':{'class_type':'Save','inputs':{'images':['1',0]}}}",
     "1.n small 1.f missing "},
    {"{'1':{'class_type':'Load','inputs':{'n':10.9,'f':'7','name':['x',0]}},"
     "'2':{'class_type':'Save','inputs':{'images':['1',0]}}}",
     "1.name nowhere=x "},
    {"{'1':{'class_type':'Load','inputs':{}},'2':{'class_type':'Save','inputs':{'images':['9',0]}}"
     "}",
     "2.images nowhere=9 "}, /* what no output needs is not looked at */
    {"{'1':{'class_type':'Load','inputs':{}}}", "none "},
    {"{'1':{'class_type':'Other','inputs':{'x':['9',0]}}}", ""}, /* it may be an output */
    {"{'1':{'class_type':'Other','inputs':{'x':['9',0],'l':[['9',0]]}},"
     "'2':{'class_type':'Save','inputs':{'images':['1',0]}}}",
     "1.x nowhere=9 "},
};

static bool note_problem(void *ctx, const struct graph_problem *p)
{
    static const char *const words[] = {"none", "missing", "small", "large", "nowhere="};
    struct buf *got = ctx;
    if (p->node != NULL) {
        buf_add_str(got, p->node->id);
        buf_add_char(got, '.');
        buf_add_str(got, p->input);
        buf_add_char(got, ' ');
    }
    buf_add_text(got, words[p->fault]);
    if (p->fault == GRAPH_LINK_NOWHERE) {
        buf_add_str(got, p->value);
    }
    buf_add_char(got, ' ');
    return true;
}

/* What is told of a graph, which is written with ' for ". */
static void check_graph(const char *graph, bool chooses_seeds, size_t most,
                        bool (*each)(void *ctx, const struct graph_problem *p), struct buf *got)
{
    struct catalog c;
    struct catalog_pool p;
    catalog_init(&c);
    catalog_pool_init(&p);
    struct catalog_draft d = read(graph_classes);
    ck_assert(catalog_replace(&c, &p, &d));
    AUTO_BUF struct buf text;
    buf_init(&text, BUF_NO_LIMIT);
    buf_add_text(&text, graph);
    for (size_t i = 0; i < text.len; i++) {
        text.data[i] = text.data[i] == '\'' ? '"' : text.data[i];
    }
    struct workflow *w = workflow_reparse(buf_str(&text));
    ck_assert_ptr_nonnull(w);
    const struct graph_asked asked = {.w = w,
                                      .text = buf_str(&text),
                                      .classes = &c,
                                      .chooses_seeds = chooses_seeds,
                                      .most = most};
    graph_check(&asked, each, got);
    workflow_free(w);
    catalog_done(&c, &p);
    catalog_pool_done(&p);
}

START_TEST(graphs_are_checked)
{
    AUTO_BUF struct buf got;
    buf_init(&got, BUF_NO_LIMIT);
    check_graph(graphs[_i].graph, false, 100, note_problem, &got);
    ck_assert_str_eq(buf_text(&got), graphs[_i].want);
}
END_TEST

/* -1 of an input that is named so; text is none, nor is another number. */
START_TEST(seeds_that_are_chosen_are_well)
{
    static const char graph[] =
        "{'1':{'class_type':'Seeds','inputs':{'seed':-1,'noise_seed':-2,'other_seed':-1}},"
        "'2':{'class_type':'Seeds','inputs':{'seed':-1.0,'noise_seed':-1,'other_seed':0}}}";
    AUTO_BUF struct buf got;
    buf_init(&got, BUF_NO_LIMIT);
    check_graph(graph, true, 100, note_problem, &got);
    ck_assert_str_eq(buf_text(&got), "1.noise_seed small 1.other_seed small 2.seed small ");
    buf_clear(&got);
    check_graph(graph, false, 100, note_problem, &got);
    ck_assert_str_eq(buf_text(&got), "1.seed small 1.noise_seed small 1.other_seed small "
                                     "2.seed small 2.noise_seed small ");
}
END_TEST

/* Of what it is asked to keep quiet about. */
static bool tell_few(void *ctx, const struct graph_problem *p)
{
    return !str_is(p->input, "seed") && note_problem(ctx, p);
}

START_TEST(only_what_is_told_counts)
{
    AUTO_BUF struct buf got;
    buf_init(&got, BUF_NO_LIMIT);
    check_graph("{'1':{'class_type':'Seeds','inputs':{'seed':-1,'noise_seed':-2,'other_seed':-1}}}",
                false, 2, tell_few, &got);
    ck_assert_str_eq(buf_text(&got), "1.noise_seed small 1.other_seed small ");
}
END_TEST

Suite *catalog_suite(void)
{
    Suite *s = suite_create("catalog");
    TCase *c = tcase_create("catalog");
    tcase_add_loop_test(c, lists_count_when_servers_hold_them, 0, COUNT(lists));
    tcase_add_test(c, numbers_have_a_most);
    tcase_add_loop_test(c, what_is_no_answer_is_refused, 0, COUNT(odd));
    tcase_add_test(c, odd_classes_are_known);
    tcase_add_test(c, equal_classes_are_kept_once);
    tcase_add_loop_test(c, graphs_are_checked, 0, COUNT(graphs));
    tcase_add_test(c, seeds_that_are_chosen_are_well);
    tcase_add_test(c, only_what_is_told_counts);
    suite_add_tcase(s, c);
    return s;
}
