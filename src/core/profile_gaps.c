/*
 * The gaps of an attempt: those reported while it ran, and those that its marks show afterwards:
 * stamped frames later than usual for this server, frames read after the end by its stamp, a start
 * not seen, a changed clock. Called by profile.c. Cost: O(gaps squared), of which MAX_GAPS are
 * kept, and O(reads log reads) where frames were late.
 *
 * A late terminal frame alone is no gap: a server's garbage collection regularly delays it, and the
 * last node's end with it. Its stamp is the end of both.
 */
#include "profiler_inner.h"

#include <stdlib.h>
#include <string.h>

/* From marks: the start, the plan, the end, a start or a plan unseen, a doubtful start, a clock. */
enum { MOST_SHOWN = 8 };

/* A burst from our kernel is read at once, but for processing. */
enum { OUR_BURST_US = 1000 };

struct gathering {
    struct profiler *p;
    const struct timeline *t;
    struct profile_gap *list;
    size_t len;
    struct mono_us *reads; /* times of reading starts and ends, sorted */
    size_t reads_len;
};

static void add(struct gathering *g, struct mono_us from, struct mono_us to, const char *reason,
                enum gap_kind kind)
{
    g->list[g->len++] = (struct profile_gap){mono_min(from, to), to, reason, kind};
}

/* ---- when frames were read ------------------------------------------------------------------- */

static int by_time(const void *x, const void *y)
{
    const struct mono_us *a = x;
    const struct mono_us *b = y;
    return (a->us > b->us) - (a->us < b->us);
}

static void note_read(struct gathering *g, struct mono_us at)
{
    g->reads[g->reads_len++] = at;
}

static void gather_reads(struct gathering *g)
{
    const struct profiler *p = g->p;
    size_t most = 3 + p->starts_len;
    for (size_t i = 0; i < p->len; i++) {
        most += p->nodes[i]->slices_len + p->nodes[i]->progress_len + 1;
    }
    g->reads = mem_alloc(most * sizeof *g->reads);
    for (size_t i = 0; i < p->starts_len; i++) {
        note_read(g, p->starts[i].at);
    }
    for (size_t i = 0; i < p->len; i++) {
        const struct timed_node *n = p->nodes[i];
        for (size_t k = 0; k < n->slices_len; k++) {
            note_read(g, n->slices[k].to);
        }
        for (size_t k = 0; k < n->progress_len; k++) {
            note_read(g, n->progress[k].at);
        }
    }
    const struct time_mark *marks[] = {&g->t->started, &g->t->planned, &g->t->ended};
    for (size_t i = 0; i < 3; i++) {
        if (marks[i]->set && !marks[i]->by_history) {
            note_read(g, marks[i]->received);
        }
    }
    qsort(g->reads, g->reads_len, sizeof *g->reads, by_time);
}

/* True for a standstill of our own, whose end is known. */
static bool is_ours(const struct profile_gap *gap)
{
    return strcmp(gap->reason, "daemon_busy") == 0;
}

