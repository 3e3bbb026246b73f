/* The only setter of an attempt's phase and evidence; the table is in core/attempt.h. */
#include "comfypool/base/log.h"

#include "attempt.h"
#include "backends.h"
#include "jobs.h"
#include "state.h"

void attempt_happens(struct attempt *a, enum attempt_event e)
{
    if (attempt_apply(&a->state, e)) {
        if (attempt_is_over(&a->state) && a->sampled != NULL) {
            sampled_run_stop(a->sampled);
        }
        return;
    }
    a->backend->pool->counts.bad_transitions++;
    LOG(LOG_ERROR, "a transition of an attempt that is not in the table (a bug)",
        LOG_S("job", a->job == NULL ? "" : a->job->r.id), LOG_S("prompt", a->r.prompt_id),
        LOG_S("phase", attempt_phase_name(a->state.phase)),
        LOG_S("evidence", attempt_evidence_name(a->state.evidence)),
        LOG_S("event", attempt_event_name(e)));
}
