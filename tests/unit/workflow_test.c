/* The index of a workflow: what is refused, what is read, and what its hash is about. */
#include <check.h>
#include <stdlib.h>

#include "comfypool/core/splice.h"
#include "comfypool/core/workflow.h"
#include "suites.h"

static const struct {
    const char *name;
    const char *text;
    enum err code; /* ERR_NONE: it is good */
    const char *pointer;
} texts[] = {
    {"two nodes",
     "{\"1\":{\"class_type\":\"A\",\"inputs\":{}},\"2\":{\"inputs\":{\"x\":[\"1\",0]}}}", ERR_NONE,
     ""},
    {"no nodes", "{}", ERR_WORKFLOW_INVALID, ""},
    {"an array", "[]", ERR_WORKFLOW_INVALID, ""},
    {"a node that is a number", "{\"3\":5}", ERR_WORKFLOW_INVALID, "/3"},
    {"a node without inputs", "{\"a/b~c\":{\"class_type\":\"A\"}}", ERR_WORKFLOW_INVALID,
     "/a~1b~0c"},
    {"inputs: array", "{\"3\":{\"class_type\":\"A\",\"inputs\":[]}}", ERR_WORKFLOW_INVALID,
     "/3/inputs"},
    {"class_type: number", "{\"3\":{\"class_type\":7,\"inputs\":{}}}", ERR_WORKFLOW_INVALID,
     "/3/class_type"},
    {"the editor's format", "{\"nodes\":[],\"links\":[],\"version\":0.4}", ERR_WORKFLOW_FORMAT_UI,
     ""},
    {"a link to nowhere", "{\"1\":{\"inputs\":{\"x\":[\"77\",0]}}}", ERR_NONE, ""},
    {"a cycle", "{\"1\":{\"inputs\":{\"x\":[\"2\",0]}},\"2\":{\"inputs\":{\"x\":[\"1\",0]}}}",
     ERR_NONE, ""},
    {"an empty id", "{\"\":{\"inputs\":{}}}", ERR_NONE, ""},
    {"an escaped NUL in an id", "{\"a\\u0000b\":{\"inputs\":{}}}", ERR_NONE, ""},
};

START_TEST(workflows_are_judged)
{
    struct workflow *w = NULL;
    struct workflow_problem problem;
    const bool good = workflow_parse(str_of(texts[_i].text), &w, &problem);
    ck_assert_msg(good == (texts[_i].code == ERR_NONE), "%s", texts[_i].name);
    if (good) {
        workflow_free(w);
        return;
    }
    ck_assert_int_eq(problem.code, texts[_i].code);
    ck_assert_msg(strcmp(buf_text(&problem.pointer), texts[_i].pointer) == 0, "%s: pointer %s",
                  texts[_i].name, buf_text(&problem.pointer));
    ck_assert_ptr_nonnull(problem.detail);
    buf_done(&problem.pointer);
}
END_TEST

static struct workflow *parse(const char *text)
{
    struct workflow *w = NULL;
    struct workflow_problem problem;
    ck_assert_msg(workflow_parse(str_of(text), &w, &problem), "%s", text);
    return w;
}

START_TEST(nodes_have_names_and_links)
{
    struct workflow *w =
        parse("{\"9\":{\"class_type\":\"Save\\u0049mage\",\"inputs\":{\"images\":[\"8\",0],"
              "\"again\":[\"8\",1],\"mask\":[\"4\",0],\"list\":[1,2],\"text\":[\"8\"],"
              "\"nested\":[[\"4\",0]]},\"_meta\":{\"title\":\"The \\\"end\\\"\"}},"
              "\"4\":{\"inputs\":{}},\"8\":{\"class_type\":\"VAEDecode\",\"inputs\":{}}}");
    ck_assert_uint_eq(w->len, 3);
    const struct workflow_node *n = workflow_find(w, STR("9"));
    ck_assert(str_is(n->class_type, "SaveImage"));
    ck_assert(str_is(n->title, "The \"end\""));
    ck_assert_uint_eq(n->deps, 2);
    ck_assert(str_is(w->nodes[w->deps[n->first_dep]].id, "8"));
    ck_assert(str_is(w->nodes[w->deps[n->first_dep + 1]].id, "4"));
    n = workflow_find(w, STR("4"));
    ck_assert_ptr_null(n->class_type.p);
    ck_assert_ptr_null(n->title.p);
    ck_assert_uint_eq(n->deps, 0);
    ck_assert_ptr_null(workflow_find(w, STR("77")));
    workflow_free(w);
}
END_TEST

