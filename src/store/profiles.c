/*
 * Profiles of many jobs, off the loop: pages for exports, and the runs that a baseline stands on. A
 * page is bounded in rows and in bytes, and read whole before it is answered.
 */
#include "comfypool/store/profiles.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "async_reads.h"
#include "inner.h"

enum { PAGE_ROWS = 64, PAGE_BYTES = 1 << 20, BASELINE_BYTES = 64 << 20 };

struct profiles_request {
    struct async_read read;
    /* The query. */
    bool is_baseline;
    struct profile_query query;
    char workflow_hash[DIGEST_HEX_SIZE];
    char backend[128];
    char *client; /* NULL: of all */
    struct profile_place after;
    char cost_key[WORKFLOW_KEY_SIZE];
    int64_t except_seq;
    unsigned limit;
    store_look_fn look;
    store_profiles_fn done;
    void *ctx;
    /* The answer. Texts are offsets until all are there. */
    struct buf texts;
    struct found {
        int64_t seq;
        struct wall_us completed_at;
        size_t job_id;
        size_t json;
        size_t json_len;
    } * rows;
    size_t len, cap;
    bool more;
};

static void add_row(struct profiles_request *r, sqlite3_stmt *q)
{
    if (r->len == r->cap) {
        r->cap = r->cap == 0 ? 16 : r->cap * 2;
        r->rows = mem_grow(r->rows, r->cap * sizeof *r->rows);
    }
    struct found *f = &r->rows[r->len++];
    f->seq = sqlite3_column_int64(q, 0);
    f->completed_at.us = sqlite3_column_int64(q, 1);
    f->job_id = r->texts.len;
    buf_add_text(&r->texts, (const char *)sqlite3_column_text(q, 2));
    buf_add_char(&r->texts, '\0');
    f->json = r->texts.len;
    f->json_len = (size_t)sqlite3_column_bytes(q, 3);
    buf_add(&r->texts, sqlite3_column_text(q, 3), f->json_len);
    buf_add_char(&r->texts, '\0');
}

/* ---- pages of an export ---------------------------------------------------------------------- */

/* The index on completed_at ends with seq: a page is one stretch of it. */
static void page_sql(const struct profiles_request *r, struct buf *sql)
{
    buf_add_text(sql,
                 "SELECT j.seq, j.completed_at, j.id, p.json FROM jobs j JOIN profiles p "
                 "ON p.seq = j.seq AND p.number = coalesce(nullif(j.result_of, 0), "
                 "j.attempts) WHERE j.state >= 2 AND j.completed_at >= ?1 AND j.completed_at < ?2 "
                 "AND (j.completed_at, j.seq) > (?3, ?4)");
    buf_add_text(sql, r->workflow_hash[0] == '\0' ? "" : " AND j.workflow_hash = ?5");
    buf_add_text(sql, r->backend[0] == '\0' ? "" : " AND j.backend = ?6");
    buf_add_text(sql, r->client == NULL ? "" : " AND j.client = ?7");
    buf_add_text(sql, " ORDER BY j.completed_at, j.seq");
}

