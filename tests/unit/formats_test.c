/*
 * Profiles in their formats. Lanes by tables; names that were chosen to break a format; what old,
 * running and strange profiles give; and random ones, of which only the rules are known.
 */
#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/json_read.h"
#include "format_rules.h"
#include "suites.h"

/* ---- profiles in a few words ----------------------------------------------------------------- */

enum { QUEUED = 1795378937, MAX_ROWS = 10, MAX_SPANS = 6, ID_SIZE = 24 };

/* A node: its slices are pairs of milliseconds since the execution began. */
struct row {
    const char *id;
    const char *parent;   /* NULL: none */
    const char *status;   /* NULL: completed */
    int spans[MAX_SPANS]; /* ends with a negative start, or where both are 0 behind the first */
    const char *title;
    const char *type;
    const char *error;
};

#define NODE(the_id, the_parent, the_status, ...)                                                  \
    {                                                                                              \
        .id = (the_id), .parent = (the_parent), .status = (the_status), .spans = { __VA_ARGS__ }   \
    }

enum { NO_TIME = -1, START_ONLY = -2 };

static size_t spans_of(const struct row *r)
{
    size_t n = 0;
    while (n < MAX_SPANS / 2 && r->spans[2 * n] >= 0 && r->spans[2 * n + 1] >= 0 &&
           (n == 0 || r->spans[2 * n] + r->spans[2 * n + 1] > 0)) {
        n++;
    }
    return n;
}

static void member_at(struct js_out *o, const char *name, int ms)
{
    js_member_ms(o, name, ((int64_t)QUEUED * 1000 + 10) * 1000 + ms * INT64_C(1000));
}

static void add_slices(struct js_out *o, const struct row *r)
{
    js_key(o, "slices");
    js_open(o, '[');
    for (size_t i = 0; i < spans_of(r); i++) {
        js_open(o, '{');
        member_at(o, "startedAt", r->spans[2 * i]);
        member_at(o, "completedAt", r->spans[2 * i + 1]);
        js_close(o, '}');
    }
    js_close(o, ']');
}

static void add_row(struct js_out *o, const struct row *r, size_t order)
{
    const size_t spans = spans_of(r);
    const char *status = r->status == NULL ? "completed" : r->status;
    int sum = 0;
    js_open(o, '{');
    js_member_string(o, "nodeId", r->id);
    if (r->type != NULL) {
        js_member_string(o, "type", r->type);
    }
    if (r->title != NULL) {
        js_member_string(o, "title", r->title);
    }
    js_member_string(o, "status", status);
    js_member_bool(o, "cached", strcmp(status, "cached") == 0);
    for (size_t i = 0; i < spans; i++) {
        sum += r->spans[2 * i + 1] - r->spans[2 * i];
    }
    if (r->spans[0] != NO_TIME) {
        member_at(o, "startedAt", r->spans[0]);
        js_member_int(o, "order", (int64_t)order);
    }
    if (spans > 0) {
        member_at(o, "completedAt", r->spans[2 * spans - 1]);
        js_member_ms(o, "duration", sum * INT64_C(1000));
        js_member_ms(o, "selfDuration", sum * INT64_C(1000));
    }
    if (r->error != NULL) {
        js_member_string(o, "error", r->error);
    }
    if (r->parent != NULL) {
        js_member_string(o, "parentNodeId", r->parent);
    }
    if (spans > 1) {
        add_slices(o, r);
    }
    js_close(o, '}');
}

/* Queued for 10 ms, executed for `execution`; without an outcome it still runs. */
static void add_head(struct js_out *o, const char *outcome, int execution)
{
    static const char *const parts[] = {"waiting", "dispatch", "backendQueue", "planning"};
    static const int lengths[] = {3, 5, 2, 1};
    const bool started = execution >= 0;
    js_member_string(o, "jobId", "01a204ec-7f48-7332-8199-72b2aa99b538");
    js_member_string(o, "promptId", "348640bb-767c-4e19-8105-bd47ad33cb05");
    js_member_string(o, "backend", "one");
    js_member_int(o, "attempt", 1);
    js_member_string(o, "outcome", outcome);
    member_at(o, "queuedAt", -10);
    if (started) {
        member_at(o, "startedAt", 0);
    }
    if (*outcome != '\0') {
        member_at(o, "completedAt", started ? execution : 0);
        js_member_int(o, "totalDuration", started ? execution + 10 : 10);
        js_member_int(o, "executionTime", started ? execution : 0);
    }
    if (*outcome == '\0' && execution > 0) {
        member_at(o, "asOf", execution);
    }
    js_member_int(o, "queueTime", 10);
    js_key(o, "phases");
    js_open(o, '{');
    for (size_t i = 0; i < 3u + started; i++) {
        js_member_int(o, parts[i], execution == 0 && i == 3 ? 0 : lengths[i]);
    }
    js_close(o, '}');
}

static void add_profile(struct buf *out, const char *outcome, int execution, const struct row *rows,
                        size_t len)
{
    struct js_out o = js_out_to(out);
    js_open(&o, '{');
    add_head(&o, outcome, execution);
    js_key(&o, "nodes");
    js_open(&o, '[');
    for (size_t i = 0; i < len; i++) {
        add_row(&o, &rows[i], i);
    }
    js_close(&o, ']');
    js_member_raw(&o, "summary", STR("{\"totalNodes\":2,\"slowestNodes\":[],\"unaccounted\":2.5}"));
    js_member_raw(&o, "evidence", STR("{\"source\":\"events\",\"complete\":true,\"gaps\":[]}"));
    js_close(&o, '}');
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s == NULL ? "" : s;
}

static void render(enum format f, struct str profile, struct buf *out)
{
    buf_clear(out);
    ck_assert(render_profile(f, profile, out));
}

/* Shows where they part; the texts are too long for a message. */
static void assert_same(const char *got, const char *want)
{
    size_t i = 0;
    while (got[i] != '\0' && got[i] == want[i]) {
        i++;
    }
    ck_assert_msg(got[i] == want[i], "at %zu: got \"%.200s\", expected \"%.200s\"", i, got + i,
                  want + i);
}

/* ---- lanes ----------------------------------------------------------------------------------- */

