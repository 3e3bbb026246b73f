/*
 * Stored profiles beside each other: what JSON and the text table say of them; names that were
 * chosen to break a row, bytes that are broken; recorded and random profiles, of which only the
 * rules are known; and large ones.
 */
#include <check.h>
#include <glob.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/json_read.h"
#include "comfypool/render/render.h"
#include "suites.h"
#include "told_runs.h"

/* ---- profiles -------------------------------------------------------------------------------- */

enum { ENDED = 1795378937 }; /* when the job of number 0 did, each of a higher number before it */

static const char job_format[] = "job-%d";

static void add_node(struct js_out *o, const struct compare_node *n, const char *status)
{
    js_open(o, '{');
    js_member_str(o, "nodeId", n->id);
    if (n->class_type.n > 0) {
        js_member_str(o, "type", n->class_type);
    }
    js_member_string(o, "status", status);
    js_member_bool(o, "cached", n->cached);
    if (n->has_duration) {
        js_member_ms(o, "duration", n->duration.us);
    }
    if (n->open_ended) {
        js_member_bool(o, "openEnded", true);
    }
    js_key(o, "dependsOn");
    js_open(o, '[');
    for (size_t i = 0; i < n->depends_on_len; i++) {
        js_str(o, n->depends_on[i]);
    }
    js_close(o, ']');
    if (n->parent.n > 0) {
        js_member_str(o, "parentNodeId", n->parent);
    }
    js_member_raw(o, "resources", STR("null"));
    js_close(o, '}');
}

static void add_profile(struct buf *out, int number, const char *outcome, const struct told *t)
{
    char job[64];
    struct js_out o = js_out_to(out);
    (void)snprintf(job, sizeof job, job_format, number);
    js_open(&o, '{');
    js_member_string(&o, "jobId", job);
    js_member_string(&o, "backend", "one");
    js_member_int(&o, "attempt", 1);
    js_member_string(&o, "outcome", outcome);
    js_member_ms(&o, *outcome == '\0' ? "asOf" : "completedAt",
                 ((int64_t)ENDED - number) * 1000000 + 1);
    js_member_ms(&o, "executionTime", t->run.execution.us);
    js_key(&o, "nodes");
    js_open(&o, '[');
    for (size_t i = 0; i < t->run.nodes_len; i++) {
        add_node(&o, &t->nodes[i], t->status[i]);
    }
    js_close(&o, ']');
    js_member_raw(&o, "resources", STR("null"));
    js_close(&o, '}');
}

/* In JSON that nobody can read wrongly. */
static void compare(enum format f, const struct render_comparison *c, struct buf *out)
{
    buf_clear(out);
    ck_assert(render_comparison(f, c, out));
    size_t offset = 0;
    const char *why = NULL;
    ck_assert_msg(f != FORMAT_JSON || js_check(buf_str(out), 8, &offset, &why), "%s at %zu of\n%s",
                  why, offset, buf_text(out));
}

