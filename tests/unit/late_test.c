/*
 * Frames that came late, and nodes that are displayed for their copies, by tables. A run is a list
 * of words, "KIND[NODE]@READ[/SENT]", in ms after the POST: S execution_start, C execution_cached,
 * r running and executing, R running, k executing of which it is known when it came, f finished, p
 * progress, E execution_success, X an error of the node; L: what is read at READ may have waited
 * since SENT; U: frames before this one were not seen. Stamped ones are sent when they are read
 * unless SENT says otherwise. Nodes a to c are the workflow's; "xN" is a copy of c that a expanded
 * into, "yN" one of which nobody says what expanded into it, "aN" a node that is part of a; one
 * more letter is a node inside of that. And what a connection held back while we stood still.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/buf.h"
#include "comfypool/core/backlog.h"
#include "comfypool/core/profiler.h"
#include "comfypool/core/progress.h"
#include "comfypool/core/server_clock.h"
#include "comfypool/render/render.h"
#include "suites.h"

static const struct row {
    const char *name;
    const char *run;
    const char *nodes; /* id status start duration, or start, or min..max */
    const char *gaps;
} rows[] = {
    {"in time", "S@3 C@4 ra@5 fa@105 rb@105 fb@205 rc@205 fc@305 E@305",
     "a completed 5 100, b completed 105 100, c completed 205 100", ""},
    {"the end and the last node's, by a garbage collection",
     "S@3 C@4 ra@5 fa@105 rb@105 fb@205 rc@205 fc@434 E@435/305",
     "a completed 5 100, b completed 105 100, c completed 205 100", ""},
    {"the last node's and that of what it lies in", "S@3 C@4 ra@5 ra1@100 fa1@434 fa@434 E@435/305",
     "a completed 5 300, a1 completed 100 205, b pending, c pending", ""},
    {"the last node was short: nothing is left open", "S@3 C@4 ra@5 fa@304 rb@434 fb@434 E@435/305",
     "a completed 5 299, b completed 305 0, c pending", ""},
    {"the end came later than anything explains, and nothing was read meanwhile",
     "S@3 C@4 ra@5 fa@305 rb@305 fb@2300 E@2300/805",
     "a completed 5 300, b completed 305 0..1995, c pending", "frames_late 305-2300"},
    {"... but its node ended in time: the end alone is late",
     "S@3 C@4 ra@5 fa@305 rb@305 fb@805 E@2300/806",
     "a completed 5 300, b completed 305 500, c pending", ""},
    {"... by a stamp that lies before that: the clock was set back, or not",
     "S@3 C@4 ra@5 fa@305 rb@305 fb@805 E@1605/790",
     "a completed 5 300, b completed 305 500, c pending", "frames_late 805-1605"},
    {"... one of two that ran", "S@3 C@4 ra@5 rb@5 fb@805 fa@2300 E@2300/806",
     "a completed 5 800..2295, b completed 5 800, c pending", "frames_late 805-2300"},
    {"... or others were held with it", "S@3 C@4 ra@5 fa@305 rb@1300 fb@1300 E@1300/806",
     "a completed 5 300, b completed 0..501, c pending", "frames_late 305-806"},
    {"the clock was set back in the planning: as they were read",
     "S@3 C@1404/-3596 ra@1404 fa@1604 E@1605/-3395",
     "a completed 1404 0..200, b pending, c pending", "clock_changed 3-1605"},
    {"the last ones were held back", "S@3 C@4 ra@5 fa@105 rb@105 fb@950 rc@950 fc@950 E@950/805",
     "a completed 5 100, b completed 105 0..700, c completed 0..700", "frames_late 105-805"},
    {"... with progress between",
     "S@3 C@4 ra@5 fa@105 rb@105 pb@300 fb@950 rc@950 fc@950 E@950/805",
     "a completed 5 100, b completed 105 195..700, c completed 0..505", "frames_late 300-805"},
    {"... and let go some milliseconds behind the end",
     "S@3 C@4 ra@5 fa@809 rb@809 fb@809 rc@809 fc@809 E@810/803",
     "a completed 5 0..798, b completed 0..798, c completed 0..798", "frames_late 5-803"},
    {"... but one alone may be a little late, as threads switch",
     "S@3 C@4 ra@5 fa@807 rb@807 fb@807 E@807/803",
     "a completed 5 798, b completed 803 0, c pending", ""},
    {"... and be held then, by a garbage collection", "S@3 C@4 ra@5 fa@806 rb@912 fb@912 E@913/803",
     "a completed 5 798, b completed 803 0, c pending", ""},
    {"many short ones, all in a row: their frames take time to read",
     "S@3 C@4 ra@5 fa@301 rb@302 fb@303 rc@306 fc@309 E@310/301",
     "a completed 5 296, b completed 301 0, c completed 301 0", ""},
    {"a quick one, all of it read together and later than it took: nothing is left open",
     "S@21/11 C@21/11 ra@21 fa@21 rb@21 fb@21 rc@21 fc@22 E@22/13",
     "a completed 13 0, b completed 13 0, c completed 13 0", ""},
    {"all are late, one by one, and so is the end",
     "S@3 C@4 ra@5 fa@60 rb@61 fb@80 rc@81 fc@100 "
     "E@100/50",
     "a completed 0..46, b completed 0..46, c completed 0..46", "frames_late 4-50"},
    {"... or a few at a time, with one close to the end that the stamp tells",
     "S@3 C@4 ra@5 fa@48 rb@49 fb@52 rc@55 fc@58 rc@61 pc@64 pc@67 pc@70 pc@73 fc@76 E@78/50",
     "a completed 0..44, b completed 0..46, c completed 0..46", "frames_late 4-50"},
    {"frames of nodes of 100 are 300 late: a slow link is no other clock",
     "S@3 C@4 ra@305 fa@405 rb@405 fb@505 rc@505 fc@605 E@605/305",
     "a completed 0..401, b completed 0..501, c completed 0..601", "frames_late 4-605"},
    {"the first ones were held back",
     "S@423/3 C@423/4 ra@424 fa@705 rb@705 fb@805 rc@805 fc@905 E@905",
     "b completed 705 100, c completed 805 100, a completed 281..702", "frames_late 3-424"},
    {"only the start was: what was sent behind the plan came in time",
     "S@403/3 C@403/403 ra@404 fa@705 rb@705 fb@805 E@805",
     "a completed 404 301, b completed 705 100, c pending", "frames_late 3-403"},
    {"only the plan was late", "S@3 C@104/4 ra@104 fa@305 rb@305 fb@405 E@405",
     "b completed 305 100, a completed 201..301, c pending", "frames_late 4-104"},
    {"what follows close together did not all wait with a late one",
     "S@423/3 C@423/4 ra@424 pa@427 pa@430 fa@433 rb@433 pb@436 pb@439 fb@442 rc@442 fc@905 E@905",
     "b completed 433 9, c completed 442 463, a completed 9..430", "frames_late 3-427"},
    {"within the jitter", "S@18/3 C@19/4 ra@19 fa@305 E@305",
     "a completed 19 286, b pending, c pending", ""},
    {"the daemon was busy over a whole node",
     "S@3 C@4 ra@5 fa@105 rb@105 L@700/300 fb@700 rc@700 fc@700 E@900",
     "a completed 5 100, b completed 105 195..595, c completed 0..400", "daemon_busy 300-700"},
    {"... and nothing waited", "S@3 C@4 ra@5 fa@105 rb@105 fb@700 rc@700 fc@900 E@900",
     "a completed 5 100, b completed 105 595, c completed 700 200", ""},
    {"... but it is known when the last one came",
     "S@3 C@4 ra@5 fa@105 rb@105 L@700/300 fb@700 Rc@700 kc@700/690 fc@900 E@900",
     "a completed 5 100, b completed 105 195..595, c completed 690 210", "daemon_busy 300-700"},
    {"busy twice, told once", "S@3 C@4 ra@5 L@300/200 fa@300 L@300/200 rb@300 fb@400 E@400",
     "a completed 5 195..295, b completed 100..200, c pending", "daemon_busy 200-300"},
    {"the start was late because we were", "L@303/100 S@303/103 C@303/104 ra@303 fa@500 E@500",
     "a completed 197..397, b pending, c pending", "daemon_busy 100-303"},
    {"execution_start was not seen", "U@400 C@400 ra@401 fa@501 E@501",
     "a completed 401 100, b pending, c pending", "start_unseen 0-400"},
    {"the clock was set: durations are as they were read, but for what came with the end",
     "S@3 C@4 ra@5 fa@305 rb@305 fb@505 E@505/-4495",
     "a completed 5 300, b completed 305 0..200, c pending", "clock_changed 4-505"},
    {"... there was progress between", "S@3 C@4 ra@5 fa@305 rb@305 pb@400 fb@505 E@505/-4495",
     "a completed 5 300, b completed 305 95..200, c pending", "clock_changed 4-505"},
    {"... and it ended before", "S@3 C@4 ra@5 fa@305 rb@305 fb@405 E@505/-4495",
     "a completed 5 300, b completed 305 100, c pending", "clock_changed 4-505"},
    {"... it was cut off", "S@3 C@4 ra@5 fa@305 rb@305 Xb@505/-4495",
     "a completed 5 300, b failed 305 0..200, c pending", "clock_changed 4-505"},
    {"copies are the displayed node",
     "S@3 C@4 ra@5 rx1@10 fx1@110 rx2@110 fx2@310 fa@311 rb@311 fb@400 E@400",
     "a completed 5 306, c completed 10 300, x1 completed 10 100, x2 completed 110 200, b "
     "completed 311 89",
     ""},
    {"a copy that runs", "S@3 C@4 ra@5 rx1@10 fx1@110 rx2@110",
     "a executing 5, c executing 10, x1 completed 10 100, x2 executing 110, b pending", ""},
    {"a copy that was late", "S@3 C@4 ra@5 rx1@10 fx1@110 rx2@110 L@400/200 fx2@400 fa@401 E@401",
     "a completed 5 396, c completed 10 190..390, x1 completed 10 100, x2 completed 110 90..290, b "
     "pending",
     "daemon_busy 200-401"},
    {"what a copy expands into is no other copy",
     "S@3 C@4 ra@5 rx1@10 rx1i@20 fx1i@110 fx1@110 rx2@110 fx2@310 fa@311 rb@311 fb@400 E@400",
     "a completed 5 306, c completed 10 300, x1 completed 10 100, x1i completed 20 90, x2 "
     "completed "
     "110 200, b completed 311 89",
     ""},
    {"copies of which nobody says whose they are",
     "S@3 C@4 ra@5 ry1@10 fy1@110 ry2@110 fy2@310 fa@311 rb@311 fb@400 E@400",
     "a completed 5 306, c completed 10 300, y1 completed 10 100, y2 completed 110 200, b "
     "completed 311 89",
     ""},
    {"between two copies it is not done", "S@3 C@4 ra@5 rx1@10 fx1@110",
     "a executing 5, c executing 10, x1 completed 10 100, b pending", ""},
    {"... nor where nobody says whose they are", "S@3 C@4 ra@5 ry1@10 fy1@110 fa@120",
     "a completed 5 115, c executing 10, y1 completed 10 100, b pending", ""},
    {"... it is when something else began", "S@3 C@4 ra@5 ry1@10 fy1@110 fa@120 rb@120",
     "a completed 5 115, c completed 10 100, y1 completed 10 100, b executing 120", ""},
    {"... or what made them ended", "S@3 C@4 ra@5 rx1@10 fx1@110 fa@120",
     "a completed 5 115, c completed 10 100, x1 completed 10 100, b pending", ""},
    {"what threw inside is failed", "S@3 C@4 ra@5 ra1@10 fa1@20 ra2@20 Xa@50",
     "a failed 5 45, a1 completed 10 10, a2 failed 20 30, b pending, c pending", ""},
    {"... and what lies between", "S@3 C@4 ra@5 ra1@10 ra1i@20 Xa@50",
     "a failed 5 45, a1 failed 10 40, a1i failed 20 30, b pending, c pending", ""},
    {"... inside of a copy", "S@3 C@4 ra@5 rx1@10 rx1i@20 Xa@50",
     "a failed 5 45, c failed 10 40, x1 failed 10 40, x1i failed 20 30, b pending", ""},
    {"a copy that threw of which nobody says whose it is",
     "S@3 C@4 ra@5 ry1@10 fy1@20 ry2@20 Xa@50",
     "a failed 5 45, c failed 10 40, y1 completed 10 10, y2 failed 20 30, b pending", ""},
    {"a copy that threw", "S@3 C@4 ra@5 rx1@10 fx1@20 rx2@20 Xa@50",
     "a failed 5 45, c failed 10 40, x1 completed 10 10, x2 failed 20 30, b pending", ""},
};

