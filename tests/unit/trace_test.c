/*
 * Every recording of a real server goes through decoder and profiler as it would in the daemon, and
 * what comes out is held against tests/traces/expected/VERSION/TRACE.txt, which was derived by the
 * rules. Each prompt of a recording is an attempt: queued and stored when its POST was sent,
 * accepted when it was answered; frames come from the sockets that had its client id; a socket that
 * closes while it is open begins a gap; an attempt with a gap reads its recorded /history. Prompts
 * that never end are lost at the last line.
 *
 * The decoder runs twice, with and without its fast path; both must give the same text. Identities
 * that hold for any profile are checked on each, and the rules of every format.
 *
 * Of some recordings every format is compared with
 * tests/traces/formats/VERSION/NAME[.PROMPT].ENDING (of JSON, indented). `make goldens` makes these
 * files again; read what changed before it is kept.
 */
#include <check.h>
#include <glob.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "comfypool/comfy/answers.h"
#include "comfypool/comfy/decoder.h"
#include "comfypool/core/profiler.h"
#include "comfypool/core/server_clock.h"
#include "comfypool/render/render.h"
#include "format_rules.h"
#include "suites.h"

enum { MAX_PROMPTS = 64, MAX_CONNS = 16 };

struct prompt {
    char *request; /* id of the HTTP exchange */
    char *id;
    char *client;
    struct workflow *workflow;
    struct profiler *profiler;
    struct timeline timeline;
    bool accepted;
    bool gap;
    bool ended;
    enum attempt_outcome outcome;
};

struct conn {
    char *label;
    char *client;
    struct decoder *decoder;
    bool open;
};

struct replay {
    struct server_clock clock; /* one server each */
    struct prompt prompts[MAX_PROMPTS];
    size_t prompts_len;
    struct conn conns[MAX_CONNS];
    size_t conns_len;
    struct mono_us now;
    bool whole;
    const char *path;
};

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s == NULL ? "" : s;
}

static struct conn *conn_of(struct replay *r, const char *label)
{
    for (size_t i = 0; i < r->conns_len; i++) {
        if (strcmp(r->conns[i].label, label) == 0) {
            return &r->conns[i];
        }
    }
    ck_assert(r->conns_len < MAX_CONNS);
    struct conn *c = &r->conns[r->conns_len++];
    c->label = mem_strdup(label);
    c->decoder = decoder_new();
    decoder_set_whole(c->decoder, r->whole);
    return c;
}

static void add_prompt(struct replay *r, const json_t *line)
{
    const json_t *body = json_object_get(line, "body");
    const json_t *graph = json_object_get(body, "prompt");
    const char *client = text_of(body, "client_id");
    if (!json_is_object(graph) || client[0] == '\0' || r->prompts_len == MAX_PROMPTS) {
        return;
    }
    AUTO_FREE char *text = json_dumps(graph, JSON_COMPACT);
    struct prompt *p = &r->prompts[r->prompts_len];
    *p = (struct prompt){0};
    struct workflow_problem problem;
    if (!workflow_parse(str_of(text), &p->workflow, &problem)) {
        buf_done(&problem.pointer);
        return;
    }
    p->request = mem_strdup(text_of(line, "id"));
    p->client = mem_strdup(client);
    p->profiler = profiler_new(p->workflow, 10000);
    const struct time_anchor anchor = {.mono = r->now, .wall = {r->now.us}};
    timeline_init(&p->timeline, anchor, r->now);
    p->timeline.intent = p->timeline.posted = (struct time_mark){true, r->now, 0, false};
    r->prompts_len++;
}

static void answer_prompt(struct replay *r, const json_t *line)
{
    for (size_t i = 0; i < r->prompts_len; i++) {
        struct prompt *p = &r->prompts[i];
        if (p->id != NULL || strcmp(p->request, text_of(line, "id")) != 0) {
            continue;
        }
        const char *id = text_of(json_object_get(line, "body"), "prompt_id");
        if (json_integer_value(json_object_get(line, "status")) == 200 && id[0] != '\0') {
            p->id = mem_strdup(id);
            p->accepted = true;
            p->timeline.accepted = (struct time_mark){true, r->now, 0, false};
        }
    }
}