static const struct rendered_row {
    const char *name;
    const char *baseline; /* NULL: one job */
    const char *bases[MAX_RUNS];
    int64_t executions[MAX_RUNS];
    const char *target;
    int64_t execution;
    const char *outcome;
    const char *json; /* with ' for each "; NULL: not looked at */
    const char *text;
} rendered[] = {
    {"two jobs",
     NULL,
     {"4:CheckpointLoaderSimple=240250 6:CLIPTextEncode<4=12000 3:KSampler<4,6=700000 "
      "8:VAEDecode<3=58891 9:SaveImage<8=31783 20:PreviewImage<8=4000"},
     {1100000},
     "4:CheckpointLoaderSimple=c 16:CLIPTextEncode<4=12000 3:KSampler<4,16=900123 "
     "8:VAEDecode<3=40000 9:SaveImage<8=p 11:Upscale<8=1500",
     1200000,
     "completed",
     "{'base':{'jobId':'job-0','attempt':1,'backend':'one','outcome':'completed','completedAt':"
     "1795378937000.001},"
     "'target':{'jobId':'job-99','attempt':1,'backend':'one','outcome':'completed','completedAt':"
     "1795378838000.001},"
     "'nodes':["
     "{'nodeId':'4','type':'CheckpointLoaderSimple','base':{'duration':240.25,'cached':false},"
     "'target':{'duration':0,'cached':true},"
     "'delta':-240.25,'ratio':0,'verdict':'faster','resources':null},"
     "{'nodeId':'16','type':'CLIPTextEncode','baseNodeId':'6','base':{'duration':12,'cached':false}"
     ","
     "'target':{'duration':12,'cached':false},"
     "'delta':0,'ratio':1,'verdict':'same','resources':null},"
     "{'nodeId':'3','type':'KSampler','base':{'duration':700,'cached':false},"
     "'target':{'duration':900.123,'cached':false},"
     "'delta':200.123,'ratio':1.2859,'verdict':'slower','resources':null},"
     "{'nodeId':'8','type':'VAEDecode','base':{'duration':58.891,'cached':false},"
     "'target':{'duration':40,'cached':false},"
     "'delta':-18.891,'ratio':0.6792,'verdict':'faster','resources':null},"
     "{'nodeId':'9','type':'SaveImage','base':{'duration':31.783,'cached':false},"
     "'target':{'duration':null,'cached':false},"
     "'delta':null,'ratio':null,'verdict':null,'resources':null}],"
     "'added':['11'],'removed':['20'],"
     "'total':{'base':1100,'target':1200,"
     "'delta':100,'ratio':1.0909,'verdict':'same'},'resources':null}",
     "Base      job-0  attempt 1 on one, completed, 2026-11-22T20:22:17.000Z\n"
     "Target    job-99  attempt 1 on one, completed, 2026-11-22T20:20:38.000Z\n"
     "\n"
     "               base ms   target ms    delta ms   ratio\n"
     "Execution     1100.000    1200.000    +100.000    1.09    same\n"
     "\n"
     "Nodes     1 slower, 2 faster, 1 same, 1 without a verdict, 1 added, 1 removed\n"
     "\n"
     "  Node  Base node  Type                         base ms   target ms    delta ms   ratio  "
     "Verdict\n"
     "\u25bc 4                CheckpointLoaderSimple       240.250      cached    -240.250    0.00 "
     " "
     "faster\n"
     "  16    6          CLIPTextEncode                12.000      12.000      +0.000    1.00  "
     "same\n"
     "\u25b2 3                KSampler                     700.000     900.123    +200.123    1.29 "
     " slower\n"
     "\u25bc 8                VAEDecode                     58.891      40.000     -18.891    0.68 "
     " faster\n"
     "  9                SaveImage                     31.783           -           -       -  "
     "pending\n"
     "+ 11               Upscale                            -       1.500           -       -  "
     "added\n"
     "- 20               PreviewImage                   4.000           -           -       -  "
     "removed\n"},
    {"a baseline",
     "costKeyAndBackend",
     {"1:Load=c 2:KSampler<1=700000 3:Save<2=30000", "",
      "1:Load=c 2:KSampler<1=710000 3:Save<2=31000",
      "1:Load=50000 2:KSampler<1=690000 5:Save<2=32000 7:Preview<2=5000"},
     {750000, -1, 770000, 760000},
     "1:Load=55001 2:KSampler<1=640000 4:Save<2=36001 7:Preview<2=4000",
     810000,
     "completed",
     "{'base':{'baseline':'costKeyAndBackend','runs':3,"
     "'jobIds':['job-0','job-2','job-3'],'from':1795378934000.001,'to':1795378937000.001},"
     "'target':{'jobId':'job-99','attempt':1,'backend':'one','outcome':'completed','completedAt':"
     "1795378838000.001},"
     "'nodes':["
     "{'nodeId':'1','type':'Load','base':{'duration':50,'cached':true},"
     "'target':{'duration':55.001,'cached':false},"
     "'delta':5.001,'ratio':1.1,'verdict':'slower','resources':null},"
     "{'nodeId':'2','type':'KSampler','base':{'duration':700,'cached':false},"
     "'target':{'duration':640,'cached':false},"
     "'delta':-60,'ratio':0.9143,'verdict':'faster','resources':null},"
     "{'nodeId':'4','type':'Save','baseNodeId':'3','base':{'duration':31,'cached':false},"
     "'target':{'duration':36.001,'cached':false},"
     "'delta':5.001,'ratio':1.1613,'verdict':'slower','resources':null},"
     "{'nodeId':'7','type':'Preview','base':{'duration':5,'cached':false},"
     "'target':{'duration':4,'cached':false},"
     "'delta':-1,'ratio':0.8,'verdict':'same','resources':null}],"
     "'added':[],'removed':[],"
     "'total':{'base':760,'target':810,"
     "'delta':50,'ratio':1.0658,'verdict':'slower'},'resources':null}",
     "Base      median of 3 runs: same workflow, steps and sizes, same backend\n"
     "          2026-11-22T20:22:14.000Z to 2026-11-22T20:22:17.000Z\n"
     "Target    job-99  attempt 1 on one, completed, 2026-11-22T20:20:38.000Z\n"
     "\n"
     "               base ms   target ms    delta ms   ratio\n"
     "Execution      760.000     810.000     +50.000    1.07  \u25b2 slower\n"
     "\n"
     "Nodes     2 slower, 1 faster, 1 same, 0 without a verdict, 0 added, 0 removed\n"
     "\n"
     "  Node  Base node  Type           base ms   target ms    delta ms   ratio  Verdict\n"
     "\u25b2 1                Load            50.000      55.001      +5.001    1.10  slower\n"
     "\u25bc 2                KSampler       700.000     640.000     -60.000    0.91  faster\n"
     "\u25b2 4     3          Save            31.000      36.001      +5.001    1.16  slower\n"
     "  7                Preview          5.000       4.000      -1.000    0.80  same\n"},
    {"a baseline of one",
     "workflowHash",
     {"1:Load=50000"},
     {750000},
     "1:Load=55000",
     740000,
     "completed",
     NULL,
     "Base      median of 1 run: same workflow; steps and sizes may differ\n"
     "          2026-11-22T20:22:17.000Z\n"
     "Target    job-99  attempt 1 on one, completed, 2026-11-22T20:20:38.000Z\n"
     "\n"
     "               base ms   target ms    delta ms   ratio\n"
     "Execution      750.000     740.000     -10.000    0.99    same\n"
     "\n"
     "Nodes     0 slower, 0 faster, 1 same, 0 without a verdict, 0 added, 0 removed\n"
     "\n"
     "  Node  Type       base ms   target ms    delta ms   ratio  Verdict\n"
     "  1     Load        50.000      55.000      +5.000    1.10  same\n"},
    {"it runs",
     NULL,
     {"1:Load=50000 2:KSampler<1=690000 3:Save<2=32000"},
     {750000},
     "1:Load=60000 2:KSampler<1=x 3:Save<2=p",
     100000,
     "",
     "{'base':{'jobId':'job-0','attempt':1,'backend':'one','outcome':'completed','completedAt':"
     "1795378937000.001},"
     "'target':{'jobId':'job-99','attempt':1,'backend':'one','outcome':null,'completedAt':null},"
     "'nodes':["
     "{'nodeId':'1','type':'Load','base':{'duration':50,'cached':false},"
     "'target':{'duration':60,'cached':false},"
     "'delta':10,'ratio':1.2,'verdict':'slower','resources':null},"
     "{'nodeId':'2','type':'KSampler','base':{'duration':690,'cached':false},"
     "'target':{'duration':null,'cached':false},"
     "'delta':null,'ratio':null,'verdict':null,'resources':null},"
     "{'nodeId':'3','type':'Save','base':{'duration':32,'cached':false},"
     "'target':{'duration':null,'cached':false},"
     "'delta':null,'ratio':null,'verdict':null,'resources':null}],"
     "'added':[],'removed':[],"
     "'total':{'base':750,'target':100,"
     "'delta':-650,'ratio':0.1333,'verdict':null},'resources':null}",
     "Base      job-0  attempt 1 on one, completed, 2026-11-22T20:22:17.000Z\n"
     "Target    job-99  attempt 1 on one, still running\n"
     "\n"
     "               base ms   target ms    delta ms   ratio\n"
     "Execution      750.000     100.000    -650.000    0.13    -\n"
     "\n"
     "Nodes     1 slower, 0 faster, 0 same, 2 without a verdict, 0 added, 0 removed\n"
     "\n"
     "  Node  Type           base ms   target ms    delta ms   ratio  Verdict\n"
     "\u25b2 1     Load            50.000      60.000     +10.000    1.20  slower\n"
     "  2     KSampler       690.000           -           -       -  executing\n"
     "  3     Save            32.000           -           -       -  pending\n"},
    {"it failed",
     "costKey",
     {"1:Load=50000 2:KSampler<1=690000 3:Save<2=32000"},
     {750000},
     "1:Load=c 2:KSampler<1=f30000 3:Save<2=p",
     31000,
     "failed",
     NULL,
     "Base      median of 1 run: same workflow, steps and sizes, any backend\n"
     "          2026-11-22T20:22:17.000Z\n"
     "Target    job-99  attempt 1 on one, failed, 2026-11-22T20:20:38.000Z\n"
     "\n"
     "               base ms   target ms    delta ms   ratio\n"
     "Execution      750.000      31.000    -719.000    0.04    -\n"
     "\n"
     "Nodes     0 slower, 1 faster, 0 same, 2 without a verdict, 0 added, 0 removed\n"
     "\n"
     "  Node  Type           base ms   target ms    delta ms   ratio  Verdict\n"
     "\u25bc 1     Load            50.000      cached     -50.000    0.00  faster\n"
     "  2     KSampler       690.000      30.000    -660.000    0.04  failed\n"
     "  3     Save            32.000           -           -       -  pending\n"},
    {"nothing alike",
     NULL,
     {"1:A=1000"},
     {0},
     "2:B=p",
     0,
     "cancelled",
     NULL,
     "Base      job-0  attempt 1 on one, completed, 2026-11-22T20:22:17.000Z\n"
     "Target    job-99  attempt 1 on one, cancelled, 2026-11-22T20:20:38.000Z\n"
     "\n"
     "               base ms   target ms    delta ms   ratio\n"
     "Execution        0.000       0.000      +0.000       -    -\n"
     "\n"
     "Nodes     0 slower, 0 faster, 0 same, 0 without a verdict, 1 added, 1 removed\n"
     "\n"
     "  Node  Type       base ms   target ms    delta ms   ratio  Verdict\n"
     "+ 2     B                -           -           -       -  added\n"
     "- 1     A            1.000           -           -       -  removed\n"},
    {"nothing",
     NULL,
     {""},
     {0},
     "",
     5001,
     "completed",
     NULL,
     "Base      job-0  attempt 1 on one, completed, 2026-11-22T20:22:17.000Z\n"
     "Target    job-99  attempt 1 on one, completed, 2026-11-22T20:20:38.000Z\n"
     "\n"
     "               base ms   target ms    delta ms   ratio\n"
     "Execution        0.000       5.001      +5.001       -  \u25b2 slower\n"
     "\n"
     "Nodes     0 slower, 0 faster, 0 same, 0 without a verdict, 0 added, 0 removed\n"},

};

