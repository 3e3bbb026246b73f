/*
 * Memory and GPU over time: sources of a server's samples, which of its host's GPUs it uses, and
 * what goes into the accounts of its prompts. The account itself is core/samples.h.
 *
 * The sources, best first: crystools.monitor frames, which come unasked; GET /system_stats, polled
 * while something profiled runs and crystools is silent; and, for a server on this host, /proc and
 * NVML. Nothing is polled while nothing profiled runs.
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
    struct dur_us interval; /* of polled sources */
    bool local;             /* /proc, of servers on this host */
    bool nvml;              /* the GPUs of this host */
};

/* State of a server's samples. */
struct sampling_view {
    const char *source; /* of the last sample; NULL: none */
    bool has_interval;
    struct dur_us interval;  /* between the last two */
    int64_t gpu;             /* its index; -1: unknown */
    const char *gpu_wanted;  /* as configured, if it was not found; or NULL */
    bool gpu_unmapped;       /* several, and its own is unknown */
    const char *problems[3]; /* for people */
    size_t problems_len;
};

/* ---- of the host ----------------------------------------------------------------------------- */

/* The samplers of all servers, which share readings of this host's GPUs. */
struct samplers;

/* options: copied. */
struct samplers *samplers_new(uv_loop_t *loop, struct deadlines *deadlines,
                              const struct sampling_options *options);
/* Stops all polling. */
void samplers_stop(struct samplers *s);
/* Frees s; every sampler must be gone. False: a driver hangs, see host_gpus_close. */
bool samplers_close(struct samplers *s) MUST_CHECK;

/* ---- of a server ----------------------------------------------------------------------------- */

struct sampler;

/* url, comfy and gpu (an index or a UUID, as configured; NULL: not configured) outlive it. */
struct sampler *sampler_new(struct samplers *all, const char *url, struct comfy_backend *comfy,
                            const char *gpu);
/* Frees s; its runs must have ended. */
void sampler_free(struct sampler *s);
/* Note that the link came up or went down. */
void sampler_up(struct sampler *s);
void sampler_down(struct sampler *s);
/* Feed what the server sent, or answered. */
void sampler_frame(struct sampler *s, struct mono_us now, const struct frame *f);
void sampler_stats(struct sampler *s, struct mono_us now, const struct stats_answer *answer);
/* Describes its state; lives until the loop turns. */
void sampler_view(const struct sampler *s, struct sampling_view *ret);

/* ---- of one that runs there ------------------------------------------------------------------ */

/* A profiled prompt running on the server. */
struct sampled_run;

struct sampled_run *sampled_run_begin(struct sampler *s);
/* Stops taking samples. */
void sampled_run_stop(struct sampled_run *run);
/* Adds its resources to the account. */
void sampled_run_account(const struct sampled_run *run, struct profile *profile);
/* run may be NULL. */
void sampled_run_free(struct sampled_run *run);

#endif
