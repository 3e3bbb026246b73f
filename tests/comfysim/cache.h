/*
 * The output cache of a server: what nodes of the last prompt gave, by key (class, inputs and
 * ancestors; not ids). The classic one: cache_keep drops what the new prompt does not hold.
 * Owns its entries and their ui texts. With `off` nothing is kept (--no-cache).
 */
#ifndef COMFYSIM_CACHE_H
#define COMFYSIM_CACHE_H

#include "graph.h"

#define CACHE_BUCKETS 256

struct cache_entry {
    struct cache_entry *next;
    struct cache_key key;
    char *ui; /* JSON, NULL: the node had none */
    enum block blocked;
    char *blocked_by;
    unsigned generation;
};

struct cache {
    struct cache_entry *buckets[CACHE_BUCKETS];
    unsigned generation;
    size_t count;
    bool off;
};

struct cache_entry *cache_find(const struct cache *cache, struct cache_key key);
void cache_put(struct cache *cache, const struct node *node, const char *ui);
void cache_keep(struct cache *cache, const struct graph *graph);
void cache_clear(struct cache *cache);

#endif