/* Shows where they part; the texts are too long for a message. */
static void assert_same(const char *name, const char *got, const char *want)
{
    size_t i = 0;
    while (got[i] != '\0' && got[i] == want[i]) {
        i++;
    }
    ck_assert_msg(got[i] == want[i], "%s, at %zu: got \"%.200s\", expected \"%.200s\"", name, i,
                  got + i, want + i);
}

static const char *with_quotes(struct buf *json)
{
    for (size_t i = 0; i < json->len; i++) {
        json->data[i] = json->data[i] == '"' ? '\'' : json->data[i];
    }
    return buf_text(json);
}

START_TEST(what_is_told)
{
    const struct rendered_row *r = &rendered[_i];
    struct buf profiles[MAX_RUNS];
    struct str bases[MAX_RUNS];
    static struct told told;
    size_t len = 0;
    for (; len < MAX_RUNS && r->bases[len] != NULL; len++) {
        buf_init(&profiles[len], BUF_NO_LIMIT);
        tell(&told, r->bases[len], r->executions[len]);
        add_profile(&profiles[len], (int)len, "completed", &told);
        bases[len] = r->executions[len] < 0 ? STR("broken") : buf_str(&profiles[len]);
    }
    AUTO_BUF struct buf target;
    AUTO_BUF struct buf out;
    buf_init(&target, BUF_NO_LIMIT);
    buf_init(&out, BUF_NO_LIMIT);
    tell(&told, r->target, r->execution);
    add_profile(&target, 99, r->outcome, &told);
    const struct render_comparison c = {bases, len, buf_str(&target), r->baseline};
    compare(FORMAT_TEXT, &c, &out);
    assert_same(r->name, buf_text(&out), r->text);
    compare(FORMAT_JSON, &c, &out);
    assert_same(r->name, with_quotes(&out), r->json == NULL ? buf_text(&out) : r->json);
    for (size_t i = 0; i < len; i++) {
        buf_done(&profiles[i]);
    }
}
END_TEST

/* ---- resources ------------------------------------------------------------------------------- */

#define RESOURCES(gpu, vram, ram)                                                                  \
    "{\"source\":\"nvml\",\"sampleCount\":3,\"gpuUtilization\":{\"avg\":" gpu                      \
    ",\"max\":99},\"vramUsed\":{\"max\":" vram ",\"delta\":5},\"ramUsed\":{\"max\":" ram           \
    "},\"gpuTemperature\":{\"max\":null}}"
#define NODE(id, duration, resources)                                                              \
    "{\"nodeId\":\"" id "\",\"type\":\"KSampler\",\"status\":\"completed\",\"cached\":false,"      \
    "\"duration\":" duration ",\"dependsOn\":[],\"resources\":" resources "}"
#define PROFILE(nodes, resources)                                                                  \
    "{\"jobId\":\"j\",\"attempt\":1,\"outcome\":\"completed\",\"executionTime\":100,\"nodes\":"    \
    "[" nodes "],\"resources\":" resources "}"

static const char hungry[] =
    PROFILE(NODE("1", "10", RESOURCES("55.5", "6442450944", "null")) "," NODE(
                "2", "10", RESOURCES("null", "5", "7")) "," NODE("3", "10", "null"),
            RESOURCES("80.25", "6442450944", "1073741824"));
