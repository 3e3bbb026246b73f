/*
 * Readers of the formats, strict and simple, written from the formats' own descriptions (RFC 4180,
 * Trace Event Format, speedscope's schema, collapsed stacks, OTLP/HTTP in JSON). They know nothing
 * of how the formats are made.
 */
#include "format_rules.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- the profile ----------------------------------------------------------------------------- */

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s == NULL ? "" : s;
}

static bool same_text(const json_t *a, const json_t *b)
{
    return json_is_string(a) && json_is_string(b) && json_equal(a, b);
}

/* Milliseconds in the profile as microseconds. */
static int64_t us_of(const json_t *o, const char *key)
{
    return llround(json_number_value(json_object_get(o, key)) * 1000);
}

static bool has(const json_t *o, const char *key)
{
    return json_object_get(o, key) != NULL;
}

static size_t nodes_of(const json_t *profile)
{
    return json_array_size(json_object_get(profile, "nodes"));
}

static const json_t *node_at(const json_t *profile, size_t i)
{
    return json_array_get(json_object_get(profile, "nodes"), i);
}

static bool is_cached(const json_t *node)
{
    return json_is_true(json_object_get(node, "cached"));
}

/* It is drawn as slices: it has a start and an end, and was not cached. */
static bool has_slices(const json_t *node)
{
    return has(node, "startedAt") && has(node, "completedAt") && !is_cached(node);
}

static size_t slices_of(const json_t *node)
{
    const size_t n = json_array_size(json_object_get(node, "slices"));
    return n == 0 ? 1 : n;
}

static json_t *parse(const char *what, struct str text)
{
    json_error_t error;
    json_t *o = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    ck_assert_msg(o != NULL, "%s: no JSON at %d: %s in\n%.*s", what, error.position, error.text,
                  (int)text.n, text.p);
    return o;
}

/* ---- text ------------------------------------------------------------------------------------ */

