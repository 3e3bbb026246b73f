/*
 * Sampling. The sources, best first: crystools.monitor frames, which come by themselves; GET
 * /system_stats, asked for while something profiled runs and crystools is silent; and, for a
 * backend on this host, /proc and NVML. Nothing is asked for while nothing profiled runs.
 *
 * Which GPU is a backend's own, of those that its host has: the configuration's backends[].gpu,
 * else the only one, else the one on which NVML sees its process, else the --cuda-device of its
 * arguments. Never simply the first, never a sum.
 */
#include "sampling.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "comfypool/loop/url.h"
#include "comfypool/pool/backends.h"
#include "attempt.h"
#include "backends.h"
#include "state.h"

enum { CRYSTOOLS_SILENT_MS = 2000 };

/* ---- which GPU ------------------------------------------------------------------------------- */

static const char *configured_gpu(const struct backend *b)
{
    return b->terms.configured == NULL ? NULL : b->terms.configured->gpu;
}

/* The index that the configuration names; -1: none, or a UUID. */
static int64_t configured_index(const struct backend *b)
{
    int64_t index = -1;
    const char *gpu = configured_gpu(b);
    return gpu != NULL && str_to_int64(str_of(gpu), &index) ? index : -1;
}

/* Of the n GPUs of its host; -1: nobody knows. */
static int64_t own_gpu(struct backend *b, size_t n)
{
    struct sampling *s = &b->sampling;
    const int64_t wanted = configured_index(b);
    const bool by_uuid = configured_gpu(b) != NULL && wanted < 0;
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

static void add(struct backend *b, enum sample_source source, const struct sample *v)
{
    struct sampling *s = &b->sampling;
    if (is_empty(v)) {
        return;
    }
    struct sample *last = &s->last[source];
    s->has_interval = last->at.us != 0;
    s->interval = mono_diff(v->at, last->at);
    s->source = source;
    *last = *v;
    for (struct attempt *a = b->load.attempts; a != NULL; a = a->backend_next) {
        if (a->sampled.samples != NULL && !attempt_is_over(&a->state)) {
            samples_add(a->sampled.samples, source, v);
        }
    }
}

void sampling_frame(struct backend *b, struct mono_us now, const struct frame *f)
{
    if (!b->pool->options.sampling.crystools) {
        return;
    }
    struct sample v = sample_unknown(now);
    const int64_t own = own_gpu(b, f->gpus_len);
    if (own >= 0) {
        const struct frame_gpu *g = &f->gpus[own];
        v.gpu_utilization = g->utilization;
        v.gpu_temperature = g->temperature;
        v.vram_used = g->vram_used;
    }
    v.ram_used = f->ram_used > 0 ? f->ram_used : NAN;
    add(b, SAMPLE_CRYSTOOLS, &v);
}

/* A server lists what it may use, mostly one; by its own numbers when there are several. */
static const struct stats_device *own_device(const struct backend *b, const struct stats_answer *s)
{
    const struct stats_device *only = NULL;
    size_t n = 0;
    for (size_t i = 0; i < s->list_len; i++) {
        const struct stats_device *d = &s->list[i];
        if (!d->is_cpu) {
            only = d;
            n++;
        }
        if (!d->is_cpu && d->index >= 0 && d->index == configured_index(b)) {
            return d;
        }
    }
    return n == 1 ? only : NULL;
}

void sampling_stats(struct backend *b, struct mono_us now, const struct stats_answer *s)
{
    b->sampling.cuda_device = s->cuda_device;
    if (!b->pool->options.sampling.system_stats) {
        return;
    }
    struct sample v = sample_unknown(now);
    const struct stats_device *d = own_device(b, s);
    v.vram_used = d == NULL ? NAN : d->vram_used;
    v.ram_used = s->ram_used;
    add(b, SAMPLE_SYSTEM_STATS, &v);
}

/* ---- on this host ---------------------------------------------------------------------------- */

static bool wants_process(const struct pool *p)
{
    return p->options.sampling.local || p->options.sampling.nvml;
}

static void process_found(void *ctx, const struct host_process *found, const char *why)
{
    struct backend *b = ctx;
    struct sampling *s = &b->sampling;
    s->search = NULL;
    s->process = found == NULL ? (struct host_process){.pid = 0} : *found;
    s->problem[0] = '\0';
    if (found == NULL) {
        (void)snprintf(s->problem, sizeof s->problem, "%s", why);
    } else {
        (void)host_read_usage(s->process.pid, s->process.start_time, &s->usage);
    }
}

/* Its port is the one of its URL: a proxy on this host hides it. */
static void look_for_process(struct backend *b)
{
    struct sampling *s = &b->sampling;
    struct url_parts u;
    char why[128];
    if (!wants_process(b->pool) || s->search != NULL) {
        return;
    }
    const bool good = url_read(b->url, &u, why, sizeof why);
    s->is_here = good && host_is_here(u.host);
    if (s->is_here) {
        s->search = host_search_start(b->pool->loop, u.port, process_found, b);
    }
    url_parts_done(&u);
}

/* Its usage now; false: nobody knows. */
static bool read_usage(struct backend *b)
{
    struct sampling *s = &b->sampling;
    if (s->process.pid == 0) {
        return false;
    }
    if (!host_read_usage(s->process.pid, s->process.start_time, &s->usage)) {
        s->process.pid = 0; /* it has ended: another one may listen there */
        look_for_process(b);
        return false;
    }
    return true;
}

static bool runs_profiled(const struct backend *b)
{
    for (const struct attempt *a = b->load.attempts; a != NULL; a = a->backend_next) {
        if (a->sampled.samples != NULL && !attempt_is_over(&a->state)) {
            return true;
        }
    }
    return false;
}

/* gpu NULL: not known. */
static void add_local(struct backend *b, const struct host_gpu *gpu)
{
    struct sample v = sample_unknown(time_mono());
    if (gpu != NULL) {
        v.gpu_utilization = gpu->utilization < 0 ? (double)NAN : gpu->utilization;
        v.gpu_temperature = gpu->temperature < 0 ? (double)NAN : gpu->temperature;
        v.vram_used = gpu->vram_used < 0 ? NAN : (double)gpu->vram_used;
    }
    if (b->pool->options.sampling.local && read_usage(b) && b->sampling.usage.has_memory) {
        v.ram_used = (double)b->sampling.usage.resident_bytes;
    }
    add(b, SAMPLE_LOCAL, &v);
}

/* By its UUID, or because its process computes there. */
static bool is_gpu_of(const struct backend *b, const struct host_gpu *g)
{
    const char *wanted = configured_gpu(b);
    if (wanted != NULL) {
        return strcmp(wanted, g->uuid) == 0 || configured_index(b) == g->index;
    }
    for (size_t i = 0; g->has_pids && i < g->pids_len; i++) {
        if (g->pids[i] == b->sampling.process.pid) {
            return true;
        }
    }
    return false;
}

static const struct host_gpu *find_gpu(struct backend *b, const struct host_gpu *gpus, size_t n)
{
    struct sampling *s = &b->sampling;
    s->nvml_index = -1;
    for (size_t i = 0; i < n; i++) {
        if (is_gpu_of(b, &gpus[i])) {
            s->nvml_index = gpus[i].index;
            break;
        }
    }
    const int64_t own = own_gpu(b, n);
    for (size_t i = 0; i < n && own >= 0; i++) {
        if (gpus[i].index == (unsigned)own) {
            return &gpus[i];
        }
    }
    return NULL;
}

static void gpus_came(void *ctx, const struct host_gpu *gpus, size_t n, const char *trouble)
{
    struct pool *p = ctx;
    (void)trouble; /* GET /backends tells it */
    for (size_t i = 0; i < p->backends_len; i++) {
        struct backend *b = p->backends[i];
        if (b->sampling.is_here) {
            const struct host_gpu *g = find_gpu(b, gpus, n);
            if (runs_profiled(b)) {
                add_local(b, g);
            }
        }
    }
}

/* A reading for all backends here, which another one may have asked for; false: none will come. */
static bool ask_gpus(struct pool *p)
{
    if (!p->options.sampling.nvml) {
        return false;
    }
    if (p->gpus == NULL) {
        p->gpus = host_gpus_new(p->loop);
    }
    return host_gpus_is_reading(p->gpus) || host_gpus_ask(p->gpus, gpus_came, p);
}

/* ---- while something runs -------------------------------------------------------------------- */

static bool crystools_speaks(const struct backend *b, struct mono_us now)
{
    const struct mono_us last = b->sampling.last[SAMPLE_CRYSTOOLS].at;
    return last.us != 0 && mono_diff(now, last).us < (int64_t)CRYSTOOLS_SILENT_MS * 1000;
}

static void ask(struct backend *b, struct mono_us now)
{
    const struct pool_sampling *o = &b->pool->options.sampling;
    b->sampling.asked = now;
    if (o->system_stats && b->conn.up && !crystools_speaks(b, now)) {
        comfy_ask_stats(b->comfy);
    }
    if (b->sampling.is_here && !ask_gpus(b->pool)) {
        add_local(b, NULL);
    }
}

static void tick(void *ctx)
{
    struct backend *b = ctx;
    struct pool *p = b->pool;
    if (runs_profiled(b) && !p->stopping) {
        const struct mono_us now = time_mono();
        ask(b, now);
        deadline_set(&p->deadlines, &b->sampling.tick, mono_add(now, p->options.sampling.interval),
                     tick, b);
    }
}

void sampling_begin(struct attempt *a)
{
    struct backend *b = a->backend;
    struct pool *p = b->pool;
    struct sampling *s = &b->sampling;
    const struct pool_sampling *o = &p->options.sampling;
    if (a->profiler == NULL || a->sampled.samples != NULL || attempt_is_over(&a->state)) {
        return;
    }
    a->sampled.samples = samples_new(s->last);
    a->sampled.has_usage = o->local && read_usage(b);
    a->sampled.usage = s->usage;
    a->sampled.pid = s->process.pid;
    if ((!o->system_stats && !s->is_here) || heap_holds(&s->tick.node)) {
        return;
    }
    const struct mono_us now = time_mono();
    const struct mono_us due = mono_add(s->asked, o->interval);
    deadline_set(&p->deadlines, &s->tick, mono_max(now, due), tick, b);
}

/* ---- the account ----------------------------------------------------------------------------- */

/* Another backend here uses the same interfaces: nobody can tell whose bytes they were. */
static bool shares_network(const struct backend *b)
{
    const struct pool *p = b->pool;
    const struct host_usage *own = &b->sampling.usage;
    for (size_t i = 0; i < p->backends_len; i++) {
        const struct sampling *s = &p->backends[i]->sampling;
        if (p->backends[i] != b && s->process.pid != 0 &&
            (!s->usage.has_namespace || !own->has_namespace ||
             s->usage.namespace_inode == own->namespace_inode)) {
            return true;
        }
    }
    return false;
}

static struct process_io io_of(struct attempt *a)
{
    struct process_io io = {-1, -1, -1, -1};
    struct backend *b = a->backend;
    const struct host_usage *from = &a->sampled.usage;
    const struct host_usage *to = &b->sampling.usage;
    if (!a->sampled.has_usage || !read_usage(b) || b->sampling.process.pid != a->sampled.pid) {
        return io;
    }
    if (from->has_disk && to->has_disk) {
        io.disk_read = to->read_bytes - from->read_bytes;
        io.disk_written = to->write_bytes - from->write_bytes;
    }
    if (from->has_network && to->has_network && !shares_network(b)) {
        io.net_received = to->received_bytes - from->received_bytes;
        io.net_sent = to->sent_bytes - from->sent_bytes;
    }
    return io;
}

void sampling_account(struct attempt *a, struct profile *profile)
{
    if (a->sampled.samples != NULL) {
        const struct process_io io = io_of(a);
        samples_account(a->sampled.samples, &io, profile);
    }
}

void sampling_end(struct attempt *a)
{
    samples_free(a->sampled.samples);
    a->sampled.samples = NULL;
}

/* ---- life ------------------------------------------------------------------------------------ */

void sampling_init(struct backend *b)
{
    b->sampling.cuda_device = b->sampling.nvml_index = b->sampling.index = -1;
}

void sampling_up(struct backend *b)
{
    look_for_process(b);
}

void sampling_down(struct backend *b)
{
    struct sampling *s = &b->sampling;
    s->process.pid = 0; /* another one may come back */
    s->cuda_device = s->nvml_index = -1;
}

void sampling_done(struct backend *b)
{
    deadline_clear(&b->pool->deadlines, &b->sampling.tick);
    if (b->sampling.search != NULL) {
        host_search_cancel(b->sampling.search);
        b->sampling.search = NULL;
    }
}

/* ---- what is told of it ---------------------------------------------------------------------- */

static void add_problem(struct sampling_view *v, bool is_one, const char *problem)
{
    if (is_one && problem[0] != '\0') {
        v->problems[v->problems_len++] = problem;
    }
}

void sampling_view(const struct backend *b, struct sampling_view *ret)
{
    const struct sampling *s = &b->sampling;
    const bool any = s->last[s->source].at.us != 0;
    const char *wanted = configured_gpu(b);
    *ret = (struct sampling_view){
        .source = any ? sample_source_name(s->source) : NULL,
        .has_interval = any && s->has_interval,
        .interval = s->interval,
        .gpu = s->index,
        .gpu_wanted = s->index < 0 && configured_index(b) < 0 ? wanted : NULL,
        .gpu_unmapped = s->unmapped,
    };
    add_problem(ret, true, s->problem);
    add_problem(ret, b->pool->options.sampling.local && s->process.pid != 0, s->usage.missing);
    add_problem(ret, s->is_here && b->pool->gpus != NULL,
                b->pool->gpus == NULL ? "" : host_gpus_trouble(b->pool->gpus));
}
