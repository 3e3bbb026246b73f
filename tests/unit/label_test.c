/* Labels and selectors; what is kept of a job's wishes; overrides of batches. */
#include "comfypool/core/label.h"

#include <check.h>
#include <stdio.h>

#include "comfypool/core/batch.h"
#include "comfypool/core/job_options.h"
#include "suites.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

static const struct {
    const char *selector;
    bool good;
    bool met; /* by fast, gpu=4090, vram=24, cost=0.5, tier= */
} selectors[] = {
    {"fast", true, true},         {"slow", true, false},       {"fas", true, false},
    {"gpu", true, false}, /* a key is no label */
    {"gpu=4090", true, true},     {"gpu=4090.0", true, true},  {"gpu=3090", true, false},
    {"gpu!=3090", true, true},    {"gpu!=4090", true, false},  {"nothing!=1", true, true},
    {"vram>=24", true, true},     {"vram>=2.4e1", true, true}, {"vram>24", true, false},
    {"vram>-1", true, true},      {"vram<=24", true, true},    {"vram<24", true, false},
    {"cost<1", true, true},       {"fast>=1", true, false},    {"nothing>=1", true, false},
    {"vram>=much", false, false}, {"vram>=", false, false},    {"=4090", false, false},
    {">=24", false, false},       {"a==b", false, false},      {"a=>b", false, false},
    {"a!b", false, false},        {"a b", false, false},       {"vram >= 24", false, false},
    {"a=b c", false, false},      {"a\tb", false, false},      {"vram>=nan", false, false},
    {"vram>=inf", false, false},  {"", false, false},
};

START_TEST(selectors_are_met)
{
    struct names labels = {0};
    names_read(&labels, STR("[\"fast\",\"gpu=4090\",\"vram=24\",\"cost=0.5\",\"tier=\"]"));
    const struct str text = str_of(selectors[_i].selector);
    ck_assert_msg(label_is_selector(text) == selectors[_i].good, "%s", selectors[_i].selector);
    if (selectors[_i].good) {
        ck_assert_msg(label_is_met(text, &labels) == selectors[_i].met, "%s",
                      selectors[_i].selector);
    }
    names_done(&labels);
}
END_TEST

/* ---- what is kept with a job ----------------------------------------------------------------- */

static void fill(struct job_options *s)
{
    s->keep_seeds = s->run_on_failure = true;
    names_add(&s->include_outputs, STR("9"));
    names_add(&s->include_outputs, STR("1\n\"2"));
    s->where.has_only = true; /* and it names none */
    names_add(&s->where.exclude, STR("b"));
    s->variants = mem_zero(2, sizeof *s->variants);
    s->variants_len = 2;
    for (size_t i = 0; i < 2; i++) {
        struct job_variant *v = &s->variants[i];
        v->workflow =
            mem_strdup(i == 0 ? "{\"1\":{ }}" : "{\"2\":{\"seed\":18446744073709551615}}");
        v->workflow_len = strlen(v->workflow);
        v->nodes_total = i + 1;
        (void)snprintf(v->hash, sizeof v->hash, "%064zu", i);
        (void)snprintf(v->cost_key, sizeof v->cost_key, "key%zu", i);
        names_add(&v->where.labels, STR("vram>=24"));
    }
}

START_TEST(a_spec_is_read_back)
{
    struct job_options s = {0};
    ck_assert(job_options_is_empty(&s));
    fill(&s);
    ck_assert(!job_options_is_empty(&s));
    AUTO_BUF struct buf text;
    AUTO_BUF struct buf again;
    buf_init(&text, BUF_NO_LIMIT);
    buf_init(&again, BUF_NO_LIMIT);
    job_options_write(&s, &text);
    struct job_options *back = job_options_read(buf_str(&text));
    ck_assert(back->keep_seeds && back->run_on_failure && back->where.has_only);
    ck_assert_uint_eq(back->where.only.len, 0);
    ck_assert_str_eq(back->include_outputs.list[1], "1\n\"2");
    ck_assert_uint_eq(back->variants_len, 2);
    ck_assert_str_eq(back->variants[1].workflow, s.variants[1].workflow);
    ck_assert_str_eq(back->variants[1].cost_key, "key1");
    ck_assert_str_eq(back->variants[1].where.labels.list[0], "vram>=24");
    job_options_write(back, &again);
    ck_assert_str_eq(buf_text(&again), buf_text(&text));
    job_options_free(back);
    job_options_done(&s);
}
END_TEST

START_TEST(where_allows)
{
    struct names labels = {0};
    names_add(&labels, STR("fast"));
    struct job_where w = {0};
    ck_assert(job_where_allows(&w, "a", &labels));
    names_add(&w.labels, STR("fast"));
    ck_assert(job_where_allows(&w, "a", &labels));
    names_add(&w.labels, STR("vram>=1"));
    ck_assert_msg(!job_where_allows(&w, "a", &labels), "all must be met");
    names_done(&w.labels);
    names_add(&w.exclude, STR("a"));
    ck_assert(!job_where_allows(&w, "a", &labels) && job_where_allows(&w, "b", &labels));
    w.has_only = true;
    ck_assert_msg(!job_where_allows(&w, "b", &labels), "an empty list of names is none");
    names_add(&w.only, STR("b"));
    names_add(&w.only, STR("a"));
    ck_assert(job_where_allows(&w, "b", &labels) && !job_where_allows(&w, "a", &labels));
    job_where_done(&w);
    names_done(&labels);
}
END_TEST