static const struct lanes_row {
    const char *name;
    const char *outcome;
    int execution;
    struct row rows[MAX_ROWS];
    const char *want; /* "ID THREAD FROM+LENGTH" of each event of a node, in order of the file */
} lanes[] = {
    {"one after the other",
     "completed",
     30,
     {NODE("a", NULL, NULL, 1, 10), NODE("b", NULL, NULL, 10, 20)},
     "a 2 1+9, b 2 10+10"},
    {"two at once",
     "completed",
     30,
     {NODE("a", NULL, NULL, 1, 10), NODE("b", NULL, NULL, 9, 20)},
     "a 2 1+9, b 3 9+11"},
    {"a lane is used again",
     "completed",
     99,
     {NODE("a", NULL, NULL, 1, 50), NODE("b", NULL, NULL, 2, 10), NODE("c", NULL, NULL, 3, 20),
      NODE("d", NULL, NULL, 12, 60)},
     "a 2 1+49, b 3 2+8, d 3 12+48, c 4 3+17"},
    {"within another, but not its child",
     "completed",
     30,
     {NODE("a", NULL, NULL, 1, 20), NODE("b", NULL, NULL, 5, 10)},
     "a 2 1+19, b 3 5+5"},
    {"children lie in their parent",
     "completed",
     60,
     {NODE("p", NULL, NULL, 1, 50), NODE("x", "p", NULL, 5, 10), NODE("y", "p", NULL, 10, 20),
      NODE("n", NULL, NULL, 50, 55)},
     "p 2 1+49, x 2 5+5, y 2 10+10, n 2 50+5"},
    {"a child in a child",
     "completed",
     60,
     {NODE("p", NULL, NULL, 1, 50), NODE("x", "p", NULL, 5, 40), NODE("y", "x", NULL, 5, 40)},
     "p 2 1+49, x 2 5+35, y 2 5+35"},
    {"children at once",
     "completed",
     60,
     {NODE("p", NULL, NULL, 1, 50), NODE("x", "p", NULL, 5, 20), NODE("y", "p", NULL, 6, 30),
      NODE("z", "p", NULL, 20, 40)},
     "p 2 1+49, x 2 5+15, z 2 20+20, y 3 6+24"},
    {"a child of a node beside",
     "completed",
     60,
     {NODE("a", NULL, NULL, 1, 40), NODE("p", NULL, NULL, 2, 50), NODE("x", "p", NULL, 5, 20)},
     "a 2 1+39, p 3 2+48, x 3 5+15"},
    {"a child that is longer than its parent",
     "completed",
     60,
     {NODE("p", NULL, NULL, 1, 50), NODE("x", "p", NULL, 5, 55)},
     "p 2 1+49, x 3 5+50"},
    {"a child behind its parent",
     "completed",
     60,
     {NODE("p", NULL, NULL, 1, 10), NODE("x", "p", NULL, 20, 30)},
     "p 2 1+9, x 2 20+10"},
    {"a lazy node keeps its lane",
     "completed",
     99,
     {NODE("l", NULL, NULL, 1, 10, 30, 40), NODE("a", NULL, NULL, 5, 29),
      NODE("b", NULL, NULL, 11, 12)},
     "l 2 1+9, b 2 11+1, l 2 30+10, a 3 5+24"},
    {"its lane is taken",
     "completed",
     99,
     {NODE("l", NULL, NULL, 1, 10, 30, 40), NODE("a", NULL, NULL, 10, 50)},
     "l 2 1+9, a 2 10+40, l 3 30+10"},
    {"a child in the second slice",
     "completed",
     99,
     {NODE("l", NULL, NULL, 1, 10, 30, 40), NODE("x", "l", NULL, 31, 35)},
     "l 2 1+9, l 2 30+10, x 2 31+4"},
    {"no length",
     "completed",
     30,
     {NODE("a", NULL, NULL, 5, 5), NODE("b", NULL, NULL, 5, 5), NODE("c", NULL, NULL, 5, 9),
      NODE("d", "c", NULL, 5, 5), NODE("e", NULL, NULL, 9, 9), NODE("f", "c", NULL, 9, 9)},
     "c 2 5+4, d 2 5+0, e 2 9+0, f 2 9+0, a 3 5+0, b 3 5+0"},
    {"cached, pending, end not seen",
     "completed",
     30,
     {NODE("a", NULL, "cached", 1, 1), NODE("b", NULL, NULL, 5, START_ONLY),
      NODE("c", NULL, "pending", NO_TIME), NODE("d", NULL, NULL, NO_TIME)},
     "a 2 1!, b 2 5!"},
    {"running",
     "",
     0,
     {NODE("a", NULL, NULL, 1, 10), NODE("b", NULL, "executing", 4, START_ONLY),
      NODE("c", "b", "executing", 12, START_ONLY), NODE("d", NULL, "pending", NO_TIME)},
     "a 2 1+9, c 2 12+0, b 3 4+8"},
    {"running, as of 20",
     "",
     20,
     {NODE("a", NULL, NULL, 1, 10), NODE("b", NULL, "executing", 4, START_ONLY),
      NODE("c", "b", "executing", 12, START_ONLY)},
     "a 2 1+9, b 3 4+16, c 3 12+8"},
    {"a parent that is nobody",
     "completed",
     30,
     {NODE("a", "?", NULL, 1, 10), NODE("b", "b", NULL, 10, 20)},
     "a 2 1+9, b 2 10+10"},
    {"a circle of parents",
     "completed",
     30,
     {NODE("a", "b", NULL, 1, 10), NODE("b", "c", NULL, 1, 10), NODE("c", "a", NULL, 1, 10)},
     "a 2 1+9, b 3 1+9, c 4 1+9"},
    {"nothing has a time", "lost", 30, {NODE("a", NULL, NULL, NO_TIME)}, ""},
    {"never started", "cancelled", -1, {NODE("a", NULL, "pending", NO_TIME)}, ""},
    {"no nodes", "failed", 30, {{0}}, ""},
    {"nothing took any time", "completed", 0, {NODE("a", NULL, NULL, 0, 0)}, "a 2 0+0"},
};