enum { EPOCH_MS = 1000000000 };

static struct mono_us at(long ms)
{
    return (struct mono_us){(5000 + ms) * 1000};
}

struct playing {
    struct profiler *profiler;
    struct progress progress;
    struct timeline timeline;
    enum attempt_outcome outcome;
    long now;
};

static void feed(struct playing *p, const struct frame *f)
{
    timeline_heard(&p->timeline, at(p->now), p->progress.running_len > 0);
    if (f->type == FRAME_EXECUTING) {
        timeline_node_began(&p->timeline);
    }
    profiler_feed(p->profiler, at(p->now), f);
    progress_feed(&p->progress, f, NULL, NULL);
}

static struct str display_of(struct str id)
{
    return id.n == 1 ? id : id.p[0] == 'a' ? STR("a") : STR("c");
}

static struct str parent_of(struct str id)
{
    const bool has_none = id.n == 1 || (id.n == 2 && id.p[0] == 'y');
    return has_none ? (struct str){NULL, 0} : id.n == 2 ? STR("a") : (struct str){id.p, 2};
}

static void feed_state(struct playing *p, struct str id, enum node_state state)
{
    const struct frame_node n = {
        .id = id, .parent = parent_of(id), .display = display_of(id), .state = state};
    feed(p, &(struct frame){.type = FRAME_STATE, .nodes = &n, .nodes_len = 1});
}

