/*
 * Samplers; see the header. A server's own GPU, among its host's: the configuration's
 * backends[].gpu, else the only one, else the one on which NVML sees its process, else the
 * --cuda-device of its arguments. Never simply the first, never a sum.
 */
#include "comfypool/sampling/sampler.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comfypool/base/list.h"
#include "comfypool/base/str.h"
#include "comfypool/comfy/backend.h"
#include "comfypool/core/samples.h"
#include "comfypool/host/host.h"
#include "comfypool/loop/url.h"

enum { CRYSTOOLS_SILENT_MS = 2000 };

struct samplers {
    uv_loop_t *loop;
    struct deadlines *deadlines;
    struct sampling_options options;
    struct host_gpus *gpus; /* NULL: not needed yet */
    bool stopping;
    struct sampler *first;
};

struct sampler {
    struct samplers *all;
    struct sampler *next, **link; /* of all->first */
    const char *url;
    struct comfy_backend *comfy;
    const char *wanted; /* configured GPU; or NULL */
    bool up;
    struct sampled_run *runs;                /* those taking samples */
    struct sample last[SAMPLE_SOURCE_COUNT]; /* at.us == 0: none yet */
    enum sample_source source;               /* of the last one */
    bool has_interval;
    struct dur_us interval; /* between the last two of that source */
    struct mono_us asked;   /* last poll */
    struct deadline tick;   /* while something profiled runs */
    /* GPU selection. */
    int64_t cuda_device; /* from its arguments; -1: not given */
    int64_t nvml_index;  /* from NVML; -1: unknown */
    int64_t index;       /* selected GPU; -1: unknown */
    bool unmapped;       /* several, and its own is unknown */
    /* Its process on this host. */
    bool is_here;
    struct host_search *search;
    struct host_process process; /* pid 0: not found */
    struct host_usage usage;     /* the last one */
    char problem[256];           /* why the process was not found */
};

struct sampled_run {
    struct sampler *sampler;
    struct sampled_run *next, **link; /* list in sampler->runs; link NULL: in no list */
    struct samples *samples;
    bool has_usage;
    struct host_usage usage; /* at its start */
    int64_t pid;
};

/* ---- which GPU ------------------------------------------------------------------------------- */

/* Returns the configured index; -1: none, or a UUID. */
static int64_t configured_index(const struct sampler *s)
{
    int64_t index = -1;
    return s->wanted != NULL && str_to_int64(str_of(s->wanted), &index) ? index : -1;
}

/* Selects its GPU among n; -1: unknown. */
static int64_t own_gpu(struct sampler *s, size_t n)
{
    const int64_t wanted = configured_index(s);
    const bool by_uuid = s->wanted != NULL && wanted < 0;
    int64_t index = wanted;
    if (index < 0 && n == 1 && !by_uuid) {
        index = 0;
    }
    index = index < 0 ? s->nvml_index : index;
    index = index < 0 && !by_uuid ? s->cuda_device : index;
    s->index = index >= 0 && (size_t)index < n ? index : -1;
    s->unmapped = n > 0 && s->index < 0;
    return s->index;
}

/* ---- samples --------------------------------------------------------------------------------- */

static bool is_empty(const struct sample *v)
{
    return isnan(v->gpu_utilization) && isnan(v->gpu_temperature) && isnan(v->vram_used) &&
           isnan(v->ram_used);
}

static void add(struct sampler *s, enum sample_source source, const struct sample *v)
{
    if (is_empty(v)) {
        return;
    }
    struct sample *last = &s->last[source];
    s->has_interval = last->at.us != 0;
    s->interval = mono_diff(v->at, last->at);
    s->source = source;
    *last = *v;
    for (struct sampled_run *run = s->runs; run != NULL; run = run->next) {
        samples_add(run->samples, source, v);
    }
}

