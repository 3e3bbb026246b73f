/*
 * The composition root: arguments, configuration, wiring, run. It decides nothing. The order of the
 * end is the order of the beginning turned round: answers first, then what is under way is stored,
 * then the store closes, then every handle; a handle that survives is a bug and exits with 1.
 */
#include <fcntl.h>
#include <getopt.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>
#include <uv.h>

#include "comfypool/api/api.h"
#include "comfypool/base/buf.h"
#include "comfypool/base/log.h"
#include "comfypool/config/config.h"
#include "comfypool/config/receivers.h"
#include "comfypool/config/tokens.h"
#include "comfypool/http/http.h"
#include "comfypool/loop/http_client.h"
#include "comfypool/loop/loop.h"
#include "comfypool/loop/ws_client.h"
#include "comfypool/pool/pool.h"
#include "comfypool/store/store.h"

#define VERSION "0.1.0"

enum { EXIT_USAGE = 2 };

struct daemon {
    uv_loop_t loop;
    struct config config;
    struct tokens tokens;
    struct buf tokens_path; /* empty: there is none */
    struct receivers receivers;
    bool insecure;  /* --insecure-no-auth */
    bool new_store; /* --new-store */
    struct pool_backend_options *backends;
    struct pool_rule *rules;
    struct blobs *uploads;
    struct blobs *copies;
    const char **allowed_hosts;
    const char **allowed_origins;
    struct store *store;
    struct http_client *http_client;
    struct ws_client *ws_client;
    struct pool *pool;
    struct http_server *server;
    struct api *api;
    const struct http_family *families[2]; /* NULL at the end */
    uv_signal_t signals[3];
    uv_timer_t watchdog;
    struct dur_us watchdog_limit; /* of the service manager's watchdog; 0: it has none */
    bool stopping;
};

/* ---- arguments ------------------------------------------------------------------------------- */

enum option_id {
    OPT_BACKEND = 'b',
    OPT_LISTEN = 'l',
    OPT_STATE = 's',
    OPT_CONFIG = 'c',
    OPT_PROFILE = 'p',
    OPT_HELP = 'h',
    OPT_VERSION = 'V',
    OPT_CHECK = 256,
    OPT_LOG_LEVEL,
    OPT_PRINT_KEYS,
    OPT_NEW_TOKEN,
    OPT_INSECURE,
    OPT_NEW_STORE,
};

static const struct {
    const char *name;
    const char *argument; /* NULL: none */
    int id;
    const char *help;
} options[] = {
    {"backend", "URL", OPT_BACKEND,
     "a ComfyUI server, http://HOST:PORT; name=URL names it; may be repeated"},
    {"listen", "ADDR:PORT", OPT_LISTEN,
     "where clients connect (127.0.0.1:8189), or unix:/path; port 0 picks one; may be repeated"},
    {"state", "DIR", OPT_STATE,
     "where jobs are kept ($STATE_DIRECTORY, else $XDG_STATE_HOME/comfypoold)"},
    {"config", "FILE", OPT_CONFIG, "read this YAML file first"},
    {"check-config", NULL, OPT_CHECK, "say what is wrong with the configuration, and exit"},
    {"profile", NULL, OPT_PROFILE, "profile every job unless the job says otherwise"},
    {"log-level", "LEVEL", OPT_LOG_LEVEL, "error, warning, info (the default) or debug"},
    {"new-token", "NAME:ROLE", OPT_NEW_TOKEN,
     "print a new token and its line for auth.tokensFile, and exit; roles: read, submit, operate"},
    {"insecure-no-auth", NULL, OPT_INSECURE,
     "let whoever can connect do everything, from other machines too"},
    {"new-store", NULL, OPT_NEW_STORE,
     "make a new, empty store where the database of one is missing or empty"},
    {"print-config-keys", NULL, OPT_PRINT_KEYS, "list every key of the configuration, and exit"},
    {"version", NULL, OPT_VERSION, "print the version, and exit"},
    {"help", NULL, OPT_HELP, "print this, and exit (-h, too)"},
};