static void end(struct playing *p, enum attempt_outcome outcome, int64_t stamp_ms)
{
    p->outcome = outcome;
    timeline_end(&p->timeline, at(p->now), stamp_ms);
}

static void play_word(struct playing *p, char kind, struct str id, long sent)
{
    struct frame f = {.node = id, .stamp_ms = at(sent).us / 1000 + EPOCH_MS};
    switch (kind) {
    case 'S':
        f.type = FRAME_START;
        (void)timeline_start(&p->timeline, at(p->now), f.stamp_ms);
        feed(p, &f);
        break;
    case 'C':
        f.type = FRAME_CACHED;
        timeline_planned(&p->timeline, at(p->now), f.stamp_ms, false);
        feed(p, &f);
        break;
    case 'r':
    case 'R':
    case 'f':
        feed_state(p, id, kind == 'f' ? NODE_STATE_FINISHED : NODE_STATE_RUNNING);
        if (kind == 'r') {
            f.type = FRAME_EXECUTING;
            f.display_node = display_of(id);
            feed(p, &f);
        }
        break;
    case 'k':
        f.type = FRAME_EXECUTING;
        p->now = sent;
        profiler_punctual(p->profiler, at(sent));
        feed(p, &f);
        break;
    case 'p':
        f.type = FRAME_PROGRESS;
        feed(p, &f);
        break;
    case 'L':
        profiler_late(p->profiler, at(sent), at(p->now), "daemon_busy");
        break;
    case 'U':
        p->timeline.unseen = at(p->now);
        (void)timeline_start(&p->timeline, at(p->now), 0);
        break;
    case 'X':
        f.type = FRAME_ERROR;
        f.message = STR("it broke");
        f.error_type = STR("ValueError");
        feed(p, &f);
        end(p, ATTEMPT_FAILED, f.stamp_ms);
        break;
    default:
        ck_assert_int_eq(kind, 'E');
        f.type = FRAME_SUCCESS;
        feed(p, &f);
        end(p, ATTEMPT_COMPLETED, f.stamp_ms);
        break;
    }
}

