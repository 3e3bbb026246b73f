/*
 * The table of configuration keys and all that is made from it but the file: defaults, checks of
 * single values, the environment, what the flag parser calls, the list for `--print-config-keys`.
 * Knows nothing of YAML. Invariant: nothing is stored in a struct config that was not checked here.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <unistd.h>

#include "comfypool/base/map.h"
#include "comfypool/base/near.h"
#include "comfypool/base/net_rules.h"
#include "comfypool/comfy/backend.h"
#include "comfypool/core/event.h"
#include "comfypool/core/label.h"
#include "comfypool/loop/url.h"
#include "config_inner.h"

enum {
    HOUR_MS = 3600 * 1000,
    DAY_MS = 24 * HOUR_MS,
    MAX_NAME = 100,
    MAX_LABEL = 100,
    MAX_TEXT = 4000,
    MAX_SOCKET_PATH = 107
};

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
const struct config_key config_keys[CONFIG_KEY_COUNT] = {
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
    {CONFIG_ITEM, "headersFile", CONFIG_PATH, 0, 0, NULL, "file", OF_BACKEND(headers_file)},
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

const char *const config_sections[CONFIG_SECTION_COUNT] = {
    "log",     "link",    "queue",      "jobs",      "uploads",  "outputs",
    "routing", "breaker", "quarantine", "profiling", "sampling", "retention",
    "http",    "auth",    "webhooks",   "hooks",     "otlp"};

/* ---- finding keys ------------------------------------------------------------------------------
 */

void config_key_path(const struct config_key *k, char ret[CONFIG_PATH_SIZE])
{
    (void)snprintf(ret, CONFIG_PATH_SIZE, "%s%s%s", k->section, *k->section == '\0' ? "" : ".",
                   k->name);
}

const struct config_key *config_key_find(const char *section, struct str name)
{
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        if (strcmp(config_keys[i].section, section) == 0 && str_is(name, config_keys[i].name)) {
            return &config_keys[i];
        }
    }
    return NULL;
}

static const struct config_key *find_path(const char *path)
{
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        char mine[CONFIG_PATH_SIZE];
        config_key_path(&config_keys[i], mine);
        if (strcmp(mine, path) == 0) {
            return &config_keys[i];
        }
    }
    return NULL;
}

bool config_key_suggest(const char *section, struct str name, char ret[CONFIG_PATH_SIZE])
{
    struct near near = near_to(name);
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        const char *before = near.name;
        if (strcmp(config_keys[i].section, section) == 0) {
            near_try(&near, config_keys[i].name);
        }
        if (near.name != before) {
            config_key_path(&config_keys[i], ret);
        }
    }
    for (size_t i = 0; i < CONFIG_SECTION_COUNT && *section == '\0'; i++) {
        const char *before = near.name;
        near_try(&near, config_sections[i]);
        if (near.name != before) {
            (void)snprintf(ret, CONFIG_PATH_SIZE, "%s", near.name);
        }
    }
    /* In the wrong section: only when it is spelled right. */
    for (size_t i = 0; i < CONFIG_KEY_COUNT && near.name == NULL; i++) {
        if (near_distance(name, str_of(config_keys[i].name)) == 0) {
            config_key_path(&config_keys[i], ret);
            return true;
        }
    }
    return near.name != NULL;
}

/* ---- single values -----------------------------------------------------------------------------
 */

static bool say(char why[CONFIG_WHY_SIZE], const char *text)
{
    (void)snprintf(why, CONFIG_WHY_SIZE, "%s", text);
    return false;
}

static bool int_check(const struct config_key *k, struct str text, char why[CONFIG_WHY_SIZE])
{
    int64_t v = 0;
    const bool padded = text.n > 1 && (text.p[0] == '0' || (text.p[0] == '-' && text.p[1] == '0'));
    if (padded || !str_to_int64(text, &v)) {
        (void)snprintf(why, CONFIG_WHY_SIZE, "must be a whole number (%s)", k->unit);
        return false;
    }
    if (v < k->min || v > k->max) {
        (void)snprintf(why, CONFIG_WHY_SIZE, "must be from %lld to %lld (%s)", (long long)k->min,
                       (long long)k->max, k->unit);
        return false;
    }
    return true;
}

static bool level_check(struct str text, char why[CONFIG_WHY_SIZE])
{
    enum log_level level;
    AUTO_FREE char *word = mem_copy(text);
    return log_level_from_text(word, &level) || say(why, "must be error, warning, info or debug");
}

