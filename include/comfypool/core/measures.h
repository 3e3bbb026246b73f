/*
 * How long runs took lately, for estimates: by cost key and backend, by cost key, by structure, by
 * backend, over all; the nearest of these that is known counts. Kept of the last MEASURES_LAST
 * runs, cold and warm apart; bounded: the keys that were not used for longest are forgotten. Pure.
 */
#ifndef COMFYPOOL_CORE_MEASURES_H
#define COMFYPOOL_CORE_MEASURES_H

#include <stdbool.h>

#include "comfypool/base/str.h"
#include "comfypool/base/time.h"

enum { MEASURES_LAST = 9, MEASURES_KEYS = 8192 };

struct measures;
struct measures *measures_new(void);
void measures_free(struct measures *m);

/* A run of this cost on this backend took so long. O(1). */
void measures_add(struct measures *m, struct str cost_key, struct str backend, bool cold,
                  struct dur_us took);
/* A node of this class took so long there, when it was executed. */
void measures_add_class(struct measures *m, struct str class_type, struct str backend,
                        struct dur_us took);
/* The median of the last ones; false: none. */
bool measures_class(struct measures *m, struct str class_type, struct str backend,
                    struct dur_us *ret);
/* How long such runs took there, with the models loaded and without: of this cost, else of this
   structure. What only one of the two tells is made of what loading takes elsewhere, else of a
   guess: it takes something. False: neither is known. */
struct measures_times {
    struct dur_us warm;
    struct dur_us cold;
};
bool measures_times(struct measures *m, struct str cost_key, struct str backend,
                    struct measures_times *ret);
/* What such a run will take: the median of the last warm ones, else of the cold ones. False:
   nothing was measured at all. O(1). */
bool measures_expect(struct measures *m, struct str cost_key, struct str backend,
                     struct dur_us *ret);

#endif
