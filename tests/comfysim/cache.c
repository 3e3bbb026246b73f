/* The classic output cache: a hash of 256 chains, cut down to each new prompt. See cache.h. */
#include "cache.h"

#include <stdlib.h>
#include <string.h>

static struct cache_entry **bucket_of(struct cache *cache, struct cache_key key)
{
    return &cache->buckets[key.a % CACHE_BUCKETS];
}

struct cache_entry *cache_find(const struct cache *cache, struct cache_key key)
{
    struct cache_entry *entry = cache->buckets[key.a % CACHE_BUCKETS];
    while (entry && (entry->key.a != key.a || entry->key.b != key.b)) {
        entry = entry->next;
    }
    return entry;
}

static void entry_free(struct cache_entry *entry)
{
    free(entry->ui);
    free(entry->blocked_by);
    free(entry);
}

void cache_put(struct cache *cache, const struct node *node, const char *ui)
{
    if (cache->off || cache_find(cache, node->key)) {
        return;
    }
    struct cache_entry *entry = sim_alloc(sizeof(*entry));
    entry->key = node->key;
    entry->ui = ui ? sim_strndup(ui, strlen(ui)) : NULL;
    entry->blocked = node->blocked;
    entry->blocked_by =
        node->blocked_by ? sim_strndup(node->blocked_by, strlen(node->blocked_by)) : NULL;
    entry->generation = cache->generation;
    struct cache_entry **bucket = bucket_of(cache, node->key);
    entry->next = *bucket;
    *bucket = entry;
    cache->count++;
}

static void sweep(struct cache *cache)
{
    for (size_t i = 0; i < CACHE_BUCKETS; i++) {
        struct cache_entry **at = &cache->buckets[i];
        while (*at) {
            struct cache_entry *entry = *at;
            if (entry->generation == cache->generation) {
                at = &entry->next;
                continue;
            }
            *at = entry->next;
            cache->count--;
            entry_free(entry);
        }
    }
}

void cache_keep(struct cache *cache, const struct graph *graph)
{
    cache->generation++;
    if (cache->count == 0) {
        return;
    }
    for (int i = 0; i < graph->n_nodes; i++) {
        struct cache_entry *entry = cache_find(cache, graph->nodes[i]->key);
        if (entry) {
            entry->generation = cache->generation;
        }
    }
    sweep(cache);
}

void cache_clear(struct cache *cache)
{
    cache->generation++;
    sweep(cache);
}