enum { OPTIONS = sizeof options / sizeof *options };

/* What everybody tries first. */
static const char shorts[] = "hV";

static void print_help(void)
{
    puts("comfypoold: one HTTP API in front of many ComfyUI servers.\n"
         "It queues workflows durably, runs each on a free server and profiles it node by node.\n\n"
         "usage: comfypoold --backend http://127.0.0.1:8188 [options]\n");
    for (size_t i = 0; i < OPTIONS; i++) {
        char left[48];
        (void)snprintf(left, sizeof left, "--%s%s%s", options[i].name,
                       options[i].argument == NULL ? "" : " ",
                       options[i].argument == NULL ? "" : options[i].argument);
        printf("  %-22s %s\n", left, options[i].help);
    }
    puts("\nThen: curl -d @workflow.json 'http://127.0.0.1:8189/jobs?wait=60'");
}

/* What the command line says beside the configuration. */
struct arguments {
    const char *config_file;
    const char *new_token;
    bool insecure;
    bool new_store;
    bool check_only;
    bool done; /* something was printed and nothing is left to do */
};

static bool complain(const struct buf *errors)
{
    (void)fwrite(errors->data, 1, errors->len, stderr);
    return false;
}

/* First walk: what decides how the rest is read. */
static bool read_first(int argc, char **argv, const struct option *longs, struct arguments *a)
{
    for (int o = getopt_long(argc, argv, shorts, longs, NULL); o != -1;
         o = getopt_long(argc, argv, shorts, longs, NULL)) {
        if (o == '?') {
            fputs("see comfypoold --help\n", stderr);
            return false;
        }
        if (o == OPT_HELP) {
            print_help();
            a->done = true;
        } else if (o == OPT_VERSION) {
            puts("comfypoold " VERSION);
            a->done = true;
        } else if (o == OPT_PRINT_KEYS) {
            config_print_keys(stdout);
            a->done = true;
        } else if (o == OPT_CONFIG) {
            a->config_file = optarg;
        } else if (o == OPT_CHECK) {
            a->check_only = true;
        } else if (o == OPT_NEW_TOKEN) {
            a->new_token = optarg;
        } else if (o == OPT_INSECURE) {
            a->insecure = true;
        } else if (o == OPT_NEW_STORE) {
            a->new_store = true;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "%s: no such argument; see comfypoold --help\n", argv[optind]);
        return false;
    }
    return true;
}

/* Second walk: flags over file and environment. */
static bool read_flags(int argc, char **argv, const struct option *longs, struct config *c,
                       struct buf *errors)
{
    bool good = true;
    optind = 1;
    for (int o = getopt_long(argc, argv, shorts, longs, NULL); o != -1;
         o = getopt_long(argc, argv, shorts, longs, NULL)) {
        if (o == OPT_BACKEND) {
            good = config_add_backend(c, optarg, errors) && good;
        } else if (o == OPT_LISTEN) {
            good = config_set_listen(c, optarg, errors) && good;
        } else if (o == OPT_STATE) {
            good = config_set(c, "state", optarg, "--state", errors) && good;
        } else if (o == OPT_PROFILE) {
            good = config_set(c, "profiling.enabled", "true", "--profile", errors) && good;
        } else if (o == OPT_LOG_LEVEL) {
            good = config_set(c, "log.level", optarg, "--log-level", errors) && good;
        }
    }
    return good;
}

static bool print_token(struct arguments *a)
{
    char why[256];
    a->done = true;
    if (!tokens_make(a->new_token, stdout, why, sizeof why)) {
        fprintf(stderr, "--new-token: %s\n", why);
        return false;
    }
    return true;
}

