/*
 * Where the time went, by tables: runs in a few words, and the heaviest path, the idle stretches,
 * steps and resources that the rules give. Times in ms after the start of the attempt.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "comfypool/core/samples.h"
#include "comfypool/core/subgraph.h"
#include "suites.h"

static struct mono_us at_ms(double ms)
{
    return (struct mono_us){1000000 + (int64_t)(ms * 1000)};
}

/* One run of a node, a cached one (to < 0), or a progress event (value > 0 or max > 0). */
struct happening {
    const char *node;
    double from;
    double to;
    double value;
    double max;
};

enum { MOST = 24 };

struct row {
    const char *name;
    const char *workflow;
    struct happening list[MOST];
    double end;
    const char *want;
};

#define NODE(id, type, inputs) "\"" id "\":{\"class_type\":\"" type "\",\"inputs\":{" inputs "}}"

static const struct row rows[] = {
    {"a chain",
     "{" NODE("a", "A", "") "," NODE("b", "B", "\"x\":[\"a\",0]") "}",
     {{"a", 5, 15, 0, 0}, {"b", 15, 45, 0, 0}},
     50,
     "path a b 40 of 0.800; idle 0-5 -:a 45-50 b:-; loading 0; hits 0.000"},
    {"the heavier of two branches, though the other one has more nodes and ends later",
     "{" NODE("a", "A", "") "," NODE("b", "B", "\"x\":[\"a\",0]") "," NODE(
         "c", "C", "\"x\":[\"a\",0]") "," NODE("d", "D", "\"x\":[\"c\",0]") "}",
     {{"a", 0, 10, 0, 0}, {"b", 10, 60, 0, 0}, {"c", 60, 80, 0, 0}, {"d", 80, 100, 0, 0}},
     100,
     "path a b 60 of 0.600; idle; loading 0; hits 0.000"},
    {"two inputs, one heavier",
     "{" NODE("s", "S", "\"x\":[\"a\",0],\"y\":[\"b\",0]") "," NODE("a", "A", "") "," NODE("b", "B",
                                                                                           "") "}",
     {{"a", 0, 10, 0, 0}, {"b", 10, 40, 0, 0}, {"s", 40, 45, 0, 0}},
     45,
     "path b s 35 of 0.778; idle; loading 0; hits 0.000"},
    {"cached nodes weigh nothing",
     "{" NODE("a", "A", "") "," NODE("b", "B", "\"x\":[\"a\",0]") "}",
     {{"a", 2, -1, 0, 0}, {"b", 2, 12, 0, 0}},
     12,
     "path a b 10 of 0.833; idle 0-2 -:b; loading 0; hits 0.500"},
    {"a cycle ends",
     "{" NODE("a", "A", "\"x\":[\"b\",0]") "," NODE("b", "B", "\"x\":[\"a\",0]") "," NODE(
         "c", "C", "\"x\":[\"c\",0],\"y\":[\"b\",0]") "}",
     {{"a", 0, 10, 0, 0}, {"b", 10, 30, 0, 0}, {"c", 30, 35, 0, 0}},
     35,
     "path b a 30 of 0.857; idle; loading 0; hits 0.000"},
    {"overlaps: no gap under a longer one",
     "{" NODE("a", "A", "") "," NODE("b", "B", "") "," NODE("c", "C", "") "}",
     {{"a", 0, 50, 0, 0}, {"b", 10, 20, 0, 0}, {"c", 60, 70, 0, 0}},
     70,
     "path a 50 of 0.714; idle 50-60 a:c; loading 0; hits 0.000"},
    {"model loading: a Loader that names a model",
     "{" NODE("a", "CheckpointLoaderSimple", "\"ckpt_name\":\"x.safetensors\"") "," NODE(
         "b", "LoraLoader",
         "\"strength\":1") "," NODE("c", "UNETLoader",
                                    "\"model\":\"y.gguf\"") "," NODE("d", "Other",
                                                                     "\"m_name\""
                                                                     ":"
                                                                     "\"z\"") "}",
     {{"a", 0, 10, 0, 0}, {"b", 10, 30, 0, 0}, {"c", 30, 35, 0, 0}, {"d", 35, 36, 0, 0}},
     36,
     "path b 20 of 0.556; idle; loading 15; hits 0.000"},
    {"steps of one series",
     "{" NODE("a", "A", "") "}",
     {{"a", 0, 100, 0, 0},
      {"a", 40, 0, 1, 4},
      {"a", 50, 0, 2, 4},
      {"a", 70, 0, 3, 4},
      {"a", 80, 0, 4, 4}},
     100,
     "path a 100 of 1.000; idle; loading 0; hits 0.000; a 4 steps 75.000 10 20 first 40"},
    {"steps that are skipped count, repeated ones do not, a fall begins anew",
     "{" NODE("a", "A", "") "}",
     {{"a", 0, 200, 0, 0},
      {"a", 10, 0, 1, 20},
      {"a", 110, 0, 11, 20},
      {"a", 120, 0, 11, 20},
      {"a", 150, 0, 13, 20},
      {"a", 170, 0, 2, 20},
      {"a", 180, 0, 3, 20}},
     200,
     "path a 200 of 1.000; idle; loading 0; hits 0.000; a 16 steps 86.667 10 20 first 10"},
    {"one event: nothing to time",
     "{" NODE("a", "A", "") "}",
     {{"a", 0, 20, 0, 0}, {"a", 5, 0, 0, 20}},
     20,
     "path a 20 of 1.000; idle; loading 0; hits 0.000; a 0 steps first 5"},
    {"nothing ran",
     "{" NODE("a", "A", "") "," NODE("b", "B", "\"x\":[\"a\",0]") "}",
     {{0, 0, 0, 0, 0}},
     10,
     "path a b 0 of 0.000; idle 0-10 -:-; loading 0; hits 0.000"},
};

