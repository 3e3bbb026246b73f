/*
 * Pages of jobs and of deliveries, newest first. A page costs its rows, whatever lies before it.
 * Both run off the loop.
 */
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "comfypool/store/deliveries.h"
#include "comfypool/store/jobs.h"

#include "async_reads.h"
#include "columns.h"
#include "inner.h"

struct list_request {
    struct async_read read;
    const struct columns *columns;
    void (*write_sql)(const struct list_request *l, struct buf *sql);
    unsigned mask;
    char batch[UUID_SIZE]; /* "": of all */
    char *client;          /* ?1 of the statement; NULL: of all */
    int64_t before;
    unsigned limit;
    store_list_fn done;
    store_deliveries_fn deliveries_done;
    void *ctx;
    /* The answer. */
    char *records; /* len of columns->record_size each */
    size_t len, cap;
};

static void *record_at(const struct list_request *l, size_t i)
{
    return l->records + i * l->columns->record_size;
}

static void add_record(struct list_request *l, sqlite3_stmt *q)
{
    const size_t size = l->columns->record_size;
    if (l->len == l->cap) {
        l->cap = l->cap == 0 ? 32 : l->cap * 2;
        l->records = mem_grow(l->records, l->cap * size);
    }
    memset(record_at(l, l->len), 0, size);
    (void)columns_read(l->columns, q, 0, record_at(l, l->len));
    l->len++;
}

static bool run(struct async_read *read, sqlite3 *db, char *why, size_t why_size)
{
    struct list_request *l = (struct list_request *)read;
    AUTO_BUF struct buf sql;
    buf_init(&sql, BUF_NO_LIMIT);
    l->write_sql(l, &sql);
    sqlite3_stmt *q = NULL;
    if (!store_prepare(db, buf_text(&sql), &q, why, why_size)) {
        return false;
    }
    if (l->client != NULL) {
        (void)sqlite3_bind_text(q, 1, l->client, -1, SQLITE_STATIC);
    }
    int rc = SQLITE_ROW;
    while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
        add_record(l, q);
    }
    if (rc != SQLITE_DONE) {
        (void)snprintf(why, why_size, "%s", sqlite3_errmsg(db));
    }
    (void)sqlite3_finalize(q);
    return rc == SQLITE_DONE;
}

/* ---- jobs ------------------------------------------------------------------------------------ */

enum { ALL_STATES = (1 << JOB_STATE_COUNT) - 1 };

static const char *of_client(const struct list_request *l)
{
    return l->client == NULL ? "" : " AND client = ?1";
}

/* Each state's newest (of a client's) come from its own stretch of the index; then the newest of
   all of those. */
static void jobs_sql(const struct list_request *l, struct buf *sql)
{
    buf_add_text(sql, "SELECT ");
    columns_add_light_names(&job_columns, sql);
    buf_add_text(sql, " FROM jobs WHERE ");
    if (l->batch[0] != '\0') { /* a canonical UUID; a batch has 10,000 jobs at most */
        buf_printf(sql, "batch_id = '%s'%s AND seq < %" PRId64 " AND state IN (", l->batch,
                   l->client == NULL ? "" : " AND +client = ?1", l->before);
        for (int i = 0; i < JOB_STATE_COUNT; i++) {
            buf_printf(sql, (l->mask & (1u << i)) != 0 ? "%d, " : "", i);
        }
        buf_add_text(sql, "-1)");
    } else if ((l->mask & ALL_STATES) == ALL_STATES && l->client == NULL) {
        buf_printf(sql, "seq < %" PRId64, l->before);
    } else {
        buf_add_text(sql, "seq IN (");
        bool first = true;
        for (int i = 0; i < JOB_STATE_COUNT; i++) {
            if ((l->mask & (1u << i)) != 0) {
                buf_printf(sql,
                           "%sSELECT seq FROM (SELECT seq FROM jobs WHERE state = %d%s AND seq < "
                           "%" PRId64 " ORDER BY seq DESC LIMIT %u)",
                           first ? "" : " UNION ALL ", i, of_client(l), l->before, l->limit);
                first = false;
            }
        }
        buf_add_text(sql, first ? "NULL)" : ")");
    }
    buf_printf(sql, " ORDER BY seq DESC LIMIT %u", l->limit);
}

static void answer_jobs(struct async_read *read)
{
    struct list_request *l = (struct list_request *)read;
    struct job_record *jobs = (struct job_record *)(void *)l->records;
    if (read->error == ERR_NONE) {
        l->done(l->ctx, ERR_NONE, jobs, l->len);
    } else {
        l->done(l->ctx, read->error, NULL, 0);
    }
    for (size_t i = 0; i < l->len; i++) {
        job_record_done(&jobs[i]);
    }
    free(l->client);
    free(l->records);
}

static struct list_request *list_new(const struct columns *columns,
                                     void (*write_sql)(const struct list_request *l,
                                                       struct buf *sql),
                                     void (*answer)(struct async_read *r))
{
    struct list_request *l = mem_zero(1, sizeof *l);
    l->read.run = run;
    l->read.answer = answer;
    l->columns = columns;
    l->write_sql = write_sql;
    return l;
}

void store_list(struct store *s, const struct job_query *q, store_list_fn done, void *ctx)
{
    struct list_request *l = list_new(&job_columns, jobs_sql, answer_jobs);
    l->mask = q->state_mask;
    (void)snprintf(l->batch, sizeof l->batch, "%s", q->batch_id);
    l->client = mem_strdup(q->client);
    l->before = q->before_seq <= 0 ? INT64_MAX : q->before_seq;
    l->limit = q->limit;
    l->done = done;
    l->ctx = ctx;
    async_read_start(s, &l->read);
}

/* ---- deliveries ------------------------------------------------------------------------------ */

/* The place of one in the list: this bit is set of those that were tried, the larger comes first.
 */
static const int64_t TRIED = INT64_C(1) << 61;

int64_t store_delivery_cursor(const struct delivery_record *d)
{
    return d->n + (d->state == DELIVERY_PENDING ? 0 : TRIED);
}

static void deliveries_sql(const struct list_request *l, struct buf *sql)
{
    buf_add_text(sql, "SELECT ");
    columns_add_light_names(&delivery_columns, sql);
    buf_printf(sql,
               " FROM deliveries WHERE n + (state <> 0) * %" PRId64 " < %" PRId64
               " AND (%u >> state) & 1%s ORDER BY state <> 0 DESC, n DESC LIMIT %u",
               TRIED, l->before, l->mask, of_client(l), l->limit);
}

static void answer_deliveries(struct async_read *read)
{
    struct list_request *l = (struct list_request *)read;
    struct delivery_record *list = (struct delivery_record *)(void *)l->records;
    if (read->error == ERR_NONE) {
        l->deliveries_done(l->ctx, ERR_NONE, list, l->len);
    } else {
        l->deliveries_done(l->ctx, read->error, NULL, 0);
    }
    for (size_t i = 0; i < l->len; i++) {
        delivery_record_done(&list[i]);
    }
    free(l->client);
    free(l->records);
}

void store_list_deliveries(struct store *s, const char *client, unsigned state_mask, int64_t cursor,
                           unsigned limit, store_deliveries_fn done, void *ctx)
{
    struct list_request *l = list_new(&delivery_columns, deliveries_sql, answer_deliveries);
    l->client = mem_strdup(client);
    l->mask = state_mask;
    l->before = cursor <= 0 ? INT64_MAX : cursor;
    l->limit = limit;
    l->deliveries_done = done;
    l->ctx = ctx;
    async_read_start(s, &l->read);
}
