/*
 * Monitor frames and the numbers of /system_stats. See gauges.h.
 *
 * The frame is what the extension makes of psutil and NVML: all GPUs of the host in the driver's
 * order, whatever CUDA_VISIBLE_DEVICES leaves to the server, to every socket; -1 is what it could
 * not ask. /system_stats always knows, so an unavailable value is the default one there.
 */
#include "gauges.h"

#include "sim.h"

#include <math.h>
#include <string.h>

#define GIB 1073741824.0
#define RAM_TOTAL 25276510208.0
#define RAM_FREE 24194547712.0 /* as recorded */
#define DISK_TOTAL (512 * GIB)
#define DISK_USED (128 * GIB)

/* Between nodes, and for nodes that say nothing. */
static const struct usage at_rest = {.vram = GIB, .gpu = 0, .ram = 2 * GIB, .temp = 40};

/* What another's GPU at this place says, always. */
#define OTHERS_UTILIZATION 99
#define OTHERS_TEMPERATURE 77
#define OTHERS_TOTAL(index) (8 * GIB * ((index) + 1))
#define OTHERS_USED(index) (7 * GIB * ((index) + 1))

void gauges_init(struct gauges *gauges)
{
    *gauges = (struct gauges){.gpus = -1};
}

/* ---- values ------------------------------------------------------------------------------ */

static double or_default(double value, double otherwise)
{
    return isnan(value) ? otherwise : value;
}

/* Memory that is used: no more than there is. */
static double at_most(double used, double total)
{
    return used < total ? used : total;
}

static struct usage usage_now(const struct sim *sim)
{
    const struct node *node = exec_running_node(&sim->exec);
    if (!node) {
        return at_rest;
    }
    return (struct usage){
        .vram = at_most(or_default(node->usage.vram, at_rest.vram), sim->vram),
        .gpu = or_default(node->usage.gpu, at_rest.gpu),
        .ram = at_most(or_default(node->usage.ram, at_rest.ram), RAM_TOTAL),
        .temp = or_default(node->usage.temp, at_rest.temp),
    };
}

static double vram_free(const struct sim *sim)
{
    if (!sim->gauges.told) {
        return sim->vram * 0.95;
    }
    double used = usage_now(sim).vram;
    return sim->vram - at_most(used < 0 ? at_rest.vram : used, sim->vram);
}

double gauges_ram_total(void)
{
    return RAM_TOTAL;
}

double gauges_ram_free(const struct sim *sim)
{
    if (!sim->gauges.told) {
        return RAM_FREE;
    }
    double used = usage_now(sim).ram;
    return RAM_TOTAL - (used < 0 ? at_rest.ram : used);
}

/* ---- the monitor ------------------------------------------------------------------------- */

/* Whole numbers as Python's int, others as its float; negative ones as unavailable. */
static void add_number(struct text *t, const char *key, double value)
{
    text_printf(t, "\"%s\": ", key);
    if (value < 0) {
        text_int(t, -1);
    } else if (value < 1e15 && value == floor(value)) {
        text_int(t, (int64_t)value);
    } else {
        text_real(t, value);
    }
}

/* A total, what is used of it, and the percentage; unavailable together. */
static void add_memory(struct text *t, const char *name, double total, double used, double percent)
{
    char key[32];
    snprintf(key, sizeof(key), "%s_total", name);
    add_number(t, key, used < 0 ? -1 : total);
    TEXT_LIT(t, ", ");
    snprintf(key, sizeof(key), "%s_used", name);
    add_number(t, key, used);
    text_printf(t, ", \"%s_used_percent\": ", name);
    if (used < 0 || !(total > 0)) {
        text_int(t, -1);
    } else {
        text_real(t, percent);
    }
}

/* psutil rounds to one decimal, NVML's readers do not. */
static double rounded_percent(double used, double total)
{
    return round(used / total * 1000) / 10;
}

static void add_gpu(struct text *t, double utilization, double temperature, double total,
                    double used)
{
    TEXT_LIT(t, "{");
    add_number(t, "gpu_utilization", utilization);
    TEXT_LIT(t, ", ");
    add_number(t, "gpu_temperature", temperature);
    TEXT_LIT(t, ", ");
    add_memory(t, "vram", total, used, used / total * 100);
    TEXT_LIT(t, "}");
}

static void add_gpus(const struct sim *sim, const struct usage *now, struct text *t)
{
    if (sim->gauges.gpus <= 0) { /* one that knows nothing: a server on its CPU */
        add_gpu(t, -1, -1, -1, -1);
        return;
    }
    for (int i = 0; i < sim->gauges.gpus; i++) {
        text_str(t, i > 0 ? ", " : "");
        if (i == sim->gauges.gpu) {
            add_gpu(t, now->gpu, now->temp, sim->vram, now->vram);
        } else {
            add_gpu(t, OTHERS_UTILIZATION, OTHERS_TEMPERATURE, OTHERS_TOTAL(i), OTHERS_USED(i));
        }
    }
}