static void feed_prompt(struct replay *r, struct prompt *p, const struct frame *f)
{
    timeline_heard(&p->timeline, r->now, true);
    if (f->type == FRAME_START) {
        (void)timeline_start(&p->timeline, r->now, f->stamp_ms);
    } else if (f->type == FRAME_CACHED) {
        timeline_planned(&p->timeline, r->now, f->stamp_ms, false);
    }
    profiler_gap_end(p->profiler, r->now);
    profiler_feed(p->profiler, r->now, f);
    if (frame_is_terminal(f)) {
        p->ended = true;
        timeline_end(&p->timeline, r->now, f->stamp_ms);
        p->timeline.clock = server_clock_judge(&r->clock, &p->timeline);
        server_clock_learn(&r->clock, &p->timeline);
        p->outcome = f->type == FRAME_SUCCESS ? ATTEMPT_COMPLETED
                     : f->type == FRAME_ERROR ? ATTEMPT_FAILED
                                              : ATTEMPT_CANCELLED;
    }
}

static void hear(struct replay *r, const json_t *line)
{
    struct conn *c = conn_of(r, text_of(line, "conn"));
    struct buf message;
    buf_init(&message, BUF_NO_LIMIT);
    buf_add_text(&message, text_of(line, "text"));
    const struct frame *f = decoder_text(c->decoder, &message);
    for (size_t i = 0; i < r->prompts_len; i++) {
        struct prompt *p = &r->prompts[i];
        if (p->id != NULL && !p->ended && f->prompt_id.p != NULL && c->client != NULL &&
            strcmp(p->client, c->client) == 0 && str_is(f->prompt_id, p->id)) {
            feed_prompt(r, p, f);
        }
    }
    buf_done(&message);
}

static void note(struct replay *r, const json_t *line)
{
    const char *text = text_of(line, "note");
    if (text_of(line, "conn")[0] == '\0') {
        return;
    }
    struct conn *c = conn_of(r, text_of(line, "conn"));
    const char *client = strstr(text, "clientId=");
    if (strncmp(text, "ws connect", 10) == 0 && client != NULL) {
        free(c->client);
        c->client = mem_strdup(client + 9);
        c->client[strcspn(c->client, " ")] = '\0';
        c->open = true;
    } else if (strncmp(text, "ws closed", 9) == 0 && c->client != NULL) {
        c->open = false;
        for (size_t i = 0; i < r->prompts_len; i++) {
            struct prompt *p = &r->prompts[i];
            if (p->id != NULL && !p->ended && strcmp(p->client, c->client) == 0) {
                p->gap = true;
                profiler_gap_begin(p->profiler, r->now, "socket_lost");
            }
        }
    }
}

/* A recorded answer to /history/{id}: for prompts whose socket missed something. */
static void read_history(struct replay *r, const json_t *line)
{
    AUTO_FREE char *text = json_dumps(json_object_get(line, "body"), JSON_COMPACT);
    if (text == NULL) {
        return;
    }
    for (size_t i = 0; i < r->prompts_len; i++) {
        struct prompt *p = &r->prompts[i];
        struct history_answer h;
        if (p->id == NULL || !p->gap || !p->ended) {
            continue;
        }
        if (history_answer_read(str_of(text), str_of(p->id), &h) && h.found) {
            struct str *done = mem_alloc((h.outputs_len + 1) * sizeof *done);
            for (size_t k = 0; k < h.outputs_len; k++) {
                done[k] = h.outputs[k].node_id;
            }
            profiler_history(p->profiler, &p->timeline, r->now, h.messages, h.messages_len, done,
                             h.outputs_len);
            free(done);
        }
        history_answer_done(&h);
    }
}

