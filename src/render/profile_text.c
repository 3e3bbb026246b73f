/*
 * A profile as a table for a terminal. It is made from the stored JSON, so that an old profile
 * reads like a new one. Columns are as wide as their content, within bounds; text from a workflow
 * or a backend is cut to its column and stripped of control characters.
 */
#include <jansson.h>
#include <stdio.h>

#include "comfypool/render/render.h"

enum { MAX_TEXT = 28 };

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s == NULL ? "" : s;
}

static double number_of(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
}

static size_t sizes(const json_t *o, const char *key)
{
    return json_array_size(json_object_get(o, key));
}

/* Adds s in a column of `width` characters (not bytes), cut with ".." when it is longer. */
static void add_cell(struct buf *out, const char *s, size_t width)
{
    size_t shown = 0;
    size_t all = 0;
    for (const char *p = s; *p != '\0'; p++) {
        all += ((unsigned char)*p & 0xc0) != 0x80;
    }
    const size_t keep = all > width ? width - 2 : all;
    for (const char *p = s; *p != '\0'; p++) {
        const bool begins = ((unsigned char)*p & 0xc0) != 0x80;
        if (begins && shown == keep) {
            break;
        }
        shown += begins;
        buf_add_char(out, (unsigned char)*p < ' ' || *p == 0x7f ? '?' : *p);
    }
    if (all > width) {
        buf_add_text(out, "..");
        shown += 2;
    }
    for (; shown < width; shown++) {
        buf_add_char(out, ' ');
    }
    buf_add_text(out, "  ");
}

static size_t column_width(const json_t *nodes, const char *key, size_t least)
{
    size_t width = least;
    for (size_t i = 0; i < json_array_size(nodes); i++) {
        size_t n = 0;
        for (const char *p = text_of(json_array_get(nodes, i), key); *p != '\0'; p++) {
            n += ((unsigned char)*p & 0xc0) != 0x80;
        }
        width = n > width ? n : width;
    }
    return width > MAX_TEXT ? MAX_TEXT : width;
}

static void add_ms(struct buf *out, const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    if (json_is_number(v)) {
        buf_printf(out, "%12.3f", json_number_value(v));
    } else {
        buf_printf(out, "%12s", "-");
    }
}

