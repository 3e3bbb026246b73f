/*
 * comfysim: argv, the parts put together, the loop's turn, crashes and the end.
 *
 * A turn of the loop: libuv's poll phase takes requests and timers; then the check phase runs the
 * executor (one job at most, until it waits) and flushes every socket in one write. The idle handle
 * is active only while there is more to run, so that the loop does not block then.
 */
#include "sim.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
    const char *host;
    int port;
    double speed, overhead, vram, crystools;
    bool v028, old, zero, no_cache;
    const char *trace, *truth, *ledger, *fault, *storm, *argv;
    int trace_prompt;
    int gpus, gpu;
};

static struct sim *sim_of(const struct conn *conn)
{
    return conn->server->owner;
}

/* ---- what the server calls -------------------------------------------------------------- */

void sim_on_request(struct conn *conn)
{
    route_request(sim_of(conn), conn);
}

static void add_status(const struct sim *sim, struct text *t)
{
    TEXT_LIT(t, "{\"type\": \"status\", \"data\": {\"status\": {\"exec_info\": "
                "{\"queue_remaining\": ");
    text_int(t, (int64_t)jobs_remaining(&sim->jobs));
    TEXT_LIT(t, "}}");
}

void sim_send_status(struct sim *sim)
{
    if (sim->server.n_registered == 0) {
        return;
    }
    struct text *t = &sim->exec.ui; /* any scratch text; nothing else is in it now */
    text_clear(t);
    add_status(sim, t);
    TEXT_LIT(t, "}}");
    if (lasting_hides(sim, t->data, t->len)) {
        return;
    }
    server_send(&sim->server, NULL, t->data, t->len, "", 0, false);
}

void sim_on_socket(struct conn *conn)
{
    struct sim *sim = sim_of(conn);
    struct text t = {0};
    add_status(sim, &t);
    TEXT_LIT(&t, ", \"sid\": ");
    text_quoted(&t, conn->sid, strlen(conn->sid));
    TEXT_LIT(&t, "}}");
    conn_send(conn, t.data, t.len, "", 0, false);
    const struct executor *x = &sim->exec;
    if (x->last_node && x->last_client && !strcmp(x->last_client, conn->sid)) {
        text_clear(&t);
        text_printf(&t, "{\"type\": \"executing\", \"data\": {\"node\": %s}}", x->last_node);
        conn_send(conn, t.data, t.len, "", 0, false);
    }
    text_free(&t);
}

void sim_on_message(struct conn *conn, const char *text, size_t len)
{
    struct sim *sim = sim_of(conn);
    json_t *message = text_json_load(text, len);
    const char *type = json_string_value(json_object_get(message, "type"));
    if (type && !strcmp(type, "feature_flags")) {
        static const char v03[] = "{\"type\": \"feature_flags\", \"data\": "
                                  "{\"supports_preview_metadata\": true, \"max_upload_size\": "
                                  "104857600}}";
        static const char v028[] =
            "{\"type\": \"feature_flags\", \"data\": {\"supports_preview_metadata\": true, "
            "\"supports_model_type_tags\": true, \"max_upload_size\": 104857600, \"extension\": "
            "{\"manager\": {\"supports_v4\": true}}, \"node_replacements\": true, \"assets\": "
            "false}}";
        const json_t *flags = json_object_get(message, "data");
        server_set_takes_metadata(
            &sim->server, conn->sid,
            json_is_true(json_object_get(flags, "supports_preview_metadata")));
        const char *answer = sim->known.v028 ? v028 : v03;
        conn_send(conn, answer, strlen(answer), "", 0, false);
    }
    json_decref(message);
}

void sim_on_gone(struct conn *conn)
{
    held_forget(sim_of(conn), conn);
}

/* ---- the loop's turn -------------------------------------------------------------------- */

static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* its being active is all that it does */
}

void sim_kick(struct sim *sim)
{
    if (!sim->working && !sim->stopping) {
        sim->working = true;
        uv_idle_start(&sim->idle, on_idle);
    }
}

