/* Pages of jobs and of deliveries from SQLite. A page costs its rows, wherever it begins. */
#include <inttypes.h>
#include <sqlite3.h>

#include "comfypool/base/buf.h"
#include "comfypool/store/deliveries.h"
#include "comfypool/store/jobs.h"

#include "columns.h"
#include "engine.h"
#include "sqlite_read.h"
#include "sqlite_rows.h"

/* Runs a list. client: ?1 of the statement, or NULL. */
static enum err list(struct reader *r, struct buf *sql, const char *client,
                     bool (*each)(sqlite3_stmt *q, void *to), void *to)
{
    sqlite3_stmt *q = reader_prepare(r, buf_text(sql));
    if (q != NULL && client != NULL) {
        (void)sqlite3_bind_text(q, 1, client, -1, SQLITE_STATIC);
    }
    return reader_run(q, each, to, NULL);
}

static const char *of_client(const char *client)
{
    return client == NULL ? "" : " AND client = ?1";
}

/* ---- jobs ------------------------------------------------------------------------------------ */

enum { ALL_STATES = (1 << JOB_STATE_COUNT) - 1 };

static void of_batch_sql(const struct job_query *j, struct buf *sql)
{
    buf_printf(sql, "batch_id = '%s'%s AND seq < %" PRId64 " AND state IN (", j->batch_id,
               j->client == NULL ? "" : " AND +client = ?1", j->before_seq);
    for (int i = 0; i < JOB_STATE_COUNT; i++) {
        if ((j->state_mask & (1u << i)) != 0) {
            buf_printf(sql, "%d, ", i);
        }
    }
    buf_add_text(sql, "-1)");
}

static void of_states_sql(const struct job_query *j, struct buf *sql)
{
    bool first = true;
    buf_add_text(sql, "seq IN (");
    for (int i = 0; i < JOB_STATE_COUNT; i++) {
        if ((j->state_mask & (1u << i)) != 0) {
            buf_printf(sql,
                       "%sSELECT seq FROM (SELECT seq FROM jobs WHERE state = %d%s AND seq < "
                       "%" PRId64 " ORDER BY seq DESC LIMIT %u)",
                       first ? "" : " UNION ALL ", i, of_client(j->client), j->before_seq,
                       j->limit);
            first = false;
        }
    }
    buf_add_text(sql, first ? "NULL)" : ")");
}

/* Takes the newest of each state (of a client's) from its range of the index; then the newest of
   all of those. */
static void jobs_sql(const struct job_query *j, struct buf *sql)
{
    buf_add_text(sql, "SELECT ");
    columns_add_light_names(&job_columns, sql);
    buf_add_text(sql, " FROM jobs WHERE ");
    if (j->batch_id[0] != '\0') { /* a canonical UUID; a batch has 10,000 jobs at most */
        of_batch_sql(j, sql);
    } else if ((j->state_mask & ALL_STATES) == ALL_STATES && j->client == NULL) {
        buf_printf(sql, "seq < %" PRId64, j->before_seq);
    } else {
        of_states_sql(j, sql);
    }
    buf_printf(sql, " ORDER BY seq DESC LIMIT %u", j->limit);
}

struct to_job {
    void (*each)(void *ctx, struct job_record *j);
    void *ctx;
};

static bool job_row(sqlite3_stmt *q, void *to)
{
    const struct to_job *t = to;
    struct job_record j = {0};
    (void)row_read(&job_columns, q, 0, &j);
    t->each(t->ctx, &j);
    job_record_done(&j);
    return true;
}

enum err reader_list_jobs(struct reader *r, const struct job_query *q,
                          void (*each)(void *ctx, struct job_record *j), void *ctx)
{
    AUTO_BUF struct buf sql;
    buf_init(&sql, BUF_NO_LIMIT);
    jobs_sql(q, &sql);
    return list(r, &sql, q->client, job_row, &(struct to_job){each, ctx});
}

/* ---- deliveries ------------------------------------------------------------------------------ */

struct to_delivery {
    void (*each)(void *ctx, struct delivery_record *d);
    void *ctx;
};

static bool delivery_row(sqlite3_stmt *q, void *to)
{
    const struct to_delivery *t = to;
    struct delivery_record d = {0};
    (void)row_read(&delivery_columns, q, 0, &d);
    t->each(t->ctx, &d);
    delivery_record_done(&d);
    return true;
}

enum err reader_list_deliveries(struct reader *r, const struct delivery_query *q,
                                void (*each)(void *ctx, struct delivery_record *d), void *ctx)
{
    AUTO_BUF struct buf sql;
    buf_init(&sql, BUF_NO_LIMIT);
    buf_add_text(&sql, "SELECT ");
    columns_add_light_names(&delivery_columns, &sql);
    buf_printf(&sql,
               " FROM deliveries WHERE n + (state <> 0) * %" PRId64 " < %" PRId64
               " AND (%u >> state) & 1%s ORDER BY state <> 0 DESC, n DESC LIMIT %u",
               DELIVERY_TRIED, q->before, q->state_mask, of_client(q->client), q->limit);
    return list(r, &sql, q->client, delivery_row, &(struct to_delivery){each, ctx});
}
