/* Account keys of active jobs. */
#ifndef COMFYPOOL_SRC_STORE_SQLITE_CREDENTIALS_H
#define COMFYPOOL_SRC_STORE_SQLITE_CREDENTIALS_H

#include <stdbool.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/err.h"
#include "comfypool/base/str.h"

#include "sqlite_ops.h"

struct sqlite3;

/* Appends a text of keys as stored in its row. */
void credentials_pad(struct str keys, struct buf *out);
/* owner: the id of a job or a batch. */
enum write_result credentials_put(struct write_session *w, const char *owner, struct str keys);
enum write_result credentials_delete(struct write_session *w, struct str owner);
/* Writes the log into the database and truncates it. False: a reader is in the way; retry later. */
bool credentials_cut_log(struct sqlite3 *db);
/* Adds the migration's SQL functions: keys_in, without_keys, keys_of. */
bool credentials_functions(struct sqlite3 *db) MUST_CHECK;
/* True if a database of format 6 or older may contain some, in rows or between them. Reads the
   whole file. */
bool credentials_may_lie_about(struct sqlite3 *db);
/* At the start: deletes keys without a job, and does what the migration requested. */
void credentials_tidy(struct sqlite3 *db);

#endif
