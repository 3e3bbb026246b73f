/*
 * The profiler by tables: each row is a run in a few words and the account that the rules give. A
 * run is a list of steps, each with its time in ms; what the recordings do not hold is here: clock
 * steps, servers without progress_state, duplicates, gaps at every place.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "comfypool/core/profiler.h"
#include "suites.h"

enum step_kind {
    END,
    START,
    CACHED,   /* node */
    EXEC,     /* executing */
    RUNNING,  /* progress_state running */
    FINISHED, /* progress_state finished */
    PROGRESS,
    EXECUTED,
    ERROR, /* execution_error of node */
    BLOCKED,
    INTERRUPTED,
    GAP,
    GAP_ENDS,
    HISTORY_CACHED, /* history: node is in execution_cached */
    HISTORY_DONE,   /* history: node has outputs */
    SUCCESS,
    GIVE_UP, /* lost */
};

struct step {
    enum step_kind kind;
    int ms;
    const char *node;
    const char *parent;
};

struct row {
    const char *name;
    struct step steps[24];
    const char *want; /* "id status start duration self" a node, ';' between */
    const char *summary;
};

static const struct row rows[] = {
    {"plain",
     {{START, 0, 0, 0},
      {CACHED, 5, 0, 0},
      {RUNNING, 10, "a", 0},
      {EXEC, 11, "a", 0},
      {FINISHED, 30, "a", 0},
      {RUNNING, 30, "b", 0},
      {EXEC, 30, "b", 0},
      {FINISHED, 50, "b", 0},
      {SUCCESS, 60, 0, 0}},
     "a completed 10 20 20;b completed 30 20 20;c pending",
     "completed 0 60 planning 5 unaccounted 15 executed 2 cached 0 failed 0 pending 1 complete"},
    {"executing first",
     {{START, 0, 0, 0},
      {EXEC, 10, "a", 0},
      {RUNNING, 12, "a", 0},
      {FINISHED, 30, "a", 0},
      {SUCCESS, 30, 0, 0}},
     "a completed 10 20 20;b pending;c pending",
     "completed 0 30 planning 10 unaccounted 0 executed 1 cached 0 failed 0 pending 2 complete"},
    {"cached by the list, in the order of the workflow",
     {{START, 0, 0, 0}, {CACHED, 5, "c", 0}, {CACHED, 5, "a", 0}, {SUCCESS, 9, 0, 0}},
     "a cached 5 0 0;c cached 5 0 0;b pending",
     "completed 0 9 planning 5 unaccounted 4 executed 0 cached 2 failed 0 pending 1 complete"},
    {"finished without executing is cached",
     {{START, 0, 0, 0},
      {CACHED, 1, 0, 0},
      {RUNNING, 1, "a", 0},
      {FINISHED, 5, "a", 0},
      {EXECUTED, 6, "b", 0},
      {FINISHED, 6, "b", 0},
      {FINISHED, 7, "c", 0},
      {SUCCESS, 9, 0, 0}},
     "a completed 1 4 4;b cached 6 0 0;c cached 7 0 0",
     "completed 0 9 planning 1 unaccounted 4 executed 1 cached 2 failed 0 pending 0 complete"},
    {"listed as cached, but it ran",
     {{START, 0, 0, 0},
      {CACHED, 1, "a", 0},
      {EXEC, 4, "a", 0},
      {RUNNING, 4, "a", 0},
      {FINISHED, 8, "a", 0},
      {SUCCESS, 9, 0, 0}},
     "a completed 4 4 4;b pending;c pending",
     "completed 0 9 planning 1 unaccounted 4 executed 1 cached 0 failed 0 pending 2 complete"},
    {"lazy: two slices, the first ends where another node began",
     {{START, 0, 0, 0},
      {RUNNING, 10, "a", 0},
      {EXEC, 10, "a", 0},
      {RUNNING, 20, "b", 0},
      {EXEC, 21, "b", 0},
      {FINISHED, 40, "b", 0},
      {EXEC, 41, "a", 0},
      {FINISHED, 60, "a", 0},
      {SUCCESS, 60, 0, 0}},
     "a completed 10 29 29;b completed 20 20 20;c pending",
     "completed 0 60 planning 10 unaccounted 1 executed 2 cached 0 failed 0 pending 1 complete"},
    {"every message twice",
     {{START, 0, 0, 0},
      {START, 0, 0, 0},
      {RUNNING, 10, "a", 0},
      {RUNNING, 10, "a", 0},
      {EXEC, 11, "a", 0},
      {EXEC, 11, "a", 0},
      {FINISHED, 30, "a", 0},
      {FINISHED, 30, "a", 0},
      {SUCCESS, 30, 0, 0}},
     "a completed 10 20 20;b pending;c pending",
     "completed 0 30 planning 10 unaccounted 0 executed 1 cached 0 failed 0 pending 2 complete"},
    {"async nodes overlap",
     {{START, 0, 0, 0},
      {RUNNING, 0, "a", 0},
      {EXEC, 0, "a", 0},
      {RUNNING, 0, "b", 0},
      {EXEC, 0, "b", 0},
      {FINISHED, 40, "b", 0},
      {FINISHED, 70, "a", 0},
      {SUCCESS, 70, 0, 0}},
     "a completed 0 70 70;b completed 0 40 40;c pending",
     "completed 0 70 planning 0 unaccounted 0 executed 2 cached 0 failed 0 pending 1 complete"},
    {"expanded children, the parent around them",
     {{START, 0, 0, 0},
      {RUNNING, 0, "a", 0},
      {EXEC, 0, "a", 0},
      {RUNNING, 10, "a.1", "a"},
      {EXEC, 10, "a.1", 0},
      {FINISHED, 30, "a.1", "a"},
      {RUNNING, 30, "a.2", "a"},
      {FINISHED, 50, "a.2", "a"},
      {FINISHED, 60, "a", 0},
      {SUCCESS, 60, 0, 0}},
     "a completed 0 60 20;a.1 completed 10 20 20;a.2 completed 30 20 20;b pending;c pending",
     "completed 0 60 planning 0 unaccounted 0 executed 1 cached 0 failed 0 pending 2 complete"},
    {"no progress_state: the next executing ends the previous",
     {{START, 0, 0, 0},
      {EXEC, 10, "a", 0},
      {EXEC, 30, "b", 0},
      {EXEC, 40, "a", 0},
      {SUCCESS, 60, 0, 0}},
     "a completed 10 40 40;b completed 30 10 10;c pending",
     "completed 0 60 planning 10 unaccounted 0 executed 2 cached 0 failed 0 pending 1 complete "
     "inferred"},
    {"an error fails its node, the others stay executing",
     {{START, 0, 0, 0}, {RUNNING, 0, "a", 0}, {RUNNING, 10, "b", 0}, {ERROR, 30, "b", 0}},
     "a executing 0 30 30;b failed 10 20 20;c pending",
     "failed 0 30 planning 0 unaccounted 0 executed 1 cached 0 failed 1 pending 1 complete"},
    {"a blocked branch is not the end",
     {{START, 0, 0, 0},
      {RUNNING, 0, "a", 0},
      {BLOCKED, 5, "a", 0},
      {FINISHED, 6, "a", 0},
      {SUCCESS, 10, 0, 0}},
     "a completed 0 6 6;b pending;c pending",
     "completed 0 10 planning 0 unaccounted 4 executed 1 cached 0 failed 0 pending 2 complete"},
    {"an interrupt fails no node",
     {{START, 0, 0, 0}, {RUNNING, 5, "a", 0}, {INTERRUPTED, 20, "a", 0}},
     "a executing 5 15 15;b pending;c pending",
     "cancelled 0 20 planning 5 unaccounted 0 executed 1 cached 0 failed 0 pending 2 complete"},
    {"progress of what is not open leaves no mark",
     {{START, 0, 0, 0},
      {PROGRESS, 1, "a", 0},
      {PROGRESS, 1, "stranger", 0},
      {RUNNING, 5, "a", 0},
      {PROGRESS, 6, "a", 0},
      {FINISHED, 9, "a", 0},
      {PROGRESS, 9, "a", 0},
      {SUCCESS, 9, 0, 0}},
     "a completed 5 4 4 p1;b pending;c pending",
     "completed 0 9 planning 5 unaccounted 0 executed 1 cached 0 failed 0 pending 2 complete"},
    {"the end was missed in a gap: start only",
     {{START, 0, 0, 0},
      {RUNNING, 5, "a", 0},
      {EXEC, 5, "a", 0},
      {GAP, 10, 0, 0},
      {GAP_ENDS, 50, 0, 0},
      {FINISHED, 50, "a", 0},
      {RUNNING, 60, "b", 0},
      {EXEC, 60, "b", 0},
      {FINISHED, 80, "b", 0},
      {SUCCESS, 80, 0, 0}},
     "a completed 5 - -;b completed 60 20 20;c pending",
     "completed 0 80 planning 5 unaccounted 10 executed 2 cached 0 failed 0 pending 1 gap 10 50"},
    {"done in a gap, never seen: no times",
     {{START, 0, 0, 0},
      {GAP, 1, 0, 0},
      {GAP_ENDS, 50, 0, 0},
      {FINISHED, 50, "a", 0},
      {FINISHED, 50, "b", 0},
      {SUCCESS, 80, 0, 0}},
     "a completed;b completed;c pending",
     "completed 0 80 planning 80 unaccounted 0 executed 2 cached 0 failed 0 pending 1 gap 1 50"},
    {"running at the first look after a gap: its start is not known",
     {{START, 0, 0, 0},
      {GAP, 1, 0, 0},
      {GAP_ENDS, 50, 0, 0},
      {RUNNING, 50, "a", 0},
      {PROGRESS, 60, "a", 0},
      {FINISHED, 70, "a", 0},
      {SUCCESS, 80, 0, 0}},
     "a completed p1;b pending;c pending",
     "completed 0 80 planning 50 unaccounted 10 executed 1 cached 0 failed 0 pending 2 gap 1 50"},
    {"its own executing proves that it starts now",
     {{START, 0, 0, 0},
      {GAP, 1, 0, 0},
      {GAP_ENDS, 50, 0, 0},
      {RUNNING, 50, "a", 0},
      {EXEC, 50, "a", 0},
      {FINISHED, 70, "a", 0},
      {SUCCESS, 80, 0, 0}},
     "a completed 50 20 20;b pending;c pending",
     "completed 0 80 planning 50 unaccounted 10 executed 1 cached 0 failed 0 pending 2 gap 1 50"},
    {"the socket never came back; history tells the rest",
     {{START, 0, 0, 0},
      {RUNNING, 5, "a", 0},
      {EXEC, 5, "a", 0},
      {GAP, 10, 0, 0},
      {HISTORY_CACHED, 80, "b", 0},
      {HISTORY_DONE, 80, "c", 0},
      {SUCCESS, 80, 0, 0}},
     "b cached 0 0 0;a completed 5 - -;c completed",
     "completed 0 80 planning 0 unaccounted 5 executed 2 cached 1 failed 0 pending 0 gap 10 80 "
     "mixed"},
    {"lost: what was open stays executing to the end",
     {{START, 0, 0, 0}, {RUNNING, 5, "a", 0}, {GAP, 10, 0, 0}, {GIVE_UP, 100, 0, 0}},
     "a executing 5 95 95;b pending;c pending",
     "lost 0 100 planning 5 unaccounted 0 executed 1 cached 0 failed 0 pending 2 gap 10 100"},
    {"never started",
     {{GIVE_UP, 100, 0, 0}},
     "a pending;b pending;c pending",
     "lost 100 0 planning 0 unaccounted 0 executed 0 cached 0 failed 0 pending 3 complete"},
    {"a server that runs on after its end is clamped",
     {{START, 0, 0, 0},
      {RUNNING, 5, "a", 0},
      {FINISHED, 30, "a", 0},
      {RUNNING, 31, "b", 0},
      {FINISHED, 33, "b", 0},
      {SUCCESS, 20, 0, 0}},
     "a completed 5 15 15;b completed 20 0 0;c pending",
     "completed 0 20 planning 5 unaccounted 0 executed 2 cached 0 failed 0 pending 1 complete"},
};

