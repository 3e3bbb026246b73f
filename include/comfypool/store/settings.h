/* Changes made at run time: backends, and a few named values. */
#ifndef COMFYPOOL_STORE_SETTINGS_H
#define COMFYPOOL_STORE_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "comfypool/base/err.h"
#include "comfypool/store/store.h"

struct store_read;

/* Run-time changes of a backend, by its name; stored as a whole row. */
struct backend_record {
    char *name;
    char *url;             /* with credentials; NULL: the configuration's */
    int64_t weight;        /* -1: the configuration's (or 1) */
    int64_t max_in_flight; /* -1: the configuration's (or 1) */
    char *labels;          /* JSON array; NULL: the configuration's (or none) */
    bool removed;          /* DELETE of a configured one */
    int admin;             /* enum backend_admin of the pool: 0 none, 1 drained, 2 quarantined */
};
void backend_record_done(struct backend_record *r);
void store_put_backend(struct store *s, const struct backend_record *r, store_kept_fn done,
                       void *ctx);
void store_delete_backend(struct store *s, const char *name, store_kept_fn done, void *ctx);

/* Stores one of a few named values, such as "queue.paused". */
void store_put_setting(struct store *s, const char *name, const char *value, store_kept_fn done,
                       void *ctx);

/* Calls `each` for every backend changed at run time. Blocks; at start-up only. The callee takes
   texts by clearing them. */
enum err store_load_backends(struct store *s, void (*each)(void *ctx, struct backend_record *r),
                             void *ctx) MUST_CHECK;

/* Loads a setting; NULL if never stored. Blocks; at start-up only. Owner: the caller. */
enum err store_load_setting(struct store *s, const char *name, char **ret) MUST_CHECK;
/* Like store_load_setting, off the loop; the value lives for the call. */
typedef void (*store_found_setting_fn)(void *ctx, enum err e, const char *value);
void store_find_setting(struct store *s, const char *name, struct store_read *read,
                        store_found_setting_fn done, void *ctx);

#endif