static bool text_check(struct str text, char why[CONFIG_WHY_SIZE])
{
    if (text.n == 0) {
        return say(why, "must not be empty");
    }
    if (text.n > MAX_TEXT) {
        return say(why, "is too long");
    }
    for (size_t i = 0; i < text.n; i++) {
        if ((unsigned char)text.p[i] < ' ' || text.p[i] == 0x7f) {
            return say(why, "must not contain line ends or other control characters");
        }
    }
    return true;
}

static bool name_check(struct str text, char why[CONFIG_WHY_SIZE])
{
    bool good = text.n > 0 && text.n <= MAX_NAME;
    for (size_t i = 0; i < text.n && good; i++) {
        good = isalnum((unsigned char)text.p[i]) || memchr("._-:", text.p[i], 4) != NULL;
    }
    if (str_is(text, ".") || str_is(text, "..")) {
        return say(why, "must not be . or .., which are folders");
    }
    return good || say(why, "must be 1 to 100 letters, digits, dots, colons, - and _");
}

static bool url_check(struct str text, char why[CONFIG_WHY_SIZE])
{
    if (!text_check(text, why)) {
        return false;
    }
    AUTO_FREE char *url = mem_copy(text);
    return comfy_url_check(url, why, CONFIG_WHY_SIZE);
}

/* As nvidia-smi -L shows it: a number, or "GPU-" (of a slice of one "MIG-") and more. */
static bool gpu_check(struct str text, char why[CONFIG_WHY_SIZE])
{
    int64_t index = 0;
    if (text.n <= 3 && text.n > 0 && text.p[0] != '-' && str_to_int64(text, &index)) {
        return true;
    }
    bool good = text.n > 4 && text.n <= MAX_NAME &&
                (memcmp(text.p, "GPU-", 4) == 0 || memcmp(text.p, "MIG-", 4) == 0);
    for (size_t i = 4; good && i < text.n; i++) {
        good = isalnum((unsigned char)text.p[i]) || text.p[i] == '-' || text.p[i] == '/';
    }
    return good || say(why, "must be an index such as 0, or a UUID such as GPU-6c4b...");
}

/* The base URL of a collector. */
static bool endpoint_check(struct str text, char why[CONFIG_WHY_SIZE])
{
    struct url_parts u = {0};
    AUTO_FREE char *url = mem_copy(text);
    const bool good = text_check(text, why) && url_read(url, &u, why, CONFIG_WHY_SIZE);
    const bool base = !u.has_more;
    const bool open = u.credentials == NULL;
    url_parts_done(&u);
    return good && (base || say(why, "must be a base URL: /v1/traces is appended")) &&
           (open || say(why, "credentials belong into otlp.headersFile"));
}

static bool host_check(struct str host)
{
    if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']') {
        for (size_t i = 1; i + 1 < host.n; i++) {
            if (!isxdigit((unsigned char)host.p[i]) && host.p[i] != ':' && host.p[i] != '.') {
                return false;
            }
        }
        return host.n > 2;
    }
    for (size_t i = 0; i < host.n; i++) {
        if (!isalnum((unsigned char)host.p[i]) && memchr("._-", host.p[i], 3) == NULL) {
            return false;
        }
    }
    return host.n < 254;
}

/* A path for a unix socket: the kernel takes 107 bytes. */
static bool unix_check(struct str path, char why[CONFIG_WHY_SIZE])
{
    if (path.n == 0 || path.p[0] != '/' || path.n > MAX_SOCKET_PATH) {
        return say(why,
                   "unix: needs an absolute path of at most 107 bytes, as in unix:/run/x.sock");
    }
    return text_check(path, why);
}

static bool tcp_check(struct str text, char why[CONFIG_WHY_SIZE])
{
    static const char shape[] = "an address is HOST:PORT or [IPv6]:PORT";
    const char *colon = text.n == 0 ? NULL : memrchr(text.p, ':', text.n);
    if (colon == NULL) {
        return say(why, shape);
    }
    const struct str host = {text.p, (size_t)(colon - text.p)};
    const struct str port = {colon + 1, text.n - host.n - 1};
    int64_t n = -1;
    if (!str_to_int64(port, &n) || n < 0 || n > 65535 || port.n > 5) {
        return say(why, "the port must be from 0 to 65535 (0: any free one)");
    }
    return host_check(host) || say(why, shape);
}