static void feed_state(struct profiler *p, const char *node, enum node_state state, double ms)
{
    const struct frame_node n = {.id = str_of(node), .state = state};
    const struct frame f = {.type = FRAME_STATE, .nodes = &n, .nodes_len = 1};
    profiler_feed(p, at_ms(ms), &f);
}

/* Starts, ends and progress in order of time, ends before starts. */
static void feed_at(struct profiler *p, const struct row *r, double ms)
{
    for (int i = 0; i < MOST && r->list[i].node != NULL; i++) {
        const struct happening *h = &r->list[i];
        if (h->to > 0 && h->to == ms) {
            feed_state(p, h->node, NODE_STATE_FINISHED, ms);
        }
    }
    for (int i = 0; i < MOST && r->list[i].node != NULL; i++) {
        const struct happening *h = &r->list[i];
        if (h->from != ms) {
            continue;
        }
        if (h->max > 0) {
            const struct frame f = {
                .type = FRAME_PROGRESS, .node = str_of(h->node), .value = h->value, .max = h->max};
            profiler_feed(p, at_ms(ms), &f);
        } else {
            feed_state(p, h->node, h->to < 0 ? NODE_STATE_FINISHED : NODE_STATE_RUNNING, ms);
        }
    }
}

static struct workflow *parse(const char *text)
{
    struct workflow *w = NULL;
    struct workflow_problem problem;
    ck_assert_msg(workflow_parse(str_of(text), &w, &problem), "%s", text);
    return w;
}

static struct timeline a_timeline(double end)
{
    struct timeline t;
    timeline_init(&t, (struct time_anchor){at_ms(0), {0}}, at_ms(0));
    t.intent = (struct time_mark){.set = true, .received = at_ms(0)};
    (void)timeline_start(&t, at_ms(0), 0);
    timeline_end(&t, at_ms(end), 0);
    return t;
}

static double ms_of(struct mono_us t)
{
    return (double)(t.us - at_ms(0).us) / 1000;
}

static const char *id_of(const struct profile *p, size_t index)
{
    static char id[2][64];
    static int turn;
    turn = 1 - turn;
    (void)snprintf(id[turn], sizeof id[turn], "%.*s",
                   index == PROFILE_NO_NODE ? 1 : (int)p->nodes[index].id.n,
                   index == PROFILE_NO_NODE ? "-" : p->nodes[index].id.p);
    return id[turn];
}

static void write_steps(const struct profile *p, struct buf *out)
{
    for (size_t i = 0; i < p->nodes_len; i++) {
        const struct profile_node *n = &p->nodes[i];
        if (n->progress_len == 0) {
            continue;
        }
        buf_printf(out, "; %.*s %g steps", (int)n->id.n, n->id.p, n->steps.count);
        if (n->steps.has_times) {
            buf_printf(out, " %.3f %g %g", n->steps.per_second, (double)n->steps.median.us / 1000,
                       (double)n->steps.p95.us / 1000);
        }
        if (n->steps.has_first) {
            buf_printf(out, " first %g", (double)n->steps.first.us / 1000);
        }
    }
}