static void play_line(struct replay *r, const json_t *line)
{
    const char *dir = text_of(line, "dir");
    r->now.us = (int64_t)(json_number_value(json_object_get(line, "t")) * 1e6 + 0.5);
    const bool prompt_path = strcmp(text_of(line, "path"), "/prompt") == 0 &&
                             strcmp(text_of(line, "method"), "POST") == 0;
    if (strcmp(dir, "http-req") == 0 && prompt_path) {
        add_prompt(r, line);
    } else if (strcmp(dir, "http-resp") == 0 && prompt_path) {
        answer_prompt(r, line);
    } else if (strcmp(dir, "http-resp") == 0 &&
               strncmp(text_of(line, "path"), "/history/", 9) == 0) {
        read_history(r, line);
    } else if (strcmp(dir, "ws-text") == 0) {
        hear(r, line);
    } else if (strcmp(dir, "note") == 0) {
        note(r, line);
    }
}

/* ---- identities ------------------------------------------------------------------------------ */

static void check_node(const struct profile *p, const struct profile_node *n, size_t index)
{
    ck_assert_int_eq(n->order, n->has_start ? (int)index : -1);
    ck_assert(n->has_start || !n->has_duration);
    ck_assert((n->status == PROFILE_CACHED) == (n->has_duration && n->status == PROFILE_CACHED));
    if (n->has_start) {
        ck_assert_int_ge(n->start.us, p->at.started.us);
        ck_assert_int_le(n->start.us, p->at.ended.us);
    }
    int64_t sum = 0;
    for (size_t i = 0; i < n->slices_len; i++) {
        ck_assert_int_ge(n->slices[i].from.us, p->at.started.us);
        ck_assert_int_le(n->slices[i].to.us, p->at.ended.us);
        ck_assert_int_le(n->slices[i].from.us, n->slices[i].to.us);
        sum += mono_diff(n->slices[i].to, n->slices[i].from).us;
    }
    if (n->has_duration) {
        ck_assert_int_eq(n->duration.us, sum);
        ck_assert_int_ge(n->self.us, 0);
        ck_assert_int_le(n->self.us, n->duration.us);
    }
}

static void check_identities(const struct profile *p)
{
    const int64_t total = mono_diff(p->at.ended, p->at.queued).us;
    const struct mono_us started = p->at.has_started ? p->at.started : p->at.ended;
    const int64_t queue = mono_diff(started, p->at.queued).us;
    const int64_t execution = mono_diff(p->at.ended, started).us;
    ck_assert_int_eq(total, queue + execution);
    ck_assert_int_eq(queue, p->waiting.us + p->dispatch.us + p->backend_queue.us);
    ck_assert_int_eq(execution, p->planning.us + p->executing.us);
    ck_assert(p->waiting.us >= 0 && p->dispatch.us >= 0 && p->backend_queue.us >= 0);
    ck_assert(p->planning.us >= 0 && p->executing.us >= 0);
    ck_assert_uint_eq(p->executed + p->cached + p->failed + p->pending, p->total);
    ck_assert_uint_eq(p->total, p->workflow->len);
    ck_assert_uint_eq(p->nodes_len, p->total + p->expanded);
    ck_assert(p->unaccounted.us >= 0 && p->unaccounted.us <= p->executing.us);
    for (size_t i = 0; i < p->nodes_len; i++) {
        check_node(p, &p->nodes[i], i);
        if (i > 0 && p->nodes[i].has_start) {
            ck_assert(p->nodes[i - 1].has_start);
            ck_assert_int_ge(p->nodes[i].start.us, p->nodes[i - 1].start.us);
        }
    }
    for (size_t i = 1; i < p->slowest_len; i++) {
        ck_assert_int_ge(p->nodes[p->slowest[i - 1]].duration.us,
                         p->nodes[p->slowest[i]].duration.us);
    }
}

