/* Writing of roll-ups: folding measurements, and merging hours into days. */
#ifndef COMFYPOOL_SRC_STORE_SQLITE_FOLD_H
#define COMFYPOOL_SRC_STORE_SQLITE_FOLD_H

#include <stdbool.h>

#include "comfypool/base/time.h"

#include "sqlite_ops.h"

enum write_result apply_fold(struct write_session *w, struct op *op);
/* Does one step of merging hours into days and deleting what is old. */
enum write_result fold_prune(struct write_session *w, struct wall_us now, bool *ret_more);

#endif