#define BASE                                                                                       \
    "{\"4\":{\"class_type\":\"Loader\",\"inputs\":{\"ckpt_name\":\"a.safetensors\",\"n\":1}},"     \
    "\"8\":{\"class_type\":\"Decode\",\"inputs\":{\"vae\":[\"4\",2],\"text\":\"x\"},"              \
    "\"_meta\":{\"title\":\"T\"}}}"

static const struct {
    const char *name;
    const char *text;
    bool same;
} variants[] = {
    {"the nodes in another order",
     "{\"8\":{\"_meta\":{\"title\":\"U\"},\"inputs\":{\"text\":\"y\",\"vae\":[\"4\",2]},"
     "\"class_type\":\"Decode\"},\"4\":{\"class_type\":\"Loader\",\"inputs\":{\"n\":2,"
     "\"ckpt_name\":\"a.safetensors\"}}}",
     true},
    {"another model",
     "{\"4\":{\"class_type\":\"Loader\",\"inputs\":{\"ckpt_name\":\"b.safetensors\",\"n\":1}},"
     "\"8\":{\"class_type\":\"Decode\",\"inputs\":{\"vae\":[\"4\",2],\"text\":\"x\"}}}",
     false},
    {"a model by its ending",
     "{\"4\":{\"class_type\":\"Loader\",\"inputs\":{\"ckpt_name\":\"a.safetensors\",\"n\":1}},"
     "\"8\":{\"class_type\":\"Decode\",\"inputs\":{\"vae\":[\"4\",2],\"text\":\"x.gguf\"}}}",
     false},
    {"another path",
     "{\"4\":{\"class_type\":\"Loader\",\"inputs\":{\"ckpt_name\":\"a.safetensors\",\"n\":1}},"
     "\"8\":{\"class_type\":\"Decode\",\"inputs\":{\"vae\":[\"4\",2],\"text\":\"x/y.yaml\"}}}",
     true},
    {"another class",
     "{\"4\":{\"class_type\":\"Loader2\",\"inputs\":{\"ckpt_name\":\"a.safetensors\",\"n\":1}},"
     "\"8\":{\"class_type\":\"Decode\",\"inputs\":{\"vae\":[\"4\",2],\"text\":\"x\"}}}",
     false},
    {"another slot",
     "{\"4\":{\"class_type\":\"Loader\",\"inputs\":{\"ckpt_name\":\"a.safetensors\",\"n\":1}},"
     "\"8\":{\"class_type\":\"Decode\",\"inputs\":{\"vae\":[\"4\",1],\"text\":\"x\"}}}",
     false},
    {"another input linked",
     "{\"4\":{\"class_type\":\"Loader\",\"inputs\":{\"ckpt_name\":\"a.safetensors\",\"n\":1}},"
     "\"8\":{\"class_type\":\"Decode\",\"inputs\":{\"vaf\":[\"4\",2],\"text\":\"x\"}}}",
     false},
    {"another id",
     "{\"5\":{\"class_type\":\"Loader\",\"inputs\":{\"ckpt_name\":\"a.safetensors\",\"n\":1}},"
     "\"8\":{\"class_type\":\"Decode\",\"inputs\":{\"vae\":[\"5\",2],\"text\":\"x\"}}}",
     false},
};

START_TEST(hash_is_about_the_structure)
{
    struct workflow *base = parse(BASE);
    struct workflow *w = parse(variants[_i].text);
    ck_assert_msg((strcmp(base->hash, w->hash) == 0) == variants[_i].same, "%s", variants[_i].name);
    workflow_free(base);
    workflow_free(w);
}
END_TEST

#define SAMPLER(inputs)                                                                            \
    "{\"3\":{\"class_type\":\"KSampler\",\"inputs\":{" inputs "}},\"5\":{\"inputs\":{\"w\":512}}}"

