/* A hash map with linear probing and backward-shift deletion (no tombstones); see the header. */
#include "comfypool/base/map.h"

#include <stdlib.h>
#include <sys/random.h>

static uint64_t seed;

static uint64_t mix(uint64_t a, uint64_t b)
{
    const __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t map_hash(struct str key)
{
    if (seed == 0) {
        if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed) {
            seed = (uint64_t)(uintptr_t)&key; /* falls back to the stack's randomness */
        }
        seed |= 1;
    }
    const uint64_t k = 0x9e3779b97f4a7c15u;
    uint64_t h = seed ^ (key.n * k);
    const char *p = key.p;
    size_t n = key.n;
    uint64_t word;
    for (; n >= 8; n -= 8, p += 8) {
        memcpy(&word, p, 8);
        h = mix(h ^ word, k ^ seed);
    }
    if (n > 0) {
        word = 0;
        memcpy(&word, p, n);
        h = mix(h ^ word, k ^ seed);
    }
    return mix(h ^ seed, k);
}

void map_init(struct map *m)
{
    *m = (struct map){0};
}

void map_done(struct map *m)
{
    free(m->slots);
    *m = (struct map){0};
}

/* The slot that holds key, or the free one where it belongs. cap must not be 0. */
static struct map_slot *find(const struct map *m, struct str key, uint64_t hash)
{
    const size_t mask = m->cap - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        struct map_slot *s = &m->slots[i];
        if (s->value == NULL || (s->hash == hash && str_eq(s->key, key))) {
            return s;
        }
    }
}

/* Returns a free slot for a key that is not in the map. */
static struct map_slot *free_slot(const struct map *m, uint64_t hash)
{
    const size_t mask = m->cap - 1;
    size_t i = hash & mask;
    while (m->slots[i].value != NULL) {
        i = (i + 1) & mask;
    }
    return &m->slots[i];
}

static void grow(struct map *m)
{
    struct map old = *m;
    m->cap = old.cap == 0 ? 16 : old.cap * 2;
    m->slots = mem_zero(m->cap, sizeof *m->slots);
    for (size_t i = 0; i < old.cap; i++) {
        if (old.slots[i].value != NULL) {
            *free_slot(m, old.slots[i].hash) = old.slots[i];
        }
    }
    free(old.slots);
}

void *map_put(struct map *m, struct str key, void *value)
{
    if ((m->len + 1) * 4 > m->cap * 3) {
        grow(m);
    }
    const uint64_t hash = map_hash(key);
    struct map_slot *s = find(m, key, hash);
    void *old = s->value;
    if (old == NULL) {
        m->len++;
    }
    *s = (struct map_slot){.key = key, .value = value, .hash = hash};
    return old;
}

void *map_get(const struct map *m, struct str key)
{
    return m->cap == 0 ? NULL : find(m, key, map_hash(key))->value;
}

void *map_remove(struct map *m, struct str key)
{
    if (m->cap == 0) {
        return NULL;
    }
    struct map_slot *s = find(m, key, map_hash(key));
    void *old = s->value;
    if (old == NULL) {
        return NULL;
    }
    const size_t mask = m->cap - 1;
    size_t hole = (size_t)(s - m->slots);
    for (size_t i = (hole + 1) & mask; m->slots[i].value != NULL; i = (i + 1) & mask) {
        const size_t home = m->slots[i].hash & mask;
        /* An entry may fill the hole unless its home lies between the hole and itself. */
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole] = (struct map_slot){0};
    m->len--;
    return old;
}

void *map_next(const struct map *m, size_t *at)
{
    while (*at < m->cap) {
        void *value = m->slots[(*at)++].value;
        if (value != NULL) {
            return value;
        }
    }
    return NULL;
}