static const struct str modest[] = {
    STR_INIT(PROFILE(
        NODE("1", "10", RESOURCES("50", "5368709120", "1")) "," NODE(
            "2", "10", RESOURCES("1", "null", "1048583")) "," NODE("3", "10",
                                                                   RESOURCES("1", "1", "1")),
        RESOURCES("90.5", "5368709121", "1073741824"))),
    STR_INIT(PROFILE(NODE("1", "10", RESOURCES("51", "5368709123", "1")),
                     RESOURCES("90.5", "5368709121", "1073741824"))),
};

/* Two nodes of one class are told apart by their titles. */
START_TEST(titles_are_told)
{
    static const char profile[] =
        "{\"jobId\":\"j\",\"attempt\":1,\"outcome\":\"completed\",\"completedAt\":1,"
        "\"executionTime\":5,\"nodes\":[{\"nodeId\":\"6\",\"type\":\"CLIPTextEncode\",\"title\":"
        "\"Positive\",\"status\":\"completed\",\"duration\":2,\"dependsOn\":[]},{\"nodeId\":\"7\","
        "\"type\":\"CLIPTextEncode\",\"title\":\"Negative\",\"status\":\"completed\",\"duration\":"
        "3,\"dependsOn\":[]}]}";
    const struct str base = STR_INIT(profile);
    const struct render_comparison c = {.bases = &base, .bases_len = 1, .target = base};
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    compare(FORMAT_TEXT, &c, &out);
    ck_assert_msg(strstr(buf_text(&out), "  6     CLIPTextEncode  Positive  ") != NULL, "%s",
                  buf_text(&out));
    ck_assert_ptr_nonnull(strstr(buf_text(&out), "  7     CLIPTextEncode  Negative  "));
    ck_assert_ptr_nonnull(strstr(buf_text(&out), "  Node  Type            Title     "));
    compare(FORMAT_JSON, &c, &out);
    ck_assert_ptr_nonnull(strstr(buf_text(&out), "\"title\":\"Negative\""));
}
END_TEST

START_TEST(resources_are_told)
{
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    const struct render_comparison one = {modest, 1, STR(hungry), NULL};
    compare(FORMAT_TEXT, &one, &out);
    assert_same(
        "text", buf_text(&out),
        "Base      j  attempt 1, completed\n"
        "Target    j  attempt 1, completed\n"
        "\n"
        "               base ms   target ms    delta ms   ratio\n"
        "Execution      100.000     100.000      +0.000    1.00    same\n"
        "Resources VRAM max +1.0 GiB, RAM max +0 B, GPU average -10.2 points\n"
        "\n"
        "Nodes     0 slower, 0 faster, 3 same, 0 without a verdict, 0 added, 0 removed\n"
        "\n"
        "  Node  Type           base ms   target ms    delta ms   ratio    VRAM max GPU avg  "
        "Verdict\n"
        "  1     KSampler        10.000      10.000      +0.000    1.00    +1.0 GiB    +5.5  same\n"
        "  2     KSampler        10.000      10.000      +0.000    1.00           -       -  same\n"
        "  3     KSampler        10.000      10.000      +0.000    1.00           -       -  "
        "same\n");
    compare(FORMAT_JSON, &one, &out);
    json_auto_t *o = json_loads(buf_text(&out), 0, NULL);
    static const char *const want[] = {
        "{\"gpuUtilizationAvgDelta\":5.5,\"ramMaxDelta\":null,\"vramMaxDelta\":1073741824}",
        "{\"gpuUtilizationAvgDelta\":null,\"ramMaxDelta\":-1048576,\"vramMaxDelta\":null}",
        "null",
        "{\"gpuUtilizationAvgDelta\":-10.25,\"ramMaxDelta\":0,\"vramMaxDelta\":1073741823}",
    };
    for (size_t i = 0; i < 4; i++) {
        const json_t *of = i == 3 ? o : json_array_get(json_object_get(o, "nodes"), i);
        AUTO_FREE char *got = json_dumps(json_object_get(of, "resources"),
                                         JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
        assert_same("json", got, want[i]);
    }
    /* A median between two bytes is told as whole bytes. */
    const struct render_comparison two = {modest, 2, STR(hungry), "costKey"};
    compare(FORMAT_JSON, &two, &out);
    ck_assert_ptr_nonnull(strstr(buf_text(&out), "{\"vramMaxDelta\":1073741823,\"ramMaxDelta\":"
                                                 "null,\"gpuUtilizationAvgDelta\":5}"));
}
END_TEST

START_TEST(sources_are_not_mixed)
{
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    const struct str other =
        STR_INIT(PROFILE(NODE("1", "10", "{\"source\":\"crystools\",\"vramUsed\":{\"max\":1}}"),
                         "{\"source\":\"crystools\",\"ramUsed\":{\"max\":1}}"));
    const struct render_comparison c = {&other, 1, STR(hungry), NULL};
    compare(FORMAT_JSON, &c, &out);
    json_auto_t *o = json_loads(buf_text(&out), 0, NULL);
    ck_assert(json_is_null(json_object_get(o, "resources")));
    const json_t *node = json_array_get(json_object_get(o, "nodes"), 0);
    ck_assert(json_is_null(json_object_get(node, "resources")));
    ck_assert(json_is_number(json_object_get(node, "delta")));
}
END_TEST

#define RUN(job, execution, evidence)                                                              \
    STR_INIT("{\"jobId\":\"" job "\",\"outcome\":\"completed\",\"executionTime\":" execution       \
             ",\"nodes\":[],\"evidence\":{" evidence "}}")

/* An execution of which nobody told the start or the end is as it was read. */
START_TEST(executions_that_were_not_told_are_no_measure)
{
    static const struct str bases[] = {RUN("1", "1200", "\"executionKnown\":false,\"gaps\":[]"),
                                       RUN("2", "1201", "\"executionKnown\":false"),
                                       RUN("3", "300", "\"complete\":true")};
    static const struct str target = RUN("4", "301", "\"complete\":true");
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    const struct render_comparison c = {bases, 3, target, "costKey"};
    compare(FORMAT_JSON, &c, &out);
    ck_assert_ptr_nonnull(strstr(buf_text(&out), "\"total\":{\"base\":300,\"target\":301,"));
    const struct render_comparison back = {&target, 1, bases[0], NULL};
    compare(FORMAT_JSON, &back, &out);
    ck_assert_ptr_nonnull(strstr(buf_text(&out), "\"total\":{\"base\":301,\"target\":null,"));
    compare(FORMAT_TEXT, &back, &out);
}
END_TEST

/* ---- what is no profile ---------------------------------------------------------------------- */

#define GOOD STR_INIT("{\"jobId\":\"j\",\"nodes\":[]}")
#define BAD STR_INIT("{\"nodes\":{}}")
#define NONE STR_INIT("")

START_TEST(what_cannot_be_compared)
{
    static const struct {
        const char *name;
        const char *baseline;
        struct str bases[2];
        size_t len;
        struct str target;
        bool want;
    } rows[] = {
        {"good", NULL, {GOOD}, 1, GOOD, true},
        {"target", NULL, {GOOD}, 1, BAD, false},
        {"no target", NULL, {GOOD}, 1, NONE, false},
        {"a list", NULL, {GOOD}, 1, STR_INIT("[]"), false},
        {"no nodes", NULL, {GOOD}, 1, STR_INIT("{}"), false},
        {"cut", NULL, {GOOD}, 1, STR_INIT("{\"nodes\":["), false},
        {"cut behind the nodes", NULL, {GOOD}, 1, STR_INIT("{\"nodes\":[]"), false},
        {"cut in an id", NULL, {GOOD}, 1, STR_INIT("{\"nodes\":[{\"dependsOn\":[\"1"), false},
        {"something behind it", NULL, {GOOD}, 1, STR_INIT("{\"nodes\":[]} x"), false},
        {"base", NULL, {BAD}, 1, GOOD, false},
        {"no base", NULL, {NONE}, 0, GOOD, false},
        {"one job is the first", NULL, {BAD, GOOD}, 2, GOOD, false},
        {"one job has no second", NULL, {GOOD, BAD}, 2, GOOD, true},
        {"a baseline without the newest", "costKey", {BAD, GOOD}, 2, GOOD, true},
        {"a baseline of broken ones", "costKey", {BAD, NONE}, 2, GOOD, false},
        {"a baseline of none", "costKey", {NONE}, 0, GOOD, false},
    };
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct render_comparison c = {rows[i].bases, rows[i].len, rows[i].target,
                                            rows[i].baseline};
        for (int f = FORMAT_JSON; f < FORMAT_COUNT; f++) {
            const bool want = rows[i].want && (f == FORMAT_JSON || f == FORMAT_TEXT);
            buf_clear(&out);
            ck_assert_msg(render_comparison((enum format)f, &c, &out) == want, "%s as %s",
                          rows[i].name, format_name((enum format)f));
            ck_assert_msg((out.len > 0) == want, "%s: %s", rows[i].name, buf_text(&out));
        }
    }
}
END_TEST

