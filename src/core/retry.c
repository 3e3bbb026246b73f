/* Retry policy; see the header. */
#include "comfypool/core/retry.h"

/* Ends that may be retried; no others. */
static const struct {
    enum attempt_outcome outcome;
    enum err error;
    enum retry_class class;
    enum retry_blame blame;
} ends[] = {
    {ATTEMPT_LOST, ERR_LOST, RETRY_LOST, RETRY_BLAMES_BACKEND},
    {ATTEMPT_FAILED, ERR_BACKEND_ERROR, RETRY_TRANSIENT, RETRY_BLAMES_BACKEND},
    {ATTEMPT_FAILED, ERR_UPLOAD_FAILED, RETRY_TRANSIENT, RETRY_BLAMES_BACKEND},
    {ATTEMPT_FAILED, ERR_SERVER_FAULT, RETRY_SERVER_FAULT, RETRY_BLAMES_BACKEND},
    {ATTEMPT_FAILED, ERR_OUT_OF_MEMORY, RETRY_OUT_OF_MEMORY, RETRY_BLAMES_EITHER},
    {ATTEMPT_FAILED, ERR_NODE_FAILED, RETRY_NODE_ERROR, RETRY_BLAMES_NOBODY},
    {ATTEMPT_TIMED_OUT, ERR_START_TIMEOUT, RETRY_TIMEOUT, RETRY_BLAMES_BACKEND},
    {ATTEMPT_TIMED_OUT, ERR_NODE_TIMEOUT, RETRY_TIMEOUT, RETRY_BLAMES_EITHER},
};

enum { ENDS = sizeof ends / sizeof *ends };

static size_t find(enum attempt_outcome outcome, enum err error)
{
    size_t i = 0;
    while (i < ENDS && (ends[i].outcome != outcome || ends[i].error != error)) {
        i++;
    }
    return i;
}

enum retry_class retry_class_of(enum attempt_outcome outcome, enum err error)
{
    const size_t i = find(outcome, error);
    return i == ENDS ? RETRY_CLASS_COUNT : ends[i].class;
}

enum retry_blame retry_blame_of(enum attempt_outcome outcome, enum err error)
{
    const size_t i = find(outcome, error);
    return i == ENDS ? RETRY_BLAMES_NOBODY : ends[i].blame;
}

bool retry_wanted(const struct job_record *job, enum attempt_outcome outcome, enum err error)
{
    const enum retry_class class = retry_class_of(outcome, error);
    const int64_t used = (int64_t)job->attempts - job->free_attempts;
    return class != RETRY_CLASS_COUNT && (job->policy.retry_on >> class & 1u) != 0 &&
           !job->cancel_requested && used < job->policy.max_attempts && job->oom <= RETRY_MAX_OOM &&
           job->left_dead <= RETRY_MAX_LEFT_DEAD && job->faults < RETRY_MAX_FAULTS;
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
