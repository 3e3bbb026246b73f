/*
 * The clock of a server beside ours, by tables: attempts one after the other, each with how far the
 * server's clock is ahead, when its frames are sent and how late they are read; and what is judged
 * of each. All times in ms.
 */
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "comfypool/base/buf.h"
#include "comfypool/core/server_clock.h"
#include "suites.h"

/* One attempt, in ms after its POST. */
struct run {
    double ahead;       /* the server's clock, when it is POSTed */
    double set;         /* ... and how far it is set before its end */
    double set_waiting; /* ... and before its start */
    double start;       /* execution_start is sent; execution_cached 1 ms later */
    double start_late;
    double lasts; /* from start to end */
    double end_late;
    double plan;        /* execution_cached is sent so long behind it; 0: 1 */
    double answered;    /* the POST was; 0: 2 */
    double pause;       /* since the end of the one before; 0: a second */
    bool created;       /* create_time is known: 1 ms before the POST was answered */
    bool early;         /* ... or 1 ms after it was sent */
    double last_before; /* the last frame before those that were read with the end; 0: the start */
};

enum { MOST = 12 };

static const struct row {
    const char *name;
    struct run runs[MOST];
    size_t len;
    /* For each: what the offset is off by; "set", "doubtful", "wide"; what the end's is off by, and
       "end" when it is doubtful; "@" and from when on the clock may have been set. */
    const char *want;
} rows[] = {
    {"clocks agree", {{.start = 3, .start_late = 0.4, .lasts = 400, .end_late = 0.4}}, 1, "0/0"},
    {"an hour ahead",
     {{.ahead = 3600e3, .start = 3, .lasts = 400}, {.ahead = 3600e3, .start = 3, .lasts = 400}},
     2,
     "0/0 0/0"},
    {"set back by 5 s between two",
     {{.start = 3, .lasts = 400},
      {.ahead = -5000, .start = 3, .lasts = 400},
      {.ahead = -5000, .start = 3, .lasts = 400, .end_late = 130}},
     3,
     "0/0 0/0 0/0"},
    {"set back by 200 ms between two",
     {{.start = 3, .lasts = 400}, {.ahead = -200, .start = 3, .lasts = 400}},
     2,
     "0/0 0/0"},
    {"set back while others were before it: its frames agree",
     {{.start = 3, .lasts = 400}, {.ahead = -200, .start = 9000, .lasts = 400}},
     2,
     "0/0 0wide/0"},
    {"set back while others were before it, and its end is late: only create_time tells",
     {{.start = 3, .lasts = 400},
      {.ahead = -200, .start = 9000, .lasts = 400, .end_late = 130, .created = true}},
     2,
     "0/0 0/0"},
    {"set forward by 5 s between two",
     {{.start = 3, .lasts = 400}, {.ahead = 5000, .start = 3, .lasts = 400}},
     2,
     "0/0 0/0"},
    {"it loses 40 ms an attempt",
     {{.start = 2, .lasts = 400},
      {.ahead = -40, .start = 2, .lasts = 400},
      {.ahead = -80, .start = 2, .lasts = 400},
      {.ahead = -120, .start = 2, .lasts = 400}},
     4,
     "0/0 0/0 0/0 0/0"},
    {"it gains 40 ms an attempt",
     {{.start = 2, .lasts = 400},
      {.ahead = 40, .start = 2, .lasts = 400},
      {.ahead = 80, .start = 2, .lasts = 400}},
     3,
     "0/0 0/0 0/0"},
    {"the first frames came late: the end bounds the offset",
     {{.start = 3, .start_late = 250, .lasts = 700}},
     1,
     "0/0"},
    {"all frames of a short first one came late: nothing bounds it",
     {{.start = 3, .start_late = 250, .lasts = 6, .end_late = 245}},
     1,
     "245wide,doubtful/245end"},
    {"... but create_time does",
     {{.start = 3, .start_late = 250, .lasts = 6, .end_late = 245, .created = true}},
     1,
     "1/1"},
    {"what was doubtful is not learned",
     {{.start = 3, .start_late = 250, .lasts = 6, .end_late = 245}, {.start = 3, .lasts = 100}},
     2,
     "245wide,doubtful/245end 0/0"},
    {"a first one whose POST takes long: only the next one tells that it was not all late",
     {{.start = 301, .lasts = 5, .answered = 300}, {.start = 301, .lasts = 5, .answered = 300}},
     2,
     "0wide,doubtful/0 0wide/0"},
    {"... its end is as late as ends are: so its last node has a time",
     {{.start = 301, .lasts = 500, .end_late = 120, .answered = 300}},
     1,
     "0wide,doubtful/0"},
    {"... later",
     {{.start = 301, .lasts = 500, .end_late = 180, .answered = 300}},
     1,
     "0wide,doubtful/0end"},
    {"... and create_time tells that it came as soon as the answer",
     {{.start = 301, .lasts = 500, .end_late = 120, .answered = 300, .created = true}},
     1,
     "0wide/0"},
    {"... but not where all frames came late",
     {{.start = 301,
       .start_late = 250,
       .lasts = 6,
       .end_late = 245,
       .answered = 300,
       .created = true}},
     1,
     "1wide,doubtful/1end"},
    {"... or its plan", {{.start = 301, .plan = 40, .lasts = 45, .answered = 300}}, 1, "0wide/0"},
    {"the POST's answer and all frames came late",
     {{.start = 3, .start_late = 300, .lasts = 6, .end_late = 294, .answered = 303}},
     1,
     "294wide,doubtful/294end"},
    {"... create_time bounds it no better then",
     {{.start = 3, .start_late = 300, .lasts = 6, .end_late = 294, .answered = 303, .early = true}},
     1,
     "294wide,doubtful/294end"},
    {"... and the next one came late by another time",
     {{.start = 3, .start_late = 300, .lasts = 6, .end_late = 294, .answered = 303},
      {.start = 3, .start_late = 200, .lasts = 6, .end_late = 194, .answered = 203}},
     2,
     "294wide,doubtful/294end 194wide,doubtful/194end"},
    {"two came late by the same time: no second witness, since both began at once",
     {{.start = 3, .start_late = 112, .lasts = 10, .end_late = 102},
      {.start = 3, .start_late = 112, .lasts = 10, .end_late = 102}},
     2,
     "102wide,doubtful/102end 102wide,doubtful/102end"},
    {"two waited behind others, each short: their lags agree",
     {{.start = 203, .lasts = 10}, {.start = 150, .lasts = 10}},
     2,
     "0wide,doubtful/0end 0wide/0"},
    {"the first frames came late, and the end later: it vouches for nothing",
     {{.start = 3, .start_late = 130, .lasts = 500, .end_late = 150}},
     1,
     "130wide,doubtful/130end"},
    {"start and end came equally late: what is known stays",
     {{.start = 3, .lasts = 400}, {.start = 3, .start_late = 125, .lasts = 500, .end_late = 125}},
     2,
     "0/0 0wide/0end"},
    {"... and create_time says that the clock is the same",
     {{.start = 3, .lasts = 400},
      {.start = 3, .start_late = 125, .lasts = 500, .end_late = 125, .created = true}},
     2,
     "0/0 0wide/0"},
    {"set back while it waited: create_time is of the clock before",
     {{.start = 3, .lasts = 400},
      {.start = 2000, .set_waiting = -200, .lasts = 400, .created = true}},
     2,
     "0/0 -199set@0"},
    {"set forward while it waited",
     {{.start = 3, .lasts = 400},
      {.start = 2000, .set_waiting = 200, .lasts = 400, .created = true}},
     2,
     "0/0 0set@0"},
    {"a first one that waits behind others",
     {{.start = 5000, .lasts = 400}, {.start = 5000, .lasts = 400, .end_late = 130}},
     2,
     "0wide/0 0/0"},
    {"a first one that waits, with a garbage collection at its end",
     {{.start = 5000, .lasts = 400, .end_late = 130}},
     1,
     "0wide/0"},
    {"a late start is no other clock",
     {{.start = 3, .lasts = 400}, {.start = 3, .start_late = 420, .lasts = 900}},
     2,
     "0/0 0wide/0"},
    {"a late end is none either",
     {{.start = 3, .lasts = 400}, {.start = 3, .lasts = 400, .end_late = 600}},
     2,
     "0/0 0/0end"},
    {"set back by 5 s in the middle",
     {{.start = 3, .lasts = 400},
      {.start = 3, .lasts = 600, .set = -5000},
      {.ahead = -5000, .start = 3, .lasts = 400}},
     3,
     "0/0 0set@4 0/0"},
    {"set forward by 5 s in the middle",
     {{.start = 3, .lasts = 400},
      {.start = 3, .lasts = 600, .set = 5000},
      {.ahead = 5000, .start = 3, .lasts = 400}},
     3,
     "0/0 0set@4 0/0"},
    {"set forward in the middle of the first one",
     {{.start = 3, .lasts = 600, .set = 5000}},
     1,
     "0set@4"},
    {"... and the end came late: the next one has no clock to go by",
     {{.start = 3, .lasts = 600, .set = 5000, .end_late = 130},
      {.ahead = 5000, .start = 3, .start_late = 120, .lasts = 5, .end_late = 116}},
     2,
     "0set@4 116wide,doubtful/116end"},
    {"frames came one by one behind its end: set back by less than it lasts, or a slow link",
     {{.start = 3, .lasts = 400}, {.start = 3, .lasts = 600, .set = -300, .last_before = 503}},
     2,
     "0/0 0/-300end"},
    {"set back while it waited, by as long: all are equally late, one by one",
     {{.start = 3, .lasts = 400},
      {.start = 411, .set_waiting = -400, .lasts = 200, .last_before = 511}},
     2,
     "0/0 -400wide,doubtfulset@0"},
    {"held back and let go at once is no other clock",
     {{.start = 3, .lasts = 400}, {.start = 3, .lasts = 600, .end_late = 300, .last_before = 303}},
     2,
     "0/0 0/0"},
    {"an hour of drift, the server's is faster",
     {{.start = 3, .lasts = 400}, {.start = 3, .lasts = 3600e3, .set = 360}},
     2,
     "0/0 0/0"},
    {"... and slower",
     {{.start = 3, .lasts = 400}, {.start = 3, .lasts = 3600e3, .set = -360}},
     2,
     "0/0 0/0"},
    {"it is slewed by 400 ppm for an hour: it still began behind its POST",
     {{.start = 3, .lasts = 400}, {.start = 3, .lasts = 3600e3, .set = 1440}},
     2,
     "0/0 -4/0"},
    {"it loses 6 ms an attempt, and all wait behind others",
     {{.start = 3, .lasts = 400},
      {.ahead = -6, .start = 400, .lasts = 400},
      {.ahead = -12, .start = 400, .lasts = 400},
      {.ahead = -18, .start = 400, .lasts = 400},
      {.ahead = -24, .start = 400, .lasts = 400},
      {.ahead = -30, .start = 400, .lasts = 400},
      {.ahead = -36, .start = 400, .lasts = 400}},
     7,
     "0/0 0/0 0/0 0/0 0/0 0/0 0/0"},
    {"... or 20 ms",
     {{.start = 3, .lasts = 400},
      {.ahead = -20, .start = 400, .lasts = 400},
      {.ahead = -40, .start = 400, .lasts = 400},
      {.ahead = -60, .start = 400, .lasts = 400},
      {.ahead = -80, .start = 400, .lasts = 400}},
     5,
     "0/0 0/0 0/0 0/0 0/0"},
    {"... create_time was stamped before it drifted on",
     {{.start = 3, .lasts = 400},
      {.ahead = -6, .set_waiting = -6, .start = 400, .lasts = 400, .created = true},
      {.ahead = -12, .set_waiting = -25, .start = 400, .lasts = 400, .created = true}},
     3,
     "0/0 0/0 0wide/0"},
    {"... its ends are late: it is behind by no more than the tolerance, and create_time is asked "
     "for",
     {{.start = 3, .lasts = 400},
      {.ahead = -8, .start = 400, .lasts = 400, .end_late = 130},
      {.ahead = -16, .start = 400, .lasts = 400, .end_late = 130},
      {.ahead = -24, .start = 400, .lasts = 400, .end_late = 130, .created = true},
      {.ahead = -32, .start = 400, .lasts = 400, .end_late = 130}},
     5,
     "0/0 -8/-8 -16/-16 0/0 -8/-8"},
    {"it waited a minute: clocks drift meanwhile",
     {{.start = 3, .lasts = 400},
      {.start = 60000, .set_waiting = -5, .lasts = 400, .end_late = 130, .created = true}},
     2,
     "0/0 -5/-5"},
    {"what is old is forgotten",
     {{.start = 3, .lasts = 400}, {.ahead = -300, .start = 5000, .lasts = 400, .pause = 900e3}},
     2,
     "0/0 0wide/0"},
};

