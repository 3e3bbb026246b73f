/*
 * Reads a stored profile once, for every format; see the header. Inconsistencies (a time before the
 * job was queued, an end before its start, a parent that is its own child) are corrected here, so
 * that no format has to check.
 */
#include "profile_read.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/map.h"

#include "glyphs.h"

/* ---- members of a JSON object ---------------------------------------------------------------- */

struct str text_of(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return (struct str){json_string_value(v), json_string_length(v)};
}

const json_t *known_number(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? v : NULL;
}

double number_of(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
}

size_t sizes_of(const json_t *o, const char *key)
{
    return json_array_size(json_object_get(o, key));
}

int64_t us_of(double ms)
{
    static const double most = 9e12;
    return llround(fmax(-most, fmin(ms, most)) * 1000.0);
}

bool span_of(const json_t *o, const char *key, struct dur_us *ret)
{
    const json_t *v = known_number(o, key);
    if (v == NULL) {
        return false;
    }
    ret->us = us_of(json_number_value(v));
    return true;
}

void js_value(struct js_out *o, const json_t *value)
{
    AUTO_FREE char *text =
        json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    js_raw(o, text == NULL ? STR("null") : str_of(text));
}

void js_member_of(struct js_out *o, const char *name, const json_t *from)
{
    const json_t *v = json_object_get(from, name);
    if (v != NULL && !json_is_null(v)) {
        js_key(o, name);
        js_value(o, v);
    }
}

void add_number(struct buf *out, double value)
{
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    buf_add_text(out, text);
}

/* ---- times ----------------------------------------------------------------------------------- */

static struct dur_us later(struct dur_us a, struct dur_us b)
{
    return a.us > b.us ? a : b;
}

static struct dur_us sooner(struct dur_us a, struct dur_us b)
{
    return a.us < b.us ? a : b;
}

bool point_of(const struct stored_profile *p, const json_t *o, const char *key, struct dur_us *ret)
{
    struct dur_us wall;
    if (!span_of(o, key, &wall)) {
        return false;
    }
    ret->us = wall.us > p->queued.us ? wall.us - p->queued.us : 0;
    return true;
}

/* Returns the last time known from the profile of a running attempt. */
static struct dur_us last_known(const struct stored_profile *p)
{
    struct dur_us last = p->start;
    for (size_t i = 0; i < p->nodes_len; i++) {
        const struct stored_node *n = &p->nodes[i];
        const json_t *progress = json_object_get(n->json, "progressEvents");
        struct dur_us at = {0};
        if (json_array_size(progress) > 0) {
            (void)point_of(p, json_array_get(progress, json_array_size(progress) - 1), "timestamp",
                           &at);
        }
        last = later(last, later(at, later(n->start, n->end)));
    }
    return last;
}

