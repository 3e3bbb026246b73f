/* Profiles of many jobs from SQLite: pages for exports, and the runs of a baseline. */
#include <sqlite3.h>
#include <string.h>

#include "comfypool/base/buf.h"
#include "comfypool/core/job.h"
#include "comfypool/store/profiles.h"

#include "sqlite_read.h"

struct to_profile {
    bool (*each)(void *ctx, const struct profile_row *row);
    void *ctx;
};

static bool profile_row(sqlite3_stmt *q, void *to)
{
    const struct to_profile *t = to;
    const struct profile_row row = {
        .seq = sqlite3_column_int64(q, 0),
        .completed_at = {sqlite3_column_int64(q, 1)},
        .job_id = (const char *)sqlite3_column_text(q, 2),
        .json = {(const char *)sqlite3_column_text(q, 3), (size_t)sqlite3_column_bytes(q, 3)},
    };
    return t->each(t->ctx, &row);
}

/* ---- pages of an export ---------------------------------------------------------------------- */

/* The index on completed_at ends with seq: a page is one range of it. */
static void page_sql(const struct profile_query *p, struct buf *sql)
{
    buf_add_text(sql,
                 "SELECT j.seq, j.completed_at, j.id, p.json FROM jobs j JOIN profiles p "
                 "ON p.seq = j.seq AND p.number = coalesce(nullif(j.result_of, 0), "
                 "j.attempts) WHERE j.state >= 2 AND j.completed_at >= ?1 AND j.completed_at < ?2 "
                 "AND (j.completed_at, j.seq) > (?3, ?4)");
    buf_add_text(sql, p->workflow_hash[0] == '\0' ? "" : " AND j.workflow_hash = ?5");
    buf_add_text(sql, p->backend[0] == '\0' ? "" : " AND j.backend = ?6");
    buf_add_text(sql, p->client == NULL ? "" : " AND j.client = ?7");
    buf_add_text(sql, " ORDER BY j.completed_at, j.seq");
}

enum err reader_list_profiles(struct reader *r, const struct profile_query *p,
                              struct profile_place after,
                              bool (*each)(void *ctx, const struct profile_row *row), void *ctx,
                              bool *ret_more)
{
    AUTO_BUF struct buf sql;
    buf_init(&sql, BUF_NO_LIMIT);
    page_sql(p, &sql);
    sqlite3_stmt *q = reader_prepare(r, buf_text(&sql));
    if (q != NULL) {
        (void)sqlite3_bind_int64(q, 1, p->since.us);
        (void)sqlite3_bind_int64(q, 2, p->until.us);
        (void)sqlite3_bind_int64(q, 3, after.completed_at.us);
        (void)sqlite3_bind_int64(q, 4, after.seq);
        (void)sqlite3_bind_text(q, 5, p->workflow_hash, -1, SQLITE_STATIC);
        (void)sqlite3_bind_text(q, 6, p->backend, -1, SQLITE_STATIC);
        (void)sqlite3_bind_text(q, 7, p->client, -1, SQLITE_STATIC);
    }
    return reader_run(q, profile_row, &(struct to_profile){each, ctx}, ret_more);
}

/* ---- the runs of a baseline ------------------------------------------------------------------ */

/* True for a structure alone: the prefix of all its keys. */
static bool is_prefix(const char *cost_key)
{
    return strlen(cost_key) == WORKFLOW_KEY_PREFIX;
}

static void baseline_sql(const struct baseline_query *b, struct buf *sql)
{
    buf_add_text(sql,
                 "SELECT j.seq, j.completed_at, j.id, p.json FROM (SELECT seq, completed_at, "
                 "id, attempts, result_of FROM jobs WHERE state = 2 AND profiled AND executed > 0 "
                 "AND seq != ?3 AND ");
    /* '.' follows '-', which follows the prefix. */
    buf_add_text(sql, is_prefix(b->cost_key) ? "cost_key > ?1 AND cost_key < ?1 || '.'"
                                             : "cost_key = ?1");
    buf_add_text(sql, b->backend[0] == '\0' ? "" : " AND backend = ?2");
    buf_add_text(sql, b->client == NULL ? "" : " AND client = ?5");
    /* Sorts a whole structure, without the profiles. */
    buf_add_text(sql, " ORDER BY completed_at DESC, seq DESC LIMIT ?4) j JOIN profiles p "
                      "ON p.seq = j.seq AND p.number = coalesce(nullif(j.result_of, 0), "
                      "j.attempts) ORDER BY j.completed_at DESC, j.seq DESC");
}

enum err reader_list_baseline(struct reader *r, const struct baseline_query *b,
                              bool (*each)(void *ctx, const struct profile_row *row), void *ctx,
                              bool *ret_more)
{
    AUTO_BUF struct buf sql;
    buf_init(&sql, BUF_NO_LIMIT);
    baseline_sql(b, &sql);
    sqlite3_stmt *q = reader_prepare(r, buf_text(&sql));
    if (q != NULL) {
        (void)sqlite3_bind_text(q, 1, b->cost_key, -1, SQLITE_STATIC);
        (void)sqlite3_bind_text(q, 2, b->backend, -1, SQLITE_STATIC);
        (void)sqlite3_bind_int64(q, 3, b->except_seq);
        (void)sqlite3_bind_int64(q, 4, b->limit);
        (void)sqlite3_bind_text(q, 5, b->client, -1, SQLITE_STATIC);
    }
    return reader_run(q, profile_row, &(struct to_profile){each, ctx}, ret_more);
}