bool config_address_check(struct str text, char why[CONFIG_WHY_SIZE])
{
    if (text.n >= 5 && memcmp(text.p, "unix:", 5) == 0) {
        return unix_check((struct str){text.p + 5, text.n - 5}, why);
    }
    return tcp_check(text, why);
}

bool config_address_is_local(const char *address)
{
    static const char *const others[] = {"unix:", "localhost:", "[::1]:"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (strncmp(address, others[i], strlen(others[i])) == 0) {
            return true;
        }
    }
    struct in_addr a;
    const char *colon = strrchr(address, ':');
    AUTO_FREE char *host =
        mem_copy((struct str){address, colon == NULL ? 0 : (size_t)(colon - address)});
    return inet_pton(AF_INET, host, &a) == 1 && (ntohl(a.s_addr) >> 24) == 127;
}

/* ---- lists in one text ------------------------------------------------------------------------
 */

static struct str trim(struct str s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t')) {
        s.n--;
    }
    return s;
}

/* The next piece of a comma-separated list; false when there is none left. */
static bool cut(struct str *rest, struct str *ret)
{
    if (rest->p == NULL) {
        return false;
    }
    const char *comma = memchr(rest->p, ',', rest->n);
    const size_t n = comma == NULL ? rest->n : (size_t)(comma - rest->p);
    *ret = trim((struct str){rest->p, n});
    *rest = comma == NULL ? (struct str){NULL, 0} : (struct str){comma + 1, rest->n - n - 1};
    return true;
}

/* ---- entries of lists --------------------------------------------------------------------------
 */

static bool class_check(struct str text, char why[CONFIG_WHY_SIZE])
{
#define X(symbol, name, by_default) name ", "
    return retry_class_from_name(text) != RETRY_CLASS_COUNT ||
           say(why, "each must be one of " RETRY_CLASS_TABLE(X) "or the list empty");
#undef X
}

static bool label_check(struct str text, char why[CONFIG_WHY_SIZE])
{
    if (text.n == 0 || text.n > MAX_LABEL || text.p[0] == '=') {
        return say(why, "a label is 1 to 100 bytes, such as gpu=4090 or fast");
    }
    return text_check(text, why);
}

/* A name, an IPv4 address or an IPv6 address in brackets. */
static bool allowed_host_check(struct str text, char why[CONFIG_WHY_SIZE])
{
    return (text.n > 0 && host_check(text)) ||
           say(why, "must be a host name or address without a port, such as pool.example");
}

static const char origin_shape[] =
    "must be an origin, SCHEME://HOST or SCHEME://HOST:PORT, and no path";

static bool origin_check(struct str text, char why[CONFIG_WHY_SIZE])
{
    static const struct str schemes[] = {STR_INIT("http://"), STR_INIT("https://")};
    char unused[CONFIG_WHY_SIZE];
    for (size_t i = 0; i < 2; i++) {
        const size_t n = schemes[i].n;
        if (text.n > n && memcmp(text.p, schemes[i].p, n) == 0) {
            const struct str host = {text.p + n, text.n - n};
            return host_check(host) || (host.p[0] != ':' && tcp_check(host, unused)) ||
                   say(why, origin_shape);
        }
    }
    return say(why, origin_shape);
}

static bool event_check(struct str text, char why[CONFIG_WHY_SIZE])
{
    const enum event_type t = event_from_name(text);
    return (t != EVENT_TYPE_COUNT && event_is_for_hooks(t)) ||
           say(why, "must be a durable event of a job, such as job:completed");
}

static bool receiver_check(struct str text, char why[CONFIG_WHY_SIZE])
{
    struct url_parts u = {0};
    AUTO_FREE char *url = mem_copy(text);
    const bool good = text_check(text, why) && url_read(url, &u, why, CONFIG_WHY_SIZE);
    const bool open = u.credentials == NULL;
    url_parts_done(&u);
    return good &&
           (open || say(why, "credentials in the URL are not taken; use webhooks.secretFile"));
}

static bool network_check(struct str text, char why[CONFIG_WHY_SIZE])
{
    return net_rules_check_entry(text, why, CONFIG_WHY_SIZE);
}

static bool hash_check(struct str text, char why[CONFIG_WHY_SIZE])
{
    bool good = text.n == 64;
    for (size_t i = 0; i < text.n && good; i++) {
        good = strchr("0123456789abcdef", text.p[i]) != NULL && text.p[i] != '\0';
    }
    return good || say(why, "must be the workflowHash of a Job: 64 lowercase hex digits");
}

