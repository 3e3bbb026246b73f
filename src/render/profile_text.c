/*
 * A profile for terminals: a summary, where the time went, and a row a node with a bar that shows
 * when it ran. Columns are as wide as their content, within bounds that keep a row within 120; text
 * from a workflow or a backend is cut to its column and stripped of controls. Absent parts are left
 * out.
 */
#include "cells.h"
#include "formats.h"

enum {
    GOOD_TEXT = 18,
    LEAST_TEXT = 12,
    BAR = 24, /* cells; each has two halves */
    GOOD_BAR = 16,
    LEAST_BAR = 12,
    MAX_ERROR = 90,
};

/* ---- cells ----------------------------------------------------------------------------------- */

static size_t column_width(const json_t *nodes, const char *key, size_t least)
{
    size_t width = least;
    for (size_t i = 0; i < json_array_size(nodes); i++) {
        widen(&width, text_of(json_array_get(nodes, i), key));
    }
    return width;
}

static void add_ms(struct buf *out, const json_t *o, const char *key)
{
    const json_t *v = known_number(o, key);
    if (v != NULL) {
        buf_printf(out, "%12.3f", json_number_value(v));
    } else {
        buf_printf(out, "%12s", "-");
    }
}

/* ---- head ------------------------------------------------------------------------------------ */

static bool has_begun(const struct stored_profile *p)
{
    return known_number(p->json, "attempt") == NULL || number_of(p->json, "attempt") > 0;
}