/* ---- what is compared ------------------------------------------------------------------------ */

static double ms(int64_t us)
{
    return (double)us / 1000.0;
}

static void write_node(const struct profile *p, const struct profile_node *n, struct buf *out)
{
    buf_printf(out, "  %2d %-24.*s %-9s", n->order, (int)n->id.n, n->id.p,
               profile_status_name(n->status));
    if (n->has_start) {
        buf_printf(out, " at %.3f", ms(mono_diff(n->start, p->at.started).us));
    }
    if (n->has_duration) {
        buf_printf(out, " took %.3f", ms(n->duration.us));
    }
    if (n->has_duration && n->self.us != n->duration.us) {
        buf_printf(out, " self %.3f", ms(n->self.us));
    }
    if (n->slices_len > 1) {
        buf_printf(out, " in %zu slices", n->slices_len);
    }
    if (n->progress_len > 0) {
        buf_printf(out, " progress %zu to %g/%g", n->progress_len,
                   n->progress[n->progress_len - 1].value, n->progress[n->progress_len - 1].max);
    }
    if (n->parent.p != NULL) {
        buf_printf(out, " parent %.*s", (int)n->parent.n, n->parent.p);
    }
    if (n->display.p != NULL) {
        buf_printf(out, " shown as %.*s", (int)n->display.n, n->display.p);
    }
    if (n->error != NULL) {
        buf_printf(out, " error \"%.*s\"", (int)strcspn(n->error, "\n"), n->error);
    }
    buf_add_char(out, '\n');
}

static void write_profile(const struct profile *p, struct buf *out)
{
    const struct mono_us started = p->at.has_started ? p->at.started : p->at.ended;
    buf_printf(out, "%s queue %.3f execution %.3f planning %.3f unaccounted %.3f",
               attempt_outcome_name(p->outcome), ms(mono_diff(started, p->at.queued).us),
               ms(mono_diff(p->at.ended, started).us), ms(p->planning.us), ms(p->unaccounted.us));
    buf_printf(out, "; %zu nodes: %zu executed %zu cached %zu failed %zu pending, %zu expanded",
               p->total, p->executed, p->cached, p->failed, p->pending, p->expanded);
    for (size_t i = 0; i < p->gaps_len; i++) {
        buf_printf(out, "; gap %s %.3f", p->gaps[i].reason,
                   ms(mono_diff(p->gaps[i].to, p->gaps[i].from).us));
    }
    buf_add_text(out, p->source == PROFILE_FROM_EVENTS ? "\n" : "; history read\n");
    for (size_t i = 0; i < p->nodes_len; i++) {
        write_node(p, &p->nodes[i], out);
    }
}

/* ---- formats --------------------------------------------------------------------------------- */

static const struct golden {
    const char *trace;  /* begins so, behind the version */
    const char *prompt; /* which one of the recording */
} goldens[] = {
    {"01-", "1"}, {"03-", "1"}, {"04-", "1"}, {"05-", "1"}, {"07-", "1"}, {"09-", "1"},
    {"11-", "1"}, {"11-", "3"}, {"11-", "6"}, {"11-", "8"}, {"12-", "1"}, {"12-", "2"},
    {"12-", "5"}, {"13-", "1"}, {"13-", "3"}, {"13-", "4"},
};

static const char *const endings[FORMAT_COUNT] = {
    [FORMAT_JSON] = "json",
    [FORMAT_TEXT] = "txt",
    [FORMAT_CSV] = "csv",
    [FORMAT_CHROME] = "chrome.json",
    [FORMAT_SPEEDSCOPE] = "speedscope.json",
    [FORMAT_FOLDED] = "folded",
    [FORMAT_OTLP] = "otlp.json",
};

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return NULL;
    }
    struct buf b;
    buf_init(&b, BUF_NO_LIMIT);
    for (int c = fgetc(file); c != EOF; c = fgetc(file)) {
        buf_add_char(&b, (char)c);
    }
    (void)fclose(file);
    return buf_take(&b);
}