static bool pair_check(struct str text, char why[CONFIG_WHY_SIZE])
{
    const char *equals = text.n == 0 ? NULL : memchr(text.p, '=', text.n);
    return (equals != NULL && equals != text.p) ||
           say(why, "must be KEY=VALUE, of a member of a job's metadata");
}

static bool selector_check(struct str text, char why[CONFIG_WHY_SIZE])
{
    return label_is_selector(text) ||
           say(why, "must be a selector of labels, as in a job's labels: fast, gpu=4090, vram>=24");
}

static bool input_check(struct str text, char why[CONFIG_WHY_SIZE])
{
    const char *dot = text.n == 0 ? NULL : memrchr(text.p, '.', text.n);
    return text_check(text, why) &&
           ((dot != NULL && dot != text.p && dot != text.p + text.n - 1) ||
            say(why, "must be CLASS.INPUT, or CLASS.* for all inputs of a class of nodes"));
}

static const struct {
    enum config_kind kind;
    bool (*check)(struct str text, char why[CONFIG_WHY_SIZE]);
} lists[] = {
    {CONFIG_CLASSES, class_check},      {CONFIG_EVENTS, event_check},
    {CONFIG_RECEIVERS, receiver_check}, {CONFIG_NETWORKS, network_check},
    {CONFIG_LABELS, label_check},       {CONFIG_HOSTS, allowed_host_check},
    {CONFIG_ORIGINS, origin_check},     {CONFIG_NAMES, name_check},
    {CONFIG_NODE_CLASSES, text_check},  {CONFIG_INPUTS, input_check},
};

enum { LISTS = sizeof lists / sizeof *lists };

bool config_key_is_list(const struct config_key *k)
{
    for (size_t i = 0; i < LISTS; i++) {
        if (lists[i].kind == k->kind) {
            return true;
        }
    }
    return false;
}

bool config_key_is_mask(const struct config_key *k)
{
    return k->kind == CONFIG_CLASSES || k->kind == CONFIG_EVENTS;
}

bool config_entry_check(const struct config_key *k, struct str text, char why[CONFIG_WHY_SIZE])
{
    for (size_t i = 0; i < LISTS; i++) {
        if (lists[i].kind == k->kind) {
            return lists[i].check(text, why);
        }
    }
    return say(why, "must be a list");
}

static bool list_check(const struct config_key *k, struct str text, char why[CONFIG_WHY_SIZE])
{
    struct str one;
    while (cut(&text, &one)) {
        if (!config_entry_check(k, one, why)) {
            return false;
        }
    }
    return true;
}

/* ---- checking and storing ----------------------------------------------------------------------
 */

bool config_value_check(const struct config_key *k, struct str text, char why[CONFIG_WHY_SIZE])
{
    switch (k->kind) {
    case CONFIG_INT:
        return int_check(k, text, why);
    case CONFIG_BOOL:
        return str_is(text, "true") || str_is(text, "false") || say(why, "must be true or false");
    case CONFIG_LEVEL:
        return level_check(text, why);
    case CONFIG_KEEP:
        return str_is(text, "none") || str_is(text, "copy") || say(why, "must be none or copy");
    case CONFIG_NAME:
        return name_check(text, why);
    case CONFIG_URL:
        return url_check(text, why);
    case CONFIG_GPU:
        return gpu_check(text, why);
    case CONFIG_ENDPOINT:
        return endpoint_check(text, why);
    case CONFIG_TEXT:
    case CONFIG_PATH:
    case CONFIG_BESIDE:
        return text_check(text, why);
    case CONFIG_HASH:
        return hash_check(text, why);
    case CONFIG_PAIR:
        return pair_check(text, why);
    case CONFIG_LABEL:
        return selector_check(text, why);
    case CONFIG_CLASSES:
    case CONFIG_EVENTS:
    case CONFIG_RECEIVERS:
    case CONFIG_NETWORKS:
    case CONFIG_LABELS:
    case CONFIG_HOSTS:
    case CONFIG_ORIGINS:
    case CONFIG_NAMES:
    case CONFIG_NODE_CLASSES:
    case CONFIG_INPUTS:
        return list_check(k, text, why);
    case CONFIG_ADDRESSES:
    case CONFIG_BACKENDS:
    case CONFIG_RULES:
        break;
    }
    return say(why, "must be a list");
}