static bool read_configuration(int argc, char **argv, struct config *c, struct arguments *a)
{
    struct option longs[OPTIONS + 1] = {{0}};
    for (size_t i = 0; i < OPTIONS; i++) {
        longs[i] = (struct option){options[i].name,
                                   options[i].argument == NULL ? no_argument : required_argument,
                                   NULL, options[i].id};
    }
    if (!read_first(argc, argv, longs, a)) {
        return false;
    }
    if (a->new_token != NULL && !a->done) {
        return print_token(a);
    }
    if (a->done) {
        return true;
    }
    if (a->config_file == NULL) {
        a->config_file = getenv("COMFYPOOLD_CONFIG");
    }
    AUTO_BUF struct buf errors;
    buf_init(&errors, BUF_NO_LIMIT);
    bool good = a->config_file == NULL || config_load_file(c, a->config_file, &errors);
    good = config_load_env(c, a->check_only, &errors) && good;
    good = read_flags(argc, argv, longs, c, &errors) && good;
    good = good && config_validate(c, &errors);
    return good || complain(&errors);
}

/* ---- who may come in ------------------------------------------------------------------------- */

/* Whether only this machine can reach a socket that the service manager opened. */
static bool descriptor_is_local(int fd)
{
    struct sockaddr_storage at = {0};
    socklen_t n = sizeof at;
    char address[128] = "";
    if (getsockname(fd, (struct sockaddr *)&at, &n) != 0 || at.ss_family == AF_UNIX) {
        return true; /* no socket: told later */
    }
    char host[100] = "";
    (void)getnameinfo((struct sockaddr *)&at, n, host, sizeof host, NULL, 0, NI_NUMERICHOST);
    (void)snprintf(address, sizeof address, at.ss_family == AF_INET6 ? "[%s]:1" : "%s:1", host);
    return config_address_is_local(address);
}

static bool refuse_address(const char *address)
{
    fprintf(stderr,
            "listen: %s can be reached from other machines, and there are no tokens: anybody could "
            "run workflows. Make one with comfypoold --new-token NAME:ROLE and name its file in "
            "auth.tokensFile, or listen on 127.0.0.1 or unix:/path, or say --insecure-no-auth.\n",
            address);
    return false;
}

/* Without tokens only this machine's users may come. */
static bool check_exposure(const struct daemon *d, int sockets)
{
    if (d->tokens.len > 0 || d->insecure) {
        return true;
    }
    for (unsigned i = 0; i < d->config.listen_len && sockets == 0; i++) {
        if (!config_address_is_local(d->config.listen[i])) {
            return refuse_address(d->config.listen[i]);
        }
    }
    for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + sockets; fd++) {
        if (!descriptor_is_local(fd)) {
            return refuse_address("the socket of the service manager");
        }
    }
    return true;
}

static bool read_tokens(struct daemon *d)
{
    AUTO_BUF struct buf errors;
    buf_init(&errors, BUF_NO_LIMIT);
    if (!tokens_find(d->config.auth_tokens_file, &d->tokens_path)) {
        buf_clear(&d->tokens_path);
        return true;
    }
    return tokens_read(buf_text(&d->tokens_path), &d->tokens, &errors) || complain(&errors);
}

static bool read_receivers(struct daemon *d)
{
    AUTO_BUF struct buf errors;
    buf_init(&errors, BUF_NO_LIMIT);
    return receivers_read(&d->config, &d->receivers, &errors) || complain(&errors);
}

/* The old ones stay when the file is broken: nobody is let in, and nobody out, by a mistake. */
static void reload_tokens(struct daemon *d)
{
    AUTO_BUF struct buf errors;
    buf_init(&errors, BUF_NO_LIMIT);
    struct tokens fresh;
    if (!tokens_read(buf_text(&d->tokens_path), &fresh, &errors)) {
        errors.len -= errors.len > 0 && errors.data[errors.len - 1] == '\n' ? 1 : 0;
        LOG(LOG_ERROR, "the tokens were not reloaded; the old ones stay",
            LOG_S("errors", buf_text(&errors)));
        return;
    }
    tokens_done(&d->tokens);
    d->tokens = fresh;
    http_server_set_tokens(d->server, d->tokens.list, d->tokens.len);
    LOG(LOG_INFO, "the tokens were reloaded", LOG_S("file", buf_text(&d->tokens_path)),
        LOG_I("tokens", d->tokens.len));
}