static void write_analysis(const struct profile *p, struct buf *out)
{
    const struct profile_analysis *a = &p->analysis;
    buf_add_text(out, "path");
    for (size_t i = 0; i < a->path_len; i++) {
        const struct str id = p->workflow->nodes[a->path[i]].id;
        buf_printf(out, " %.*s", (int)id.n, id.p);
    }
    buf_printf(out, " %g of %.3f; idle", (double)a->path_length.us / 1000, a->path_share);
    int64_t idle_us = 0;
    for (size_t i = 0; i < a->idle_len; i++) {
        buf_printf(out, " %g-%g %s:%s", ms_of(a->idle[i].from), ms_of(a->idle[i].to),
                   id_of(p, a->idle[i].after), id_of(p, a->idle[i].before));
        idle_us += mono_diff(a->idle[i].to, a->idle[i].from).us;
    }
    ck_assert_int_eq(idle_us, p->unaccounted.us);
    buf_printf(out, "; loading %g; hits %.3f", (double)a->model_loading.us / 1000,
               a->cache_hit_rate);
    write_steps(p, out);
}

START_TEST(runs_are_analysed)
{
    const struct row *r = &rows[_i];
    struct workflow *w = parse(r->workflow);
    struct profiler *profiler = profiler_new(w, 100);
    const struct frame cached = {.type = FRAME_CACHED};
    profiler_feed(profiler, at_ms(0), &cached);
    for (int ms = 0; ms <= (int)r->end; ms++) {
        feed_at(profiler, r, ms);
    }
    struct timeline t = a_timeline(r->end);
    timeline_planned(&t, at_ms(0), 0, false);
    struct profile p;
    profiler_finish(profiler, &t, ATTEMPT_COMPLETED, &p);
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    write_analysis(&p, &out);
    ck_assert_msg(strcmp(buf_text(&out), r->want) == 0, "%s:\ngot  %s\nwant %s", r->name,
                  buf_text(&out), r->want);
    profiler_free(profiler);
    workflow_free(w);
}
END_TEST

/* Deeper than any stack of calls, and with twice as many links as nodes. */
START_TEST(a_deep_graph_costs_its_size)
{
    enum { NODES = 50000 };
    AUTO_BUF struct buf text;
    buf_init(&text, BUF_NO_LIMIT);
    for (int i = 0; i < NODES; i++) {
        buf_printf(&text, "%c\"%d\":{\"inputs\":{\"a\":[\"%d\",0],\"b\":[\"%d\",0]}}",
                   i == 0 ? '{' : ',', i, i + 1, i + 2);
    }
    buf_add_char(&text, '}');
    struct workflow *w = parse(buf_text(&text));
    struct profiler *profiler = profiler_new(w, 0);
    feed_state(profiler, "49999", NODE_STATE_RUNNING, 0);
    feed_state(profiler, "49999", NODE_STATE_FINISHED, 7);
    const struct timeline t = a_timeline(10);
    struct profile p;
    profiler_finish(profiler, &t, ATTEMPT_COMPLETED, &p);
    ck_assert_uint_eq(p.analysis.path_len, NODES);
    ck_assert_int_eq(p.analysis.path_length.us, 7000);
    ck_assert_uint_eq(p.analysis.path[0], NODES - 1);
    profiler_free(profiler);
    workflow_free(w);
}
END_TEST

START_TEST(an_open_account_has_no_ends)
{
    struct workflow *w = parse("{" NODE("a", "A", "") "," NODE("b", "B", "\"x\":[\"a\",0]") "}");
    struct profiler *profiler = profiler_new(w, 100);
    feed_state(profiler, "a", NODE_STATE_RUNNING, 0);
    feed_state(profiler, "a", NODE_STATE_FINISHED, 10);
    feed_state(profiler, "b", NODE_STATE_RUNNING, 10);
    const struct timeline t = a_timeline(30);
    struct profile p;
    profiler_finish(profiler, &t, ATTEMPT_OPEN, &p);
    ck_assert(p.nodes[0].has_duration && p.nodes[0].duration.us == 10000);
    ck_assert(str_is(p.nodes[1].id, "b") && p.nodes[1].status == PROFILE_EXECUTING);
    ck_assert(p.nodes[1].has_start && !p.nodes[1].has_end && !p.nodes[1].has_duration);
    ck_assert_int_eq(p.unaccounted.us, 0); /* it runs: that is no gap */
    ck_assert_int_eq(p.analysis.path_length.us, 10000);
    ck_assert_uint_eq(p.slowest_len, 1);
    profiler_free(profiler);
    workflow_free(w);
}
END_TEST

