/* The state of a job: its only setter, and whether it waits. */
#include "comfypool/base/log.h"

#include "jobs.h"
#include "state.h"

bool job_apply(struct job *j, enum job_event e)
{
    if (job_transition(j->r.state, e, &j->r.state)) {
        return true;
    }
    j->pool->counts.bad_transitions++;
    LOG(LOG_ERROR, "a transition that is not in the table (a bug)", LOG_S("job", j->r.id),
        LOG_S("state", job_state_name(j->r.state)), LOG_S("event", job_event_name(e)));
    return false;
}

struct job *job_find(struct pool *p, struct str id)
{
    return map_get(&p->jobs, id);
}

bool job_is_chained(const struct job *j)
{
    return j->chain.blocked || j->chain.known != NULL || heap_holds(&j->chain.again.node);
}

bool job_waits(const struct job *j)
{
    return !j->end.ending &&
           (heap_holds(&j->entry.node) || heap_holds(&j->timers.delay.node) || job_is_chained(j));
}

void job_stop_waiting(struct job *j)
{
    struct deadlines *d = &j->pool->deadlines;
    queue_remove(&j->pool->queue, &j->entry);
    deadline_clear(d, &j->timers.delay);
    deadline_clear(d, &j->past.settles);
    deadline_clear(d, &j->timers.queue);
}