START_TEST(odd_members_are_absent_ones)
{
    static const struct str odd = STR_INIT(
        "{\"jobId\":5,\"attempt\":1e300,\"outcome\":{},\"completedAt\":\"x\",\"executionTime\":[],"
        "\"backend\":null,\"resources\":[],\"nodes\":[5,null,{\"nodeId\":[],\"type\":7,"
        "\"dependsOn\":{}},{\"nodeId\":\"1\",\"status\":\"completed\",\"duration\":-1e300,"
        "\"dependsOn\":[1,null,\"1\"],\"resources\":{\"vramUsed\":5}},{\"nodeId\":\"2\","
        "\"duration\":1e300,\"cached\":\"x\",\"parentNodeId\":2}]}");
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    const struct str bases[] = {odd, odd, odd};
    for (size_t len = 1; len <= 3; len += 2) {
        const struct render_comparison c = {bases, len, odd, len > 1 ? "costKey" : NULL};
        compare(FORMAT_TEXT, &c, &out);
        compare(FORMAT_JSON, &c, &out);
        json_auto_t *o = json_loads(buf_text(&out), 0, NULL);
        ck_assert_uint_eq(json_array_size(json_object_get(o, "nodes")), 5);
        ck_assert(json_is_null(json_object_get(json_object_get(o, "total"), "base")));
    }
}
END_TEST

/* ---- names ----------------------------------------------------------------------------------- */

#define WIDE "\xe7\x8c\xab" /* two columns in a terminal */
#define LONG "0123456789abcdefghijklmnopqrstuvwxyz0123456789"
#define NEXT_LINE "\xc2\x85"     /* U+0085 */
#define TURN "\xe2\x80\xae"      /* U+202E */
#define SEPARATOR "\xe2\x80\xa8" /* U+2028 */

static const struct name_row {
    const char *name;
    struct str text;
    const char *cell;
} names[] = {
    {"plain", STR_INIT("KSampler"), " KSampler "},
    {"two lines", STR_INIT("a\r\nb"), " a??b "},
    {"escape", STR_INIT("\x1b[31mred\x7f"), " ?[31mred? "},
    {"NUL", STR_INIT("a\0b"), " a?b "},
    {"tab", STR_INIT("\ta"), " ?a "},
    {"C1", STR_INIT(NEXT_LINE "x"), " ?x "},
    {"turned", STR_INIT("a" TURN "b"), " a?b "},
    {"separator", STR_INIT("a" SEPARATOR "b"), " a?b "},
    {"quotes", STR_INIT("say \"hi\", {}\\"), " say \"hi\", {}\\ "},
    {"percent", STR_INIT("%s%n"), " %s%n "},
    {"long", STR_INIT(LONG), "0123456789ab"},
    {"wide", STR_INIT(WIDE WIDE WIDE WIDE WIDE WIDE WIDE WIDE WIDE WIDE WIDE WIDE WIDE WIDE WIDE),
     WIDE WIDE WIDE},
    {"mark", STR_INIT("\xe2\x96\xb2 slower"), " \xe2\x96\xb2 slower "},
    {"none", STR_INIT(""), "  "},
};

/* Columns of a terminal, where only WIDE takes two. */
static size_t columns_of(struct str line)
{
    size_t n = 0;
    for (size_t i = 0; i < line.n; i++) {
        n += ((unsigned char)line.p[i] & 0xc0) != 0x80;
        n += line.n - i >= 3 && memcmp(line.p + i, WIDE, 3) == 0;
    }
    return n;
}

