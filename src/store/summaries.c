/*
 * Summaries: the roll-ups of one kind, merged by key over the requested time. Runs off the loop.
 * Cost: its roll-ups, one an hour (a day after a week) and key.
 */
#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/map.h"
#include "comfypool/core/rollup_age.h"
#include "comfypool/core/rollup_keys.h"
#include "comfypool/store/rollups.h"

#include "async_reads.h"
#include "engine.h"
#include "inner.h"

struct summary_request {
    struct async_read read;
    struct rollup_question question; /* borrows workflow_hash and client */
    int64_t since_hour;
    char workflow_hash[DIGEST_HEX_SIZE]; /* "": all */
    char *client;                        /* NULL: all */
    store_summary_fn done;
    void *ctx;
    struct map by_key;
    struct summary_row *rows;
    size_t len, cap;
};

static void merge(struct summary_request *r, struct str key, const struct rollup *data)
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

static void add_rollup(void *ctx, const struct rollup_row *row)
{
    struct summary_request *r = ctx;
    struct rollup data = {.count = 0};
    const struct str key = rollup_key_told(&r->question, row->key, row->label);
    if (key.n > 0 && rollup_read(&data, row->data)) {
        merge(r, key, &data);
    }
    rollup_done(&data);
}

static enum err run(struct async_read *read, const struct engine *e, struct reader *reader)
{
    struct summary_request *r = (struct summary_request *)read;
    AUTO_BUF struct buf from;
    AUTO_BUF struct buf to;
    buf_init(&from, BUF_NO_LIMIT);
    buf_init(&to, BUF_NO_LIMIT);
    struct rollup_query q = {.kind = rollup_kind_asked(&r->question), .since_hour = r->since_hour};
    q.some = rollup_range_asked(&r->question, &from, &to);
    q.from = buf_str(&from);
    q.to = buf_str(&to);
    return e->rollups(reader, &q, add_rollup, r);
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