/* ---- copies of displayed nodes --------------------------------------------------------------- */

/* What runs: "ID" or "ID<PARENT=DISPLAY", from and to; nodes a to d of the workflow depend on each
   other in this order. Each ends before what follows it begins, unless it contains it. */
static const struct {
    const char *name;
    struct {
        const char *id, *parent, *display;
        double from, to;
    } list[9];
    const char *want; /* the path and its length, then the selfs */
} looped[] = {
    {"copies of b in a",
     {{"a", 0, 0, 0, 50}, {"x1", "a", "b", 10, 30}, {"x2", "a", "b", 30, 50}, {"c", 0, 0, 50, 60}},
     "a b c d 60; a 10 b 40 x1 20 x2 20 c 10"},
    {"... that expand in their turn",
     {{"a", 0, 0, 0, 50},
      {"x1", "a", "b", 10, 30},
      {"y1", "x1", "b", 15, 30},
      {"x2", "a", "b", 30, 50},
      {"y2", "x2", "b", 35, 50},
      {"c", 0, 0, 50, 60}},
     "a b c d 60; a 10 b 10 x1 5 y1 15 x2 5 y2 15 c 10"},
    {"a loop in a loop: copies of c in those of b",
     {{"a", 0, 0, 0, 50},
      {"x1", "a", "b", 10, 30},
      {"y1", "x1", "c", 15, 30},
      {"x2", "a", "b", 30, 50},
      {"y2", "x2", "c", 35, 50},
      {"d", 0, 0, 50, 60}},
     "a b c d 60; a 10 b 10 x1 5 c 30 y1 15 x2 5 y2 15 d 10"},
    {"nobody says whose copies they are: the path is not known",
     {{"a", 0, 0, 0, 50}, {"x1", 0, "b", 10, 30}, {"x2", 0, "b", 30, 50}, {"c", 0, 0, 50, 60}},
     "-; a 50 b 40 x1 20 x2 20 c 10"},
};

START_TEST(copies_count_once)
{
    struct workflow *w =
        parse("{" NODE("a", "A", "") "," NODE("b", "B", "\"x\":[\"a\",0]") "," NODE(
            "c", "C", "\"x\":[\"b\",0]") "," NODE("d", "D", "\"x\":[\"c\",0]") "}");
    struct profiler *profiler = profiler_new(w, 100);
    for (int ms = 0; ms <= 60; ms++) {
        for (int end = 1; end >= 0; end--) {
            for (size_t i = 0; i < 9 && looped[_i].list[i].id != NULL; i++) {
                const char *parent = looped[_i].list[i].parent;
                const char *display = looped[_i].list[i].display;
                if ((end ? looped[_i].list[i].to : looped[_i].list[i].from) == ms) {
                    struct frame_node n = {.id = str_of(looped[_i].list[i].id),
                                           .state = end ? NODE_STATE_FINISHED : NODE_STATE_RUNNING};
                    n.parent = parent == NULL ? n.parent : str_of(parent);
                    n.display = display == NULL ? n.display : str_of(display);
                    const struct frame f = {.type = FRAME_STATE, .nodes = &n, .nodes_len = 1};
                    profiler_feed(profiler, at_ms(ms), &f);
                }
            }
        }
    }
    struct timeline t = a_timeline(60);
    timeline_planned(&t, at_ms(0), 0, false);
    struct profile p;
    profiler_finish(profiler, &t, ATTEMPT_COMPLETED, &p);
    AUTO_BUF struct buf got;
    buf_init(&got, BUF_NO_LIMIT);
    for (size_t i = 0; i < p.analysis.path_len && p.analysis.path_known; i++) {
        buf_printf(&got, "%.1s ", w->nodes[p.analysis.path[i]].id.p);
    }
    if (p.analysis.path_known) {
        buf_printf(&got, "%g;", (double)p.analysis.path_length.us / 1000);
    } else {
        buf_add_text(&got, "-;");
    }
    for (size_t i = 0; i < p.nodes_len; i++) {
        if (p.nodes[i].has_self) {
            buf_printf(&got, " %.*s %g", (int)p.nodes[i].id.n, p.nodes[i].id.p,
                       (double)p.nodes[i].self.us / 1000);
        }
    }
    ck_assert_msg(strcmp(buf_text(&got), looped[_i].want) == 0, "%s:\ngot  %s\nwant %s",
                  looped[_i].name, buf_text(&got), looped[_i].want);
    profiler_free(profiler);
    workflow_free(w);
}
END_TEST