static void add_head(struct buf *out, const json_t *p)
{
    buf_printf(out, "Job       %s\n", text_of(p, "jobId"));
    buf_printf(out, "Prompt    %s\n",
               text_of(p, "promptId")[0] == '\0' ? "-" : text_of(p, "promptId"));
    buf_add_text(out, "Backend   ");
    add_cell(out, text_of(p, "backend")[0] == '\0' ? "-" : text_of(p, "backend"), MAX_TEXT);
    buf_printf(out, "attempt %.0f, %s\n\n", number_of(p, "attempt"),
               text_of(p, "outcome")[0] == '\0' ? "still running" : text_of(p, "outcome"));
    static const char *const rows[][2] = {
        {"Total", "totalDuration"}, {"Queue", "queueTime"}, {"Execution", "executionTime"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        buf_printf(out, "%-10s", rows[i][0]);
        add_ms(out, p, rows[i][1]);
        buf_add_text(out, " ms\n");
    }
    const json_t *ph = json_object_get(p, "phases");
    buf_printf(out,
               "Phases    waiting %.3f, dispatch %.3f, backend queue %.3f, planning %.3f, "
               "executing %.3f ms\n\n",
               number_of(ph, "waiting"), number_of(ph, "dispatch"), number_of(ph, "backendQueue"),
               number_of(ph, "planning"), number_of(ph, "executing"));
}

static void add_summary(struct buf *out, const json_t *s)
{
    buf_printf(out, "Summary   %.0f of %.0f nodes executed, %.0f cached, %.0f failed, %.0f pending",
               number_of(s, "executedNodes"), number_of(s, "totalNodes"),
               number_of(s, "cachedNodes"), number_of(s, "failedNodes"),
               number_of(s, "pendingNodes"));
    if (number_of(s, "expandedNodes") > 0) {
        buf_printf(out, ", %.0f expanded", number_of(s, "expandedNodes"));
    }
    buf_printf(out, "; %.3f ms unaccounted\n", number_of(s, "unaccounted"));
    const json_t *slowest = json_object_get(s, "slowestNodes");
    if (json_array_size(slowest) == 0) {
        buf_add_char(out, '\n');
        return;
    }
    buf_add_text(out, "\nSlowest nodes\n");
    const size_t id_width = column_width(slowest, "nodeId", 4);
    const size_t type_width = column_width(slowest, "type", 4);
    for (size_t i = 0; i < json_array_size(slowest); i++) {
        const json_t *n = json_array_get(slowest, i);
        buf_printf(out, "  %zu. ", i + 1);
        add_cell(out, text_of(n, "nodeId"), id_width);
        add_cell(out, text_of(n, "type"), type_width);
        add_ms(out, n, "duration");
        buf_add_text(out, " ms\n");
    }
    buf_add_char(out, '\n');
}

static void add_progress(struct buf *out, const json_t *nodes)
{
    bool any = false;
    for (size_t i = 0; i < json_array_size(nodes); i++) {
        const json_t *n = json_array_get(nodes, i);
        const json_t *events = json_object_get(n, "progressEvents");
        const size_t len = json_array_size(events);
        if (len == 0) {
            continue;
        }
        if (!any) {
            buf_add_text(out, "Progress events\n");
            any = true;
        }
        const json_t *last = json_array_get(events, len - 1);
        buf_add_text(out, "  ");
        add_cell(out, text_of(n, "nodeId"), 8);
        add_cell(out, text_of(n, "type"), MAX_TEXT);
        buf_printf(out, "%zu events, last %g/%g\n", len, number_of(last, "value"),
                   number_of(last, "max"));
    }
    if (any) {
        buf_add_char(out, '\n');
    }
}

static void add_nodes(struct buf *out, const json_t *p, const json_t *nodes)
{
    const size_t id_width = column_width(nodes, "nodeId", 4);
    const size_t type_width = column_width(nodes, "type", 4);
    const size_t title_width = column_width(nodes, "title", 5);
    buf_add_text(out, "  #  ");
    add_cell(out, "Node", id_width);
    add_cell(out, "Type", type_width);
    add_cell(out, "Title", title_width);
    add_cell(out, "Status", 9);
    buf_printf(out, "%12s%12s\n", "start ms", "duration ms");
    for (size_t i = 0; i < json_array_size(nodes); i++) {
        const json_t *n = json_array_get(nodes, i);
        const json_t *order = json_object_get(n, "order");
        if (json_is_integer(order)) {
            buf_printf(out, "%3lld  ", (long long)json_integer_value(order));
        } else {
            buf_add_text(out, "  -  ");
        }
        add_cell(out, text_of(n, "nodeId"), id_width);
        add_cell(out, text_of(n, "type"), type_width);
        add_cell(out, text_of(n, "title"), title_width);
        add_cell(out, text_of(n, "status"), 9);
        if (json_object_get(n, "startedAt") != NULL) {
            buf_printf(out, "%12.3f", number_of(n, "startedAt") - number_of(p, "startedAt"));
        } else {
            buf_printf(out, "%12s", "-");
        }
        add_ms(out, n, "duration");
        if (sizes(n, "slices") > 1) {
            buf_printf(out, "  in %zu slices", sizes(n, "slices"));
        }
        if (text_of(n, "error")[0] != '\0') {
            buf_add_text(out, "  ");
            add_cell(out, text_of(n, "error"), 60);
            while (out->data[out->len - 1] == ' ') {
                out->len--;
            }
        }
        buf_add_char(out, '\n');
    }
}

bool render_profile_text(struct str profile_json, struct buf *out)
{
    json_auto_t *p = json_loadb(profile_json.p, profile_json.n, JSON_ALLOW_NUL, NULL);
    const json_t *nodes = json_object_get(p, "nodes");
    if (!json_is_array(nodes)) {
        return false;
    }
    add_head(out, p);
    add_summary(out, json_object_get(p, "summary"));
    add_progress(out, nodes);
    add_nodes(out, p, nodes);
    const json_t *evidence = json_object_get(p, "evidence");
    if (!json_is_true(json_object_get(evidence, "complete"))) {
        buf_printf(out, "\nSomething was missed: %zu gap(s). Source: %s.\n",
                   sizes(evidence, "gaps"), text_of(evidence, "source"));
    }
    return true;
}
