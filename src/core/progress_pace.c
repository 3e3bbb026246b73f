/* The pace of progress events; see the header. */
#include "comfypool/core/progress_pace.h"

#include <stdlib.h>
#include <string.h>

#include "comfypool/base/str.h"

enum {
    PAUSE_MS = 100,
    AT_ENDS = 4, /* of PROGRESS_A_SECOND, reserved for last values of nodes */
};

/* Returns when fewer than `most` lie within the last second. */
static struct mono_us second_is_over(const struct progress_pace *p, unsigned most)
{
    return mono_add(p->at[(p->oldest + PROGRESS_A_SECOND - most) % PROGRESS_A_SECOND],
                    dur_ms(1000));
}

void progress_pace_note(struct progress_pace *p, const char *node_id, double value, double max)
{
    if (p->node_id == NULL || strcmp(p->node_id, node_id) != 0) {
        free(p->node_id);
        p->node_id = mem_strdup(node_id);
    }
    p->value = value;
    p->max = max;
    p->owed = true;
}

struct mono_us progress_pace_due(const struct progress_pace *p)
{
    const struct mono_us last = p->at[(p->oldest + PROGRESS_A_SECOND - 1) % PROGRESS_A_SECOND];
    return mono_max(second_is_over(p, PROGRESS_A_SECOND - AT_ENDS),
                    mono_add(last, dur_ms(PAUSE_MS)));
}

bool progress_pace_has_room(const struct progress_pace *p, struct mono_us now)
{
    return !mono_before(now, second_is_over(p, PROGRESS_A_SECOND));
}

void progress_pace_told(struct progress_pace *p, struct mono_us now)
{
    p->owed = false;
    p->at[p->oldest] = now;
    p->oldest = (p->oldest + 1) % PROGRESS_A_SECOND;
}

void progress_pace_done(struct progress_pace *p)
{
    free(p->node_id);
    p->node_id = NULL;
}
