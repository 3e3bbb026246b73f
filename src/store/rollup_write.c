/*
 * Roll-ups: each end of a job leaves a measurement in its own transaction, which costs one small
 * row; folding puts some hundred of them together into the roll-ups of their hours and keys, and
 * deletes them in the same transaction. So a kill counts nothing twice and loses nothing. Called by
 * the writer.
 *
 * Keys are bounded: those that are new when there are enough go into "other", after the least
 * recently seen workflow, class or backend has gone there. Hours become days when they are a week
 * old.
 */
#include "rollup_write.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "comfypool/base/map.h"

enum {
    FOLD_AT_ONCE = 64, /* measurements in one transaction, unless they are of ... */
    FOLD_PILES = 1000, /* ... so many roll-ups: other writes wait for it */
    MOST_KEYS = 2000,
    MOST_NODES = 200,       /* of one workflow */
    MOST_RUNS = 4000,       /* cost keys and backends: forgotten without "other" */
    MOST_OF_CLIENTS = 8000, /* of each kind, of all clients together: the same */
    HOURS_STEP = 200,
    WEEK_HOURS = 7 * 24,
    DAY_HOURS = 24,
    KEPT_DAYS = 400,
    DEAD_DAYS = 7,
};

static const int64_t HOUR_US = INT64_C(3600) * 1000000;
static const char other[] = "other";

/* Of what a kind of roll-ups is, whoever's they are; see GROUP_OF_CLIENT. */
static enum group_by group_of(int kind)
{
    return (enum group_by)(kind % GROUP_OF_CLIENT);
}

/* What is forgotten there goes into a key of its own. */
static bool has_other(int kind)
{
    return kind < GROUP_OF_CLIENT && kind != GROUP_RUN;
}

static int64_t most_keys(int kind)
{
    return kind >= GROUP_OF_CLIENT ? MOST_OF_CLIENTS : kind == GROUP_RUN ? MOST_RUNS : MOST_KEYS;
}

/* ---- one roll-up ----------------------------------------------------------------------------- */

struct place {
    int kind;
    struct str key;
    int64_t start; /* hours since the epoch */
    int span;
};

static void bind_place(sqlite3_stmt *q, const struct place *at)
{
    (void)sqlite3_bind_int(q, 1, at->kind);
    write_bind_str(q, 2, at->key);
    (void)sqlite3_bind_int64(q, 3, at->start);
    (void)sqlite3_bind_int(q, 4, at->span);
}

static struct str blob_at(sqlite3_stmt *q, int at)
{
    const char *p = sqlite3_column_blob(q, at);
    return (struct str){p, p == NULL ? 0 : (size_t)sqlite3_column_bytes(q, at)};
}