static struct mono_us at(int ms)
{
    return (struct mono_us){1000000000 + (int64_t)ms * 1000};
}

static enum attempt_outcome play(struct profiler *p, struct timeline *t, const struct step *steps)
{
    enum attempt_outcome outcome = ATTEMPT_OPEN;
    /* The list of execution_cached comes in one frame: gather it. */
    struct str cached[8];
    size_t cached_len = 0;
    for (const struct step *s = steps; s->kind != END; s++) {
        struct frame f = {.node = {s->node, s->node == NULL ? 0 : strlen(s->node)}};
        struct frame_node entry = {.id = f.node, .parent = str_of(s->parent)};
        if (s->parent == NULL) {
            entry.parent.p = NULL;
        }
        const struct mono_us now = at(s->ms);
        switch (s->kind) {
        case START:
            (void)timeline_start(t, now, 0);
            f.type = FRAME_START;
            break;
        case CACHED:
            if (s->node != NULL) {
                cached[cached_len++] = f.node;
            }
            if (s[1].kind == CACHED) {
                continue;
            }
            f = (struct frame){.type = FRAME_CACHED, .ids = cached, .ids_len = cached_len};
            timeline_planned(t, now, 0, false);
            break;
        case EXEC:
            f.type = FRAME_EXECUTING;
            break;
        case RUNNING:
        case FINISHED:
            entry.state = s->kind == RUNNING ? NODE_STATE_RUNNING : NODE_STATE_FINISHED;
            f = (struct frame){.type = FRAME_STATE, .nodes = &entry, .nodes_len = 1};
            break;
        case PROGRESS:
            f.type = FRAME_PROGRESS;
            break;
        case EXECUTED:
            f.type = FRAME_EXECUTED;
            break;
        case ERROR:
        case BLOCKED:
            f.type = FRAME_ERROR;
            f.message = STR("it broke\n");
            f.error_type = s->kind == ERROR ? STR("RuntimeError") : STR("ExecutionBlocked");
            outcome = s->kind == ERROR ? ATTEMPT_FAILED : outcome;
            break;
        case INTERRUPTED:
            f.type = FRAME_INTERRUPTED;
            outcome = ATTEMPT_CANCELLED;
            break;
        case GAP:
            profiler_gap_begin(p, now, "socket_lost");
            continue;
        case GAP_ENDS:
            profiler_gap_end(p, now);
            continue;
        case HISTORY_CACHED:
            f = (struct frame){.type = FRAME_CACHED, .ids = &entry.id, .ids_len = 1};
            timeline_end(t, now, 0);
            f.stamp_ms = 0;
            /* Its time is the attempt's start here: history's own stamp, before anything else. */
            profiler_history(p, t, at(0), &f, 1, NULL, 0);
            continue;
        case HISTORY_DONE:
            profiler_history(p, t, now, NULL, 0, &entry.id, 1);
            continue;
        case SUCCESS:
            f.type = FRAME_SUCCESS;
            outcome = ATTEMPT_COMPLETED;
            break;
        case GIVE_UP:
            timeline_end(t, now, 0);
            return ATTEMPT_LOST;
        case END:
            break;
        }
        profiler_feed(p, now, &f);
        if (outcome != ATTEMPT_OPEN) {
            timeline_end(t, now, 0);
        }
    }
    return outcome;
}

