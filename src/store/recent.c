/*
 * The last ends of jobs, as the ops that wrote them: a client waiting for a job asks for it as soon
 * as it has ended. Bounded in number and bytes; an entry is dropped when any other write about its
 * job is made. While an end is being reported to its caller, it is always here: events are made
 * from it then. Cost: a scan of 32 entries.
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

static bool is_end(const struct op *op)
{
    return op->kind == OP_END_ATTEMPT && job_state_is_terminal(op->job.state) &&
           op->result == ERR_NONE;
}

static void keep(struct recent *r, struct op *op)
{
    for (size_t i = 0; i <= RECENT_MOST && (i == 0 || r->bytes + op->size > RECENT_BYTES); i++) {
        drop(r, (r->next + i) % RECENT_MOST);
    }
    r->list[r->next] = op;
    r->next = (r->next + 1) % RECENT_MOST;
    r->bytes += op->size;
}

void recent_begin_telling(struct recent *r, struct op *op)
{
    op->pins++;
    op->dropped = true; /* not kept yet */
    if (is_end(op)) {
        r->told = op;
    }
    if (is_end(op) && op->size <= RECENT_BYTES / 8) {
        op->dropped = false;
        keep(r, op);
    }
}

void recent_end_telling(struct recent *r, struct op *op)
{
    r->told = NULL;
    recent_unpin(op);
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
    if (r->told != NULL && str_is(id, r->told->job.id)) {
        r->told->pins++;
        return r->told;
    }
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