static struct mono_us after(struct mono_us from, double ms)
{
    return (struct mono_us){from.us + (int64_t)(ms * 1000)};
}

/* The server's clock, that many ms ahead; ours began at 10^9 ms of it. */
static int64_t stamp(struct mono_us at, double ahead)
{
    return (at.us + (int64_t)(ahead * 1000)) / 1000 + 1000000000;
}

static struct time_mark mark(struct mono_us sent, double late, double ahead)
{
    return (struct time_mark){
        .set = true, .received = after(sent, late), .stamp_ms = stamp(sent, ahead)};
}

static struct timeline timeline_of(const struct run *r, struct mono_us posted)
{
    const double answered = r->answered == 0 ? 2 : r->answered;
    struct timeline t;
    timeline_init(&t, (struct time_anchor){.mono = posted}, posted);
    t.posted = t.intent = (struct time_mark){.set = true, .received = posted};
    t.accepted = (struct time_mark){.set = true, .received = after(posted, answered)};
    const double ahead = r->ahead + r->set_waiting;
    const double plan = r->plan == 0 ? 1 : r->plan;
    t.started = mark(after(posted, r->start), r->start_late, ahead);
    t.planned = mark(after(posted, r->start + plan), r->start_late, ahead);
    t.ended = mark(after(posted, r->start + r->lasts), r->end_late, ahead + r->set);
    t.created_ms = r->created ? stamp(after(posted, answered - 1), r->ahead)
                   : r->early ? stamp(after(posted, 1), r->ahead)
                              : 0;
    t.watched = r->last_before == 0 ? t.planned.received : after(posted, r->last_before);
    t.read = t.burst = t.ended.received;
    return t;
}

