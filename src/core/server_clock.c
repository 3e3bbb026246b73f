/* A server's clock relative to ours; see the header for the rules. */
#include "comfypool/core/server_clock.h"

#include <stdlib.h>
#include <string.h>

enum {
    /* Healthy servers send within 1 to 5 ms; less than this is ignored. */
    LEAST_TOLERANCE_US = 20000,
    JITTERS = 3,
    /* Stamps are truncated to milliseconds. */
    STAMP_US = 1000,
    /* NTP slews by 500 ppm at most, quartz is within 100. */
    DRIFT_PPM = 200,
    DRIFTS_AFTER_US = 30 * 1000000, /* before that, frames are late by more */
    SETTING_PPM = 1000,
    /* An older offset is useless with a drifting clock. */
    OLD_US = 600 * 1000000,
    /* Stamps further apart were not sent together; frames that were held back and sent together are
       read closer together. */
    APART_MS = 30,
    AGREE_US = 10000,
    /* Frames read one by one over a longer time were not held back and released. */
    SPREAD_US = 50000,
    /* Largest delay of a server's first frames. */
    MOST_LATE_US = 300000,
    /* Largest delay of an end by garbage collection. */
    END_LATE_US = 500000,
    /* Usual largest delay. */
    USUAL_LATE_US = 150000,
    /* Closer lags of two attempts are no accident. */
    SAME_US = 5000,
    /* A POST answered within a turn of the loop that does not count as slow was answered soon. */
    SOON_US = 50000,
    /* Jitter of frames that come in time. */
    JITTER_US = 3000,
    /* Attempts in a row that may wait behind others before create_time is asked for. */
    UNBOUNDED = 8,
};

/* ---- what was learned ------------------------------------------------------------------------ */