static void write_lanes(struct str chrome, struct buf *out)
{
    json_auto_t *o = json_loadb(chrome.p, chrome.n, 0, NULL);
    size_t i = 0;
    json_t *e = NULL;
    json_array_foreach(json_object_get(o, "traceEvents"), i, e)
    {
        if (strcmp(text_of(e, "cat"), "node") != 0) {
            continue;
        }
        buf_printf(out, "%s%s %lld %lld", out->len > 0 ? ", " : "",
                   text_of(json_object_get(e, "args"), "nodeId"),
                   json_integer_value(json_object_get(e, "tid")),
                   json_integer_value(json_object_get(e, "ts")) / 1000 - 10);
        if (*text_of(e, "ph") == 'X') {
            buf_printf(out, "+%lld", json_integer_value(json_object_get(e, "dur")) / 1000);
        } else {
            buf_add_char(out, '!');
        }
    }
}

START_TEST(slices_lie_on_lanes)
{
    const struct lanes_row *r = &lanes[_i];
    size_t len = 0;
    while (len < MAX_ROWS && r->rows[len].id != NULL) {
        len++;
    }
    AUTO_BUF struct buf profile;
    AUTO_BUF struct buf chrome;
    AUTO_BUF struct buf got;
    buf_init(&profile, BUF_NO_LIMIT);
    buf_init(&chrome, BUF_NO_LIMIT);
    buf_init(&got, BUF_NO_LIMIT);
    add_profile(&profile, r->outcome, r->execution, r->rows, len);
    render(FORMAT_CHROME, buf_str(&profile), &chrome);
    write_lanes(buf_str(&chrome), &got);
    ck_assert_msg(strcmp(buf_text(&got), r->want) == 0, "%s: got \"%s\"", r->name, buf_text(&got));
    check_formats(r->name, buf_str(&profile));
}
END_TEST

/* ---- names ----------------------------------------------------------------------------------- */

#define SNOW "\xe2\x98\x83"
#define WIDE "\xe7\x8c\xab"        /* two columns in a terminal */
#define WIDE_BLANK "\xe3\x80\x80"  /* U+3000 */
#define NEXT_LINE "\xc2\x85"       /* U+0085 */
#define TURN "\xe2\x80\xae"        /* U+202E */
#define WIDE_EQUALS "\xef\xbc\x9d" /* U+FF1D */

static const struct name_row {
    const char *name;
    const char *title; /* NULL: none */
    const char *type;  /* NULL: none */
    const char *csv;   /* the cell of the title */
    const char *frame; /* of the folded stack */
    const char *text;  /* a piece of its row */
} names[] = {
    {"plain", "Load it", "T", "Load it", "Load it [1]", " Load it "},
    {"formula", "=1+1", "T", "'=1+1", "=1+1 [1]", "=1+1"},
    {"plus", "+1", "T", "'+1", "+1 [1]", "+1"},
    {"minus", "-1", "T", "'-1", "-1 [1]", "-1"},
    {"at", "@A1", "T", "'@A1", "@A1 [1]", "@A1"},
    {"tab", "\t=1", "T", "'\t=1", "=1 [1]", "?=1"},
    {"wide equals", WIDE_EQUALS "1", "T", "'" WIDE_EQUALS "1", WIDE_EQUALS "1 [1]", WIDE_EQUALS},
    {"return", "\r=1", "T", "\"'\r=1\"", "=1 [1]", "?=1"},
    {"line feed", "\n=1", "T", "\"'\n=1\"", "=1 [1]", "?=1"},
    {"quotes and commas", "say \"hi\", all", "T", "\"say \"\"hi\"\", all\"", "say \"hi\", all [1]",
     "say \"hi\", all"},
    {"two lines", "a\r\nb; c", "T", "\"a\r\nb; c\"", "a  b, c [1]", "a??b; c"},
    {"semicolons", ";a;;b;", "T", ";a;;b;", ",a,,b, [1]", ";a;;b;"},
    {"escape", "\x1b[31mred\x7f", "T", "?[31mred?", "[31mred  [1]", "?[31mred?"},
    {"C1", NEXT_LINE "x", "T", "?x", "x [1]", "?x"},
    {"turned", "a" TURN "b", "T", "a" TURN "b", "a b [1]", "a?b"},
    {"blanks around", "  a  ", "T", "\"  a  \"", "a   [1]", "  a  "},
    {"only blanks", " \t" WIDE_BLANK, "T", "\" \t" WIDE_BLANK "\"", "T [1]", " ?" WIDE_BLANK},
    {"nothing at all", NULL, NULL, "", "node [1]", "1   "},
    {"blank type", NULL, "\n", "", "node [1]", "?"},
    {"number at the end", "a 12", "T", "a 12", "a 12 [1]", "a 12"},
    {"snow", SNOW, "T", SNOW, SNOW " [1]", SNOW "      completed"},
    {"wide", WIDE WIDE WIDE, "T", WIDE WIDE WIDE, WIDE WIDE WIDE " [1]",
     WIDE WIDE WIDE "  completed"},
    {"cut", "0123456789012345678901234567890123", "T", "0123456789012345678901234567890123",
     "0123456789012345678901234567890123 [1]", "01234567890123456789012345..  completed"},
    {"cut in a wide one", "0123456789012345678901234" WIDE "8901", "T",
     "0123456789012345678901234" WIDE "8901", "0123456789012345678901234" WIDE "8901 [1]",
     "0123456789012345678901234..   completed"},
};

START_TEST(names_break_nothing)
{
    const struct name_row *r = &names[_i];
    const struct row node = {"1", 0, 0, {1, 21}, r->title, r->type, 0};
    AUTO_BUF struct buf profile;
    AUTO_BUF struct buf out;
    AUTO_BUF struct buf want;
    buf_init(&profile, BUF_NO_LIMIT);
    buf_init(&out, BUF_NO_LIMIT);
    buf_init(&want, BUF_NO_LIMIT);
    add_profile(&profile, "completed", 30, &node, 1);
    check_formats(r->name, buf_str(&profile));
    render(FORMAT_FOLDED, buf_str(&profile), &out);
    buf_printf(&want, "\nexecuting;%s 20000\n", r->frame);
    ck_assert_msg(strstr(buf_text(&out), buf_text(&want)) != NULL, "%s:%s", r->name,
                  buf_text(&out));
    render(FORMAT_CSV, buf_str(&profile), &out);
    buf_clear(&want);
    buf_printf(&want, ",%s,completed,0,1795378937011,20,20,", r->csv);
    ck_assert_msg(strstr(buf_text(&out), buf_text(&want)) != NULL, "%s: %s", r->name,
                  buf_text(&out));
    render(FORMAT_TEXT, buf_str(&profile), &out);
    ck_assert_msg(strstr(buf_text(&out), r->text) != NULL, "%s: %s", r->name, buf_text(&out));
}
END_TEST

