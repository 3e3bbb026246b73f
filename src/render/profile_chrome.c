/*
 * A profile in the Trace Event Format, which ui.perfetto.dev opens: one process, a thread a lane, a
 * complete event a slice. Times are whole microseconds since the job was queued, ends too, so that
 * nesting is preserved. Cached nodes, and nodes whose end was not seen, are instants: no length is
 * invented.
 */
#include "formats.h"
#include "profile_lanes.h"

enum { PROCESS = 1, TEXT_MAX = 200 };

static void member_plain(struct js_out *o, const char *name, struct str s)
{
    if (s.p != NULL) {
        AUTO_BUF struct buf text;
        buf_init(&text, BUF_NO_LIMIT);
        add_plain(&text, s, TEXT_MAX);
        js_member_str(o, name, buf_str(&text));
    }
}

static void begin_event(struct js_out *o, const char *kind, struct str name, const char *category,
                        size_t thread)
{
    js_open(o, '{');
    js_member_string(o, "ph", kind);
    js_member_str(o, "name", name);
    js_member_string(o, "cat", category);
    js_member_int(o, "pid", PROCESS);
    js_member_int(o, "tid", (int64_t)thread);
}

static void begin_node_event(struct js_out *o, const char *kind, const struct stored_node *n,
                             size_t thread)
{
    AUTO_BUF struct buf label;
    buf_init(&label, BUF_NO_LIMIT);
    add_node_label(&label, n);
    begin_event(o, kind, buf_str(&label), "node", thread);
}

/* ---- names of the process and its threads ---------------------------------------------------- */

static void add_meta(struct js_out *o, const char *what, size_t thread, const char *name)
{
    js_open(o, '{');
    js_member_string(o, "ph", "M");
    js_member_string(o, "name", what);
    js_member_int(o, "pid", PROCESS);
    js_member_int(o, "tid", (int64_t)thread);
    js_key(o, "args");
    js_open(o, '{');
    if (name != NULL) {
        js_member_string(o, "name", name);
    } else {
        js_member_int(o, "sort_index", (int64_t)thread);
    }
    js_close(o, '}');
    js_close(o, '}');
}

static void add_thread(struct js_out *o, size_t thread, const char *name)
{
    add_meta(o, "thread_name", thread, name);
    add_meta(o, "thread_sort_index", thread, NULL);
}

static void add_process(struct js_out *o, const struct stored_profile *p)
{
    AUTO_BUF struct buf name;
    buf_init(&name, BUF_NO_LIMIT);
    const struct str backend = text_of(p->json, "backend");
    buf_add_text(&name, "job ");
    add_plain(&name, text_of(p->json, "jobId"), TEXT_MAX);
    if (backend.n > 0) {
        buf_printf(&name, ", attempt %.0f on ", number_of(p->json, "attempt"));
        add_plain(&name, backend, TEXT_MAX);
    }
    add_meta(o, "process_name", 0, buf_text(&name));
}

/* ---- events ---------------------------------------------------------------------------------- */

/* Leaves args open. */
static void add_node_args(struct js_out *o, const struct stored_node *n)
{
    static const char *const more[] = {"order", "duration", "selfDuration", "steps", "resources"};
    js_key(o, "args");
    js_open(o, '{');
    js_member_str(o, "nodeId", n->id);
    member_plain(o, "type", n->type);
    member_plain(o, "title", n->title);
    js_member_str(o, "status", n->status);
    js_member_of(o, "parentNodeId", n->json);
    member_plain(o, "error", text_of(n->json, "error"));
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        js_member_of(o, more[i], n->json);
    }
    if (n->open) {
        js_member_bool(o, "stillOpen", true);
    }
}

static void add_phase(struct js_out *o, const struct lane_item *s, size_t lane)
{
    begin_event(o, "X", str_of(s->phase), "phase", lane + 1);
    js_member_int(o, "ts", s->from.us);
    js_member_int(o, "dur", s->to.us - s->from.us);
    js_close(o, '}');
}

static void add_slice(struct js_out *o, const struct lane_item *s, size_t lane)
{
    begin_node_event(o, "X", s->node, lane + 1);
    js_member_int(o, "ts", s->from.us);
    js_member_int(o, "dur", s->to.us - s->from.us);
    add_node_args(o, s->node);
    if (s->node->slices_len > 1) {
        js_member_int(o, "slice", (int64_t)s->slice + 1);
        js_member_int(o, "slices", (int64_t)s->node->slices_len);
    }
    js_close(o, '}');
    js_close(o, '}');
}

/* True for a node with a start but no slice to draw. */
static bool is_instant(const struct stored_node *n)
{
    return n->has_start && n->slices_len == 0;
}

static void add_instant(struct js_out *o, const struct stored_node *n)
{
    begin_node_event(o, "i", n, 2);
    js_member_int(o, "ts", n->start.us);
    js_member_string(o, "s", "t");
    add_node_args(o, n);
    js_close(o, '}');
    js_close(o, '}');
}