void sampler_frame(struct sampler *s, struct mono_us now, const struct frame *f)
{
    if (!s->all->options.crystools) {
        return;
    }
    struct sample v = sample_unknown(now);
    const int64_t own = own_gpu(s, f->gpus_len);
    if (own >= 0) {
        const struct frame_gpu *g = &f->gpus[own];
        v.gpu_utilization = g->utilization;
        v.gpu_temperature = g->temperature;
        v.vram_used = g->vram_used;
    }
    v.ram_used = f->ram_used > 0 ? f->ram_used : NAN;
    add(s, SAMPLE_CRYSTOOLS, &v);
}

/* Finds its device: a server lists those it may use, mostly one; numbered by itself if several. */
static const struct stats_device *own_device(const struct sampler *s,
                                             const struct stats_answer *answer)
{
    const struct stats_device *only = NULL;
    size_t n = 0;
    for (size_t i = 0; i < answer->list_len; i++) {
        const struct stats_device *d = &answer->list[i];
        if (!d->is_cpu) {
            only = d;
            n++;
        }
        if (!d->is_cpu && d->index >= 0 && d->index == configured_index(s)) {
            return d;
        }
    }
    return n == 1 ? only : NULL;
}

void sampler_stats(struct sampler *s, struct mono_us now, const struct stats_answer *answer)
{
    s->cuda_device = answer->cuda_device;
    if (!s->all->options.system_stats) {
        return;
    }
    struct sample v = sample_unknown(now);
    const struct stats_device *d = own_device(s, answer);
    v.vram_used = d == NULL ? NAN : d->vram_used;
    v.ram_used = answer->ram_used;
    add(s, SAMPLE_SYSTEM_STATS, &v);
}

/* ---- on this host ---------------------------------------------------------------------------- */

static bool wants_process(const struct samplers *all)
{
    return all->options.local || all->options.nvml;
}

static void process_found(void *ctx, const struct host_process *found, const char *why)
{
    struct sampler *s = ctx;
    s->search = NULL;
    s->process = found == NULL ? (struct host_process){.pid = 0} : *found;
    s->problem[0] = '\0';
    if (found == NULL) {
        (void)snprintf(s->problem, sizeof s->problem, "%s", why);
    } else {
        (void)host_read_usage(s->process.pid, s->process.start_time, &s->usage);
    }
}

/* Searches by the URL's port: a proxy on this host hides the server. */
static void look_for_process(struct sampler *s)
{
    struct url_parts u;
    char why[128];
    if (!wants_process(s->all) || s->search != NULL) {
        return;
    }
    const bool good = url_read(s->url, &u, why, sizeof why);
    s->is_here = good && host_is_here(u.host);
    if (s->is_here) {
        s->search = host_search_start(s->all->loop, u.port, process_found, s);
    }
    url_parts_done(&u);
}

/* Reads its usage; false: unknown. */
static bool read_usage(struct sampler *s)
{
    if (s->process.pid == 0) {
        return false;
    }
    if (!host_read_usage(s->process.pid, s->process.start_time, &s->usage)) {
        s->process.pid = 0; /* it ended: another one may listen there */
        look_for_process(s);
        return false;
    }
    return true;
}

/* Adds a local sample. gpu NULL: unknown. */
static void add_local(struct sampler *s, const struct host_gpu *gpu)
{
    struct sample v = sample_unknown(time_mono());
    if (gpu != NULL) {
        v.gpu_utilization = gpu->utilization < 0 ? (double)NAN : gpu->utilization;
        v.gpu_temperature = gpu->temperature < 0 ? (double)NAN : gpu->temperature;
        v.vram_used = gpu->vram_used < 0 ? NAN : (double)gpu->vram_used;
    }
    if (s->all->options.local && read_usage(s) && s->usage.has_memory) {
        v.ram_used = (double)s->usage.resident_bytes;
    }
    add(s, SAMPLE_LOCAL, &v);
}