static void on_check(uv_check_t *check)
{
    struct sim *sim = check->data;
    if (sim->working && !exec_run(&sim->exec)) {
        sim->working = false;
        uv_idle_stop(&sim->idle);
    }
    server_flush(&sim->server);
}

/* ---- crashes and the end ---------------------------------------------------------------- */

static void on_revive(struct sim_timer *timer)
{
    struct sim *sim = timer->owner;
    if (!server_listen(&sim->server)) { /* somebody else has the port for a moment */
        timer_start(&sim->timers, timer, mono_ns() + 20000000);
        return;
    }
    sim->down = false;
    sim_kick(sim);
}

void sim_crash(struct sim *sim, double ms)
{
    if (sim->down || sim->stopping) {
        return;
    }
    sim->down = true;
    ledger_note(&sim->truth, NULL, NULL, "down");
    server_deafen(&sim->server);
    server_cut_all(&sim->server);
    held_clear(sim);
    for (size_t i = 0; i < sim->jobs.n_heap; i++) {
        ledger_note(&sim->truth, sim->jobs.heap[i]->id, sim->jobs.heap[i]->tag, "crashed");
    }
    exec_reset(&sim->exec);
    lasting_restart(sim);
    jobs_clear(&sim->jobs, true, true);
    cache_clear(&sim->cache);
    sim->number = 0;
    sim->revive.owner = sim;
    sim->revive.fire = on_revive;
    timer_start(&sim->timers, &sim->revive, mono_ns() + (uint64_t)(ms > 0 ? ms * 1e6 : 0));
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct sim *sim = handle->data;
    (void)number;
    if (sim->stopping) {
        return;
    }
    sim->stopping = true;
    held_clear(sim);
    exec_reset(&sim->exec);
    timers_close(&sim->timers);
    uv_close((uv_handle_t *)&sim->check, NULL);
    uv_close((uv_handle_t *)&sim->idle, NULL);
    for (size_t i = 0; i < 2; i++) {
        uv_close((uv_handle_t *)&sim->signals[i], NULL);
    }
    server_close(&sim->server);
}

static void sim_free(struct sim *sim)
{
    server_closed(&sim->server);
    exec_free(&sim->exec);
    jobs_clear(&sim->jobs, true, true);
    cache_clear(&sim->cache);
    truth_close(&sim->truth);
    files_free(&sim->files);
    replay_free(sim->replay);
    json_decref(sim->known.missing);
    json_decref(sim->known.models);
    lasting_free(&sim->lasting);
    json_decref(sim->http_counts);
    json_decref(sim->prefixes);
}

/* ---- argv ------------------------------------------------------------------------------- */

static void print_help(FILE *out)
{
    fprintf(out,
            "comfysim --port N [options]: a simulator of a ComfyUI server\n"
            "  --port N            port, 0 picks a free one; printed on stdout\n"
            "  --host H            address to listen on (127.0.0.1)\n"
            "  --version-as V      0.3.45, 0.3 (0.3.64) or 0.28 (default)\n"
            "  --speed X           typical times are divided by X (also a trace's pace, where 0\n"
            "                      is as fast as possible); _ms inputs are exact\n"
            "  --zero              all typical times are 0\n"
            "  --overhead MS       before each execution_start (a real server needs 3 to 6)\n"
            "  --vram BYTES        what /system_stats says that its device has\n"
            "  --gpus N            of the host; the server has one of them (0: none)\n"
            "  --gpu I             which, from 0 (0)\n"
            "  --crystools MS      every MS a crystools.monitor frame to all sockets\n"
            "  --argv WORDS        what /system_stats says that it was started with\n"
            "  --no-cache          no node's output is reused\n"
            "  --trace FILE        each prompt plays the first recorded run of FILE\n"
            "  --trace-prompt K    the K-th POST /prompt of the trace instead, from 0\n"
            "  --truth FILE        appends a JSON line per finished prompt\n"
            "  --ledger FILE       appends a JSON line per event of a prompt's life\n"
            "  --storm SEED[:RATE] each prompt is struck by a random fault with probability\n"
            "                      RATE (0.3), always the same ones for a seed\n"
            "  --fault MODE[@WHEN[:ARG]]\n"
            "%s",
            faults_help());
}

