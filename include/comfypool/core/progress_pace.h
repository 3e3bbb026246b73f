/*
 * Rate limit of progress events: at most PROGRESS_A_SECOND a second, a node's last value before its
 * end if possible, and the very last value always.
 */
#ifndef COMFYPOOL_CORE_PROGRESS_PACE_H
#define COMFYPOOL_CORE_PROGRESS_PACE_H

#include <stdbool.h>

#include "comfypool/base/time.h"

enum { PROGRESS_A_SECOND = 9 }; /* with the one at the job's end: 10 at most */

/* All 0: nothing sent yet. */
struct progress_pace {
    bool owed; /* the value below is not sent yet */
    char *node_id;
    double value, max;
    struct mono_us at[PROGRESS_A_SECOND]; /* times of the last events; a ring, oldest is its
                                             oldest */
    unsigned oldest;
};

/* Notes a new value, to be sent. */
void progress_pace_note(struct progress_pace *p, const char *node_id, double value, double max);
/* Returns when it may be sent. */
struct mono_us progress_pace_due(const struct progress_pace *p);
/* True if the last value of a node that ends now may still be sent. */
bool progress_pace_has_room(const struct progress_pace *p, struct mono_us now);
/* Notes that it was sent. */
void progress_pace_told(struct progress_pace *p, struct mono_us now);
void progress_pace_done(struct progress_pace *p);

#endif