/* ---- overrides ------------------------------------------------------------------------------- */

#define GRAPH                                                                                      \
    "{\"1\": {\"class_type\": \"A\", \"inputs\": {\"x\": 1, \"a.b\": 2,  "                         \
    "\"ckpt\":\"m.safetensors\"}},"                                                                \
    "\"1.2\":{\"inputs\":{\"x\":[\"1\",0],\"b\":3},\"class_type\":\"B\"}}"

static const struct {
    const char *one;
    const char *from,
        *to; /* what changes in GRAPH; to NULL: it is refused, and `from` is the name */
    bool structural;
} overrides[] = {
    {"{}", "", "", false},
    {"{\"1.x\":7}", "\"x\": 1", "\"x\": 7", false},
    {"{\"1.a.b\":18446744073709551616.00}", "\"a.b\": 2", "\"a.b\": 18446744073709551616.00",
     false},
    {"{\"1.2.b\":\"\\u00e9\"}", "\"b\":3", "\"b\":\"\\u00e9\"", false},
    {"{\"1.2.x\":{\"a\":[1]}}", "[\"1\",0]", "{\"a\":[1]}", true},
    {"{\"1.ckpt\":\"n.safetensors\"}", "m.safetensors", "n.safetensors", true},
    {"{\"1.x\":[\"1.2\",0]}", "\"x\": 1", "\"x\": [\"1.2\",0]", true},
    {"{\"1.y\":7}", "1.y", NULL, false},
    {"{\"1.2.a\":7}", "1.2.a", NULL, false}, /* of node 1.2, which has none; not 2.a of node 1 */
    {"{\"3.x\":7}", "3.x", NULL, false},
    {"{\"x\":7}", "x", NULL, false},
    {"{\"1.\":7}", "1.", NULL, false},
    {"{\".x\":7}", ".x", NULL, false},
    {"7", NULL, NULL, false},
};

START_TEST(overrides_change_values_alone)
{
    const struct str graph = STR(GRAPH);
    struct workflow *w = workflow_reparse(graph);
    struct override_check c;
    struct str name;
    override_check_begin(&c, w, graph);
    for (int round = 0; round < 2; round++) { /* the second one knows the names */
        const bool good = override_check(&c, str_of(overrides[_i].one), &name);
        ck_assert_msg(good == (overrides[_i].to != NULL), "%s", overrides[_i].one);
        ck_assert_msg(good || (overrides[_i].from == NULL ? name.p == NULL
                                                          : str_is(name, overrides[_i].from)),
                      "%s", overrides[_i].one);
    }
    if (overrides[_i].to != NULL) {
        AUTO_BUF struct buf out;
        AUTO_BUF struct buf want;
        buf_init(&out, BUF_NO_LIMIT);
        buf_init(&want, BUF_NO_LIMIT);
        const char *at = strstr(GRAPH, overrides[_i].from);
        buf_printf(&want, "%.*s%s%s", (int)(at - graph.p), graph.p, overrides[_i].to,
                   at + strlen(overrides[_i].from));
        override_apply(graph, str_of(overrides[_i].one), &out);
        ck_assert_str_eq(buf_text(&out), buf_text(&want));
        ck_assert_msg(override_is_structural(&c, str_of(overrides[_i].one), &out) ==
                          overrides[_i].structural,
                      "%s", overrides[_i].one);
    }
    override_check_end(&c);
    workflow_free(w);
}
END_TEST

START_TEST(overrides_are_listed)
{
    const struct str array = STR(" [ {\"1.x\":\"]{\"} ,\n{}, {\"a\":{\"b\":[]}} ] ");
    static const char *const want[] = {"{\"1.x\":\"]{\"}", "{}", "{\"a\":{\"b\":[]}}"};
    size_t at = 0;
    for (size_t i = 0; i < COUNT(want); i++) {
        ck_assert_msg(str_is(override_next(array, &at), want[i]), "%zu", i);
    }
    ck_assert_uint_eq(override_next(array, &at).n, 0);
}
END_TEST

Suite *label_suite(void)
{
    Suite *s = suite_create("labels");
    TCase *c = tcase_create("labels");
    tcase_add_loop_test(c, selectors_are_met, 0, COUNT(selectors));
    tcase_add_test(c, a_spec_is_read_back);
    tcase_add_test(c, where_allows);
    tcase_add_loop_test(c, overrides_change_values_alone, 0, COUNT(overrides));
    tcase_add_test(c, overrides_are_listed);
    suite_add_tcase(s, c);
    return s;
}