/* True by UUID or index, else if its process computes there. */
static bool is_gpu_of(const struct sampler *s, const struct host_gpu *g)
{
    if (s->wanted != NULL) {
        return strcmp(s->wanted, g->uuid) == 0 || configured_index(s) == g->index;
    }
    for (size_t i = 0; g->has_pids && i < g->pids_len; i++) {
        if (g->pids[i] == s->process.pid) {
            return true;
        }
    }
    return false;
}

static const struct host_gpu *find_gpu(struct sampler *s, const struct host_gpu *gpus, size_t n)
{
    s->nvml_index = -1;
    for (size_t i = 0; i < n; i++) {
        if (is_gpu_of(s, &gpus[i])) {
            s->nvml_index = gpus[i].index;
            break;
        }
    }
    const int64_t own = own_gpu(s, n);
    for (size_t i = 0; i < n && own >= 0; i++) {
        if (gpus[i].index == (unsigned)own) {
            return &gpus[i];
        }
    }
    return NULL;
}

static void gpus_came(void *ctx, const struct host_gpu *gpus, size_t n, const char *trouble)
{
    struct samplers *all = ctx;
    (void)trouble; /* GET /backends shows it */
    for (struct sampler *s = all->first; s != NULL; s = s->next) {
        if (s->is_here) {
            const struct host_gpu *g = find_gpu(s, gpus, n);
            if (s->runs != NULL) {
                add_local(s, g);
            }
        }
    }
}

/* Starts a reading for all servers here, unless one is open; false: none will come. */
static bool ask_gpus(struct samplers *all)
{
    if (!all->options.nvml) {
        return false;
    }
    if (all->gpus == NULL) {
        all->gpus = host_gpus_new(all->loop);
    }
    return host_gpus_is_reading(all->gpus) || host_gpus_ask(all->gpus, gpus_came, all);
}

/* ---- while something runs -------------------------------------------------------------------- */

static bool crystools_speaks(const struct sampler *s, struct mono_us now)
{
    const struct mono_us last = s->last[SAMPLE_CRYSTOOLS].at;
    return last.us != 0 && mono_diff(now, last).us < (int64_t)CRYSTOOLS_SILENT_MS * 1000;
}

static void ask(struct sampler *s, struct mono_us now)
{
    s->asked = now;
    if (s->all->options.system_stats && s->up && !crystools_speaks(s, now)) {
        comfy_ask_stats(s->comfy);
    }
    if (s->is_here && !ask_gpus(s->all)) {
        add_local(s, NULL);
    }
}

static void tick(void *ctx)
{
    struct sampler *s = ctx;
    if (s->runs != NULL && !s->all->stopping) {
        const struct mono_us now = time_mono();
        ask(s, now);
        deadline_set(s->all->deadlines, &s->tick, mono_add(now, s->all->options.interval), tick, s);
    }
}

struct sampled_run *sampled_run_begin(struct sampler *s)
{
    const struct sampling_options *o = &s->all->options;
    struct sampled_run *run = mem_zero(1, sizeof *run);
    run->sampler = s;
    list_push(&s->runs, run, next, link);
    run->samples = samples_new(s->last);
    run->has_usage = o->local && read_usage(s);
    run->usage = s->usage;
    run->pid = s->process.pid;
    if ((o->system_stats || s->is_here) && !heap_holds(&s->tick.node)) {
        const struct mono_us due = mono_add(s->asked, o->interval);
        deadline_set(s->all->deadlines, &s->tick, mono_max(time_mono(), due), tick, s);
    }
    return run;
}

void sampled_run_stop(struct sampled_run *run)
{
    if (run->link == NULL) {
        return;
    }
    list_remove(run, next, link);
}

void sampled_run_free(struct sampled_run *run)
{
    if (run != NULL) {
        sampled_run_stop(run);
        samples_free(run->samples);
        free(run);
    }
}

/* ---- the account ----------------------------------------------------------------------------- */

