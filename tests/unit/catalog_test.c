/* What servers know: lists that count and lists that do not; classes that are kept once; what is
   wrong with a graph by that. */
#include "comfypool/core/accepted.h"
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

/* Until the list has the value, or the class is another one; over a restart. */
START_TEST(accepted_values_are_remembered)
{
    struct catalog_draft d = read(CLASS("\"v\":[[\"in\"]]"));
    struct catalog c;
    struct catalog_pool p;
    catalog_init(&c);
    catalog_pool_init(&p);
    ck_assert(catalog_replace(&c, &p, &d));
    const struct str shape = str_of(catalog_find(&c, STR("C"))->shape);
    struct accepted a;
    struct accepted again;
    accepted_init(&a);
    accepted_init(&again);
    ck_assert(!accepted_has(&a, STR("C"), STR("v")));
    ck_assert(accepted_add(&a, STR("C"), STR("v"), STR("out"), shape));
    ck_assert(!accepted_add(&a, STR("C"), STR("v"), STR("other"), shape));
    ck_assert(!accepted_add(&a, STR("C"), STR("w"), STR("out"), STR("no digest")));
    ck_assert(accepted_has(&a, STR("C"), STR("v")) && !accepted_has(&a, STR("C"), STR("w")));
    AUTO_BUF struct buf text;
    buf_init(&text, BUF_NO_LIMIT);
    accepted_write(&a, &text);
    accepted_read(&again, buf_str(&text));
    ck_assert(accepted_has(&again, STR("C"), STR("v")));
    ck_assert(!accepted_review(&again, &c));
    d = read(CLASS("\"v\":[[\"in\",\"out\"]]"));
    ck_assert(catalog_replace(&c, &p, &d));
    ck_assert(accepted_review(&again, &c) && !accepted_has(&again, STR("C"), STR("v")));
    d = read(CLASS("\"w\":[[\"in\"]]"));
    ck_assert(catalog_replace(&c, &p, &d));
    ck_assert(accepted_review(&a, &c) && !accepted_has(&a, STR("C"), STR("v")));
    accepted_read(&again, STR("{"));
    accepted_read(&again, STR("[7,{\"class\":\"C\"}]"));
    ck_assert_uint_eq(again.by_input.len, 0);
    accepted_clear(&a);
    accepted_clear(&again);
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

/* ---- what a server would refuse in a graph --------------------------------------------------- */

static const char graph_classes[] =
    "{\"Load\":{\"input\":{\"required\":{\"n\":[\"INT\",{\"min\":1,\"max\":10}],\"f\":[\"FLOAT\","
    "{\"max\":0.5}],\"name\":[[\"a\"]],\"grow\":[\"COMFY_AUTOGROW_V3\",{}]},\"optional\":{\"o\":"
    "[\"INT\",{\"min\":0}]}},\"output_node\":false},"
    "\"Seeds\":{\"input\":{\"required\":{\"seed\":[\"INT\",{\"min\":0}],\"noise_seed\":[\"INT\",{"
    "\"min\":0}],\"other_seed\":[\"INT\",{\"min\":0}]}},\"output_node\":true},"
    "\"Mix\":{\"input\":{\"optional\":{\"image\":[\"IMAGE\",{}],\"any\":[\"*\"],\"two\":[\"MASK, "
    "IMAGE\"],\"mode\":[[\"normal\",\"simple\"]],\"combo\":[\"COMBO\",{\"options\":[\"a\",\"b\"]}],"
    "\"remote\":[\"COMBO\",{\"options\":[\"a\"],\"remote\":{\"route\":\"/"
    "x\"}}],\"newer\":[\"COMBO\",{"
    "\"options\":[\"a\"],\"remote_combo\":{}}],\"bare\":[\"COMBO\",{}],\"nums\":[[1,2]],\"mixed\":["
    "["
    "\"a\",1]],\"grow\":[\"COMFY_AUTOGROW_V3\",{}],\"up\":[[\"a\"],{\"image_upload\":true}],\"n\":["
    "\"INT\",{\"min\":1,\"max\":10}],\"f\":[\"FLOAT\",{\"min\":-1}],\"s\":[\"STRING\",{}],\"b\":["
    "\"BOOLEAN\",{}],\"odd\":7,\"empty\":[[]]}},\"output\":[\"IMAGE\",\"INT\",[\"a\"],\"STRING\"],"
    "\"output_node\":true},"
    "\"Plain\":{\"input\":{\"optional\":{\"i\":[\"INT\"],\"f\":[\"FLOAT\"]}},\"output_node\":true},"
    "\"Star\":{\"input\":{},\"output\":[\"*\"]},\"Silent\":{\"input\":{}},"
    "\"Masks\":{\"input\":{},\"output\":[\"MASK,LATENT\"]},"
    "\"Last\":{\"input\":{},\"output\":[],\"output_node\":true},"
    "\"Custom\":{\"input\":{\"optional\":{\"image\":[\"IMAGE\"],\"mode\":[[\"loading\"]],\"model\":"
    "[[],"
    "{}],\"n\":[\"INT\",{\"min\":1}]},\"required\":{\"must\":[\"STRING\"]}},\"output\":[\"IMAGE\"],"
    "\"python_module\":\"custom_nodes.x\"},"
    "\"Extras\":{\"input\":{\"optional\":{\"image\":[\"IMAGE\"]}},\"output\":[\"IMAGE\"],"
    "\"python_module\":\"comfy_extras.nodes_x\"},"
    "\"Save\":{\"input\":{\"required\":{\"images\":[\"IMAGE\"]}},\"output_node\":true}}";

/* Node 1 has these inputs and may link to the others. */
#define MIX(inputs, told)                                                                          \
    {                                                                                              \
        "{'1':{'class_type':'Mix','inputs':{" inputs "}},'2':{'class_type':'Mix','inputs':{}},"    \
        "'3':{'class_type':'Star','inputs':{}},'4':{'class_type':'Silent','inputs':{}},"           \
        "'5':{'class_type':'Masks','inputs':{}},'6':{'class_type':'Last','inputs':{}}}",           \
            told                                                                                   \
    }

/* What is told of a graph: "nodeId.input fault". */
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
    {"{'1':{'class_type':'Load','inputs':{'n':10.9,'f':'0.5','name':['x',0]}},"
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
    MIX("'mode':'normal','combo':'b','up':'x','remote':'x','newer':'x','bare':'x'", ""),
    MIX("'mode':'x','combo':'x'", "1.mode unlisted 1.combo unlisted "),
    MIX("'mode':1,'combo':null,'empty':'x'", "1.mode unlisted 1.combo unlisted 1.empty unlisted "),
    MIX("'nums':1,'mixed':1,'mode':{'__value__':'normal'}", ""),
    MIX("'mode':'x.latent [output]','combo':'sub/a'", ""), /* files come and go */
    MIX("'mode':'x.safetensors'", ""),                     /* that is told as missing */
    MIX("'mode':'1.5'", "1.mode unlisted "),
    MIX("'n':'10','f':' 1e-3 ','s':5,'b':'no','odd':'x','grow':null", ""),
    MIX("'n':'twenty','f':'twenty'", "1.n nan 1.f nan "),
    MIX("'n':'11','f':'-2'", "1.n large 1.f small "),
    MIX("'n':true,'f':false", ""),
    MIX("'n':false", "1.n small "),
    MIX("'n':null,'f':null,'s':null,'image':null", "1.n nan 1.f nan "),
    MIX("'n':{'__value__':2}", ""),
    MIX("'image':['2',0],'any':['2',1],'two':['2',0],'n':['2',1],'s':['2',-1]", ""),
    MIX("'image':['2',-4],'any':['2',true],'mode':['2',2],'s':['2',2]", ""),
    MIX("'image':['2',4],'any':['2',9],'two':['2',-5]",
        "1.image nooutput=4 1.any nooutput=9 1.two nooutput=-5 "),
    MIX("'image':['2',1],'two':['2',1],'n':['2',0],'f':['2',1]",
        "1.image type=1 1.two type=1 1.n type=0 1.f type=1 "),
    MIX("'image':['2',0.5],'any':['2',0.0]", "1.image nooutput=0.5 1.any nooutput=0.0 "),
    MIX("'image':['3',5],'two':['4',5],'s':['3',0]", ""), /* nobody says what they give */
    MIX("'two':['5',0],'image':['5',0]", "1.image type=0 "),
    MIX("'any':['6',0]", "1.any nooutput=0 "),
    MIX("'image':[],'any':['2'],'mode':['2',0,0],'n':[2,0],'s':['2','0'],'two':['2',null]",
        "1.image badlink 1.any badlink 1.mode badlink 1.n badlink 1.s badlink 1.two badlink "),
    MIX("'grow':['2'],'odd':[1],'other':[1],'remote':['a','b']", ""), /* nobody says */
    MIX("'other':['2',99]", ""),
    MIX("'other':['x',true],'more':['x',1]", "1.more nowhere=x "),
    MIX("'image':['9',0]", "1.image nowhere=9 "),
    /* What a custom class says of types, outputs and lists need not be all. */
    {"{'1':{'class_type':'Custom','inputs':{'must':'','image':['2',1],'mode':'x','model':'a:b',"
     "'n':1}},'2':{'class_type':'Mix','inputs':{}},"
     "'3':{'class_type':'Save','inputs':{'images':['1',3]}}}",
     ""},
    {"{'1':{'class_type':'Custom','inputs':{'image':['9',0],'mode':[],'n':'0'}},"
     "'3':{'class_type':'Save','inputs':{'images':['1',0]}}}",
     "1.image nowhere=9 1.mode badlink 1.n small 1.must missing "},
    {"{'1':{'class_type':'Extras','inputs':{'image':['2',1]}},"
     "'2':{'class_type':'Mix','inputs':{}},"
     "'3':{'class_type':'Save','inputs':{'images':['1',3]}}}",
     "1.image type=1 3.images nooutput=3 "},
    MIX("'any':['1',0]", "1. cycle "),
    {"{'1':{'class_type':'Mix','inputs':{'any':['2',0]}},"
     "'2':{'class_type':'Mix','inputs':{'any':['3',0],'image':['3',0]}},"
     "'3':{'class_type':'Mix','inputs':{'any':['2',0],'image':['2',0]}}}",
     "3. cycle "},
    {"{'1':{'class_type':'Load','inputs':{'n':['1',0]}},'2':{'class_type':'Last','inputs':{}}}",
     ""}, /* no output needs it */
    {"{'1':{'class_type':'Mix','inputs':{'any':['2',0],'two':['3',0]}},"
     "'2':{'class_type':'Mix','inputs':{'any':['4',0]}},"
     "'3':{'class_type':'Mix','inputs':{'any':['4',0]}},'4':{'class_type':'Mix','inputs':{}}}",
     ""}, /* two ways to one node */
};

static bool note_problem(void *ctx, const struct graph_problem *p)
{
    static const struct {
        const char *word;
        bool tells_value;
    } words[] = {
        [GRAPH_NO_OUTPUT] = {"none", false},
        [GRAPH_INPUT_MISSING] = {"missing", false},
        [GRAPH_TOO_SMALL] = {"small", false},
        [GRAPH_TOO_LARGE] = {"large", false},
        [GRAPH_NO_NUMBER] = {"nan", false},
        [GRAPH_NOT_LISTED] = {"unlisted", false},
        [GRAPH_LINK_BAD] = {"badlink", false},
        [GRAPH_LINK_NOWHERE] = {"nowhere=", true},
        [GRAPH_LINK_NO_OUTPUT] = {"nooutput=", true},
        [GRAPH_LINK_OTHER_TYPE] = {"type=", true},
        [GRAPH_CYCLE] = {"cycle", false},
    };
    struct buf *got = ctx;
    if (p->node != NULL) {
        buf_add_str(got, p->node->id);
        buf_add_char(got, '.');
        buf_add_str(got, p->input);
        buf_add_char(got, ' ');
    }
    buf_add_text(got, words[p->fault].word);
    if (words[p->fault].tells_value) {
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

/* As Python reads them. */
static const struct {
    const char *text;
    bool is_int, is_float;
} numbers[] = {
    {"20", true, true},      {" 20\\n", true, true},   {"+2", true, true},
    {"-0", true, true},      {"007", true, true},      {"1_000", true, true},
    {"", false, false},      {" ", false, false},      {"twenty", false, false},
    {"2 0", false, false},   {"1__0", false, false},   {"_1", false, false},
    {"1_", false, false},    {"0x10", false, false},   {"+-1", false, false},
    {"1,5", false, false},   {"20.0", false, true},    {"1.", false, true},
    {".5", false, true},     {".", false, false},      {"1e3", false, true},
    {"1e", false, false},    {"1E-3", false, true},    {"1_0.5_0e1_0", false, true},
    {"1._5", false, false},  {"inf", false, true},     {"-Infinity", false, true},
    {"NaN", false, true},    {"nan(1)", false, false}, {"e5", false, false},
    {"\\u0661", true, true}, {"1\\u00a0", true, true}, {"x\\u00e9", true, true},
    {"0x1p3", false, false}, {"1.5.5", false, false},  {"1f", false, false},
};

START_TEST(numbers_are_read_as_python_does)
{
    for (int k = 0; k < 2; k++) {
        const bool is_int = k == 0;
        const bool good = is_int ? numbers[_i].is_int : numbers[_i].is_float;
        AUTO_BUF struct buf graph;
        AUTO_BUF struct buf got;
        buf_init(&graph, BUF_NO_LIMIT);
        buf_init(&got, BUF_NO_LIMIT);
        buf_printf(&graph, "{'1':{'class_type':'Plain','inputs':{'%s':'%s'}}}", is_int ? "i" : "f",
                   numbers[_i].text);
        check_graph(buf_text(&graph), false, 100, note_problem, &got);
        ck_assert_msg((got.len == 0) == good, "%s: %s", buf_text(&graph), buf_text(&got));
    }
}
END_TEST

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
    tcase_add_test(c, accepted_values_are_remembered);
    tcase_add_test(c, equal_classes_are_kept_once);
    tcase_add_loop_test(c, graphs_are_checked, 0, COUNT(graphs));
    tcase_add_loop_test(c, numbers_are_read_as_python_does, 0, COUNT(numbers));
    tcase_add_test(c, seeds_that_are_chosen_are_well);
    tcase_add_test(c, only_what_is_told_counts);
    suite_add_tcase(s, c);
    return s;
}