static void play(struct playing *p, const char *run)
{
    while (*run != '\0') {
        const char *mark = strchr(run, '@');
        char *rest = NULL;
        p->now = strtol(mark + 1, &rest, 10);
        const long sent = *rest == '/' ? strtol(rest + 1, &rest, 10) : p->now;
        play_word(p, run[0], (struct str){run + 1, (size_t)(mark - run - 1)}, sent);
        run = rest + strspn(rest, " ");
    }
}

static long ms_of(struct dur_us d)
{
    return (long)(d.us / 1000);
}

static void write_nodes(const struct profile *p, struct buf *out)
{
    for (size_t i = 0; i < p->nodes_len; i++) {
        const struct profile_node *n = &p->nodes[i];
        buf_printf(out, "%s%.*s %s", i == 0 ? "" : ", ", (int)n->id.n, n->id.p,
                   profile_status_name(n->status));
        if (n->has_start) {
            buf_printf(out, " %ld", ms_of(mono_diff(n->start, at(0))));
        }
        if (n->has_duration) {
            buf_printf(out, " %ld", ms_of(n->duration));
        }
        if (n->has_bounds) {
            buf_printf(out, " %ld..%ld", ms_of(n->duration_min), ms_of(n->duration_max));
        }
        ck_assert(!n->has_bounds || !n->has_duration);
    }
}

