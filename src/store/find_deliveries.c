/* Finds a host's due deliveries, one delivery with its body, and the number of waiting ones. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comfypool/store/deliveries.h"

#include "engine.h"
#include "inner.h"

/* ---- due deliveries -------------------------------------------------------------------------- */

struct due_find {
    struct find find;
    char *host;
    struct wall_us until;
    unsigned limit;
    struct delivery_record *list;
    size_t len;
    bool later;
    store_found_due_fn done;
};

static void add_due(void *ctx, struct delivery_record *d)
{
    struct due_find *f = ctx;
    f->list[f->len++] = *d;
    *d = (struct delivery_record){0};
}

static enum err read_due(struct find *find, const struct engine *e, struct reader *r)
{
    struct due_find *f = (struct due_find *)find;
    f->list = mem_alloc((f->limit + 1) * sizeof *f->list);
    return e->due(r, f->host, f->until, f->limit, add_due, f, &f->later);
}

static void answer_due(struct find *find)
{
    struct due_find *f = (struct due_find *)find;
    f->done(find->ctx, find->error, f->list, f->len, f->later);
}

static void release_due(struct find *find)
{
    struct due_find *f = (struct due_find *)find;
    for (size_t i = 0; i < f->len; i++) {
        delivery_record_done(&f->list[i]);
    }
    free(f->list);
    free(f->host);
}

static const struct find_kind due_kind = {read_due, answer_due, release_due};

void store_find_due(struct store *s, const char *host, struct wall_us until, unsigned limit,
                    struct store_read *read, store_found_due_fn done, void *ctx)
{
    struct due_find *f = find_new(&due_kind, sizeof *f, ctx);
    f->host = mem_strdup(host);
    f->until = until;
    f->limit = limit;
    f->done = done;
    find_ask(s, &f->find, read);
}

/* ---- one delivery with its body -------------------------------------------------------------- */

struct delivery_find {
    struct find find;
    char id[UUID_SIZE];
    struct delivery_record found;
    store_found_delivery_fn done;
};

static enum err read_delivery(struct find *find, const struct engine *e, struct reader *r)
{
    struct delivery_find *f = (struct delivery_find *)find;
    const enum err found = e->delivery(r, f->id, &f->found);
    find->size = f->found.body == NULL ? 0 : strlen(f->found.body);
    return found;
}

static void answer_delivery(struct find *find)
{
    struct delivery_find *f = (struct delivery_find *)find;
    f->done(find->ctx, find->error, &f->found);
}

static void release_delivery(struct find *find)
{
    struct delivery_find *f = (struct delivery_find *)find;
    delivery_record_done(&f->found);
}

static const struct find_kind delivery_kind = {read_delivery, answer_delivery, release_delivery};

void store_find_delivery(struct store *s, const char *id, struct store_read *read,
                         store_found_delivery_fn done, void *ctx)
{
    struct delivery_find *f = find_new(&delivery_kind, sizeof *f, ctx);
    (void)snprintf(f->id, sizeof f->id, "%.36s", id);
    f->done = done;
    find_ask(s, &f->find, read);
}

/* ---- the number of waiting ones -------------------------------------------------------------- */

struct count_find {
    struct find find;
    int64_t n;
    store_found_count_fn done;
};

static enum err read_count(struct find *find, const struct engine *e, struct reader *r)
{
    struct count_find *f = (struct count_find *)find;
    return e->count_waiting(r, &f->n);
}

static void answer_count(struct find *find)
{
    struct count_find *f = (struct count_find *)find;
    f->done(find->ctx, find->error, f->n);
}

static const struct find_kind count_kind = {read_count, answer_count, NULL};

void store_find_waiting_count(struct store *s, struct store_read *read, store_found_count_fn done,
                              void *ctx)
{
    struct count_find *f = find_new(&count_kind, sizeof *f, ctx);
    f->done = done;
    find_ask(s, &f->find, read);
}