static void render_as(enum format f, const struct profile *p, struct str json, struct buf *out)
{
    if (f != FORMAT_OTLP) {
        ck_assert(render_profile(f, json, out));
        return;
    }
    const struct render_trace job = {
        .job_id = p->job_id,
        .trace_parent = "",
        .state = p->outcome == ATTEMPT_COMPLETED ? "completed" : "failed",
        .workflow_hash = "00",
        .backend = p->backend,
        .queued_at = anchor_wall(&p->anchor, p->at.queued),
        .completed_at = anchor_wall(&p->anchor, p->at.ended),
        .profiles = &json,
        .profiles_len = 1,
        .version = "1",
    };
    render_otlp(&job, out);
}

/* So that people can read what changed. */
static void indent_json(struct buf *b)
{
    json_auto_t *o = json_loadb(b->data, b->len, 0, NULL);
    AUTO_FREE char *text = json_dumps(o, JSON_INDENT(1) | JSON_REAL_PRECISION(16));
    buf_clear(b);
    buf_add_text(b, text);
    buf_add_char(b, '\n');
}

/* tests/traces/VERSION/NAME.jsonl -> tests/traces/formats/VERSION/NAME[.PROMPT].ENDING */
static void golden_path(const char *trace, const char *prompt, const char *ending, struct buf *out)
{
    static const char root[] = "tests/traces/";
    const char *name = trace + sizeof root - 1;
    const bool only = strcmp(prompt, "1") == 0;
    buf_printf(out, "tests/traces/formats/%.*s%s%s.%s", (int)(strlen(name) - strlen(".jsonl")),
               name, only ? "" : ".", only ? "" : prompt, ending);
}

static void compare_format(const struct replay *r, const struct golden *g, enum format f,
                           struct buf *made)
{
    AUTO_BUF struct buf path;
    buf_init(&path, BUF_NO_LIMIT);
    golden_path(r->path, g->prompt, endings[f], &path);
    if (strstr(endings[f], "json") != NULL) {
        indent_json(made);
    }
    if (getenv("FORMATS_PRINT") != NULL) {
        printf("==> %s\n%s<==\n", buf_text(&path), buf_text(made));
        return;
    }
    AUTO_FREE char *want = read_file(buf_text(&path));
    ck_assert_msg(want != NULL, "%s is missing", buf_text(&path));
    size_t i = 0; /* shows where they part: the texts are too long for a message */
    size_t line = 1;
    for (; want[i] != '\0' && buf_text(made)[i] == want[i]; i++) {
        line += want[i] == '\n';
    }
    ck_assert_msg(buf_text(made)[i] == want[i], "%s:%zu: got \"%.200s\", expected \"%.200s\"",
                  buf_text(&path), line, buf_text(made) + i, want + i);
}

static void compare_formats(const struct replay *r, size_t prompt, const struct profile *p,
                            struct str json)
{
    const char *name = strrchr(r->path, '/') + 1;
    for (size_t i = 0; i < sizeof goldens / sizeof *goldens; i++) {
        const struct golden *g = &goldens[i];
        if (strncmp(name, g->trace, strlen(g->trace)) != 0 ||
            strtoul(g->prompt, NULL, 10) != prompt) {
            continue;
        }
        for (int f = 0; f < FORMAT_COUNT; f++) {
            if (endings[f] == NULL) {
                continue;
            }
            AUTO_BUF struct buf made;
            buf_init(&made, BUF_NO_LIMIT);
            render_as(f, p, json, &made);
            compare_format(r, g, f, &made);
        }
    }
}

