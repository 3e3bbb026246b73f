/* Checks graphs as servers do; see the header. */
#include "comfypool/core/graph_check.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "comfypool/base/json_read.h"

#include "graph_inner.h"

struct check {
    const struct graph_asked *asked;
    size_t left; /* problems that may still be reported */
    bool (*each)(void *ctx, const struct graph_problem *p);
    void *ctx;
    size_t *seen; /* by input of the class: last round that had it */
    size_t seen_cap;
    size_t round; /* counts nodes */
    struct graph_links links;
};

static void tell(struct check *c, struct graph_problem p)
{
    if (c->left > 0 && c->each(c->ctx, &p)) {
        c->left--;
    }
}

/* ---- links ----------------------------------------------------------------------------------- */

/* The input being checked. */
struct place {
    const struct workflow_node *node;
    const struct catalog_class *class; /* NULL: unknown */
    struct str input;
    const struct catalog_input *known; /* NULL: the class has no such input */
};

static struct graph_problem problem_at(const struct place *at, enum graph_fault fault)
{
    return (struct graph_problem){
        .fault = fault, .node = at->node, .input = at->input, .known = at->known};
}

static bool is_slot(struct js_token t)
{
    return t.kind == JS_NUMBER || t.kind == JS_TRUE || t.kind == JS_FALSE;
}

/* Reads an output's index: servers index a Python list, -1 is the last. False: refused. */
static bool read_slot(struct js_token slot, size_t outputs, int64_t *ret)
{
    *ret = slot.kind == JS_TRUE ? 1 : 0;
    if (slot.kind == JS_NUMBER && !js_int(slot, ret)) {
        return false;
    }
    *ret += *ret < 0 ? (int64_t)outputs : 0;
    return true;
}

/* Checks a link to an existing node: the output exists and its type matches. */
static void check_source(struct check *c, const struct place *at, const struct workflow_node *from,
                         struct js_token slot)
{
    const struct catalog_class *class = catalog_find(c->asked->classes, from->class_type);
    if (class == NULL || !class->outputs_known) {
        return;
    }
    struct graph_problem p = problem_at(at, GRAPH_LINK_NO_OUTPUT);
    p.from = from;
    p.source = class;
    p.value = slot.text;
    if (!read_slot(slot, class->outputs_len, &p.output) || p.output < 0 ||
        (uint64_t)p.output >= class->outputs_len) {
        tell(c, p);
    } else if (!catalog_types_match(class->outputs[p.output], at->known->links_of)) {
        p.fault = GRAPH_LINK_OTHER_TYPE;
        tell(c, p);
    }
}

/* Checks ["ID", SLOT] whose bracket was read; moves the reader past it. */
static void check_link(struct check *c, const struct place *at, struct js_reader *r,
                       struct js_token bracket)
{
    struct js_reader look = *r;
    const struct js_token id = js_next(&look);
    const struct js_token slot = id.kind == JS_STRING ? js_next(&look) : id;
    const bool is_link =
        id.kind == JS_STRING && is_slot(slot) && js_next(&look).kind == JS_ARRAY_END;
    const struct str text = js_rest(r, bracket);
    const bool is_held = at->known != NULL && !at->known->loose;
    if (!is_link) {
        struct graph_problem p = problem_at(at, GRAPH_LINK_BAD);
        p.value = text;
        if (is_held) {
            tell(c, p);
        }
        return;
    }
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    const struct workflow_node *from = workflow_find(c->asked->w, js_text(id, &scratch));
    if (from == NULL) {
        struct graph_problem p = problem_at(at, GRAPH_LINK_NOWHERE);
        p.value = id.text;
        if (at->known != NULL || slot.kind == JS_NUMBER) { /* else a plain value */
            tell(c, p);
        }
    } else if (is_held) {
        graph_links_add(&c->links, (uint32_t)(at->node - c->asked->w->nodes),
                        (uint32_t)(from - c->asked->w->nodes));
        check_source(c, at, from, slot);
    }
}

static void tell_cycle(void *ctx, uint32_t node, uint32_t to)
{
    struct check *c = ctx;
    const struct workflow_node *nodes = c->asked->w->nodes;
    tell(c, (struct graph_problem){.fault = GRAPH_CYCLE, .node = &nodes[node], .from = &nodes[to]});
}

/* ---- values ---------------------------------------------------------------------------------- */

static void check_number(struct check *c, const struct place *at, struct js_token v)
{
    const struct catalog_input *in = at->known;
    double x = 0;
    struct graph_problem p = problem_at(at, GRAPH_NO_NUMBER);
    p.value = v.text;
    p.is_text = v.kind == JS_STRING;
    switch (graph_number_read(v, in->type == CATALOG_INT, &x)) {
    case GRAPH_NUMBER_MAY_BE:
        return;
    case GRAPH_NUMBER_IS_NOT:
        tell(c, p);
        return;
    case GRAPH_NUMBER_IS:
        break;
    }
    if (in->has_min && x < in->min) {
        p.fault = GRAPH_TOO_SMALL;
        p.bound = in->min;
        tell(c, p);
    } else if (in->has_max && x > in->max) {
        p.fault = GRAPH_TOO_LARGE;
        p.bound = in->max;
        tell(c, p);
    }
}

/* True if it ends in .png or "x.png [output]", or has a folder: lists of files change any moment,
   and many nodes take others. Missing models are reported elsewhere. */