static long off_by(int64_t offset_us, double ahead)
{
    const int64_t truth = -1000000000000 - (int64_t)(ahead * 1000);
    return lround((double)(offset_us - truth) / 1000);
}

static void write_reading(const struct run *r, const struct timeline *t, struct buf *out)
{
    const struct clock_reading *c = &t->clock;
    const double ahead = r->ahead + r->set_waiting;
    buf_printf(out, "%s%ld%s%s%s", out->len == 0 ? "" : " ", off_by(c->offset_us, ahead),
               c->wide ? "wide" : "", c->doubtful ? ",doubtful" : "", c->changed ? "set" : "");
    if (!c->changed) {
        buf_printf(out, "/%ld%s", off_by(c->end_offset_us, ahead + r->set),
                   c->end_doubtful ? "end" : "");
    } else {
        buf_printf(out, "@%ld", lround((double)(c->changed_from.us - t->queued.us) / 1000));
    }
}

START_TEST(clocks)
{
    const struct row *row = &rows[_i];
    struct server_clock clock = {.len = 0};
    struct mono_us now = {50000000};
    AUTO_BUF struct buf got;
    buf_init(&got, BUF_NO_LIMIT);
    for (size_t i = 0; i < row->len; i++) {
        const struct run *r = &row->runs[i];
        now = after(now, r->pause == 0 ? 1000 : r->pause);
        struct timeline t = timeline_of(r, now);
        t.clock = server_clock_judge(&clock, &t);
        write_reading(r, &t, &got);
        server_clock_learn(&clock, &t);
        now = t.ended.received;
    }
    ck_assert_msg(strcmp(buf_text(&got), row->want) == 0, "%s:\ngot  %s\nwant %s", row->name,
                  buf_text(&got), row->want);
}
END_TEST

