/* What a backend would refuse in a submitted graph, for GET ?dryRun=1: core/graph_check.h as JSON.
 */
#include <stdio.h>
#include <stdlib.h>

#include "comfypool/core/graph_check.h"
#include "inner.h"

enum { MAX_PROBLEMS = 50 };

struct telling {
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
    case GRAPH_LINK_NOWHERE:
        buf_add_str(to, p->input);
        buf_add_text(to, " links to node ");
        buf_add_str(to, str_clip(p->value, 256));
        buf_add_text(to, ", which is not in the graph");
        return;
    }
}

/* What the daemon fills in itself is no problem. */
static bool tell(void *ctx, const struct graph_problem *p)
{
    const struct telling *t = ctx;
    if (p->node != NULL && is_given_by_attachment(t->s, p->node->id, p->input)) {
        return false;
    }
    AUTO_BUF struct buf detail;
    buf_init(&detail, BUF_NO_LIMIT);
    say(p, &detail);
    js_open(t->o, '{');
    if (p->node != NULL) {
        js_member_str(t->o, "nodeId", p->node->id);
        js_member_str(t->o, "classType", p->node->class_type);
        js_member_str(t->o, "input", p->input);
    }
    js_member_str(t->o, "detail", buf_str(&detail));
    js_close(t->o, '}');
    return true;
}

void dry_run_problems(const struct backend *b, const struct submission *s, const struct workflow *w,
                      const bool *wanted, struct js_out *o)
{
    js_key(o, "problems");
    if (!b->knows.known) {
        js_null(o);
        return;
    }
    js_open(o, '[');
    const struct graph_asked asked = {
        .w = w,
        .text = {s->workflow, s->workflow_len},
        .classes = &b->knows.catalog,
        .wanted = wanted,
        .chooses_seeds = !s->spec.keep_seeds,
        .most = MAX_PROBLEMS,
    };
    graph_check(&asked, tell, &(struct telling){s, o});
    js_close(o, ']');
}
