/*
 * Roll-ups on disk: each end of a job leaves a measurement in its own transaction, which costs one
 * small row; a fold puts some dozens of them into the roll-ups of their hours and keys, and deletes
 * them in the same transaction. So a kill counts nothing twice and loses nothing. core/rollup_*.h
 * has the rules for keys, their limits, and ageing; here is the SQL. Called by the writer.
 */
#include "sqlite_fold.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "comfypool/core/rollup.h"
#include "comfypool/core/rollup_age.h"
#include "comfypool/core/rollup_keys.h"
#include "comfypool/core/rollup_piles.h"

enum { HOURS_STEP = 200, DEAD_DAYS = 7 };

static const int64_t DAY_US = INT64_C(24) * 3600 * 1000000;

/* ---- one roll-up ----------------------------------------------------------------------------- */

struct place {
    int kind;
    struct str key;
    struct rollup_span span;
};

static void bind_place(sqlite3_stmt *q, const struct place *at)
{
    (void)sqlite3_bind_int(q, 1, at->kind);
    write_bind_str(q, 2, at->key);
    (void)sqlite3_bind_int64(q, 3, at->span.start);
    (void)sqlite3_bind_int(q, 4, at->span.hours);
}

static struct str blob_at(sqlite3_stmt *q, int at)
{
    const char *p = sqlite3_column_blob(q, at);
    return (struct str){p, p == NULL ? 0 : (size_t)sqlite3_column_bytes(q, at)};
}

/* Merges data into the stored roll-up. */
static enum write_result merge_into(struct write_session *w, const struct place *at,
                                    struct str label, const struct rollup *data)
{
    struct rollup sum = {.count = 0};
    sqlite3_stmt *q = w->q[Q_GET_ROLLUP];
    bind_place(q, at);
    const int rc = sqlite3_step(q);
    if (rc == SQLITE_ROW && !rollup_read(&sum, blob_at(q, 0))) {
        rollup_done(&sum); /* of a future version, or damaged: starts over */
    }
    enum write_result r = write_finish(q, rc);
    rollup_merge(&sum, data);
    AUTO_BUF struct buf bytes;
    buf_init(&bytes, BUF_NO_LIMIT);
    rollup_write(&sum, &bytes);
    rollup_done(&sum);
    if (r == WRITE_GOOD) {
        q = w->q[Q_PUT_ROLLUP];
        bind_place(q, at);
        if (label.n > 0) {
            write_bind_str(q, 5, label);
        }
        (void)sqlite3_bind_blob64(q, 6, bytes.data, bytes.len, SQLITE_STATIC);
        r = write_step(q);
    }
    return r;
}

/* ---- keys ------------------------------------------------------------------------------------ */

static void bind_range(sqlite3_stmt *q, const struct key_range *range)
{
    (void)sqlite3_bind_int(q, 1, range->kind);
    write_bind_str(q, 2, range->from);
    write_bind_str(q, 3, range->to);
}

struct old_rollup {
    struct rollup_span span;
    struct rollup data;
};

/* Stored roll-ups of a range of keys, by time. */
struct old_rollups {
    struct old_rollup *list;
    size_t len;
};

static void add_old(struct old_rollups *all, sqlite3_stmt *q)
{
    struct rollup data = {.count = 0};
    const struct rollup_span span = {sqlite3_column_int64(q, 0), sqlite3_column_int(q, 1)};
    if (!rollup_read(&data, blob_at(q, 2))) {
        rollup_done(&data);
        return;
    }
    for (size_t i = 0; i < all->len; i++) {
        const struct rollup_span *other = &all->list[i].span;
        if (other->start == span.start && other->hours == span.hours) {
            rollup_merge(&all->list[i].data, &data);
            rollup_done(&data);
            return;
        }
    }
    all->list = mem_grow(all->list, (all->len + 1) * sizeof *all->list);
    all->list[all->len++] = (struct old_rollup){span, data};
}

/* Merges all keys of the range into "other", or deletes them. */
static enum write_result retire(struct write_session *w, const struct key_range *range)
{
    struct old_rollups all = {.len = 0};
    enum write_result r = WRITE_GOOD;
    if (rollup_has_other(range->kind)) {
        sqlite3_stmt *q = w->q[Q_ROLLUPS_OF_KEYS];
        bind_range(q, range);
        int rc = SQLITE_ROW;
        while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
            add_old(&all, q);
        }
        r = write_finish(q, rc);
    }
    for (size_t i = 0; i < all.len; i++) {
        const struct place at = {range->kind, STR(ROLLUP_OTHER), all.list[i].span};
        r = r == WRITE_GOOD ? merge_into(w, &at, (struct str){NULL, 0}, &all.list[i].data) : r;
        rollup_done(&all.list[i].data);
    }
    free(all.list);
    static const enum write_statement deletes[] = {Q_DELETE_ROLLUPS_OF_KEYS, Q_DELETE_KEYS};
    for (size_t i = 0; i < 2 && r == WRITE_GOOD; i++) {
        bind_range(w->q[deletes[i]], range);
        r = write_step(w->q[deletes[i]]);
    }
    return r;
}