static void write_gaps(const struct profile *p, struct buf *out)
{
    for (size_t i = 0; i < p->gaps_len; i++) {
        buf_printf(out, "%s%s %ld-%ld", i == 0 ? "" : ", ", p->gaps[i].reason,
                   ms_of(mono_diff(p->gaps[i].from, at(0))),
                   ms_of(mono_diff(p->gaps[i].to, at(0))));
    }
}

/* The two that tell of nodes tell the same. */
static void check_progress(const struct row *row, const struct playing *p,
                           const struct profile *profile)
{
    struct profile other = *profile;
    AUTO_FREE struct profile_node *nodes = mem_alloc(other.nodes_len * sizeof *nodes);
    memcpy(nodes, profile->nodes, other.nodes_len * sizeof *nodes);
    other.nodes = nodes;
    progress_mark(&p->progress, &other);
    for (size_t i = 0; i < other.nodes_len; i++) {
        ck_assert_msg(nodes[i].status == profile->nodes[i].status, "%s: %.*s is %s, progress: %s",
                      row->name, (int)nodes[i].id.n, nodes[i].id.p,
                      profile_status_name(profile->nodes[i].status),
                      profile_status_name(nodes[i].status));
    }
    ck_assert_uint_eq(other.executed, profile->executed);
}

/* Who compares it is told whether its execution is a measure. */
static void check_told(const struct row *row, const struct playing *p, struct profile *profile)
{
    AUTO_BUF struct buf json;
    buf_init(&json, BUF_NO_LIMIT);
    profile->job_id = profile->prompt_id = "";
    render_profile_json(profile, &json);
    const bool said = strstr(buf_text(&json), "\"executionKnown\":false") != NULL;
    ck_assert_msg(said == (p->outcome != ATTEMPT_OPEN && !timeline_is_told(&p->timeline)), "%s",
                  row->name);
}

/* A server whose clock is known: it ran something before. */
static struct server_clock known_clock(void)
{
    struct timeline t;
    timeline_init(&t, (struct time_anchor){.mono = at(-900)}, at(-900));
    t.posted = t.accepted = (struct time_mark){.set = true, .received = at(-900)};
    t.started = (struct time_mark){
        .set = true, .received = at(-899), .stamp_ms = at(-899).us / 1000 + EPOCH_MS};
    t.ended = (struct time_mark){
        .set = true, .received = at(-500), .stamp_ms = at(-500).us / 1000 + EPOCH_MS};
    struct server_clock c = {.len = 0};
    t.clock = server_clock_judge(&c, &t);
    server_clock_learn(&c, &t);
    return c;
}