/* The body of a loop is told as the sum of its copies, which are told too: once is enough. */
START_TEST(copies_are_not_counted_twice)
{
    static const char json[] =
        "{\"jobId\":\"j\",\"outcome\":\"completed\",\"queuedAt\":1000,\"startedAt\":1000,"
        "\"completedAt\":1100,\"totalDuration\":100,\"queueTime\":0,\"executionTime\":100,"
        "\"phases\":{\"executing\":100},\"nodes\":["
        "{\"nodeId\":\"a\",\"status\":\"completed\",\"cached\":false,\"startedAt\":1000,"
        "\"completedAt\":1100,\"duration\":100,\"selfDuration\":40,\"dependsOn\":[]},"
        "{\"nodeId\":\"b\",\"status\":\"completed\",\"cached\":false,\"startedAt\":1010,"
        "\"completedAt\":1070,\"duration\":60,\"selfDuration\":60,\"dependsOn\":[]},"
        "{\"nodeId\":\"x\",\"status\":\"completed\",\"cached\":false,\"startedAt\":1010,"
        "\"completedAt\":1070,\"duration\":60,\"selfDuration\":60,\"dependsOn\":[],"
        "\"parentNodeId\":\"a\",\"displayNodeId\":\"b\"}%s],"
        "\"summary\":{\"unaccounted\":0}}";
    static const char inner[] = /* what the copy expands into is displayed as b, too */
        ",{\"nodeId\":\"y\",\"status\":\"completed\",\"cached\":false,\"startedAt\":1010,"
        "\"completedAt\":1030,\"duration\":20,\"selfDuration\":20,\"dependsOn\":[],"
        "\"parentNodeId\":\"x\",\"displayNodeId\":\"b\"}";
    AUTO_BUF struct buf profile;
    AUTO_BUF struct buf out;
    buf_init(&profile, BUF_NO_LIMIT);
    buf_init(&out, BUF_NO_LIMIT);
    buf_printf(&profile, json, _i == 0 ? "" : inner);
    render(FORMAT_FOLDED, buf_str(&profile), &out);
    ck_assert_str_eq(buf_text(&out),
                     _i == 0 ? "executing;node [a] 40000\nexecuting;node [a];node [x] 60000\n"
                             : "executing;node [a] 40000\nexecuting;node [a];node [x] 60000\n"
                               "executing;node [a];node [x];node [y] 20000\n");
}
END_TEST

START_TEST(ids_do_not_meet)
{
    /* Ids that contain each other, the signs of a format, and NUL. */
    static const char json[] =
        "{\"jobId\":\"j\",\"outcome\":\"completed\",\"queuedAt\":1795378937000,"
        "\"startedAt\":1795378937000,\"completedAt\":1795378937009,\"totalDuration\":9,"
        "\"queueTime\":0,\"executionTime\":9,\"phases\":{\"executing\":9},\"nodes\":["
        "{\"nodeId\":\"a\\u0000b\",\"status\":\"completed\",\"cached\":false,\"startedAt\":"
        "1795378937000,\"completedAt\":1795378937009,\"duration\":9,\"selfDuration\":4},"
        "{\"nodeId\":\"a\\u0000c\",\"status\":\"completed\",\"cached\":false,\"startedAt\":"
        "1795378937001,\"completedAt\":1795378937004,\"duration\":3,\"selfDuration\":3,"
        "\"parentNodeId\":\"a\\u0000b\"},"
        "{\"nodeId\":\"a\",\"title\":\"x] [y\",\"status\":\"completed\",\"cached\":false,"
        "\"startedAt\":1795378937004,\"completedAt\":1795378937006,\"duration\":2,"
        "\"selfDuration\":2,\"parentNodeId\":\"a\\u0000b\"},"
        "{\"nodeId\":\"\",\"status\":\"completed\",\"cached\":false,\"startedAt\":1795378937009,"
        "\"completedAt\":1795378937009,\"duration\":0,\"selfDuration\":0}],"
        "\"summary\":{\"unaccounted\":0},\"evidence\":{\"complete\":true}}";
    check_formats("ids", STR(json));
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    render(FORMAT_FOLDED, STR(json), &out);
    assert_same(buf_text(&out), "executing;node [a b] 4000\n"
                                "executing;node [a b];node [a c] 3000\n"
                                "executing;node [a b];x] [y [a] 2000\n");
}
END_TEST

/* ---- what else is known ---------------------------------------------------------------------- */

