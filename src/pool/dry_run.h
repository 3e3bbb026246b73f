/* What POST /jobs?dryRun says of each backend. */
#ifndef COMFYPOOL_SRC_POOL_DRY_RUN_H
#define COMFYPOOL_SRC_POOL_DRY_RUN_H

#include <stdbool.h>

struct backend;
struct js_out;
struct submission;
struct workflow;

/* The member "problems": what this backend would refuse in the graph w, which was parsed from the
   submission's text; null: its classes are not known. wanted as in core/graph_check.h. */
void dry_run_problems(const struct backend *b, const struct submission *s, const struct workflow *w,
                      const bool *wanted, struct js_out *o);

#endif
