/* Retry policy; see the header. */
#include "comfypool/core/retry.h"

bool retry_wanted(const struct job_record *job, enum attempt_outcome outcome, enum err error)
{
    const bool transient =
        outcome == ATTEMPT_LOST || (outcome == ATTEMPT_FAILED && error == ERR_BACKEND_ERROR);
    return transient && !job->cancel_requested && job->attempts - job->cut_off < job->max_attempts;
}

struct dur_us retry_delay(struct dur_us first, unsigned failures, uint32_t random)
{
    const int64_t most = (int64_t)5 * 60 * 1000000;
    int64_t us = first.us;
    for (unsigned i = 1; i < failures && us < most; i++) {
        us *= 2;
    }
    us = us > most ? most : us;
    /* 50 % to 150 %. */
    return (struct dur_us){us / 2 + (int64_t)((double)us * ((double)random / (double)UINT32_MAX))};
}
