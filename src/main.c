/*
 * The composition root: arguments, configuration, wiring, run. It decides nothing. The order of the
 * end is the order of the beginning turned round: answers first, then what is under way is stored,
 * then the store closes, then every handle; a handle that survives is a bug and exits with 1.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>
#include <uv.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/log.h"
#include "comfypool/http/http.h"
#include "comfypool/loop/http_client.h"
#include "comfypool/loop/loop.h"
#include "comfypool/loop/ws_client.h"
#include "comfypool/pool/pool.h"
#include "comfypool/store/store.h"
#include "config.h"

#define VERSION "0.1.0"

enum { EXIT_USAGE = 2 };

struct daemon {
    uv_loop_t loop;
    struct config config;
    struct store *store;
    struct http_client *http_client;
    struct ws_client *ws_client;
    struct pool *pool;
    struct http_server *server;
    uv_signal_t signals[3];
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
};

static const struct {
    const char *name;
    const char *argument; /* NULL: none */
    int id;
    const char *help;
} options[] = {
    {"backend", "URL", OPT_BACKEND,
     "a ComfyUI server, http://HOST:PORT; name=URL names it; may be repeated"},
    {"listen", "ADDR:PORT", OPT_LISTEN, "where clients connect (127.0.0.1:8189); port 0 picks one"},
    {"state", "DIR", OPT_STATE,
     "where jobs are kept ($STATE_DIRECTORY, else $XDG_STATE_HOME/comfypoold)"},
    {"config", "FILE", OPT_CONFIG, "read this YAML file first"},
    {"check-config", NULL, OPT_CHECK, "say what is wrong with the configuration, and exit"},
    {"profile", NULL, OPT_PROFILE, "profile every job unless the job says otherwise"},
    {"log-level", "LEVEL", OPT_LOG_LEVEL, "error, warning, info (the default) or debug"},
    {"print-config-keys", NULL, OPT_PRINT_KEYS, "list every key of the configuration, and exit"},
    {"version", NULL, OPT_VERSION, "print the version, and exit"},
    {"help", NULL, OPT_HELP, "print this, and exit"},
};

