/* Pages of jobs and of deliveries, newest first. Both are read off the loop. */
#include <stdio.h>
#include <stdlib.h>

#include "comfypool/store/deliveries.h"
#include "comfypool/store/jobs.h"

#include "async_reads.h"
#include "engine.h"
#include "inner.h"

/* ---- jobs ------------------------------------------------------------------------------------ */

struct jobs_request {
    struct async_read read;
    struct job_query query; /* borrows batch */
    char batch[UUID_SIZE];
    char *client;
    store_list_fn done;
    void *ctx;
    /* The answer. */
    struct job_record *jobs;
    size_t len, cap;
};

static void add_job(void *ctx, struct job_record *j)
{
    struct jobs_request *l = ctx;
    if (l->len == l->cap) {
        l->cap = l->cap == 0 ? 32 : l->cap * 2;
        l->jobs = mem_grow(l->jobs, l->cap * sizeof *l->jobs);
    }
    l->jobs[l->len++] = *j;
    *j = (struct job_record){0};
}

static enum err read_jobs(struct async_read *read, const struct engine *e, struct reader *r)
{
    struct jobs_request *l = (struct jobs_request *)read;
    return e->list_jobs(r, &l->query, add_job, l);
}

static void answer_jobs(struct async_read *read)
{
    struct jobs_request *l = (struct jobs_request *)read;
    const bool good = read->error == ERR_NONE;
    l->done(l->ctx, read->error, good ? l->jobs : NULL, good ? l->len : 0);
    for (size_t i = 0; i < l->len; i++) {
        job_record_done(&l->jobs[i]);
    }
    free(l->client);
    free(l->jobs);
}

void store_list(struct store *s, const struct job_query *q, store_list_fn done, void *ctx)
{
    struct jobs_request *l = mem_zero(1, sizeof *l);
    l->read.run = read_jobs;
    l->read.answer = answer_jobs;
    (void)snprintf(l->batch, sizeof l->batch, "%s", q->batch_id);
    l->client = mem_strdup(q->client);
    l->query = *q;
    l->query.batch_id = l->batch;
    l->query.client = l->client;
    l->query.before_seq = q->before_seq <= 0 ? INT64_MAX : q->before_seq;
    l->done = done;
    l->ctx = ctx;
    async_read_start(s, &l->read);
}

/* ---- deliveries ------------------------------------------------------------------------------ */

struct deliveries_request {
    struct async_read read;
    struct delivery_query query;
    char *client;
    store_deliveries_fn done;
    void *ctx;
    /* The answer. */
    struct delivery_record *list;
    size_t len, cap;
};

static void add_delivery(void *ctx, struct delivery_record *d)
{
    struct deliveries_request *l = ctx;
    if (l->len == l->cap) {
        l->cap = l->cap == 0 ? 32 : l->cap * 2;
        l->list = mem_grow(l->list, l->cap * sizeof *l->list);
    }
    l->list[l->len++] = *d;
    *d = (struct delivery_record){0};
}

static enum err read_deliveries(struct async_read *read, const struct engine *e, struct reader *r)
{
    struct deliveries_request *l = (struct deliveries_request *)read;
    return e->list_deliveries(r, &l->query, add_delivery, l);
}

static void answer_deliveries(struct async_read *read)
{
    struct deliveries_request *l = (struct deliveries_request *)read;
    const bool good = read->error == ERR_NONE;
    l->done(l->ctx, read->error, good ? l->list : NULL, good ? l->len : 0);
    for (size_t i = 0; i < l->len; i++) {
        delivery_record_done(&l->list[i]);
    }
    free(l->client);
    free(l->list);
}

int64_t store_delivery_cursor(const struct delivery_record *d)
{
    return d->n + (d->state == DELIVERY_PENDING ? 0 : DELIVERY_TRIED);
}

void store_list_deliveries(struct store *s, const char *client, unsigned state_mask, int64_t cursor,
                           unsigned limit, store_deliveries_fn done, void *ctx)
{
    struct deliveries_request *l = mem_zero(1, sizeof *l);
    l->read.run = read_deliveries;
    l->read.answer = answer_deliveries;
    l->client = mem_strdup(client);
    l->query = (struct delivery_query){
        .client = l->client,
        .state_mask = state_mask,
        .before = cursor <= 0 ? INT64_MAX : cursor,
        .limit = limit,
    };
    l->done = done;
    l->ctx = ctx;
    async_read_start(s, &l->read);
}