START_TEST(late)
{
    const struct row *row = &rows[_i];
    struct workflow *w = NULL;
    struct workflow_problem problem;
    ck_assert(workflow_parse(
        STR("{\"a\":{\"inputs\":{}},\"b\":{\"inputs\":{}},\"c\":{\"inputs\":{}}}"), &w, &problem));
    struct playing p = {.profiler = profiler_new(w, 100), .outcome = ATTEMPT_OPEN};
    progress_init(&p.progress, w);
    timeline_init(&p.timeline, (struct time_anchor){.mono = at(0)}, at(0));
    p.timeline.intent = p.timeline.posted = (struct time_mark){.set = true, .received = at(0)};
    p.timeline.accepted = (struct time_mark){.set = true, .received = at(2)};
    play(&p, row->run);
    timeline_end(&p.timeline, at(p.now), 0);
    const struct server_clock clock = known_clock();
    p.timeline.clock = server_clock_judge(&clock, &p.timeline);
    struct profile profile;
    profiler_finish(p.profiler, &p.timeline, p.outcome, &profile);
    AUTO_BUF struct buf nodes;
    AUTO_BUF struct buf gaps;
    buf_init(&nodes, BUF_NO_LIMIT);
    buf_init(&gaps, BUF_NO_LIMIT);
    write_nodes(&profile, &nodes);
    write_gaps(&profile, &gaps);
    ck_assert_msg(strcmp(buf_text(&nodes), row->nodes) == 0, "%s:\ngot  %s\nwant %s", row->name,
                  buf_text(&nodes), row->nodes);
    ck_assert_msg(strcmp(buf_text(&gaps), row->gaps) == 0, "%s:\ngot  %s\nwant %s", row->name,
                  buf_text(&gaps), row->gaps);
    check_progress(row, &p, &profile);
    check_told(row, &p, &profile);
    progress_done(&p.progress);
    profiler_free(p.profiler);
    workflow_free(w);
}
END_TEST

/* ---- what nobody saw ------------------------------------------------------------------------- */

/* As JSON and as text. */
static void render_both(struct profile *profile, struct buf *out)
{
    AUTO_BUF struct buf json;
    buf_init(&json, BUF_NO_LIMIT);
    profile->job_id = profile->prompt_id = "";
    render_profile_json(profile, &json);
    ck_assert(render_profile(FORMAT_TEXT, buf_str(&json), out));
    buf_add_str(out, buf_str(&json));
}

/* Both of its ends are by stamps of a clock that was set between: no time is known, and none is 0.
 */
START_TEST(a_clock_that_was_set_while_nobody_watched)
{
    static const char *const want[] = {
        "\"executionTime\":null", "\"planning\":null,\"executing\":null", "\"unaccounted\":null",
        "Execution     not seen\n", "planning not seen, executing not seen\n"};
    struct workflow *w = NULL;
    struct workflow_problem problem;
    ck_assert(workflow_parse(STR("{\"a\":{\"inputs\":{}}}"), &w, &problem));
    struct profiler *p = profiler_new(w, 100);
    struct timeline t;
    timeline_init(&t, (struct time_anchor){.mono = at(0)}, at(0));
    t.intent = t.posted = (struct time_mark){.set = true, .received = at(0)};
    timeline_start_told(&t, at(900), EPOCH_MS + 5100);
    timeline_end(&t, at(900), EPOCH_MS + 1000);
    t.ended.by_history = true;
    const struct server_clock unknown = {.len = 0};
    t.clock = server_clock_judge(&unknown, &t);
    ck_assert(t.clock.changed);
    struct profile profile;
    profiler_finish(p, &t, ATTEMPT_COMPLETED, &profile);
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    render_both(&profile, &out);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        ck_assert_msg(strstr(buf_text(&out), want[i]) != NULL, "no %s in\n%s", want[i],
                      buf_text(&out));
    }
    profiler_free(p);
    workflow_free(w);
}
END_TEST

