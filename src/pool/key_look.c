/* Looks for Idempotency-Keys; see the header. */
#include "key_look.h"

#include <stdlib.h>

#include "comfypool/store/finds.h"

#include "state.h"

struct key_look {
    struct pool *pool;
    const char *key;
    struct store_read read;
    bool is_first; /* in p->key_looks, until answered */
    struct followers {
        struct pool *pool;
        uint64_t *list;
        size_t len;
    } followers;
    store_found_key_fn done;
    void *ctx;
};

/* Ends its turn as the first. The result is for wake_all. */
static struct followers leave(struct key_look *l)
{
    const struct followers all = l->followers;
    if (l->is_first) {
        (void)map_remove(&l->pool->key_looks, str_of(l->key));
    }
    l->is_first = false;
    l->followers = (struct followers){.pool = l->pool};
    return all;
}

static void wake_all(struct followers all)
{
    for (size_t i = 0; i < all.len; i++) {
        pool_wake(all.pool, all.list[i]);
    }
    free(all.list);
}

static void follow(struct key_look *first, uint64_t ticket)
{
    struct followers *f = &first->followers;
    f->list = mem_grow(f->list, (f->len + 1) * sizeof *f->list);
    f->list[f->len++] = ticket;
}

/* Answers first: the caller may claim the key, and may free the look. Then wakes the followers. */
static void came(void *ctx, enum err e, const struct store_key *k)
{
    struct key_look *l = ctx;
    const struct followers all = leave(l);
    l->done(l->ctx, e, k);
    wake_all(all);
}

struct key_look *key_look_new(struct pool *p, const char *key, uint64_t ticket)
{
    struct key_look *first = map_get(&p->key_looks, str_of(key));
    if (first != NULL) {
        follow(first, ticket);
        return NULL;
    }
    struct key_look *l = mem_zero(1, sizeof *l);
    l->pool = p;
    l->key = key;
    l->is_first = true;
    l->followers.pool = p;
    (void)map_put(&p->key_looks, str_of(key), l);
    return l;
}

void key_look_begin(struct key_look *l, bool is_batch, store_found_key_fn done, void *ctx)
{
    l->done = done;
    l->ctx = ctx;
    store_find_key(l->pool->store, l->key, is_batch, time_wall(), &l->read, came, l);
}

void key_look_free(struct key_look *l)
{
    if (l == NULL) {
        return;
    }
    store_read_forget(&l->read);
    const struct followers all = leave(l);
    free(l);
    wake_all(all);
}