static void bind_page(const struct profiles_request *r, sqlite3_stmt *q)
{
    (void)sqlite3_bind_int64(q, 1, r->query.since.us);
    (void)sqlite3_bind_int64(q, 2, r->query.until.us);
    (void)sqlite3_bind_int64(q, 3, r->after.completed_at.us);
    (void)sqlite3_bind_int64(q, 4, r->after.seq);
    (void)sqlite3_bind_text(q, 5, r->workflow_hash, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(q, 6, r->backend, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(q, 7, r->client, -1, SQLITE_STATIC);
}

/* ---- the runs of a baseline ------------------------------------------------------------------ */

/* All keys of a structure begin alike. */
static bool is_prefix(const struct profiles_request *r)
{
    return strlen(r->cost_key) == WORKFLOW_KEY_PREFIX;
}

static void baseline_sql(const struct profiles_request *r, struct buf *sql)
{
    buf_add_text(sql,
                 "SELECT j.seq, j.completed_at, j.id, p.json FROM (SELECT seq, completed_at, "
                 "id, attempts, result_of FROM jobs WHERE state = 2 AND profiled AND executed > 0 "
                 "AND seq != ?3 AND ");
    /* '.' comes behind '-', which is behind the prefix. */
    buf_add_text(sql, is_prefix(r) ? "cost_key > ?1 AND cost_key < ?1 || '.'" : "cost_key = ?1");
    buf_add_text(sql, r->backend[0] == '\0' ? "" : " AND backend = ?2");
    buf_add_text(sql, r->client == NULL ? "" : " AND client = ?5");
    /* A whole structure is sorted: without the profiles. */
    buf_add_text(sql, " ORDER BY completed_at DESC, seq DESC LIMIT ?4) j JOIN profiles p "
                      "ON p.seq = j.seq AND p.number = coalesce(nullif(j.result_of, 0), "
                      "j.attempts) ORDER BY j.completed_at DESC, j.seq DESC");
}

static void bind_baseline(const struct profiles_request *r, sqlite3_stmt *q)
{
    (void)sqlite3_bind_text(q, 1, r->cost_key, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(q, 2, r->backend, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(q, 3, r->except_seq);
    (void)sqlite3_bind_int64(q, 4, r->limit);
    (void)sqlite3_bind_text(q, 5, r->client, -1, SQLITE_STATIC);
}

/* ---- both ------------------------------------------------------------------------------------ */

static bool is_full(const struct profiles_request *r)
{
    return r->is_baseline ? r->len >= r->limit || r->texts.len >= BASELINE_BYTES
                          : r->len >= PAGE_ROWS || r->texts.len >= PAGE_BYTES;
}

/* Owner: the caller; they borrow from r. */
static struct profile_row *rows_of(const struct profiles_request *r)
{
    struct profile_row *rows = mem_alloc((r->len + 1) * sizeof *rows);
    for (size_t i = 0; i < r->len; i++) {
        const struct found *f = &r->rows[i];
        rows[i] = (struct profile_row){
            .seq = f->seq,
            .completed_at = f->completed_at,
            .job_id = r->texts.data + f->job_id,
            .json = {r->texts.data + f->json, f->json_len},
        };
    }
    return rows;
}

static void look_at_rows(const struct profiles_request *r)
{
    AUTO_FREE struct profile_row *rows = rows_of(r);
    r->look(r->ctx, rows, r->len);
}

static bool run(struct async_read *read, sqlite3 *db, char *why, size_t why_size)
{
    struct profiles_request *r = (struct profiles_request *)read;
    AUTO_BUF struct buf sql;
    buf_init(&sql, BUF_NO_LIMIT);
    (r->is_baseline ? baseline_sql : page_sql)(r, &sql);
    sqlite3_stmt *q = NULL;
    if (!store_prepare(db, buf_text(&sql), &q, why, why_size)) {
        return false;
    }
    (r->is_baseline ? bind_baseline : bind_page)(r, q);
    int rc = SQLITE_ROW;
    while (!is_full(r) && (rc = sqlite3_step(q)) == SQLITE_ROW) {
        add_row(r, q);
    }
    r->more = rc == SQLITE_ROW;
    if (rc != SQLITE_DONE && rc != SQLITE_ROW) {
        (void)snprintf(why, why_size, "%s", sqlite3_errmsg(db));
    }
    (void)sqlite3_finalize(q);
    if (rc != SQLITE_DONE && rc != SQLITE_ROW) {
        return false;
    }
    if (r->look != NULL) {
        look_at_rows(r);
    }
    return true;
}

static void answer(struct async_read *read)
{
    struct profiles_request *r = (struct profiles_request *)read;
    struct profile_row *rows = rows_of(r);
    struct profile_place last = r->after;
    if (r->len > 0) {
        last = (struct profile_place){rows[r->len - 1].completed_at, rows[r->len - 1].seq};
    }
    const bool good = read->error == ERR_NONE;
    r->done(r->ctx, read->error, rows, good ? r->len : 0, good && r->more, last);
    free(rows);
    free(r->rows);
    free(r->client);
    buf_done(&r->texts);
}

static struct profiles_request *request_new(store_look_fn look, store_profiles_fn done, void *ctx)
{
    struct profiles_request *r = mem_zero(1, sizeof *r);
    r->read.run = run;
    r->read.answer = answer;
    r->look = look;
    r->done = done;
    r->ctx = ctx;
    buf_init(&r->texts, BUF_NO_LIMIT);
    return r;
}

void store_list_profiles(struct store *s, const struct profile_query *q, struct profile_place after,
                         store_look_fn look, store_profiles_fn done, void *ctx)
{
    struct profiles_request *r = request_new(look, done, ctx);
    r->query = *q;
    r->after = after;
    r->client = mem_strdup(q->client);
    (void)snprintf(r->workflow_hash, sizeof r->workflow_hash, "%s", q->workflow_hash);
    (void)snprintf(r->backend, sizeof r->backend, "%s", q->backend);
    async_read_start(s, &r->read);
}

void store_list_baseline(struct store *s, const struct baseline_query *q, store_look_fn look,
                         store_profiles_fn done, void *ctx)
{
    struct profiles_request *r = request_new(look, done, ctx);
    r->is_baseline = true;
    r->client = mem_strdup(q->client);
    r->except_seq = q->except_seq;
    r->limit = q->limit;
    (void)snprintf(r->cost_key, sizeof r->cost_key, "%s", q->cost_key);
    (void)snprintf(r->backend, sizeof r->backend, "%s", q->backend);
    async_read_start(s, &r->read);
}