/* For the pool; how many of those that are configured are enabled. */
static size_t list_backends(struct daemon *d)
{
    const struct config *c = &d->config;
    size_t n = 0;
    for (unsigned i = 0; i < c->backends_len; i++) {
        const struct config_backend *b = &c->backends[i];
        if (b->enabled) {
            d->backends[n++] = (struct pool_backend_options){
                .name = b->name,
                .url = b->url,
                .weight = (double)b->weight,
                .max_in_flight = (unsigned)b->max_in_flight,
                .labels = (const char *const *)b->labels.items,
                .labels_len = b->labels.len,
                .headers = (const char *const *)b->headers,
                .gpu = b->gpu,
                .ca_file = b->ca_file,
                .refused_lost = dur_ms(b->refused_lost_ms),
            };
        }
    }
    return n;
}

/* The same for the headers of backends. */
static void reload_headers(struct daemon *d)
{
    for (unsigned i = 0; i < d->config.backends_len; i++) {
        AUTO_BUF struct buf errors;
        buf_init(&errors, BUF_NO_LIMIT);
        if (!config_reload_headers(&d->config.backends[i], &errors)) {
            errors.len -= errors.len > 0 && errors.data[errors.len - 1] == '\n' ? 1 : 0;
            LOG(LOG_ERROR, "the headers of a backend were not reloaded; the old ones stay",
                LOG_S("backend", d->config.backends[i].name), LOG_S("errors", buf_text(&errors)));
        }
    }
    (void)list_backends(d);
}

static void reload(struct daemon *d)
{
    (void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)time_mono().us);
    if (d->tokens_path.len > 0) {
        reload_tokens(d);
    }
    reload_headers(d);
    pool_reload(d->pool);
    LOG_PLAIN(LOG_INFO,
              "SIGHUP reloads auth.tokensFile and the headersFiles of backends, and tries "
              "again what gateways refused; restart to apply any other change");
    (void)sd_notify(0, "READY=1");
}

/* ---- the end --------------------------------------------------------------------------------- */

static void pool_stopped(void *ctx)
{
    struct daemon *d = ctx;
    uv_stop(&d->loop);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct daemon *d = handle->data;
    if (number == SIGHUP) {
        if (!d->stopping) {
            reload(d);
        }
        return;
    }
    if (d->stopping) {
        return;
    }
    d->stopping = true;
    LOG(LOG_INFO, "stopping", LOG_S("signal", number == SIGTERM ? "SIGTERM" : "SIGINT"));
    (void)sd_notify(0, "STOPPING=1");
    pool_stop(d->pool, pool_stopped, d);
    api_end_streams(d->api);
    http_server_drain(d->server);
}

static void watch_signals(struct daemon *d)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    for (size_t i = 0; i < 3; i++) {
        (void)uv_signal_init(&d->loop, &d->signals[i]);
        d->signals[i].data = d;
        (void)uv_signal_start(&d->signals[i], on_signal, numbers[i]);
    }
    /* A write to a closed socket and a file at its size limit are errors to handle, no ends. */
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);
}

/* ---- the service manager's watchdog ---------------------------------------------------------- */

/* Fed so many times within its time, so that a slow turn is none. */
enum { FEEDS = 4 };

/* The loop turns, or this would not be called. A disk that says no answers; one that says nothing
   for half of the time does not. */
static void feed_watchdog(uv_timer_t *timer)
{
    struct daemon *d = timer->data;
    if (store_busy_for(d->store).us < d->watchdog_limit.us / 2) {
        (void)sd_notify(0, "WATCHDOG=1");
    }
}

