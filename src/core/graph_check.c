/* What a server would refuse in a graph; see the header. */
#include "comfypool/core/graph_check.h"

#include <math.h>
#include <stdlib.h>

#include "comfypool/base/json_read.h"

struct check {
    const struct graph_asked *asked;
    size_t left; /* problems that may still be told */
    bool (*each)(void *ctx, const struct graph_problem *p);
    void *ctx;
    size_t *seen; /* by input of the class: the last round in which it was there */
    size_t seen_cap;
    size_t round; /* counts nodes */
};

static void tell(struct check *c, struct graph_problem p)
{
    if (c->left > 0 && c->each(c->ctx, &p)) {
        c->left--;
    }
}

/* ["ID", SLOT] whose bracket was read; the reader goes behind the value. */
static void check_link(struct check *c, const struct workflow_node *n, struct str input,
                       struct js_reader *r, struct js_token bracket)
{
    struct js_reader look = *r;
    const struct js_token id = js_next(&look);
    const bool is_link = id.kind == JS_STRING && js_next(&look).kind == JS_NUMBER &&
                         js_next(&look).kind == JS_ARRAY_END;
    (void)js_rest(r, bracket);
    if (!is_link) {
        return;
    }
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    if (workflow_find(c->asked->w, js_text(id, &scratch)) == NULL) {
        tell(c, (struct graph_problem){
                    .fault = GRAPH_LINK_NOWHERE, .node = n, .input = input, .value = id.text});
    }
}

static void check_number(struct check *c, const struct workflow_node *n, struct str input,
                         const struct catalog_input *in, struct js_token v)
{
    double x = 0;
    if (in == NULL || in->type == CATALOG_OTHER || !js_double(v, &x) ||
        (c->asked->chooses_seeds && workflow_seed_is_open(input, v.text))) {
        return;
    }
    x = in->type == CATALOG_INT ? trunc(x) : x; /* as int() of the server */
    struct graph_problem p = {.node = n, .input = input, .value = v.text};
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

/* Costs what the class has only where something is missing, which is told: few times. */
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

/* class may be NULL: a class that is not known takes anything. */
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
        const struct js_token v = js_next(&r);
        if (v.kind == JS_ARRAY) {
            check_link(c, n, input, &r, v);
        } else {
            check_number(c, n, input, in, v);
            (void)js_rest(&r, v);
        }
    }
    check_missing(c, n, class, seen_required);
}

/* Marks the outputs; *ret_any whether there may be one: a class that is not known may be. */
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
    for (size_t i = 0; i < w->len && check.left > 0; i++) {
        if (needed[i]) {
            check_node(&check, &w->nodes[i], catalog_find(a->classes, w->nodes[i].class_type));
        }
    }
    free(check.seen);
    free(needed);
}
