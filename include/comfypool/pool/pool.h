/*
 * The conductor: jobs x backends. It owns the jobs that are queued or running, feeds what the
 * backends say to core, stores what core decides, and answers the API.
 */
#ifndef COMFYPOOL_POOL_POOL_H
#define COMFYPOOL_POOL_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "comfypool/base/err.h"
#include "comfypool/base/net_rules.h"
#include "comfypool/base/time.h"
#include "comfypool/comfy/backend.h"
#include "comfypool/files/output_copies.h"
#include "comfypool/files/uploads.h"
#include "comfypool/notify/hooks.h"
#include "comfypool/notify/otlp.h"
#include "comfypool/notify/webhooks.h"
#include "comfypool/sampling/sampler.h"
#include "comfypool/loop/http_client.h"
#include "comfypool/loop/ws_client.h"
#include "comfypool/store/blobs.h"

struct events;
struct file_servers;
struct pool;
struct stamps;

/* Something that was asked for is durable (ERR_NONE), or cannot be done. */
typedef void (*pool_done_fn)(void *ctx, enum err e);

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

/* Which sources of samples are used. */
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

/*
 * Whoever asks for something that takes its time waits under a number of its own, a ticket. The
 * pool wakes a ticket when what it waits for has happened; one whose holder has gone may be woken,
 * too.
 */
struct pool_callers {
    void (*wake)(void *ctx, uint64_t ticket);
    bool (*waits)(void *ctx, uint64_t ticket); /* its holder is still there */
    void *ctx;
};

/* Everything is borrowed until pool_close. */
struct pool *pool_new(uv_loop_t *loop, struct store *store, struct http_client *http,
                      struct ws_client *ws, const struct pool_options *options);
/* Whom to wake (copied); NULL: nobody any more. */
void pool_set_callers(struct pool *p, const struct pool_callers *callers);

/* The files of the pool. */
struct uploads *pool_uploads(struct pool *p);
struct copies *pool_copies(struct pool *p);
struct stamps *pool_stamps(struct pool *p);
struct file_servers *pool_file_servers(struct pool *p);
struct webhooks *pool_webhooks(struct pool *p);
/* What happens to jobs and backends; see notify/events.h. */
struct events *pool_events(struct pool *p);

/* Loads what the store has of active jobs and connects the backends. False: the store failed. */
bool pool_start(struct pool *p) MUST_CHECK;

/* Somebody changed something outside (SIGHUP): what a gateway refused is tried again. The headers
   of backends are taken again from the options that pool_new was given. */
void pool_reload(struct pool *p);

/*
 * No job is dispatched any more; `done` is called when everything that was under way is stored or
 * answered, or after a second.
 */
void pool_stop(struct pool *p, void (*done)(void *ctx), void *ctx);
/* Frees everything (handles when the loop has run their close callbacks). After store_close. False:
   a GPU driver hangs in a thread of ours, so that exit() might hang too: leave by _exit(). */
bool pool_close(struct pool *p);

#endif
