/*
 * The configuration: defaults, then the file, then the environment, then flags. Each later source
 * replaces single values and whole lists. What is here has passed every check: numbers are within
 * their bounds, addresses and URLs can be read, names are unique after config_validate.
 *
 * Every function that reports appends whole lines to `errors`, all of what it finds, each beginning
 * with where it is ("FILE:LINE: ", "COMFYPOOLD_...: ", "--backend: "). Credentials never get there.
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

/* Where a list comes from. A later source replaces the whole list of an earlier one. */
enum config_source { CONFIG_DEFAULT, CONFIG_FILE, CONFIG_ENVIRONMENT, CONFIG_FLAG };

struct config_list {
    char **items; /* NULL behind the last; or NULL: there are none */
    unsigned len;
};

struct config_backend {
    char *name; /* as given, or "host:port" with the path prefix of the URL */
    char *url;  /* as given, credentials included: never for a log */
    int64_t weight;
    int64_t max_in_flight;
    struct config_list labels;
    char *gpu;               /* index or UUID, or NULL */
    int64_t refused_lost_ms; /* -1: that of link */
    char *headers_file;      /* or NULL */
    char *ca_file;           /* certificates to trust beside the system's; NULL: that of link */
    bool enabled;
    char **headers; /* "Name: value" each, NULL behind the last; or NULL: none */
    char *where;    /* for messages: "FILE:LINE", or the variable or flag */
};

/* Sends jobs to backends. One of the first three members says which jobs. */
struct config_rule {
    char *workflow_hash;
    char *metadata; /* "KEY=VALUE" */
    char *label;
    struct config_list backends;
    bool hard;
};

/* What happens to the outputs of jobs that do not say. */
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
    struct job_policy jobs; /* for what a job does not say itself */
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
    int64_t http_max_connections_per_address; /* 0: as many as there may be in all */
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
    unsigned hooks_events;             /* 1u << event_type each */
    int64_t hooks_timeout_ms;
    int64_t hooks_max_concurrent;
    char *otlp_endpoint;     /* or NULL */
    char *otlp_headers_file; /* or NULL */
};

/* The defaults: one address to listen on, no backend. */
void config_init(struct config *c);
void config_done(struct config *c);

/*
 * Reads a YAML file over what c holds. False when it has errors; c is then as it was. Files that a
 * backend's headersFile names are read too, relative ones beside the configuration file.
 */
bool config_load_file(struct config *c, const char *path, struct buf *errors) MUST_CHECK;

/* Reads the headersFile of a backend again, if it has one. False with lines in errors; the old
   headers stay. */
bool config_reload_headers(struct config_backend *b, struct buf *errors) MUST_CHECK;

/*
 * Reads the variables COMFYPOOLD_*: http.maxBodyBytes is COMFYPOOLD_HTTP_MAX_BODY_BYTES, lists are
 * comma-separated, COMFYPOOLD_BACKENDS=name=url,url. An empty variable counts as not set.
 * An unknown one is a warning in the log, or an error if strict; COMFYPOOLD_CONFIG is left to the
 * caller.
 */
bool config_load_env(struct config *c, bool strict, struct buf *errors) MUST_CHECK;

/* For flags: "URL" or "name=URL". The first one replaces the backends of file and environment. */
bool config_add_backend(struct config *c, const char *spec, struct buf *errors) MUST_CHECK;

/* For flags: addresses, comma-separated. The first call replaces those of file and environment,
   further ones add. */
bool config_set_listen(struct config *c, const char *addresses, struct buf *errors) MUST_CHECK;

/* For flags: any single value by its key, such as "http.maxWaits". `flag` begins the message. */
bool config_set(struct config *c, const char *key, const char *value, const char *flag,
                struct buf *errors) MUST_CHECK;

/* Checks what needs all sources: doubled names and URLs of backends, and files of certificates. */
bool config_validate(const struct config *c, struct buf *errors) MUST_CHECK;

/* Whether only this machine can reach an address of `listen`. */
bool config_address_is_local(const char *address);

/* Prints one key a line: key, default ("-": none), unit and bounds, variable; separated by tabs. */
void config_print_keys(FILE *out);

#endif