/* True if another server here uses the same interfaces: their traffic cannot be separated. */
static bool shares_network(const struct sampler *s)
{
    const struct host_usage *own = &s->usage;
    for (const struct sampler *other = s->all->first; other != NULL; other = other->next) {
        if (other != s && other->process.pid != 0 &&
            (!other->usage.has_namespace || !own->has_namespace ||
             other->usage.namespace_inode == own->namespace_inode)) {
            return true;
        }
    }
    return false;
}

static struct process_io io_of(const struct sampled_run *run)
{
    struct process_io io = {-1, -1, -1, -1};
    struct sampler *s = run->sampler;
    const struct host_usage *from = &run->usage;
    const struct host_usage *to = &s->usage;
    if (!run->has_usage || !read_usage(s) || s->process.pid != run->pid) {
        return io;
    }
    if (from->has_disk && to->has_disk) {
        io.disk_read = to->read_bytes - from->read_bytes;
        io.disk_written = to->write_bytes - from->write_bytes;
    }
    if (from->has_network && to->has_network && !shares_network(s)) {
        io.net_received = to->received_bytes - from->received_bytes;
        io.net_sent = to->sent_bytes - from->sent_bytes;
    }
    return io;
}

void sampled_run_account(const struct sampled_run *run, struct profile *profile)
{
    const struct process_io io = io_of(run);
    samples_account(run->samples, &io, profile);
}

/* ---- life ------------------------------------------------------------------------------------ */

struct sampler *sampler_new(struct samplers *all, const char *url, struct comfy_backend *comfy,
                            const char *gpu)
{
    struct sampler *s = mem_zero(1, sizeof *s);
    s->all = all;
    s->url = url;
    s->comfy = comfy;
    s->wanted = gpu;
    s->cuda_device = s->nvml_index = s->index = -1;
    list_push(&all->first, s, next, link);
    return s;
}

void sampler_free(struct sampler *s)
{
    deadline_clear(s->all->deadlines, &s->tick);
    if (s->search != NULL) {
        host_search_cancel(s->search);
    }
    list_remove(s, next, link);
    free(s);
}

void sampler_up(struct sampler *s)
{
    s->up = true;
    look_for_process(s);
}

void sampler_down(struct sampler *s)
{
    s->up = false;
    s->process.pid = 0; /* another one may come back */
    s->cuda_device = s->nvml_index = -1;
}

struct samplers *samplers_new(uv_loop_t *loop, struct deadlines *deadlines,
                              const struct sampling_options *options)
{
    struct samplers *s = mem_zero(1, sizeof *s);
    s->loop = loop;
    s->deadlines = deadlines;
    s->options = *options;
    return s;
}

void samplers_stop(struct samplers *s)
{
    s->stopping = true;
}

bool samplers_close(struct samplers *s)
{
    const bool well = host_gpus_close(s->gpus);
    free(s);
    return well;
}

/* ---- what is told of it ---------------------------------------------------------------------- */

static void add_problem(struct sampling_view *v, bool is_one, const char *problem)
{
    if (is_one && problem[0] != '\0') {
        v->problems[v->problems_len++] = problem;
    }
}

void sampler_view(const struct sampler *s, struct sampling_view *ret)
{
    struct host_gpus *gpus = s->all->gpus;
    const bool any = s->last[s->source].at.us != 0;
    *ret = (struct sampling_view){
        .source = any ? sample_source_name(s->source) : NULL,
        .has_interval = any && s->has_interval,
        .interval = s->interval,
        .gpu = s->index,
        .gpu_wanted = s->index < 0 && configured_index(s) < 0 ? s->wanted : NULL,
        .gpu_unmapped = s->unmapped,
    };
    add_problem(ret, true, s->problem);
    add_problem(ret, s->all->options.local && s->process.pid != 0, s->usage.missing);
    add_problem(ret, s->is_here && gpus != NULL, gpus == NULL ? "" : host_gpus_trouble(gpus));
}