static bool may_be_file(struct str value)
{
    enum { EXTENSION = 12 };
    size_t letters = 0;
    while (letters < value.n && isalnum((unsigned char)value.p[value.n - 1 - letters])) {
        letters++;
    }
    const bool has_extension = letters > 0 && letters <= EXTENSION && letters < value.n &&
                               value.p[value.n - 1 - letters] == '.' &&
                               !isdigit((unsigned char)value.p[value.n - letters]);
    return has_extension || (value.n > 0 && value.p[value.n - 1] == ']') ||
           (value.n > 0 &&
            (memchr(value.p, '/', value.n) != NULL || memchr(value.p, '\\', value.n) != NULL));
}

static void check_listed(struct check *c, const struct place *at, struct js_token v)
{
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    bool refused = at->known->all_text && v.kind != JS_OBJECT;
    if (v.kind == JS_STRING) {
        const struct str value = js_text(v, &scratch);
        const struct str quoted = {v.text.p - 1, v.text.n + 2};
        refused = !catalog_allows(at->class, at->input, value) && !may_be_file(value) &&
                  !workflow_names_model(at->input, quoted);
    }
    struct graph_problem p = problem_at(at, GRAPH_NOT_LISTED);
    p.value = v.text;
    p.is_text = v.kind == JS_STRING;
    if (refused) {
        tell(c, p);
    }
}

/* Checks a value that is no array. */
static void check_value(struct check *c, const struct place *at, struct js_token v)
{
    if (at->known == NULL || (c->asked->chooses_seeds && workflow_seed_is_open(at->input, v.text) &&
                              v.kind == JS_NUMBER)) {
        return;
    }
    if (at->known->type != CATALOG_OTHER) {
        check_number(c, at, v);
    } else if (at->known->listed && !at->class->is_custom) { /* may accept unlisted values */
        check_listed(c, at, v);
    }
}

/* ---- nodes ----------------------------------------------------------------------------------- */

/* Walks the class's inputs only where one is missing: rare, as that is reported. */
static void check_missing(struct check *c, const struct workflow_node *n,
                          const struct catalog_class *class, size_t seen_required)
{
    const bool all = class == NULL || seen_required == class->required_len;
    for (size_t i = 0; !all && c->left > 0 && i < class->inputs_len; i++) {
        if (class->inputs[i].required && c->seen[i] != c->round) {
            tell(c, (struct graph_problem){.fault = GRAPH_INPUT_MISSING,
                                           .node = n,
                                           .input = str_of(class->inputs[i].name)});
        }
    }
}

static void begin_round(struct check *c, const struct catalog_class *class)
{
    c->round++;
    if (class != NULL && class->inputs_len > c->seen_cap) {
        free(c->seen);
        c->seen = mem_zero(class->inputs_len, sizeof *c->seen);
        c->seen_cap = class->inputs_len;
    }
}

/* class NULL: unknown, takes anything. */
static void check_node(struct check *c, const struct workflow_node *n,
                       const struct catalog_class *class)
{
    size_t seen_required = 0;
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    struct js_reader r;
    begin_round(c, class);
    js_read_strict(&r, (struct str){c->asked->text.p + n->inputs_at, n->inputs_len}, JS_MAX_DEPTH);
    (void)js_next(&r);
    for (struct js_token key = js_next(&r); key.kind == JS_KEY; key = js_next(&r)) {
        buf_clear(&scratch);
        const struct str input = js_text(key, &scratch);
        const struct catalog_input *in = class == NULL ? NULL : catalog_input(class, input);
        if (in != NULL && c->seen[in - class->inputs] != c->round) {
            c->seen[in - class->inputs] = c->round;
            seen_required += in->required ? 1 : 0;
        }
        const struct place at = {n, class, input, in};
        const struct js_token v = js_next(&r);
        if (v.kind == JS_ARRAY) {
            check_link(c, &at, &r, v);
        } else {
            check_value(c, &at, v);
            (void)js_rest(&r, v);
        }
    }
    check_missing(c, n, class, seen_required);
}

/* Marks the outputs; *ret_any: there may be one, as an unknown class may be. */
static void mark_outputs(const struct graph_asked *a, bool *needed, bool *ret_any)
{
    const struct workflow *w = a->w;
    *ret_any = false;
    for (size_t i = 0; i < w->len; i++) {
        const struct catalog_class *class = catalog_find(a->classes, w->nodes[i].class_type);
        needed[i] = class != NULL && class->is_output && (a->wanted == NULL || a->wanted[i]);
        *ret_any = *ret_any || class == NULL || class->is_output;
    }
}

void graph_check(const struct graph_asked *a,
                 bool (*each)(void *ctx, const struct graph_problem *p), void *ctx)
{
    const struct workflow *w = a->w;
    struct check check = {.asked = a, .left = a->most, .each = each, .ctx = ctx};
    check.seen = mem_zero(1, sizeof *check.seen); /* never NULL */
    check.seen_cap = 1;
    bool *needed = mem_zero(w->len + 1, sizeof *needed);
    bool any = false;
    mark_outputs(a, needed, &any);
    if (!any) {
        tell(&check, (struct graph_problem){.fault = GRAPH_NO_OUTPUT});
    }
    workflow_mark_needed(w, needed);
    graph_links_init(&check.links, w->len);
    for (size_t i = 0; i < w->len && check.left > 0; i++) {
        if (needed[i]) {
            check_node(&check, &w->nodes[i], catalog_find(a->classes, w->nodes[i].class_type));
        }
        check.links.first[i + 1] = check.links.len;
    }
    if (check.left > 0) { /* then all links are recorded */
        graph_links_cycles(&check.links, w->len, tell_cycle, &check);
    }
    graph_links_done(&check.links);
    free(check.seen);
    free(needed);
}
