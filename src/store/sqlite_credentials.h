/* Account keys of active jobs. */
#ifndef COMFYPOOL_SRC_STORE_SQLITE_CREDENTIALS_H
#define COMFYPOOL_SRC_STORE_SQLITE_CREDENTIALS_H

#include <stdbool.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/err.h"
#include "comfypool/base/str.h"

#include "sqlite_ops.h"

struct sqlite3;

/* How a text of keys lies in its row; appends. */
void credentials_pad(struct str keys, struct buf *out);
/* owner: the id of a job or a batch. */
enum write_result credentials_put(struct write_session *w, const char *owner, struct str keys);
enum write_result credentials_delete(struct write_session *w, struct str owner);
/* Writes the log into the database and cuts it off. False: a reader is in the way; later. */
bool credentials_cut_log(struct sqlite3 *db);
/* The SQL functions of the migration: keys_in, without_keys, keys_of. */
bool credentials_functions(struct sqlite3 *db) MUST_CHECK;
/* Some may be in the file of a database of format 6 or older, in rows or between them. Costs a look
   at the whole of it. */
bool credentials_may_lie_about(struct sqlite3 *db);
/* At the start: none is there without its job; what the migration asked for is done. */
void credentials_tidy(struct sqlite3 *db);

#endif
