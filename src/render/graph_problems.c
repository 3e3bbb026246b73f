/* Problems of a submitted graph on a backend: core/graph_check.h as JSON, in words for people. */
#include "comfypool/render/graph_problems.h"

#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/near.h"
#include "comfypool/core/graph_check.h"

enum { MAX_PROBLEMS = 50 };

struct telling {
    const struct render_graph *g;
    const struct submission *s;
    struct js_out *o;
};

static bool is_given_by_attachment(const struct submission *s, struct str node_id, struct str input)
{
    size_t i = 0;
    while (i < s->attachments_len && !(str_is(node_id, s->attachments[i].node_id) &&
                                       str_is(input, s->attachments[i].input))) {
        i++;
    }
    return i < s->attachments_len;
}

/* Adds the value, quoted where it could be misread: "20.0" is no whole number, 20.0 is. */
static void say_value(const struct graph_problem *p, bool quoted, struct buf *to)
{
    enum { CLIP = 64 };
    buf_add_text(to, quoted && p->is_text ? "\"" : "");
    buf_add_str(to, str_clip(p->value, CLIP));
    buf_add_text(to, quoted && p->is_text ? "\"" : "");
}

/* Adds the nearest listed value, unless the list is long, or the first ones. */
static void say_not_listed(const struct graph_problem *p, struct buf *to)
{
    enum { SHOWN = 8, CLIP = 64, COMPARED = 100 };
    const struct catalog_input *in = p->known;
    struct near near = near_to(str_clip(p->value, CLIP));
    for (size_t i = 0; i < in->values_len && in->values_len <= COMPARED; i++) {
        near_try(&near, in->values[i]);
    }
    buf_add_str(to, p->input);
    buf_add_text(to, " is ");
    say_value(p, p->value.n == 0, to);
    buf_add_text(to, ", which is not in its list");
    if (near.name != NULL) {
        buf_add_text(to, "; did you mean ");
        buf_add_str(to, str_clip(str_of(near.name), CLIP));
        buf_add_char(to, '?');
        return;
    }
    for (size_t i = 0; i < in->values_len && i < SHOWN; i++) {
        buf_add_text(to, i == 0 ? ": " : ", ");
        buf_add_str(to, str_clip(str_of(in->values[i]), CLIP));
    }
    buf_add_text(to, in->values_len > SHOWN ? ", ..." : "");
}

static void say_of_output(const struct graph_problem *p, struct buf *to)
{
    buf_add_str(to, p->input);
    buf_add_text(to, " links to output ");
    buf_add_str(to, str_clip(p->value, 32));
    buf_add_text(to, " of node ");
    buf_add_str(to, p->from->id);
    if (p->fault == GRAPH_LINK_OTHER_TYPE) {
        buf_printf(to, ", which gives %s, not %s", p->source->outputs[p->output],
                   p->known->links_of);
    } else if (p->source->outputs_len == 0) {
        buf_printf(to, "; %s gives none", p->source->name);
    } else {
        buf_printf(to, "; %s gives %zu, and the first is 0", p->source->name,
                   p->source->outputs_len);
    }
}