void check_text(const json_t *profile, struct str text)
{
    size_t bars = 0;
    for (size_t i = 0; i < text.n; i++) {
        const unsigned char c = (unsigned char)text.p[i];
        ck_assert_msg((c >= ' ' || c == '\n') && c != 0x7f, "a control in\n%.*s", (int)text.n,
                      text.p);
    }
    AUTO_FREE char *copy = mem_copy(text);
    char *rest = strstr(copy, "  #  Node");
    rest = rest == NULL ? strstr(copy, "     #  Node") : rest;
    ck_assert_msg(rest != NULL, "no table in\n%s", copy);
    for (char *line = strtok_r(rest, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        const char *end = strrchr(line, '|');
        bars += end != NULL && strncmp(line, "       ", 7) != 0;
    }
    ck_assert_msg(bars == 0 || bars >= nodes_of(profile), "%zu bars for %zu nodes in\n%.*s", bars,
                  nodes_of(profile), (int)text.n, text.p);
    ck_assert(strncmp(copy, "Job       ", 10) == 0);
}

/* ---- CSV ------------------------------------------------------------------------------------- */

/* One record: cells, each terminated, in `cells`; returns where the next begins. */
static const char *read_record(const char *p, const char *end, struct buf *cells, size_t *ret_cells)
{
    *ret_cells = 0;
    for (;;) {
        ck_assert_msg(p < end, "a record that does not end");
        const bool quoted = *p == '"';
        p += quoted;
        for (; quoted ? !(*p == '"' && p[1] != '"') : *p != ',' && *p != '\r'; p++) {
            ck_assert_msg(p < end && (quoted || (*p != '"' && *p != '\n')), "a bare quote");
            p += quoted && *p == '"';
            buf_add_char(cells, *p);
        }
        p += quoted;
        buf_add_char(cells, '\0');
        (*ret_cells)++;
        if (*p == '\r') {
            ck_assert_msg(p[1] == '\n', "CR without LF");
            return p + 2;
        }
        ck_assert_msg(*p++ == ',', "a cell goes on behind its quote");
    }
}

static const char *cell_at(const struct buf *cells, size_t n)
{
    const char *cell = cells->data;
    for (; n > 0; n--) {
        cell += strlen(cell) + 1;
    }
    return cell;
}

static void check_cell(const char *cell, const json_t *v)
{
    if (v == NULL || json_is_null(v)) {
        ck_assert_str_eq(cell, "");
    } else if (json_is_number(v)) {
        char *end = NULL;
        ck_assert(fabs(strtod(cell, &end) - json_number_value(v)) < 1e-6);
        ck_assert_msg(*cell != '\0' && *end == '\0', "no number: %s", cell);
    } else if (json_is_string(v)) {
        ck_assert_msg(*cell == '\0' || strchr("=+-@\t\r\n", *cell) == NULL, "a formula: %s", cell);
        cell += *cell == '\'';
        const char *s = json_string_value(v);
        for (size_t i = 0; i < json_string_length(v); i++, cell++) {
            const unsigned char c = (unsigned char)s[i];
            ck_assert_msg(*cell == s[i] || (c < ' ' && *cell == '?') || c == 0x7f || c >= 0x80,
                          "cell %s for %s", cell, s);
            if (c >= 0x80 || c == 0x7f) {
                return; /* C1 and DEL are shown as one '?' */
            }
        }
        ck_assert_str_eq(cell, "");
    }
}

void check_csv(const json_t *profile, bool exported, struct str text)
{
    static const char *const first[] = {"nodeId", "type",      "title",    "status",
                                        "order",  "startedAt", "duration", "selfDuration"};
    AUTO_FREE char *copy = mem_copy(text);
    const char *end = copy + text.n;
    AUTO_BUF struct buf head;
    AUTO_BUF struct buf cells;
    buf_init(&head, BUF_NO_LIMIT);
    buf_init(&cells, BUF_NO_LIMIT);
    size_t columns = 0;
    const char *p = read_record(copy, end, &head, &columns);
    ck_assert_str_eq(cell_at(&head, 0), exported ? "jobId" : "nodeId");
    for (size_t i = 0; i < nodes_of(profile); i++) {
        size_t n = 0;
        buf_clear(&cells);
        p = read_record(p, end, &cells, &n);
        ck_assert_uint_eq(n, columns);
        for (size_t k = 0; k < sizeof first / sizeof *first; k++) {
            ck_assert_str_eq(cell_at(&head, k + exported), first[k]);
            check_cell(cell_at(&cells, k + exported),
                       json_object_get(node_at(profile, i), first[k]));
        }
    }
    ck_assert_msg(p == end, "more rows than nodes: %s", p);
}

/* ---- Trace Event Format ---------------------------------------------------------------------- */

enum { MAX_OPEN = 4096, MAX_LANES = 100000 };

struct open_event {
    int64_t end;
    const json_t *event;
};

static int64_t int_of(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    ck_assert_msg(json_is_integer(v), "%s is no integer", key);
    return json_integer_value(v);
}

/* What lies within an event must be its part: a phase of the queue, or a child of the node. */
static void check_nested(const json_t *outer, const json_t *inner)
{
    const json_t *parent = json_object_get(json_object_get(outer, "args"), "nodeId");
    const json_t *named = json_object_get(json_object_get(inner, "args"), "parentNodeId");
    if (parent == NULL) {
        ck_assert_str_eq(text_of(outer, "name"), "queue");
        ck_assert_str_eq(text_of(inner, "cat"), "phase");
    } else {
        ck_assert_msg(same_text(parent, named), "%s lies in %s", text_of(inner, "name"),
                      text_of(outer, "name"));
    }
}

/* The complete events of each thread, in their order, nest or do not overlap. */
static void check_complete(const json_t *e, struct open_event (*open)[64], size_t *depth)
{
    const int64_t ts = int_of(e, "ts");
    const int64_t end = ts + int_of(e, "dur");
    const size_t lane = (size_t)int_of(e, "tid");
    ck_assert(ts >= 0 && end >= ts && lane < 64);
    while (depth[lane] > 0 && open[lane][depth[lane] - 1].end <= ts) {
        depth[lane]--;
    }
    if (depth[lane] > 0) {
        const struct open_event *outer = &open[lane][depth[lane] - 1];
        ck_assert_msg(end <= outer->end, "%s and %s overlap on lane %zu", text_of(e, "name"),
                      text_of(outer->event, "name"), lane);
        check_nested(outer->event, e);
    }
    ck_assert_uint_lt(depth[lane], 64);
    open[lane][depth[lane]++] = (struct open_event){end, e};
}

static void check_event(const json_t *e)
{
    const char *kind = text_of(e, "ph");
    ck_assert(has(e, "pid") && has(e, "name"));
    ck_assert_uint_eq(strlen(kind), 1);
    ck_assert_msg(strchr("MXiC", *kind) != NULL, "an event of kind %s", kind);
    if (*kind == 'M') {
        ck_assert(json_object_size(json_object_get(e, "args")) == 1 && int_of(e, "tid") >= 0);
        return;
    }
    ck_assert(int_of(e, "ts") >= 0);
    if (*kind == 'C') {
        const char *unit = NULL;
        json_t *v = NULL;
        ck_assert_uint_eq(json_object_size(json_object_get(e, "args")), 1);
        json_object_foreach(json_object_get(e, "args"), unit, v)
        {
            ck_assert(json_is_number(v));
        }
    } else if (*kind == 'i') {
        ck_assert_str_eq(text_of(e, "s"), "t");
    }
}

/* Its events, and the microseconds of those that are complete. */
static int64_t time_in_events(const json_t *events, const json_t *node, char kind,
                              size_t *ret_count)
{
    int64_t sum = 0;
    size_t i = 0;
    json_t *e = NULL;
    *ret_count = 0;
    json_array_foreach(events, i, e)
    {
        if (*text_of(e, "ph") == kind &&
            same_text(json_object_get(json_object_get(e, "args"), "nodeId"),
                      json_object_get(node, "nodeId"))) {
            sum += kind == 'X' ? int_of(e, "dur") : 0;
            ++*ret_count;
        }
    }
    return sum;
}

static void check_chrome_node(const json_t *profile, const json_t *events, const json_t *node)
{
    size_t complete = 0;
    size_t instants = 0;
    const int64_t sum = time_in_events(events, node, 'X', &complete);
    (void)time_in_events(events, node, 'i', &instants);
    const bool live = text_of(profile, "outcome")[0] == '\0';
    if (has_slices(node)) {
        ck_assert_uint_eq(complete, slices_of(node));
        ck_assert_int_eq(sum, us_of(node, "duration"));
        ck_assert_uint_eq(instants, 0);
    } else if (has(node, "startedAt")) {
        const bool open = live && strcmp(text_of(node, "status"), "executing") == 0;
        ck_assert_uint_eq(complete + instants, 1);
        ck_assert(instants == 1 || open);
    } else {
        ck_assert_uint_eq(complete + instants, 0);
    }
}

void check_chrome(const json_t *profile, struct str text)
{
    json_auto_t *o = parse("chrome", text);
    const json_t *events = json_object_get(o, "traceEvents");
    static struct open_event open[64][64];
    size_t depth[64] = {0};
    bool queue = false;
    size_t i = 0;
    json_t *e = NULL;
    ck_assert(json_array_size(events) > 0);
    json_array_foreach(events, i, e)
    {
        check_event(e);
        queue = queue || strcmp(text_of(e, "name"), "queue") == 0;
        if (*text_of(e, "ph") == 'X') {
            check_complete(e, open, depth);
        }
    }
    ck_assert(queue);
    for (i = 0; i < nodes_of(profile); i++) {
        check_chrome_node(profile, events, node_at(profile, i));
    }
}

/* ---- speedscope ------------------------------------------------------------------------------ */

/* Balanced, in order, closes before opens at one instant; adds up what each frame took. */
static void check_evented(const json_t *p, size_t frames, int64_t *took)
{
    struct {
        int64_t frame;
        int64_t at;
    } open[256];
    size_t depth = 0;
    int64_t at = int_of(p, "startValue");
    int64_t opened = -1; /* the instant of the last open */
    size_t i = 0;
    json_t *e = NULL;
    json_array_foreach(json_object_get(p, "events"), i, e)
    {
        const int64_t frame = int_of(e, "frame");
        ck_assert(frame >= 0 && (size_t)frame < frames && int_of(e, "at") >= at);
        at = int_of(e, "at");
        if (strcmp(text_of(e, "type"), "O") == 0) {
            ck_assert_uint_lt(depth, sizeof open / sizeof *open);
            open[depth].frame = frame;
            open[depth++].at = at;
            opened = at;
            continue;
        }
        ck_assert_str_eq(text_of(e, "type"), "C");
        ck_assert_msg(depth > 0 && open[depth - 1].frame == frame, "%lld closes, is not innermost",
                      (long long)frame);
        depth--;
        ck_assert_msg(open[depth].at == at || opened < at, "a close behind an open at %lld",
                      (long long)at);
        took[frame] += at - open[depth].at;
    }
    ck_assert_uint_eq(depth, 0);
    ck_assert_int_le(at, int_of(p, "endValue"));
}

/* A frame that has the id in brackets at its end, and took as long as the node. */
static void check_frame(const json_t *frames, const int64_t *took, const json_t *node)
{
    size_t i = 0;
    json_t *f = NULL;
    AUTO_BUF struct buf end;
    buf_init(&end, BUF_NO_LIMIT);
    buf_printf(&end, "[%.20s", text_of(node, "nodeId"));
    for (size_t k = 0; k < end.len; k++) {
        end.data[k] = (unsigned char)end.data[k] < ' ' ? ' ' : end.data[k];
    }
    json_array_foreach(frames, i, f)
    {
        if (strstr(text_of(f, "name"), buf_text(&end)) != NULL &&
            took[i] == us_of(node, "duration")) {
            return;
        }
    }
    ck_abort_msg("no frame of node %s", text_of(node, "nodeId"));
}

void check_speedscope(const json_t *profile, struct str text)
{
    json_auto_t *o = parse("speedscope", text);
    const json_t *frames = json_object_get(json_object_get(o, "shared"), "frames");
    const json_t *profiles = json_object_get(o, "profiles");
    const size_t len = json_array_size(frames);
    int64_t *took = mem_zero(len, sizeof *took);
    size_t i = 0;
    json_t *p = NULL;
    ck_assert_str_eq(text_of(o, "$schema"), "https://www.speedscope.app/file-format-schema.json");
    ck_assert(len > 0 && json_array_size(profiles) > 0);
    ck_assert_int_eq(int_of(o, "activeProfileIndex"), json_array_size(profiles) > 1);
    json_array_foreach(profiles, i, p)
    {
        ck_assert_str_eq(text_of(p, "type"), "evented");
        ck_assert_str_eq(text_of(p, "unit"), "microseconds");
        ck_assert(text_of(p, "name")[0] != '\0');
        check_evented(p, len, took);
    }
    for (i = 0; i < nodes_of(profile); i++) {
        if (has_slices(node_at(profile, i))) {
            check_frame(frames, took, node_at(profile, i));
        }
    }
    free(took);
}

/* ---- folded ---------------------------------------------------------------------------------- */

static void check_stack(char *line)
{
    char *number = strrchr(line, ' ');
    ck_assert_msg(number != NULL && number > line, "no \"a;b N\": %s", line);
    ck_assert_uint_gt(strlen(number + 1), 0);
    ck_assert_uint_eq(strspn(number + 1, "0123456789"), strlen(number + 1));
    *number = '\0';
    ck_assert(*line != ';' && number[-1] != ';');
    for (const char *c = line; *c != '\0'; c++) {
        ck_assert((unsigned char)*c >= ' ' && *c != 0x7f);
        ck_assert_msg((c != line && c[-1] != ';') || (*c != ' ' && *c != ';'), "a blank frame: %s",
                      line);
    }
}

void check_folded(const json_t *profile, struct str text)
{
    int64_t sum = 0;
    int64_t want = 0;
    AUTO_FREE char *copy = mem_copy(text);
    char *rest = NULL;
    ck_assert(text.n > 0 && text.p[text.n - 1] == '\n');
    for (char *line = strtok_r(copy, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        check_stack(line);
        const int64_t n = strtoll(line + strlen(line) + 1, NULL, 10);
        ck_assert_msg(n > 0 || strcmp(text.p, "queue 0\n") == 0, "0 of %s", line);
        sum += n;
    }
    if (text_of(profile, "outcome")[0] == '\0') {
        return; /* of what is still open nobody knows the own time */
    }
    for (size_t i = 0; i < nodes_of(profile); i++) {
        want += us_of(node_at(profile, i), "selfDuration");
    }
    want += us_of(profile, "queueTime") + us_of(json_object_get(profile, "phases"), "planning");
    want += us_of(json_object_get(profile, "summary"), "unaccounted");
    ck_assert_int_eq(sum, want);
}

/* ---- OTLP ------------------------------------------------------------------------------------ */

static const json_t *attribute(const json_t *o, const char *key)
{
    size_t i = 0;
    json_t *a = NULL;
    json_array_foreach(json_object_get(o, "attributes"), i, a)
    {
        ck_assert_uint_eq(json_object_size(json_object_get(a, "value")), 1);
        if (strcmp(text_of(a, "key"), key) == 0) {
            return json_object_iter_value(json_object_iter(json_object_get(a, "value")));
        }
    }
    return NULL;
}

static void check_hex(const json_t *o, const char *key, size_t n)
{
    const char *s = text_of(o, key);
    ck_assert_msg(strlen(s) == n && strspn(s, "0123456789abcdef") == n && strspn(s, "0") < n,
                  "%s is %s", key, s);
}

/* Microseconds of a string of nanoseconds. */
static int64_t nano_of(const json_t *o, const char *key)
{
    const char *s = text_of(o, key);
    ck_assert_msg(strlen(s) == 19 && strspn(s, "0123456789") == 19, "%s is %s", key, s);
    const long long n = strtoll(s, NULL, 10);
    ck_assert_int_eq(n % 1000, 0);
    return n / 1000;
}

static int by_id(const void *a, const void *b)
{
    return strcmp(text_of(*(json_t *const *)a, "spanId"), text_of(*(json_t *const *)b, "spanId"));
}

static const json_t *span_of(json_t **sorted, size_t len, const char *id)
{
    json_auto_t *key = json_pack("{s:s}", "spanId", id);
    json_t **hit = bsearch(&key, sorted, len, sizeof *sorted, by_id);
    return hit == NULL ? NULL : *hit;
}

/* Ids are unique and in form, times in order, one trace, every parent there, no circle. */
static void check_tree(const json_t *spans, json_t **sorted, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        const json_t *s = json_array_get(spans, i);
        check_hex(s, "traceId", 32);
        check_hex(s, "spanId", 16);
        ck_assert(text_of(s, "name")[0] != '\0');
        ck_assert_str_eq(text_of(s, "traceId"), text_of(json_array_get(spans, 0), "traceId"));
        ck_assert_int_le(nano_of(s, "startTimeUnixNano"), nano_of(s, "endTimeUnixNano"));
        ck_assert(i == 0 || by_id(&sorted[i - 1], &sorted[i]) < 0);
        ck_assert_int_eq(int_of(s, "kind"), i == 0 ? 2 : 1);
        if (i > 0) {
            size_t steps = 0;
            for (const json_t *up = s; up != json_array_get(spans, 0); steps++) {
                ck_assert_uint_lt(steps, len);
                up = span_of(sorted, len, text_of(up, "parentSpanId"));
                ck_assert_ptr_nonnull(up);
            }
        }
    }
}

/* It runs as long as the profile tells: its span ends where the profile does. */
static bool is_open(const json_t *profile, const json_t *node)
{
    return text_of(profile, "outcome")[0] == '\0' && has(node, "startedAt") &&
           !has(node, "completedAt") && strcmp(text_of(node, "status"), "executing") == 0;
}

static void check_node_span(const json_t *span, const json_t *profile, const json_t *node,
                            const json_t *above)
{
    ck_assert(same_text(attribute(span, "comfyui.node.id"), json_object_get(node, "nodeId")));
    ck_assert_int_eq(nano_of(span, "startTimeUnixNano"), us_of(node, "startedAt"));
    const bool open = is_open(profile, node);
    if (!open || has(profile, "asOf")) {
        ck_assert_int_eq(nano_of(span, "endTimeUnixNano"),
                         open ? us_of(profile, "asOf") : us_of(node, "completedAt"));
    }
    ck_assert((attribute(span, "comfyui.node.open") != NULL) == open);
    const bool failed = strcmp(text_of(node, "status"), "failed") == 0;
    ck_assert(has(span, "status") == failed);
    if (failed) {
        ck_assert_int_eq(int_of(json_object_get(span, "status"), "code"), 2);
    }
    const json_t *inside = attribute(above, "comfyui.node.id");
    ck_assert(inside == NULL || same_text(inside, json_object_get(node, "parentNodeId")));
}

/* The spans behind an attempt's are those of its nodes, in their order; returns how many. */
static size_t check_attempt(const json_t *spans, size_t at, json_t **sorted, size_t len,
                            const json_t *profile)
{
    const json_t *attempt = json_array_get(spans, at);
    size_t n = 1;
    ck_assert_str_eq(text_of(attempt, "parentSpanId"), text_of(json_array_get(spans, 0), "spanId"));
    ck_assert_str_eq(json_string_value(attribute(attempt, "comfypoold.outcome")),
                     text_of(profile, "outcome"));
    ck_assert_int_eq(nano_of(attempt, "startTimeUnixNano"), us_of(profile, "queuedAt"));
    for (size_t i = 0; i < nodes_of(profile); i++) {
        const json_t *node = node_at(profile, i);
        if (is_open(profile, node) || (has(node, "startedAt") && has(node, "completedAt"))) {
            const json_t *span = json_array_get(spans, at + n);
            const json_t *above = span_of(sorted, len, text_of(span, "parentSpanId"));
            check_node_span(span, profile, node, above);
            n++;
        }
    }
    return n;
}

void check_otlp(const struct render_trace *job, const json_t *profiles, struct str text)
{
    json_auto_t *o = parse("otlp", text);
    const json_t *resource = json_array_get(json_object_get(o, "resourceSpans"), 0);
    ck_assert_str_eq(
        json_string_value(attribute(json_object_get(resource, "resource"), "service.name")),
        "comfypoold");
    const json_t *spans =
        json_object_get(json_array_get(json_object_get(resource, "scopeSpans"), 0), "spans");
    const size_t len = json_array_size(spans);
    json_t **sorted = mem_alloc(len * sizeof *sorted);
    for (size_t i = 0; i < len; i++) {
        sorted[i] = json_array_get(spans, i);
    }
    qsort(sorted, len, sizeof *sorted, by_id);
    check_tree(spans, sorted, len);
    const json_t *root = json_array_get(spans, 0);
    ck_assert_int_eq(nano_of(root, "startTimeUnixNano"), job->queued_at.us);
    ck_assert(job->completed_at.us == 0 ||
              nano_of(root, "endTimeUnixNano") == job->completed_at.us);
    ck_assert_str_eq(text_of(root, "parentSpanId"),
                     job->trace_parent[0] == '\0' ? "" : job->trace_parent + 33);
    ck_assert(job->trace_parent[0] == '\0' ||
              strncmp(text_of(root, "traceId"), job->trace_parent, 32) == 0);
    size_t at = 1;
    for (size_t i = 0; i < json_array_size(profiles); i++) {
        at += check_attempt(spans, at, sorted, len, json_array_get(profiles, i));
    }
    ck_assert_uint_eq(at, len);
    free(sorted);
}

/* ---- all ------------------------------------------------------------------------------------- */

static void check_trace(struct str profile_json, const json_t *profile)
{
    const struct render_trace job = {
        .job_id = text_of(profile, "jobId"),
        .trace_parent = "",
        .state = "completed",
        .workflow_hash = "00",
        .queued_at = {us_of(profile, "queuedAt")},
        .completed_at = {us_of(profile, "completedAt")},
        .profiles = &profile_json,
        .profiles_len = 1,
        .version = "1",
    };
    AUTO_BUF struct buf once;
    AUTO_BUF struct buf again;
    buf_init(&once, BUF_NO_LIMIT);
    buf_init(&again, BUF_NO_LIMIT);
    render_otlp(&job, &once);
    render_otlp(&job, &again);
    ck_assert(str_eq(buf_str(&once), buf_str(&again)));
    json_auto_t *profiles = json_pack("[O]", profile);
    check_otlp(&job, profiles, buf_str(&once));
}

void check_formats(const char *name, struct str profile_json)
{
    static void (*const checks[FORMAT_COUNT])(const json_t *, struct str) = {
        [FORMAT_TEXT] = check_text,
        [FORMAT_CHROME] = check_chrome,
        [FORMAT_SPEEDSCOPE] = check_speedscope,
        [FORMAT_FOLDED] = check_folded,
    };
    json_auto_t *profile = parse(name, profile_json);
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    for (int f = 0; f < FORMAT_COUNT; f++) {
        buf_clear(&out);
        ck_assert_msg(render_profile(f, profile_json, &out) == render_has(f), "%s as %s", name,
                      format_name(f));
        if (checks[f] != NULL) {
            checks[f](profile, buf_str(&out));
        } else if (f == FORMAT_CSV) {
            check_csv(profile, false, buf_str(&out));
        }
    }
    buf_clear(&out);
    render_csv_head(true, &out);
    ck_assert(render_csv_rows(profile_json, true, &out));
    check_csv(profile, true, buf_str(&out));
    check_trace(profile_json, profile);
}
