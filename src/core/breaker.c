/* Pairs (backend, workflow hash); see the header. A hash is dropped when nothing is known of it. */
#include "comfypool/core/breaker.h"

#include <stdlib.h>

struct pair {
    uint32_t backend;
    unsigned failures; /* in a row */
    struct mono_us open_until;
    bool refused;
    struct mono_us refused_at;
    char *reason;
};

struct breaker_hash {
    struct breaker_hash *older, *newer;
    struct pair *pairs;
    size_t len;
    bool poison;
    char *hash;
};

void breaker_init(struct breaker *a, const struct breaker_limits *limits)
{
    *a = (struct breaker){.limits = *limits};
    map_init(&a->by_hash);
}

static void hash_free(struct breaker *a, struct breaker_hash *h)
{
    (void)map_remove(&a->by_hash, str_of(h->hash));
    *(h->older == NULL ? &a->oldest : &h->older->newer) = h->newer;
    *(h->newer == NULL ? &a->newest : &h->newer->older) = h->older;
    for (size_t i = 0; i < h->len; i++) {
        free(h->pairs[i].reason);
    }
    free(h->pairs);
    free(h->hash);
    free(h);
}

void breaker_done(struct breaker *a)
{
    while (a->oldest != NULL) {
        hash_free(a, a->oldest);
    }
    map_done(&a->by_hash);
}

static struct breaker_hash *hash_of(struct breaker *a, struct str hash)
{
    struct breaker_hash *h = map_get(&a->by_hash, hash);
    if (h != NULL) {
        return h;
    }
    if (a->by_hash.len == ABILITY_MAX) {
        hash_free(a, a->oldest);
    }
    h = mem_zero(1, sizeof *h);
    h->hash = mem_copy(hash);
    h->older = a->newest;
    *(h->older == NULL ? &a->oldest : &h->older->newer) = h;
    a->newest = h;
    (void)map_put(&a->by_hash, str_of(h->hash), h);
    return h;
}

static struct pair *find_pair(const struct breaker_hash *h, uint32_t backend)
{
    for (size_t i = 0; h != NULL && i < h->len; i++) {
        if (h->pairs[i].backend == backend) {
            return &h->pairs[i];
        }
    }
    return NULL;
}

static struct pair *pair_of(struct breaker *a, struct str hash, uint32_t backend)
{
    struct breaker_hash *h = hash_of(a, hash);
    struct pair *p = find_pair(h, backend);
    if (p == NULL) {
        h->pairs = mem_grow(h->pairs, (h->len + 1) * sizeof *h->pairs);
        p = &h->pairs[h->len++];
        *p = (struct pair){.backend = backend};
    }
    return p;
}

/* Forgets a pair, and the hash with its last one. */
static void drop(struct breaker *a, struct breaker_hash *h, struct pair *p)
{
    free(p->reason);
    *p = h->pairs[--h->len];
    if (h->len == 0 && !h->poison) {
        hash_free(a, h);
    }
}

bool breaker_knows(const struct breaker *a, struct str hash)
{
    return a->by_hash.len > 0 && map_get(&a->by_hash, hash) != NULL;
}

struct breaker_view breaker_view(const struct breaker *a, struct str hash, uint32_t backend,
                                 struct mono_us now)
{
    const struct pair *p = find_pair(map_get(&a->by_hash, hash), backend);
    struct breaker_view v = {.reason = ""};
    if (p == NULL) {
        return v;
    }
    v.open = mono_before(now, p->open_until);
    v.open_until = p->open_until;
    v.trying = !v.open && p->failures >= a->limits.failures;
    v.refused = p->refused && mono_diff(now, p->refused_at).us < a->limits.remembered.us;
    v.refused_at = p->refused_at;
    v.reason = p->reason == NULL ? "" : p->reason;
    return v;
}

void breaker_refused(struct breaker *a, struct str hash, uint32_t backend, struct mono_us now,
                     const char *reason)
{
    struct pair *p = pair_of(a, hash, backend);
    free(p->reason);
    p->refused = true;
    p->refused_at = now;
    p->reason = mem_strdup(reason);
}

