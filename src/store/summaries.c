/*
 * Summaries: the roll-ups of one kind, merged by key over the time that was asked for. Runs off the
 * loop. Cost: its roll-ups, one an hour (a day after a week) and key.
 */
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comfypool/base/map.h"
#include "comfypool/core/rollup_age.h"
#include "comfypool/core/rollup_keys.h"
#include "comfypool/store/rollups.h"

#include "async_reads.h"
#include "inner.h"
#include "ops_apply.h"

struct summary_request {
    struct async_read read;
    struct rollup_question question; /* borrows workflow_hash and client */
    int64_t since_hour;
    char workflow_hash[DIGEST_HEX_SIZE]; /* "": all */
    char *client;                        /* NULL: everybody's */
    store_summary_fn done;
    void *ctx;
    struct map by_key;
    struct summary_row *rows;
    size_t len, cap;
};

static struct str column(sqlite3_stmt *q, int at)
{
    const char *p = sqlite3_column_blob(q, at);
    return (struct str){p, p == NULL ? 0 : (size_t)sqlite3_column_bytes(q, at)};
}

static void add_row(struct summary_request *r, struct str key, const struct rollup *data)
{
    const size_t *place = map_get(&r->by_key, key);
    if (place == NULL) {
        if (r->len == r->cap) {
            r->cap = r->cap == 0 ? 16 : r->cap * 2;
            r->rows = mem_grow(r->rows, r->cap * sizeof *r->rows);
        }
        size_t *made = mem_alloc(sizeof *made);
        *made = r->len;
        r->rows[r->len++] = (struct summary_row){.key = mem_copy(key)};
        (void)map_put(&r->by_key, str_of(r->rows[*made].key), made);
        place = made;
    }
    rollup_merge(&r->rows[*place].data, data);
}

static bool run(struct async_read *read, sqlite3 *db, char *why, size_t why_size)
{
    struct summary_request *r = (struct summary_request *)read;
    AUTO_BUF struct buf from;
    AUTO_BUF struct buf to;
    buf_init(&from, BUF_NO_LIMIT);
    buf_init(&to, BUF_NO_LIMIT);
    const bool some = rollup_range_asked(&r->question, &from, &to);
    sqlite3_stmt *q = NULL;
    if (!store_prepare(db,
                       some
                           ? "SELECT key, label, data FROM rollups WHERE kind = ?1 AND start >= ?2 "
                             "AND key >= ?3 AND key < ?4"
                           : "SELECT key, label, data FROM rollups WHERE kind = ?1 AND start >= ?2",
                       &q, why, why_size)) {
        return false;
    }
    (void)sqlite3_bind_int(q, 1, rollup_kind_asked(&r->question));
    (void)sqlite3_bind_int64(q, 2, r->since_hour);
    if (some) {
        write_bind_str(q, 3, buf_str(&from));
        write_bind_str(q, 4, buf_str(&to));
    }
    int rc = SQLITE_ROW;
    while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
        struct rollup data = {.count = 0};
        const struct str key = rollup_key_told(&r->question, column(q, 0), column(q, 1));
        if (key.n > 0 && rollup_read(&data, column(q, 2))) {
            add_row(r, key, &data);
        }
        rollup_done(&data);
    }
    if (rc != SQLITE_DONE) {
        (void)snprintf(why, why_size, "%s", sqlite3_errmsg(db));
    }
    (void)sqlite3_finalize(q);
    return rc == SQLITE_DONE;
}

static void answer(struct async_read *read)
{
    struct summary_request *r = (struct summary_request *)read;
    r->done(r->ctx, read->error, r->rows, read->error == ERR_NONE ? r->len : 0);
    size_t at = 0;
    for (void *place = map_next(&r->by_key, &at); place != NULL;
         place = map_next(&r->by_key, &at)) {
        free(place);
    }
    map_done(&r->by_key);
    for (size_t i = 0; i < r->len; i++) {
        free(r->rows[i].key);
        rollup_done(&r->rows[i].data);
    }
    free(r->rows);
    free(r->client);
}

void store_summarize(struct store *s, enum group_by group, struct wall_us since,
                     const char *workflow_hash, const char *client, store_summary_fn done,
                     void *ctx)
{
    struct summary_request *r = mem_zero(1, sizeof *r);
    r->read.run = run;
    r->read.answer = answer;
    r->since_hour = rollup_hour_of(since).start;
    (void)snprintf(r->workflow_hash, sizeof r->workflow_hash, "%s", workflow_hash);
    r->client = mem_strdup(client);
    r->question = (struct rollup_question){group, r->workflow_hash, r->client};
    r->done = done;
    r->ctx = ctx;
    map_init(&r->by_key);
    async_read_start(s, &r->read);
}
