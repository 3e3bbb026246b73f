/*
 * Any bytes as the life of one attempt: each event is a byte for how much later it comes, one for
 * its kind and those that it needs (node ids come from a small alphabet, so that they meet). The
 * profile is checked in the middle and at the end. scripts/fuzz-seeds makes such bytes from
 * recordings.
 */
#include "fuzz.h"

#include <string.h>

#include "profile_check.h"

static const char WORKFLOW[] =
    "{\"1\":{\"class_type\":\"A\",\"inputs\":{}},"
    "\"2\":{\"class_type\":\"B\",\"inputs\":{\"x\":[\"1\",0]}},"
    "\"3\":{\"inputs\":{\"x\":[\"2\",0]},\"_meta\":{\"title\":\"three\"}},"
    "\"4\":{\"class_type\":\"D\",\"inputs\":{\"x\":[\"3\",0],\"y\":[\"1\",0]}},"
    "\"5\":{\"class_type\":\"E\",\"inputs\":{\"x\":[\"5\",0]}}}";

/* Five of the workflow, two below "3", one below that, one odd, and none. */
static const char *const alphabet[] = {
    "1", "2", "3", "4", "5", "3.0.0.1", "3.0.0.2", "3.0.0.1.0.0.1", "\"\xff", NULL};
enum { LETTERS = sizeof alphabet / sizeof *alphabet };

struct life {
    const uint8_t *at;
    const uint8_t *end;
    struct watched *w;
    struct mono_us now;
    bool gap;
    unsigned looks;
};

enum { MOST_LOOKS = 3 }; /* rendering and checking is most of the cost */

static unsigned take(struct life *l)
{
    return l->at < l->end ? *l->at++ : 0;
}

static struct str take_id(struct life *l)
{
    return str_of(alphabet[take(l) % LETTERS]);
}

/* Around now by the server's clock; sometimes none, or a number that is no time. */
static int64_t take_stamp(struct life *l)
{
    static const int64_t odd[] = {0, -1, INT64_MAX, INT64_MIN, 1, INT64_MAX / 2000};
    const unsigned b = take(l);
    if (b < sizeof odd / sizeof *odd) {
        return odd[b];
    }
    return 1700000000000 + l->now.us / 1000 + 5000 + (int64_t)(b / 4) - 32;
}

enum { MOST_IDS = 8 };

static size_t take_ids(struct life *l, struct str ids[MOST_IDS])
{
    const size_t n = take(l) % MOST_IDS;
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        const struct str id = take_id(l);
        if (id.p != NULL) {
            ids[len++] = id;
        }
    }
    return len;
}

static void feed(struct life *l, struct frame f)
{
    watched_feed(l->w, l->now, &f);
}

static void live_start(struct life *l)
{
    feed(l, (struct frame){.type = FRAME_START, .stamp_ms = take_stamp(l)});
}

static void live_cached(struct life *l)
{
    struct str ids[MOST_IDS];
    const int64_t stamp = take_stamp(l);
    const size_t n = take_ids(l, ids);
    feed(l, (struct frame){.type = FRAME_CACHED, .stamp_ms = stamp, .ids = ids, .ids_len = n});
}

static void live_executing(struct life *l)
{
    const struct str node = take_id(l);
    feed(l, (struct frame){.type = FRAME_EXECUTING, .node = node, .display_node = take_id(l)});
}

static void live_progress(struct life *l)
{
    const struct str node = take_id(l);
    const double value = take(l) % 16;
    feed(l, (struct frame){.type = FRAME_PROGRESS, .node = node, .value = value, .max = 10});
}

/* Each entry: a node, its state (and whether it has a parent). */
static void live_state(struct life *l)
{
    struct frame_node nodes[MOST_IDS];
    const size_t n = take(l) % MOST_IDS;
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        const struct str id = take_id(l);
        const unsigned how = take(l);
        if (id.p != NULL) {
            nodes[len++] = (struct frame_node){
                .id = id,
                .parent = str_of(alphabet[how / 4 % LETTERS]),
                .display = str_of(alphabet[how / 64 % LETTERS]),
                .state = how % 4 == 3 ? NODE_STATE_RUNNING : (enum node_state)(how % 4),
            };
        }
    }
    feed(l, (struct frame){.type = FRAME_STATE, .nodes = nodes, .nodes_len = len});
}