static const char full[] =
    "{\"jobId\":\"j\",\"promptId\":\"p\",\"backend\":\"one\",\"attempt\":2,\"outcome\":\"failed\","
    "\"queuedAt\":1795378937000,\"startedAt\":1795378937100,\"completedAt\":1795378938100,"
    "\"totalDuration\":1100,\"queueTime\":100,\"executionTime\":1000,\"phases\":{\"waiting\":60,"
    "\"dispatch\":30,\"backendQueue\":10,\"planning\":10,\"executing\":990},\"nodes\":["
    "{\"nodeId\":\"4\",\"type\":\"CheckpointLoaderSimple\",\"title\":\"Load "
    "Checkpoint\",\"status\":"
    "\"completed\",\"cached\":false,\"startedAt\":1795378937110,\"completedAt\":1795378937350.25,"
    "\"duration\":240.25,\"selfDuration\":240.25,\"order\":0,\"resources\":{\"source\":"
    "\"crystools\",\"sampleCount\":3,\"gpuUtilization\":{\"avg\":9.95,\"max\":21},\"vramUsed\":"
    "{\"max\":6442450944,\"delta\":6442450900},\"ramUsed\":{\"max\":1024},\"gpuTemperature\":"
    "{\"max\":null}}},"
    "{\"nodeId\":\"3\",\"type\":\"KSampler\",\"title\":\"KSampler\",\"status\":\"failed\","
    "\"cached\":false,\"startedAt\":1795378937400,\"completedAt\":1795378938100,\"duration\":700,"
    "\"selfDuration\":700,\"order\":1,\"error\":\"CUDA\\nout of memory\",\"progressEvents\":["
    "{\"timestamp\":1795378937500,\"value\":1,\"max\":20},{\"timestamp\":1795378937600,\"value\":2,"
    "\"max\":20}],\"steps\":{\"count\":2,\"perSecond\":10.25,\"median\":97.5,\"p95\":101.125,"
    "\"first\":null},\"resources\":null},"
    "{\"nodeId\":\"9\",\"type\":\"SaveImage\",\"title\":\"Save Image\",\"status\":\"pending\","
    "\"cached\":false}],"
    "\"summary\":{\"totalNodes\":3,\"executedNodes\":1,\"cachedNodes\":0,\"failedNodes\":1,"
    "\"pendingNodes\":1,\"slowestNodes\":[{\"nodeId\":\"3\",\"type\":\"KSampler\",\"duration\":700}"
    "],"
    "\"unaccounted\":49.75},\"analysis\":{\"criticalPath\":{\"nodes\":[\"4\",\"3\"],\"length\":940."
    "25,"
    "\"share\":0.9402},\"gaps\":[{\"from\":1,\"to\":2,\"duration\":1.5,\"after\":null,\"before\":"
    "\"4\"},{\"from\":1,\"to\":2,\"duration\":49.75,\"after\":\"4\",\"before\":\"3\"},{\"from\":1,"
    "\"to\":2,\"duration\":2,\"after\":\"3\",\"before\":null},{\"from\":1,\"to\":2,\"duration\":1,"
    "\"after\":\"3\",\"before\":\"3\"}],\"modelLoading\":240.25,\"cacheHitRate\":0.125},"
    "\"resources\":{\"source\":\"crystools\",\"sampleCount\":3,\"interval\":500,\"gpuUtilization\":"
    "{\"avg\":55.5,\"max\":98},\"vramUsed\":{\"max\":6442450944,\"delta\":-1048576},\"ramUsed\":"
    "{\"max\":null},\"gpuTemperature\":{\"max\":71},\"diskRead\":5368709120,\"diskWritten\":0,"
    "\"netReceived\":null,\"netSent\":12345,\"samples\":["
    "{\"at\":1795378937000,\"gpuUtilization\":0,\"vramUsed\":1000,\"ramUsed\":null,"
    "\"gpuTemperature\":null},{\"at\":1795378937500.5,\"gpuUtilization\":98,\"vramUsed\":"
    "6442450944,"
    "\"ramUsed\":2048,\"gpuTemperature\":71},{\"at\":1795378938000,\"gpuUtilization\":null,"
    "\"vramUsed\":null,\"ramUsed\":null,\"gpuTemperature\":null}]},"
    "\"evidence\":{\"source\":\"mixed\",\"complete\":false,\"gaps\":[{\"from\":1795378937700,"
    "\"to\":"
    "1795378937800,\"reason\":\"socket_lost\"},{\"from\":1795378937750,\"to\":1795378937850,"
    "\"reason\":\"restart\"}]}}";

#define FULL "\xe2\x96\x88"
#define LEFT "\xe2\x96\x8c"
#define RIGHT "\xe2\x96\x90"

START_TEST(a_table_tells_what_is_known)
{
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    check_formats("full", STR(full));
    render(FORMAT_TEXT, STR(full), &out);
    assert_same(
        buf_text(&out),
        "Job       j\n"
        "Prompt    p\n"
        "Backend   one                           attempt 2, failed\n"
        "\n"
        "Total         1100.000 ms\n"
        "Queue          100.000 ms\n"
        "Execution     1000.000 ms\n"
        "Phases    waiting 60.000, dispatch 30.000, backend queue 10.000, planning 10.000, "
        "executing 990.000 ms\n"
        "Resources crystools, 3 samples every 500 ms, GPU average 56 %, GPU max 98 %, VRAM max 6.0 "
        "GiB,\n"
        "          VRAM change -1.0 MiB, temperature max 71 C, disk read 5.0 GiB, disk written 0 "
        "B,\n"
        "          net sent 12.1 KiB\n"
        "\n"
        "Summary   1 of 3 nodes executed, 0 cached, 1 failed, 1 pending; 49.750 ms unaccounted\n"
        "\n"
        "Where the time went\n"
        "  Critical path      940.250 ms, 94.0 % of the execution: 4 > 3\n"
        "  Model loading      240.250 ms\n"
        "  Cache hits            12.5 %\n"
        "  Nothing ran         49.750 ms after 4, before 3\n"
        "                       2.000 ms after 3, before the end\n"
        "                       1.500 ms after the start, before 4\n"
        "                  and 1 shorter\n"
        "\n"
        "Slowest nodes\n"
        "  1. 3     KSampler       700.000 ms\n"
        "\n"
        "Progress events\n"
        "  3     KSampler                2 events, last 2/20; 2 steps, 10.25/s, median 97.500 ms, "
        "p95 101.125 ms\n"
        "\n"
        "  #  Node  Type             Title            Status         start ms duration ms    "
        "VRAM max GPU max\n"
        "  0  4     CheckpointLoa..  Load Checkpoint  completed        10.000     240.250     "
        "6.0 GiB    21 %  |" FULL FULL FULL FULL LEFT "           |\n"
        "  1  3     KSampler         KSampler         failed          300.000     700.000          "
        " "
        "-       -  |    " RIGHT FULL FULL FULL FULL FULL FULL FULL FULL FULL FULL FULL "|\n"
        "       CUDA?out of memory\n"
        "  -  9     SaveImage        Save Image       pending               -           -          "
        " "
        "-       -  |                |\n"
        "\n"
        "Something was missed: 2 gap(s). Source: mixed.\n");
}
END_TEST

