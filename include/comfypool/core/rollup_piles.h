/*
 * Piles: what some measurements together say of each key in each hour, so that each roll-up is
 * written once for all of them. A fold takes some dozens of measurements at a time, since other
 * writes wait for it. Pure.
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

/* Measurements in one fold, unless they make more than so many roll-ups. */
enum { ROLLUP_FOLD_AT_ONCE = 64, ROLLUP_FOLD_PILES = 1000 };

struct pile {
    int kind; /* see rollup_keys.h */
    struct rollup_span span;
    struct wall_us last; /* when its key was seen last */
    char *label;         /* or NULL */
    struct rollup data;
    size_t key_at; /* where the key begins in id */
    size_t id_len;
    char id[]; /* kind, hour and key */
};

struct piles {
    struct map by_id;
    struct buf id; /* room to make one */
};

void piles_init(struct piles *p);
void piles_done(struct piles *p);
/* Adds what a written measurement says, of everybody's runs and of its client's. One that is broken
   says nothing. */
void piles_add(struct piles *p, struct str measurement);
/* There are so many piles that no more measurements are to be added. */
bool piles_are_enough(const struct piles *p);
struct str pile_key(const struct pile *p);

#endif
