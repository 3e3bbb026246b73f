/*
 * Memory and GPU over time: samples taken while an attempt ran, and those inside each node. Pure.
 *
 * There are three sources; the best one with a sample within the attempt counts for all of it, so
 * that values of different sources are never mixed. A value unknown to a source is NaN; a node
 * without a sample inside has no resources at all, never 0.
 */
#ifndef COMFYPOOL_CORE_SAMPLES_H
#define COMFYPOOL_CORE_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/time.h"
#include "comfypool/core/profiler.h"

/* Best first. symbol, public name */
#define SAMPLE_SOURCE_TABLE(X)                                                                     \
    X(SAMPLE_CRYSTOOLS, "crystools")       /* crystools.monitor frames on the WebSocket */         \
    X(SAMPLE_SYSTEM_STATS, "system_stats") /* GET /system_stats */                                 \
    X(SAMPLE_LOCAL, "local")               /* /proc and NVML, for a backend on this host */

enum sample_source {
#define X(symbol, name) symbol,
    SAMPLE_SOURCE_TABLE(X)
#undef X
        SAMPLE_SOURCE_COUNT
};
const char *sample_source_name(enum sample_source s);

/* Values are NaN when unknown. */
struct sample {
    struct mono_us at;      /* time of receipt */
    double gpu_utilization; /* per cent */
    double gpu_temperature; /* degrees Celsius */
    double vram_used;       /* bytes, of the backend's GPU */
    double ram_used;        /* bytes: of the host, or (SAMPLE_LOCAL) of the process */
};
/* Returns a sample of unknown values. */
struct sample sample_unknown(struct mono_us at);

/* Resources of a node, or of the whole attempt. NaN: unknown. */
struct resources {
    enum sample_source source;
    size_t count;
    double gpu_avg;
    double gpu_max;
    double vram_max;
    double vram_delta; /* the last sample inside minus the last one before it */
    double ram_max;
    double temperature_max;
};

/* I/O of the process during the attempt, in bytes; -1: unknown. */
struct process_io {
    int64_t disk_read;
    int64_t disk_written;
    int64_t net_received;
    int64_t net_sent;
};

struct resources_of_job {
    bool sampled; /* false: `all` is not set */
    struct resources all;
    bool has_interval;
    struct dur_us interval; /* measured mean between two samples */
    struct process_io io;
    const struct sample *samples; /* at most SAMPLES_SHOWN, evenly thinned */
    size_t samples_len;
};

enum {
    SAMPLES_SHOWN = 600,
    /* Samples kept per source and attempt: 18 hours of one a second; later ones are dropped. */
    SAMPLES_KEPT = 65536,
};

/* The samples of one attempt. */
struct samples;

/* before: the last sample of each source so far; at.us == 0: none. Owner: the caller. */
struct samples *samples_new(const struct sample before[SAMPLE_SOURCE_COUNT]);
void samples_free(struct samples *s);
/* Adds a sample, in order of time. Cost: O(1). */
void samples_add(struct samples *s, enum sample_source source, const struct sample *sample);

/*
 * Puts resources into a finished account and its nodes; they live as long as s, until the next
 * call. Cost: O(slices log samples + samples inside each).
 */
void samples_account(struct samples *s, const struct process_io *io, struct profile *profile);

#endif