/* What is late by more than this is a gap: 20 ms, or three times what is usual there. */
START_TEST(tolerance_follows_the_usual_jitter)
{
    struct server_clock clock = {.len = 0};
    struct mono_us now = {50000000};
    int64_t tolerance = 0;
    for (int i = 0; i < 40; i++) {
        const struct run r = {
            .start = 2, .start_late = i % 4 == 0 ? 0 : 16, .lasts = 300, .end_late = 130};
        struct timeline t = timeline_of(&r, now);
        t.clock = server_clock_judge(&clock, &t);
        tolerance = t.clock.tolerance_us;
        ck_assert_int_ge(tolerance, 20000);
        server_clock_learn(&clock, &t);
        now = after(t.ended.received, 500);
    }
    ck_assert_int_ge(tolerance, 47000);
    ck_assert_int_le(tolerance, 60000);
}
END_TEST

/* All wait behind others, and the clock loses as much a job as is just no jitter. */
START_TEST(drift_is_no_jitter)
{
    struct server_clock clock = {.len = 0};
    struct mono_us now = {50000000};
    for (int i = 0; i < 40; i++) {
        const struct run r = {
            .ahead = -15 * i, .start = i == 0 ? 2 : 300, .lasts = 300, .end_late = 130};
        struct timeline t = timeline_of(&r, now);
        t.clock = server_clock_judge(&clock, &t);
        ck_assert_int_eq(t.clock.tolerance_us, 20000);
        server_clock_learn(&clock, &t);
        now = after(t.ended.received, 500);
    }
}
END_TEST

