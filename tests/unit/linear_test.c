/*
 * What a peer sends costs time in proportion: for each loop over its bytes, twice the input takes
 * at most 2.5 times as long. Measured in CPU time of the thread, the best of several runs.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "comfypool/base/json_read.h"
#include "comfypool/comfy/answers.h"
#include "comfypool/comfy/decoder.h"
#include "comfypool/core/batch.h"
#include "comfypool/core/catalog.h"
#include "comfypool/core/graph_check.h"
#include "comfypool/core/profiler.h"
#include "comfypool/core/progress.h"
#include "comfypool/core/splice.h"
#include "comfypool/core/verdict.h"
#include "comfypool/render/render.h"
#include "suites.h"

enum { ROUNDS = 5 };
/* Beside the 2.5 times: what a clock and a cold cache may say of a short run. */
static const double SLACK_S = 0.002;

/* One input, made before the time counts. */
struct input {
    size_t n;
    struct buf text;
    struct buf more;
    struct workflow *w;
};

static double cpu_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- inputs ---------------------------------------------------------------------------------- */

static void parse(struct input *in)
{
    in->w = workflow_reparse(buf_str(&in->text));
    ck_assert_ptr_nonnull(in->w);
}

/* n nodes, each with a seed to be chosen and a link to the one before it. */
static void many_nodes(struct input *in)
{
    buf_add_char(&in->text, '{');
    for (size_t i = 0; i < in->n; i++) {
        buf_printf(&in->text,
                   "%s\"%zu\":{\"class_type\":\"A\",\"inputs\":{\"seed\":-1,\"a\":[\"%zu\",0]}}",
                   i == 0 ? "" : ",", i, i == 0 ? 0 : i - 1);
    }
    buf_add_char(&in->text, '}');
    parse(in);
}

/* One node with n inputs, each of which links to a node of its own. */
static void many_links(struct input *in)
{
    buf_add_text(&in->text, "{\"all\":{\"inputs\":{");
    for (size_t i = 0; i < in->n; i++) {
        buf_printf(&in->text, "%s\"i%zu\":[\"%zu\",0]", i == 0 ? "" : ",", i, i);
    }
    buf_add_text(&in->text, "}}");
    for (size_t i = 0; i < in->n; i++) {
        buf_printf(&in->text, ",\"%zu\":{\"inputs\":{}}", i);
    }
    buf_add_char(&in->text, '}');
    parse(in);
}

/* One override of each of them. */
static void many_overrides(struct input *in)
{
    many_links(in);
    buf_add_char(&in->more, '{');
    for (size_t i = 0; i < in->n; i++) {
        buf_printf(&in->more, "%s\"all.i%zu\":%zu", i == 0 ? "" : ",", i, i);
    }
    buf_add_char(&in->more, '}');
}

/* {"id": {"outputs": {n nodes}, "status": {...}}}. */
static void history(struct input *in)
{
    buf_add_text(&in->text, "{\"id\":{\"outputs\":{");
    for (size_t i = 0; i < in->n; i++) {
        buf_printf(&in->text, "%s\"%zu\":{\"images\":[{\"filename\":\"%zu.png\"}]}",
                   i == 0 ? "" : ",", i, i);
    }
    buf_add_text(&in->text, "},\"status\":{\"status_str\":\"success\",\"messages\":[");
    for (size_t i = 0; i < in->n; i++) {
        buf_printf(&in->text, "%s[\"execution_cached\",{\"nodes\":[\"%zu\"],\"timestamp\":5}]",
                   i == 0 ? "" : ",", i);
    }
    buf_add_text(&in->text, "]}}}");
}

static void outputs(struct input *in)
{
    buf_add_char(&in->text, '{');
    for (size_t i = 0; i < in->n; i++) {
        buf_printf(&in->text,
                   "%s\"%zu\":{\"images\":[{\"filename\":\"%zu.png\"}],\"text\":[\"a\"]}",
                   i == 0 ? "" : ",", i, i);
    }
    buf_add_char(&in->text, '}');
}