static enum write_result retire_oldest(struct write_session *w, int kind)
{
    AUTO_BUF struct buf key;
    AUTO_BUF struct buf texts;
    buf_init(&key, BUF_NO_LIMIT);
    buf_init(&texts, BUF_NO_LIMIT);
    sqlite3_stmt *q = w->q[Q_OLDEST_KEY];
    (void)sqlite3_bind_int(q, 1, kind);
    const int rc = sqlite3_step(q);
    if (rc == SQLITE_ROW) {
        buf_add_str(&key, blob_at(q, 0));
    }
    enum write_result r = write_finish(q, rc);
    if (r != WRITE_GOOD || rc != SQLITE_ROW) {
        return r;
    }
    struct key_range range = rollup_range_of_key(kind, buf_str(&key), &texts);
    r = retire(w, &range);
    if (r == WRITE_GOOD && rollup_group(kind) == GROUP_WORKFLOW) {
        buf_clear(&texts);
        const int nodes = rollup_kind_beside(kind, GROUP_NODE);
        range = rollup_range_of_nodes(nodes, buf_str(&key), &texts);
        r = retire(w, &range);
    }
    return r;
}

static enum write_result count_keys(struct write_session *w, const struct key_range *range,
                                    int64_t *ret)
{
    sqlite3_stmt *q = w->q[Q_COUNT_KEYS];
    bind_range(q, range);
    const int rc = sqlite3_step(q);
    *ret = rc == SQLITE_ROW ? sqlite3_column_int64(q, 0) : 0;
    return write_finish(q, rc);
}

/* Notes that the key was seen now; false: it is new. */
static enum write_result touch(struct write_session *w, int kind, struct str key, struct wall_us at,
                               bool *ret_known)
{
    sqlite3_stmt *q = w->q[Q_TOUCH_KEY];
    (void)sqlite3_bind_int64(q, 1, at.us);
    (void)sqlite3_bind_int(q, 2, kind);
    write_bind_str(q, 3, key);
    const enum write_result r = write_step(q);
    *ret_known = sqlite3_changes(w->db) > 0;
    return r;
}

static enum write_result put_key(struct write_session *w, int kind, struct str key,
                                 struct wall_us at)
{
    sqlite3_stmt *q = w->q[Q_PUT_KEY];
    (void)sqlite3_bind_int(q, 1, kind);
    write_bind_str(q, 2, key);
    (void)sqlite3_bind_int64(q, 3, at.us);
    return write_step(q);
}

/* Admits a new node of a workflow under its own key, or under the workflow's "other". */
static enum write_result admit_node(struct write_session *w, int kind, struct str *key,
                                    struct buf *texts)
{
    const struct str workflow = rollup_workflow_of_node(*key);
    const struct key_range range = rollup_range_of_nodes(kind, workflow, texts);
    int64_t n = 0;
    const enum write_result r = count_keys(w, &range, &n);
    if (r == WRITE_GOOD && n >= ROLLUP_MOST_NODES) {
        const size_t start = texts->len;
        rollup_add_other_node(workflow, texts);
        *key = (struct str){texts->data + start, texts->len - start};
    }
    return r;
}

/* Numbers of keys by kind, as counted in this transaction. */
struct key_counts {
    bool known[ROLLUP_KIND_COUNT];
    int64_t n[ROLLUP_KIND_COUNT];
};

/* Makes room for a new key of the other kinds. Counting costs all keys: once a transaction. */
static enum write_result admit(struct write_session *w, int kind, struct key_counts *counts)
{
    const struct key_range all = rollup_range_of_kind(kind);
    int64_t *n = &counts->n[kind];
    enum write_result r = counts->known[kind] ? WRITE_GOOD : count_keys(w, &all, n);
    counts->known[kind] = true;
    if (r == WRITE_GOOD && *n >= rollup_most_keys(kind)) {
        r = retire_oldest(w, kind);
        --*n;
    }
    ++*n;
    return r;
}

/* Replaces *key by the key that counts; *texts holds what is made for it. */
static enum write_result settle_key(struct write_session *w, int kind, struct str *key,
                                    struct wall_us at, struct key_counts *counts, struct buf *texts)
{
    bool known = false;
    enum write_result r = touch(w, kind, *key, at, &known);
    if (r != WRITE_GOOD || known) {
        return r;
    }
    r = rollup_group(kind) == GROUP_NODE ? admit_node(w, kind, key, texts) : admit(w, kind, counts);
    return r == WRITE_GOOD ? put_key(w, kind, *key, at) : r;
}

/* ---- folding --------------------------------------------------------------------------------- */

