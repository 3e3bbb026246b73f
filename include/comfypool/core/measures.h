/*
 * How long recent runs took, for estimates: by cost key and backend, by cost key, by structure, by
 * backend, overall; the nearest known level counts. Keeps the last MEASURES_LAST runs, cold and
 * warm apart; bounded: the least recently used keys are forgotten. Pure.
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

/* Adds the duration of a run of this cost on this backend. O(1). */
void measures_add(struct measures *m, struct str cost_key, struct str backend, bool cold,
                  struct dur_us took);
/* Adds the duration of an executed node of this class. */
void measures_add_class(struct measures *m, struct str class_type, struct str backend,
                        struct dur_us took);
/* Returns the median of the last ones; false: none. */
bool measures_class(struct measures *m, struct str class_type, struct str backend,
                    struct dur_us *ret);
/*
 * Estimates such a run with the models loaded and without: by this cost, else this structure. If
 * only one is known, the other is derived from loading times elsewhere, else guessed. False:
 * neither is known.
 */
struct measures_times {
    struct dur_us warm;
    struct dur_us cold;
};
bool measures_times(struct measures *m, struct str cost_key, struct str backend,
                    struct measures_times *ret);
/* Estimates such a run: the median of the last warm ones, else of the cold ones. False: nothing was
   measured at all. O(1). */
bool measures_expect(struct measures *m, struct str cost_key, struct str backend,
                     struct dur_us *ret);

#endif
