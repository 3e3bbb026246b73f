/* Roll-ups as they are written: folding measurements, and making days of hours. */
#ifndef COMFYPOOL_SRC_STORE_SQLITE_FOLD_H
#define COMFYPOOL_SRC_STORE_SQLITE_FOLD_H

#include <stdbool.h>

#include "comfypool/base/time.h"

#include "sqlite_ops.h"

enum write_result apply_fold(struct write_session *w, struct op *op);
/* One step of making days of hours, and of forgetting what is old. */
enum write_result fold_prune(struct write_session *w, struct wall_us now, bool *ret_more);

#endif