/* ---- what is to come ------------------------------------------------------------------------- */

/* A loader and what follows it, at 50: what is known. */
static const struct {
    const char *name;
    enum attempt_outcome outcome;
    bool planned;
    double from, to; /* the loader; -1: it did not */
    const char *want;
} to_come[] = {
    {"it plans", ATTEMPT_OPEN, false, -1, -1, ""},
    {"it is planned", ATTEMPT_OPEN, true, -1, -1, "loading hits"},
    {"its loader runs", ATTEMPT_OPEN, true, 10, -1, "hits"},
    {"its loader is done", ATTEMPT_OPEN, true, 10, 30, "path loading hits"},
    {"it ended while it planned: nothing ran", ATTEMPT_CANCELLED, false, -1, -1, "path loading"},
};

START_TEST(what_is_to_come_is_not_known)
{
    struct workflow *w = parse(
        "{" NODE("a", "UNETLoader", "\"m\":\"x.gguf\"") "," NODE("b", "B", "\"x\":[\"a\",0]") "}");
    struct profiler *profiler = profiler_new(w, 100);
    if (to_come[_i].from != -1) {
        feed_state(profiler, "a", NODE_STATE_RUNNING, to_come[_i].from);
    }
    if (to_come[_i].to != -1) {
        feed_state(profiler, "a", NODE_STATE_FINISHED, to_come[_i].to);
    }
    struct timeline t = a_timeline(50);
    if (to_come[_i].planned) {
        timeline_planned(&t, at_ms(5), 0, false);
    }
    struct profile p;
    profiler_finish(profiler, &t, to_come[_i].outcome, &p);
    char got[40];
    (void)snprintf(got, sizeof got, "%s%s%s", p.analysis.path_known ? "path " : "",
                   p.analysis.loading_known ? "loading " : "",
                   p.analysis.hits_known ? "hits " : "");
    got[strlen(got) - (got[0] != '\0')] = '\0';
    ck_assert_msg(strcmp(got, to_come[_i].want) == 0, "%s: got \"%s\"", to_come[_i].name, got);
    profiler_free(profiler);
    workflow_free(w);
}
END_TEST

/* ---- what a gap hides ------------------------------------------------------------------------ */

/* A loader "a" 0 to 40, "b" 45 to 70, "c" 75 to 90, all of 100; and a gap. What is known of it
   then: the path, model loading, cache hits, unaccounted; and when nothing ran. */
static const struct {
    const char *name;
    double from, to;
    bool late;    /* frames came late; else they were lost */
    bool planned; /* execution_cached was seen */
    const char *want;
} hidden[] = {
    {"none", -1, -1, false, true, "path loading hits unaccounted 40-45 70-75 90-100"},
    {"lost before the end of another", 50, 60, false, true, "loading hits 40-45 70-75 90-100"},
    {"lost over the end of the loader", 30, 50, false, true, "hits 70-75 90-100"},
    {"late over the end of the loader", 30, 42, true, true, "hits 42-45 70-75 90-100"},
    {"late over the end of another", 60, 72, true, true, "loading hits 40-45 72-75 90-100"},
    {"before anything ran, and the plan", -20, -10, false, false,
     "path loading unaccounted 40-45 70-75 90-100"},
    {"behind all", 92, 95, true, true, "path loading hits 40-45 70-75 90-92 95-100"},
};

/* What was lost is told before the first frame behind its beginning; what was late at any time. */
static void pass_gap(struct profiler *p, size_t row, double ms, bool *told)
{
    if (*told || hidden[row].to == -1 || ms <= hidden[row].from) {
        return;
    }
    *told = true;
    if (hidden[row].late) {
        profiler_late(p, at_ms(hidden[row].from), at_ms(hidden[row].to), "daemon_busy");
    } else {
        profiler_gap_begin(p, at_ms(hidden[row].from), "socket_lost");
        profiler_gap_end(p, at_ms(hidden[row].to));
    }
}