static void node_errors(struct input *in)
{
    many_nodes(in);
    buf_add_text(&in->more,
                 "{\"error\":{\"type\":\"prompt_outputs_failed_validation\"},\"node_errors\":{");
    for (size_t i = 0; i < in->n; i++) {
        buf_printf(&in->more,
                   "%s\"%zu\":{\"errors\":[{\"type\":\"value_not_in_list\",\"message\":\"m\"}]}",
                   i == 0 ? "" : ",", i);
    }
    buf_add_text(&in->more, "}}");
}

static void queue(struct input *in)
{
    buf_add_text(&in->text, "{\"queue_running\":[],\"queue_pending\":[");
    for (size_t i = 0; i < in->n; i++) {
        buf_printf(&in->text, "%s[%zu,\"p%zu\",{},{},[]]", i == 0 ? "" : ",", i, i);
    }
    buf_add_text(&in->text, "]}");
}

/* A class with n inputs, and a node that names a model in each of them. */
static void many_models(struct input *in)
{
    buf_add_text(&in->text, "{\"1\":{\"class_type\":\"A\",\"inputs\":{");
    buf_add_text(&in->more, "{\"A\":{\"input\":{\"required\":{");
    for (size_t i = 0; i < in->n; i++) {
        buf_printf(&in->text, "%s\"i%zu_name\":\"m\"", i == 0 ? "" : ",", i);
        buf_printf(&in->more, "%s\"i%zu_name\":[[\"m\",\"n\"]]", i == 0 ? "" : ",", i);
    }
    buf_add_text(&in->text, "}}}");
    buf_add_text(&in->more, "}}}}");
    parse(in);
}

/* n spellings of one path, and n values that are another one. */
static void many_spellings(struct input *in)
{
    enum { DEPTH = 16 };
    buf_add_text(&in->text, "{\"1\":{\"class_type\":\"A\",\"inputs\":{");
    buf_add_text(&in->more, "{\"A\":{\"input\":{\"required\":{\"i_name\":[[");
    for (size_t i = 0; i < in->n; i++) {
        buf_printf(&in->text, "%s\"%zu_name\":\"m\"", i == 0 ? "" : ",", i);
        buf_add_text(&in->more, i == 0 ? "\"" : ",\"");
        for (size_t k = 0; k < DEPTH; k++) {
            buf_add_text(&in->more, (i >> k & 1) != 0 ? "m\\\\" : "m/");
        }
        buf_add_text(&in->more, "m\"");
    }
    buf_add_text(&in->text, "}}}");
    buf_add_text(&in->more, "]]}}}}");
    parse(in);
}

/* A class with n inputs, and n nodes of it that name one. */
static void many_inputs(struct input *in)
{
    buf_add_char(&in->text, '{');
    buf_add_text(&in->more, "{\"A\":{\"output_node\":true,\"input\":{\"optional\":{");
    for (size_t i = 0; i < in->n; i++) {
        buf_printf(&in->text, "%s\"%zu\":{\"class_type\":\"A\",\"inputs\":{\"i1\":1}}",
                   i == 0 ? "" : ",", i);
        buf_printf(&in->more, "%s\"i%zu\":[\"INT\",{\"max\":1}]", i == 0 ? "" : ",", i);
    }
    buf_add_char(&in->text, '}');
    buf_add_text(&in->more, "}}}}");
    parse(in);
}

/* n nodes, each links to the next one and to the last one. */
static void many_checks(struct input *in)
{
    buf_add_text(
        &in->more,
        "{\"A\":{\"output_node\":true,\"output\":[\"IMAGE\",\"MASK\"],\"input\":{\"optional\":{"
        "\"a\":[\"*\"],\"b\":[\"LATENT,MASK\"],\"i\":[\"INT\"],\"m\":[[\"x\",\"y\"]]}}}}");
    buf_add_char(&in->text, '{');
    for (size_t i = 0; i < in->n; i++) {
        const size_t next = i + 1;
        buf_printf(
            &in->text,
            "%s\"%zu\":{\"class_type\":\"A\",\"inputs\":{\"a\":[\"%zu\",0],\"b\":[\"%zu\",1],"
            "\"i\":\"20\",\"m\":\"y\"}}",
            i == 0 ? "" : ",", i, next, in->n + 1);
    }
    buf_printf(&in->text,
               ",\"%zu\":{\"class_type\":\"A\",\"inputs\":{}},\"%zu\":{\"class_type\":\"A\","
               "\"inputs\":{}}}",
               in->n, in->n + 1);
    parse(in);
}