static int ms_of(int64_t us)
{
    return (int)(us / 1000);
}

static void write_nodes(const struct profile *p, struct buf *out)
{
    for (size_t i = 0; i < p->nodes_len; i++) {
        const struct profile_node *n = &p->nodes[i];
        buf_printf(out, "%s%.*s %s", i == 0 ? "" : ";", (int)n->id.n, n->id.p,
                   profile_status_name(n->status));
        if (n->has_start) {
            buf_printf(out, " %d", ms_of(mono_diff(n->start, p->at.started).us));
        }
        if (n->has_duration) {
            buf_printf(out, " %d %d", ms_of(n->duration.us), ms_of(n->self.us));
        } else if (n->has_start) {
            buf_add_text(out, " - -");
        }
        if (n->progress_len > 0) {
            buf_printf(out, " p%zu", n->progress_len);
        }
        ck_assert_int_eq(n->order, n->has_start ? (int)i : -1);
    }
}

static void write_summary(const struct profile *p, struct buf *out)
{
    buf_printf(out,
               "%s %d %d planning %d unaccounted %d executed %zu cached %zu failed %zu "
               "pending %zu",
               attempt_outcome_name(p->outcome), ms_of(mono_diff(p->at.started, p->at.queued).us),
               ms_of(mono_diff(p->at.ended, p->at.started).us), ms_of(p->planning.us),
               ms_of(p->unaccounted.us), p->executed, p->cached, p->failed, p->pending);
    if (p->gaps_len == 0) {
        buf_add_text(out, " complete");
    }
    for (size_t i = 0; i < p->gaps_len; i++) {
        buf_printf(out, " gap %d %d", ms_of(mono_diff(p->gaps[i].from, p->at.queued).us),
                   ms_of(mono_diff(p->gaps[i].to, p->at.queued).us));
    }
    if (p->node_ends_inferred) {
        buf_add_text(out, " inferred");
    }
    if (p->source == PROFILE_FROM_BOTH) {
        buf_add_text(out, " mixed");
    }
}