START_TEST(what_a_gap_hides_is_not_known)
{
    struct workflow *w = parse("{" NODE("a", "UNETLoader", "\"m\":\"x.gguf\"") "," NODE(
        "b", "B", "\"x\":[\"a\",0]") "," NODE("c", "C", "\"x\":[\"b\",0]") "}");
    struct profiler *profiler = profiler_new(w, 100);
    const struct happening runs[] = {{"a", 0, 40, 0, 0}, {"b", 45, 70, 0, 0}, {"c", 75, 90, 0, 0}};
    bool told = false;
    for (size_t i = 0; i < 3; i++) {
        const struct frame executing = {.type = FRAME_EXECUTING, .node = str_of(runs[i].node)};
        pass_gap(profiler, (size_t)_i, runs[i].from, &told);
        feed_state(profiler, runs[i].node, NODE_STATE_RUNNING, runs[i].from);
        profiler_feed(profiler, at_ms(runs[i].from), &executing);
        pass_gap(profiler, (size_t)_i, runs[i].to, &told);
        feed_state(profiler, runs[i].node, NODE_STATE_FINISHED, runs[i].to);
    }
    pass_gap(profiler, (size_t)_i, 100, &told);
    struct timeline t = a_timeline(100);
    if (hidden[_i].planned) {
        timeline_planned(&t, at_ms(0), 0, false);
    }
    struct profile p;
    profiler_finish(profiler, &t, ATTEMPT_COMPLETED, &p);
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    buf_printf(&out, "%s%s%s%s", p.analysis.path_known ? "path " : "",
               p.analysis.loading_known ? "loading " : "", p.analysis.hits_known ? "hits " : "",
               p.unaccounted_known ? "unaccounted " : "");
    for (size_t i = 0; i < p.analysis.idle_len; i++) {
        buf_printf(&out, "%s%g-%g", i == 0 ? "" : " ", ms_of(p.analysis.idle[i].from),
                   ms_of(p.analysis.idle[i].to));
    }
    ck_assert_msg(strcmp(buf_text(&out), hidden[_i].want) == 0, "%s:\ngot  %s\nwant %s",
                  hidden[_i].name, buf_text(&out), hidden[_i].want);
    profiler_free(profiler);
    workflow_free(w);
}
END_TEST

/* ---- resources ------------------------------------------------------------------------------- */

struct given {
    enum sample_source source;
    double ms;
    double gpu, vram, ram, temperature; /* below 0: unknown */
};

static double known(double v)
{
    return v < 0 ? NAN : v;
}

static struct sample sample_of(const struct given *g)
{
    return (struct sample){at_ms(g->ms), known(g->gpu), known(g->temperature), known(g->vram),
                           known(g->ram)};
}

/* Node a runs from 10 to 20, b from 20 to 40, c from 40 to 41; the attempt ends at 50. */
static const struct {
    const char *name;
    struct given before;
    struct given list[10];
    const char *a, *b, *c, *all;
} sampled[] = {
    {"values lie in the node in which they were taken",
     {SAMPLE_CRYSTOOLS, -5, 1, 2, 30, 40},
     {{SAMPLE_CRYSTOOLS, 5, 1, 3, 31, 41},
      {SAMPLE_CRYSTOOLS, 12, 10, 4, 32, 42},
      {SAMPLE_CRYSTOOLS, 20, 50, 8, 33, 50},
      {SAMPLE_CRYSTOOLS, 30, 99, 7, 33, 60}},
     "crystools 1 gpu 10 10 vram 4 +1 ram 32 temp 42",
     "crystools 2 gpu 74.5 99 vram 8 +3 ram 33 temp 60",
     "none",
     "crystools 4 gpu 40 99 vram 8 +5 ram 33 temp 60"},
    {"the best source counts for the whole attempt",
     {SAMPLE_LOCAL, -5, 0, 0, 0, 0},
     {{SAMPLE_SYSTEM_STATS, 15, -1, 4, 30, -1},
      {SAMPLE_CRYSTOOLS, 25, 5, 6, 40, 50},
      {SAMPLE_LOCAL, 15, 70, 1, 1, 1}},
     "none",
     "crystools 1 gpu 5 5 vram 6 ? ram 40 temp 50",
     "none",
     "crystools 1 gpu 5 5 vram 6 ? ram 40 temp 50"},
    {"a source that was silent within the attempt does not count",
     {SAMPLE_CRYSTOOLS, -3, 1, 9, 9, 9},
     {{SAMPLE_CRYSTOOLS, 60, 5, 6, 40, 50}, {SAMPLE_SYSTEM_STATS, 15, -1, 4, 30, -1}},
     "system_stats 1 gpu ? ? vram 4 ? ram 30 temp ?",
     "none",
     "none",
     "system_stats 1 gpu ? ? vram 4 ? ram 30 temp ?"},
    {"what is unknown is no 0",
     {SAMPLE_CRYSTOOLS, -5, -1, -1, -1, -1},
     {{SAMPLE_CRYSTOOLS, 12, -1, -1, 7, -1},
      {SAMPLE_CRYSTOOLS, 22, -1, 5, -1, -1},
      {SAMPLE_CRYSTOOLS, 40.5, 0, 0, 0, 0}},
     "crystools 1 gpu ? ? vram ? ? ram 7 temp ?",
     "crystools 1 gpu ? ? vram 5 ? ram ? temp ?",
     "crystools 1 gpu 0 0 vram 0 -5 ram 0 temp 0",
     "crystools 3 gpu 0 0 vram 5 ? ram 7 temp 0"},
};

