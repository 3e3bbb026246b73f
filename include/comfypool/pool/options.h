/* What the pool is told when it is made, and for as long as it lives. */
#ifndef COMFYPOOL_POOL_OPTIONS_H
#define COMFYPOOL_POOL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/time.h"
#include "comfypool/comfy/backend.h"
#include "comfypool/core/job.h"
#include "comfypool/files/output_copies.h"
#include "comfypool/files/uploads.h"
#include "comfypool/notify/hooks.h"
#include "comfypool/notify/otlp.h"
#include "comfypool/notify/webhooks.h"
#include "comfypool/sampling/sampler.h"

struct pool_backend_options {
    const char *name; /* NULL: made from the URL */
    const char *url;
    double weight;
    unsigned max_in_flight;
    const char *const *labels;
    size_t labels_len;
    const char *const *headers; /* "Name: value", NULL at the end; or NULL */
    const char *ca_file;        /* of certificates; NULL: as pool_options has it */
    const char *gpu;            /* index or UUID among those of its host; NULL: not said */
    struct dur_us refused_lost; /* below 0: as pool_options has it */
};

/* Jobs of a workflow, with a member of metadata, or that ask for a label: one of the three is set.
 */
struct pool_rule {
    const char *workflow_hash;
    const char *metadata; /* "KEY=VALUE" */
    const char *label;    /* a selector, as it stands in a job's labels */
    const char *const *backends;
    size_t backends_len;
    bool hard; /* nowhere else */
};

struct pool_options {
    const struct pool_backend_options *backends;
    size_t backends_len;
    struct comfy_timeouts timeouts;
    struct dur_us submit_settle;   /* "in neither" counts only this long after the POST */
    struct dur_us quiet_poll;      /* a trusted socket that is silent while a prompt runs */
    struct dur_us backend_lost;    /* unreachable this long: its attempts are lost */
    struct dur_us refused_lost;    /* its port refuses this long: the same; 0: never */
    const char *ca_file;           /* certificates to trust beside the system's; or NULL */
    struct job_policy policy;      /* what a job gets that does not say otherwise */
    struct dur_us cancel_grace;    /* told to stop, a prompt must end in this time */
    size_t queue_limit;            /* queued jobs beyond it are refused */
    size_t max_per_client;         /* active jobs of one client beyond it are refused; 0: none is */
    size_t max_running_per_client; /* ... run at once; 0: as many as there are places */
    bool learned;                  /* routing by measured times */
    const struct pool_rule *rules;
    size_t rules_len;
    struct uploads_options uploads;
    const char *upload_subfolder; /* at backends */
    struct copies_options copies; /* of outputs */
    bool keep_outputs;            /* of jobs that do not say */
    bool check_modified; /* of files: whether they are still the job's; see files/output_stamps.h */
    const char *const *stream_classes; /* of nodes beside SaveImageWebsocket; see streamed.h */
    size_t stream_classes_len;
    const char *const *trusted_inputs; /* "Class.input" or "Class.*": any value is taken */
    size_t trusted_inputs_len;
    unsigned breaker_failures;
    struct dur_us breaker_open;
    unsigned quarantine_failures;
    struct dur_us dead_worker; /* running, and nothing after execution_start for so long */
    bool profiling;
    unsigned max_progress_events;
    struct dur_us keep_for; /* retention by age; 0: for ever */
    int64_t keep_count;     /* retention by count; 0: all */
    struct sampling_options sampling;
    struct webhooks_options webhooks;
    struct hooks_options hooks;
    struct otlp_options otlp;
};

#endif