static void read_end(struct stored_profile *p)
{
    if (!point_of(p, p->json, "completedAt", &p->end) && !point_of(p, p->json, "asOf", &p->end)) {
        p->end = last_known(p);
    }
    p->end = later(p->end, p->start);
    for (size_t i = 0; i < p->nodes_len; i++) {
        p->nodes[i].start = sooner(p->nodes[i].start, p->end);
        p->nodes[i].end = later(p->nodes[i].start, sooner(p->nodes[i].end, p->end));
    }
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static void read_node(const struct stored_profile *p, const json_t *o, struct stored_node *ret)
{
    *ret = (struct stored_node){
        .json = o,
        .id = text_of(o, "nodeId"),
        .type = text_of(o, "type"),
        .title = text_of(o, "title"),
        .status = text_of(o, "status"),
        .cached = json_is_true(json_object_get(o, "cached")),
    };
    ret->has_start = point_of(p, o, "startedAt", &ret->start);
    ret->has_end = ret->has_start && point_of(p, o, "completedAt", &ret->end);
    ret->open = p->live && ret->has_start && !ret->has_end && str_is(ret->status, "executing");
}

static void add_slice(struct stored_profile *p, struct stored_node *n, struct dur_us from,
                      struct dur_us to)
{
    struct stored_slice *s = &p->slices[p->slices_len++];
    s->from = sooner(from, p->end);
    s->to = later(s->from, sooner(to, p->end));
    if (n->slices_len == 0) {
        n->slices = s;
    }
    n->slices_len++;
    n->busy.us += s->to.us - s->from.us;
}

static void read_slices(struct stored_profile *p, struct stored_node *n)
{
    const json_t *list = json_object_get(n->json, "slices");
    if (!n->has_start || n->cached) {
        return;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *s = json_array_get(list, i);
        struct dur_us from;
        struct dur_us to = p->end;
        if (point_of(p, s, "startedAt", &from) && (point_of(p, s, "completedAt", &to) || p->live)) {
            add_slice(p, n, from, to);
        }
    }
    if (n->slices_len == 0 && (n->has_end || n->open)) {
        add_slice(p, n, n->start, n->has_end ? n->end : p->end);
    }
}

static void read_nodes(struct stored_profile *p, const json_t *nodes)
{
    size_t slices = 0;
    p->nodes_len = json_array_size(nodes);
    p->nodes = mem_alloc(p->nodes_len * sizeof *p->nodes);
    for (size_t i = 0; i < p->nodes_len; i++) {
        read_node(p, json_array_get(nodes, i), &p->nodes[i]);
        slices += sizes_of(p->nodes[i].json, "slices") + 1;
    }
    read_end(p);
    p->slices = mem_alloc(slices * sizeof *p->slices);
    for (size_t i = 0; i < p->nodes_len; i++) {
        read_slices(p, &p->nodes[i]);
    }
}

/* ---- parents --------------------------------------------------------------------------------- */

/* Cuts cycles, visiting each node once: a walk up ends where an earlier one passed. */
static void cut_circles(struct stored_profile *p)
{
    for (size_t i = 0; i < p->nodes_len; i++) {
        struct stored_node *at = &p->nodes[i];
        while (at->parent != NULL && at->walk == 0) {
            at->walk = i + 1;
            if (at->parent->walk == i + 1) {
                at->parent = NULL;
                break;
            }
            at = at->parent;
        }
    }
}

void stored_nodes_by_id(const struct stored_profile *p, struct map *ret)
{
    map_init(ret);
    for (size_t i = 0; i < p->nodes_len; i++) {
        if (p->nodes[i].id.n > 0) {
            (void)map_put(ret, p->nodes[i].id, &p->nodes[i]);
        }
    }
}

static void find_parents(struct stored_profile *p)
{
    struct map by_id;
    stored_nodes_by_id(p, &by_id);
    for (size_t i = 0; i < p->nodes_len; i++) {
        const struct str parent = text_of(p->nodes[i].json, "parentNodeId");
        if (parent.n > 0) {
            p->nodes[i].parent = map_get(&by_id, parent);
        }
    }
    map_done(&by_id);
    cut_circles(p);
}

bool profile_read(struct str profile_json, struct stored_profile *ret)
{
    *ret = (struct stored_profile){
        .json = json_loadb(profile_json.p, profile_json.n, JSON_ALLOW_NUL, NULL),
    };
    const json_t *nodes = json_object_get(ret->json, "nodes");
    if (!json_is_array(nodes)) {
        profile_read_done(ret);
        return false;
    }
    struct dur_us queued = {0};
    (void)span_of(ret->json, "queuedAt", &queued);
    ret->queued.us = queued.us;
    ret->live = text_of(ret->json, "outcome").n == 0;
    ret->has_start = point_of(ret, ret->json, "startedAt", &ret->start);
    read_nodes(ret, nodes);
    find_parents(ret);
    return true;
}

void profile_read_done(struct stored_profile *p)
{
    json_decref(p->json);
    free(p->nodes);
    free(p->slices);
    *p = (struct stored_profile){0};
}

/* ---- phases ---------------------------------------------------------------------------------- */

/* Returns a phase after `from`, of its own length, not beyond `end`. */
static struct stored_phase phase_after(const json_t *phases, const char *key, const char *name,
                                       struct dur_us from, struct dur_us end)
{
    struct dur_us length = {0};
    (void)span_of(phases, key, &length);
    const struct dur_us to = {from.us + later(length, (struct dur_us){0}).us};
    return (struct stored_phase){.name = name, .from = from, .to = sooner(to, end)};
}

size_t stored_phases(const struct stored_profile *p, struct stored_phase ret[STORED_PHASES_MAX])
{
    static const char *const parts[][2] = {
        {"waiting", "waiting"}, {"dispatch", "dispatch"}, {"backendQueue", "backend queue"}};
    const json_t *phases = json_object_get(p->json, "phases");
    const struct dur_us queue_end = p->has_start ? p->start : p->end;
    size_t len = 0;
    ret[len++] = (struct stored_phase){.name = "queue", .to = queue_end};
    struct dur_us at = {0};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        ret[len] = phase_after(phases, parts[i][0], parts[i][1], at, queue_end);
        ret[len].part = true;
        at = ret[len].to;
        len += ret[len].from.us < ret[len].to.us;
    }
    if (p->has_start) {
        ret[len] = phase_after(phases, "planning", "planning", p->start, p->end);
        at = ret[len].to;
        len += ret[len].from.us < ret[len].to.us;
        ret[len] = (struct stored_phase){.name = "executing", .from = at, .to = p->end};
        len += at.us < p->end.us;
    }
    return len;
}

/* ---- names ----------------------------------------------------------------------------------- */

enum { LABEL_MAX = 100 };

static struct str without_leading_blanks(struct str s)
{
    while (s.n > 0) {
        struct str rest = s;
        const uint32_t c = glyph_next(&rest);
        if (!glyph_is_blank(c) && !glyph_is_unruly(c)) {
            break;
        }
        s = rest;
    }
    return s;
}

void add_plain(struct buf *out, struct str s, size_t max)
{
    for (size_t shown = 0; s.n > 0; shown++) {
        if (shown == max) {
            buf_add_text(out, "..");
            return;
        }
        const char *from = s.p;
        if (glyph_is_unruly(glyph_next(&s))) {
            buf_add_char(out, ' ');
        } else {
            buf_add(out, from, (size_t)(s.p - from));
        }
    }
}

void add_node_label(struct buf *out, const struct stored_node *n)
{
    struct str name = without_leading_blanks(n->title);
    name = name.n == 0 ? without_leading_blanks(n->type) : name;
    add_plain(out, name.n == 0 ? STR("node") : name, LABEL_MAX);
    buf_add_text(out, " [");
    add_plain(out, n->id, LABEL_MAX);
    buf_add_char(out, ']');
}