/* Against steps 20, seed 1, cfg 7.5, a text "a" and a width of 512. */
static const struct {
    const char *name;
    const char *text;
    bool same;
} costs[] = {
    {"other seeds", SAMPLER("\"steps\":20,\"seed\":99,\"noise_seed\":5,\"cfg\":7.5,\"t\":\"a\""),
     true},
    {"another text", SAMPLER("\"steps\":20,\"seed\":1,\"cfg\":7.5,\"t\":\"b\""), true},
    {"another order", SAMPLER("\"cfg\":7.5,\"t\":\"a\",\"seed\":1,\"steps\":20"), true},
    {"more steps", SAMPLER("\"steps\":21,\"seed\":1,\"cfg\":7.5,\"t\":\"a\""), false},
    {"the number under another name", SAMPLER("\"stops\":20,\"seed\":1,\"cfg\":7.5,\"t\":\"a\""),
     false},
    {"the number in another node",
     "{\"3\":{\"class_type\":\"KSampler\",\"inputs\":{\"seed\":1,\"cfg\":7.5,\"t\":\"a\"}},"
     "\"5\":{\"inputs\":{\"w\":512,\"steps\":20}}}",
     false},
};

START_TEST(cost_is_about_the_numbers)
{
    struct workflow *base = parse(SAMPLER("\"steps\":20,\"seed\":1,\"cfg\":7.5,\"t\":\"a\""));
    struct workflow *w = parse(costs[_i].text);
    ck_assert_str_eq(base->hash, w->hash);
    ck_assert_msg(memcmp(base->cost_key, w->cost_key, WORKFLOW_KEY_PREFIX) == 0, "%s",
                  costs[_i].name);
    ck_assert_uint_eq(strlen(w->cost_key), WORKFLOW_KEY_SIZE - 1);
    ck_assert_msg((strcmp(base->cost_key, w->cost_key) == 0) == costs[_i].same, "%s",
                  costs[_i].name);
    workflow_free(base);
    workflow_free(w);
}
END_TEST

START_TEST(models_are_named)
{
    struct workflow *w = parse(BASE);
    ck_assert(workflow_find(w, STR("4"))->names_model);
    ck_assert(!workflow_find(w, STR("8"))->names_model);
    workflow_free(w);
    w = workflow_reparse(STR(BASE));
    ck_assert(workflow_find(w, STR("4"))->names_model);
    ck_assert_uint_eq(workflow_find(w, STR("8"))->deps, 1);
    ck_assert_str_eq(w->hash, "");
    workflow_free(w);
    ck_assert_ptr_null(workflow_reparse(STR("{}")));
}
END_TEST

START_TEST(a_bare_graph_is_told_from_a_wrapped_one)
{
    ck_assert(workflow_is_bare_graph(STR(BASE)));
    ck_assert(!workflow_is_bare_graph(STR("{\"workflow\":{\"1\":{\"class_type\":\"A\"}}}")));
    ck_assert(!workflow_is_bare_graph(STR("{}")));
    ck_assert(!workflow_is_bare_graph(STR("{\"1\":{\"class_type\":\"A\"},\"priority\":5}")));
}
END_TEST