static void add_phases(struct buf *out, const json_t *phases)
{
    static const char *const rows[][2] = {{"waiting", "waiting"},
                                          {"dispatch", "dispatch"},
                                          {"backend queue", "backendQueue"},
                                          {"planning", "planning"},
                                          {"executing", "executing"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        buf_printf(out, i == 0 ? "Phases    %s " : ", %s ", rows[i][0]);
        if (json_is_null(json_object_get(phases, rows[i][1]))) {
            buf_add_text(out, "not seen");
        } else {
            buf_printf(out, "%.3f", number_of(phases, rows[i][1]));
        }
    }
    const bool seen = !json_is_null(json_object_get(phases, rows[4][1]));
    buf_add_text(out, seen ? " ms\n" : "\n");
}

static void add_head(struct buf *out, const struct stored_profile *p)
{
    buf_add_text(out, "Job       ");
    add_whole(out, text_of(p->json, "jobId"));
    buf_add_text(out, "\nPrompt    ");
    add_whole(out, text_of(p->json, "promptId"));
    buf_add_text(out, "\nBackend   ");
    const struct str backend = text_of(p->json, "backend");
    add_cell(out, backend.n == 0 ? STR("-") : backend, CELL_MAX);
    buf_printf(out, "attempt %.0f, ", number_of(p->json, "attempt"));
    add_whole(out, !p->live       ? text_of(p->json, "outcome")
                   : has_begun(p) ? STR("still running")
                                  : STR("it waits"));
    buf_add_text(out, "\n\n");
    static const char *const rows[][2] = {
        {"Total", "totalDuration"}, {"Queue", "queueTime"}, {"Execution", "executionTime"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        buf_printf(out, "%-10s", rows[i][0]);
        if (json_is_null(json_object_get(p->json, rows[i][1]))) {
            buf_printf(out, "%12s\n", "not seen");
        } else {
            add_ms(out, p->json, rows[i][1]);
            buf_add_text(out, " ms\n");
        }
    }
    add_phases(out, json_object_get(p->json, "phases"));
}

/* ---- resources ------------------------------------------------------------------------------- */

enum gauge_unit { PERCENT, BYTES, CHANGE, DEGREES };

static const struct gauge {
    const char *name;
    const char *path[2];
    enum gauge_unit unit;
} gauges[] = {
    {"GPU average", {"gpuUtilization", "avg"}, PERCENT},
    {"GPU max", {"gpuUtilization", "max"}, PERCENT},
    {"VRAM max", {"vramUsed", "max"}, BYTES},
    {"VRAM change", {"vramUsed", "delta"}, CHANGE},
    {"RAM max", {"ramUsed", "max"}, BYTES},
    {"temperature max", {"gpuTemperature", "max"}, DEGREES},
    {"disk read", {"diskRead"}, BYTES},
    {"disk written", {"diskWritten"}, BYTES},
    {"net received", {"netReceived"}, BYTES},
    {"net sent", {"netSent"}, BYTES},
};

static const json_t *gauge_of(const json_t *resources, const struct gauge *g)
{
    return g->path[1] == NULL ? known_number(resources, g->path[0])
                              : known_number(json_object_get(resources, g->path[0]), g->path[1]);
}

static void add_gauge(struct buf *out, enum gauge_unit unit, double v)
{
    switch (unit) {
    case PERCENT:
        buf_printf(out, "%.0f %%", v);
        break;
    case CHANGE:
        buf_add_text(out, v > 0 ? "+" : "");
        add_bytes(out, v);
        break;
    case BYTES:
        add_bytes(out, v);
        break;
    case DEGREES:
        buf_printf(out, "%.0f C", v);
        break;
    }
}

/* Adds the pieces, with line breaks where needed. */
static void add_resources(struct buf *out, const json_t *r)
{
    if (!json_is_object(r)) {
        return;
    }
    size_t line = out->len;
    buf_add_text(out, "Resources ");
    add_whole(out, text_of(r, "source"));
    const double samples = number_of(r, "sampleCount");
    buf_printf(out, ", %.0f sample%s", samples, samples == 1 ? "" : "s");
    if (known_number(r, "interval") != NULL) {
        buf_printf(out, " every %.0f ms", number_of(r, "interval"));
    }
    AUTO_BUF struct buf piece;
    buf_init(&piece, BUF_NO_LIMIT);
    for (size_t i = 0; i < sizeof gauges / sizeof *gauges; i++) {
        const json_t *v = gauge_of(r, &gauges[i]);
        if (v == NULL) {
            continue;
        }
        buf_clear(&piece);
        buf_printf(&piece, "%s ", gauges[i].name);
        add_gauge(&piece, gauges[i].unit, json_number_value(v));
        buf_add_char(out, ',');
        if (out->len - line + 1 + piece.len > CELLS_LINE) {
            buf_add_char(out, '\n');
            line = out->len;
            add_blanks(out, 9);
        }
        buf_add_char(out, ' ');
        buf_add_str(out, buf_str(&piece));
    }
    buf_add_char(out, '\n');
}

/* ---- where the time went --------------------------------------------------------------------- */

/* Adds the nodes of a path, shortening a long one in the middle. */
static void add_path(struct buf *out, const json_t *nodes)
{
    enum { FIRST = 5, LAST = 3 };
    const size_t len = json_array_size(nodes);
    for (size_t i = 0; i < len; i++) {
        buf_add_text(out, i == 0 ? ": " : " > ");
        if (len > FIRST + LAST + 1 && i == FIRST) {
            buf_printf(out, "(%zu more)", len - FIRST - LAST);
            i = len - LAST - 1;
            continue;
        }
        const json_t *id = json_array_get(nodes, i);
        (void)add_cut(out, (struct str){json_string_value(id), json_string_length(id)}, CELL_MAX);
    }
}

static void add_percent(struct buf *out, const json_t *o, const char *key)
{
    if (known_number(o, key) != NULL) {
        buf_printf(out, "%.1f %%", number_of(o, key) * 100);
    } else {
        buf_add_char(out, '-');
    }
}

/* Adds "not seen" for null. True: the row is done, or absent. */
static bool add_unknown(struct buf *out, const char *title, const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    if (json_is_null(v)) {
        buf_printf(out, "  %s%12s\n", title, "not seen");
    }
    return v == NULL || json_is_null(v);
}

static void add_critical_path(struct buf *out, const json_t *path)
{
    if (!json_is_object(path)) {
        return;
    }
    buf_add_text(out, "  Critical path ");
    add_ms(out, path, "length");
    buf_add_text(out, " ms, ");
    add_percent(out, path, "share");
    buf_add_text(out, " of the execution");
    add_path(out, json_object_get(path, "nodes"));
    buf_add_char(out, '\n');
}

static void add_side(struct buf *out, const char *word, const char *edge, struct str node)
{
    buf_add_text(out, word);
    if (node.p == NULL) {
        buf_add_text(out, edge);
    } else {
        (void)add_cut(out, node, CELL_MAX);
    }
}

enum { LONGEST = 3 };

/* Collects the longest gaps, longest first; returns how many. */
static size_t longest(const json_t *gaps, const json_t *ret[LONGEST + 1])
{
    size_t len = 0;
    for (size_t i = 0; i < json_array_size(gaps); i++) {
        const json_t *g = json_array_get(gaps, i);
        size_t at = len;
        for (; at > 0 && number_of(ret[at - 1], "duration") < number_of(g, "duration"); at--) {
            ret[at] = ret[at - 1];
        }
        ret[at] = g;
        len += len < LONGEST;
    }
    return len;
}

static void add_idle(struct buf *out, const json_t *gaps)
{
    const json_t *shown[LONGEST + 1];
    const size_t len = longest(gaps, shown);
    for (size_t i = 0; i < len; i++) {
        buf_add_text(out, i == 0 ? "  Nothing ran   " : "                ");
        add_ms(out, shown[i], "duration");
        add_side(out, " ms after ", "the start", text_of(shown[i], "after"));
        add_side(out, ", before ", "the end", text_of(shown[i], "before"));
        buf_add_char(out, '\n');
    }
    if (json_array_size(gaps) > len) {
        buf_printf(out, "%18sand %zu shorter\n", "", json_array_size(gaps) - len);
    }
}

static void add_analysis(struct buf *out, const json_t *a)
{
    if (!json_is_object(a)) {
        return;
    }
    buf_add_text(out, "Where the time went\n");
    if (!add_unknown(out, "Critical path ", a, "criticalPath")) {
        add_critical_path(out, json_object_get(a, "criticalPath"));
    }
    if (!add_unknown(out, "Model loading ", a, "modelLoading")) {
        buf_printf(out, "  Model loading %12.3f ms\n", number_of(a, "modelLoading"));
    }
    if (!add_unknown(out, "Cache hits    ", a, "cacheHitRate")) {
        buf_printf(out, "  Cache hits    %12.1f %%\n", number_of(a, "cacheHitRate") * 100);
    }
    add_idle(out, json_object_get(a, "gaps"));
    buf_add_char(out, '\n');
}

static void add_subgraphs(struct buf *out, const json_t *list)
{
    size_t id = 8;
    for (size_t i = 0; i < json_array_size(list); i++) {
        widen(&id, text_of(json_array_get(list, i), "id"));
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *s = json_array_get(list, i);
        buf_add_text(out, i == 0 ? "Subgraphs\n  " : "  ");
        add_cell(out, text_of(s, "id"), id);
        if (known_number(s, "duration") == NULL) {
            buf_printf(out, "%12s   ", "not seen");
        } else {
            buf_printf(out, "%12.3f ms", number_of(s, "duration"));
        }
        buf_printf(out, ", %.0f node%s, %.0f executed, %.0f cached\n", number_of(s, "nodes"),
                   number_of(s, "nodes") > 1 ? "s" : "", number_of(s, "executedNodes"),
                   number_of(s, "cachedNodes"));
    }
    buf_add_text(out, json_array_size(list) > 0 ? "\n" : "");
}

/* ---- summary, slowest nodes, progress -------------------------------------------------------- */

static void add_summary(struct buf *out, const json_t *s)
{
    buf_printf(out, "Summary   %.0f of %.0f nodes executed, %.0f cached, %.0f failed, %.0f pending",
               number_of(s, "executedNodes"), number_of(s, "totalNodes"),
               number_of(s, "cachedNodes"), number_of(s, "failedNodes"),
               number_of(s, "pendingNodes"));
    if (number_of(s, "expandedNodes") > 0) {
        buf_printf(out, ", %.0f expanded", number_of(s, "expandedNodes"));
    }
    if (known_number(s, "unaccounted") != NULL) {
        buf_printf(out, "; %.3f ms unaccounted\n\n", number_of(s, "unaccounted"));
    } else {
        buf_add_text(out, "; what was unaccounted was not seen\n\n");
    }
}

static void add_slowest(struct buf *out, const json_t *slowest)
{
    const size_t id_width = column_width(slowest, "nodeId", 4);
    const size_t type_width = column_width(slowest, "type", 4);
    for (size_t i = 0; i < json_array_size(slowest); i++) {
        const json_t *n = json_array_get(slowest, i);
        buf_printf(out, "%s  %zu. ", i == 0 ? "Slowest nodes\n" : "", i + 1);
        add_cell(out, text_of(n, "nodeId"), id_width);
        add_cell(out, text_of(n, "type"), type_width);
        add_ms(out, n, "duration");
        buf_add_text(out, " ms\n");
    }
    buf_add_text(out, json_array_size(slowest) > 0 ? "\n" : "");
}

static void add_steps(struct buf *out, const json_t *steps)
{
    static const char *const spans[][2] = {
        {"median", "median"}, {"p95", "p95"}, {"first", "first"}};
    if (known_number(steps, "count") != NULL) {
        buf_printf(out, "; %.0f steps", number_of(steps, "count"));
    }
    if (known_number(steps, "perSecond") != NULL) {
        buf_printf(out, ", %.2f/s", number_of(steps, "perSecond"));
    }
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++) {
        if (known_number(steps, spans[i][0]) != NULL) {
            buf_printf(out, ", %s %.3f ms", spans[i][1], number_of(steps, spans[i][0]));
        }
    }
}

static void add_progress(struct buf *out, const struct stored_profile *p)
{
    bool any = false;
    const json_t *nodes = json_object_get(p->json, "nodes");
    const size_t id_width = column_width(nodes, "nodeId", 4);
    const size_t type_width = column_width(nodes, "type", 4);
    for (size_t i = 0; i < p->nodes_len; i++) {
        const struct stored_node *n = &p->nodes[i];
        const json_t *events = json_object_get(n->json, "progressEvents");
        const size_t len = json_array_size(events);
        if (len == 0) {
            continue;
        }
        const json_t *last = json_array_get(events, len - 1);
        buf_add_text(out, any ? "  " : "Progress events\n  ");
        add_cell(out, n->id, id_width);
        add_cell(out, n->type, type_width);
        buf_printf(out, "%zu events, last %g/%g", len, number_of(last, "value"),
                   number_of(last, "max"));
        add_steps(out, json_object_get(n->json, "steps"));
        buf_add_char(out, '\n');
        any = true;
    }
    buf_add_text(out, any ? "\n" : "");
}

/* ---- the nodes ------------------------------------------------------------------------------- */

struct columns {
    int order;
    size_t id;
    size_t type;
    size_t title;
    size_t bar; /* cells; 0: nothing ran */
    bool resources;
};

/* True if any row has values for the two columns. */
static bool any_resources(const struct stored_profile *p)
{
    for (size_t i = 0; i < p->nodes_len; i++) {
        const json_t *r = json_object_get(p->nodes[i].json, "resources");
        if (known_number(json_object_get(r, "vramUsed"), "max") != NULL ||
            known_number(json_object_get(r, "gpuUtilization"), "max") != NULL) {
            return true;
        }
    }
    return false;
}

/* Returns the width of the fixed columns: #, status, two times, the bar, VRAM and GPU. */
static size_t fixed_width(const struct columns *c)
{
    return (size_t)c->order + 2 + 3 * 2 + 11 + 24 + (c->bar > 0 ? 4 + c->bar : 0) +
           (c->resources ? 20 : 0);
}

static bool is_too_wide(const struct columns *c)
{
    return fixed_width(c) + c->id + c->type + c->title > CELLS_ROW;
}

static size_t *widest_text(struct columns *c)
{
    return c->type > c->title ? &c->type : &c->title;
}

/* Narrows columns of workflow texts, down to `least`. */
static void narrow_text(struct columns *c, size_t least)
{
    while (is_too_wide(c) && *widest_text(c) > least) {
        (*widest_text(c))--;
    }
}

static void narrow_bar(struct columns *c, size_t least)
{
    while (is_too_wide(c) && c->bar > least) {
        c->bar--;
    }
}

static struct columns columns_of(const struct stored_profile *p)
{
    const json_t *nodes = json_object_get(p->json, "nodes");
    struct columns c = {
        .order = p->nodes_len > 1000 ? 6 : 3,
        .id = column_width(nodes, "nodeId", 4),
        .type = column_width(nodes, "type", 4),
        .title = column_width(nodes, "title", 5),
        .bar = p->slices_len > 0 && p->start.us < p->end.us ? BAR : 0,
        .resources = any_resources(p),
    };
    narrow_text(&c, GOOD_TEXT);
    narrow_bar(&c, GOOD_BAR);
    narrow_text(&c, LEAST_TEXT);
    narrow_bar(&c, LEAST_BAR);
    return c;
}

/* Adds a bar of its time within the execution: half a cell is full when a slice touches it. */
static void add_bar(struct buf *out, const struct stored_profile *p, const struct stored_node *n,
                    size_t cells)
{
    static const char *const shapes[] = {" ", "\u258c", "\u2590", "\u2588"};
    unsigned char halves[BAR] = {0};
    const double scale = (double)(2 * cells) / (double)(p->end.us - p->start.us);
    for (size_t i = 0; i < n->slices_len; i++) {
        const double from = (double)(n->slices[i].from.us - p->start.us) * scale;
        const double to = (double)(n->slices[i].to.us - p->start.us) * scale;
        size_t k = from < 0 ? 0 : (size_t)from;
        k = k >= 2 * cells ? 2 * cells - 1 : k;
        do {
            halves[k / 2] |= (unsigned char)(1u << k % 2);
            k++;
        } while (k < 2 * cells && (double)k < to);
    }
    buf_add_text(out, "  |");
    for (size_t i = 0; i < cells; i++) {
        buf_add_text(out, shapes[halves[i]]);
    }
    buf_add_char(out, '|');
}

static void add_row_resources(struct buf *out, const json_t *r)
{
    const json_t *vram = known_number(json_object_get(r, "vramUsed"), "max");
    const json_t *gpu = known_number(json_object_get(r, "gpuUtilization"), "max");
    AUTO_BUF struct buf bytes;
    buf_init(&bytes, BUF_NO_LIMIT);
    if (vram != NULL) {
        add_bytes(&bytes, json_number_value(vram));
    } else {
        buf_add_char(&bytes, '-');
    }
    buf_printf(out, "%12s", buf_text(&bytes));
    if (gpu != NULL) {
        buf_printf(out, "%6.0f %%", json_number_value(gpu));
    } else {
        buf_printf(out, "%8s", "-");
    }
}

static void add_order(struct buf *out, const json_t *node, int width)
{
    const json_t *order = known_number(node, "order");
    if (order != NULL) {
        buf_printf(out, "%*.0f  ", width, json_number_value(order));
    } else {
        buf_printf(out, "%*s  ", width, "-");
    }
}

static void add_row(struct buf *out, const struct stored_profile *p, const struct stored_node *n,
                    const struct columns *c)
{
    add_order(out, n->json, c->order);
    add_cell(out, n->id, c->id);
    add_cell(out, n->type, c->type);
    add_cell(out, n->title, c->title);
    add_cell(out, n->status, 9);
    if (n->has_start) {
        buf_printf(out, "%12.3f", (double)(n->start.us - p->start.us) / 1000.0);
    } else {
        buf_printf(out, "%12s", "-");
    }
    add_ms(out, n->json, "duration");
    if (c->resources) {
        add_row_resources(out, json_object_get(n->json, "resources"));
    }
    if (c->bar > 0) {
        add_bar(out, p, n, c->bar);
    }
    if (n->slices_len > 1) {
        buf_printf(out, "  in %zu slices", n->slices_len);
    }
    const struct str error = text_of(n->json, "error");
    if (error.n > 0) {
        buf_add_text(out, "\n       ");
        (void)add_cut(out, error, MAX_ERROR);
    }
    buf_add_char(out, '\n');
}

static void add_nodes(struct buf *out, const struct stored_profile *p)
{
    const struct columns c = columns_of(p);
    buf_printf(out, "%*s  ", c.order, "#");
    add_cell(out, STR("Node"), c.id);
    add_cell(out, STR("Type"), c.type);
    add_cell(out, STR("Title"), c.title);
    add_cell(out, STR("Status"), 9);
    buf_printf(out, "%12s%12s", "start ms", "duration ms");
    if (c.resources) {
        buf_printf(out, "%12s%8s", "VRAM max", "GPU max");
    }
    buf_add_char(out, '\n');
    for (size_t i = 0; i < p->nodes_len; i++) {
        add_row(out, p, &p->nodes[i], &c);
    }
}

void profile_text(const struct stored_profile *p, struct buf *out)
{
    add_head(out, p);
    add_resources(out, json_object_get(p->json, "resources"));
    buf_add_char(out, '\n');
    add_summary(out, json_object_get(p->json, "summary"));
    if (!p->live || has_begun(p)) {
        add_analysis(out, json_object_get(p->json, "analysis"));
    }
    add_slowest(out, json_object_get(json_object_get(p->json, "summary"), "slowestNodes"));
    add_subgraphs(out, json_object_get(json_object_get(p->json, "summary"), "subgraphs"));
    add_progress(out, p);
    add_nodes(out, p);
    const json_t *evidence = json_object_get(p->json, "evidence");
    const json_t *complete = json_object_get(evidence, "complete");
    if (!json_is_true(complete) && !json_is_null(complete)) {
        buf_printf(out, "\nSomething was missed: %zu gap(s). Source: ", sizes_of(evidence, "gaps"));
        add_whole(out, text_of(evidence, "source"));
        buf_add_text(out, ".\n");
    }
}
