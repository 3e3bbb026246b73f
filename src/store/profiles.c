/*
 * Profiles of many jobs, off the loop: pages for exports, and the runs of a baseline. A page is
 * bounded in rows and in bytes, and read whole before it is answered.
 */
#include "comfypool/store/profiles.h"

#include <stdio.h>
#include <stdlib.h>

#include "async_reads.h"
#include "engine.h"
#include "inner.h"

enum { PAGE_ROWS = 64, PAGE_BYTES = 1 << 20, BASELINE_BYTES = 64 << 20 };

struct profiles_request {
    struct async_read read;
    /* The query. */
    bool is_baseline;
    struct profile_query query; /* these two borrow the following */
    struct baseline_query baseline;
    char workflow_hash[DIGEST_HEX_SIZE];
    char cost_key[WORKFLOW_KEY_SIZE];
    char backend[128];
    char *client;
    struct profile_place after;
    store_look_fn look;
    store_profiles_fn done;
    void *ctx;
    /* The answer. Texts are offsets until complete. */
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

static bool is_full(const struct profiles_request *r)
{
    return r->is_baseline ? r->len >= r->baseline.limit || r->texts.len >= BASELINE_BYTES
                          : r->len >= PAGE_ROWS || r->texts.len >= PAGE_BYTES;
}

static bool add_row(void *ctx, const struct profile_row *row)
{
    struct profiles_request *r = ctx;
    if (r->len == r->cap) {
        r->cap = r->cap == 0 ? 16 : r->cap * 2;
        r->rows = mem_grow(r->rows, r->cap * sizeof *r->rows);
    }
    struct found *f = &r->rows[r->len++];
    f->seq = row->seq;
    f->completed_at = row->completed_at;
    f->job_id = r->texts.len;
    buf_add_text(&r->texts, row->job_id);
    buf_add_char(&r->texts, '\0');
    f->json = r->texts.len;
    f->json_len = row->json.n;
    buf_add_str(&r->texts, row->json);
    buf_add_char(&r->texts, '\0');
    return !is_full(r);
}

/* Makes rows that borrow from r. Owner: the caller. */
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

static enum err run(struct async_read *read, const struct engine *e, struct reader *reader)
{
    struct profiles_request *r = (struct profiles_request *)read;
    const enum err found =
        r->is_baseline ? e->list_baseline(reader, &r->baseline, add_row, r, &r->more)
                       : e->list_profiles(reader, &r->query, r->after, add_row, r, &r->more);
    if (found == ERR_NONE && r->look != NULL) {
        look_at_rows(r);
    }
    return found;
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
    r->after = after;
    r->client = mem_strdup(q->client);
    (void)snprintf(r->workflow_hash, sizeof r->workflow_hash, "%s", q->workflow_hash);
    (void)snprintf(r->backend, sizeof r->backend, "%s", q->backend);
    r->query = (struct profile_query){q->since, q->until, r->workflow_hash, r->backend, r->client};
    async_read_start(s, &r->read);
}

void store_list_baseline(struct store *s, const struct baseline_query *q, store_look_fn look,
                         store_profiles_fn done, void *ctx)
{
    struct profiles_request *r = request_new(look, done, ctx);
    r->is_baseline = true;
    r->client = mem_strdup(q->client);
    (void)snprintf(r->cost_key, sizeof r->cost_key, "%s", q->cost_key);
    (void)snprintf(r->backend, sizeof r->backend, "%s", q->backend);
    r->baseline =
        (struct baseline_query){r->cost_key, r->backend, q->except_seq, q->limit, r->client};
    async_read_start(s, &r->read);
}