START_TEST(samples_are_counters)
{
    AUTO_BUF struct buf out;
    AUTO_BUF struct buf got;
    buf_init(&out, BUF_NO_LIMIT);
    buf_init(&got, BUF_NO_LIMIT);
    render(FORMAT_CHROME, STR(full), &out);
    json_auto_t *o = json_loads(buf_text(&out), 0, NULL);
    size_t i = 0;
    json_t *e = NULL;
    json_array_foreach(json_object_get(o, "traceEvents"), i, e)
    {
        AUTO_FREE char *args = json_dumps(json_object_get(e, "args"), JSON_COMPACT);
        if (*text_of(e, "ph") == 'C' || strcmp(text_of(e, "cat"), "gap") == 0) {
            buf_printf(&got, "%s %lld %s\n", text_of(e, "name"),
                       json_integer_value(json_object_get(e, "ts")), args == NULL ? "" : args);
        }
    }
    assert_same(buf_text(&got), "socket_lost 700000 \n"
                                "restart 800000 \n"
                                "GPU utilization 0 {\"percent\":0}\n"
                                "VRAM used 0 {\"bytes\":1000}\n"
                                "GPU utilization 500500 {\"percent\":98}\n"
                                "VRAM used 500500 {\"bytes\":6442450944}\n"
                                "RAM used 500500 {\"bytes\":2048}\n"
                                "GPU temperature 500500 {\"celsius\":71}\n");
    ck_assert_ptr_nonnull(strstr(buf_text(&out),
                                 "\"steps\":{\"count\":2,\"perSecond\":10.25,"
                                 "\"median\":97.5,\"p95\":101.125,\"first\":null}"));
    ck_assert_ptr_nonnull(strstr(buf_text(&out), "\"gpuUtilization\":{\"avg\":9.95,\"max\":21}"));
}
END_TEST

START_TEST(a_row_has_every_column)
{
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    render_csv_head(true, &out);
    ck_assert(render_csv_rows(STR(full), true, &out));
    assert_same(
        buf_text(&out),
        "jobId,nodeId,type,title,status,order,startedAt,duration,selfDuration,completedAt,cached,"
        "parentNodeId,error,steps,stepsPerSecond,stepMedian,stepP95,stepFirst,resourceSource,"
        "sampleCount,gpuUtilizationAvg,gpuUtilizationMax,vramUsedMax,vramUsedDelta,ramUsedMax,"
        "gpuTemperatureMax\r\n"
        "j,4,CheckpointLoaderSimple,Load Checkpoint,completed,0,1795378937110,240.25,240.25,"
        "1795378937350.25,false,,,,,,,,crystools,3,9.95,21,6442450944,6442450900,1024,\r\n"
        "j,3,KSampler,KSampler,failed,1,1795378937400,700,700,1795378938100,false,,"
        "\"CUDA\nout of memory\",2,10.25,97.5,101.125,,,,,,,,,\r\n"
        "j,9,SaveImage,Save Image,pending,,,,,,false,,,,,,,,,,,,,,,\r\n");
}
END_TEST

START_TEST(a_long_path_is_cut)
{
    AUTO_BUF struct buf profile;
    AUTO_BUF struct buf out;
    buf_init(&profile, BUF_NO_LIMIT);
    buf_init(&out, BUF_NO_LIMIT);
    static const struct {
        const char *nodes;
        const char *want;
    } rows[] = {
        {"", "execution\n"},
        {"\"1\"", "execution: 1\n"},
        {"\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"",
         "execution: 1 > 2 > 3 > 4 > 5 > 6 > 7 > 8 > 9\n"},
        {"\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"10\"",
         "execution: 1 > 2 > 3 > 4 > 5 > (2 more) > 8 > 9 > 10\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        buf_clear(&profile);
        buf_printf(&profile,
                   "{\"nodes\":[],\"analysis\":{\"criticalPath\":{\"nodes\":[%s],\"length\":1}}}",
                   rows[i].nodes);
        render(FORMAT_TEXT, buf_str(&profile), &out);
        ck_assert_msg(strstr(buf_text(&out), rows[i].want) != NULL, "%s", buf_text(&out));
    }
}
END_TEST

START_TEST(what_is_no_profile)
{
    static const char *const no[] = {
        "", "{}", "[]", "null", "{\"nodes\":{}}", "{\"nodes\":[]", "{\"nodes\":[]} x"};
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
        for (int f = FORMAT_JSON + 1; f < FORMAT_COUNT; f++) {
            ck_assert_msg(!render_profile(f, str_of(no[i]), &out), "%s as %s", no[i],
                          format_name(f));
        }
        ck_assert(!render_csv_rows(str_of(no[i]), true, &out));
    }
    ck_assert(!render_profile(FORMAT_JSON, STR(""), &out));
    ck_assert_uint_eq(out.len, 0);
    /* Members of the wrong kind are absent ones. */
    static const char odd[] =
        "{\"jobId\":5,\"queuedAt\":\"x\",\"startedAt\":1e300,\"completedAt\":-1e300,\"outcome\":"
        "\"lost\",\"phases\":[],\"nodes\":[5,null,{\"nodeId\":[],\"startedAt\":-5,\"slices\":[1,{}]"
        "},"
        "{\"nodeId\":\"1\",\"startedAt\":9,\"completedAt\":3,\"parentNodeId\":{},\"steps\":5,"
        "\"resources\":[]}],\"summary\":7,\"evidence\":[],\"resources\":{\"samples\":[4]},"
        "\"analysis\":{\"criticalPath\":[],\"gaps\":[3]}}";
    for (int f = FORMAT_JSON; f < FORMAT_COUNT; f++) {
        if (render_has(f)) {
            render(f, STR(odd), &out);
            ck_assert_uint_gt(out.len, 0);
        }
    }
}
END_TEST

/* ---- traces ---------------------------------------------------------------------------------- */

static const struct render_trace plain_job = {
    .job_id = "01a204ec-7f48-7332-8199-72b2aa99b538",
    .trace_parent = "",
    .state = "completed",
    .workflow_hash = "00ff",
    .backend = "one",
    .queued_at = {1795378937000000},
    .completed_at = {1795378938000001},
    .version = "1.2.3",
};

