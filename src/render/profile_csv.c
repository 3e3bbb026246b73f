/*
 * A profile as CSV (RFC 4180: CRLF, quotes doubled): one row a node, absent values are empty. A
 * text that a spreadsheet would run as a formula gets a leading '; numbers are numbers. A control
 * that is no line break is shown as '?', since tables are viewed in terminals too. New columns are
 * only added at the end.
 */
#include "comfypool/render/render.h"

#include "formats.h"
#include "glyphs.h"

static const struct column {
    const char *name;
    const char *path[3];
    bool is_point; /* milliseconds since the epoch */
} columns[] = {
    {"nodeId", {"nodeId"}, false},
    {"type", {"type"}, false},
    {"title", {"title"}, false},
    {"status", {"status"}, false},
    {"order", {"order"}, false},
    {"startedAt", {"startedAt"}, true},
    {"duration", {"duration"}, false},
    {"selfDuration", {"selfDuration"}, false},
    {"completedAt", {"completedAt"}, true},
    {"cached", {"cached"}, false},
    {"parentNodeId", {"parentNodeId"}, false},
    {"error", {"error"}, false},
    {"steps", {"steps", "count"}, false},
    {"stepsPerSecond", {"steps", "perSecond"}, false},
    {"stepMedian", {"steps", "median"}, false},
    {"stepP95", {"steps", "p95"}, false},
    {"stepFirst", {"steps", "first"}, false},
    {"resourceSource", {"resources", "source"}, false},
    {"sampleCount", {"resources", "sampleCount"}, false},
    {"gpuUtilizationAvg", {"resources", "gpuUtilization", "avg"}, false},
    {"gpuUtilizationMax", {"resources", "gpuUtilization", "max"}, false},
    {"vramUsedMax", {"resources", "vramUsed", "max"}, false},
    {"vramUsedDelta", {"resources", "vramUsed", "delta"}, false},
    {"ramUsedMax", {"resources", "ramUsed", "max"}, false},
    {"gpuTemperatureMax", {"resources", "gpuTemperature", "max"}, false},
};

enum { COLUMNS = sizeof columns / sizeof *columns };

/* Includes full-width signs, which some spreadsheets treat alike. */
static bool begins_formula(struct str s)
{
    static const uint32_t signs[] = {'=',  '+',    '-',    '@',    '\t',  '\r',
                                     '\n', 0xff1d, 0xff0b, 0xff0d, 0xff20};
    const uint32_t first = s.n == 0 ? 0 : glyph_next(&s);
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        if (first == signs[i]) {
            return true;
        }
    }
    return false;
}

static bool needs_quotes(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (strchr("\",\r\n", s.p[i]) != NULL && s.p[i] != '\0') {
            return true;
        }
    }
    return s.n > 0 && (s.p[0] == ' ' || s.p[s.n - 1] == ' ');
}

static void add_text_cell(struct buf *out, struct str s)
{
    const bool quotes = needs_quotes(s);
    buf_add_text(out, quotes ? "\"" : "");
    buf_add_text(out, begins_formula(s) ? "'" : "");
    while (s.n > 0) {
        const char *from = s.p;
        const uint32_t c = glyph_next(&s);
        if (c == '"') {
            buf_add_text(out, "\"\"");
        } else if (glyph_is_control(c) && c != '\t' && c != '\r' && c != '\n') {
            buf_add_char(out, '?');
        } else {
            buf_add(out, from, (size_t)(s.p - from));
        }
    }
    buf_add_text(out, quotes ? "\"" : "");
}

static void add_cell(struct buf *out, const struct column *c, const json_t *node)
{
    size_t i = 0;
    for (; i + 1 < sizeof c->path / sizeof *c->path && c->path[i + 1] != NULL; i++) {
        node = json_object_get(node, c->path[i]);
    }
    const json_t *v = json_object_get(node, c->path[i]);
    struct dur_us t;
    if (c->is_point && span_of(node, c->path[i], &t)) {
        struct js_out number = js_out_to(out);
        js_ms(&number, t.us);
    } else if (json_is_number(v)) {
        add_number(out, json_number_value(v));
    } else if (json_is_boolean(v)) {
        buf_add_text(out, json_is_true(v) ? "true" : "false");
    } else {
        add_text_cell(out, text_of(node, c->path[i]));
    }
}

static void add_rows(const struct stored_profile *p, bool exported, struct buf *out)
{
    for (size_t i = 0; i < p->nodes_len; i++) {
        if (exported) {
            add_text_cell(out, text_of(p->json, "jobId"));
        }
        for (size_t k = 0; k < COLUMNS; k++) {
            buf_add_text(out, k > 0 || exported ? "," : "");
            add_cell(out, &columns[k], p->nodes[i].json);
        }
        buf_add_text(out, "\r\n");
    }
}

void render_csv_head(bool exported, struct buf *out)
{
    buf_add_text(out, exported ? "jobId" : "");
    for (size_t k = 0; k < COLUMNS; k++) {
        buf_add_text(out, k > 0 || exported ? "," : "");
        buf_add_text(out, columns[k].name);
    }
    buf_add_text(out, "\r\n");
}

bool render_csv_rows(struct str profile_json, bool exported, struct buf *out)
{
    AUTO_PROFILE struct stored_profile p;
    if (!profile_read(profile_json, &p)) {
        return false;
    }
    add_rows(&p, exported, out);
    return true;
}

void profile_csv(const struct stored_profile *p, struct buf *out)
{
    render_csv_head(false, out);
    add_rows(p, false, out);
}