static enum write_result write_pile(struct write_session *w, const struct pile *p,
                                    struct key_counts *counts)
{
    AUTO_BUF struct buf texts;
    buf_init(&texts, BUF_NO_LIMIT);
    struct str key = pile_key(p);
    const enum write_result r = settle_key(w, p->kind, &key, p->last, counts, &texts);
    const struct place at = {p->kind, key, p->span};
    return r == WRITE_GOOD ? merge_into(w, &at, str_of(p->label), &p->data) : r;
}

static enum write_result write_piles(struct write_session *w, const struct piles *piles)
{
    struct key_counts counts = {.known = {false}};
    enum write_result r = WRITE_GOOD;
    size_t at = 0;
    for (const struct pile *p = map_next(&piles->by_id, &at); p != NULL && r == WRITE_GOOD;
         p = map_next(&piles->by_id, &at)) {
        r = write_pile(w, p, &counts);
    }
    return r;
}

enum write_result apply_fold(struct write_session *w, struct op *op)
{
    struct piles piles;
    piles_init(&piles);
    sqlite3_stmt *q = w->q[Q_MEASUREMENTS];
    (void)sqlite3_bind_int(q, 1, ROLLUP_FOLD_AT_ONCE);
    int64_t last = 0;
    int n = 0;
    int rc = SQLITE_ROW;
    for (; !piles_are_enough(&piles) && (rc = sqlite3_step(q)) == SQLITE_ROW; n++) {
        last = sqlite3_column_int64(q, 0);
        piles_add(&piles, blob_at(q, 1));
    }
    enum write_result r = write_finish(q, rc);
    const enum write_result written = write_piles(w, &piles);
    piles_done(&piles);
    r = r == WRITE_GOOD ? written : r;
    if (r == WRITE_GOOD && n > 0) {
        q = w->q[Q_DELETE_MEASUREMENTS];
        (void)sqlite3_bind_int64(q, 1, last);
        r = write_step(q);
    }
    op->more = n == ROLLUP_FOLD_AT_ONCE || rc == SQLITE_ROW;
    return r;
}

/* ---- age ------------------------------------------------------------------------------------- */

struct old_hour {
    struct place at;
    char *key;
    char *label;
    struct rollup data;
};

static size_t read_old_hours(struct write_session *w, int64_t before, struct old_hour *list,
                             enum write_result *ret)
{
    sqlite3_stmt *q = w->q[Q_OLD_HOURS];
    (void)sqlite3_bind_int64(q, 1, before);
    (void)sqlite3_bind_int(q, 2, HOURS_STEP);
    size_t n = 0;
    int rc = SQLITE_ROW;
    while ((rc = sqlite3_step(q)) == SQLITE_ROW && n < HOURS_STEP) {
        struct old_hour *h = &list[n++];
        *h = (struct old_hour){.key = mem_copy(blob_at(q, 1))};
        h->at = (struct place){
            sqlite3_column_int(q, 0), str_of(h->key), {sqlite3_column_int64(q, 2), ROLLUP_HOUR}};
        h->label = sqlite3_column_type(q, 3) == SQLITE_NULL ? NULL : mem_copy(blob_at(q, 3));
        if (!rollup_read(&h->data, blob_at(q, 4))) {
            rollup_done(&h->data);
        }
    }
    *ret = write_finish(q, rc);
    return n;
}

static enum write_result make_day(struct write_session *w, const struct old_hour *h)
{
    struct place day = h->at;
    day.span = rollup_day_of(h->at.span);
    const enum write_result r = merge_into(w, &day, str_of(h->label), &h->data);
    if (r != WRITE_GOOD) {
        return r;
    }
    bind_place(w->q[Q_DELETE_ROLLUP], &h->at);
    return write_step(w->q[Q_DELETE_ROLLUP]);
}

enum write_result fold_prune(struct write_session *w, struct wall_us now, bool *ret_more)
{
    struct old_hour *list = mem_alloc(HOURS_STEP * sizeof *list);
    enum write_result r = WRITE_GOOD;
    const size_t n = read_old_hours(w, rollup_hours_from(now), list, &r);
    for (size_t i = 0; i < n; i++) {
        r = r == WRITE_GOOD ? make_day(w, &list[i]) : r;
        rollup_done(&list[i].data);
        free(list[i].key);
        free(list[i].label);
    }
    free(list);
    *ret_more = n == HOURS_STEP;
    if (r == WRITE_GOOD) {
        (void)sqlite3_bind_int64(w->q[Q_PRUNE_DAYS], 1, rollup_days_from(now));
        r = write_step(w->q[Q_PRUNE_DAYS]);
    }
    if (r == WRITE_GOOD) {
        (void)sqlite3_bind_int64(w->q[Q_PRUNE_DELIVERIES], 1, now.us - DEAD_DAYS * DAY_US);
        r = write_step(w->q[Q_PRUNE_DELIVERIES]);
    }
    return r;
}