START_TEST(account)
{
    const struct row *row = &rows[_i];
    struct workflow *w = NULL;
    struct workflow_problem problem;
    ck_assert(workflow_parse(
        STR("{\"a\":{\"inputs\":{}},\"b\":{\"inputs\":{}},\"c\":{\"inputs\":{}}}"), &w, &problem));
    struct profiler *p = profiler_new(w, 100);
    struct timeline t;
    timeline_init(&t, (struct time_anchor){.mono = at(0), .wall = {1700000000000000}}, at(0));
    t.intent = (struct time_mark){.set = true, .received = at(0)};
    const enum attempt_outcome outcome = play(p, &t, row->steps);
    if (strcmp(row->name, "a server that runs on after its end is clamped") == 0) {
        t.ended.received = at(20);
    }
    struct profile profile;
    profiler_finish(p, &t, outcome, &profile);
    AUTO_BUF struct buf nodes;
    AUTO_BUF struct buf summary;
    buf_init(&nodes, BUF_NO_LIMIT);
    buf_init(&summary, BUF_NO_LIMIT);
    write_nodes(&profile, &nodes);
    write_summary(&profile, &summary);
    ck_assert_msg(strcmp(buf_text(&nodes), row->want) == 0, "%s:\ngot      %s\nexpected %s",
                  row->name, buf_text(&nodes), row->want);
    ck_assert_msg(strcmp(buf_text(&summary), row->summary) == 0, "%s:\ngot      %s\nexpected %s",
                  row->name, buf_text(&summary), row->summary);
    ck_assert_uint_eq(profile.executed + profile.cached + profile.failed + profile.pending, 3);
    profiler_free(p);
    workflow_free(w);
}
END_TEST

