/* Records as parameters and columns of SQLite's statements, by the tables of columns.c. */
#include "sqlite_rows.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "comfypool/base/err.h"
#include "comfypool/base/str.h"

#include "columns.h"

static void bind_text(sqlite3_stmt *q, int at, const char *text)
{
    (void)sqlite3_bind_text(q, at, text, -1, SQLITE_STATIC); /* NULL binds NULL */
}

static void bind_one(const struct column *c, sqlite3_stmt *q, int at, const char *field)
{
    switch (c->kind) {
    case COLUMN_INT: {
        int value;
        memcpy(&value, field, sizeof value);
        (void)sqlite3_bind_int(q, at, value);
        break;
    }
    case COLUMN_ROWID:
    case COLUMN_INT64: {
        int64_t value;
        memcpy(&value, field, sizeof value);
        if (c->kind == COLUMN_INT64 || value != 0) { /* NULL: SQLite chooses */
            (void)sqlite3_bind_int64(q, at, value);
        }
        break;
    }
    case COLUMN_BOOL:
        (void)sqlite3_bind_int(q, at, *(const bool *)(const void *)field ? 1 : 0);
        break;
    case COLUMN_TEXT:
        bind_text(q, at, *(char *const *)(const void *)field);
        break;
    case COLUMN_FIXED:
        bind_text(q, at, *field == '\0' ? NULL : field);
        break;
    case COLUMN_CODE: {
        const enum err e = *(const enum err *)(const void *)field;
        bind_text(q, at, e == ERR_NONE ? NULL : err_code(e));
        break;
    }
    }
}

int row_bind(const struct columns *c, int which, sqlite3_stmt *q, int at, const void *record)
{
    for (size_t i = 0; i < c->len; i++) {
        if (which == COLUMNS_ALL || !c->list[i].constant) {
            bind_one(&c->list[i], q, at, (const char *)record + c->list[i].offset);
            at++;
        }
    }
    return at;
}

static struct str text_of(sqlite3_stmt *q, int at)
{
    const char *p = (const char *)sqlite3_column_text(q, at);
    return (struct str){p, p == NULL ? 0 : (size_t)sqlite3_column_bytes(q, at)};
}

static void read_one(const struct column *c, sqlite3_stmt *q, int at, char *field)
{
    switch (c->kind) {
    case COLUMN_INT: {
        int value = sqlite3_column_int(q, at);
        value = c->most > 0 && (value < 0 || value > c->most) ? c->odd : value;
        memcpy(field, &value, sizeof value);
        break;
    }
    case COLUMN_ROWID:
    case COLUMN_INT64: {
        const int64_t value = sqlite3_column_int64(q, at);
        memcpy(field, &value, sizeof value);
        break;
    }
    case COLUMN_BOOL:
        *(bool *)(void *)field = sqlite3_column_int(q, at) != 0;
        break;
    case COLUMN_TEXT: {
        const struct str s = text_of(q, at);
        *(char **)(void *)field = s.p == NULL ? NULL : mem_copy(s);
        break;
    }
    case COLUMN_FIXED: {
        const struct str s = text_of(q, at);
        const size_t n = s.n < c->size ? s.n : c->size - 1;
        memset(field, 0, c->size);
        if (n > 0) {
            memcpy(field, s.p, n);
        }
        break;
    }
    case COLUMN_CODE:
        *(enum err *)(void *)field = err_from_code(text_of(q, at));
        break;
    }
}

int row_read(const struct columns *c, sqlite3_stmt *q, int at, void *record)
{
    for (size_t i = 0; i < c->len; i++) {
        read_one(&c->list[i], q, at, (char *)record + c->list[i].offset);
        at++;
    }
    return at;
}