/* A refusal of one long phrase and n short ones. */
static void phrases(struct input *in)
{
    buf_add_text(&in->more, "{\"error\":{\"message\":\"");
    for (size_t i = 0; i < in->n; i++) {
        buf_add_char(&in->more, 'a');
    }
    buf_add_char(&in->more, '"');
    for (size_t i = 0; i < in->n; i++) {
        buf_add_text(&in->more, ",\"details\":\"a\"");
    }
    buf_add_text(&in->more, "}}");
}

static void members(struct input *in)
{
    outputs(in);
}

/* ---- frames ---------------------------------------------------------------------------------- */

/* Ids live until the next call. */
static struct str id_of(char text[32], const char *prefix, size_t i)
{
    (void)snprintf(text, 32, "%s%zu", prefix, i);
    return str_of(text);
}

typedef void (*feed_fn)(void *to, size_t i, const struct frame *f);

/* `executing` of each node in turn, as of servers without progress_state. */
static void play_executing(struct input *in, feed_fn feed, void *to)
{
    char text[32];
    for (size_t i = 0; i < in->n; i++) {
        const struct frame f = {.type = FRAME_EXECUTING, .node = id_of(text, "", i)};
        feed(to, i, &f);
    }
}

/* A list of cached nodes for each of them. */
static void play_cached(struct input *in, feed_fn feed, void *to)
{
    char text[32];
    for (size_t i = 0; i < in->n; i++) {
        const struct str id = id_of(text, "", i);
        const struct frame f = {.type = FRAME_CACHED, .ids = &id, .ids_len = 1};
        feed(to, i, &f);
    }
}

/* Copies of each node, which one loop brings; a progress_state for each that begins and ends. */
static void play_copies(struct input *in, feed_fn feed, void *to)
{
    char id[32];
    char shown[32];
    for (size_t i = 0; i < 2 * in->n; i++) {
        const struct frame_node node = {.id = id_of(id, "copy", i / 2),
                                        .parent = STR("loop"),
                                        .display = id_of(shown, "", i / 2),
                                        .state =
                                            i % 2 == 0 ? NODE_STATE_RUNNING : NODE_STATE_FINISHED};
        const struct frame f = {.type = FRAME_STATE, .nodes = &node, .nodes_len = 1};
        feed(to, i, &f);
    }
}

/* The same where nobody says what brings them. */
static void play_loose(struct input *in, feed_fn feed, void *to)
{
    char id[32];
    char shown[32];
    for (size_t i = 0; i < 2 * in->n; i++) {
        const struct frame_node node = {.id = id_of(id, "copy", i / 2),
                                        .display = id_of(shown, "", i / 2),
                                        .state =
                                            i % 2 == 0 ? NODE_STATE_RUNNING : NODE_STATE_FINISHED};
        const struct frame f = {.type = FRAME_STATE, .nodes = &node, .nodes_len = 1};
        feed(to, i, &f);
    }
}

/* Nodes that nobody knows have been executed. */
static void play_strangers(struct input *in, feed_fn feed, void *to)
{
    char text[32];
    for (size_t i = 0; i < in->n; i++) {
        const struct frame f = {
            .type = FRAME_EXECUTED, .node = id_of(text, "n", i), .output = STR("{}")};
        feed(to, i, &f);
    }
}

/* A node and one that it expanded into, in turn: each has many slices. */
static void play_slices(struct input *in, feed_fn feed, void *to)
{
    const struct frame_node child = {
        .id = STR("child"), .parent = STR("0"), .state = NODE_STATE_OTHER};
    const struct frame birth = {.type = FRAME_STATE, .nodes = &child, .nodes_len = 1};
    feed(to, 0, &birth);
    for (size_t i = 0; i < in->n; i++) {
        const struct frame f = {.type = FRAME_EXECUTING,
                                .node = i % 2 == 0 ? STR("0") : STR("child")};
        feed(to, i + 1, &f);
    }
}

static void feed_progress(void *to, size_t i, const struct frame *f)
{
    (void)i;
    progress_feed(to, f, NULL, NULL);
}