static void live_executed(struct life *l)
{
    feed(l, (struct frame){.type = FRAME_EXECUTED, .node = take_id(l)});
}

static void live_success(struct life *l)
{
    feed(l, (struct frame){.type = FRAME_SUCCESS, .stamp_ms = take_stamp(l)});
}

static struct frame take_error(struct life *l, struct str *ids)
{
    static const char *const types[] = {"torch.cuda.OutOfMemoryError", "ExecutionBlocked"};
    return (struct frame){.type = FRAME_ERROR,
                          .stamp_ms = take_stamp(l),
                          .node = take_id(l),
                          .error_type = str_of(types[take(l) % 2]),
                          .message = STR("it broke \"\xff\n"),
                          .ids = ids,
                          .ids_len = ids == NULL ? 0 : take_ids(l, ids)};
}

static void live_error(struct life *l)
{
    struct str ids[MOST_IDS];
    feed(l, take_error(l, ids));
}

static void live_interrupted(struct life *l)
{
    const struct str node = take_id(l);
    feed(l, (struct frame){.type = FRAME_INTERRUPTED, .node = node, .stamp_ms = take_stamp(l)});
}

static void live_gap(struct life *l)
{
    if (l->gap) {
        profiler_gap_end(l->w->profiler, l->now);
    } else {
        profiler_gap_begin(l->w->profiler, l->now, "disconnected");
    }
    l->gap = !l->gap;
}

static void live_history(struct life *l)
{
    struct str cached[MOST_IDS];
    struct str executed[MOST_IDS];
    struct str done[MOST_IDS];
    struct frame messages[3] = {{.type = FRAME_START, .stamp_ms = take_stamp(l)},
                                {.type = FRAME_CACHED, .ids = cached}};
    messages[1].ids_len = take_ids(l, cached);
    if (take(l) % 2 == 0) {
        messages[2] = take_error(l, executed);
    } else {
        messages[2] = (struct frame){.type = FRAME_SUCCESS, .stamp_ms = take_stamp(l)};
    }
    const size_t n = take_ids(l, done);
    watched_history(l->w, l->now, messages, 1 + take(l) % 3, done, n);
}

static void live_intent(struct life *l)
{
    l->w->timeline.intent = (struct time_mark){.set = true, .received = l->now};
}

static void live_accepted(struct life *l)
{
    l->w->timeline.accepted = (struct time_mark){.set = true, .received = l->now};
}

static void live_started(struct life *l)
{
    (void)timeline_start(&l->w->timeline, l->now, 0); /* the first sign that it runs */
}

static void live_long(struct life *l)
{
    l->now.us += (int64_t)take(l) * 1000000;
}

static void live_look(struct life *l)
{
    if (l->looks++ < MOST_LOOKS) {
        watched_check(l->w, l->now, ATTEMPT_LOST);
    }
}

/* The order is that of scripts/fuzz-seeds. */
static void (*const events[])(struct life *) = {
    live_intent,  live_accepted, live_start,   live_cached, live_executing,   live_progress,
    live_state,   live_executed, live_success, live_error,  live_interrupted, live_gap,
    live_history, live_started,  live_long,    live_look,
};

int fuzz_profiler(const uint8_t *data, size_t size)
{
    struct life l = {.at = data, .end = data + size, .now = {1000000}};
    l.w = watched_new(str_of(WORKFLOW), l.now);
    const enum attempt_outcome outcome =
        (enum attempt_outcome)(1 + take(&l) % (ATTEMPT_OUTCOME_COUNT - 1));
    while (l.at < l.end) {
        l.now.us += (int64_t)take(&l) * 37;
        events[take(&l) % (sizeof events / sizeof *events)](&l);
    }
    watched_check(l.w, l.now, outcome);
    watched_free(l.w);
    return 0;
}
