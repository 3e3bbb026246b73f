/* How far a running prompt is; see the header. */
#include "comfypool/core/progress.h"

#include <stdlib.h>

void progress_init(struct progress *p, const struct workflow *w)
{
    *p = (struct progress){.workflow = w, .done = mem_zero(w->len, 1)};
}

void progress_done(struct progress *p)
{
    free(p->done);
    free(p->node_id);
    *p = (struct progress){0};
}

static void node_is_done(struct progress *p, struct str id)
{
    const struct workflow_node *n = workflow_find(p->workflow, id);
    if (n != NULL && p->done[n - p->workflow->nodes] == 0) {
        p->done[n - p->workflow->nodes] = 1;
        p->nodes_done++;
    }
}

static void node_runs(struct progress *p, struct str id)
{
    if (p->node_id == NULL || !str_is(id, p->node_id)) {
        free(p->node_id);
        p->node_id = mem_copy(id);
        p->has_value = false;
    }
}

void progress_feed(struct progress *p, const struct frame *f)
{
    if (f->type == FRAME_CACHED) {
        for (size_t i = 0; i < f->ids_len; i++) {
            node_is_done(p, f->ids[i]);
        }
    } else if (f->type == FRAME_STATE) {
        for (size_t i = 0; i < f->nodes_len; i++) {
            if (f->nodes[i].state == NODE_STATE_FINISHED) {
                node_is_done(p, f->nodes[i].id);
            }
        }
    } else if (f->type == FRAME_EXECUTING && f->node.p != NULL) {
        node_runs(p, f->node);
    } else if (f->type == FRAME_PROGRESS && f->node.p != NULL) {
        node_runs(p, f->node);
        p->has_value = true;
        p->value = f->value;
        p->max = f->max;
    }
}