static void check_lines(const char *name, struct str text, size_t want)
{
    static const char *const unruly[] = {NEXT_LINE, TURN, SEPARATOR};
    size_t lines = 0;
    for (size_t i = 0; i < sizeof unruly / sizeof *unruly; i++) {
        ck_assert_msg(memmem(text.p, text.n, unruly[i], strlen(unruly[i])) == NULL, "%s", name);
    }
    for (size_t i = 0; i < text.n; i++) {
        const unsigned char c = (unsigned char)text.p[i];
        ck_assert_msg((c >= 0x20 && c != 0x7f) || c == '\n', "%s: %#x", name, c);
    }
    for (; text.n > 0; lines++) {
        const char *end = memchr(text.p, '\n', text.n);
        ck_assert_msg(end != NULL, "%s: the last line does not end", name);
        const struct str line = {text.p, (size_t)(end - text.p)};
        ck_assert_msg(columns_of(line) <= 120, "%s: %.*s", name, (int)line.n, line.p);
        ck_assert_msg(line.n == 0 || line.p[line.n - 1] != ' ', "%s: %.*s.", name, (int)line.n,
                      line.p);
        text = (struct str){end + 1, text.n - line.n - 1};
    }
    ck_assert_msg(lines == want, "%s: %zu lines", name, lines);
}

/* A node that is called so in every way, beside others; another id where renamed. */
static void add_named(struct buf *out, struct str name, bool renamed)
{
    struct js_out o = js_out_to(out);
    AUTO_BUF struct buf id;
    buf_init(&id, BUF_NO_LIMIT);
    buf_add_str(&id, name);
    buf_add_text(&id, renamed ? "'" : "");
    js_open(&o, '{');
    js_member_str(&o, "jobId", STR("j"));
    js_member_str(&o, "backend", name);
    js_member_str(&o, "outcome", STR("completed"));
    js_key(&o, "nodes");
    js_open(&o, '[');
    for (int i = 0; i < 2; i++) {
        js_open(&o, '{');
        js_member_str(&o, "nodeId", i == 0 ? buf_str(&id) : renamed ? STR("a") : STR("b"));
        js_member_str(&o, "type", i == 0 ? name : renamed ? STR("A") : STR("B"));
        js_member_str(&o, "status", i == 0 ? name : STR("completed"));
        js_member_int(&o, "duration", renamed ? 100 : 10);
        js_key(&o, "dependsOn");
        js_open(&o, '[');
        js_str(&o, name);
        js_close(&o, ']');
        js_member_raw(&o, "resources", STR(RESOURCES("1", "1", "1")));
        js_close(&o, '}');
    }
    js_close(&o, ']');
    js_close(&o, '}');
}

START_TEST(names_break_nothing)
{
    const struct name_row *r = &names[_i];
    AUTO_BUF struct buf base;
    AUTO_BUF struct buf target;
    AUTO_BUF struct buf out;
    buf_init(&base, BUF_NO_LIMIT);
    buf_init(&target, BUF_NO_LIMIT);
    buf_init(&out, BUF_NO_LIMIT);
    add_named(&base, r->text, false);
    add_named(&target, r->text, r->text.n > 0);
    const struct str bases[] = {buf_str(&base)};
    const struct render_comparison c = {bases, 1, buf_str(&target), NULL};
    compare(FORMAT_TEXT, &c, &out);
    check_lines(r->name, buf_str(&out), r->text.n > 0 ? 12 : 11);
    ck_assert_msg(strstr(buf_text(&out), r->cell) != NULL, "%s:\n%s", r->name, buf_text(&out));
    compare(FORMAT_JSON, &c, &out);
    json_auto_t *o = json_loadb(out.data, out.len, JSON_ALLOW_NUL, NULL);
    const json_t *node = json_array_get(json_object_get(o, "nodes"), 0);
    const json_t *type = json_object_get(node, r->text.n > 0 ? "type" : "nodeId");
    const struct str got = {json_string_value(type), json_string_length(type)};
    ck_assert_msg(str_eq(got, r->text), "%s: %s", r->name, buf_text(&out));
}
END_TEST

/* ---- rules ----------------------------------------------------------------------------------- */

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s == NULL ? "" : s;
}

static bool number(const json_t *o, const char *key, double *ret)
{
    *ret = json_number_value(json_object_get(o, key));
    return json_is_number(json_object_get(o, key));
}

static bool is_nearly(double a, double b)
{
    return fabs(a - b) < 1e-4 * (1 + fabs(b));
}

/* What it says of one node or of the whole must follow from both durations; one base run. */
static void check_change(const char *name, const json_t *o, bool base_known, double base,
                         bool target_known, double target, bool finished)
{
    const char *verdict = text_of(o, "verdict");
    const double size = fabs(target - base);
    double delta = 0;
    double ratio = 0;
    const bool known = base_known && target_known;
    const bool differs = size > 5.0001 || (size > 4.9999 && size > 5);
    ck_assert_msg(number(o, "delta", &delta) == known, "%s", name);
    ck_assert_msg(number(o, "ratio", &ratio) == (known && base != 0), "%s", name);
    ck_assert_msg(!known || is_nearly(delta, target - base), "%s: %g", name, delta);
    ck_assert_msg(!known || base == 0 || is_nearly(ratio, target / base), "%s: %g", name, ratio);
    const char *want = !known || !finished             ? ""
                       : !differs || size * 10 <= base ? "same"
                       : target > base                 ? "slower"
                                                       : "faster";
    ck_assert_msg(strcmp(verdict, want) == 0, "%s: %s, not %s", name, verdict, want);
}

/* The first of that id; ids are unique here. */
static const json_t *node_of(const json_t *profile, const char *id)
{
    size_t i = 0;
    json_t *n = NULL;
    json_array_foreach(json_object_get(profile, "nodes"), i, n)
    {
        if (strcmp(text_of(n, "nodeId"), id) == 0) {
            return n;
        }
    }
    ck_abort_msg("no node %s", id);
    return NULL;
}