static void add_monitor(const struct sim *sim, struct text *t)
{
    const struct usage now = usage_now(sim);
    TEXT_LIT(t, "{\"type\": \"crystools.monitor\", \"data\": {\"cpu_utilization\": 12.5, ");
    add_memory(t, "ram", RAM_TOTAL, now.ram, rounded_percent(now.ram, RAM_TOTAL));
    TEXT_LIT(t, ", ");
    add_memory(t, "hdd", DISK_TOTAL, DISK_USED, rounded_percent(DISK_USED, DISK_TOTAL));
    text_printf(t, ", \"device_type\": \"%s\", \"gpus\": [", sim->gauges.gpus > 0 ? "cuda" : "cpu");
    add_gpus(sim, &now, t);
    TEXT_LIT(t, "]}}");
}

static void on_monitor(struct sim_timer *timer)
{
    struct sim *sim = timer->owner;
    struct gauges *gauges = &sim->gauges;
    if (server_reaches(&sim->server, NULL)) {
        struct text t = {0};
        add_monitor(sim, &t);
        server_send(&sim->server, NULL, t.data, t.len, "", 0, false);
        text_free(&t);
        gauges->monitors++;
    }
    /* Sleeps between two frames, as the extension's thread: what came late stays late. */
    timer_start(&sim->timers, timer, mono_ns() + (uint64_t)(gauges->monitor_ms * 1e6));
}

void gauges_monitor(struct sim *sim, double ms)
{
    struct gauges *gauges = &sim->gauges;
    gauges->monitor_ms = ms > 0 ? fmax(ms, 1) : 0;
    if (gauges->monitor_ms == 0) {
        timer_stop(&sim->timers, &gauges->timer);
        return;
    }
    gauges->told = true;
    gauges->gpus = gauges->gpus < 0 ? 1 : gauges->gpus;
    gauges->timer.owner = sim;
    gauges->timer.fire = on_monitor;
    timer_start(&sim->timers, &gauges->timer, mono_ns());
}

/* ---- what it is told --------------------------------------------------------------------- */

bool gauges_set_gpus(struct gauges *gauges, int gpus, int gpu)
{
    if (gpu < 0 || (gpu > 0 && gpu >= gpus)) {
        return false;
    }
    gauges->told = true;
    gauges->gpus = gpus;
    gauges->gpu = gpu;
    return true;
}

bool gauges_set_stats(struct gauges *gauges, const char *name)
{
    if (!name) {
        gauges->stats = STATS_GOOD;
    } else if (!strcmp(name, "fail")) {
        gauges->stats = STATS_FAIL;
    } else if (!strcmp(name, "hang")) {
        gauges->stats = STATS_HANG;
    } else {
        return false;
    }
    return true;
}

/* ---- /system_stats ----------------------------------------------------------------------- */

/* The words of --argv; or what the recorded servers were started with. */
void gauges_argv(const struct sim *sim, struct text *out)
{
    if (!sim->gauges.argv) {
        text_printf(out, "[\"main.py\", %s\"--listen\", \"%s\", \"--port\", \"%d\"]",
                    sim->gauges.gpus > 0 ? "" : "\"--cpu\", ", sim->server.host, sim->server.port);
        return;
    }
    const char *at = sim->gauges.argv;
    TEXT_LIT(out, "[");
    for (size_t n = 0; *(at += strspn(at, " ")); at += n) {
        n = strcspn(at, " ");
        text_str(out, out->data[out->len - 1] == '[' ? "" : ", ");
        text_quoted(out, at, n);
    }
    TEXT_LIT(out, "]");
}

/* One: under CUDA_VISIBLE_DEVICES ours is the first, whichever of the host's it is. */
void gauges_devices(const struct sim *sim, struct text *out)
{
    const double total = sim->vram;
    const double free_bytes = vram_free(sim);
    text_str(out, sim->gauges.gpus > 0
                      ? "[{\"name\": \"cuda:0 Simulated GPU : cudaMallocAsync\", \"type\": "
                        "\"cuda\", \"index\": 0, "
                      : "[{\"name\": \"cpu\", \"type\": \"cpu\", \"index\": null, ");
    text_printf(out,
                "\"vram_total\": %.0f, \"vram_free\": %.0f, \"torch_vram_total\": %.0f, "
                "\"torch_vram_free\": %.0f}]",
                total, free_bytes, total, free_bytes);
}
