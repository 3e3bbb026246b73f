/*
 * How often the progress of a running prompt is told: at most PROGRESS_A_SECOND times a second, the
 * last value of a node before its end where that is possible, and its last value of all always.
 */
#ifndef COMFYPOOL_CORE_PROGRESS_PACE_H
#define COMFYPOOL_CORE_PROGRESS_PACE_H

#include <stdbool.h>

#include "comfypool/base/time.h"

enum { PROGRESS_A_SECOND = 9 }; /* with the one at the end of the job: 10 at most */

/* All 0: nothing was told yet. */
struct progress_pace {
    bool owed; /* this value was not told yet: */
    char *node_id;
    double value, max;
    struct mono_us at[PROGRESS_A_SECOND]; /* when the last ones were told; oldest is the oldest */
    unsigned oldest;
};

/* A new value; it is owed from now on. */
void progress_pace_note(struct progress_pace *p, const char *node_id, double value, double max);
/* When it may be told. */
struct mono_us progress_pace_due(const struct progress_pace *p);
/* Its node ends now: whether its last value may still be told before. */
bool progress_pace_has_room(const struct progress_pace *p, struct mono_us now);
/* It was told. */
void progress_pace_told(struct progress_pace *p, struct mono_us now);
void progress_pace_done(struct progress_pace *p);

#endif
