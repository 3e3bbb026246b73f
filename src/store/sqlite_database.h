/* The SQLite database: its file and its connections. */
#ifndef COMFYPOOL_SRC_STORE_SQLITE_DATABASE_H
#define COMFYPOOL_SRC_STORE_SQLITE_DATABASE_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/err.h"

struct sqlite3;
struct sqlite3_stmt;
struct store;

/* ---- sqlite_file.c ------------------------------------------------------------------------- */

/* Finds its file, or makes it. False with a message for people: lost, or cannot be made. */
bool database_find(struct store *s, char *why, size_t why_size) MUST_CHECK;
/* Writes the marker: its first commit is durable. */
void database_mark(const struct store *s);
/* True if its file still has its name. Any thread. */
bool database_is_there(const struct store *s);

/* ---- sqlite_database.c
 * ------------------------------------------------------------------------------ */

enum { DATABASE_BUSY_MS = 2000 };
/* Connects with the common options. cache_kib bounds its page cache. */
bool database_connect(const struct store *s, bool writes, int cache_kib, struct sqlite3 **ret,
                      char *why, size_t why_size) MUST_CHECK;
/* Checks the database: its encoding, and its pages after an unclean end. False with a message when
   damaged. Before the first write. */
bool database_check(const struct store *s, struct sqlite3 *db, char *why,
                    size_t why_size) MUST_CHECK;
/* Prepares a statement that lives as long as its connection. */
bool database_prepare(struct sqlite3 *db, const char *sql, struct sqlite3_stmt **ret, char *why,
                      size_t why_size) MUST_CHECK;
/* Turns SQLite's message into one for people: what to do about a damaged database. */
void database_explain(char *why, size_t why_size);

#endif
