/*
 * The configuration: defaults, then the file, then the environment, then flags. Each later source
 * replaces single values and whole lists. All values have passed their checks: numbers are within
 * their bounds, addresses and URLs are valid, names are unique after config_validate.
 *
 * Every function that reports errors appends whole lines to `errors`, all that it finds, each
 * beginning with where it is ("FILE:LINE: ", "COMFYPOOLD_...: ", "--backend: "). Credentials never
 * get there.
 */
#ifndef COMFYPOOL_CONFIG_CONFIG_H
#define COMFYPOOL_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/err.h"
#include "comfypool/base/log.h"
#include "comfypool/core/job.h"

/* Source of a list. A later source replaces the whole list of an earlier one. */
enum config_source { CONFIG_DEFAULT, CONFIG_FILE, CONFIG_ENVIRONMENT, CONFIG_FLAG };

struct config_list {
    char **items; /* NULL at the end; or NULL: empty */
    unsigned len;
};

struct config_backend {
    char *name; /* as given, or "host:port" with the path prefix of the URL */
    char *url;  /* as given, credentials included: never for a log */
    int64_t weight;
    int64_t max_in_flight;
    struct config_list labels;
    char *gpu;               /* index or UUID, or NULL */
    int64_t refused_lost_ms; /* -1: as in link */
    char *headers_file;      /* or NULL */
    char *ca_file;           /* certificates to trust beside the system's; NULL: as in link */
    bool enabled;
    char **headers; /* "Name: value" each, NULL at the end; or NULL: none */
    char *where;    /* for messages: "FILE:LINE", or the variable or flag */
};

/* Routes jobs to backends. One of the first three members selects the jobs. */
struct config_rule {
    char *workflow_hash;
    char *metadata; /* "KEY=VALUE" */
    char *label;
    struct config_list backends;
    bool hard;
};

/* Default of what happens to a job's outputs. */
enum config_keep { CONFIG_KEEP_NONE, CONFIG_KEEP_COPY };

struct config_link {
    char *ca_file; /* or NULL */
    int64_t ping_interval_ms;
    int64_t pong_timeout_ms;
    int64_t connect_timeout_ms;
    int64_t request_timeout_ms;
    int64_t submit_timeout_ms;
    int64_t submit_settle_ms;
    int64_t quiet_poll_ms;
    int64_t backend_lost_ms;
    int64_t refused_lost_ms;
};

struct config {
    char **listen; /* "HOST:PORT" or "unix:/path" each */
    unsigned listen_len;
    enum config_source listen_from;
    char *state; /* a directory, or NULL; see settings_state_directory */
    enum log_level log_level;
    struct config_backend *backends;
    unsigned backends_len;
    enum config_source backends_from;
    struct config_link link;
    int64_t queue_limit;
    struct job_policy jobs; /* defaults of jobs */
    int64_t jobs_cancel_grace_ms;
    int64_t jobs_max_per_client;         /* 0: no limit */
    int64_t jobs_max_running_per_client; /* 0: no limit */
    int64_t uploads_max_file_bytes;
    int64_t uploads_max_bytes;
    int64_t uploads_max_age_days;
    char *uploads_subfolder;
    enum config_keep outputs_keep;
    int64_t outputs_max_bytes;
    int64_t outputs_max_age_days;
    bool outputs_check_modified;
    struct config_list outputs_stream_classes;
    bool routing_learned;
    struct config_list routing_trusted_inputs; /* "Class.input" or "Class.*" */
    struct config_rule *routing_rules;
    unsigned routing_rules_len;
    int64_t breaker_failures;
    int64_t breaker_open_ms;
    int64_t quarantine_failures;
    int64_t quarantine_dead_worker_ms;
    bool profiling_enabled;
    int64_t profiling_max_progress_events;
    bool sampling_crystools;
    bool sampling_system_stats;
    int64_t sampling_system_stats_interval_ms;
    bool sampling_local;
    bool sampling_nvml;
    int64_t retention_days;  /* 0: no limit */
    int64_t retention_count; /* 0: no limit */
    int64_t http_max_body_bytes;
    int64_t http_max_connections;
    int64_t http_max_connections_per_address; /* 0: http_max_connections alone */
    int64_t http_header_timeout_ms;
    int64_t http_body_timeout_ms;
    int64_t http_max_waits;
    int64_t http_max_streams;
    struct config_list http_allowed_hosts;
    struct config_list http_allowed_origins;
    char *auth_tokens_file; /* or NULL */
    bool auth_shared;
    struct config_list webhooks_urls;
    char *webhooks_secret_file; /* or NULL */
    int64_t webhooks_max_concurrent;
    struct config_list webhooks_allow; /* networks, addresses, host names */
    char *hooks_exec;                  /* or NULL */
    unsigned hooks_events;             /* set of 1u << event_type */
    int64_t hooks_timeout_ms;
    int64_t hooks_max_concurrent;
    char *otlp_endpoint;     /* or NULL */
    char *otlp_headers_file; /* or NULL */
};

/* Sets the defaults: one address to listen on, no backend. */
void config_init(struct config *c);
void config_done(struct config *c);

/*
 * Reads a YAML file over c. False on errors; c is then unchanged. A backend's headersFile is read
 * too, relative to the configuration file.
 */
bool config_load_file(struct config *c, const char *path, struct buf *errors) MUST_CHECK;

/* Rereads the headersFile of a backend, if it has one. False with lines in errors; the old headers
   stay. */
bool config_reload_headers(struct config_backend *b, struct buf *errors) MUST_CHECK;

/*
 * Reads the variables COMFYPOOLD_*: http.maxBodyBytes is COMFYPOOLD_HTTP_MAX_BODY_BYTES, lists are
 * comma-separated, COMFYPOOLD_BACKENDS=name=url,url. An empty variable counts as not set.
 * An unknown one is a warning in the log, or an error if strict; COMFYPOOLD_CONFIG is left to the
 * caller.
 */
bool config_load_env(struct config *c, bool strict, struct buf *errors) MUST_CHECK;

/* For flags: adds "URL" or "name=URL". The first one replaces the backends of file and
   environment. */
bool config_add_backend(struct config *c, const char *spec, struct buf *errors) MUST_CHECK;

/* For flags: adds addresses, comma-separated. The first call replaces those of file and
   environment. */
bool config_set_listen(struct config *c, const char *addresses, struct buf *errors) MUST_CHECK;

/* For flags: sets a single value by its key, such as "http.maxWaits". `flag` begins the message. */
bool config_set(struct config *c, const char *key, const char *value, const char *flag,
                struct buf *errors) MUST_CHECK;

/* Checks across sources: duplicate names and URLs of backends, and files of certificates. */
bool config_validate(const struct config *c, struct buf *errors) MUST_CHECK;

/* True if only this machine can reach an address of `listen`. */
bool config_address_is_local(const char *address);

/* Prints one key a line: key, default ("-": none), unit and bounds, variable; separated by tabs. */
void config_print_keys(FILE *out);

#endif
