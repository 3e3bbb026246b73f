/* Records as parameters and columns of SQLite's statements. */
#ifndef COMFYPOOL_SRC_STORE_SQLITE_ROWS_H
#define COMFYPOOL_SRC_STORE_SQLITE_ROWS_H

struct columns;
struct sqlite3_stmt;

enum { COLUMNS_ALL, COLUMNS_CHANGING };

/* Binds a record from parameter `at` on; returns the next free parameter. Texts are not copied. */
int row_bind(const struct columns *c, int which, struct sqlite3_stmt *q, int at,
             const void *record);
/* Reads a record from column `at` on; returns the next column. Owner of the texts: the caller. */
int row_read(const struct columns *c, struct sqlite3_stmt *q, int at, void *record);

#endif
