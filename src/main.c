/*
 * The composition root: makes the parts, connects them, and ends them in turn. It decides nothing.
 * Parts end in reverse order of their start: answers first, then running work is stored, then the
 * store closes, then every handle; a handle that survives is a bug and exits with 1.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>
#include <uv.h>

#include "comfypool/api/api.h"
#include "comfypool/base/buf.h"
#include "comfypool/base/log.h"
#include "comfypool/config/arguments.h"
#include "comfypool/config/settings.h"
#include "comfypool/http/http.h"
#include "comfypool/loop/http_client.h"
#include "comfypool/loop/loop.h"
#include "comfypool/loop/ws_client.h"
#include "comfypool/pool/pool.h"
#include "comfypool/store/store.h"

#include "main/inner.h"

#define VERSION "0.1.0"

enum { EXIT_USAGE = 2 };

struct daemon {
    uv_loop_t loop;
    struct arguments arguments;
    struct settings settings;
    struct blobs *uploads;
    struct blobs *copies;
    struct store *store;
    struct http_client *http_client;
    struct ws_client *ws_client;
    struct pool *pool;
    struct http_server *server;
    struct api *api;
    const struct http_family *families[2]; /* NULL at the end */
    struct signals signals;
    struct watchdog watchdog;
};

/* ---- signals --------------------------------------------------------------------------------- */

static void reload(void *ctx)
{
    struct daemon *d = ctx;
    (void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)time_mono().us);
    if (settings_reload_tokens(&d->settings)) {
        http_server_set_tokens(d->server, d->settings.tokens.list, d->settings.tokens.len);
    }
    settings_reload_headers(&d->settings);
    pool_reload(d->pool);
    LOG_PLAIN(LOG_INFO,
              "SIGHUP reloads auth.tokensFile and the headersFiles of backends, and tries "
              "again what gateways refused; restart to apply any other change");
    (void)sd_notify(0, "READY=1");
}

static void pool_stopped(void *ctx)
{
    struct daemon *d = ctx;
    uv_stop(&d->loop);
}

static void stop(void *ctx)
{
    struct daemon *d = ctx;
    (void)sd_notify(0, "STOPPING=1");
    pool_stop(d->pool, pool_stopped, d);
    api_end_streams(d->api);
    http_server_drain(d->server);
}

/* ---- wiring ---------------------------------------------------------------------------------- */

/* Opens a directory of files inside the state directory. */
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

static bool open_state(struct daemon *d, const char *state)
{
    char why[512];
    const bool opened = d->arguments.new_store
                            ? store_open_anew(state, &d->loop, &d->store, why, sizeof why)
                            : store_open(state, &d->loop, &d->store, why, sizeof why);
    if (!opened) {
        LOG(LOG_ERROR, "cannot open the store", LOG_S("state", state), LOG_S("why", why));
        return false;
    }
    return open_files(d, state, "uploads", &d->uploads) &&
           open_files(d, state, "outputs", &d->copies);
}

static void make_pool(struct daemon *d)
{
    struct pool_options o;
    settings_fill_pool(&d->settings, VERSION, &o);
    o.uploads.blobs = d->uploads;
    o.copies.blobs = d->copies;
    if (o.backends_len == 0) {
        LOG_PLAIN(LOG_WARN, "no backend is configured: jobs will wait; give --backend URL");
    }
    d->http_client = http_client_new(&d->loop);
    d->ws_client = ws_client_new(&d->loop);
    d->pool = pool_new(&d->loop, d->store, d->http_client, d->ws_client, &o);
}

static void make_api(struct daemon *d)
{
    const struct api_options o = {.version = VERSION, .shared = d->settings.config.auth_shared};
    d->api = api_new(&d->loop, d->pool, d->store, &o);
    d->families[0] = api_family(d->api);
    d->server = server_new(&d->loop, &d->settings, d->families);
    api_set_server(d->api, d->server);
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
    signals_close(&d->signals);
    watchdog_close(&d->watchdog);
    (void)uv_run(&d->loop, UV_RUN_DEFAULT);
    ws_client_finish(d->ws_client);
    const int left = loop_finish(&d->loop);
    LOG_PLAIN(LOG_INFO, "stopped");
    if (!well) { /* the GPU driver's exit handlers might hang, too */
        _exit(left == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    return left == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int run(struct daemon *d, const char *state, int sockets)
{
    loop_init(&d->loop);
    d->signals = (struct signals){.stop = stop, .reload = reload, .ctx = d};
    signals_watch(&d->signals, &d->loop);
    watchdog_init(&d->watchdog, &d->loop);
    if (!open_state(d, state)) {
        return EXIT_FAILURE;
    }
    make_pool(d);
    make_api(d);
    int status = EXIT_FAILURE;
    if (pool_start(d->pool) && server_listen(d->server, &d->settings.config, sockets)) {
        (void)sd_notify(0, "READY=1");
        watchdog_begin(&d->watchdog, d->store);
        LOG(LOG_INFO, "started", LOG_S("version", VERSION), LOG_S("state", state));
        (void)uv_run(&d->loop, UV_RUN_DEFAULT);
        status = EXIT_SUCCESS;
    }
    const int left = shut_down(d);
    return status == EXIT_SUCCESS ? left : status;
}

/* ---- the program ----------------------------------------------------------------------------- */

/* Reads the files and reports errors before anything starts. */
static bool read_files(struct daemon *d, int sockets)
{
    AUTO_BUF struct buf errors;
    buf_init(&errors, BUF_NO_LIMIT);
    if (sockets < 0) {
        fprintf(stderr, "the sockets of the service manager: %s\n", strerror(-sockets));
        return false;
    }
    if (!settings_read_files(&d->settings, &errors)) {
        (void)fwrite(errors.data, 1, errors.len, stderr);
        return false;
    }
    return d->settings.tokens.len > 0 || d->arguments.insecure ||
           exposure_check(&d->settings.config, sockets);
}

static int start(struct daemon *d)
{
    const int sockets = sd_listen_fds(1);
    AUTO_BUF struct buf state;
    buf_init(&state, 4096);
    if (!read_files(d, sockets)) {
        return EXIT_USAGE;
    }
    if (d->arguments.check_only) {
        return EXIT_SUCCESS;
    }
    if (!settings_state_directory(&d->settings, &state)) {
        return EXIT_USAGE;
    }
    return descriptors_fit(&d->settings.config) ? run(d, buf_text(&state), sockets) : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    static struct daemon d;
    int status = EXIT_USAGE;
    /* The writer, the finder and libuv's threads share one arena beside the loop's: separate ones
       would each keep what their largest profile needed. */
    (void)mallopt(M_ARENA_MAX, 2);
    descriptors_open_standard();
    settings_init(&d.settings);
    if (arguments_read(argc, argv, VERSION, &d.settings.config, &d.arguments)) {
        log_set_level(d.settings.config.log_level);
        status = d.arguments.done ? EXIT_SUCCESS : start(&d);
    }
    settings_done(&d.settings);
    return status;
}
