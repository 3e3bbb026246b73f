/* The names of events; see the header. */
#include "comfypool/core/event.h"

#include "comfypool/base/names.h"

static const struct {
    const char *name;
    bool durable;
    bool hook;
} types[EVENT_TYPE_COUNT] = {
#define X(symbol, n, d, h) [symbol] = {n, d, h},
    EVENT_TABLE(X)
#undef X
};

const char *event_name(enum event_type t)
{
    return types[t].name;
}

enum event_type event_from_name(struct str name)
{
    return (enum event_type)names_index(types, name);
}

bool event_is_durable(enum event_type t)
{
    return types[t].durable;
}

bool event_is_for_hooks(enum event_type t)
{
    return types[t].hook;
}

enum event_type event_of_end(enum job_state s)
{
    return s == JOB_COMPLETED ? EVENT_COMPLETED : s == JOB_FAILED ? EVENT_FAILED : EVENT_CANCELLED;
}
