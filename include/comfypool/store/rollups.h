/* Roll-ups: statistics of many runs by class, node, workflow or backend. */
#ifndef COMFYPOOL_STORE_ROLLUPS_H
#define COMFYPOOL_STORE_ROLLUPS_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/err.h"
#include "comfypool/base/time.h"
#include "comfypool/core/rollup.h"

struct store;

/*
 * Folds waiting measurements into the roll-ups: some hundred at a time; more of the callback: there
 * are others. Each counts exactly once. Keys are bounded, see core/rollup_keys.h.
 */
typedef void (*store_folded_fn)(void *ctx, bool more);
void store_fold(struct store *s, store_folded_fn done, void *ctx);

/* One key of a summary, merged over the requested time. */
struct summary_row {
    char *key;
    struct rollup data;
};
/*
 * Summarizes roll-ups of one kind from `since` on, by key; of one workflow only when a hash is
 * given ("": all), and of one client's runs only when one is given (NULL: all). *ret_since of the
 * callback: where the first of them begins, at or before `since`. Runs off the loop; rows lives for
 * the call.
 */
typedef void (*store_summary_fn)(void *ctx, enum err e, const struct summary_row *rows, size_t n);
void store_summarize(struct store *s, enum group_by group, struct wall_us since,
                     const char *workflow_hash, const char *client, store_summary_fn done,
                     void *ctx);

#endif
