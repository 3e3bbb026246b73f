/*
 * The table of configuration keys and all that is made from it but the file: defaults, the
 * environment, what the flag parser calls, the list for `--print-config-keys`. Knows nothing of
 * YAML.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <unistd.h>

#include "comfypool/base/map.h"
#include "comfypool/base/near.h"
#include "comfypool/base/text.h"
#include "comfypool/comfy/backend.h"
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

/* ---- life ------------------------------------------------------------------------------------ */

static bool is_of_list(const struct config_key *k)
{
    return strcmp(k->section, CONFIG_ITEM) == 0 || strcmp(k->section, CONFIG_RULE) == 0;
}

void config_value_reset(const struct config_key *k, void *value)
{
    char why[CONFIG_WHY_SIZE];
    config_value_clear(k, value);
    if (k->fallback != NULL && config_kinds[k->kind].read != NULL &&
        !config_value_set(k, str_of(k->fallback), value, why)) {
        abort(); /* the table has a default that its own kind refuses */
    }
}

static void free_members(const char *section, void *base)
{
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        if (strcmp(config_keys[i].section, section) == 0) {
            config_value_clear(&config_keys[i], config_place(&config_keys[i], base));
        }
    }
}

void config_backend_init(struct config_backend *b)
{
    *b = (struct config_backend){0};
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        if (strcmp(config_keys[i].section, CONFIG_ITEM) == 0) {
            config_value_reset(&config_keys[i], config_place(&config_keys[i], b));
        }
    }
}

void config_backend_done(struct config_backend *b)
{
    free_members(CONFIG_ITEM, b);
    config_headers_free(b->headers);
    free(b->where);
}

struct config_backend *config_backend_add(struct config *c)
{
    c->backends = mem_grow(c->backends, (c->backends_len + 1) * sizeof *c->backends);
    config_backend_init(&c->backends[c->backends_len]);
    return &c->backends[c->backends_len++];
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

struct config_rule *config_rule_add(struct config *c)
{
    c->routing_rules =
        mem_grow(c->routing_rules, (c->routing_rules_len + 1) * sizeof *c->routing_rules);
    c->routing_rules[c->routing_rules_len] = (struct config_rule){0};
    return &c->routing_rules[c->routing_rules_len++];
}

static void drop_rules(struct config *c)
{
    for (unsigned i = 0; i < c->routing_rules_len; i++) {
        free_members(CONFIG_RULE, &c->routing_rules[i]);
    }
    free(c->routing_rules);
    c->routing_rules = NULL;
    c->routing_rules_len = 0;
}

void config_init(struct config *c)
{
    *c = (struct config){0};
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        if (!is_of_list(&config_keys[i])) {
            config_value_reset(&config_keys[i], config_place(&config_keys[i], c));
        }
    }
    (void)config_listen_add(c, str_of(config_key_find("", STR("listen"))->fallback));
}

void config_done(struct config *c)
{
    drop_backends(c);
    drop_rules(c);
    config_listen_clear(c);
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        if (!is_of_list(&config_keys[i])) {
            config_value_clear(&config_keys[i], config_place(&config_keys[i], c));
        }
    }
    *c = (struct config){0};
}

/* ---- lists in one text: variables and flags -------------------------------------------------- */

static bool complain(struct buf *errors, const char *where, const char *why)
{
    buf_printf(errors, "%s: %s\n", where, why);
    return false;
}

void config_listen_clear(struct config *c)
{
    for (unsigned i = 0; i < c->listen_len; i++) {
        free(c->listen[i]);
    }
    free(c->listen);
    c->listen = NULL;
    c->listen_len = 0;
}

bool config_listen_add(struct config *c, struct str address)
{
    for (unsigned i = 0; i < c->listen_len; i++) {
        if (str_is(address, c->listen[i]) && !str_ends_with(address, STR(":0"))) {
            return false;
        }
    }
    c->listen = mem_grow(c->listen, (c->listen_len + 1) * sizeof *c->listen);
    c->listen[c->listen_len++] = mem_copy(address);
    return true;
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

static bool add_listen(struct config *c, const char *text, enum config_source from,
                       const char *where, struct buf *errors)
{
    bool good = true;
    struct str rest = str_of(text);
    struct str one;
    if (c->listen_from < from) {
        config_listen_clear(c);
        c->listen_from = from;
    }
    while (config_next_entry(&rest, &one)) {
        char why[CONFIG_WHY_SIZE];
        if (!config_check_address(one, why)) {
            good = complain(errors, where, why);
        } else if (!config_listen_add(c, one)) {
            good = complain(errors, where, "the same address is given twice");
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
        *ret_name = text_trim((struct str){spec.p, n});
        *ret_url = text_trim((struct str){equals + 1, spec.n - n - 1});
    }
}

static bool add_backend(struct config *c, struct str spec, const char *where, struct buf *errors)
{
    char why[CONFIG_WHY_SIZE];
    struct str name;
    struct str url;
    split_spec(spec, &name, &url);
    if (name.p != NULL && !config_check_name(name, why)) {
        buf_printf(errors, "%s: the name of a backend %s\n", where, why);
        return false;
    }
    if (!config_check_url(url, why)) {
        return complain(errors, where, why);
    }
    struct config_backend *b = config_backend_add(c);
    b->url = mem_copy(url);
    b->where = mem_strdup(where);
    b->name = name.p == NULL ? config_backend_derive_name(b->url) : mem_copy(name);
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
    return add_backend(c, text_trim(str_of(spec)), "--backend", errors);
}

static bool add_backends(struct config *c, const char *text, const char *where, struct buf *errors)
{
    bool good = true;
    struct str rest = str_of(text);
    struct str one;
    begin_backends(c, CONFIG_ENVIRONMENT);
    while (config_next_entry(&rest, &one)) {
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
    return config_value_set(k, str_of(value), config_place(k, c), why) ||
           complain(errors, where, why);
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
        if (b[i].url == NULL) {
            continue;
        }
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