START_TEST(a_job_of_two_attempts)
{
    static const struct row first[] = {{"1", 0, 0, {1, 5}, 0, "A", 0},
                                       {"2", 0, "failed", {5, 9}, 0, "B", "it \"broke\""}};
    static const struct row second[] = {{"1", 0, "cached", {1, 1}, 0, "A", 0},
                                        {"2", 0, 0, {1, 40}, "t", "B", 0},
                                        {"2.1", "2", 0, {3, 30}, 0, 0, 0},
                                        {"3", 0, 0, {41, START_ONLY}, 0, 0, 0},
                                        {"4", "3", 0, {42, 43}, 0, 0, 0}};
    AUTO_BUF struct buf a;
    AUTO_BUF struct buf b;
    AUTO_BUF struct buf out;
    buf_init(&a, BUF_NO_LIMIT);
    buf_init(&b, BUF_NO_LIMIT);
    buf_init(&out, BUF_NO_LIMIT);
    add_profile(&a, "failed", 9, first, 2);
    add_profile(&b, "completed", 50, second, 5);
    const struct str list[] = {buf_str(&a), STR("no profile"), buf_str(&b)};
    struct render_trace job = plain_job;
    job.trace_parent = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
    job.profiles = list;
    job.profiles_len = 3;
    render_otlp(&job, &out);
    json_auto_t *profiles =
        json_pack("[o,o]", json_loadb(a.data, a.len, 0, NULL), json_loadb(b.data, b.len, 0, NULL));
    check_otlp(&job, profiles, buf_str(&out));
    static const char *const pieces[] = {
        "{\"traceId\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"spanId\":\"60266b0f65fc50a6\","
        "\"parentSpanId\":\"00f067aa0ba902b7\",\"name\":\"job\",\"kind\":2,"
        "\"startTimeUnixNano\":\"1795378937000000000\",\"endTimeUnixNano\":"
        "\"1795378938000001000\",",
        "\"status\":{\"code\":2,\"message\":\"it \\\"broke\\\"\"}",
        "\"parentSpanId\":\"60266b1265fc50a8\",\"name\":\"node\"", /* 2.1 in 2 of the third attempt
                                                                    */
        "{\"key\":\"comfyui.node.cached\",\"value\":{\"boolValue\":true}}",
        "{\"key\":\"comfypoold.attempt\",\"value\":{\"intValue\":\"1\"}}",
        "{\"key\":\"service.version\",\"value\":{\"stringValue\":\"1.2.3\"}}",
    };
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        ck_assert_msg(strstr(buf_text(&out), pieces[i]) != NULL, "no %s in\n%s", pieces[i],
                      buf_text(&out));
    }
}
END_TEST

