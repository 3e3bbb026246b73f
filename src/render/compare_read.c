/*
 * Reads the parts of a stored profile that a comparison needs. A baseline may have a thousand runs,
 * whose trees would be built only to be thrown away: so this goes through the text once, by tables
 * of members, and skips the rest (for 3,000 nodes in 1.2 MB: 9 ms, where profile_read takes 55).
 * Members of an unexpected kind count as absent.
 */
#include "compared.h"

#include <math.h>
#include <stdlib.h>

#include "comfypool/base/json_read.h"

#include "profile_read.h"

enum { MAX_DEPTH = 64 };

/* ---- members by tables ----------------------------------------------------------------------- */

enum kind {
    TEXT,    /* struct str */
    NUMBER,  /* double, finite */
    TRUTH,   /* bool */
    MEMBERS, /* object with members in the same struct */
    IDS,     /* array of texts: size_t count; the texts go to the run's depends_on */
    NODES,   /* bool, and the run's nodes */
};

struct member {
    const char *name; /* NULL: the end */
    enum kind kind;
    size_t at;
    const struct member *members;
};

/* A node while read; absent numbers stay NAN. */
struct read_node {
    struct compare_node node;
    struct str status;
    struct str title;
    double duration;
    bool open_ended;
};

static const struct member vram_members[] = {
    {"max", NUMBER, offsetof(struct compare_resources, vram_max), NULL}, {.name = NULL}};
static const struct member ram_members[] = {
    {"max", NUMBER, offsetof(struct compare_resources, ram_max), NULL}, {.name = NULL}};
static const struct member gpu_members[] = {
    {"avg", NUMBER, offsetof(struct compare_resources, gpu_average), NULL}, {.name = NULL}};
static const struct member resource_members[] = {
    {"source", TEXT, offsetof(struct compare_resources, source), NULL},
    {"vramUsed", MEMBERS, 0, vram_members},
    {"ramUsed", MEMBERS, 0, ram_members},
    {"gpuUtilization", MEMBERS, 0, gpu_members},
    {.name = NULL},
};
static const struct member node_members[] = {
    {"nodeId", TEXT, offsetof(struct read_node, node.id), NULL},
    {"type", TEXT, offsetof(struct read_node, node.class_type), NULL},
    {"status", TEXT, offsetof(struct read_node, status), NULL},
    {"title", TEXT, offsetof(struct read_node, title), NULL},
    {"cached", TRUTH, offsetof(struct read_node, node.cached), NULL},
    {"duration", NUMBER, offsetof(struct read_node, duration), NULL},
    {"openEnded", TRUTH, offsetof(struct read_node, open_ended), NULL},
    {"dependsOn", IDS, offsetof(struct read_node, node.depends_on_len), NULL},
    {"parentNodeId", TEXT, offsetof(struct read_node, node.parent), NULL},
    {"resources", MEMBERS, offsetof(struct read_node, node.resources), resource_members},
    {.name = NULL},
};

/* The profile while read. */
struct read_profile {
    double execution;
    bool execution_known; /* in profiles only if false */
    double completed_at;
    bool has_nodes;
    struct compare_resources resources;
    struct str job_id;
    struct str backend;
    struct str outcome;
    double attempt;
};

static const struct member evidence_members[] = {
    {"executionKnown", TRUTH, offsetof(struct read_profile, execution_known), NULL},
    {.name = NULL},
};
static const struct member profile_members[] = {
    {"jobId", TEXT, offsetof(struct read_profile, job_id), NULL},
    {"backend", TEXT, offsetof(struct read_profile, backend), NULL},
    {"attempt", NUMBER, offsetof(struct read_profile, attempt), NULL},
    {"outcome", TEXT, offsetof(struct read_profile, outcome), NULL},
    {"completedAt", NUMBER, offsetof(struct read_profile, completed_at), NULL},
    {"executionTime", NUMBER, offsetof(struct read_profile, execution), NULL},
    {"evidence", MEMBERS, 0, evidence_members},
    {"nodes", NODES, offsetof(struct read_profile, has_nodes), NULL},
    {"resources", MEMBERS, offsetof(struct read_profile, resources), resource_members},
    {.name = NULL},
};

/* ---- reading --------------------------------------------------------------------------------- */

struct reading {
    struct js_reader js;
    struct compared_run *run;
    size_t nodes_cap;
    size_t depends_on_cap;
};

static bool read_members(struct reading *r, const struct member *members, void *into);

static const struct compare_resources no_resources = {
    .vram_max = NAN, .ram_max = NAN, .gpu_average = NAN};

static size_t grown(size_t cap)
{
    return cap == 0 ? 64 : 2 * cap;
}

static void add_node(struct reading *r, const struct read_node *n)
{
    struct compared_run *run = r->run;
    if (run->run.nodes_len == r->nodes_cap) {
        r->nodes_cap = grown(r->nodes_cap);
        run->nodes = mem_grow(run->nodes, r->nodes_cap * sizeof *run->nodes);
        run->status = mem_grow(run->status, r->nodes_cap * sizeof *run->status);
        run->title = mem_grow(run->title, r->nodes_cap * sizeof *run->title);
    }
    run->status[run->run.nodes_len] = n->status;
    run->title[run->run.nodes_len] = n->title;
    struct compare_node *to = &run->nodes[run->run.nodes_len++];
    *to = n->node;
    to->finished = str_is(n->status, "completed") && !n->open_ended;
    to->open_ended = n->open_ended;
    to->has_duration = !isnan(n->duration);
    to->duration.us = to->has_duration ? us_of(n->duration) : 0;
}

