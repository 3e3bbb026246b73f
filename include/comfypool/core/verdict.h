/*
 * The meaning of a 400 to POST /prompt: whether the workflow may pass on another backend, which has
 * other classes, models and files. Pure.
 *
 * A workflow may pass elsewhere after: value_not_in_list, custom_validation_failed (a missing input
 * file), exception_during_validation and, of a node that is no output,
 * exception_during_inner_validation, invalid_dynamic_input (a server of another version may take
 * it), missing_node_type, and 0.3's invalid_prompt that says that a class does not exist. (A node
 * that links to a missing node causes exceptions anywhere.) All other errors occur everywhere, and
 * one of them decides; but not on nodes that have an error of the first kind of their own or
 * upstream, since it may be its consequence. Source: docs/ARCHITECTURE.md,
 * tests/traces/v0.3.64/06-validation-errors.jsonl.
 */
#ifndef COMFYPOOL_CORE_VERDICT_H
#define COMFYPOOL_CORE_VERDICT_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/str.h"
#include "comfypool/core/workflow.h"

/* One error of a node; a node may have several. */
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