static void check_rendered(const struct replay *r, size_t prompt, struct profile *p)
{
    p->job_id = "01a204ec-7f48-7332-8199-72b2aa99b538";
    p->backend = "one";
    p->attempt = 1;
    AUTO_BUF struct buf json;
    buf_init(&json, BUF_NO_LIMIT);
    render_profile_json(p, &json);
    check_formats(r->path, buf_str(&json));
    compare_formats(r, prompt, p, buf_str(&json));
}

static void finish_prompt(struct replay *r, size_t index, struct buf *out)
{
    struct prompt *p = &r->prompts[index];
    if (p->id != NULL) {
        if (!p->ended) {
            p->outcome = ATTEMPT_LOST;
            timeline_end(&p->timeline, r->now, 0);
        }
        struct profile profile;
        profiler_finish(p->profiler, &p->timeline, p->outcome, &profile);
        profile.prompt_id = p->id;
        check_identities(&profile);
        write_profile(&profile, out);
        if (!r->whole) {
            check_rendered(r, index + 1, &profile);
        }
    }
    profiler_free(p->profiler);
    workflow_free(p->workflow);
    free(p->request);
    free(p->id);
    free(p->client);
}

static void play(const char *path, bool whole, struct buf *out)
{
    FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "cannot open %s (run from the project's root)", path);
    struct replay *r = mem_zero(1, sizeof *r);
    r->whole = whole;
    r->path = path;
    char *line = NULL;
    size_t cap = 0;
    while (getline(&line, &cap, file) > 0) {
        json_auto_t *o = json_loads(line, JSON_ALLOW_NUL, NULL);
        if (o != NULL) {
            play_line(r, o);
        }
    }
    free(line);
    (void)fclose(file);
    for (size_t i = 0; i < r->prompts_len; i++) {
        finish_prompt(r, i, out);
    }
    for (size_t i = 0; i < r->conns_len; i++) {
        free(r->conns[i].label);
        free(r->conns[i].client);
        decoder_free(r->conns[i].decoder);
    }
    free(r);
}

static glob_t traces;

/* tests/traces/VERSION/NAME.jsonl -> tests/traces/expected/VERSION/NAME.txt */
static void expected_path(const char *trace, struct buf *out)
{
    static const char root[] = "tests/traces/";
    buf_printf(out, "tests/traces/expected/%.*s.txt",
               (int)(strlen(trace) - sizeof root + 1 - strlen(".jsonl")), trace + sizeof root - 1);
}

START_TEST(trace)
{
    const char *path = traces.gl_pathv[_i];
    AUTO_BUF struct buf fast;
    AUTO_BUF struct buf whole;
    AUTO_BUF struct buf expected_at;
    buf_init(&fast, BUF_NO_LIMIT);
    buf_init(&whole, BUF_NO_LIMIT);
    buf_init(&expected_at, 4096);
    play(path, false, &fast);
    play(path, true, &whole);
    ck_assert_msg(strcmp(buf_text(&fast), buf_text(&whole)) == 0,
                  "%s: the decoder's fast path differs:\n%s\nwhole:\n%s", path, buf_text(&fast),
                  buf_text(&whole));
    expected_path(path, &expected_at);
    if (getenv("TRACES_PRINT") != NULL) {
        printf("==> %s\n%s", buf_text(&expected_at), buf_text(&fast));
        return;
    }
    AUTO_FREE char *expected = read_file(buf_text(&expected_at));
    ck_assert_msg(expected != NULL, "%s is missing", buf_text(&expected_at));
    ck_assert_msg(strcmp(expected, buf_text(&fast)) == 0, "%s:\ngot:\n%s\nexpected:\n%s", path,
                  buf_text(&fast), expected);
}
END_TEST

Suite *trace_suite(void)
{
    Suite *s = suite_create("traces");
    TCase *c = tcase_create("recordings of real servers");
    tcase_set_timeout(c, 120);
    (void)glob("tests/traces/v*/*.jsonl", 0, NULL, &traces);
    tcase_add_loop_test(c, trace, 0, (int)traces.gl_pathc);
    suite_add_tcase(s, c);
    return s;
}