static void set_text(char **to, const char *text)
{
    char *copy = mem_strdup(text);
    free(*to);
    *to = copy;
}

static void drop_list(struct config_list *l)
{
    for (unsigned i = 0; i < l->len; i++) {
        free(l->items[i]);
    }
    free(l->items);
    *l = (struct config_list){0};
}

static void set_list(struct config_list *l, struct str text)
{
    struct str one;
    drop_list(l);
    while (cut(&text, &one)) {
        l->items = mem_grow(l->items, (l->len + 1) * sizeof *l->items);
        l->items[l->len++] = mem_copy(one);
    }
}

static void set_mask(unsigned *mask, enum config_kind kind, struct str text)
{
    struct str one;
    *mask = 0;
    while (cut(&text, &one)) {
        *mask |= 1u << (kind == CONFIG_CLASSES ? (int)retry_class_from_name(one)
                                               : (int)event_from_name(one));
    }
}

void config_value_store(const struct config_key *k, void *base, const char *text)
{
    void *to = (char *)base + k->offset;
    switch (k->kind) {
    case CONFIG_INT:
        (void)str_to_int64(str_of(text), to);
        return;
    case CONFIG_BOOL:
        *(bool *)to = strcmp(text, "true") == 0;
        return;
    case CONFIG_LEVEL:
        (void)log_level_from_text(text, to);
        return;
    case CONFIG_KEEP:
        *(enum config_keep *)to = strcmp(text, "copy") == 0 ? CONFIG_KEEP_COPY : CONFIG_KEEP_NONE;
        return;
    case CONFIG_TEXT:
    case CONFIG_NAME:
    case CONFIG_URL:
    case CONFIG_PATH:
    case CONFIG_BESIDE:
    case CONFIG_GPU:
    case CONFIG_ENDPOINT:
    case CONFIG_HASH:
    case CONFIG_PAIR:
    case CONFIG_LABEL:
        set_text(to, text);
        return;
    case CONFIG_CLASSES:
    case CONFIG_EVENTS:
        set_mask(to, k->kind, str_of(text));
        return;
    case CONFIG_RECEIVERS:
    case CONFIG_NETWORKS:
    case CONFIG_LABELS:
    case CONFIG_HOSTS:
    case CONFIG_ORIGINS:
    case CONFIG_NAMES:
    case CONFIG_NODE_CLASSES:
    case CONFIG_INPUTS:
        set_list(to, str_of(text));
        return;
    case CONFIG_ADDRESSES:
    case CONFIG_BACKENDS:
    case CONFIG_RULES:
        return;
    }
}

/* ---- life --------------------------------------------------------------------------------------
 */

void config_backend_done(struct config_backend *b)
{
    free(b->name);
    free(b->url);
    drop_list(&b->labels);
    free(b->gpu);
    free(b->headers_file);
    free(b->ca_file);
    config_headers_free(b->headers);
    free(b->where);
}

void config_rule_done(struct config_rule *r)
{
    free(r->workflow_hash);
    free(r->metadata);
    free(r->label);
    drop_list(&r->backends);
}

static void drop_rules(struct config *c)
{
    for (unsigned i = 0; i < c->routing_rules_len; i++) {
        config_rule_done(&c->routing_rules[i]);
    }
    free(c->routing_rules);
    c->routing_rules = NULL;
    c->routing_rules_len = 0;
}

static void drop_backends(struct config *c)
{
    for (unsigned i = 0; i < c->backends_len; i++) {
        config_backend_done(&c->backends[i]);
    }
    free(c->backends);
    c->backends = NULL;
    c->backends_len = 0;
}

static void drop_listen(struct config *c)
{
    for (unsigned i = 0; i < c->listen_len; i++) {
        free(c->listen[i]);
    }
    free(c->listen);
    c->listen = NULL;
    c->listen_len = 0;
}

static void push_listen(struct config *c, struct str address)
{
    c->listen = mem_grow(c->listen, (c->listen_len + 1) * sizeof *c->listen);
    c->listen[c->listen_len++] = mem_copy(address);
}

static bool is_of_list(const struct config_key *k)
{
    return strcmp(k->section, CONFIG_ITEM) == 0 || strcmp(k->section, CONFIG_RULE) == 0;
}

/* section NULL: of all that are no members of a list's entries. */
static void store_defaults(const char *section, void *base)
{
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        const struct config_key *k = &config_keys[i];
        const bool meant = section == NULL ? !is_of_list(k) : strcmp(k->section, section) == 0;
        if (meant && k->fallback != NULL) {
            config_value_store(k, base, k->fallback);
        }
    }
}

