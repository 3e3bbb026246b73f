/*
 * A hash map from byte strings to pointers, open addressing, expected O(1). Keys are borrowed: they
 * must live as long as their entry (normally inside the value). Hashing is seeded at random, since
 * clients choose node ids.
 */
#ifndef COMFYPOOL_BASE_MAP_H
#define COMFYPOOL_BASE_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/str.h"

struct map_slot {
    struct str key;
    void *value;   /* NULL: free */
    uint64_t hash; /* of the key: saves comparisons, and rehashing when it grows */
};

struct map {
    struct map_slot *slots;
    size_t cap; /* a power of two, or 0 */
    size_t len;
};

void map_init(struct map *m);
void map_done(struct map *m);

/* Sets key to value (not NULL); returns the value that it replaced, or NULL. */
void *map_put(struct map *m, struct str key, void *value);
void *map_get(const struct map *m, struct str key);
/* Removes the entry and returns its value, or NULL when there is none. */
void *map_remove(struct map *m, struct str key);

/* Walks all entries: start with *at = 0; NULL at the end. The map must not change meanwhile. */
void *map_next(const struct map *m, size_t *at);

/* The seeded hash that the map uses. */
uint64_t map_hash(struct str key);

#endif
