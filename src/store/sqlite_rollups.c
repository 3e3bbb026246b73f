/* Roll-ups of one kind from SQLite. Cost: the selected ones, one an hour and key. */
#include <sqlite3.h>

#include "engine.h"
#include "sqlite_ops.h"
#include "sqlite_read.h"

struct to_rollup {
    void (*each)(void *ctx, const struct rollup_row *row);
    void *ctx;
};

static struct str column(sqlite3_stmt *q, int at)
{
    const char *p = sqlite3_column_blob(q, at);
    return (struct str){p, p == NULL ? 0 : (size_t)sqlite3_column_bytes(q, at)};
}

static bool rollup_row(sqlite3_stmt *q, void *to)
{
    const struct to_rollup *t = to;
    const struct rollup_row row = {column(q, 0), column(q, 1), column(q, 2)};
    t->each(t->ctx, &row);
    return true;
}

enum err reader_rollups(struct reader *r, const struct rollup_query *asked,
                        void (*each)(void *ctx, const struct rollup_row *row), void *ctx)
{
    sqlite3_stmt *q = reader_prepare(
        r, asked->some ? "SELECT key, label, data FROM rollups WHERE kind = ?1 AND start >= ?2 "
                         "AND key >= ?3 AND key < ?4"
                       : "SELECT key, label, data FROM rollups WHERE kind = ?1 AND start >= ?2");
    if (q != NULL) {
        (void)sqlite3_bind_int(q, 1, asked->kind);
        (void)sqlite3_bind_int64(q, 2, asked->since_hour);
    }
    if (q != NULL && asked->some) {
        write_bind_str(q, 3, asked->from);
        write_bind_str(q, 4, asked->to);
    }
    return reader_run(q, rollup_row, &(struct to_rollup){each, ctx}, NULL);
}