static bool parse_int(const char *s, int max, int *ret)
{
    char *end;
    errno = 0;
    long n = strtol(s, &end, 10);
    *ret = (int)n;
    return !errno && *s && !*end && n >= 0 && n <= max;
}

/* -1: go on; else the exit status. */
static int parse_options(int argc, char **argv, struct options *o)
{
    enum {
        HELP,
        PORT,
        HOST,
        VERSION,
        SPEED,
        ZERO,
        NO_CACHE,
        OVERHEAD,
        TRACE,
        TRACE_PROMPT,
        TRUTH,
        LEDGER,
        FAULT,
        STORM,
        VRAM,
        GPUS,
        GPU,
        CRYSTOOLS,
        ARGV
    };
    static const struct option names[] = {{"help", no_argument, NULL, HELP},
                                          {"port", required_argument, NULL, PORT},
                                          {"host", required_argument, NULL, HOST},
                                          {"version-as", required_argument, NULL, VERSION},
                                          {"speed", required_argument, NULL, SPEED},
                                          {"zero", no_argument, NULL, ZERO},
                                          {"no-cache", no_argument, NULL, NO_CACHE},
                                          {"overhead", required_argument, NULL, OVERHEAD},
                                          {"trace", required_argument, NULL, TRACE},
                                          {"trace-prompt", required_argument, NULL, TRACE_PROMPT},
                                          {"truth", required_argument, NULL, TRUTH},
                                          {"ledger", required_argument, NULL, LEDGER},
                                          {"fault", required_argument, NULL, FAULT},
                                          {"storm", required_argument, NULL, STORM},
                                          {"vram", required_argument, NULL, VRAM},
                                          {"gpus", required_argument, NULL, GPUS},
                                          {"gpu", required_argument, NULL, GPU},
                                          {"crystools", required_argument, NULL, CRYSTOOLS},
                                          {"argv", required_argument, NULL, ARGV},
                                          {NULL, 0, NULL, 0}};
    *o = (struct options){
        .host = "127.0.0.1",
        .port = -1,
        .speed = 1,
        .vram = 25276510208,
        .v028 = true,
        .trace_prompt = -1,
        .gpus = -1,
    };
    int c;
    bool ok = true;
    while (ok && (c = getopt_long(argc, argv, "h", names, NULL)) != -1) {
        char *end = NULL;
        switch (c) {
        case 'h':
        case HELP:
            print_help(stdout);
            return 0;
        case PORT:
            ok = parse_int(optarg, 65535, &o->port);
            break;
        case HOST:
            o->host = optarg;
            break;
        case VERSION:
            o->v028 = !strcmp(optarg, "0.28");
            o->old = !strcmp(optarg, "0.3.45");
            ok = o->v028 || o->old || !strcmp(optarg, "0.3");
            break;
        case SPEED:
            o->speed = strtod(optarg, &end);
            ok = *optarg && !*end && o->speed >= 0;
            break;
        case OVERHEAD:
            o->overhead = strtod(optarg, &end);
            ok = *optarg && !*end && o->overhead >= 0;
            break;
        case VRAM:
            o->vram = strtod(optarg, &end);
            ok = *optarg && !*end && o->vram >= 0;
            break;
        case GPUS:
            ok = parse_int(optarg, GPUS_MAX, &o->gpus);
            break;
        case GPU:
            ok = parse_int(optarg, GPUS_MAX, &o->gpu);
            break;
        case CRYSTOOLS:
            o->crystools = strtod(optarg, &end);
            ok = *optarg && !*end && o->crystools >= 0 && o->crystools <= MONITOR_MS_MAX;
            break;
        case ARGV:
            o->argv = optarg;
            break;
        case ZERO:
            o->zero = true;
            break;
        case NO_CACHE:
            o->no_cache = true;
            break;
        case TRACE:
            o->trace = optarg;
            break;
        case TRACE_PROMPT:
            ok = parse_int(optarg, 1000000, &o->trace_prompt);
            break;
        case TRUTH:
            o->truth = optarg;
            break;
        case LEDGER:
            o->ledger = optarg;
            break;
        case FAULT:
            o->fault = optarg;
            break;
        case STORM:
            o->storm = optarg;
            break;
        default:
            return 2; /* getopt_long said why */
        }
        if (!ok) {
            fprintf(stderr, "comfysim: bad value: %s\n", optarg);
            return 2;
        }
    }
    if (optind < argc || o->port < 0) {
        fprintf(stderr, "comfysim: %s\n", optind < argc ? "too many arguments" : "--port N needed");
        return 2;
    }
    return -1;
}