bool breaker_failed(struct breaker *a, struct str hash, uint32_t backend, struct mono_us now,
                    struct mono_us *ret_until)
{
    struct pair *p = pair_of(a, hash, backend);
    p->failures++;
    if (p->failures < a->limits.failures) {
        return false;
    }
    p->open_until = mono_add(now, a->limits.open);
    *ret_until = p->open_until;
    return true;
}

/* Drops a pair of which nothing is known. */
static void drop_if_empty(struct breaker *a, struct breaker_hash *h, struct pair *p)
{
    if (p->failures == 0 && !p->refused) {
        drop(a, h, p);
    }
}

void breaker_forgive(struct breaker *a, struct str hash, uint32_t backend)
{
    struct breaker_hash *h = map_get(&a->by_hash, hash);
    struct pair *p = find_pair(h, backend);
    if (p == NULL || p->failures == 0) {
        return;
    }
    p->failures--;
    if (p->failures < a->limits.failures) {
        p->open_until = (struct mono_us){0};
    }
    drop_if_empty(a, h, p);
}

void breaker_hold(struct breaker *a, struct str hash, uint32_t backend, struct mono_us until)
{
    pair_of(a, hash, backend)->open_until = until;
}

void breaker_release(struct breaker *a, struct str hash, uint32_t backend)
{
    struct breaker_hash *h = map_get(&a->by_hash, hash);
    struct pair *p = find_pair(h, backend);
    if (p == NULL || p->failures >= a->limits.failures) {
        return; /* opened by its own failures */
    }
    p->open_until = (struct mono_us){0};
    drop_if_empty(a, h, p);
}

bool breaker_next_close(const struct breaker *a, struct mono_us now, struct mono_us *ret_at)
{
    bool any = false;
    for (const struct breaker_hash *h = a->oldest; h != NULL; h = h->newer) {
        for (size_t i = 0; i < h->len; i++) {
            const struct mono_us at = h->pairs[i].open_until;
            if (mono_before(now, at) && (!any || mono_before(at, *ret_at))) {
                *ret_at = at;
                any = true;
            }
        }
    }
    return any;
}

void breaker_worked(struct breaker *a, struct str hash, uint32_t backend)
{
    struct breaker_hash *h = a->by_hash.len == 0 ? NULL : map_get(&a->by_hash, hash);
    struct pair *p = find_pair(h, backend);
    if (h != NULL && p != NULL) {
        drop(a, h, p);
    }
}

void breaker_forget_refusals(struct breaker *a, uint32_t backend)
{
    struct breaker_hash *newer = NULL;
    for (struct breaker_hash *h = a->oldest; h != NULL; h = newer) {
        newer = h->newer;
        struct pair *p = find_pair(h, backend);
        if (p != NULL && p->refused) {
            p->refused = false;
            if (p->failures == 0) {
                drop(a, h, p);
            }
        }
    }
}

void breaker_try_again(struct breaker *a, uint32_t backend, bool mended)
{
    struct breaker_hash *newer = NULL;
    for (struct breaker_hash *h = a->oldest; h != NULL; h = newer) {
        newer = h->newer;
        struct pair *p = find_pair(h, backend);
        if (p != NULL) {
            p->open_until = (struct mono_us){0};
            p->failures = mended ? 0 : p->failures;
            drop_if_empty(a, h, p);
        }
    }
}

void breaker_forget_backend(struct breaker *a, uint32_t backend)
{
    struct breaker_hash *newer = NULL;
    for (struct breaker_hash *h = a->oldest; h != NULL; h = newer) {
        newer = h->newer;
        struct pair *p = find_pair(h, backend);
        if (p != NULL) {
            drop(a, h, p);
        }
    }
}

void breaker_poisoned(struct breaker *a, struct str hash)
{
    hash_of(a, hash)->poison = true;
}

const char *breaker_next_poison(const struct breaker *a, const void **at)
{
    const struct breaker_hash *h =
        *at == NULL ? a->oldest : ((const struct breaker_hash *)*at)->newer;
    while (h != NULL && !h->poison) {
        h = h->newer;
    }
    *at = h;
    return h == NULL ? NULL : h->hash;
}
