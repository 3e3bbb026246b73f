/* Verdicts; see the header. */
#include "comfypool/core/verdict.h"

#include <stdlib.h>

/* Errors that may pass elsewhere; not exceptions on a node with a dangling link. */
static const struct elsewhere {
    const char *type;
    bool dangling_too;
} elsewhere_types[] = {
    {"value_not_in_list", true},
    {"custom_validation_failed", true},
    {"exception_during_validation", false},
    {"exception_during_inner_validation", false},
    {"invalid_dynamic_input", true},
    {"missing_node_type", true},
};

static const struct elsewhere *find_elsewhere(struct str type)
{
    for (size_t i = 0; i < sizeof elsewhere_types / sizeof *elsewhere_types; i++) {
        if (str_is(type, elsewhere_types[i].type)) {
            return &elsewhere_types[i];
        }
    }
    return NULL;
}

/* True if a node's error may pass elsewhere: the workflow itself may be the reason. n NULL: an
   unknown node. */
static bool excuses(const struct workflow_node *n, struct str type)
{
    const struct elsewhere *e = find_elsewhere(type);
    return e != NULL && (e->dangling_too || n == NULL || !n->dangling);
}

/* Judges the overall error. 0.3 says invalid_prompt for an unknown class and for a missing
   class_type. */
static bool whole_is_elsewhere(struct str type, struct str message)
{
    return find_elsewhere(type) != NULL ||
           (str_is(type, "invalid_prompt") && message.n > 0 &&
            memmem(message.p, message.n, "does not exist", strlen("does not exist")) != NULL);
}

enum mark { UNSEEN, ON_STACK, CLEAN, TAINTED };

/* Marks a node that has an excused error, itself or upstream. Iterative: graphs are deep. Nodes of
   a cycle are clean unless something else taints them. */
static void taint(const struct workflow *w, unsigned char *marks, size_t *stack, size_t start)
{
    size_t depth = 0;
    stack[depth++] = start;
    while (depth > 0) {
        const size_t i = stack[depth - 1];
        const struct workflow_node *n = &w->nodes[i];
        if (marks[i] == UNSEEN) {
            marks[i] = ON_STACK;
            for (uint32_t d = 0; d < n->deps; d++) {
                const size_t dep = w->deps[n->first_dep + d];
                if (marks[dep] == UNSEEN && depth < w->len + w->deps_len) {
                    stack[depth++] = dep;
                }
            }
            continue;
        }
        depth--;
        for (uint32_t d = 0; d < n->deps && marks[i] == ON_STACK; d++) {
            if (marks[w->deps[n->first_dep + d]] == TAINTED) {
                marks[i] = TAINTED;
            }
        }
        marks[i] = marks[i] == ON_STACK ? CLEAN : marks[i];
    }
}

/* True if a decisive error is on a node that nothing excuses. */
static bool any_decides(const struct workflow *w, unsigned char *marks,
                        const struct verdict_error *errors, size_t len)
{
    size_t *stack = mem_alloc((w->len + w->deps_len + 1) * sizeof *stack);
    bool decides = false;
    for (size_t i = 0; i < len && !decides; i++) {
        const struct workflow_node *n = workflow_find(w, errors[i].node_id);
        if (excuses(n, errors[i].type)) {
            continue;
        }
        if (n == NULL) {
            decides = true;
            continue;
        }
        taint(w, marks, stack, (size_t)(n - w->nodes));
        decides = marks[n - w->nodes] != TAINTED;
    }
    free(stack);
    return decides;
}

bool verdict_may_run_elsewhere(const struct workflow *w, struct str type, struct str message,
                               const struct verdict_error *errors, size_t len)
{
    unsigned char *marks = mem_zero(w->len + 1, 1);
    bool some = whole_is_elsewhere(type, message);
    for (size_t i = 0; i < len; i++) {
        const struct workflow_node *n = workflow_find(w, errors[i].node_id);
        if (excuses(n, errors[i].type)) {
            some = true;
            if (n != NULL) {
                marks[n - w->nodes] = TAINTED;
            }
        }
    }
    const bool may = some && !any_decides(w, marks, errors, len);
    free(marks);
    return may;
}
