/*
 * What a 400 to POST /prompt means: whether the same workflow may be fine on another backend, which
 * has other classes, models and files. Pure.
 *
 * Fine elsewhere, perhaps: value_not_in_list, custom_validation_failed (a missing input file),
 * exception_during_validation and, of a node that is no output, exception_during_inner_validation,
 * invalid_dynamic_input (a server of another version may take it), missing_node_type, and 0.3's
 * invalid_prompt that says that a class does not exist. (An exception on a node that links to a
 * node that is not there is no wonder anywhere.) Everything else fails everywhere, and one such
 * error decides; but not on nodes that have an error of the first kind of their own or upstream,
 * since it may be its consequence. Source: docs/ARCHITECTURE.md,
 * tests/traces/v0.3.64/06-validation-errors.jsonl.
 */
#ifndef COMFYPOOL_CORE_VERDICT_H
#define COMFYPOOL_CORE_VERDICT_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/str.h"
#include "comfypool/core/workflow.h"

/* One error of one node; there may be several of a node. */
struct verdict_error {
    struct str node_id;
    struct str type;
};

/*
 * True when another backend may run it. type and message: of the error as a whole (may be empty).
 * Cost: O(nodes + links + errors).
 */
bool verdict_may_run_elsewhere(const struct workflow *w, struct str type, struct str message,
                               const struct verdict_error *errors, size_t len);

#endif