static bool has_finished(const json_t *o, const char *key)
{
    return strcmp(text_of(o, key), "completed") == 0 || json_is_true(json_object_get(o, "cached"));
}

static void check_pair(const char *name, const json_t *pair, const json_t *base,
                       const json_t *target)
{
    double durations[2] = {0};
    const bool known[2] = {number(base, "duration", &durations[0]),
                           number(target, "duration", &durations[1])};
    static const char *const sides[] = {"base", "target"};
    const json_t *const nodes[] = {base, target};
    for (size_t i = 0; i < 2; i++) {
        const json_t *side = json_object_get(pair, sides[i]);
        const json_t *duration = json_object_get(nodes[i], "duration");
        double told = 0;
        ck_assert_msg(number(side, "duration", &told) == (duration != NULL), "%s", name);
        ck_assert_msg(duration == NULL || is_nearly(told, json_number_value(duration)), "%s", name);
        ck_assert_msg(
            json_equal(json_object_get(side, "cached"), json_object_get(nodes[i], "cached")), "%s",
            name);
    }
    check_change(name, pair, known[0], durations[0], known[1], durations[1],
                 has_finished(base, "status") && has_finished(target, "status"));
    const char *classes[] = {text_of(base, "type"), text_of(target, "type")};
    ck_assert_msg(*classes[0] == '\0' || *classes[1] == '\0' || strcmp(classes[0], classes[1]) == 0,
                  "%s: %s is no %s", name, classes[1], classes[0]);
}

/* Of one base run. Ids of each profile are unique. */
static void check_rules(const char *name, struct str base_json, struct str target_json)
{
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    const struct render_comparison c = {&base_json, 1, target_json, NULL};
    compare(FORMAT_TEXT, &c, &out);
    compare(FORMAT_JSON, &c, &out);
    json_auto_t *o = json_loads(buf_text(&out), 0, NULL);
    json_auto_t *base = json_loadb(base_json.p, base_json.n, 0, NULL);
    json_auto_t *target = json_loadb(target_json.p, target_json.n, 0, NULL);
    json_auto_t *seen = json_object();
    const json_t *pairs = json_object_get(o, "nodes");
    const json_t *added = json_object_get(o, "added");
    size_t i = 0;
    size_t paired = 0;
    size_t new = 0;
    json_t *n = NULL;
    /* Each node of the target is the next of either list. */
    json_array_foreach(json_object_get(target, "nodes"), i, n)
    {
        const json_t *pair = json_array_get(pairs, paired);
        const char *id = text_of(n, "nodeId");
        if (strcmp(text_of(pair, "nodeId"), id) != 0) {
            const char *next = json_string_value(json_array_get(added, new ++));
            ck_assert_msg(next != NULL && strcmp(next, id) == 0, "%s: %s is nowhere", name, id);
            continue;
        }
        const char *base_id = text_of(pair, "baseNodeId");
        base_id = *base_id == '\0' ? id : base_id;
        check_pair(name, pair, node_of(base, base_id), n);
        ck_assert_msg(json_object_get(seen, base_id) == NULL, "%s: %s twice", name, base_id);
        json_object_set_new(seen, base_id, json_true());
        paired++;
    }
    ck_assert_msg(paired == json_array_size(pairs) && new == json_array_size(added), "%s", name);
    json_array_foreach(json_object_get(o, "removed"), i, n)
    {
        const char *id = json_string_value(n);
        ck_assert_msg(node_of(base, id) != NULL && json_object_get(seen, id) == NULL, "%s: %s",
                      name, id);
        json_object_set_new(seen, id, json_true());
    }
    ck_assert_msg(json_object_size(seen) == json_array_size(json_object_get(base, "nodes")), "%s",
                  name);
    double whole[2] = {0};
    const bool base_known = number(base, "executionTime", &whole[0]);
    const bool target_known = number(target, "executionTime", &whole[1]);
    check_change(name, json_object_get(o, "total"), base_known, whole[0], target_known, whole[1],
                 has_finished(base, "outcome") && has_finished(target, "outcome"));
}

/* A profile beside itself. */
static void check_itself(const char *name, struct str profile)
{
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    check_rules(name, profile, profile);
    const struct str bases[] = {profile, profile, profile};
    for (size_t len = 1; len <= 3; len += 2) {
        const struct render_comparison c = {bases, len, profile, len > 1 ? "costKey" : NULL};
        compare(FORMAT_JSON, &c, &out);
        json_auto_t *o = json_loads(buf_text(&out), 0, NULL);
        ck_assert_uint_eq(json_array_size(json_object_get(o, "added")), 0);
        ck_assert_uint_eq(json_array_size(json_object_get(o, "removed")), 0);
        static const char *const never[] = {"baseNodeId", "slower", "faster"};
        for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
            ck_assert_msg(strstr(buf_text(&out), never[i]) == NULL, "%s: %s", name, never[i]);
        }
    }
}

START_TEST(recorded_runs_keep_the_rules)
{
    glob_t files;
    ck_assert_int_eq(glob("tests/traces/formats/*/*.json", 0, NULL, &files), 0);
    struct str profiles[128];
    size_t len = 0;
    for (size_t i = 0; i < files.gl_pathc; i++) {
        json_t *o = json_load_file(files.gl_pathv[i], 0, NULL);
        ck_assert_uint_lt(len, 128);
        if (json_is_array(json_object_get(o, "nodes"))) {
            profiles[len++] = str_of(json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(16)));
        }
        json_decref(o);
    }
    globfree(&files);
    ck_assert_uint_gt(len, 10);
    for (size_t i = 0; i < len; i++) {
        check_itself("recorded", profiles[i]);
        for (size_t k = 0; k < len; k++) {
            check_rules("recorded", profiles[i], profiles[k]);
        }
    }
    for (size_t i = 0; i < len; i++) {
        free((char *)(uintptr_t)profiles[i].p);
    }
}
END_TEST

/* ---- random ---------------------------------------------------------------------------------- */

static void random_profile(struct buf *out)
{
    static const char *const outcomes[] = {"completed", "completed", "failed", ""};
    AUTO_BUF struct buf text;
    static struct told told;
    buf_init(&text, BUF_NO_LIMIT);
    random_run(&text);
    tell(&told, buf_text(&text), random_below(200) * INT64_C(1000));
    buf_clear(out);
    add_profile(out, random_below(50), outcomes[random_below(4)], &told);
}

