#!/bin/sh
# SQLite: PRAGMA secure_delete does not overwrite every copy of what is deleted.
#
# "When secure_delete is on, SQLite overwrites deleted content with zeros." It overwrites the row that
# the DELETE finds. But when a tree is balanced, rows are copied to other pages, and the page that they
# came from may keep their bytes in the gap between its cells and its list of cells, where nothing
# refers to them any more. With secure_delete on from the beginning a copy is left now and then; with
# it on only for the DELETEs there are thousands, from the INSERTs before. What lies on overflow pages
# is never copied by balancing: a text whose first 4,096 bytes are of no account leaves nothing.
#
# Seen with SQLite 3.40.1 (Debian 12: libsqlite3-0 3.40.1-2+deb12u2), x86-64: half of 600 rows deleted,
# 8 copies left with it on, 419 with it on for the DELETEs, 0 with blanks in front. Needs gcc and
# libsqlite3-dev. Exits 0 while it is so, 1 when nothing is left, 2 when it could not be tried.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir"
cat >try.c <<'C'
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 600 };

static void run(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        printf("%s: %s\n", sql, sqlite3_errmsg(db));
        exit(2);
    }
}

/* How often the word of the deleted rows is in the file. */
static int left_over(const char *at_inserts, const char *pad)
{
    static char all[64 << 20];
    char sql[512];
    sqlite3 *db = NULL;
    remove("try.db");
    sqlite3_open("try.db", &db);
    run(db, at_inserts);
    run(db, "CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT)");
    for (int i = 0; i < ROWS; i++) { /* between those that are there: pages are split */
        const int k = i * 7 % ROWS;
        const char *word = k % 2 == 0 ? "goes-away-" : "stays-here-";
        snprintf(sql, sizeof sql,
                 "INSERT INTO t VALUES (%d, %s || replace(hex(zeroblob(%d)), '00', '%s'))", k, pad,
                 i % 7 == 0 ? 500 : i % 3 + 1, word);
        run(db, sql);
    }
    run(db, "PRAGMA secure_delete = ON");
    run(db, "DELETE FROM t WHERE k % 2 = 0");
    sqlite3_close(db);
    FILE *f = fopen("try.db", "rb");
    const size_t n = fread(all, 1, sizeof all, f);
    fclose(f);
    int found = 0;
    for (size_t i = 0; i + 10 <= n; i++) {
        found += memcmp(all + i, "goes-away-", 10) == 0;
    }
    return found;
}

int main(void)
{
    const int on = left_over("PRAGMA secure_delete = ON", "''");
    const int late = left_over("PRAGMA secure_delete = OFF", "''");
    const int blanks = left_over("PRAGMA secure_delete = OFF", "replace(hex(zeroblob(4096)), '00', ' ')");
    printf("SQLite %s: copies left with secure_delete on: %d, on for the DELETEs: %d, and with "
           "4096 blanks in front: %d\n", sqlite3_libversion(), on, late, blanks);
    return late > 0 ? 0 : 1;
}
C
gcc -O1 -o try try.c -lsqlite3 || exit 2
./try