/* Finds the first read at or after this time. */
static size_t first_read(const struct gathering *g, struct mono_us at)
{
    size_t low = 0;
    size_t high = g->reads_len;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (mono_before(g->reads[middle], at)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* True if it was read in time, by its stamp. */
static bool is_punctual(const struct timeline *t, const struct time_mark *m)
{
    return t->clock.known && !t->clock.changed && !t->clock.doubtful && time_mark_is_stamped(m) &&
           !m->by_history &&
           mono_diff(m->received, timeline_carried(t, m)).us <= t->clock.tolerance_us;
}

/* Returns the last time at which frames are known to come in time. */
static struct mono_us last_punctual(const struct timeline *t)
{
    return is_punctual(t, &t->planned)   ? t->planned.received
           : is_punctual(t, &t->started) ? t->started.received
           : t->posted.set               ? t->posted.received
                                         : t->queued;
}

/* Returns when the late gap's burst ends: frames read close behind waited too, but not a whole
   sequence, nor any after a plan that came in time. */
static struct mono_us end_of_burst(const struct gathering *g, const struct profile_gap *gap)
{
    const struct time_mark *plan = &g->t->planned;
    const bool clipped = is_punctual(g->t, plan) && !mono_before(plan->received, gap->to);
    const int64_t close_us = is_ours(gap) ? OUR_BURST_US : TIMELINE_BURST_US;
    struct mono_us to = gap->to;
    for (size_t i = first_read(g, gap->to); i < g->reads_len; i++) {
        const int64_t later = mono_diff(g->reads[i], gap->to).us;
        if ((clipped && mono_before(plan->received, g->reads[i])) ||
            (later > close_us && mono_diff(g->reads[i], to).us > OUR_BURST_US)) {
            break;
        }
        to = g->reads[i];
    }
    return to;
}

/* ---- what the marks show --------------------------------------------------------------------- */

static void show_late(struct gathering *g, const struct time_mark *m)
{
    const struct timeline *t = g->t;
    const struct mono_us carried = timeline_carried(t, m);
    if (t->clock.known && !t->clock.changed && time_mark_is_stamped(m) && !m->by_history &&
        mono_diff(m->received, carried).us > t->clock.tolerance_us) {
        add(g, carried, m->received, "frames_late", GAP_LATE);
    }
}

bool profiler_ends_last(const struct profiler *p, const struct timed_node *n)
{
    const struct timed_node *last = p->ends_last;
    return last != NULL && (n == last || nodes_is_under(&p->known, &n->node, last->node.id) ||
                            nodes_is_under(&p->known, &last->node, n->node.id));
}

/* Orders ends; of those read together the one that began last. */
static bool ends_later(const struct timed_node *a, const struct timed_node *b)
{
    return a->end.us != b->end.us ? a->end.us > b->end.us : a->open_index > b->open_index;
}

static void find_last(struct profiler *p)
{
    p->ends_last = NULL;
    for (size_t i = 0; i < p->len; i++) {
        const struct timed_node *n = p->nodes[i];
        if (n->slices_len > 0 && !profiler_is_open(n) &&
            (p->ends_last == NULL || ends_later(n, p->ends_last))) {
            p->ends_last = n;
        }
    }
}

/* Returns how late a frame may be without meaning anything. Python switches threads every 5 ms, so
   even a healthy server may be that late; nodes that began in one burst mean more. */
static int64_t no_news_us(const struct gathering *g)
{
    const struct profiler *p = g->p;
    const struct timeline *t = g->t;
    size_t begun = 0;
    while (begun < 2 && begun < p->starts_len &&
           !mono_before(p->starts[p->starts_len - 1 - begun].at, t->burst)) {
        begun++;
    }
    return begun < 2 && t->clock.jitter_us < TIMELINE_BURST_US ? TIMELINE_BURST_US
                                                               : t->clock.jitter_us;
}

/* Finds the first node start, or end except the last, read after `edge`. */
static bool first_behind(struct profiler *p, struct mono_us edge, struct mono_us *ret)
{
    bool any = false;
    for (size_t i = p->starts_len; i > 0; i--) {
        const struct mono_us at = p->starts[i - 1].at;
        if (mono_before(edge, at)) {
            *ret = any ? mono_min(*ret, at) : at;
            any = true;
        }
    }
    for (size_t i = 0; i < p->len; i++) {
        const struct timed_node *n = p->nodes[i];
        if (n->slices_len > 0 && !profiler_is_open(n) && mono_before(edge, n->end) &&
            !profiler_ends_last(p, n)) {
            *ret = any ? mono_min(*ret, n->end) : n->end;
            any = true;
        }
    }
    return any;
}

/* Returns the time of the last read of any frame before `edge`. */
static struct mono_us last_before(const struct gathering *g, struct mono_us edge)
{
    const struct timeline *t = g->t;
    struct mono_us before = t->posted.set ? t->posted.received : t->queued;
    before = mono_before(edge, t->watched) ? before : mono_max(before, t->watched);
    for (size_t i = 0; i < g->reads_len && !mono_before(edge, g->reads[i]); i++) {
        before = mono_max(before, g->reads[i]);
    }
    return before;
}

/* Returns the start by the server's stamp; 0 if unknown. */
static struct mono_us began_by_stamp(const struct timeline *t)
{
    return time_mark_is_stamped(&t->started) ? timeline_carried(t, &t->started)
                                             : (struct mono_us){0};
}

/*
 * Adds a gap when starts or ends of nodes were read after the end by its stamp. If all of them came
 * together with it, they were held back: the gap begins at the last read before the end, or at the
 * start by its stamp. If they came one by one, all frames were late since an unknown time. Less
 * than the tolerance is ignored: quick prompts are read at once.
 */
static void show_held(struct gathering *g)
{
    const struct timeline *t = g->t;
    const struct mono_us told = timeline_carried(t, &t->ended);
    const struct mono_us edge = mono_add(told, (struct dur_us){no_news_us(g)});
    struct mono_us first;
    if (!t->clock.known || t->clock.changed || !time_mark_is_stamped(&t->ended) ||
        t->ended.by_history || !first_behind(g->p, edge, &first)) {
        return;
    }
    const bool let_go = mono_before(edge, t->burst) && !mono_before(first, t->burst);
    const struct mono_us from = let_go ? last_before(g, edge) : last_punctual(t);
    const struct mono_us began = mono_max(from, began_by_stamp(t));
    const int64_t most_us = mono_diff(let_go ? told : t->ended.received, let_go ? began : told).us;
    if (most_us > t->clock.tolerance_us) {
        add(g, from, t->ended.received, "frames_late", GAP_LATE);
    }
}

static void show_start(struct gathering *g)
{
    const struct timeline *t = g->t;
    const struct mono_us posted = t->posted.set   ? t->posted.received
                                  : t->intent.set ? t->intent.received
                                                  : t->queued;
    if (t->unseen.us != 0) {
        add(g, posted, t->unseen, "start_unseen", GAP_LOST);
    }
    if (t->unplanned.us != 0) {
        add(g, t->started.received, t->unplanned, "plan_unseen", GAP_LOST);
    }
    if (t->clock.doubtful) {
        add(g, posted, t->started.received, "frames_late", GAP_LATE);
    }
    show_late(g, &t->started);
    show_late(g, &t->planned);
}

/* Adds a gap for an end that came too late to be believed: what ended last did so at any time since
   the frame before it; those before were late too if they came one by one after its stamp. */
static void show_end(struct gathering *g)
{
    const struct timeline *t = g->t;
    if (t->clock.end_doubtful) {
        const struct mono_us before =
            t->clock.trickled ? last_punctual(t) : mono_max(t->watched, t->started.received);
        add(g, before, t->ended.received, "frames_late", GAP_LATE);
    }
}

/* ---- putting them together ------------------------------------------------------------------- */

static int by_from(const void *x, const void *y)
{
    const struct profile_gap *a = x;
    const struct profile_gap *b = y;
    if (a->from.us != b->from.us) {
        return a->from.us < b->from.us ? -1 : 1;
    }
    return (b->to.us > a->to.us) - (b->to.us < a->to.us);
}

/* Merges a late gap into one that meets it; the reason is loss, else our own standstill. False: b
   stays separate. */
static bool take_in(struct profile_gap *a, const struct profile_gap *b)
{
    if (b->kind != GAP_LATE || a->kind == GAP_CLOCK || mono_before(a->to, b->from)) {
        return false;
    }
    if (a->kind == GAP_LOST) {
        return !mono_before(a->to, b->to);
    }
    a->to = mono_max(a->to, b->to);
    a->reason = is_ours(b) ? b->reason : a->reason;
    return true;
}

static void merge(struct gathering *g)
{
    qsort(g->list, g->len, sizeof *g->list, by_from);
    size_t kept = 0;
    for (size_t i = 0; i < g->len; i++) {
        bool taken = false;
        for (size_t k = kept; k > 0 && !taken; k--) {
            taken = take_in(&g->list[k - 1], &g->list[i]);
        }
        if (!taken) {
            g->list[kept++] = g->list[i];
        }
    }
    g->len = kept;
}

static bool any_late(const struct gathering *g)
{
    for (size_t i = 0; i < g->len; i++) {
        if (g->list[i].kind == GAP_LATE) {
            return true;
        }
    }
    return false;
}

struct profile_gap *profiler_gaps(struct profiler *p, const struct timeline *t, size_t *ret_len)
{
    struct gathering g = {.p = p, .t = t};
    g.list = mem_alloc((p->gaps_len + MOST_SHOWN) * sizeof *g.list);
    for (size_t i = 0; i < p->gaps_len; i++) {
        const bool open = p->gap_open && i + 1 == p->gaps_len;
        const struct profile_gap *gap = &p->gaps[i];
        add(&g, gap->from, open ? t->ended.received : gap->to, gap->reason, gap->kind);
    }
    find_last(p);
    show_start(&g);
    show_end(&g);
    const bool end_is_late =
        t->clock.known && time_mark_is_stamped(&t->ended) &&
        mono_diff(t->ended.received, timeline_carried(t, &t->ended)).us > t->clock.jitter_us;
    if (any_late(&g) || end_is_late) {
        gather_reads(&g);
        show_held(&g);
    }
    for (size_t i = 0; i < g.len; i++) {
        struct profile_gap *gap = &g.list[i];
        gap->to = gap->kind == GAP_LATE ? end_of_burst(&g, gap) : gap->to;
    }
    if (t->clock.changed) {
        add(&g, t->clock.changed_from, t->ended.received, "clock_changed", GAP_CLOCK);
    }
    merge(&g);
    free(g.reads);
    *ret_len = g.len;
    return g.list;
}

const struct profile_gap *profiler_gap_at(const struct profile_gap *gaps, size_t len,
                                          struct mono_us read, enum gap_kind kind)
{
    size_t low = 0;
    size_t high = len;
    while (low < high) { /* count of those that begin before it */
        const size_t middle = low + (high - low) / 2;
        if (mono_before(gaps[middle].from, read)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    while (low > 0 && gaps[low - 1].kind != kind) {
        low--;
    }
    return low > 0 && !mono_before(gaps[low - 1].to, read) ? &gaps[low - 1] : NULL;
}
