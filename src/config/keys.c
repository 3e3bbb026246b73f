/*
 * The table of configuration keys, and its look-ups: names, paths, variables, the list for
 * --print-config-keys. Knows nothing of sources. A search costs O(keys).
 */
#include <ctype.h>
#include <stdio.h>

#include "comfypool/base/near.h"

#include "inner.h"

enum { HOUR_MS = 3600 * 1000, DAY_MS = 24 * HOUR_MS };

#define OF(member) offsetof(struct config, member)
#define OF_RULE(member) offsetof(struct config_rule, member)
#define OF_BACKEND(member) offsetof(struct config_backend, member)

/* The units of JOB_POLICY_TABLE. */
#define UNIT_POLICY_MAX_ATTEMPTS "attempts"
#define UNIT_POLICY_RETRY_DELAY "ms"
#define UNIT_POLICY_QUEUE_TIMEOUT "ms"
#define UNIT_POLICY_START_TIMEOUT "ms"
#define UNIT_POLICY_NODE_TIMEOUT "ms"
#define UNIT_POLICY_JOB_TIMEOUT "ms"

/* clang-format off */
const struct config_key config_keys[] = {
    /* section, name, kind, least, most, default, unit, place */
    {"", "listen", CONFIG_ADDRESSES, 0, 0, "127.0.0.1:8189", "addresses", OF(listen)},
    {"", "state", CONFIG_PATH, 0, 0, NULL, "directory", OF(state)},
    {"log", "level", CONFIG_LEVEL, 0, 0, "info", "error, warning, info or debug", OF(log_level)},
    {"", "backends", CONFIG_BACKENDS, 0, 0, NULL, "list", OF(backends)},
    {CONFIG_ITEM, "name", CONFIG_NAME, 0, 0, NULL, "text", OF_BACKEND(name)},
    {CONFIG_ITEM, "url", CONFIG_URL, 0, 0, NULL, "URL", OF_BACKEND(url)},
    {CONFIG_ITEM, "weight", CONFIG_INT, 1, 1000, "1", "share", OF_BACKEND(weight)},
    {CONFIG_ITEM, "maxInFlight", CONFIG_INT, 1, 100, "1", "prompts", OF_BACKEND(max_in_flight)},
    {CONFIG_ITEM, "labels", CONFIG_LABELS, 0, 0, NULL, "labels", OF_BACKEND(labels)},
    {CONFIG_ITEM, "gpu", CONFIG_GPU, 0, 0, NULL, "index or UUID", OF_BACKEND(gpu)},
    {CONFIG_ITEM, "headersFile", CONFIG_HEADERS, 0, 0, NULL, "file", OF_BACKEND(headers_file)},
    {CONFIG_ITEM, "caFile", CONFIG_BESIDE, 0, 0, NULL, "file", OF_BACKEND(ca_file)},
    {CONFIG_ITEM, "refusedLostMs", CONFIG_INT, -1, DAY_MS, "-1", "ms", OF_BACKEND(refused_lost_ms)},
    {CONFIG_ITEM, "enabled", CONFIG_BOOL, 0, 0, "true", "true or false", OF_BACKEND(enabled)},
    {"link", "pingIntervalMs", CONFIG_INT, 1, HOUR_MS, "10000", "ms", OF(link.ping_interval_ms)},
    {"link", "pongTimeoutMs", CONFIG_INT, 1, HOUR_MS, "10000", "ms", OF(link.pong_timeout_ms)},
    {"link", "connectTimeoutMs", CONFIG_INT, 1, HOUR_MS, "5000", "ms", OF(link.connect_timeout_ms)},
    {"link", "requestTimeoutMs", CONFIG_INT, 1, HOUR_MS, "10000", "ms", OF(link.request_timeout_ms)},
    {"link", "submitTimeoutMs", CONFIG_INT, 1, HOUR_MS, "15000", "ms", OF(link.submit_timeout_ms)},
    {"link", "submitSettleMs", CONFIG_INT, 0, HOUR_MS, "10000", "ms", OF(link.submit_settle_ms)},
    {"link", "quietPollMs", CONFIG_INT, 1, HOUR_MS, "10000", "ms", OF(link.quiet_poll_ms)},
    {"link", "backendLostMs", CONFIG_INT, 0, DAY_MS, "60000", "ms", OF(link.backend_lost_ms)},
    {"link", "refusedLostMs", CONFIG_INT, 0, DAY_MS, "3000", "ms", OF(link.refused_lost_ms)},
    {"link", "caFile", CONFIG_BESIDE, 0, 0, NULL, "file", OF(link.ca_file)},
    {"queue", "limit", CONFIG_INT, 1, 1000000, "10000", "jobs", OF(queue_limit)},
#define X(symbol, name, member, least, most, value) \
    {"jobs", name, CONFIG_INT, least, most, #value, UNIT_##symbol, OF(jobs.member)},
    JOB_POLICY_TABLE(X)
#undef X
    {"jobs", "retryOn", CONFIG_CLASSES, 0, 0, "transient, lost, out_of_memory, timeout, server_fault", "classes of failures", OF(jobs.retry_on)},
    {"jobs", "cancelGraceMs", CONFIG_INT, 0, DAY_MS, "30000", "ms", OF(jobs_cancel_grace_ms)},
    {"jobs", "maxPerClient", CONFIG_INT, 0, 1000000, "0", "jobs", OF(jobs_max_per_client)},
    {"jobs", "maxRunningPerClient", CONFIG_INT, 0, 1000000, "0", "jobs", OF(jobs_max_running_per_client)},
    {"uploads", "maxFileBytes", CONFIG_INT, 1, INT64_C(1) << 50, "2147483648", "bytes", OF(uploads_max_file_bytes)},
    {"uploads", "maxBytes", CONFIG_INT, 1, INT64_C(1) << 50, "21474836480", "bytes", OF(uploads_max_bytes)},
    {"uploads", "maxAgeDays", CONFIG_INT, 1, 36500, "7", "days", OF(uploads_max_age_days)},
    {"uploads", "subfolder", CONFIG_NAME, 0, 0, "comfypool", "name", OF(uploads_subfolder)},
    {"outputs", "keep", CONFIG_KEEP, 0, 0, "none", "none or copy", OF(outputs_keep)},
    {"outputs", "maxBytes", CONFIG_INT, 1, INT64_C(1) << 50, "53687091200", "bytes", OF(outputs_max_bytes)},
    {"outputs", "maxAgeDays", CONFIG_INT, 1, 36500, "30", "days", OF(outputs_max_age_days)},
    {"outputs", "checkModified", CONFIG_BOOL, 0, 0, "true", "true or false", OF(outputs_check_modified)},
    {"outputs", "streamClasses", CONFIG_NODE_CLASSES, 0, 0, NULL, "classes of nodes", OF(outputs_stream_classes)},
    {"routing", "learned", CONFIG_BOOL, 0, 0, "true", "true or false", OF(routing_learned)},
    {"routing", "rules", CONFIG_RULES, 0, 0, NULL, "list", OF(routing_rules)},
    {"routing", "trustedInputs", CONFIG_INPUTS, 0, 0, NULL, "inputs of nodes", OF(routing_trusted_inputs)},
    {CONFIG_RULE, "workflowHash", CONFIG_HASH, 0, 0, NULL, "64 hex digits", OF_RULE(workflow_hash)},
    {CONFIG_RULE, "metadata", CONFIG_PAIR, 0, 0, NULL, "KEY=VALUE", OF_RULE(metadata)},
    {CONFIG_RULE, "label", CONFIG_LABEL, 0, 0, NULL, "selector", OF_RULE(label)},
    {CONFIG_RULE, "backends", CONFIG_NAMES, 0, 0, NULL, "names", OF_RULE(backends)},
    {CONFIG_RULE, "hard", CONFIG_BOOL, 0, 0, "false", "true or false", OF_RULE(hard)},
    {"breaker", "failures", CONFIG_INT, 1, 1000, "3", "failures in a row", OF(breaker_failures)},
    {"breaker", "openMs", CONFIG_INT, 1, DAY_MS, "60000", "ms", OF(breaker_open_ms)},
    {"quarantine", "failures", CONFIG_INT, 1, 1000, "5", "failures in a row", OF(quarantine_failures)},
    {"quarantine", "deadWorkerMs", CONFIG_INT, 1, DAY_MS, "120000", "ms", OF(quarantine_dead_worker_ms)},
    {"profiling", "enabled", CONFIG_BOOL, 0, 0, "false", "true or false", OF(profiling_enabled)},
    {"profiling", "maxProgressEvents", CONFIG_INT, 0, 1000000, "10000", "events a node",
     OF(profiling_max_progress_events)},
    {"sampling", "crystools", CONFIG_BOOL, 0, 0, "true", "true or false", OF(sampling_crystools)},
    {"sampling", "systemStats", CONFIG_BOOL, 0, 0, "true", "true or false", OF(sampling_system_stats)},
    {"sampling", "systemStatsIntervalMs", CONFIG_INT, 50, HOUR_MS, "500", "ms", OF(sampling_system_stats_interval_ms)},
    {"sampling", "local", CONFIG_BOOL, 0, 0, "false", "true or false", OF(sampling_local)},
    {"sampling", "nvml", CONFIG_BOOL, 0, 0, "false", "true or false", OF(sampling_nvml)},
    {"retention", "days", CONFIG_INT, 0, 36500, "30", "days", OF(retention_days)},
    {"retention", "count", CONFIG_INT, 0, 1000000000, "100000", "jobs", OF(retention_count)},
    {"http", "maxBodyBytes", CONFIG_INT, 1024, 1 << 30, "33554432", "bytes", OF(http_max_body_bytes)},
    {"http", "maxConnections", CONFIG_INT, 1, 1000000, "4096", "connections",
     OF(http_max_connections)},
    {"http", "maxConnectionsPerAddress", CONFIG_INT, 0, 1000000, "256", "connections",
     OF(http_max_connections_per_address)},
    {"http", "headerTimeoutMs", CONFIG_INT, 1, HOUR_MS, "10000", "ms", OF(http_header_timeout_ms)},
    {"http", "bodyTimeoutMs", CONFIG_INT, 1, DAY_MS, "60000", "ms", OF(http_body_timeout_ms)},
    {"http", "maxWaits", CONFIG_INT, 0, 1000000, "1000", "requests", OF(http_max_waits)},
    {"http", "maxStreams", CONFIG_INT, 0, 1000000, "1000", "answers", OF(http_max_streams)},
    {"http", "allowedHosts", CONFIG_HOSTS, 0, 0, NULL, "host names", OF(http_allowed_hosts)},
    {"http", "allowedOrigins", CONFIG_ORIGINS, 0, 0, NULL, "origins", OF(http_allowed_origins)},
    {"auth", "tokensFile", CONFIG_BESIDE, 0, 0, NULL, "file", OF(auth_tokens_file)},
    {"auth", "shared", CONFIG_BOOL, 0, 0, "false", "true or false", OF(auth_shared)},
    {"webhooks", "urls", CONFIG_RECEIVERS, 0, 0, NULL, "URLs", OF(webhooks_urls)},
    {"webhooks", "secretFile", CONFIG_BESIDE, 0, 0, NULL, "file", OF(webhooks_secret_file)},
    {"webhooks", "maxConcurrent", CONFIG_INT, 1, 1000, "32", "deliveries", OF(webhooks_max_concurrent)},
    {"webhooks", "allow", CONFIG_NETWORKS, 0, 0, NULL, "networks, addresses and host names", OF(webhooks_allow)},
    {"hooks", "exec", CONFIG_BESIDE, 0, 0, NULL, "program", OF(hooks_exec)},
    {"hooks", "events", CONFIG_EVENTS, 0, 0, "job:completed, job:failed, job:cancelled, batch:completed", "events", OF(hooks_events)},
    {"hooks", "timeoutMs", CONFIG_INT, 1, DAY_MS, "30000", "ms", OF(hooks_timeout_ms)},
    {"hooks", "maxConcurrent", CONFIG_INT, 1, 1000, "4", "runs", OF(hooks_max_concurrent)},
    {"otlp", "endpoint", CONFIG_ENDPOINT, 0, 0, NULL, "URL", OF(otlp_endpoint)},
    {"otlp", "headersFile", CONFIG_BESIDE, 0, 0, NULL, "file", OF(otlp_headers_file)},
};
/* clang-format on */

const char *const config_sections[] = {
    "log",     "link",    "queue",      "jobs",      "uploads",  "outputs",
    "routing", "breaker", "quarantine", "profiling", "sampling", "retention",
    "http",    "auth",    "webhooks",   "hooks",     "otlp"};
const size_t config_sections_len = sizeof config_sections / sizeof *config_sections;
_Static_assert(sizeof config_sections / sizeof *config_sections <= CONFIG_SECTIONS_MOST,
               "raise CONFIG_SECTIONS_MOST");

const size_t config_keys_len = sizeof config_keys / sizeof *config_keys;
_Static_assert(sizeof config_keys / sizeof *config_keys <= CONFIG_KEYS_MOST,
               "raise CONFIG_KEYS_MOST");

/* ---- finding keys ---------------------------------------------------------------------------- */

void config_key_path(const struct config_key *k, char ret[CONFIG_PATH_SIZE])
{
    (void)snprintf(ret, CONFIG_PATH_SIZE, "%s%s%s", k->section, *k->section == '\0' ? "" : ".",
                   k->name);
}

const struct config_key *config_key_find(const char *section, struct str name)
{
    for (size_t i = 0; i < config_keys_len; i++) {
        if (strcmp(config_keys[i].section, section) == 0 && str_is(name, config_keys[i].name)) {
            return &config_keys[i];
        }
    }
    return NULL;
}

const struct config_key *config_key_find_path(const char *path)
{
    for (size_t i = 0; i < config_keys_len; i++) {
        char mine[CONFIG_PATH_SIZE];
        config_key_path(&config_keys[i], mine);
        if (strcmp(mine, path) == 0) {
            return &config_keys[i];
        }
    }
    return NULL;
}

bool config_key_is_of_entry(const struct config_key *k)
{
    return strcmp(k->section, CONFIG_ITEM) == 0 || strcmp(k->section, CONFIG_RULE) == 0;
}

bool config_key_suggest(const char *section, struct str name, char ret[CONFIG_PATH_SIZE])
{
    struct near near = near_to(name);
    for (size_t i = 0; i < config_keys_len; i++) {
        const char *before = near.name;
        if (strcmp(config_keys[i].section, section) == 0) {
            near_try(&near, config_keys[i].name);
        }
        if (near.name != before) {
            config_key_path(&config_keys[i], ret);
        }
    }
    for (size_t i = 0; i < config_sections_len && *section == '\0'; i++) {
        const char *before = near.name;
        near_try(&near, config_sections[i]);
        if (near.name != before) {
            (void)snprintf(ret, CONFIG_PATH_SIZE, "%s", near.name);
        }
    }
    /* In another section: only if spelled exactly. */
    for (size_t i = 0; i < config_keys_len && near.name == NULL; i++) {
        if (near_distance(name, str_of(config_keys[i].name)) == 0) {
            config_key_path(&config_keys[i], ret);
            return true;
        }
    }
    return near.name != NULL;
}

/* ---- their variables ------------------------------------------------------------------------- */

/* http.maxBodyBytes: COMFYPOOLD_HTTP_MAX_BODY_BYTES. "" for keys of the file alone. */
void config_key_variable(const struct config_key *k, char ret[CONFIG_PATH_SIZE * 2])
{
    char path[CONFIG_PATH_SIZE];
    config_key_path(k, path);
    size_t n = (size_t)snprintf(ret, CONFIG_PATH_SIZE, "%s", CONFIG_VARIABLE_PREFIX);
    for (const char *p = path; *p != '\0'; p++) {
        if (isupper((unsigned char)*p)) {
            ret[n++] = '_';
        }
        ret[n++] = *p == '.' ? '_' : (char)toupper((unsigned char)*p);
    }
    ret[config_key_is_of_entry(k) || k->kind == CONFIG_RULES ? 0 : n] = '\0';
}

/* ---- the list of keys ------------------------------------------------------------------------ */

void config_print_keys(FILE *out)
{
    for (size_t i = 0; i < config_keys_len; i++) {
        const struct config_key *k = &config_keys[i];
        char path[CONFIG_PATH_SIZE];
        char variable[CONFIG_PATH_SIZE * 2];
        config_key_path(k, path);
        config_key_variable(k, variable);
        (void)fprintf(out, "%s\t%s\t%s", path, k->fallback == NULL ? "-" : k->fallback, k->unit);
        if (k->kind == CONFIG_INT) {
            (void)fprintf(out, ", %lld to %lld", (long long)k->min, (long long)k->max);
        }
        (void)fprintf(out, "\t%s\n", *variable == '\0' ? "-" : variable);
    }
}