START_TEST(random_runs_keep_the_rules)
{
    AUTO_BUF struct buf base;
    AUTO_BUF struct buf target;
    buf_init(&base, BUF_NO_LIMIT);
    buf_init(&target, BUF_NO_LIMIT);
    for (unsigned seed = 1; seed <= 200; seed++) {
        char name[32];
        const unsigned long long with = seed + 1000u * (unsigned)_i;
        random_seed(with);
        (void)snprintf(name, sizeof name, "seed %llu", with);
        random_profile(&base);
        random_profile(&target);
        check_rules(name, buf_str(&base), buf_str(&target));
        check_itself(name, buf_str(&target));
    }
}
END_TEST

/* What a broken disk may give: no profile, or one of which valid JSON is told. */
START_TEST(broken_bytes_break_nothing)
{
    AUTO_BUF struct buf base;
    AUTO_BUF struct buf target;
    AUTO_BUF struct buf out;
    buf_init(&base, BUF_NO_LIMIT);
    buf_init(&target, BUF_NO_LIMIT);
    buf_init(&out, BUF_NO_LIMIT);
    size_t good = 0;
    random_seed(1);
    for (size_t round = 0; round < 3000; round++) {
        static const char signs[] = "\"\\{}[]:,0-9e.u \xff\x80";
        random_profile(&base);
        random_profile(&target);
        for (int k = random_below(3); k >= 0; k--) {
            target.data[random_below((int)target.len)] = signs[random_below(sizeof signs)];
        }
        const struct str bases[] = {buf_str(&base), buf_str(&target)};
        const struct render_comparison c = {bases, 2, buf_str(&target), "costKey"};
        buf_clear(&out);
        if (render_comparison(FORMAT_TEXT, &c, &out)) {
            compare(FORMAT_JSON, &c, &out);
            good++;
        }
    }
    ck_assert_msg(good > 100 && good < 2900, "%zu could be read", good);
}
END_TEST

/* ---- many ------------------------------------------------------------------------------------ */

enum shape { SHAPE_SAME, SHAPE_TWINS, SHAPE_CHAIN, SHAPE_CIRCLE, SHAPE_CHILDREN, SHAPES };

static void add_large(struct buf *out, enum shape shape, size_t nodes, bool renumbered)
{
    static const char *const tops[] = {"1", "900001"};
    char id[48];
    char link[48];
    struct js_out o = js_out_to(out);
    js_open(&o, '{');
    js_key(&o, "nodes");
    js_open(&o, '[');
    for (size_t i = 0; i < nodes; i++) {
        const size_t number = (renumbered ? 900000 : 0) + i;
        const bool child = shape == SHAPE_CHILDREN && i != 1;
        (void)snprintf(id, sizeof id, child ? "%s.0.%zu" : "%.0s%zu", tops[renumbered],
                       child ? i : number);
        (void)snprintf(link, sizeof link, "%zu", number - (i > 0 ? 1 : -nodes + 1));
        js_open(&o, '{');
        js_member_string(&o, "nodeId", id);
        if (!child) {
            js_member_string(&o, "type", "KSampler");
        }
        js_member_string(&o, "status", "completed");
        js_member_int(&o, "duration", (int64_t)i);
        js_key(&o, "dependsOn");
        js_open(&o, '[');
        if (shape == SHAPE_CIRCLE || (shape == SHAPE_CHAIN && i > 0)) {
            js_string(&o, link);
        }
        js_close(&o, ']');
        if (child) {
            js_member_string(&o, "parentNodeId", tops[renumbered]);
        }
        js_member_raw(&o, "resources", STR(RESOURCES("1", "1", "1")));
        js_close(&o, '}');
    }
    js_close(&o, ']');
    js_close(&o, '}');
}

/* Shapes that cost most: nothing matches by id, and all by the step after it. */
START_TEST(many_nodes_take_no_time)
{
    enum { NODES = 3000, RUNS = 20, BOUND_MS = 10000 };
    AUTO_BUF struct buf base;
    AUTO_BUF struct buf target;
    AUTO_BUF struct buf out;
    buf_init(&base, BUF_NO_LIMIT);
    buf_init(&target, BUF_NO_LIMIT);
    buf_init(&out, (size_t)4 << 20);
    add_large(&base, (enum shape)_i, NODES, false);
    add_large(&target, (enum shape)_i, NODES, _i != SHAPE_SAME);
    struct str bases[RUNS];
    for (size_t i = 0; i < RUNS; i++) {
        bases[i] = buf_str(&base);
    }
    const struct render_comparison c = {bases, RUNS, buf_str(&target), "costKey"};
    const struct mono_us began = time_mono();
    compare(FORMAT_JSON, &c, &out);
    const struct dur_us took = mono_diff(time_mono(), began);
    ck_assert(!out.overflow);
    ck_assert_msg(took.us < dur_ms(BOUND_MS).us, "%lld us", (long long)took.us);
    json_auto_t *o = json_loads(buf_text(&out), 0, NULL);
    ck_assert_uint_eq(json_array_size(json_object_get(o, "nodes")), NODES);
}
END_TEST

Suite *compare_render_suite(void)
{
    Suite *s = suite_create("compare render");
    TCase *c = tcase_create("compare render");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, what_is_told, 0, sizeof rendered / sizeof *rendered);
    tcase_add_test(c, titles_are_told);
    tcase_add_test(c, resources_are_told);
    tcase_add_test(c, sources_are_not_mixed);
    tcase_add_test(c, executions_that_were_not_told_are_no_measure);
    tcase_add_test(c, what_cannot_be_compared);
    tcase_add_test(c, odd_members_are_absent_ones);
    tcase_add_loop_test(c, names_break_nothing, 0, sizeof names / sizeof *names);
    tcase_add_test(c, recorded_runs_keep_the_rules);
    tcase_add_loop_test(c, random_runs_keep_the_rules, 0, 4);
    tcase_add_test(c, broken_bytes_break_nothing);
    tcase_add_loop_test(c, many_nodes_take_no_time, 0, SHAPES);
    suite_add_tcase(s, c);
    return s;
}