START_TEST(progress_is_capped_and_counted)
{
    struct workflow *w = NULL;
    struct workflow_problem problem;
    ck_assert(workflow_parse(STR("{\"a\":{\"inputs\":{}}}"), &w, &problem));
    struct profiler *p = profiler_new(w, 5);
    struct timeline t;
    timeline_init(&t, (struct time_anchor){.mono = at(0)}, at(0));
    (void)timeline_start(&t, at(0), 0);
    profiler_feed(p, at(0), &(struct frame){.type = FRAME_EXECUTING, .node = STR("a")});
    for (int i = 1; i <= 12; i++) {
        profiler_feed(p, at(i),
                      &(struct frame){.type = FRAME_PROGRESS, .node = STR("a"), .value = i});
    }
    timeline_end(&t, at(20), 0);
    struct profile profile;
    profiler_finish(p, &t, ATTEMPT_COMPLETED, &profile);
    ck_assert_uint_eq(profile.nodes[0].progress_len, 5);
    ck_assert_uint_eq(profile.nodes[0].progress_dropped, 7);
    profiler_free(p);
    workflow_free(w);
}
END_TEST

/* The kernel says when the last of the frames that waited came: those before it came no later. */
START_TEST(progress_never_goes_back_in_time)
{
    static const int read_at[] = {1, 10, 8, 9};
    static const int64_t want_at[] = {1, 7, 7, 7};
    struct workflow *w = NULL;
    struct workflow_problem problem;
    ck_assert(workflow_parse(STR("{\"a\":{\"inputs\":{}},\"b\":{\"inputs\":{}}}"), &w, &problem));
    struct profiler *p = profiler_new(w, 9);
    struct timeline t;
    timeline_init(&t, (struct time_anchor){.mono = at(0), .wall = {1700000000000000}}, at(0));
    t.intent = (struct time_mark){.set = true, .received = at(0)};
    (void)timeline_start(&t, at(0), 0);
    profiler_feed(p, at(0), &(struct frame){.type = FRAME_EXECUTING, .node = STR("a")});
    for (int i = 0; i < 4; i++) {
        profiler_feed(p, at(read_at[i]),
                      &(struct frame){.type = FRAME_PROGRESS, .node = STR("a"), .value = i});
    }
    profiler_feed(p, at(7), &(struct frame){.type = FRAME_EXECUTING, .node = STR("b")});
    timeline_end(&t, at(20), 0);
    struct profile profile;
    profiler_finish(p, &t, ATTEMPT_COMPLETED, &profile);
    ck_assert_uint_eq(profile.nodes[0].progress_len, 4);
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq(profile.nodes[0].progress[i].at.us, at((int)want_at[i]).us);
    }
    profiler_free(p);
    workflow_free(w);
}
END_TEST