/* What is set in {"a.b":{"inputs":IN},"2":{"inputs":{}}}: node, input, value, twice at most. */
static const struct {
    const char *name;
    const char *inputs;
    const char *set[3][3];
    const char *expected;
    const char *second; /* the inputs of node 2 */
} splicings[] = {
    {"nothing", "{ \"seed\" : -1 }", {{NULL}}, "{ \"seed\" : -1 }", "{}"},
    {"a value, and every other byte stays",
     "{ \"n\":1.50, \"seed\" : -1 , \"z\":\"\\u0041\"}",
     {{"a.b", "seed", "18446744073709551615"}},
     "{ \"n\":1.50, \"seed\" : 18446744073709551615 , \"z\":\"\\u0041\"}",
     "{}"},
    {"a link",
     "{\"image\":[\"2\",0],\"k\":{}}",
     {{"a.b", "image", "\"x.png\""}},
     "{\"image\":\"x.png\",\"k\":{}}",
     "{}"},
    {"an escaped name", "{\"se\\u0065d\":-1}", {{"a.b", "seed", "5"}}, "{\"se\\u0065d\":5}", "{}"},
    {"what is not there",
     "{\"k\":1}",
     {{"a.b", "q\"", "5"}, {"2", "x", "true"}},
     "{\"q\\\"\":5,\"k\":1}",
     "{\"x\":true}"},
    {"two that are not there",
     "{\"k\":1}",
     {{"a.b", "x", "5"}, {"a.b", "y", "6"}},
     "{\"x\":5,\"y\":6,\"k\":1}",
     "{}"},
    {"two in an empty object",
     "{ }",
     {{"2", "x", "5"}, {"2", "y", "6"}, {"2", "x", "7"}},
     "{ }",
     "{\"x\":7,\"y\":6}"},
    {"from behind, and the last word counts",
     "{\"a\":1,\"b\":2}",
     {{"a.b", "b", "3"}, {"a.b", "a", "4"}, {"a.b", "b", "5"}},
     "{\"a\":4,\"b\":5}",
     "{}"},
};

static void assemble(struct buf *b, const char *first, const char *second)
{
    buf_printf(b, "{\"a.b\":{\"inputs\":%s},\"2\":{\"inputs\":%s}}", first, second);
}

START_TEST(changes_are_spliced_in)
{
    AUTO_BUF struct buf text;
    AUTO_BUF struct buf expected;
    AUTO_BUF struct buf got;
    buf_init(&text, BUF_NO_LIMIT);
    buf_init(&expected, BUF_NO_LIMIT);
    buf_init(&got, BUF_NO_LIMIT);
    assemble(&text, splicings[_i].inputs, "{}");
    assemble(&expected, splicings[_i].expected, splicings[_i].second);
    struct workflow *w = parse(buf_text(&text));
    struct splices s = {0};
    for (size_t i = 0; i < 3 && splicings[_i].set[i][0] != NULL; i++) {
        const char *const *set = splicings[_i].set[i];
        ck_assert(splices_set_input(&s, w, buf_str(&text), str_of(set[0]), str_of(set[1]),
                                    str_of(set[2])));
    }
    ck_assert(!splices_set_input(&s, w, buf_str(&text), STR("a"), STR("b"), STR("1")));
    splices_apply(&s, buf_str(&text), &got);
    ck_assert_msg(str_eq(buf_str(&got), buf_str(&expected)), "%s: %s", splicings[_i].name,
                  buf_text(&got));
    splices_done(&s);
    workflow_free(w);
}
END_TEST

START_TEST(an_input_is_found)
{
    const char *text = " {\"1\": {\"inputs\": {\"a\": 1, \"b\" : [ \"2\", 0 ] , \"c\":\"\"}}}";
    struct workflow *w = parse(text);
    const struct workflow_node *n = workflow_find(w, STR("1"));
    ck_assert(str_is(workflow_input(n, str_of(text), STR("a")), "1"));
    ck_assert(str_is(workflow_input(n, str_of(text), STR("b")), "[ \"2\", 0 ]"));
    ck_assert(str_is(workflow_input(n, str_of(text), STR("c")), "\"\""));
    ck_assert_uint_eq(workflow_input(n, str_of(text), STR("d")).n, 0);
    workflow_free(w);
}
END_TEST

Suite *workflow_suite(void)
{
    Suite *s = suite_create("workflow");
    TCase *c = tcase_create("workflow");
    tcase_add_loop_test(c, workflows_are_judged, 0, sizeof texts / sizeof *texts);
    tcase_add_test(c, nodes_have_names_and_links);
    tcase_add_loop_test(c, hash_is_about_the_structure, 0, sizeof variants / sizeof *variants);
    tcase_add_loop_test(c, cost_is_about_the_numbers, 0, sizeof costs / sizeof *costs);
    tcase_add_test(c, models_are_named);
    tcase_add_loop_test(c, changes_are_spliced_in, 0, sizeof splicings / sizeof *splicings);
    tcase_add_test(c, an_input_is_found);
    tcase_add_test(c, a_bare_graph_is_told_from_a_wrapped_one);
    suite_add_tcase(s, c);
    return s;
}