void config_init(struct config *c)
{
    *c = (struct config){0};
    store_defaults(NULL, c);
    push_listen(c, str_of(config_key_find("", STR("listen"))->fallback));
}

void config_done(struct config *c)
{
    drop_backends(c);
    drop_rules(c);
    drop_listen(c);
    drop_list(&c->outputs_stream_classes);
    drop_list(&c->routing_trusted_inputs);
    drop_list(&c->http_allowed_hosts);
    drop_list(&c->http_allowed_origins);
    drop_list(&c->webhooks_urls);
    drop_list(&c->webhooks_allow);
    free(c->auth_tokens_file);
    free(c->webhooks_secret_file);
    free(c->hooks_exec);
    free(c->otlp_endpoint);
    free(c->uploads_subfolder);
    free(c->otlp_headers_file);
    free(c->link.ca_file);
    free(c->state);
    *c = (struct config){0};
}

/* ---- lists in one text: variables and flags ----------------------------------------------------
 */

static bool complain(struct buf *errors, const char *where, const char *why)
{
    buf_printf(errors, "%s: %s\n", where, why);
    return false;
}

static bool has_listen(const struct config *c, struct str address)
{
    for (unsigned i = 0; i < c->listen_len; i++) {
        if (str_is(address, c->listen[i]) && !str_ends_with(address, STR(":0"))) {
            return true;
        }
    }
    return false;
}

static bool add_listen(struct config *c, const char *text, enum config_source from,
                       const char *where, struct buf *errors)
{
    bool good = true;
    struct str rest = str_of(text);
    struct str one;
    if (c->listen_from < from) {
        drop_listen(c);
        c->listen_from = from;
    }
    while (cut(&rest, &one)) {
        char why[CONFIG_WHY_SIZE];
        if (!config_address_check(one, why)) {
            good = complain(errors, where, why);
        } else if (has_listen(c, one)) {
            good = complain(errors, where, "the same address is given twice");
        } else {
            push_listen(c, one);
        }
    }
    return good;
}

bool config_set_listen(struct config *c, const char *addresses, struct buf *errors)
{
    return add_listen(c, addresses, CONFIG_FLAG, "--listen", errors);
}

char *config_backend_derive_name(const char *url)
{
    AUTO_BUF struct buf clean;
    AUTO_BUF struct buf name;
    buf_init(&clean, BUF_NO_LIMIT);
    buf_init(&name, BUF_NO_LIMIT);
    comfy_url_clean(url, &clean, &name);
    return mem_copy(buf_str(&name));
}

/* name=URL when there is a = before any colon and slash of a URL. */
static void split_spec(struct str spec, struct str *ret_name, struct str *ret_url)
{
    const char *equals = spec.n == 0 ? NULL : memchr(spec.p, '=', spec.n);
    const char *scheme = memmem(spec.p, spec.n, "://", 3);
    *ret_name = (struct str){NULL, 0};
    *ret_url = spec;
    if (equals != NULL && (scheme == NULL || equals < scheme)) {
        const size_t n = (size_t)(equals - spec.p);
        *ret_name = trim((struct str){spec.p, n});
        *ret_url = trim((struct str){equals + 1, spec.n - n - 1});
    }
}

static bool add_backend(struct config *c, struct str spec, const char *where, struct buf *errors)
{
    char why[CONFIG_WHY_SIZE];
    struct str name;
    struct str url;
    split_spec(spec, &name, &url);
    if (name.p != NULL && !name_check(name, why)) {
        buf_printf(errors, "%s: the name of a backend %s\n", where, why);
        return false;
    }
    if (!url_check(url, why)) {
        return complain(errors, where, why);
    }
    struct config_backend b = {.url = mem_copy(url), .where = mem_strdup(where)};
    b.name = name.p == NULL ? config_backend_derive_name(b.url) : mem_copy(name);
    store_defaults(CONFIG_ITEM, &b);
    c->backends = mem_grow(c->backends, (c->backends_len + 1) * sizeof *c->backends);
    c->backends[c->backends_len++] = b;
    return true;
}

static void begin_backends(struct config *c, enum config_source from)
{
    if (c->backends_from < from) {
        drop_backends(c);
        c->backends_from = from;
    }
}