static void feed_profiler(void *to, size_t i, const struct frame *f)
{
    profiler_feed(to, (struct mono_us){1000 + (int64_t)i}, f);
}

static void with_progress(struct input *in, void (*play)(struct input *in, feed_fn feed, void *to))
{
    struct progress p;
    progress_init(&p, in->w);
    play(in, feed_progress, &p);
    const struct frame end = {.type = FRAME_SUCCESS};
    progress_feed(&p, &end, NULL, NULL);
    progress_done(&p);
}

static void finish(struct input *in, struct profiler *p, struct buf *json)
{
    struct timeline t;
    struct profile profile;
    const struct time_anchor anchor = {{0}, {0}};
    timeline_init(&t, anchor, (struct mono_us){1});
    (void)timeline_start(&t, (struct mono_us){1000}, 0);
    timeline_end(&t, (struct mono_us){1000000 + 3 * (int64_t)in->n}, 0);
    profiler_finish(p, &t, ATTEMPT_COMPLETED, &profile);
    profile.job_id = profile.prompt_id = "";
    render_profile_json(&profile, json);
}

static void with_profiler(struct input *in, void (*play)(struct input *in, feed_fn feed, void *to))
{
    AUTO_BUF struct buf json;
    buf_init(&json, BUF_NO_LIMIT);
    struct profiler *p = profiler_new(in->w, 100);
    play(in, feed_profiler, p);
    finish(in, p, &json);
    profiler_free(p);
}

/* The profile of a run of n nodes, as the store keeps it. */
static void stored_profile(struct input *in)
{
    many_nodes(in);
    struct profiler *p = profiler_new(in->w, 100);
    play_executing(in, feed_profiler, p);
    finish(in, p, &in->more);
    profiler_free(p);
}

/* ---- what is measured ------------------------------------------------------------------------ */

