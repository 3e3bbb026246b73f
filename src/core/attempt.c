/* The states of an attempt; see the header. The diagrams in docs/ARCHITECTURE.md are made from
   `rules`. */
#include "comfypool/core/attempt.h"

#include "comfypool/core/retry.h"

static const char *const phases[PHASE_COUNT] = {
#define X(symbol, name) [symbol] = name,
    ATTEMPT_PHASE_TABLE(X)
#undef X
};

static const char *const evidences[EVIDENCE_COUNT] = {
#define X(symbol, name) [symbol] = name,
    ATTEMPT_EVIDENCE_TABLE(X)
#undef X
};

static const char *const events[ATTEMPT_EVENT_COUNT] = {
#define X(symbol, name) [symbol] = name,
    ATTEMPT_EVENT_TABLE(X)
#undef X
};

static const char *const verdicts[VERDICT_COUNT] = {
#define X(symbol, name) [symbol] = name,
    ATTEMPT_VERDICT_TABLE(X)
#undef X
};

#define P(phase) (1u << PHASE_##phase)
#define E(evidence) (1u << EVIDENCE_##evidence)
#define SAME_PHASE PHASE_COUNT
#define SAME_EVIDENCE EVIDENCE_COUNT

/*
 * Transitions by event, phase and evidence. A combination without a row is a bug that the caller
 * reports. Frames may come before the answer to the POST, and that answer after the end.
 */
static const struct {
    enum attempt_event event;
    unsigned phases, evidence; /* sets of P() and E() */
    enum attempt_phase to_phase;
    enum attempt_evidence to_evidence;
} rules[] = {
    {ATTEMPT_EVENT_SEND, P(INTENT), E(UNSENT), PHASE_SENDING, SAME_EVIDENCE},
    {ATTEMPT_EVENT_POST, P(INTENT) | P(SENDING), E(UNSENT), PHASE_POSTED, EVIDENCE_OPEN},
    {ATTEMPT_EVENT_DOUBT, P(POSTED), E(OPEN), SAME_PHASE, EVIDENCE_DOUBTFUL},
    {ATTEMPT_EVENT_DOUBT, P(POSTED) | P(STARTED) | P(RUNNING), E(HAD), SAME_PHASE, SAME_EVIDENCE},
    {ATTEMPT_EVENT_ACCEPT, P(POSTED) | P(ENDED), E(OPEN), SAME_PHASE, EVIDENCE_HAD},
    {ATTEMPT_EVENT_ACCEPT, P(POSTED) | P(STARTED) | P(RUNNING) | P(ENDED), E(HAD), SAME_PHASE,
     SAME_EVIDENCE},
    {ATTEMPT_EVENT_ACCEPT, P(ENDED), E(GONE), SAME_PHASE, SAME_EVIDENCE},
    {ATTEMPT_EVENT_SEE, P(POSTED), E(OPEN) | E(DOUBTFUL), SAME_PHASE, EVIDENCE_HAD},
    {ATTEMPT_EVENT_SEE, P(POSTED) | P(STARTED) | P(RUNNING), E(HAD), SAME_PHASE, SAME_EVIDENCE},
    {ATTEMPT_EVENT_START, P(POSTED), E(HAD), PHASE_STARTED, SAME_EVIDENCE},
    {ATTEMPT_EVENT_START, P(STARTED) | P(RUNNING), E(HAD), SAME_PHASE, SAME_EVIDENCE},
    {ATTEMPT_EVENT_NODE, P(STARTED), E(HAD), PHASE_RUNNING, SAME_EVIDENCE},
    {ATTEMPT_EVENT_DENY, P(SENDING), E(UNSENT), SAME_PHASE, SAME_EVIDENCE},
    {ATTEMPT_EVENT_DENY, P(POSTED), E(OPEN) | E(DOUBTFUL), SAME_PHASE, EVIDENCE_NEVER},
    {ATTEMPT_EVENT_DENY, P(POSTED) | P(STARTED) | P(RUNNING), E(HAD), SAME_PHASE, EVIDENCE_GONE},
    {ATTEMPT_EVENT_VANISH, P(POSTED) | P(STARTED) | P(RUNNING), E(HAD), SAME_PHASE, EVIDENCE_GONE},
    {ATTEMPT_EVENT_END, P(SENDING), E(UNSENT), PHASE_ENDED, SAME_EVIDENCE},
    {ATTEMPT_EVENT_END, P(POSTED), E(OPEN) | E(DOUBTFUL) | E(NEVER), PHASE_ENDED, SAME_EVIDENCE},
    {ATTEMPT_EVENT_END, P(POSTED) | P(STARTED) | P(RUNNING), E(HAD) | E(GONE), PHASE_ENDED,
     SAME_EVIDENCE},
    {ATTEMPT_EVENT_GIVE_UP, P(ENDED), E(OPEN) | E(DOUBTFUL) | E(HAD), PHASE_GIVEN_UP,
     SAME_EVIDENCE},
    {ATTEMPT_EVENT_FIND, P(GIVEN_UP), E(OPEN) | E(DOUBTFUL) | E(HAD), PHASE_POSTED, EVIDENCE_HAD},
};