static void begin_watchdog(struct daemon *d)
{
    uint64_t us = 0;
    if (sd_watchdog_enabled(0, &us) <= 0 || us == 0 || us > INT64_MAX) {
        return;
    }
    d->watchdog_limit.us = (int64_t)us;
    const uint64_t every_ms = us / 1000 / FEEDS;
    (void)uv_timer_start(&d->watchdog, feed_watchdog, 0, every_ms == 0 ? 1 : every_ms);
    uv_unref((uv_handle_t *)&d->watchdog);
}

static int shut_down(struct daemon *d)
{
    api_set_server(d->api, NULL);
    http_server_close(d->server);
    store_close(d->store);
    api_close(d->api);
    const bool well = pool_close(d->pool);
    blobs_close(d->uploads);
    blobs_close(d->copies);
    http_client_close(d->http_client);
    ws_client_close(d->ws_client);
    for (size_t i = 0; i < 3; i++) {
        uv_close((uv_handle_t *)&d->signals[i], NULL);
    }
    uv_close((uv_handle_t *)&d->watchdog, NULL);
    (void)uv_run(&d->loop, UV_RUN_DEFAULT);
    ws_client_finish(d->ws_client);
    const int left = loop_finish(&d->loop);
    LOG_PLAIN(LOG_INFO, "stopped");
    if (!well) { /* what the GPU driver runs at exit() might hang, too */
        _exit(left == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    return left == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- wiring ---------------------------------------------------------------------------------- */

/* --state, else what systemd gave, else the user's. */
static bool state_directory(const struct config *c, struct buf *out)
{
    const char *given = c->state != NULL ? c->state : getenv("STATE_DIRECTORY");
    if (given != NULL && *given != '\0') {
        buf_add_str(out, (struct str){given, strcspn(given, c->state != NULL ? "" : ":")});
        return true;
    }
    const char *xdg = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    if (xdg != NULL && *xdg == '/') {
        buf_printf(out, "%s/comfypoold", xdg);
    } else if (home != NULL && *home == '/') {
        buf_printf(out, "%s/.local/state/comfypoold", home);
    } else {
        fputs("there is no place for the state: give --state DIR\n", stderr);
        return false;
    }
    return true;
}

static void make_rules(struct daemon *d)
{
    const struct config *c = &d->config;
    d->rules = mem_zero(c->routing_rules_len + 1, sizeof *d->rules);
    for (unsigned i = 0; i < c->routing_rules_len; i++) {
        const struct config_rule *r = &c->routing_rules[i];
        d->rules[i] = (struct pool_rule){
            .workflow_hash = r->workflow_hash,
            .metadata = r->metadata,
            .label = r->label,
            .backends = (const char *const *)r->backends.items,
            .backends_len = r->backends.len,
            .hard = r->hard,
        };
    }
}

static struct pool *make_pool(struct daemon *d)
{
    const struct config *c = &d->config;
    const size_t n = list_backends(d);
    if (n == 0) {
        LOG_PLAIN(LOG_WARN, "no backend is configured: jobs will wait; give --backend URL");
    }
    const struct pool_options o = {
        .backends = d->backends,
        .backends_len = n,
        .timeouts =
            {
                .ping_interval = dur_ms(c->link.ping_interval_ms),
                .pong_timeout = dur_ms(c->link.pong_timeout_ms),
                .connect = dur_ms(c->link.connect_timeout_ms),
                .request = dur_ms(c->link.request_timeout_ms),
                .submit = dur_ms(c->link.submit_timeout_ms),
            },
        .submit_settle = dur_ms(c->link.submit_settle_ms),
        .quiet_poll = dur_ms(c->link.quiet_poll_ms),
        .backend_lost = dur_ms(c->link.backend_lost_ms),
        .refused_lost = dur_ms(c->link.refused_lost_ms),
        .ca_file = c->link.ca_file,
        .policy = c->jobs,
        .cancel_grace = dur_ms(c->jobs_cancel_grace_ms),
        .queue_limit = (size_t)c->queue_limit,
        .uploads =
            {
                .blobs = d->uploads,
                .file_bytes = (uint64_t)c->uploads_max_file_bytes,
                .bytes = (uint64_t)c->uploads_max_bytes,
                .age = dur_ms(c->uploads_max_age_days * 24 * 3600 * 1000),
                .hides_names = !c->auth_shared && d->tokens.len > 0,
            },
        .upload_subfolder = c->uploads_subfolder,
        .copies =
            {
                .blobs = d->copies,
                .bytes = (uint64_t)c->outputs_max_bytes,
                .age = dur_ms(c->outputs_max_age_days * 24 * 3600 * 1000),
            },
        .keep_outputs = c->outputs_keep == CONFIG_KEEP_COPY,
        .check_modified = c->outputs_check_modified,
        .stream_classes = (const char *const *)c->outputs_stream_classes.items,
        .stream_classes_len = c->outputs_stream_classes.len,
        .trusted_inputs = (const char *const *)c->routing_trusted_inputs.items,
        .trusted_inputs_len = c->routing_trusted_inputs.len,
        .learned = c->routing_learned,
        .rules = d->rules,
        .rules_len = c->routing_rules_len,
        .max_per_client = (size_t)c->jobs_max_per_client,
        .max_running_per_client = (size_t)c->jobs_max_running_per_client,
        .breaker_failures = (unsigned)c->breaker_failures,
        .breaker_open = dur_ms(c->breaker_open_ms),
        .quarantine_failures = (unsigned)c->quarantine_failures,
        .dead_worker = dur_ms(c->quarantine_dead_worker_ms),
        .profiling = c->profiling_enabled,
        .max_progress_events = (unsigned)c->profiling_max_progress_events,
        .keep_for = dur_ms(c->retention_days * 24 * 3600 * 1000),
        .keep_count = c->retention_count,
        .sampling =
            {
                .crystools = c->sampling_crystools,
                .system_stats = c->sampling_system_stats,
                .interval = dur_ms(c->sampling_system_stats_interval_ms),
                .local = c->sampling_local,
                .nvml = c->sampling_nvml,
            },
        .webhooks =
            {
                .urls = (const char *const *)c->webhooks_urls.items,
                .urls_len = c->webhooks_urls.len,
                .secret = d->receivers.secret,
                .rules = d->receivers.rules,
                .concurrency = (unsigned)c->webhooks_max_concurrent,
                .version = VERSION,
            },
        .hooks =
            {
                .exec = c->hooks_exec,
                .events = c->hooks_events,
                .timeout = dur_ms(c->hooks_timeout_ms),
                .concurrency = (unsigned)c->hooks_max_concurrent,
            },
        .otlp =
            {
                .url = d->receivers.otlp_url,
                .headers = (const char *const *)d->receivers.otlp_headers,
                .version = VERSION,
            },
    };
    return pool_new(&d->loop, d->store, d->http_client, d->ws_client, &o);
}

/* Owner: the caller; the names stay the configuration's. */
static const char **terminated(const struct config_list *l)
{
    const char **list = mem_zero(l->len + 1, sizeof *list);
    for (unsigned i = 0; i < l->len; i++) {
        list[i] = l->items[i];
    }
    return list;
}

static struct http_server *make_server(struct daemon *d)
{
    const struct config *c = &d->config;
    d->allowed_hosts = terminated(&c->http_allowed_hosts);
    d->allowed_origins = terminated(&c->http_allowed_origins);
    d->families[0] = api_family(d->api);
    const struct http_options o = {
        .families = d->families,
        .max_body_bytes = (size_t)c->http_max_body_bytes,
        .max_connections = (unsigned)c->http_max_connections,
        .max_connections_per_address = (unsigned)c->http_max_connections_per_address,
        .header_timeout = dur_ms(c->http_header_timeout_ms),
        .body_timeout = dur_ms(c->http_body_timeout_ms),
        .max_waits = (unsigned)c->http_max_waits,
        .max_streams = (unsigned)c->http_max_streams,
        .allowed_hosts = d->allowed_hosts,
        .allowed_origins = d->allowed_origins,
    };
    struct http_server *s = http_server_new(&d->loop, &o);
    http_server_set_tokens(s, d->tokens.list, d->tokens.len);
    return s;
}

static bool listened(bool good, const char *url, const char *why)
{
    if (good) {
        printf("listening on %s\n", url);
    } else {
        LOG_PLAIN(LOG_ERROR, why);
    }
    return good;
}

/* On the sockets that the service manager holds open over restarts, else where it is configured. */
static bool listen_everywhere(struct daemon *d, int sockets)
{
    char url[256];
    char why[256];
    bool good = true;
    if (sockets > 0 && d->config.listen_from != CONFIG_DEFAULT) {
        LOG_PLAIN(LOG_WARN, "listen does not count: the service manager passed sockets on");
    }
    for (int fd = SD_LISTEN_FDS_START; good && fd < SD_LISTEN_FDS_START + sockets; fd++) {
        good = listened(http_server_listen_fd(d->server, fd, url, sizeof url, why, sizeof why), url,
                        why);
    }
    for (unsigned i = 0; good && sockets == 0 && i < d->config.listen_len; i++) {
        good = listened(
            http_server_listen(d->server, d->config.listen[i], url, sizeof url, why, sizeof why),
            url, why);
    }
    (void)fflush(stdout);
    return good;
}

/* Descriptors that are kept for others than clients: what a daemon without any has open (28), its
   store's reads, names, files on their way; a socket and two requests of each backend. A third of
   what is left is for what clients' requests open: files, and requests to backends. */
enum { SPARE_FILES = 40, SPARE_PER_BACKEND = 3, LEAST_CONNECTIONS = 8 };

/* A connection is a descriptor, and shells give few of them. What it is then; 0: no limit. */
static uint64_t raise_file_limit(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) != 0) {
        return 0;
    }
    if (l.rlim_cur < l.rlim_max) {
        const rlim_t was = l.rlim_cur;
        l.rlim_cur = l.rlim_max;
        l.rlim_cur = setrlimit(RLIMIT_NOFILE, &l) == 0 ? l.rlim_max : was;
    }
    return l.rlim_cur == RLIM_INFINITY ? 0 : (uint64_t)l.rlim_cur;
}

/* So many connections that the store and the backends have descriptors, whoever connects. */
static bool fit_connections(struct daemon *d, uint64_t limit)
{
    struct config *c = &d->config;
    const uint64_t spare = SPARE_FILES + (uint64_t)c->backends_len * SPARE_PER_BACKEND;
    const uint64_t least = spare + LEAST_CONNECTIONS * 3 / 2;
    if (limit == 0) {
        return true;
    }
    if (limit < least) {
        LOG(LOG_ERROR,
            "the limit of open files is too low (ulimit -n, LimitNOFILE): nothing would work",
            LOG_I("limit", (int64_t)limit), LOG_I("needed", (int64_t)least));
        return false;
    }
    const int64_t most = (int64_t)((limit - spare) * 2 / 3);
    if (c->http_max_connections > most) {
        LOG(LOG_WARN,
            "the limit of open files (ulimit -n, LimitNOFILE) allows fewer connections "
            "than http.maxConnections",
            LOG_I("limit", (int64_t)limit), LOG_I("connections", most));
        c->http_max_connections = most;
    }
    return true;
}

/* A directory of files inside the state directory. */
static bool open_files(struct daemon *d, const char *state, const char *name, struct blobs **ret)
{
    char why[256] = "";
    AUTO_BUF struct buf path;
    buf_init(&path, BUF_NO_LIMIT);
    buf_printf(&path, "%s/%s", state, name);
    const bool good = blobs_open(&d->loop, buf_text(&path), ret, why, sizeof why);
    if (!good) {
        LOG(LOG_ERROR, "cannot open a directory of files", LOG_S("path", buf_text(&path)),
            LOG_S("why", why));
    }
    return good;
}

static int run(struct daemon *d, int sockets)
{
    AUTO_BUF struct buf dir;
    buf_init(&dir, 4096);
    char why[512];
    if (!state_directory(&d->config, &dir)) {
        return EXIT_USAGE;
    }
    if (!fit_connections(d, raise_file_limit())) {
        return EXIT_FAILURE;
    }
    loop_init(&d->loop);
    watch_signals(d);
    (void)uv_timer_init(&d->loop, &d->watchdog);
    d->watchdog.data = d;
    const bool opened = d->new_store
                            ? store_open_anew(buf_text(&dir), &d->loop, &d->store, why, sizeof why)
                            : store_open(buf_text(&dir), &d->loop, &d->store, why, sizeof why);
    if (!opened) {
        LOG(LOG_ERROR, "cannot open the store", LOG_S("state", buf_text(&dir)), LOG_S("why", why));
        return EXIT_FAILURE;
    }
    if (!open_files(d, buf_text(&dir), "uploads", &d->uploads) ||
        !open_files(d, buf_text(&dir), "outputs", &d->copies)) {
        return EXIT_FAILURE;
    }
    d->http_client = http_client_new(&d->loop);
    d->ws_client = ws_client_new(&d->loop);
    make_rules(d);
    d->backends = mem_zero(d->config.backends_len + 1, sizeof *d->backends);
    d->pool = make_pool(d);
    const struct api_options api = {.version = VERSION, .shared = d->config.auth_shared};
    d->api = api_new(&d->loop, d->pool, d->store, &api);
    d->server = make_server(d);
    api_set_server(d->api, d->server);
    int status = EXIT_FAILURE;
    if (pool_start(d->pool) && listen_everywhere(d, sockets)) {
        (void)sd_notify(0, "READY=1");
        begin_watchdog(d);
        LOG(LOG_INFO, "started", LOG_S("version", VERSION), LOG_S("state", buf_text(&dir)));
        (void)uv_run(&d->loop, UV_RUN_DEFAULT);
        status = EXIT_SUCCESS;
    }
    const int left = shut_down(d);
    free(d->backends);
    free(d->rules);
    return status == EXIT_SUCCESS ? left : status;
}

/* What is wrong is told before anything starts. */
static int start(struct daemon *d, const struct arguments *a)
{
    const int sockets = sd_listen_fds(1);
    d->insecure = a->insecure;
    d->new_store = a->new_store;
    if (sockets < 0) {
        fprintf(stderr, "the sockets of the service manager: %s\n", strerror(-sockets));
        return EXIT_USAGE;
    }
    if (!read_tokens(d) || !read_receivers(d) || !check_exposure(d, sockets)) {
        return EXIT_USAGE;
    }
    return a->check_only ? EXIT_SUCCESS : run(d, sockets);
}

/* Whoever closed one of them: the next file that is opened must not be taken for it, and libuv
   cannot start a program without. */
static void open_standard_files(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0) {
            (void)open("/dev/null", O_RDWR); /* takes the lowest free number: this one */
        }
    }
}

int main(int argc, char **argv)
{
    static struct daemon d;
    open_standard_files();
    struct arguments a = {0};
    config_init(&d.config);
    buf_init(&d.tokens_path, BUF_NO_LIMIT);
    int status = EXIT_USAGE;
    if (read_configuration(argc, argv, &d.config, &a)) {
        log_set_level(d.config.log_level);
        status = a.done ? EXIT_SUCCESS : start(&d, &a);
    }
    free(d.allowed_hosts);
    free(d.allowed_origins);
    tokens_done(&d.tokens);
    receivers_done(&d.receivers);
    buf_done(&d.tokens_path);
    config_done(&d.config);
    return status;
}