/* Nobody can say that nothing was missed of what has not begun, or is not profiled. */
START_TEST(what_is_not_watched_is_not_complete)
{
    struct workflow *w = NULL;
    struct workflow_problem problem;
    ck_assert(workflow_parse(STR("{\"a\":{\"inputs\":{}}}"), &w, &problem));
    struct profiler *p = profiler_new(w, 100);
    struct timeline t;
    timeline_init(&t, (struct time_anchor){.mono = at(0)}, at(0));
    timeline_end(&t, at(700), 0);
    for (int i = 0; i < 3; i++) { /* it waits; it runs; it runs and is not profiled */
        if (i == 1) {
            (void)timeline_start(&t, at(10), 0);
        }
        struct profile profile;
        profiler_finish(p, &t, ATTEMPT_OPEN, &profile);
        profile.analysis.known = profile.analysis.known && i < 2;
        AUTO_BUF struct buf out;
        buf_init(&out, BUF_NO_LIMIT);
        render_both(&profile, &out);
        const char *want = i == 1 ? "\"complete\":true" : "\"complete\":null";
        ck_assert_msg(strstr(buf_text(&out), want) != NULL, "%s", buf_text(&out));
        ck_assert_ptr_null(strstr(buf_text(&out), "missed"));
    }
    profiler_free(p);
    workflow_free(w);
}
END_TEST

/* ---- what is held back ----------------------------------------------------------------------- */

static const struct held_row {
    const char *name;
    /* Messages: when they are read in ms, how many KiB, since when by the loop; 0: now. */
    struct {
        double at;
        size_t kib;
        double waited_since;
    } reads[8];
    const char *want; /* a letter each: - came now, w waited, W waited, and nobody knows where */
} held_rows[] = {
    {"nothing waited", {{1, 50, 0}, {2, 50, 0}, {300, 1, 0}}, "---"},
    {"little waited: all of it was here, and is read in one go",
     {{300, 1, 100}, {300.5, 1, 0}, {301, 1, 0}, {303, 1, 0}},
     "www-"},
    {"much waited: the rest waits at the server, and comes as the network lets it",
     {{300, 200, 100}, {304, 200, 0}, {310, 1, 0}, {329, 200, 0}, {350, 1, 0}},
     "WWWW-"},
    {"much in little pieces", {{300, 20, 100}, {300.5, 20, 0}, {310, 20, 0}, {331, 20, 0}}, "wWW-"},
    {"a stream that never falls silent: no longer than the standstill",
     {{130, 200, 100}, {145, 9, 0}, {158, 9, 0}, {165, 9, 0}, {180, 9, 0}},
     "WWW--"},
    {"twice", {{300, 90, 100}, {400, 1, 0}, {700, 1, 500}, {705, 1, 0}}, "W-w-"},
};

START_TEST(what_is_held_back)
{
    const struct held_row *row = &held_rows[_i];
    struct backlog b = {.bytes = 0};
    char got[9] = "";
    for (size_t i = 0; i < strlen(row->want); i++) {
        const struct mono_us now = {(int64_t)(row->reads[i].at * 1000)};
        const struct mono_us since = {(int64_t)(row->reads[i].waited_since * 1000)};
        const struct mono_us told = backlog_read(&b, now, row->reads[i].kib * 1024, since);
        got[i] = told.us == 0 ? '-' : backlog_was_full(&b) ? 'W' : 'w';
    }
    ck_assert_msg(strcmp(got, row->want) == 0, "%s: got %s, want %s", row->name, got, row->want);
}
END_TEST

Suite *late_suite(void)
{
    Suite *s = suite_create("late");
    TCase *c = tcase_create("late");
    tcase_add_loop_test(c, late, 0, sizeof rows / sizeof *rows);
    tcase_add_test(c, a_clock_that_was_set_while_nobody_watched);
    tcase_add_test(c, what_is_not_watched_is_not_complete);
    tcase_add_loop_test(c, what_is_held_back, 0, sizeof held_rows / sizeof *held_rows);
    suite_add_tcase(s, c);
    return s;
}