enum { RULES = sizeof rules / sizeof *rules };

const char *attempt_phase_name(enum attempt_phase p)
{
    return phases[p];
}

const char *attempt_evidence_name(enum attempt_evidence e)
{
    return evidences[e];
}

const char *attempt_event_name(enum attempt_event e)
{
    return events[e];
}

const char *attempt_verdict_name(enum attempt_verdict v)
{
    return verdicts[v];
}

struct attempt_state attempt_state_begun(void)
{
    return (struct attempt_state){.phase = PHASE_INTENT, .evidence = EVIDENCE_UNSENT};
}

struct attempt_state attempt_state_adopted(void)
{
    return (struct attempt_state){
        .phase = PHASE_POSTED, .evidence = EVIDENCE_DOUBTFUL, .origin = ORIGIN_ADOPTED};
}

struct attempt_state attempt_state_given_up(void)
{
    return (struct attempt_state){.phase = PHASE_GIVEN_UP, .evidence = EVIDENCE_DOUBTFUL};
}

struct attempt_state attempt_state_orphaned(void)
{
    return (struct attempt_state){.phase = PHASE_ENDED,
                                  .evidence = EVIDENCE_NEVER,
                                  .origin = ORIGIN_ADOPTED,
                                  .verdict = VERDICT_COUNTED};
}

bool attempt_apply(struct attempt_state *s, enum attempt_event e)
{
    size_t i = 0;
    while (i < RULES && (rules[i].event != e || (rules[i].phases >> s->phase & 1u) == 0 ||
                         (rules[i].evidence >> s->evidence & 1u) == 0)) {
        i++;
    }
    if (i == RULES) {
        return false;
    }
    s->phase = rules[i].to_phase == SAME_PHASE ? s->phase : rules[i].to_phase;
    s->evidence = rules[i].to_evidence == SAME_EVIDENCE ? s->evidence : rules[i].to_evidence;
    if (e == ATTEMPT_EVENT_FIND) {
        s->origin = ORIGIN_FOUND;
        s->verdict = VERDICT_NONE;
    }
    return true;
}

/* ---- the end --------------------------------------------------------------------------------- */

static bool is_fault(const struct attempt_ending *e)
{
    return e->outcome == ATTEMPT_FAILED && e->error == ERR_SERVER_FAULT;
}

static bool is_refused(const struct attempt_ending *e)
{
    return e->outcome == ATTEMPT_REJECTED && e->excuse == EXCUSE_HERE;
}

/* True if a probe spares its job; not with too many faults. */
static bool is_spared(const struct attempt_ending *e, unsigned faults)
{
    return (e->probe == PROBE_SPARED || e->probe == PROBE_SICK) && faults < RETRY_MAX_FAULTS;
}

/* Judges an attempt found again: its failure was counted when it was given up. */
static enum attempt_verdict judge_found(const struct attempt_ending *e)
{
    return e->outcome == ATTEMPT_COMPLETED                      ? VERDICT_COMPLETED
           : e->excuse == EXCUSE_OURS                           ? VERDICT_FREE
           : e->probe == PROBE_SPARED || e->probe == PROBE_SICK ? VERDICT_SPARED
                                                                : VERDICT_SETTLED;
}