static int by_value(const void *x, const void *y)
{
    const int64_t a = *(const int64_t *)x;
    const int64_t b = *(const int64_t *)y;
    return (a > b) - (a < b);
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void learn_tolerance(struct server_clock *c)
{
    int64_t sorted[SERVER_CLOCK_LAGS];
    memcpy(sorted, c->lags, sizeof sorted);
    qsort(sorted, SERVER_CLOCK_LAGS, sizeof *sorted, by_value);
    const int64_t late = sorted[SERVER_CLOCK_LAGS / 2 - 1] * JITTERS;
    c->tolerance_us = larger(late, LEAST_TOLERANCE_US);
    c->jitter_us = larger(late, JITTER_US);
}

/* Returns the smallest offset of the last attempts, as seen from `now`. False: none recent. */
static bool carried(const struct server_clock *c, struct mono_us now, int64_t *ret)
{
    bool any = false;
    for (unsigned i = 0; i < c->len; i++) {
        const struct clock_run *r = &c->runs[i];
        if (mono_diff(now, r->at).us <= OLD_US && (!any || r->offset_us < *ret)) {
            *ret = r->offset_us;
            any = true;
        }
    }
    return any;
}

/* ---- what an attempt says -------------------------------------------------------------------- */

static int64_t lag_of(const struct time_mark *m)
{
    return m->received.us - m->stamp_ms * 1000;
}

/* True if it has a stamp and its time of reading. */
static bool was_heard(const struct time_mark *m)
{
    return time_mark_is_stamped(m) && !m->by_history;
}

/* State of a judgement. */
struct judging {
    const struct timeline *t;
    struct clock_reading out;
    bool has_carried;
    int64_t carried_us;
    bool has_low;
    int64_t low_us; /* lower bound of O */
    bool has_high;
    int64_t high_us; /* upper bound of O */
    bool has_frames;
    int64_t frames_us; /* smallest lag of its frames */
    int64_t lasted_us;
    int64_t waited_us;     /* from its POST to its start, as both were reported */
    struct mono_us posted; /* or its intent, if unknown: no prompt begins before it */
    bool has_posted;
    const struct server_clock *known;
    bool has_candidate; /* an earlier attempt was in doubt */
    bool start_is_trusted;
};

static void bound_low(struct judging *j, int64_t low)
{
    j->low_us = !j->has_low || low > j->low_us ? low : j->low_us;
    j->has_low = true;
}

static void bound_high(struct judging *j, int64_t high)
{
    j->high_us = !j->has_high || high < j->high_us ? high : j->high_us;
    j->has_high = true;
}

/* Returns how far two clocks may drift apart in that time. */
static int64_t drift_in(int64_t us)
{
    const int64_t long_us = us - DRIFTS_AFTER_US;
    return long_us > 0 ? long_us / 1000000 * DRIFT_PPM : 0;
}

/* Bounds the offset by causality: stamps follow the POST. create_time shows the clock at the POST;
   the prompt may have waited since. */
static void bound_by_post(struct judging *j)
{
    const struct timeline *t = j->t;
    const struct time_mark *m = t->posted.set ? &t->posted : &t->intent;
    j->has_posted = m->set;
    j->posted = m->set ? m->received : t->queued;
    if (j->has_posted && time_mark_is_stamped(&t->started)) {
        bound_low(j, j->posted.us - t->started.stamp_ms * 1000 - STAMP_US);
    }
    if (t->started.set && !t->started.by_history) {
        j->waited_us = mono_diff(t->started.received, j->posted).us;
    }
    const int64_t drift = drift_in(j->waited_us);
    if (j->has_posted && t->created_ms > 0) {
        bound_low(j, j->posted.us - t->created_ms * 1000 - STAMP_US - drift);
    }
    if (t->accepted.set && t->created_ms > 0) {
        bound_high(j, t->accepted.received.us - t->created_ms * 1000 + drift);
    }
}

/* True if it was read in time: right after the POST, or as the known clock says. */
static bool is_trusted(const struct judging *j, const struct time_mark *m)
{
    const bool at_once =
        j->t->posted.set && mono_diff(m->received, j->t->posted.received).us <= j->out.tolerance_us;
    return was_heard(m) &&
           (at_once || (j->has_carried && llabs(lag_of(m) - j->carried_us) <= j->out.tolerance_us));
}

/* True if the clock was set between two marks, by their stamps and what bounds the first. */
static bool set_between(const struct judging *j, const struct time_mark *a,
                        const struct time_mark *b)
{
    if (!time_mark_is_stamped(a) || !time_mark_is_stamped(b)) {
        return false;
    }
    const int64_t allowed =
        j->out.tolerance_us + mono_diff(b->received, a->received).us / 1000000 * SETTING_PPM;
    const bool fell = (a->stamp_ms - b->stamp_ms) * 1000 > j->out.tolerance_us;
    const bool early = j->has_low && lag_of(b) < j->low_us - allowed;
    const bool punctual =
        was_heard(a) && j->has_carried && llabs(lag_of(a) - j->carried_us) <= j->out.tolerance_us;
    return fell || early || (punctual && lag_of(b) < j->carried_us - allowed);
}

/* True if frames were read one by one, long after the end by its stamp, yet before that end was
   read: a link on which all are late, or a clock that was set back. */
static bool ended_before_its_frames(const struct judging *j)
{
    const struct timeline *t = j->t;
    const int64_t end = t->ended.stamp_ms * 1000 + j->out.offset_us;
    const int64_t least = larger(j->out.tolerance_us, SPREAD_US);
    return t->watched.us > end + least + j->lasted_us / 1000 &&
           mono_diff(t->ended.received, t->watched).us > SPREAD_US;
}

/* Notes that the clock was set: doubt begins at the last trusted mark before `until`. */
static void found_set(struct judging *j, const struct time_mark *until)
{
    const struct timeline *t = j->t;
    j->out.changed = true;
    j->out.changed_from = j->posted;
    if (until != &t->started && is_trusted(j, &t->started)) {
        const bool planned = until != &t->planned && is_trusted(j, &t->planned);
        j->out.changed_from = planned ? t->planned.received : t->started.received;
    }
}

static void look_for_setting(struct judging *j)
{
    const struct timeline *t = j->t;
    if (set_between(j, &t->started, &t->planned)) {
        found_set(j, &t->planned);
    } else if (set_between(j, &t->planned, &t->ended) || set_between(j, &t->started, &t->ended)) {
        found_set(j, &t->ended);
    }
}

/* Detects a lower bound above the upper one. */
static void look_for_contradiction(struct judging *j)
{
    const int64_t allowed = j->out.tolerance_us + j->lasted_us / 1000000 * SETTING_PPM;
    if (!j->out.changed && j->has_low && j->has_high && j->low_us > j->high_us + allowed) {
        found_set(j, &j->t->started);
    }
}

/* True if two frames not sent together came equally late: then both came in time. */
static bool agree(const struct time_mark *a, const struct time_mark *b, int64_t most_us)
{
    const int64_t later = lag_of(b) - lag_of(a);
    return was_heard(a) && was_heard(b) && b->stamp_ms - a->stamp_ms >= APART_MS &&
           later >= -AGREE_US && later <= most_us;
}

/* True if it began long after the POST's answer, behind others: by the known clock; without one,
   later than first frames can be late. */
static bool has_waited(const struct judging *j)
{
    const struct timeline *t = j->t;
    if (!t->accepted.set) {
        return false;
    }
    const int64_t accepted = t->accepted.received.us;
    return j->has_carried
               ? t->started.stamp_ms * 1000 + j->carried_us - accepted > j->out.tolerance_us
               : t->started.received.us - accepted > MOST_LATE_US;
}

/* The end confirms the start only if the prompt waited: else a garbage collection at the end would
   confirm a late start. */
static bool marks_agree(const struct judging *j, int64_t most_us)
{
    const struct timeline *t = j->t;
    return agree(&t->started, &t->planned, most_us) ||
           (has_waited(j) &&
            (agree(&t->started, &t->ended, most_us) || agree(&t->planned, &t->ended, most_us)));
}

/* True if create_time confirms the known offset at the POST. */
static bool is_confirmed(const struct judging *j)
{
    const struct timeline *t = j->t;
    if (t->created_ms == 0 || !t->accepted.set || !t->posted.set) {
        return false;
    }
    const int64_t most = t->accepted.received.us - t->created_ms * 1000;
    const int64_t least = t->posted.received.us - t->created_ms * 1000 - STAMP_US;
    return j->carried_us >= least - j->out.tolerance_us &&
           j->carried_us <= most + j->out.tolerance_us;
}

/* True if its frames agree that the offset exceeds the known one by more than most_us. */
static bool agree_on_later(const struct judging *j, int64_t most_us)
{
    const struct time_mark *start = &j->t->started;
    return was_heard(start) && lag_of(start) > j->carried_us + most_us && marks_agree(j, AGREE_US);
}

/* Follows a drifting clock where the prompt waited and no POST bounds its start: its own frames
   count if they agree. create_time is older than they are. */
static void follow_drift(struct judging *j)
{
    const bool fits = j->frames_us - j->high_us <= j->out.tolerance_us + AGREE_US;
    if (agree_on_later(j, JITTER_US) && has_waited(j) && fits) {
        j->out.drifted = true;
        j->has_carried = false;
        j->high_us = j->frames_us;
    }
}

/* Forgets the known offset when the attempt contradicts it. */
static void doubt_carried(struct judging *j)
{
    if (!j->has_carried) {
        return;
    }
    const int64_t slewed = AGREE_US + j->waited_us / 1000000 * SETTING_PPM;
    const bool too_low = j->has_low && j->low_us > j->carried_us;
    const bool all_later = agree_on_later(j, j->out.tolerance_us);
    const bool all_sooner = j->has_high && j->high_us < j->carried_us - j->out.tolerance_us;
    if (agree_on_later(j, j->out.tolerance_us + slewed) && !j->out.changed && is_confirmed(j)) {
        found_set(j, &j->t->started); /* set while it waited, or all frames were late: unknown */
    }
    if (!j->out.changed) {
        follow_drift(j);
    }
    j->has_carried = j->has_carried && !too_low && !all_later && !all_sooner;
}

/* True if its end came as soon after its stamp as its start did, but for the jitter: both came in
   time. */
static bool end_vouches(const struct judging *j, int64_t jitter_us)
{
    const struct timeline *t = j->t;
    return !j->out.changed && agree(&t->started, &t->ended, jitter_us) &&
           lag_of(&t->ended) >= lag_of(&t->started) - jitter_us;
}

static bool came_with_the_answer(const struct judging *j)
{
    const struct timeline *t = j->t;
    return t->accepted.set &&
           mono_diff(t->started.received, t->accepted.received).us <= j->out.tolerance_us;
}

/* True if the frames came with the POST's answer, and that came soon; or late, as validation may
   take long, and the end confirms it. */
static bool is_at_once(const struct judging *j)
{
    const struct timeline *t = j->t;
    return came_with_the_answer(j) &&
           (mono_diff(t->accepted.received, t->posted.received).us <= SOON_US ||
            end_vouches(j, AGREE_US));
}

/*
 * True if start and answer confirm each other: create_time is stamped just before the POST is
 * answered. The start lagged as much as the answer, and nothing came sooner: both came in time, or
 * over the same distance.
 */
static bool answer_vouches(const struct judging *j)
{
    const struct timeline *t = j->t;
    if (t->created_ms == 0 || !t->accepted.set) {
        return false;
    }
    const int64_t lag = t->accepted.received.us - t->created_ms * 1000;
    return llabs(lag - lag_of(&t->started)) <= SAME_US &&
           lag_of(&t->started) - j->frames_us <= SAME_US;
}

/* True if an earlier attempt had the same lag after a different wait; or both waited for the POST's
   answer, as validation makes them. */
static bool is_seconded(const struct judging *j)
{
    const struct timeline *t = j->t;
    const int64_t waited = mono_diff(t->started.received, t->posted.received).us;
    return j->has_candidate && llabs(j->high_us - j->known->doubted.offset_us) <= SAME_US &&
           (llabs(waited - j->known->doubted_waited_us) > j->out.tolerance_us ||
            came_with_the_answer(j));
}

/* Judges how far apart the bounds are, and whether anything else confirms the upper one. */
static void judge_doubt(struct judging *j)
{
    const struct timeline *t = j->t;
    if (!was_heard(&t->started) || !t->posted.set) {
        return;
    }
    const int64_t most = j->out.tolerance_us;
    const int64_t first = mono_diff(t->started.received, t->posted.received).us;
    const bool is_measured = j->has_carried || j->out.drifted;
    const int64_t left = is_measured ? lag_of(&t->started) - j->carried_us : j->high_us - j->low_us;
    const bool vouched = marks_agree(j, j->out.changed ? AGREE_US : INT64_MAX) || is_at_once(j) ||
                         end_vouches(j, JITTER_US) || answer_vouches(j) || is_seconded(j);
    j->out.wide = first > most && left > most;
    j->out.unbounded = first > most && t->created_ms == 0 && j->known->unbounded >= UNBOUNDED;
    j->out.unsettled = j->out.changed ? first > most && !j->start_is_trusted && !vouched
                                      : j->out.wide && !j->has_carried && !vouched;
    /* The end of a running attempt may still confirm it. */
    j->out.doubtful = t->ended.set && j->out.unsettled;
}

/* Returns how far the clocks may drift apart from its start to its end. */
static int64_t drift_of(const struct judging *j)
{
    return drift_in(j->lasted_us);
}

static void bound_by_frame(struct judging *j, int64_t lag_us)
{
    bound_high(j, lag_us);
    j->frames_us = !j->has_frames || lag_us < j->frames_us ? lag_us : j->frames_us;
    j->has_frames = true;
}

static void bound_by_frames(struct judging *j)
{
    const struct timeline *t = j->t;
    if (time_mark_is_stamped(&t->started)) { /* it ran when first seen, by whatever frame */
        bound_by_frame(j, lag_of(&t->started));
    }
    if (was_heard(&t->planned) && !j->out.changed) {
        bound_by_frame(j, lag_of(&t->planned));
    }
    if (was_heard(&t->ended) && !j->out.changed) {
        bound_by_frame(j, lag_of(&t->ended) + drift_of(j));
    }
}

/* Computes the offsets from the bounds. */
static void settle(struct judging *j)
{
    const struct timeline *t = j->t;
    const int64_t drift = drift_of(j);
    struct clock_reading *out = &j->out;
    out->known =
        j->has_carried ||
        (j->has_high && (was_heard(&t->started) || was_heard(&t->planned) || was_heard(&t->ended)));
    out->offset_us = !j->has_carried                             ? j->high_us
                     : j->has_high && j->high_us < j->carried_us ? j->high_us
                                                                 : j->carried_us;
    if (j->has_low && !out->changed && out->offset_us < j->low_us) {
        out->offset_us = j->low_us; /* a late end says little of its start */
    }
    out->end_offset_us = out->offset_us;
    if (out->known && time_mark_is_stamped(&t->ended)) {
        const int64_t lag = lag_of(&t->ended);
        out->end_offset_us = lag < out->offset_us + drift ? lag : out->offset_us + drift;
    }
}

/* If all frames, the start included, were equally late and came one by one, our own clock times
   them right, whatever the reason. Else it is unknown which were late. */
static void look_behind_the_end(struct judging *j)
{
    const struct timeline *t = j->t;
    if (!was_heard(&t->ended) || j->out.changed || !j->out.known || !ended_before_its_frames(j)) {
        return;
    }
    const bool start_was_late = was_heard(&t->started) && j->has_carried &&
                                lag_of(&t->started) > j->carried_us + j->out.tolerance_us;
    if (start_was_late && agree(&t->started, &t->ended, AGREE_US)) {
        found_set(j, &t->started);
    } else {
        j->out.trickled = true;
    }
}

/* True if the end lagged no less than the start, and no more than a garbage collection explains,
   and the start came with the answer to a POST that took long. */
static bool is_usual_end(const struct judging *j)
{
    const struct timeline *t = j->t;
    const int64_t later = lag_of(&t->ended) - lag_of(&t->started);
    return came_with_the_answer(j) && later >= -JITTER_US && later < USUAL_LATE_US;
}

/* Doubts an end later than anything explains, if no frame read meanwhile tells a held frame from a
   clock that was set back; and one after a late start. */
static void judge_end(struct judging *j)
{
    const struct timeline *t = j->t;
    if (!was_heard(&t->ended) || j->out.changed || !j->out.known) {
        return;
    }
    const int64_t late = lag_of(&t->ended) - j->out.offset_us - drift_of(j);
    const bool start_was_late = was_heard(&t->started) && j->has_carried &&
                                lag_of(&t->started) > j->carried_us + j->out.tolerance_us;
    const bool held = t->began;
    const int64_t told = t->ended.stamp_ms * 1000 + j->out.offset_us + STAMP_US;
    const bool alone = t->idle && told >= t->watched.us; /* all nodes had ended when it was sent */
    j->out.end_doubtful =
        j->out.trickled || (j->out.doubtful && !is_usual_end(j)) ||
        (!held && !alone && late > END_LATE_US) ||
        (start_was_late && late > j->out.tolerance_us && (has_waited(j) || !is_confirmed(j)));
}

/* Recalls the earlier attempt with a doubtful lag; not this one, when judged again. */
static void recall_candidate(struct judging *j, struct mono_us now)
{
    const struct mono_us at = j->known->doubted.at;
    const int64_t age = mono_diff(now, at).us;
    j->has_candidate = at.us != 0 && age > 0 && age <= OLD_US;
}

struct clock_reading server_clock_judge(const struct server_clock *c, const struct timeline *t)
{
    struct judging j = {.t = t, .known = c};
    j.out.tolerance_us = larger(c->tolerance_us, LEAST_TOLERANCE_US);
    j.out.jitter_us = larger(c->jitter_us, JITTER_US);
    const struct time_mark *last = t->ended.set ? &t->ended : t->started.set ? &t->started : NULL;
    const struct mono_us now = last != NULL ? last->received : t->queued;
    j.has_carried = carried(c, now, &j.carried_us);
    recall_candidate(&j, now);
    if (t->started.set && t->ended.set) {
        j.lasted_us = mono_diff(t->ended.received, t->started.received).us;
    }
    bound_by_post(&j);
    j.start_is_trusted = is_trusted(&j, &t->started);
    look_for_setting(&j);
    bound_by_frames(&j);
    look_for_contradiction(&j);
    doubt_carried(&j);
    settle(&j);
    look_behind_the_end(&j);
    judge_doubt(&j);
    judge_end(&j);
    return j.out;
}

/* ---- learning -------------------------------------------------------------------------------- */

/* True if the POST bounds its start. */
static bool began_at_once(const struct timeline *t)
{
    return was_heard(&t->started) && t->posted.set &&
           mono_diff(t->started.received, t->posted.received).us <= t->clock.tolerance_us;
}

/* Adds a lag. A late frame counts as barely in time: only if most are late it is usual. */
static void learn_lag(struct server_clock *c, const struct timeline *t, int64_t in_time_us,
                      const struct time_mark *m)
{
    if (was_heard(m)) {
        const int64_t lag = lag_of(m) - in_time_us;
        c->lags[c->lags_next] = lag < t->clock.tolerance_us ? lag : t->clock.tolerance_us;
        c->lags_next = (c->lags_next + 1) % SERVER_CLOCK_LAGS;
    }
}

static void learn_offset(struct server_clock *c, int64_t offset_us, struct mono_us at)
{
    c->runs[c->next] = (struct clock_run){offset_us, at};
    c->next = (c->next + 1) % SERVER_CLOCK_RUNS;
    c->len += c->len < SERVER_CLOCK_RUNS ? 1 : 0;
}

/* Returns the smallest lag of its frames, capped by create_time. */
static bool smallest(const struct timeline *t, int64_t *ret)
{
    const struct time_mark *marks[] = {&t->ended, &t->started, &t->planned};
    bool any = false;
    for (size_t i = 0; i < 3; i++) {
        if (was_heard(marks[i]) && (!any || lag_of(marks[i]) < *ret)) {
            *ret = lag_of(marks[i]);
            any = true;
        }
    }
    if (any && t->created_ms > 0 && t->accepted.set && !t->clock.drifted) {
        const int64_t most = t->accepted.received.us - t->created_ms * 1000;
        *ret = *ret < most ? *ret : most;
    }
    return any;
}

void server_clock_learn(struct server_clock *c, const struct timeline *t)
{
    int64_t offset = 0;
    int64_t before = 0;
    const struct clock_reading *r = &t->clock;
    if (r->known && r->changed) {
        /* The known offset is void. The end is of the new clock, and may be late as ends are. */
        c->len = c->next = 0;
        c->doubted.at.us = 0;
        return;
    }
    if (!r->known || !smallest(t, &offset)) {
        return;
    }
    if (r->doubtful) {
        c->doubted = (struct clock_run){offset, t->ended.received};
        c->doubted_waited_us = mono_diff(t->started.received, t->posted.received).us;
        return;
    }
    const bool had = carried(c, t->ended.received, &before);
    if (had && r->offset_us > before) {
        c->len = c->next = 0; /* the known offset is void */
    }
    const bool bounded = began_at_once(t);
    c->unbounded = bounded || t->created_ms > 0 ? 0 : c->unbounded + 1;
    if (!r->wide || t->created_ms > 0) {
        /* A prompt that waited is measured by its own frames: drift is no jitter. */
        const int64_t in_time = bounded ? r->offset_us : offset;
        learn_lag(c, t, in_time, &t->started);
        learn_lag(c, t, in_time, &t->planned);
        learn_tolerance(c);
    }
    learn_offset(c, offset, t->ended.received);
}
