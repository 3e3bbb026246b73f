/*
 * Samples of an attempt and those inside its nodes; see the header. Kept per source in order of
 * time, so that a slice's samples are a range found by bisection.
 */
#include "comfypool/core/samples.h"

#include <math.h>
#include <stdlib.h>

struct series {
    struct sample before; /* at.us == 0: none */
    struct sample *list;
    size_t len;
    size_t cap;
};

struct samples {
    struct series of[SAMPLE_SOURCE_COUNT];
    /* The result. */
    struct resources *nodes;
    struct resources_of_job job;
    struct sample *shown;
};

static const char *const names[SAMPLE_SOURCE_COUNT] = {
#define X(symbol, name) [symbol] = (name),
    SAMPLE_SOURCE_TABLE(X)
#undef X
};

const char *sample_source_name(enum sample_source s)
{
    return names[s];
}

struct sample sample_unknown(struct mono_us at)
{
    return (struct sample){
        .at = at,
        .gpu_utilization = NAN,
        .gpu_temperature = NAN,
        .vram_used = NAN,
        .ram_used = NAN,
    };
}

struct samples *samples_new(const struct sample before[SAMPLE_SOURCE_COUNT])
{
    struct samples *s = mem_zero(1, sizeof *s);
    for (int i = 0; i < SAMPLE_SOURCE_COUNT; i++) {
        s->of[i].before = before[i];
    }
    return s;
}

static void free_result(struct samples *s)
{
    free(s->nodes);
    free(s->shown);
    s->nodes = NULL;
    s->shown = NULL;
}

void samples_free(struct samples *s)
{
    if (s == NULL) {
        return;
    }
    for (int i = 0; i < SAMPLE_SOURCE_COUNT; i++) {
        free(s->of[i].list);
    }
    free_result(s);
    free(s);
}

void samples_add(struct samples *s, enum sample_source source, const struct sample *sample)
{
    struct series *to = &s->of[source];
    if (to->len >= SAMPLES_KEPT) {
        return;
    }
    if (to->len == to->cap) {
        to->cap = to->cap == 0 ? 16 : to->cap * 2;
        to->list = mem_grow(to->list, to->cap * sizeof *to->list);
    }
    to->list[to->len++] = *sample;
}

/* ---- what lies in a stretch of time ---------------------------------------------------------- */

/* The first sample at or after t. */
static size_t first_from(const struct series *s, struct mono_us t)
{
    size_t low = 0;
    size_t high = s->len;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (mono_before(s->list[middle].at, t)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Maximum and average of known values. */
struct gauge {
    double max;
    double sum;
    size_t known;
};

static void gauge_add(struct gauge *g, double value)
{
    if (!isnan(value)) {
        g->max = g->known == 0 || value > g->max ? value : g->max;
        g->sum += value;
        g->known++;
    }
}

static double gauge_max(const struct gauge *g)
{
    return g->known == 0 ? NAN : g->max;
}

/* Totals of a node over its slices. */
struct tally {
    size_t count;
    size_t first; /* index of the first sample inside */
    double vram_last;
    struct gauge gpu, vram, ram, temperature;
};

static void tally_range(struct tally *t, const struct series *s, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        const struct sample *v = &s->list[i];
        gauge_add(&t->gpu, v->gpu_utilization);
        gauge_add(&t->vram, v->vram_used);
        gauge_add(&t->ram, v->ram_used);
        gauge_add(&t->temperature, v->gpu_temperature);
        t->vram_last = isnan(v->vram_used) ? t->vram_last : v->vram_used;
    }
    t->first = t->count == 0 ? from : t->first;
    t->count += to - from;
}

/* Returns the last known value before the sample with this index. */
static double vram_before(const struct series *s, size_t index)
{
    while (index > 0) {
        index--;
        if (!isnan(s->list[index].vram_used)) {
            return s->list[index].vram_used;
        }
    }
    return s->before.at.us == 0 ? NAN : s->before.vram_used;
}

static struct resources tally_result(const struct tally *t, const struct series *s,
                                     enum sample_source source)
{
    return (struct resources){
        .source = source,
        .count = t->count,
        .gpu_avg = t->gpu.known == 0 ? NAN : t->gpu.sum / (double)t->gpu.known,
        .gpu_max = gauge_max(&t->gpu),
        .vram_max = gauge_max(&t->vram),
        .vram_delta = t->vram_last - vram_before(s, t->first), /* NaN if either is */
        .ram_max = gauge_max(&t->ram),
        .temperature_max = gauge_max(&t->temperature),
    };
}

static void account_node(const struct series *s, enum sample_source source, struct profile_node *n,
                         struct resources *to)
{
    struct tally t = {.vram_last = NAN};
    for (size_t k = 0; k < n->slices_len; k++) {
        const size_t from = first_from(s, n->slices[k].from);
        const size_t end = first_from(s, n->slices[k].to);
        if (end > from) {
            tally_range(&t, s, from, end);
        }
    }
    if (t.count > 0) {
        *to = tally_result(&t, s, source);
        n->resources = to;
    }
}

/* ---- the whole attempt ----------------------------------------------------------------------- */

/* Thins samples evenly, keeping the last one. */
static void keep_shown(struct samples *s, const struct sample *list, size_t len)
{
    const size_t shown = len < SAMPLES_SHOWN ? len : SAMPLES_SHOWN;
    s->shown = mem_alloc((shown + 1) * sizeof *s->shown);
    for (size_t i = 0; i < shown; i++) {
        s->shown[i] = list[(i + 1) * len / shown - 1];
    }
    s->job.samples = s->shown;
    s->job.samples_len = shown;
}

static void account_job(struct samples *s, enum sample_source source, size_t from, size_t to)
{
    const struct series *of = &s->of[source];
    struct tally t = {.vram_last = NAN};
    tally_range(&t, of, from, to);
    s->job.sampled = true;
    s->job.all = tally_result(&t, of, source);
    if (t.count > 1) {
        const int64_t span_us = mono_diff(of->list[to - 1].at, of->list[from].at).us;
        s->job.has_interval = true;
        s->job.interval.us = span_us / (int64_t)(t.count - 1);
    }
    keep_shown(s, of->list + from, to - from);
}

static bool knows_io(const struct process_io *io)
{
    return io->disk_read >= 0 || io->disk_written >= 0 || io->net_received >= 0 ||
           io->net_sent >= 0;
}

void samples_account(struct samples *s, const struct process_io *io, struct profile *profile)
{
    free_result(s);
    s->job = (struct resources_of_job){.io = *io};
    for (int source = 0; source < SAMPLE_SOURCE_COUNT && profile->at.has_started; source++) {
        const struct series *of = &s->of[source];
        const size_t from = first_from(of, profile->at.started);
        const size_t to = first_from(of, (struct mono_us){profile->at.ended.us + 1});
        if (to == from) {
            continue;
        }
        account_job(s, (enum sample_source)source, from, to);
        s->nodes = mem_alloc((profile->nodes_len + 1) * sizeof *s->nodes);
        for (size_t i = 0; i < profile->nodes_len; i++) {
            account_node(of, (enum sample_source)source, &profile->nodes[i], &s->nodes[i]);
        }
        break;
    }
    profile->resources = s->job.sampled || knows_io(io) ? &s->job : NULL;
}