static void say(const struct graph_problem *p, struct buf *to)
{
    switch (p->fault) {
    case GRAPH_NO_OUTPUT:
        buf_add_text(to, "no node of the graph gives an output: add one such as SaveImage or "
                         "PreviewImage");
        return;
    case GRAPH_INPUT_MISSING:
        buf_add_text(to, "the required input ");
        buf_add_str(to, p->input);
        buf_add_text(to, " is missing");
        return;
    case GRAPH_TOO_SMALL:
    case GRAPH_TOO_LARGE:
        buf_add_str(to, p->input);
        buf_add_text(to, " is ");
        buf_add_str(to, str_clip(p->value, 64));
        buf_printf(to, ", out of range: the %s is %.15g",
                   p->fault == GRAPH_TOO_SMALL ? "least" : "most", p->bound);
        return;
    case GRAPH_NO_NUMBER:
        buf_add_str(to, p->input);
        buf_add_text(to, " is ");
        say_value(p, true, to);
        buf_add_text(to, p->known->type == CATALOG_INT ? ", which is no whole number"
                                                       : ", which is no number");
        return;
    case GRAPH_NOT_LISTED:
        say_not_listed(p, to);
        return;
    case GRAPH_LINK_BAD:
        buf_add_str(to, p->input);
        buf_add_text(to, " is ");
        buf_add_str(to, str_clip(p->value, 64));
        buf_add_text(to, "; a link is [\"the id of a node\", the number of its output]");
        return;
    case GRAPH_LINK_NOWHERE:
        buf_add_str(to, p->input);
        buf_add_text(to, " links to node ");
        buf_add_str(to, str_clip(p->value, 256));
        buf_add_text(to, ", which is not in the graph");
        return;
    case GRAPH_LINK_NO_OUTPUT:
    case GRAPH_LINK_OTHER_TYPE:
        say_of_output(p, to);
        return;
    case GRAPH_CYCLE:
        buf_add_text(to, "it links to node ");
        buf_add_str(to, p->from->id);
        buf_add_text(to, p->from == p->node ? ", which is itself" : ", which needs it: a cycle");
        return;
    }
}

/* True if the list is not decisive, as in eligibility. */
static bool may_be_good(const struct telling *t, const struct graph_problem *p)
{
    return t->s->spec.skip_eligibility ||
           t->g->may_be_good(t->g->ctx, p->node->class_type, p->input);
}

static void write_problem(struct js_out *o, const struct workflow_node *node, struct str input,
                          struct str detail)
{
    js_open(o, '{');
    if (node != NULL) {
        js_member_str(o, "nodeId", node->id);
        js_member_str(o, "classType", node->class_type);
        if (input.n > 0) {
            js_member_str(o, "input", input);
        }
    }
    js_member_str(o, "detail", detail);
    js_close(o, '}');
}

/* Reports a problem, unless the daemon fills in that value itself. */
static bool tell(void *ctx, const struct graph_problem *p)
{
    const struct telling *t = ctx;
    if (p->node != NULL && (is_given_by_attachment(t->s, p->node->id, p->input) ||
                            (p->fault == GRAPH_NOT_LISTED && may_be_good(t, p)))) {
        return false;
    }
    AUTO_BUF struct buf detail;
    buf_init(&detail, BUF_NO_LIMIT);
    say(p, &detail);
    write_problem(t->o, p->node, p->input, buf_str(&detail));
    return true;
}

/* Reports files for inputs that the class lacks: the job would run without them. */
static void tell_attachments(const struct telling *t, const struct workflow *w)
{
    for (size_t i = 0; i < t->s->attachments_len; i++) {
        const struct attachment *a = &t->s->attachments[i];
        const struct str input = str_of(a->input);
        const struct workflow_node *n = workflow_find(w, str_of(a->node_id));
        const struct catalog_class *c =
            n == NULL ? NULL : catalog_find(t->g->classes, n->class_type);
        if (c == NULL || c->is_custom || catalog_unfolds(c) || catalog_input(c, input) != NULL) {
            continue;
        }
        AUTO_BUF struct buf detail;
        buf_init(&detail, BUF_NO_LIMIT);
        struct near near = near_to(input);
        for (size_t k = 0; k < c->inputs_len; k++) {
            near_try(&near, c->inputs[k].name);
        }
        buf_printf(&detail, "a file is attached to %s, which is no input of %s", a->input, c->name);
        if (near.name != NULL) {
            buf_printf(&detail, "; did you mean %s?", near.name);
        }
        write_problem(t->o, n, input, buf_str(&detail));
    }
}

void render_graph_problems(const struct render_graph *g, struct js_out *o)
{
    js_open(o, '[');
    const struct graph_asked asked = {
        .w = g->workflow,
        .text = {g->submission->workflow, g->submission->workflow_len},
        .classes = g->classes,
        .wanted = g->wanted,
        .chooses_seeds = !g->submission->spec.keep_seeds,
        .most = MAX_PROBLEMS,
    };
    struct telling t = {g, g->submission, o};
    graph_check(&asked, tell, &t);
    tell_attachments(&t, g->workflow);
    js_close(o, ']');
}