static bool read_nodes(struct reading *r)
{
    struct js_token t = js_next(&r->js);
    for (; t.kind != JS_ARRAY_END; t = js_next(&r->js)) {
        struct read_node n = {.node.resources = no_resources, .duration = NAN};
        const bool good =
            t.kind == JS_OBJECT ? read_members(r, node_members, &n) : js_rest(&r->js, t).n > 0;
        if (!good) {
            return false;
        }
        add_node(r, &n);
    }
    return true;
}

static bool read_ids(struct reading *r, size_t *len)
{
    struct compared_run *run = r->run;
    struct js_token t = js_next(&r->js);
    for (; t.kind != JS_ARRAY_END; t = js_next(&r->js)) {
        if (run->depends_on_len == r->depends_on_cap) {
            r->depends_on_cap = grown(r->depends_on_cap);
            run->depends_on =
                mem_grow(run->depends_on, r->depends_on_cap * sizeof *run->depends_on);
        }
        run->depends_on[run->depends_on_len++] =
            t.kind == JS_STRING ? js_text(t, &run->texts) : (struct str){NULL, 0};
        ++*len;
        if (js_rest(&r->js, t).n == 0) {
            return false;
        }
    }
    return true;
}

static bool read_member(struct reading *r, const struct member *m, struct js_token t, char *into)
{
    void *at = into + m->at;
    double number = 0;
    if (m->kind == MEMBERS && t.kind == JS_OBJECT) {
        return read_members(r, m->members, at);
    }
    if (m->kind == IDS && t.kind == JS_ARRAY) {
        return read_ids(r, at);
    }
    if (m->kind == NODES && t.kind == JS_ARRAY) {
        *(bool *)at = true;
        return read_nodes(r);
    }
    if (m->kind == TEXT && t.kind == JS_STRING) {
        *(struct str *)at = js_text(t, &r->run->texts);
    } else if (m->kind == NUMBER && js_double(t, &number) && isfinite(number)) {
        *(double *)at = number;
    } else if (m->kind == TRUTH) {
        *(bool *)at = t.kind == JS_TRUE;
    }
    return js_rest(&r->js, t).n > 0;
}

/* Reads an object behind its brace. False: the text is broken. */
static bool read_members(struct reading *r, const struct member *members, void *into)
{
    struct js_token t = js_next(&r->js);
    for (; t.kind == JS_KEY; t = js_next(&r->js)) {
        const struct member *m = members;
        while (m->name != NULL && !js_is(t, m->name)) {
            m++;
        }
        const bool good =
            m->name == NULL ? js_skip(&r->js).n > 0 : read_member(r, m, js_next(&r->js), into);
        if (!good) {
            return false;
        }
    }
    return t.kind == JS_OBJECT_END;
}

/* ---- the run --------------------------------------------------------------------------------- */

/* Points each node at its dependencies, which are in node order. */
static void link_dependencies(struct compared_run *run)
{
    size_t at = 0;
    for (size_t i = 0; i < run->run.nodes_len; i++) {
        struct compare_node *n = &run->nodes[i];
        n->depends_on = n->depends_on_len > 0 ? run->depends_on + at : NULL;
        at += n->depends_on_len;
    }
}

static void take_profile(struct compared_run *to, const struct read_profile *p)
{
    to->job_id = p->job_id;
    to->backend = p->backend;
    to->outcome = p->outcome;
    to->attempt = p->attempt;
    to->has_completed = !isnan(p->completed_at);
    to->completed_at.us = to->has_completed ? us_of(p->completed_at) : 0;
    to->run.nodes = to->nodes;
    to->run.finished = str_is(p->outcome, "completed");
    to->run.has_execution = !isnan(p->execution) && p->execution_known;
    to->run.execution.us = to->run.has_execution ? us_of(p->execution) : 0;
    to->run.resources = p->resources;
    link_dependencies(to);
}

bool compared_run_read(struct str profile_json, struct compared_run *ret)
{
    *ret = (struct compared_run){.nodes = NULL};
    /* Room for all of js_text up front, so that texts do not move. */
    buf_init(&ret->texts, BUF_NO_LIMIT);
    if (profile_json.n > 0 && memchr(profile_json.p, '\\', profile_json.n) != NULL) {
        (void)buf_reserve(&ret->texts, 3 * profile_json.n);
    }
    struct read_profile p = {.execution = NAN,
                             .execution_known = true,
                             .completed_at = NAN,
                             .resources = no_resources,
                             .attempt = 0};
    struct reading r = {.run = ret};
    js_read_strict(&r.js, profile_json, MAX_DEPTH);
    const bool good = js_next(&r.js).kind == JS_OBJECT && read_members(&r, profile_members, &p) &&
                      js_next(&r.js).kind == JS_END && p.has_nodes;
    if (!good) {
        compared_run_done(ret);
        return false;
    }
    take_profile(ret, &p);
    return true;
}

void compared_run_done(struct compared_run *r)
{
    free(r->nodes);
    free(r->status);
    free(r->title);
    free(r->depends_on);
    buf_done(&r->texts);
    *r = (struct compared_run){.nodes = NULL};
}
