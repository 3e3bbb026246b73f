/*
 * Memory and GPU beside time: where the samples of a backend come from, which of its host's GPUs is
 * its own, and what of that goes into the attempts that run there. The account itself is
 * core/samples.h.
 */
#ifndef COMFYPOOL_SRC_POOL_SAMPLING_H
#define COMFYPOOL_SRC_POOL_SAMPLING_H

#include "comfypool/comfy/answers.h"
#include "comfypool/core/samples.h"
#include "comfypool/host/host.h"
#include "comfypool/loop/deadlines.h"

struct pool;
struct backend;
struct attempt;
struct sampling_view;

/* Of a backend. */
struct sampling {
    struct sample last[SAMPLE_SOURCE_COUNT]; /* at.us == 0: none yet */
    enum sample_source source;               /* of the last one */
    bool has_interval;
    struct dur_us interval; /* between the last two of that source */
    struct mono_us asked;   /* those that are asked, last */
    struct deadline tick;   /* while something profiled runs */
    /* Which GPU of its host. */
    int64_t cuda_device; /* of its arguments; -1: not said */
    int64_t nvml_index;  /* by NVML; -1: not known */
    int64_t index;       /* what is taken; -1: nobody knows */
    bool unmapped;       /* there are several, and nobody knows */
    /* On this host. */
    bool is_here;
    struct host_search *search;
    struct host_process process; /* pid 0: not found */
    struct host_usage usage;     /* the last one */
    char problem[256];           /* why it was not found */
};

/* Of an attempt. */
struct attempt_samples {
    struct samples *samples; /* NULL: it is not profiled, or did not begin */
    bool has_usage;
    struct host_usage usage; /* at its start */
    int64_t pid;
};

void sampling_init(struct backend *b);
void sampling_done(struct backend *b);
/* Its link came up or went. */
void sampling_up(struct backend *b);
void sampling_down(struct backend *b);
void sampling_frame(struct backend *b, struct mono_us now, const struct frame *f);
void sampling_stats(struct backend *b, struct mono_us now, const struct stats_answer *s);

/* A profiled attempt runs; it has ended: puts resources into its account; it goes. */
void sampling_begin(struct attempt *a);
void sampling_account(struct attempt *a, struct profile *profile);
void sampling_end(struct attempt *a);

/* What others see of it. */
void sampling_view(const struct backend *b, struct sampling_view *ret);

#endif
