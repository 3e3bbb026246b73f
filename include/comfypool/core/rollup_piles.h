/*
 * Piles: the sum of some measurements by key and hour, so that each roll-up is written once for all
 * of them. A fold takes some dozens of measurements at a time, since other writes wait for it.
 * Pure.
 */
#ifndef COMFYPOOL_CORE_ROLLUP_PILES_H
#define COMFYPOOL_CORE_ROLLUP_PILES_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/map.h"
#include "comfypool/base/str.h"
#include "comfypool/base/time.h"
#include "comfypool/core/rollup.h"
#include "comfypool/core/rollup_age.h"

/* Limits of a fold: measurements, and roll-ups. */
enum { ROLLUP_FOLD_AT_ONCE = 64, ROLLUP_FOLD_PILES = 1000 };

struct pile {
    int kind; /* see rollup_keys.h */
    struct rollup_span span;
    struct wall_us last; /* latest measurement */
    char *label;         /* or NULL */
    struct rollup data;
    size_t key_at; /* where the key begins in id */
    size_t id_len;
    char id[]; /* kind, hour and key */
};

struct piles {
    struct map by_id;
    struct buf id; /* scratch for an id */
};

void piles_init(struct piles *p);
void piles_done(struct piles *p);
/* Adds a written measurement, to the piles of all and of its client. A broken one is ignored. */
void piles_add(struct piles *p, struct str measurement);
/* True if no more measurements should be added. */
bool piles_are_enough(const struct piles *p);
struct str pile_key(const struct pile *p);

#endif