/* Where all wait behind others no POST bounds a start, and create_time is asked for now and then.
 */
START_TEST(create_time_is_asked_for_now_and_then)
{
    struct server_clock clock = {.len = 0};
    struct mono_us now = {50000000};
    int asked = 0;
    for (int i = 0; i < 20; i++) {
        struct run r = {.start = i == 0 ? 2 : 300, .lasts = 300, .end_late = 130};
        struct timeline t = timeline_of(&r, now);
        t.clock = server_clock_judge(&clock, &t);
        server_clock_learn(&clock, &t);
        if (t.clock.unbounded) {
            asked++;
            r.created = true;
            t = timeline_of(&r, now);
            t.clock = server_clock_judge(&clock, &t);
            server_clock_learn(&clock, &t);
        }
        ck_assert(!t.clock.unbounded);
        now = after(t.ended.received, 500);
    }
    ck_assert_int_eq(asked, 2);
}
END_TEST

START_TEST(one_late_frame_is_not_usual)
{
    struct server_clock clock = {.len = 0};
    struct mono_us now = {50000000};
    for (int i = 0; i < 6; i++) {
        const struct run r = {.start = 2, .start_late = i >= 2 ? 420 : 0, .lasts = 900};
        struct timeline t = timeline_of(&r, now);
        t.clock = server_clock_judge(&clock, &t);
        ck_assert_int_eq(t.clock.tolerance_us, 20000);
        server_clock_learn(&clock, &t);
        now = after(t.ended.received, 500);
    }
}
END_TEST

/* While it runs its end may still tell, so that nothing is doubtful yet, but not settled either. */
START_TEST(one_that_runs_is_unsettled)
{
    const struct server_clock clock = {.len = 0};
    const struct run r = {.start = 3, .start_late = 250, .lasts = 700};
    struct timeline t = timeline_of(&r, (struct mono_us){50000000});
    const struct time_mark end = t.ended;
    t.ended = (struct time_mark){.set = false};
    struct clock_reading c = server_clock_judge(&clock, &t);
    ck_assert(c.unsettled && !c.doubtful);
    t.ended = end;
    c = server_clock_judge(&clock, &t);
    ck_assert(!c.unsettled && !c.doubtful);
}
END_TEST

static const int64_t garbage[] = {0, -1, INT64_MAX, INT64_MIN};

/* Garbage in a stamp says nothing. */
START_TEST(stamps_that_are_none)
{
    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        const struct server_clock clock = {.len = 0};
        const struct run r = {.start = 2, .lasts = 100};
        struct timeline t = timeline_of(&r, (struct mono_us){50000000});
        t.started.stamp_ms = t.planned.stamp_ms = t.ended.stamp_ms = garbage[i];
        const struct clock_reading c = server_clock_judge(&clock, &t);
        ck_assert(!c.known && !c.changed && !c.doubtful && !c.wide);
    }
}
END_TEST

/* Nor does it in the end alone, where the rest tells a clock. */
START_TEST(an_end_without_a_stamp)
{
    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        const struct server_clock clock = {.len = 0};
        const struct run r = {.start = 2, .lasts = 100};
        struct timeline t = timeline_of(&r, (struct mono_us){50000000});
        t.ended.stamp_ms = garbage[i];
        const struct clock_reading c = server_clock_judge(&clock, &t);
        ck_assert(c.known && !c.changed && !c.end_doubtful);
        ck_assert_int_eq(off_by(c.offset_us, 0), 0);
        ck_assert_int_eq(off_by(c.end_offset_us, 0), 0);
    }
}
END_TEST

Suite *clock_suite(void)
{
    Suite *s = suite_create("clock");
    TCase *c = tcase_create("clock");
    tcase_add_loop_test(c, clocks, 0, sizeof rows / sizeof *rows);
    tcase_add_test(c, tolerance_follows_the_usual_jitter);
    tcase_add_test(c, drift_is_no_jitter);
    tcase_add_test(c, create_time_is_asked_for_now_and_then);
    tcase_add_test(c, one_late_frame_is_not_usual);
    tcase_add_test(c, one_that_runs_is_unsettled);
    tcase_add_test(c, stamps_that_are_none);
    tcase_add_test(c, an_end_without_a_stamp);
    suite_add_tcase(s, c);
    return s;
}