/* Adds data to what is there. */
static enum write_result merge_into(struct write_session *w, const struct place *at,
                                    struct str label, const struct rollup *data)
{
    struct rollup sum = {.count = 0};
    sqlite3_stmt *q = w->q[Q_GET_ROLLUP];
    bind_place(q, at);
    const int rc = sqlite3_step(q);
    if (rc == SQLITE_ROW && !rollup_read(&sum, blob_at(q, 0))) {
        rollup_done(&sum); /* of a future version, or damaged: it begins anew */
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

/* Keys from `from` to before `to`: one key, or all nodes of a workflow. */
struct key_range {
    int kind;
    struct str from;
    struct str to;
};

static void bind_range(sqlite3_stmt *q, const struct key_range *range)
{
    (void)sqlite3_bind_int(q, 1, range->kind);
    write_bind_str(q, 2, range->from);
    write_bind_str(q, 3, range->to);
}

struct old_rollup {
    int64_t start;
    int span;
    struct rollup data;
};

/* What is kept under the keys of a range, by time. */
struct old_rollups {
    struct old_rollup *list;
    size_t len;
};

static void add_old(struct old_rollups *all, sqlite3_stmt *q)
{
    struct rollup data = {.count = 0};
    const int64_t start = sqlite3_column_int64(q, 0);
    const int span = sqlite3_column_int(q, 1);
    if (!rollup_read(&data, blob_at(q, 2))) {
        rollup_done(&data);
        return;
    }
    for (size_t i = 0; i < all->len; i++) {
        if (all->list[i].start == start && all->list[i].span == span) {
            rollup_merge(&all->list[i].data, &data);
            rollup_done(&data);
            return;
        }
    }
    all->list = mem_grow(all->list, (all->len + 1) * sizeof *all->list);
    all->list[all->len++] = (struct old_rollup){start, span, data};
}

/* Everything under the range's keys goes into "other" (or, of runs, is forgotten). */
static enum write_result retire(struct write_session *w, const struct key_range *range)
{
    struct old_rollups all = {.len = 0};
    enum write_result r = WRITE_GOOD;
    if (has_other(range->kind)) {
        sqlite3_stmt *q = w->q[Q_ROLLUPS_OF_KEYS];
        bind_range(q, range);
        int rc = SQLITE_ROW;
        while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
            add_old(&all, q);
        }
        r = write_finish(q, rc);
    }
    for (size_t i = 0; i < all.len; i++) {
        const struct place at = {range->kind, str_of(other), all.list[i].start, all.list[i].span};
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

/* The texts of a range, one behind the other in b. */
static struct key_range range_of(int kind, struct str from, char from_end, struct str to,
                                 char to_end, struct buf *b)
{
    buf_add_str(b, from);
    if (from_end != '\0') {
        buf_add_char(b, from_end);
    }
    const size_t n = b->len;
    buf_add_str(b, to);
    buf_add_char(b, to_end);
    return (struct key_range){kind, {b->data, n}, {b->data + n, b->len - n}};
}

/* One key alone: up to the first text behind it. */
static struct key_range one_key(int kind, struct str key, struct buf *b)
{
    return range_of(kind, key, '\0', key, '\1', b);
}

/* A workflow's nodes: '0' comes behind '/'. hash: with its client, if the kind has one. */
static struct key_range nodes_of(int kind, struct str hash, struct buf *b)
{
    return range_of(kind, hash, '/', hash, '0', b);
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
    struct key_range range = one_key(kind, buf_str(&key), &texts);
    r = retire(w, &range);
    if (r == WRITE_GOOD && group_of(kind) == GROUP_WORKFLOW) {
        buf_clear(&texts);
        range = nodes_of(kind - GROUP_WORKFLOW + GROUP_NODE, buf_str(&key), &texts);
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

/* The key is known, and was seen now; false: it is new. */
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

/* Where a new node of a workflow counts: under its own key, or under the workflow's others. */
static enum write_result admit_node(struct write_session *w, int kind, struct str *key,
                                    struct buf *texts)
{
    const char *end = memchr(key->p, GROUP_CLIENT_END, key->n); /* a client may have a slash */
    const char *from = end == NULL ? key->p : end + 1;
    const char *slash = memchr(from, '/', key->n - (size_t)(from - key->p));
    const struct str hash = {key->p, slash == NULL ? key->n : (size_t)(slash - key->p)};
    const struct key_range range = nodes_of(kind, hash, texts);
    int64_t n = 0;
    const enum write_result r = count_keys(w, &range, &n);
    if (r == WRITE_GOOD && n >= MOST_NODES) {
        const size_t start = texts->len;
        buf_add_str(texts, hash);
        buf_add_char(texts, '/');
        buf_add_text(texts, other);
        *key = (struct str){texts->data + start, texts->len - start};
    }
    return r;
}

/* How many keys of a kind there are, as far as it was asked in this transaction. */
struct key_counts {
    bool known[GROUP_OF_CLIENT + GROUP_COUNT];
    int64_t n[GROUP_OF_CLIENT + GROUP_COUNT];
};

/* Room for a new key of the other kinds. Counting costs all keys: it is done once. */
static enum write_result admit(struct write_session *w, int kind, struct key_counts *counts)
{
    const struct key_range all = {kind, STR(""), STR("\xff")};
    int64_t *n = &counts->n[kind];
    enum write_result r = counts->known[kind] ? WRITE_GOOD : count_keys(w, &all, n);
    counts->known[kind] = true;
    if (r == WRITE_GOOD && *n >= most_keys(kind)) {
        r = retire_oldest(w, kind);
        --*n;
    }
    ++*n;
    return r;
}

/* The key under which *key counts; *texts holds what is made for it. */
static enum write_result settle_key(struct write_session *w, int kind, struct str *key,
                                    struct wall_us at, struct key_counts *counts, struct buf *texts)
{
    bool known = false;
    enum write_result r = touch(w, kind, *key, at, &known);
    if (r != WRITE_GOOD || known) {
        return r;
    }
    r = group_of(kind) == GROUP_NODE ? admit_node(w, kind, key, texts) : admit(w, kind, counts);
    return r == WRITE_GOOD ? put_key(w, kind, *key, at) : r;
}

/* ---- folding --------------------------------------------------------------------------------- */

/* What some measurements together say of one key in one hour. */
struct pile {
    int kind;
    int64_t start;
    struct wall_us last;
    char *label; /* or NULL */
    struct rollup data;
    size_t key_at; /* of the key, in `id` */
    size_t id_len;
    char id[]; /* kind, hour, key */
};

struct folding {
    struct map piles;
    struct key_counts counts;
    struct buf id;
};

/* client: n == 0: of everybody's. */
static void pile_up(struct folding *f, struct wall_us at, const struct observation *o,
                    struct str client)
{
    const int64_t start = at.us / HOUR_US;
    const int kind = (int)o->group + (client.n > 0 ? GROUP_OF_CLIENT : 0);
    buf_clear(&f->id);
    buf_add_uint(&f->id, (uint64_t)kind);
    buf_add_char(&f->id, ' ');
    buf_add_uint(&f->id, (uint64_t)start); /* only to tell them apart */
    buf_add_char(&f->id, ' ');
    const size_t key_at = f->id.len;
    if (client.n > 0) {
        buf_add_str(&f->id, client);
        buf_add_char(&f->id, GROUP_CLIENT_END);
    }
    buf_add_str(&f->id, o->key);
    struct pile *p = map_get(&f->piles, buf_str(&f->id));
    if (p == NULL) {
        p = mem_zero(1, sizeof *p + f->id.len + 1);
        memcpy(p->id, f->id.data, f->id.len);
        p->id_len = f->id.len;
        p->key_at = key_at;
        p->kind = kind;
        p->start = start;
        (void)map_put(&f->piles, (struct str){p->id, p->id_len}, p);
    }
    p->last = at.us > p->last.us ? at : p->last;
    if (p->label == NULL && o->label.n > 0) {
        p->label = mem_copy(o->label);
    }
    rollup_add(&p->data, o);
}

static void observe(void *ctx, struct wall_us at, const struct observation *o)
{
    pile_up(ctx, at, o, (struct str){NULL, 0});
    if (o->client.n > 0) {
        pile_up(ctx, at, o, o->client);
    }
}

static enum write_result write_pile(struct write_session *w, struct folding *f,
                                    const struct pile *p)
{
    AUTO_BUF struct buf texts;
    buf_init(&texts, BUF_NO_LIMIT);
    struct str key = {p->id + p->key_at, p->id_len - p->key_at};
    const enum write_result r = settle_key(w, p->kind, &key, p->last, &f->counts, &texts);
    const struct place at = {p->kind, key, p->start, 1};
    return r == WRITE_GOOD ? merge_into(w, &at, str_of(p->label), &p->data) : r;
}

static enum write_result write_piles(struct write_session *w, struct folding *f)
{
    enum write_result r = WRITE_GOOD;
    size_t at = 0;
    for (struct pile *p = map_next(&f->piles, &at); p != NULL; p = map_next(&f->piles, &at)) {
        r = r == WRITE_GOOD ? write_pile(w, f, p) : r;
        rollup_done(&p->data);
        free(p->label);
        free(p);
    }
    map_done(&f->piles);
    buf_done(&f->id);
    return r;
}

enum write_result apply_fold(struct write_session *w, struct op *op)
{
    struct folding f = {.id = {.len = 0}};
    map_init(&f.piles);
    buf_init(&f.id, BUF_NO_LIMIT);
    sqlite3_stmt *q = w->q[Q_MEASUREMENTS];
    (void)sqlite3_bind_int(q, 1, FOLD_AT_ONCE);
    int64_t last = 0;
    int n = 0;
    int rc = SQLITE_ROW;
    for (; f.piles.len < FOLD_PILES && (rc = sqlite3_step(q)) == SQLITE_ROW; n++) {
        last = sqlite3_column_int64(q, 0);
        (void)measurement_observe(blob_at(q, 1), observe, &f); /* a broken one says nothing */
    }
    enum write_result r = write_finish(q, rc);
    const enum write_result written = write_piles(w, &f);
    r = r == WRITE_GOOD ? written : r;
    if (r == WRITE_GOOD && n > 0) {
        q = w->q[Q_DELETE_MEASUREMENTS];
        (void)sqlite3_bind_int64(q, 1, last);
        r = write_step(q);
    }
    op->more = n == FOLD_AT_ONCE || rc == SQLITE_ROW;
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
        h->at =
            (struct place){sqlite3_column_int(q, 0), str_of(h->key), sqlite3_column_int64(q, 2), 1};
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
    day.start -= day.start % DAY_HOURS;
    day.span = DAY_HOURS;
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
    const int64_t hour = now.us / HOUR_US;
    enum write_result r = WRITE_GOOD;
    const size_t n = read_old_hours(w, hour - hour % DAY_HOURS - WEEK_HOURS, list, &r);
    for (size_t i = 0; i < n; i++) {
        r = r == WRITE_GOOD ? make_day(w, &list[i]) : r;
        rollup_done(&list[i].data);
        free(list[i].key);
        free(list[i].label);
    }
    free(list);
    *ret_more = n == HOURS_STEP;
    if (r == WRITE_GOOD) {
        (void)sqlite3_bind_int64(w->q[Q_PRUNE_DAYS], 1, hour - (int64_t)KEPT_DAYS * DAY_HOURS);
        r = write_step(w->q[Q_PRUNE_DAYS]);
    }
    if (r == WRITE_GOOD) {
        (void)sqlite3_bind_int64(w->q[Q_PRUNE_DELIVERIES], 1,
                                 now.us - (int64_t)DEAD_DAYS * DAY_HOURS * HOUR_US);
        r = write_step(w->q[Q_PRUNE_DELIVERIES]);
    }
    return r;
}