enum { OPTIONS = sizeof options / sizeof *options };

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
    for (int o = getopt_long(argc, argv, "", longs, NULL); o != -1;
         o = getopt_long(argc, argv, "", longs, NULL)) {
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
    for (int o = getopt_long(argc, argv, "", longs, NULL); o != -1;
         o = getopt_long(argc, argv, "", longs, NULL)) {
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
    if (a->done) {
        return true;
    }
    if (a->config_file == NULL) {
        a->config_file = getenv("COMFYPOOLD_CONFIG");
    }
    AUTO_BUF struct buf errors;
    buf_init(&errors, BUF_NO_LIMIT);
    bool good = a->config_file == NULL || config_load_file(c, a->config_file, &errors);
    good = config_load_env(c, &errors) && good;
    good = read_flags(argc, argv, longs, c, &errors) && good;
    good = good && config_validate(c, &errors);
    return good || complain(&errors);
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
        LOG_PLAIN(LOG_INFO, "SIGHUP: nothing can be reloaded yet, restart to apply a change");
        return;
    }
    if (d->stopping) {
        return;
    }
    d->stopping = true;
    LOG(LOG_INFO, "stopping", LOG_S("signal", number == SIGTERM ? "SIGTERM" : "SIGINT"));
    (void)sd_notify(0, "STOPPING=1");
    pool_stop(d->pool, pool_stopped, d);
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

static int shut_down(struct daemon *d)
{
    pool_set_server(d->pool, NULL);
    http_server_close(d->server);
    store_close(d->store);
    pool_close(d->pool);
    http_client_close(d->http_client);
    ws_client_close(d->ws_client);
    for (size_t i = 0; i < 3; i++) {
        uv_close((uv_handle_t *)&d->signals[i], NULL);
    }
    (void)uv_run(&d->loop, UV_RUN_DEFAULT);
    ws_client_finish(d->ws_client);
    const int left = loop_finish(&d->loop);
    LOG_PLAIN(LOG_INFO, "stopped");
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

static struct pool *make_pool(struct daemon *d, struct pool_backend_options *backends)
{
    const struct config *c = &d->config;
    size_t n = 0;
    for (unsigned i = 0; i < c->backends_len; i++) {
        const struct config_backend *b = &c->backends[i];
        if (b->enabled) {
            backends[n++] = (struct pool_backend_options){
                .name = b->name,
                .url = b->url,
                .weight = (double)b->weight,
                .max_in_flight = (unsigned)b->max_in_flight,
                .headers = (const char *const *)b->headers,
            };
        }
    }
    if (n == 0) {
        LOG_PLAIN(LOG_WARN, "no backend is configured: jobs will wait; give --backend URL");
    }
    const struct pool_options o = {
        .backends = backends,
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
        .max_attempts = (unsigned)c->jobs_max_attempts,
        .retry_delay = dur_ms(c->jobs_retry_delay_ms),
        .profiling = c->profiling_enabled,
        .max_progress_events = (unsigned)c->profiling_max_progress_events,
        .keep_for = dur_ms(c->retention_days * 24 * 3600 * 1000),
        .keep_count = c->retention_count,
        .version = VERSION,
    };
    return pool_new(&d->loop, d->store, d->http_client, d->ws_client, &o);
}

static bool listen_everywhere(struct daemon *d)
{
    for (unsigned i = 0; i < d->config.listen_len; i++) {
        char url[256];
        char why[256];
        if (!http_server_listen(d->server, d->config.listen[i], url, sizeof url, why, sizeof why)) {
            LOG(LOG_ERROR, "cannot listen", LOG_S("address", d->config.listen[i]),
                LOG_S("why", why));
            return false;
        }
        printf("listening on %s\n", url);
    }
    (void)fflush(stdout);
    return true;
}

static int run(struct daemon *d)
{
    AUTO_BUF struct buf dir;
    buf_init(&dir, 4096);
    char why[512];
    if (!state_directory(&d->config, &dir)) {
        return EXIT_USAGE;
    }
    loop_init(&d->loop);
    watch_signals(d);
    if (!store_open(buf_text(&dir), &d->loop, &d->store, why, sizeof why)) {
        LOG(LOG_ERROR, "cannot open the store", LOG_S("state", buf_text(&dir)), LOG_S("why", why));
        return EXIT_FAILURE;
    }
    d->http_client = http_client_new(&d->loop);
    d->ws_client = ws_client_new(&d->loop);
    struct pool_backend_options *backends = mem_zero(d->config.backends_len + 1, sizeof *backends);
    d->pool = make_pool(d, backends);
    const struct http_options http = {
        .max_body_bytes = (size_t)d->config.http_max_body_bytes,
        .max_connections = (unsigned)d->config.http_max_connections,
        .max_waits = (unsigned)d->config.http_max_waits,
    };
    d->server = http_server_new(&d->loop, &http, pool_serve, d->pool);
    pool_set_server(d->pool, d->server);
    int status = EXIT_FAILURE;
    if (pool_start(d->pool) && listen_everywhere(d)) {
        (void)sd_notify(0, "READY=1");
        LOG(LOG_INFO, "started", LOG_S("version", VERSION), LOG_S("state", buf_text(&dir)));
        (void)uv_run(&d->loop, UV_RUN_DEFAULT);
        status = EXIT_SUCCESS;
    }
    const int left = shut_down(d);
    free(backends);
    return status == EXIT_SUCCESS ? left : status;
}

int main(int argc, char **argv)
{
    static struct daemon d;
    struct arguments a = {0};
    config_init(&d.config);
    int status = EXIT_USAGE;
    if (read_configuration(argc, argv, &d.config, &a)) {
        status = EXIT_SUCCESS;
        log_set_level(d.config.log_level);
        if (!a.done && !a.check_only) {
            status = run(&d);
        }
    }
    config_done(&d.config);
    return status;
}