#define PLAYED(with, play)                                                                         \
    static void with##_##play(struct input *in)                                                    \
    {                                                                                              \
        with(in, play_##play);                                                                     \
    }
PLAYED(with_progress, executing)
PLAYED(with_progress, cached)
PLAYED(with_progress, copies)
PLAYED(with_progress, loose)
PLAYED(with_progress, strangers)
PLAYED(with_progress, slices)
PLAYED(with_profiler, executing)
PLAYED(with_profiler, cached)
PLAYED(with_profiler, copies)
PLAYED(with_profiler, loose)
PLAYED(with_profiler, strangers)
PLAYED(with_profiler, slices)

static void parse_again(struct input *in)
{
    struct workflow *w = NULL;
    struct workflow_problem problem;
    ck_assert(workflow_parse(buf_str(&in->text), &w, &problem));
    workflow_free(w);
}

/* As when an attempt chooses them. */
static void choose_seeds(struct input *in)
{
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    struct splices s = {0};
    for (size_t i = 0; i < in->w->seeds_len; i++) {
        const struct workflow_seed *seed = &in->w->seeds[i];
        ck_assert(splices_set_input(&s, in->w, buf_str(&in->text), in->w->nodes[seed->node].id,
                                    str_of(seed->input), STR("7")));
    }
    splices_apply(&s, buf_str(&in->text), &out);
    splices_done(&s);
}

static void check_override(struct input *in)
{
    struct override_check c;
    struct str wrong;
    AUTO_BUF struct buf key;
    AUTO_BUF struct buf out;
    buf_init(&key, BUF_NO_LIMIT);
    buf_init(&out, BUF_NO_LIMIT);
    override_check_begin(&c, in->w, buf_str(&in->text));
    ck_assert(override_check(&c, buf_str(&in->more), &wrong));
    ck_assert(override_is_structural(&c, buf_str(&in->more), &key));
    override_check_end(&c);
    override_apply(buf_str(&in->text), buf_str(&in->more), &out);
    buf_clear(&out);
    override_skeleton(in->w, buf_str(&in->text), &out);
}

/* As many overrides of one input as the node has inputs. */
static void check_overrides(struct input *in)
{
    struct override_check c;
    struct str wrong;
    AUTO_BUF struct buf key;
    buf_init(&key, BUF_NO_LIMIT);
    override_check_begin(&c, in->w, buf_str(&in->text));
    for (size_t i = 0; i < in->n; i++) {
        char one[48];
        (void)snprintf(one, sizeof one, "{\"all.i%zu\":[\"0\",1]}", i);
        ck_assert(override_check(&c, str_of(one), &wrong));
        buf_clear(&key);
        ck_assert(override_is_structural(&c, str_of(one), &key));
    }
    override_check_end(&c);
}

static void read_history(struct input *in)
{
    struct history_answer h;
    ck_assert(history_answer_read(buf_str(&in->text), STR("id"), &h));
    ck_assert_uint_eq(h.outputs_len, in->n);
    history_answer_done(&h);
}

static void read_outputs(struct input *in)
{
    size_t len = 0;
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    struct render_output *list = render_outputs_read(buf_str(&in->text), &len);
    render_outputs_json("id", list, len, &out);
    render_outputs_free(list, len);
}

static void read_node_errors(struct input *in)
{
    struct prompt_answer a;
    ck_assert(prompt_answer_read(buf_str(&in->more), &a));
    (void)verdict_may_run_elsewhere(in->w, a.error_type, buf_str(&a.message), a.errors,
                                    a.errors_len);
    prompt_answer_done(&a);
}

static void find_in_queue(struct input *in)
{
    struct queue_others others;
    ck_assert(queue_answer_find(buf_str(&in->text), STR("none"), &others) == QUEUE_ABSENT);
}

static void check_members(struct input *in)
{
    size_t offset = 0;
    const char *why = NULL;
    ck_assert(js_check(buf_str(&in->text), JS_MAX_DEPTH, &offset, &why));
}

static void find_models(struct input *in)
{
    struct catalog_draft d;
    ck_assert(catalog_draft_read(buf_str(&in->more), &d));
    for (size_t i = 0; i < in->w->models_len; i++) {
        const struct workflow_value *m = &in->w->models[i];
        ck_assert(catalog_allows(d.classes[0], m->input, m->value));
    }
    catalog_draft_done(&d);
}

static void find_spellings(struct input *in)
{
    enum { PARTS = 17 };
    struct catalog_draft d;
    ck_assert(catalog_draft_read(buf_str(&in->more), &d));
    char path[2 * PARTS + 1] = "";
    for (size_t k = 0; k < PARTS; k++) {
        memcpy(path + 2 * k, "m\\", 2);
    }
    const struct str other = {path, 2 * PARTS - 1};
    for (size_t i = 0; i < in->w->models_len; i++) {
        ck_assert_ptr_nonnull(catalog_spelling(d.classes[0], STR("i_name"), other));
    }
    ck_assert_uint_eq(in->w->models_len, in->n);
    catalog_draft_done(&d);
}

static bool no_problem(void *ctx, const struct graph_problem *p)
{
    (void)ctx;
    ck_abort_msg("%d", (int)p->fault);
    return true;
}

static void check_graph(struct input *in)
{
    struct catalog_pool pool;
    struct catalog c;
    struct catalog_draft d;
    ck_assert(catalog_draft_read(buf_str(&in->more), &d));
    catalog_pool_init(&pool);
    catalog_init(&c);
    ck_assert(catalog_replace(&c, &pool, &d));
    const struct graph_asked asked = {
        .w = in->w, .text = buf_str(&in->text), .classes = &c, .most = 50};
    graph_check(&asked, no_problem, NULL);
    catalog_done(&c, &pool);
    catalog_pool_done(&pool);
}

static void read_refusal(struct input *in)
{
    struct prompt_answer a;
    ck_assert(prompt_answer_read(buf_str(&in->more), &a));
    ck_assert_uint_eq(a.message.len, in->n + strlen(": a"));
    prompt_answer_done(&a);
}

/* In each format. */
static void render(struct input *in)
{
    for (int f = 0; f < FORMAT_COUNT; f++) {
        AUTO_BUF struct buf out;
        buf_init(&out, BUF_NO_LIMIT);
        if (render_has((enum format)f)) {
            ck_assert(render_profile((enum format)f, buf_str(&in->more), &out));
        }
    }
}

static void render_trace(struct input *in)
{
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    const struct str profile = buf_str(&in->more);
    const struct render_trace t = {.job_id = "01a22c5a-0945-7b1e-a345-1f6e0ddd1047",
                                   .trace_parent = "",
                                   .state = "completed",
                                   .workflow_hash = "",
                                   .profiles = &profile,
                                   .profiles_len = 1,
                                   .version = "0"};
    render_otlp(&t, &out);
    buf_clear(&out);
    render_profile_brief(profile, &out);
}

static void compare(struct input *in)
{
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    const struct str profile = buf_str(&in->more);
    const struct render_comparison c = {.bases = &profile, .bases_len = 1, .target = profile};
    ck_assert(render_comparison(FORMAT_JSON, &c, &out));
}

static const struct loop {
    const char *name;
    size_t n;
    void (*make)(struct input *in);
    void (*run)(struct input *in);
} loops[] = {
    {"a workflow of n nodes is read", 10000, many_nodes, parse_again},
    {"a node links to n nodes", 10000, many_links, parse_again},
    {"n seeds are chosen", 10000, many_nodes, choose_seeds},
    {"one override of n inputs of a node", 10000, many_overrides, check_override},
    {"n overrides of a node of n inputs", 10000, many_links, check_overrides},
    {"a history of n outputs and messages", 10000, history, read_history},
    {"n outputs are listed", 10000, outputs, read_outputs},
    {"errors of n nodes", 5000, node_errors, read_node_errors},
    {"a queue of n prompts", 10000, queue, find_in_queue},
    {"an object of n members", 10000, members, check_members},
    {"models of n inputs of a class", 10000, many_models, find_models},
    {"n spellings of a path, n other ones", 10000, many_spellings, find_spellings},
    {"n nodes of a class of n inputs", 10000, many_inputs, check_graph},
    {"n nodes link to the next one", 10000, many_checks, check_graph},
    {"a refusal of n phrases", 5000, phrases, read_refusal},
    {"progress: executing", 10000, many_nodes, with_progress_executing},
    {"progress: cached", 10000, many_nodes, with_progress_cached},
    {"progress: copies", 5000, many_nodes, with_progress_copies},
    {"progress: copies of nobody", 5000, many_nodes, with_progress_loose},
    {"progress: strangers", 10000, many_nodes, with_progress_strangers},
    {"progress: slices", 10000, many_nodes, with_progress_slices},
    {"profiler: executing", 10000, many_nodes, with_profiler_executing},
    {"profiler: cached", 10000, many_nodes, with_profiler_cached},
    {"profiler: copies", 5000, many_nodes, with_profiler_copies},
    {"profiler: copies of nobody", 5000, many_nodes, with_profiler_loose},
    {"profiler: strangers", 10000, many_nodes, with_profiler_strangers},
    {"profiler: slices", 10000, many_nodes, with_profiler_slices},
    {"a profile of n nodes in each format", 2500, stored_profile, render},
    {"a profile of n nodes as a trace", 2500, stored_profile, render_trace},
    {"profiles of n nodes beside each other", 2500, stored_profile, compare},
};

enum { LOOPS = sizeof loops / sizeof *loops };

static double best_of(const struct loop *l, size_t n)
{
    struct input in = {.n = n};
    buf_init(&in.text, BUF_NO_LIMIT);
    buf_init(&in.more, BUF_NO_LIMIT);
    l->make(&in);
    double best = 1e9;
    for (int i = 0; i < ROUNDS; i++) {
        const double before = cpu_s();
        l->run(&in);
        const double took = cpu_s() - before;
        best = took < best ? took : best;
    }
    workflow_free(in.w);
    buf_done(&in.text);
    buf_done(&in.more);
    return best;
}

START_TEST(twice_the_input_takes_twice_the_time)
{
    const struct loop *l = &loops[_i];
    const double one = best_of(l, l->n);
    const double two = best_of(l, 2 * l->n);
    ck_assert_msg(two <= 2.5 * one + SLACK_S, "%s: %.1f ms, and %.1f ms of twice as much", l->name,
                  one * 1000, two * 1000);
}
END_TEST

Suite *linear_suite(void)
{
    Suite *s = suite_create("linear");
    TCase *c = tcase_create("linear");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, twice_the_input_takes_twice_the_time, 0, LOOPS);
    suite_add_tcase(s, c);
    return s;
}
