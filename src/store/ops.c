/* Names of ops, which of them may be refused, and their lists. */
#include "ops.h"

enum op_promise { REFUSABLE, KEPT };

static const struct {
    const char *name;
    enum op_promise promise;
} kinds[OP_KIND_COUNT] = {
    [OP_INSERT] = {"insert", REFUSABLE},
    [OP_INSERT_BATCH] = {"insert batch", REFUSABLE},
    [OP_END_BATCH] = {"end batch", KEPT},
    [OP_PUT_UPLOAD] = {"put upload", KEPT},
    [OP_DELETE_UPLOAD] = {"delete upload", KEPT},
    [OP_PUT_OWNER] = {"put owner of an upload", KEPT},
    [OP_DELETE_OWNER] = {"delete owner of an upload", KEPT},
    [OP_PUT_KEPT] = {"put kept outputs", KEPT},
    [OP_PUT_STAMPS] = {"put stamps of outputs", KEPT},
    [OP_DELETE_KEPT] = {"delete kept outputs", KEPT},
    [OP_KEY_STATUS] = {"set key status", KEPT},
    [OP_UPDATE_JOB] = {"update job", KEPT},
    [OP_REVIVE_JOB] = {"revive job", KEPT},
    [OP_BEGIN_ATTEMPT] = {"begin attempt", KEPT},
    [OP_END_ATTEMPT] = {"end attempt", KEPT},
    [OP_END_STRAY] = {"end stray", KEPT},
    [OP_WITHDRAW_ATTEMPT] = {"withdraw attempt", KEPT},
    [OP_MARK_CANCEL] = {"mark cancel", KEPT},
    [OP_DELETE] = {"delete", KEPT},
    [OP_PUT_BACKEND] = {"put backend", KEPT},
    [OP_DELETE_BACKEND] = {"delete backend", KEPT},
    [OP_PUT_SETTING] = {"put setting", KEPT},
    [OP_ADD_DELIVERIES] = {"add deliveries", KEPT},
    [OP_UPDATE_DELIVERY] = {"update delivery", KEPT},
    [OP_DELETE_DELIVERY] = {"delete delivery", KEPT},
    [OP_FOLD] = {"fold", KEPT},
    [OP_PRUNE] = {"prune", KEPT},
};

const char *op_name(enum op_kind kind)
{
    return kinds[kind].name;
}

bool op_is_refusable(enum op_kind kind)
{
    return kinds[kind].promise == REFUSABLE;
}

/* ---- lists of ops ---------------------------------------------------------------------------- */

void op_list_add(struct op_list *l, struct op *op)
{
    op->next = NULL;
    if (l->last == NULL) {
        l->first = op;
    } else {
        l->last->next = op;
    }
    l->last = op;
}

void op_list_append(struct op_list *l, struct op_list *more)
{
    if (more->first == NULL) {
        return;
    }
    if (l->last == NULL) {
        l->first = more->first;
    } else {
        l->last->next = more->first;
    }
    l->last = more->last;
    *more = (struct op_list){0};
}

struct op *op_list_take(struct op_list *l)
{
    struct op *op = l->first;
    if (op != NULL) {
        l->first = op->next;
        if (l->first == NULL) {
            l->last = NULL;
        }
        op->next = NULL;
    }
    return op;
}
