/* Options of the pool, borrowed for as long as it lives. */
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
    const char *ca_file;        /* CA certificates; NULL: as in pool_options */
    const char *gpu;            /* index or UUID of a GPU of its host; NULL: not given */
    struct dur_us refused_lost; /* below 0: as in pool_options */
};

/* A rule for jobs of a workflow, with a member of metadata, or that ask for a label: one of the
   three is set. */
struct pool_rule {
    const char *workflow_hash;
    const char *metadata; /* "KEY=VALUE" */
    const char *label;    /* a selector, as in a job's labels */
    const char *const *backends;
    size_t backends_len;
    bool hard; /* bars all other backends */
};

struct pool_options {
    const struct pool_backend_options *backends;
    size_t backends_len;
    struct comfy_timeouts timeouts;
    struct dur_us submit_settle; /* "in neither" counts only this long after the POST */
    struct dur_us quiet_poll;    /* a trusted socket that is silent while a prompt runs */
    struct dur_us backend_lost;  /* unreachable this long: its attempts are lost */
    struct dur_us refused_lost;  /* its port refuses this long: its attempts are lost; 0: never */
    const char *ca_file;         /* CA certificates to trust besides the system's; or NULL */
    struct job_policy policy;    /* defaults of jobs */
    struct dur_us cancel_grace;  /* told to stop, a prompt must end in this time */
    size_t queue_limit;          /* queued jobs beyond it are refused */
    size_t max_per_client;       /* active jobs of one client beyond it are refused; 0: no limit */
    size_t max_running_per_client; /* running jobs of one client; 0: no limit */
    bool learned;                  /* routing by measured times */
    const struct pool_rule *rules;
    size_t rules_len;
    struct uploads_options uploads;
    const char *upload_subfolder; /* at backends */
    struct copies_options copies; /* of outputs */
    bool keep_outputs;            /* default of jobs */
    bool check_modified; /* check that files are still the job's; see files/output_stamps.h */
    const char *const *stream_classes; /* node classes besides SaveImageWebsocket; see streamed.h */
    size_t stream_classes_len;
    const char *const *trusted_inputs; /* "Class.input" or "Class.*": any value is taken */
    size_t trusted_inputs_len;
    unsigned breaker_failures;
    struct dur_us breaker_open;
    unsigned quarantine_failures;
    struct dur_us dead_worker; /* nothing after execution_start for this long: the worker is dead */
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