bool config_add_backend(struct config *c, const char *spec, struct buf *errors)
{
    begin_backends(c, CONFIG_FLAG);
    return add_backend(c, trim(str_of(spec)), "--backend", errors);
}

static bool add_backends(struct config *c, const char *text, const char *where, struct buf *errors)
{
    bool good = true;
    struct str rest = str_of(text);
    struct str one;
    begin_backends(c, CONFIG_ENVIRONMENT);
    while (cut(&rest, &one)) {
        good = add_backend(c, one, where, errors) && good;
    }
    return good;
}

/* ---- one value by its key ----------------------------------------------------------------------
 */

static bool set_key(struct config *c, const struct config_key *k, const char *value,
                    const char *where, struct buf *errors)
{
    char why[CONFIG_WHY_SIZE];
    if (!config_value_check(k, str_of(value), why)) {
        return complain(errors, where, why);
    }
    config_value_store(k, c, value);
    return true;
}

bool config_set(struct config *c, const char *key, const char *value, const char *flag,
                struct buf *errors)
{
    const struct config_key *k = find_path(key);
    if (k == NULL || is_of_list(k)) {
        return complain(errors, flag, "there is no such key");
    }
    return set_key(c, k, value, flag, errors);
}

/* ---- the environment --------------------------------------------------------------------------
 */

static const char variable_prefix[] = "COMFYPOOLD_";

/* http.maxBodyBytes: COMFYPOOLD_HTTP_MAX_BODY_BYTES. "" for what only a file can say. */
static void variable_name(const struct config_key *k, char ret[CONFIG_PATH_SIZE * 2])
{
    char path[CONFIG_PATH_SIZE];
    config_key_path(k, path);
    size_t n = (size_t)snprintf(ret, CONFIG_PATH_SIZE, "%s", variable_prefix);
    for (const char *p = path; *p != '\0'; p++) {
        if (isupper((unsigned char)*p)) {
            ret[n++] = '_';
        }
        ret[n++] = *p == '.' ? '_' : (char)toupper((unsigned char)*p);
    }
    ret[is_of_list(k) || k->kind == CONFIG_RULES ? 0 : n] = '\0';
}

static const struct config_key *find_variable(struct str name)
{
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        char mine[CONFIG_PATH_SIZE * 2];
        variable_name(&config_keys[i], mine);
        if (str_is(name, mine)) {
            return &config_keys[i];
        }
    }
    return NULL;
}

static bool load_variable(struct config *c, const struct config_key *k, const char *name,
                          const char *value, struct buf *errors)
{
    if (k->kind == CONFIG_ADDRESSES) {
        return add_listen(c, value, CONFIG_ENVIRONMENT, name, errors);
    }
    if (k->kind == CONFIG_BACKENDS) {
        return add_backends(c, value, name, errors);
    }
    return set_key(c, k, value, name, errors);
}

/* strict: it is an error. False then. */
static bool complain_unknown(const char *name, bool strict, struct buf *errors)
{
    struct near near = near_to(str_of(name));
    char mine[CONFIG_KEY_COUNT][CONFIG_PATH_SIZE * 2];
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        variable_name(&config_keys[i], mine[i]);
        near_try(&near, mine[i]);
    }
    AUTO_BUF struct buf what;
    buf_init(&what, BUF_NO_LIMIT);
    buf_printf(&what, "the variable %s is not known", name);
    if (near.name != NULL) {
        buf_printf(&what, "; did you mean %s?", near.name);
    } else {
        buf_add_text(&what, "; --print-config-keys lists what there is");
    }
    if (strict) {
        buf_printf(errors, "%s\n", buf_text(&what));
    } else {
        LOG_PLAIN(LOG_WARN, buf_text(&what));
    }
    return !strict;
}

bool config_load_env(struct config *c, bool strict, struct buf *errors)
{
    bool good = true;
    for (char **e = environ; e != NULL && *e != NULL; e++) {
        const char *equals = strchr(*e, '=');
        if (equals == NULL || strncmp(*e, variable_prefix, sizeof variable_prefix - 1) != 0) {
            continue;
        }
        AUTO_FREE char *name = mem_copy((struct str){*e, (size_t)(equals - *e)});
        const struct config_key *k = find_variable(str_of(name));
        if (k == NULL) {
            if (strcmp(name, "COMFYPOOLD_CONFIG") != 0) {
                good = complain_unknown(name, strict, errors) && good;
            }
        } else if (equals[1] != '\0') {
            good = load_variable(c, k, name, equals + 1, errors) && good;
        }
    }
    return good;
}