START_TEST(trace_parents)
{
    static const struct {
        const char *name;
        const char *parent;
        bool taken;
    } rows[] = {
        {"none", "", false},
        {"good", "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", true},
        {"no trace", "00000000000000000000000000000000-00f067aa0ba902b7", false},
        {"no span", "4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000", false},
        {"capitals", "4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7", false},
        {"short", "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b", false},
        {"long", "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b77", false},
        {"no hyphen", "4bf92f3577b34da6a3ce929d0e0e4736000f067aa0ba902b7", false},
        {"no hex", "4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct render_trace job = plain_job;
        job.trace_parent = rows[i].parent;
        AUTO_BUF struct buf out;
        buf_init(&out, BUF_NO_LIMIT);
        render_otlp(&job, &out);
        const char *trace =
            rows[i].taken ? "4bf92f3577b34da6a3ce929d0e0e4736" : "96daacd58fcac35fbb9ec0ab20e714b0";
        ck_assert_msg(strstr(buf_text(&out), trace) != NULL, "%s: %s", rows[i].name,
                      buf_text(&out));
        ck_assert_msg((strstr(buf_text(&out), "parentSpanId") != NULL) == rows[i].taken, "%s",
                      rows[i].name);
    }
}
END_TEST

START_TEST(a_job_that_runs_or_never_did)
{
    static const struct row open[] = {{"1", 0, 0, {1, 5}, 0, 0, 0},
                                      {"2", 0, "executing", {30, START_ONLY}, 0, 0, 0}};
    static const struct row pending[] = {{"1", 0, "pending", {NO_TIME}, 0, 0, 0}};
    static const struct {
        const char *name;
        const char *outcome;
        int execution;
        const struct row *rows;
        size_t len;
        size_t spans;
        const char *end;
    } rows[] = {
        {"runs", "", 0, open, 2, 4, "1795378937040000000"},
        {"waits", "", -1, pending, 1, 2, "1795378937000000000"},
        {"never started", "cancelled", -1, pending, 1, 2, "1795378937010000000"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        AUTO_BUF struct buf profile;
        AUTO_BUF struct buf out;
        buf_init(&profile, BUF_NO_LIMIT);
        buf_init(&out, BUF_NO_LIMIT);
        add_profile(&profile, rows[i].outcome, rows[i].execution, rows[i].rows, rows[i].len);
        const struct str list[] = {buf_str(&profile)};
        struct render_trace job = plain_job;
        job.completed_at.us = 0;
        job.profiles = list;
        job.profiles_len = 1;
        render_otlp(&job, &out);
        json_auto_t *profiles = json_pack("[o]", json_loadb(list->p, list->n, 0, NULL));
        check_otlp(&job, profiles, buf_str(&out));
        size_t spans = 0;
        for (const char *p = strstr(buf_text(&out), "\"spanId\""); p != NULL;
             p = strstr(p + 1, "\"spanId\"")) {
            spans++;
        }
        ck_assert_msg(spans == rows[i].spans, "%s: %zu spans", rows[i].name, spans);
        const char *end = strstr(buf_text(&out), "\"endTimeUnixNano\":\"");
        ck_assert_msg(strncmp(end + 19, rows[i].end, 19) == 0, "%s: %.19s", rows[i].name, end + 19);
    }
}
END_TEST

START_TEST(many_jobs_in_one_body)
{
    struct render_trace other = plain_job;
    other.job_id = "01a204ec-7f48-7332-8199-72b2aa99b539";
    other.state = "failed";
    other.error_message = "no \"way\"";
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    struct js_out o = js_out_to(&out);
    render_otlp_begin(&o, "1");
    render_otlp_spans(&o, &plain_job);
    render_otlp_spans(&o, &other);
    render_otlp_end(&o);
    json_auto_t *body = json_loads(buf_text(&out), JSON_REJECT_DUPLICATES, NULL);
    const json_t *spans = json_object_get(
        json_array_get(json_object_get(json_array_get(json_object_get(body, "resourceSpans"), 0),
                                       "scopeSpans"),
                       0),
        "spans");
    ck_assert_uint_eq(json_array_size(spans), 2);
    const json_t *a = json_array_get(spans, 0);
    const json_t *b = json_array_get(spans, 1);
    ck_assert_str_ne(text_of(a, "traceId"), text_of(b, "traceId"));
    ck_assert_str_ne(text_of(a, "spanId"), text_of(b, "spanId"));
    ck_assert_ptr_null(json_object_get(a, "status"));
    ck_assert_str_eq(text_of(json_object_get(b, "status"), "message"), "no \"way\"");
}
END_TEST

/* ---- many ------------------------------------------------------------------------------------ */

static unsigned long long state;

static int below(int n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (int)((state >> 33) % (unsigned)n);
}

/* A node with slices that do not overlap, children within their parent or anywhere. */
static void random_row(struct row *r, struct row *all, size_t i, char id[ID_SIZE])
{
    static const char *const titles[] = {NULL, "", ";", "a b", "=\"x\"\r\n", "\xe7\x8c\xab"};
    (void)snprintf(id, ID_SIZE, "%zu", i);
    *r = (struct row){.id = id, .title = titles[below(6)], .type = below(2) ? "T" : NULL};
    const struct row *parent = i > 0 && below(2) ? &all[below((int)i)] : NULL;
    int from = 0;
    int to = 60;
    if (parent != NULL && spans_of(parent) > 0) {
        r->parent = parent->id;
        if (below(4) > 0) {
            from = parent->spans[0];
            to = parent->spans[1];
        }
    }
    if (below(8) == 0) {
        r->spans[0] = below(2) ? NO_TIME : from;
        r->spans[1] = START_ONLY;
        return;
    }
    const int slices = 1 + below(3);
    for (int k = 0; k < slices; k++) {
        r->spans[2 * k] = from += below(to - from + 1);
        r->spans[2 * k + 1] = from += below(to - from + 1);
    }
    if (below(8) == 0) {
        r->status = "cached";
        r->spans[1] = r->spans[0];
        r->spans[2] = r->spans[3] = 0;
    }
}

START_TEST(random_profiles_keep_the_rules)
{
    enum { NODES = 40 };
    for (unsigned seed = 1; seed <= 30; seed++) {
        struct row rows[NODES];
        char ids[NODES][ID_SIZE];
        char name[32];
        state = seed + 1000u * (unsigned)_i;
        (void)snprintf(name, sizeof name, "seed %llu", state);
        const size_t len = (size_t)below(NODES);
        for (size_t i = 0; i < len; i++) {
            random_row(&rows[i], rows, i, ids[i]);
        }
        AUTO_BUF struct buf profile;
        buf_init(&profile, BUF_NO_LIMIT);
        add_profile(&profile, below(5) ? "completed" : "", 60, rows, len);
        check_formats(name, buf_str(&profile));
    }
}
END_TEST

/* Shapes that cost most: all at once, each in the one before, each with the same parent. */
START_TEST(many_nodes_take_no_time)
{
    enum { NODES = 10000 };
    AUTO_BUF struct buf profile;
    AUTO_BUF struct buf out;
    buf_init(&profile, BUF_NO_LIMIT);
    buf_init(&out, (size_t)256 << 20);
    struct row *rows = mem_zero(NODES, sizeof *rows);
    char(*ids)[ID_SIZE] = mem_alloc(NODES * sizeof *ids);
    for (int i = 0; i < NODES; i++) {
        (void)snprintf(ids[i], sizeof *ids, "%d", i);
        rows[i] = (struct row){
            .id = ids[i],
            .title = "a title of some length, as people give them",
            .parent = _i == 0 || i == 0 ? NULL
                      : _i == 1         ? ids[i - 1]
                                        : ids[0],
            .spans = {i, 2 * NODES - i},
        };
    }
    add_profile(&profile, "completed", 2 * NODES, rows, NODES);
    for (int f = FORMAT_JSON + 1; f < FORMAT_COUNT; f++) {
        if (render_has(f)) {
            render(f, buf_str(&profile), &out);
            ck_assert_msg(!out.overflow, "%s of shape %d is too long", format_name(f), _i);
        }
    }
    const struct str list[] = {buf_str(&profile)};
    struct render_trace job = plain_job;
    job.profiles = list;
    job.profiles_len = 1;
    buf_clear(&out);
    render_otlp(&job, &out);
    size_t offset = 0;
    const char *why = NULL;
    ck_assert_msg(js_check(buf_str(&out), 64, &offset, &why), "%s at %zu", why, offset);
    free(ids);
    free(rows);
}
END_TEST

Suite *formats_suite(void)
{
    Suite *s = suite_create("formats");
    TCase *c = tcase_create("formats");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, slices_lie_on_lanes, 0, sizeof lanes / sizeof *lanes);
    tcase_add_loop_test(c, names_break_nothing, 0, sizeof names / sizeof *names);
    tcase_add_loop_test(c, copies_are_not_counted_twice, 0, 2);
    tcase_add_test(c, ids_do_not_meet);
    tcase_add_test(c, a_table_tells_what_is_known);
    tcase_add_test(c, samples_are_counters);
    tcase_add_test(c, a_row_has_every_column);
    tcase_add_test(c, a_long_path_is_cut);
    tcase_add_test(c, what_is_no_profile);
    tcase_add_test(c, a_job_of_two_attempts);
    tcase_add_test(c, trace_parents);
    tcase_add_test(c, a_job_that_runs_or_never_did);
    tcase_add_test(c, many_jobs_in_one_body);
    tcase_add_loop_test(c, random_profiles_keep_the_rules, 0, 4);
    tcase_add_loop_test(c, many_nodes_take_no_time, 0, 3);
    suite_add_tcase(s, c);
    return s;
}
