/* The job table; see the header. The diagram in docs/ARCHITECTURE.md is made from `next`. */
#include "comfypool/core/job.h"

#include <stdlib.h>

#include "comfypool/base/names.h"

static const struct {
    const char *name;
    bool terminal;
} states[JOB_STATE_COUNT] = {
#define X(symbol, name, terminal) [symbol] = {name, terminal},
    JOB_STATE_TABLE(X)
#undef X
};

static const char *const events[JOB_EVENT_COUNT] = {
#define X(symbol, name) [symbol] = name,
    JOB_EVENT_TABLE(X)
#undef X
};

static const char *const outcomes[ATTEMPT_OUTCOME_COUNT] = {
#define X(symbol, name) [symbol] = name,
    ATTEMPT_OUTCOME_TABLE(X)
#undef X
};

static const struct {
    const char *name;
    bool by_default;
} retry_classes[RETRY_CLASS_COUNT] = {
#define X(symbol, name, by_default) [symbol] = {name, by_default},
    RETRY_CLASS_TABLE(X)
#undef X
};

/* Complete over state x event; NEVER is a bug that the setter reports. */
#define NEVER JOB_STATE_COUNT
static const enum job_state next[JOB_STATE_COUNT][JOB_EVENT_COUNT] = {
    /*                 assign       requeue     complete       fail        cancel         retry */
    [JOB_QUEUED] = {JOB_RUNNING, NEVER, NEVER, JOB_FAILED, JOB_CANCELLED, NEVER},
    [JOB_RUNNING] = {NEVER, JOB_QUEUED, JOB_COMPLETED, JOB_FAILED, JOB_CANCELLED, NEVER},
    [JOB_COMPLETED] = {NEVER, NEVER, NEVER, NEVER, NEVER, NEVER},
    [JOB_FAILED] = {NEVER, NEVER, NEVER, NEVER, NEVER, JOB_QUEUED},
    [JOB_CANCELLED] = {NEVER, NEVER, NEVER, NEVER, NEVER, JOB_QUEUED},
};

const char *job_state_name(enum job_state s)
{
    return states[s].name;
}

bool job_state_is_terminal(enum job_state s)
{
    return states[s].terminal;
}

enum job_state job_state_from_name(struct str name)
{
    return (enum job_state)names_index(states, name);
}

const char *job_event_name(enum job_event e)
{
    return events[e];
}

bool job_transition(enum job_state from, enum job_event event, enum job_state *ret)
{
    const enum job_state to = next[from][event];
    if (to == NEVER) {
        return false;
    }
    *ret = to;
    return true;
}

const char *attempt_outcome_name(enum attempt_outcome o)
{
    return outcomes[o];
}

enum attempt_outcome attempt_outcome_from_name(struct str name)
{
    const size_t i = names_index(outcomes, name);
    return i == ATTEMPT_OUTCOME_COUNT ? ATTEMPT_OPEN : (enum attempt_outcome)i;
}

const char *retry_class_name(enum retry_class c)
{
    return retry_classes[c].name;
}

enum retry_class retry_class_from_name(struct str name)
{
    return (enum retry_class)names_index(retry_classes, name);
}

struct job_policy job_policy_default(void)
{
    struct job_policy p = {
#define X(symbol, name, member, least, most, value) .member = (value),
        JOB_POLICY_TABLE(X)
#undef X
    };
    for (int i = 0; i < RETRY_CLASS_COUNT; i++) {
        p.retry_on |= retry_classes[i].by_default ? 1u << i : 0;
    }
    return p;
}

void job_error_done(struct job_error *e)
{
    free(e->message);
    free(e->node_id);
    free(e->node_type);
    free(e->node_errors);
    free(e->traceback);
    *e = (struct job_error){0};
}

void job_error_copy(struct job_error *to, const struct job_error *from)
{
    *to = (struct job_error){
        .code = from->code,
        .message = mem_strdup(from->message),
        .node_id = mem_strdup(from->node_id),
        .node_type = mem_strdup(from->node_type),
        .node_errors = mem_strdup(from->node_errors),
        .traceback = mem_strdup(from->traceback),
    };
}

void job_record_done(struct job_record *r)
{
    free(r->client);
    free(r->after);
    free(r->spec);
    free(r->overrides);
    free(r->attachments);
    free(r->auto_seeds);
    free(r->placement);
    free(r->trace);
    webhook_done(&r->hook);
    free(r->backend);
    free(r->faulted_on);
    free(r->metadata);
    free(r->node_errors);
    free(r->outputs);
    job_error_done(&r->error);
    *r = (struct job_record){0};
}

void attempt_record_done(struct attempt_record *r)
{
    free(r->backend);
    free(r->backend_url);
    job_error_done(&r->error);
    *r = (struct attempt_record){0};
}