/* ---- checks across keys -----------------------------------------------------------------------
 */

static char *clean_url(const char *url)
{
    AUTO_BUF struct buf clean;
    AUTO_BUF struct buf name;
    buf_init(&clean, BUF_NO_LIMIT);
    buf_init(&name, BUF_NO_LIMIT);
    comfy_url_clean(url, &clean, &name);
    return mem_copy(buf_str(&clean));
}

/* Cost: O(backends) expected. */
bool config_backends_check(const struct config_backend *b, size_t len, struct buf *errors)
{
    bool good = true;
    struct map names;
    struct map urls;
    map_init(&names);
    map_init(&urls);
    char **clean = mem_zero(len + 1, sizeof *clean);
    for (size_t i = 0; i < len; i++) {
        clean[i] = clean_url(b[i].url);
        const struct config_backend *same = map_get(&names, str_of(b[i].name));
        const struct config_backend *twin = map_get(&urls, str_of(clean[i]));
        if (same != NULL) {
            buf_printf(errors, "%s: the backend name \"%s\" is taken (%s); give each its own\n",
                       b[i].where, b[i].name, same->where);
        } else if (twin != NULL) {
            buf_printf(errors, "%s: the same server as backend \"%s\" (%s)\n", b[i].where,
                       twin->name, twin->where);
        } else {
            (void)map_put(&names, str_of(b[i].name), (void *)(uintptr_t)&b[i]);
            (void)map_put(&urls, str_of(clean[i]), (void *)(uintptr_t)&b[i]);
            continue;
        }
        good = false;
    }
    map_done(&names);
    map_done(&urls);
    for (size_t i = 0; i < len; i++) {
        free(clean[i]);
    }
    free(clean);
    return good;
}

static bool has_certificate(FILE *f)
{
    static const char *const begins[] = {"-----BEGIN CERTIFICATE-----",
                                         "-----BEGIN TRUSTED CERTIFICATE-----",
                                         "-----BEGIN X509 CERTIFICATE-----"};
    char line[128];
    while (fgets(line, sizeof line, f) != NULL) {
        for (size_t i = 0; i < sizeof begins / sizeof *begins; i++) {
            if (strncmp(line, begins[i], strlen(begins[i])) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* A file of certificates that is none would only show when its backend is asked. */
static bool ca_file_check(const char *path, const char *where, struct buf *errors)
{
    if (path == NULL) {
        return true;
    }
    errno = 0;
    FILE *f = fopen(path, "re");
    const bool good = f != NULL && has_certificate(f);
    const int why = errno; /* of a directory: only reading it fails */
    if (f != NULL) {
        (void)fclose(f);
    }
    if (good) {
        return true;
    }
    if (f == NULL || why != 0) {
        buf_printf(errors, "%s: %s cannot be read: %s\n", where, path, strerror(why));
    } else {
        buf_printf(errors, "%s: %s has no certificate: it must be PEM, with a line %s\n", where,
                   path, "-----BEGIN CERTIFICATE-----");
    }
    return false;
}

bool config_validate(const struct config *c, struct buf *errors)
{
    bool good = ca_file_check(c->link.ca_file, "link.caFile", errors);
    for (unsigned i = 0; i < c->backends_len; i++) {
        const struct config_backend *b = &c->backends[i];
        AUTO_BUF struct buf where;
        buf_init(&where, BUF_NO_LIMIT);
        buf_printf(&where, "%s: caFile of %s", b->where == NULL ? "backends" : b->where, b->name);
        good = ca_file_check(b->ca_file, buf_text(&where), errors) && good;
    }
    return config_backends_check(c->backends, c->backends_len, errors) && good;
}

/* ---- the list of keys -------------------------------------------------------------------------
 */

void config_print_keys(FILE *out)
{
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        const struct config_key *k = &config_keys[i];
        char path[CONFIG_PATH_SIZE];
        char variable[CONFIG_PATH_SIZE * 2];
        config_key_path(k, path);
        variable_name(k, variable);
        (void)fprintf(out, "%s\t%s\t%s", path, k->fallback == NULL ? "-" : k->fallback, k->unit);
        if (k->kind == CONFIG_INT) {
            (void)fprintf(out, ", %lld to %lld", (long long)k->min, (long long)k->max);
        }
        (void)fprintf(out, "\t%s\n", *variable == '\0' ? "-" : variable);
    }
}
