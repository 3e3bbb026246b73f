/*
 * Memory and GPU beside time: where the samples of a server come from, which of its host's GPUs is
 * its own, and what of that goes into the accounts of what runs there. The account itself is
 * core/samples.h.
 *
 * The sources, best first: crystools.monitor frames, which come by themselves; GET /system_stats,
 * asked for while something profiled runs and crystools is silent; and, for a server on this host,
 * /proc and NVML. Nothing is asked for while nothing profiled runs.
 */
#ifndef COMFYPOOL_SAMPLING_SAMPLER_H
#define COMFYPOOL_SAMPLING_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "comfypool/base/time.h"
#include "comfypool/comfy/answers.h"
#include "comfypool/core/frame.h"
#include "comfypool/core/profiler.h"
#include "comfypool/loop/deadlines.h"

struct comfy_backend;

struct sampling_options {
    bool crystools;
    bool system_stats;
    struct dur_us interval; /* of those that are asked */
    bool local;             /* /proc, of servers on this host */
    bool nvml;              /* the GPUs of this host */
};

/* Which samples of its resources there are. */
struct sampling_view {
    const char *source; /* of the last sample; NULL: there is none */
    bool has_interval;
    struct dur_us interval;  /* between the last two */
    int64_t gpu;             /* its index; -1: not known */
    const char *gpu_wanted;  /* as configured, where it could not be found; or NULL */
    bool gpu_unmapped;       /* there are several, and nobody knows which */
    const char *problems[3]; /* for people */
    size_t problems_len;
};

/* ---- of the host ----------------------------------------------------------------------------- */

/* The samplers of all servers: they share the readings of this host's GPUs. */
struct samplers;

/* options: copied. */
struct samplers *samplers_new(uv_loop_t *loop, struct deadlines *deadlines,
                              const struct sampling_options *options);
/* Nothing is asked for any more. */
void samplers_stop(struct samplers *s);
/* Frees it; every sampler is gone. False: a driver hangs, see host_gpus_close. */
bool samplers_close(struct samplers *s) MUST_CHECK;

/* ---- of a server ----------------------------------------------------------------------------- */

struct sampler;

/* url, comfy and gpu (an index or a UUID, as configured; NULL: not configured) outlive it. */
struct sampler *sampler_new(struct samplers *all, const char *url, struct comfy_backend *comfy,
                            const char *gpu);
/* Its runs have ended. */
void sampler_free(struct sampler *s);
/* Its link came up or went. */
void sampler_up(struct sampler *s);
void sampler_down(struct sampler *s);
/* What it sent, or answered. */
void sampler_frame(struct sampler *s, struct mono_us now, const struct frame *f);
void sampler_stats(struct sampler *s, struct mono_us now, const struct stats_answer *answer);
/* As it is now; lives until the loop turns. */
void sampler_view(const struct sampler *s, struct sampling_view *ret);

/* ---- of one that runs there ------------------------------------------------------------------ */

/* A profiled prompt that runs on the server. */
struct sampled_run;

struct sampled_run *sampled_run_begin(struct sampler *s);
/* It takes no samples any more. */
void sampled_run_stop(struct sampled_run *run);
/* Puts the resources that it used into its account. */
void sampled_run_account(const struct sampled_run *run, struct profile *profile);
/* NULL: nothing happens. */
void sampled_run_free(struct sampled_run *run);

#endif
