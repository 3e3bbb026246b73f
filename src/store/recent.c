/*
 * The last ends of jobs, as the ops that wrote them: a client that waits for a job asks for it as
 * soon as it has ended. Bounded in number and bytes; an entry goes when any other write about its
 * job is made. Cost: a look at 32 entries.
 */
#include "recent.h"

#include <stdlib.h>
#include <string.h>

#include "comfypool/base/str.h"

static void drop(struct recent *r, size_t i)
{
    if (r->list[i] != NULL) {
        struct op *op = r->list[i];
        r->bytes -= op->size;
        r->list[i] = NULL;
        op->dropped = true;
        if (op->pins == 0) {
            free(op);
        }
    }
}

bool recent_keep(struct recent *r, struct op *op)
{
    const bool is_end = op->kind == OP_END_ATTEMPT && job_state_is_terminal(op->job.state);
    if (!is_end || op->result != ERR_NONE || op->size > RECENT_BYTES / 8) {
        return false;
    }
    for (size_t i = 0; i <= RECENT_MOST && (i == 0 || r->bytes + op->size > RECENT_BYTES); i++) {
        drop(r, (r->next + i) % RECENT_MOST);
    }
    r->list[r->next] = op;
    r->next = (r->next + 1) % RECENT_MOST;
    r->bytes += op->size;
    return true;
}

void recent_forget(struct recent *r, const struct op *op)
{
    for (size_t i = 0; i < RECENT_MOST && op->job.seq != 0; i++) {
        if (r->list[i] != NULL && r->list[i]->job.seq == op->job.seq) {
            drop(r, i);
        }
    }
}

void recent_forget_all(struct recent *r)
{
    for (size_t i = 0; i < RECENT_MOST; i++) {
        drop(r, i);
    }
}

struct op *recent_pin(struct recent *r, struct str id)
{
    for (size_t i = 0; i < RECENT_MOST; i++) {
        if (r->list[i] != NULL && str_is(id, r->list[i]->job.id)) {
            r->list[i]->pins++;
            return r->list[i];
        }
    }
    return NULL;
}

void recent_unpin(struct op *op)
{
    if (--op->pins == 0 && op->dropped) {
        free(op);
    }
}