START_TEST(a_backend_that_invents_nodes_is_not_followed_for_ever)
{
    struct workflow *w = NULL;
    struct workflow_problem problem;
    ck_assert(workflow_parse(STR("{\"a\":{\"inputs\":{}}}"), &w, &problem));
    struct profiler *p = profiler_new(w, 5);
    struct timeline t;
    timeline_init(&t, (struct time_anchor){.mono = at(0)}, at(0));
    (void)timeline_start(&t, at(0), 0);
    for (int i = 0; i < 30000; i++) {
        char id[16];
        const int n = snprintf(id, sizeof id, "x%d", i);
        const struct frame_node e = {.id = {id, (size_t)n}, .state = NODE_STATE_RUNNING};
        profiler_feed(p, at(i), &(struct frame){.type = FRAME_STATE, .nodes = &e, .nodes_len = 1});
    }
    timeline_end(&t, at(40000), 0);
    struct profile profile;
    profiler_finish(p, &t, ATTEMPT_COMPLETED, &profile);
    ck_assert_uint_eq(profile.expanded, 20000);
    ck_assert_uint_eq(profile.slowest_len, PROFILE_SLOWEST);
    profiler_free(p);
    workflow_free(w);
}
END_TEST

Suite *profiler_suite(void)
{
    Suite *s = suite_create("profiler");
    TCase *c = tcase_create("profiler");
    tcase_add_loop_test(c, account, 0, sizeof rows / sizeof *rows);
    tcase_add_test(c, progress_is_capped_and_counted);
    tcase_add_test(c, progress_never_goes_back_in_time);
    tcase_add_test(c, a_backend_that_invents_nodes_is_not_followed_for_ever);
    suite_add_tcase(s, c);
    return s;
}