static void write_value(struct buf *out, const char *before, double v)
{
    buf_add_text(out, before);
    if (isnan(v)) {
        buf_add_char(out, '?');
    } else {
        buf_printf(out, "%g", v);
    }
}

static void check_resources(const char *name, const char *which, const struct resources *r,
                            const char *want)
{
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    if (r == NULL) {
        buf_add_text(&out, "none");
    } else {
        buf_printf(&out, "%s %zu", sample_source_name(r->source), r->count);
        write_value(&out, " gpu ", r->gpu_avg);
        write_value(&out, " ", r->gpu_max);
        write_value(&out, " vram ", r->vram_max);
        write_value(&out, r->vram_delta >= 0 ? " +" : " ", r->vram_delta);
        write_value(&out, " ram ", r->ram_max);
        write_value(&out, " temp ", r->temperature_max);
    }
    ck_assert_msg(strcmp(buf_text(&out), want) == 0, "%s, %s:\ngot  %s\nwant %s", name, which,
                  buf_text(&out), want);
}

START_TEST(samples_lie_in_nodes)
{
    struct workflow *w =
        parse("{" NODE("a", "A", "") "," NODE("b", "B", "") "," NODE("c", "C", "") "}");
    struct profiler *profiler = profiler_new(w, 100);
    const struct happening runs[] = {{"a", 10, 20, 0, 0}, {"b", 20, 40, 0, 0}, {"c", 40, 41, 0, 0}};
    for (size_t i = 0; i < 3; i++) {
        feed_state(profiler, runs[i].node, NODE_STATE_RUNNING, runs[i].from);
        feed_state(profiler, runs[i].node, NODE_STATE_FINISHED, runs[i].to);
    }
    struct sample before[SAMPLE_SOURCE_COUNT] = {{.at = {0}}};
    before[sampled[_i].before.source] = sample_of(&sampled[_i].before);
    struct samples *s = samples_new(before);
    for (size_t i = 0; i < 10 && sampled[_i].list[i].ms > 0; i++) {
        const struct sample one = sample_of(&sampled[_i].list[i]);
        samples_add(s, sampled[_i].list[i].source, &one);
    }
    const struct timeline t = a_timeline(50);
    struct profile p;
    profiler_finish(profiler, &t, ATTEMPT_COMPLETED, &p);
    samples_account(s, &(struct process_io){-1, -1, -1, -1}, &p);
    const char *const wants[] = {sampled[_i].a, sampled[_i].b, sampled[_i].c};
    for (size_t i = 0; i < 3; i++) {
        check_resources(sampled[_i].name, runs[i].node, p.nodes[i].resources, wants[i]);
    }
    ck_assert(p.resources != NULL && p.resources->sampled);
    check_resources(sampled[_i].name, "all", &p.resources->all, sampled[_i].all);
    samples_free(s);
    profiler_free(profiler);
    workflow_free(w);
}
END_TEST