static bool sim_open(struct sim *sim, const struct options *o)
{
    const char *why = NULL;
    sim->server.owner = sim;
    sim->known = (struct known){.has_image = files_has_image,
                                .owner = &sim->files,
                                .v028 = o->v028,
                                .no_times = o->zero,
                                .speed = o->speed,
                                .node_ms = -1};
    sim->cache.off = o->no_cache;
    sim->http_counts = json_object();
    sim->prefixes = json_object();
    exec_init(&sim->exec, sim);
    sim->exec.overhead_ms = o->overhead;
    sim->vram = o->vram;
    sim->lasting.create_time = o->v028;
    sim->lasting.old_interrupt = o->old;
    strcpy(sim->older, o->old ? "0.3.45" : "");
    gauges_init(&sim->gauges);
    sim->gauges.argv = o->argv;
    if ((o->gpus >= 0 || o->gpu > 0) && !gauges_set_gpus(&sim->gauges, o->gpus, o->gpu)) {
        fprintf(stderr, "comfysim: --gpu %d is none of --gpus\n", o->gpu);
    } else if (!faults_set(&sim->faults, o->fault)) {
        fprintf(stderr, "comfysim: no such fault: %s\n", o->fault);
    } else if (o->storm && !faults_set_storm(&sim->faults, o->storm)) {
        fprintf(stderr, "comfysim: no such storm: %s\n", o->storm);
    } else if (!truth_open(&sim->truth, o->truth, o->ledger)) {
        fprintf(stderr, "comfysim: cannot open the truth or ledger file: %s\n", strerror(errno));
    } else if (o->trace &&
               !(sim->replay = replay_load(o->trace, o->trace_prompt, o->speed, &why))) {
        fprintf(stderr, "comfysim: trace %s %s\n", o->trace, why);
    } else if (uv_loop_init(&sim->loop) || timers_open(&sim->timers, &sim->loop)) {
        fprintf(stderr, "comfysim: no event loop\n");
    } else if (!server_open(&sim->server, &sim->loop, o->host, o->port)) {
        fprintf(stderr, "comfysim: cannot listen on %s:%d: %s\n", o->host, o->port,
                strerror(errno));
    } else {
        gauges_monitor(sim, o->crystools);
        return true;
    }
    return false;
}

int main(int argc, char **argv)
{
    struct options options;
    int status = parse_options(argc, argv, &options);
    if (status >= 0) {
        return status;
    }
    signal(SIGPIPE, SIG_IGN);
    static struct sim sim;
    if (!sim_open(&sim, &options)) {
        return 1;
    }
    sim.truth.port = sim.server.port;
    sim.check.data = &sim;
    uv_check_init(&sim.loop, &sim.check);
    uv_check_start(&sim.check, on_check);
    uv_idle_init(&sim.loop, &sim.idle);
    static const int numbers[] = {SIGTERM, SIGINT};
    for (size_t i = 0; i < 2; i++) {
        sim.signals[i].data = &sim;
        uv_signal_init(&sim.loop, &sim.signals[i]);
        uv_signal_start(&sim.signals[i], on_signal, numbers[i]);
    }
    printf("listening on http://%s:%d\n", options.host, sim.server.port);
    fflush(stdout);
    uv_run(&sim.loop, UV_RUN_DEFAULT);
    lws_context_destroy(sim.server.context);
    uv_run(&sim.loop, UV_RUN_DEFAULT);
    uv_loop_close(&sim.loop);
    sim_free(&sim);
    return 0;
}