static size_t count_instants(const struct stored_profile *p)
{
    size_t count = 0;
    for (size_t i = 0; i < p->nodes_len; i++) {
        count += is_instant(&p->nodes[i]);
    }
    return count;
}

/* Adds unwatched times, on a thread of their own. */
static void add_gaps(struct js_out *o, const struct stored_profile *p, size_t thread)
{
    const json_t *gaps = json_object_get(json_object_get(p->json, "evidence"), "gaps");
    struct dur_us at = {0};
    if (json_array_size(gaps) > 0) {
        add_thread(o, thread, "Not watched");
    }
    for (size_t i = 0; i < json_array_size(gaps); i++) {
        const json_t *g = json_array_get(gaps, i);
        struct dur_us from = {0};
        struct dur_us to = {0};
        if (!point_of(p, g, "from", &from) || !point_of(p, g, "to", &to) || to.us < at.us) {
            continue;
        }
        from.us = from.us < at.us ? at.us : from.us;
        const struct str reason = text_of(g, "reason");
        begin_event(o, "X", reason.n == 0 ? STR("unknown") : reason, "gap", thread);
        js_member_int(o, "ts", from.us);
        js_member_int(o, "dur", to.us < from.us ? 0 : to.us - from.us);
        js_close(o, '}');
        at = to;
    }
}

/* ---- counters -------------------------------------------------------------------------------- */

static const struct {
    const char *key;
    const char *name;
    const char *unit;
} counters[] = {
    {"gpuUtilization", "GPU utilization", "percent"},
    {"vramUsed", "VRAM used", "bytes"},
    {"ramUsed", "RAM used", "bytes"},
    {"gpuTemperature", "GPU temperature", "celsius"},
};

static void add_counter(struct js_out *o, const json_t *sample, struct dur_us at, size_t which)
{
    const json_t *v = known_number(sample, counters[which].key);
    if (v == NULL) {
        return;
    }
    js_open(o, '{');
    js_member_string(o, "ph", "C");
    js_member_string(o, "name", counters[which].name);
    js_member_int(o, "pid", PROCESS);
    js_member_int(o, "ts", at.us);
    js_key(o, "args");
    js_open(o, '{');
    js_key(o, counters[which].unit);
    js_value(o, v);
    js_close(o, '}');
    js_close(o, '}');
}

static void add_counters(struct js_out *o, const struct stored_profile *p)
{
    const json_t *samples = json_object_get(json_object_get(p->json, "resources"), "samples");
    for (size_t i = 0; i < json_array_size(samples); i++) {
        const json_t *s = json_array_get(samples, i);
        struct dur_us at = {0};
        for (size_t k = 0; point_of(p, s, "at", &at) && k < sizeof counters / sizeof *counters;
             k++) {
            add_counter(o, s, at, k);
        }
    }
}

/* ---- the file -------------------------------------------------------------------------------- */

static void add_other_data(struct js_out *o, const struct stored_profile *p)
{
    static const char *const texts[] = {"jobId", "promptId", "backend", "outcome"};
    js_key(o, "otherData");
    js_open(o, '{');
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        member_plain(o, texts[i], text_of(p->json, texts[i]));
    }
    js_member_of(o, "attempt", p->json);
    js_member_ms(o, "queuedAt", p->queued.us);
    js_member_of(o, "complete", json_object_get(p->json, "evidence"));
    js_close(o, '}');
}

static void add_lanes(struct js_out *o, const struct stored_profile *p, const struct lanes *l)
{
    const size_t instants = count_instants(p);
    const size_t threads = l->len == 1 && instants > 0 ? 2 : l->len;
    for (size_t i = 0; i < threads; i++) {
        char name[LANE_NAME_SIZE];
        lane_name(i, name);
        add_thread(o, i + 1, name);
    }
    for (size_t i = 0; i < l->len; i++) {
        for (size_t k = l->first[i]; k < l->first[i + 1]; k++) {
            (l->items[k].node == NULL ? add_phase : add_slice)(o, &l->items[k], i);
        }
    }
    for (size_t i = 0; i < p->nodes_len; i++) {
        if (is_instant(&p->nodes[i])) {
            add_instant(o, &p->nodes[i]);
        }
    }
    add_gaps(o, p, threads + 1);
}

void profile_chrome(const struct stored_profile *p, struct buf *out)
{
    AUTO_LANES struct lanes lanes;
    lanes_make(p, &lanes);
    struct js_out o = js_out_to(out);
    js_open(&o, '{');
    js_member_string(&o, "displayTimeUnit", "ms");
    add_other_data(&o, p);
    js_key(&o, "traceEvents");
    js_open(&o, '[');
    add_process(&o, p);
    add_lanes(&o, p, &lanes);
    add_counters(&o, p);
    js_close(&o, ']');
    js_close(&o, '}');
}