START_TEST(many_samples_are_thinned_and_none_are_none)
{
    struct workflow *w = parse("{" NODE("a", "A", "") "}");
    struct profiler *profiler = profiler_new(w, 100);
    feed_state(profiler, "a", NODE_STATE_RUNNING, 0);
    feed_state(profiler, "a", NODE_STATE_FINISHED, 2000);
    const struct timeline t = a_timeline(2000);
    struct profile p;
    profiler_finish(profiler, &t, ATTEMPT_COMPLETED, &p);
    const struct sample before[SAMPLE_SOURCE_COUNT] = {{.at = {0}}};
    struct samples *s = samples_new(before);
    samples_account(s, &(struct process_io){-1, -1, -1, -1}, &p);
    ck_assert_ptr_null(p.resources);
    samples_account(s, &(struct process_io){.disk_read = 5, -1, -1, -1}, &p);
    ck_assert(p.resources != NULL && !p.resources->sampled && p.resources->io.disk_read == 5);
    for (int i = 0; i < 1500; i++) {
        struct sample one = sample_unknown(at_ms(i));
        one.ram_used = i;
        samples_add(s, SAMPLE_CRYSTOOLS, &one);
    }
    samples_account(s, &(struct process_io){-1, -1, -1, -1}, &p);
    ck_assert_uint_eq(p.resources->all.count, 1500);
    ck_assert_uint_eq(p.resources->samples_len, SAMPLES_SHOWN);
    ck_assert(p.resources->samples[SAMPLES_SHOWN - 1].ram_used == 1499);
    ck_assert(p.resources->has_interval && p.resources->interval.us == 1000);
    samples_free(s);
    profiler_free(profiler);
    workflow_free(w);
}
END_TEST

/* Subgraphs: overlaps count once, what did not run not at all, and one unknown makes it unknown. */
START_TEST(subgraphs_have_totals)
{
    static const struct profile_slice slices[] = {
        {{0}, {100}}, {{100}, {250}}, {{200}, {300}}, {{400}, {410}}, {{500}, {600}}};
    struct profile_node nodes[] = {
        {.id = STR("1"), .status = PROFILE_COMPLETED, .slices = &slices[0], .slices_len = 1},
        {.id = STR("57:3"), .status = PROFILE_COMPLETED, .slices = &slices[1], .slices_len = 1},
        {.id = STR("57:8"), .status = PROFILE_COMPLETED, .slices = &slices[2], .slices_len = 2},
        {.id = STR("57:12:3"), .status = PROFILE_FAILED, .slices = &slices[4], .slices_len = 1},
        {.id = STR("57:9"), .status = PROFILE_CACHED},
        {.id = STR("60:1"), .status = PROFILE_EXECUTING},
        {.id = STR(":x"), .status = PROFILE_PENDING},
        {.id = STR("61:"), .status = PROFILE_PENDING},
    };
    for (size_t i = 0; i < 5; i++) {
        nodes[i].has_duration = true;
    }
    const struct profile p = {.nodes = nodes, .nodes_len = sizeof nodes / sizeof *nodes};
    static const struct {
        const char *id;
        size_t nodes, executed, cached;
        int64_t us; /* -1: not known */
    } want[] = {
        {"57", 4, 3, 1, 310}, {"57:12", 1, 1, 0, 100}, {"60", 1, 1, 0, -1}, {"61", 1, 0, 0, 0}};
    size_t len = 0;
    struct subgraph *list = subgraphs_of(&p, &len);
    ck_assert_uint_eq(len, sizeof want / sizeof *want);
    for (size_t i = 0; i < len; i++) {
        ck_assert_msg(str_is(list[i].id, want[i].id), "%s", want[i].id);
        ck_assert_uint_eq(list[i].nodes, want[i].nodes);
        ck_assert_uint_eq(list[i].executed, want[i].executed);
        ck_assert_uint_eq(list[i].cached, want[i].cached);
        ck_assert_int_eq(list[i].has_duration ? list[i].duration.us : -1, want[i].us);
    }
    free(list);
}
END_TEST

Suite *analysis_suite(void)
{
    Suite *s = suite_create("analysis");
    TCase *c = tcase_create("analysis");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, runs_are_analysed, 0, (int)(sizeof rows / sizeof *rows));
    tcase_add_test(c, a_deep_graph_costs_its_size);
    tcase_add_test(c, an_open_account_has_no_ends);
    tcase_add_test(c, subgraphs_have_totals);
    tcase_add_loop_test(c, copies_count_once, 0, (int)(sizeof looped / sizeof *looped));
    tcase_add_loop_test(c, what_is_to_come_is_not_known, 0,
                        (int)(sizeof to_come / sizeof *to_come));
    tcase_add_loop_test(c, what_a_gap_hides_is_not_known, 0, (int)(sizeof hidden / sizeof *hidden));
    tcase_add_loop_test(c, samples_lie_in_nodes, 0, (int)(sizeof sampled / sizeof *sampled));
    tcase_add_test(c, many_samples_are_thinned_and_none_are_none);
    suite_add_tcase(s, c);
    return s;
}
