/* The format on disk and its migrations. */
#ifndef COMFYPOOL_SRC_STORE_SQLITE_SCHEMA_H
#define COMFYPOOL_SRC_STORE_SQLITE_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/err.h"

struct sqlite3;

/* Brings the database to the version of this program. False with a message in why. */
bool schema_migrate(struct sqlite3 *db, char *why, size_t why_size) MUST_CHECK;

#endif