enum attempt_verdict attempt_judge(const struct attempt_state *s, const struct attempt_ending *e,
                                   const struct job_record *job)
{
    if (s->phase != PHASE_ENDED) {
        return VERDICT_NONE;
    }
    if (s->origin == ORIGIN_FOUND) {
        return judge_found(e);
    }
    const bool cut_off = s->origin == ORIGIN_ADOPTED && !attempt_was_there(s) &&
                         e->outcome == ATTEMPT_LOST && job->lost_by_restart < RETRY_MAX_CUT_OFF;
    const unsigned faults = job->faults + (is_fault(e) && e->fault_counts ? 1 : 0);
    return e->outcome == ATTEMPT_COMPLETED   ? VERDICT_COMPLETED
           : cut_off                         ? VERDICT_CUT_OFF
           : e->excuse == EXCUSE_OURS        ? VERDICT_FREE
           : is_refused(e)                   ? VERDICT_ELSEWHERE
           : is_spared(e, faults)            ? VERDICT_SPARED
           : is_fault(e)                     ? VERDICT_FAULT
           : e->outcome == ATTEMPT_CANCELLED ? VERDICT_CANCELLED
                                             : VERDICT_COUNTED;
}

void attempt_count(const struct attempt_state *s, const struct attempt_ending *e,
                   struct job_record *job)
{
    job->left_dead += attempt_left_dead(e->remains) ? 1 : 0;
    if (s->origin == ORIGIN_FOUND) {
        return; /* the rest was counted when it was given up */
    }
    const enum attempt_verdict v = s->verdict;
    const bool counts = v == VERDICT_COMPLETED || v == VERDICT_CANCELLED || v == VERDICT_COUNTED;
    job->lost_by_restart += v == VERDICT_CUT_OFF ? 1 : 0;
    job->faults += is_fault(e) && e->fault_counts ? 1 : 0;
    job->free_attempts += counts ? 0 : 1;
    job->oom += e->outcome == ATTEMPT_FAILED && e->error == ERR_OUT_OF_MEMORY ? 1 : 0;
}

static enum job_event decide_found(const struct attempt_ending *e, const struct job_record *job,
                                   struct attempt_job_facts facts)
{
    return e->outcome == ATTEMPT_COMPLETED         ? JOB_EVENT_COMPLETE
           : job->cancel_requested                 ? JOB_EVENT_CANCEL
           : facts.own_error || facts.time_is_over ? JOB_EVENT_FAIL
                                                   : JOB_EVENT_REQUEUE;
}

enum job_event attempt_decide(const struct attempt_state *s, const struct attempt_ending *e,
                              const struct job_record *job, struct attempt_job_facts facts)
{
    if (s->origin == ORIGIN_FOUND) {
        return decide_found(e, job, facts);
    }
    const enum attempt_verdict v = s->verdict;
    if (v == VERDICT_COMPLETED) {
        return JOB_EVENT_COMPLETE;
    }
    if (v == VERDICT_ELSEWHERE) {
        return JOB_EVENT_REQUEUE; /* the queue checks for backends left, and cancels */
    }
    /* An interrupted prompt that did not end by itself counts as cancelled. */
    const bool gone = e->outcome == ATTEMPT_LOST || e->error == ERR_BACKEND_ERROR ||
                      e->error == ERR_UPLOAD_FAILED;
    if (e->outcome == ATTEMPT_CANCELLED || (job->cancel_requested && gone)) {
        return JOB_EVENT_CANCEL;
    }
    const bool again = v == VERDICT_CUT_OFF || v == VERDICT_FREE || v == VERDICT_SPARED ||
                       retry_wanted(job, e->outcome, e->error);
    return again && !facts.time_is_over && !facts.own_error ? JOB_EVENT_REQUEUE : JOB_EVENT_FAIL;
}

bool attempt_verdict_is_at_once(enum attempt_verdict v)
{
    return v == VERDICT_CUT_OFF || v == VERDICT_FREE || v == VERDICT_ELSEWHERE ||
           v == VERDICT_SPARED || v == VERDICT_SETTLED;
}

bool attempt_verdict_tells(enum attempt_verdict v)
{
    return v != VERDICT_CUT_OFF && v != VERDICT_FREE;
}
