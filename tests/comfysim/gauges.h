/*
 * What can be measured of the server: memory, GPUs, temperature. The node that runs decides the
 * values; the monitor frames of the Crystools extension and /system_stats tell the same ones.
 *
 * Until it was told of a gauge (a switch, a control, a prompt with such inputs) /system_stats says
 * what the recorded servers said, who ran on their CPUs. Leaves the node to executor.c, the rest of
 * /system_stats to routes.c.
 */
#ifndef COMFYSIM_GAUGES_H
#define COMFYSIM_GAUGES_H

#include "text.h"
#include "timers.h"

struct sim;

enum { GPUS_MAX = 1000, MONITOR_MS_MAX = 86400000 };

/* How /system_stats is answered. */
enum stats_answer { STATS_GOOD, STATS_FAIL, STATS_HANG };

struct gauges {
    bool told;
    int gpus;          /* of the host; < 0: nobody said, and there is none; 0: none */
    int gpu;           /* ours among them */
    double monitor_ms; /* between two frames; 0: no monitor */
    long monitors;     /* frames that somebody got */
    struct sim_timer timer;
    enum stats_answer stats;
    const char *argv; /* NULL: as recorded; borrowed */
};

void gauges_init(struct gauges *gauges);
/* ms <= 0: none any more. The first frame goes out at once. There is a GPU then, unless somebody
   said that there is none. */
void gauges_monitor(struct sim *sim, double ms);
/* gpus < 0: still nobody said. False, and nothing changes: ours would not be among them. */
bool gauges_set_gpus(struct gauges *gauges, int gpus, int gpu);
/* "fail", "hang", NULL; false: it is none of them. */
bool gauges_set_stats(struct gauges *gauges, const char *name);

/* For /system_stats: a JSON array each, and the RAM that is left. */
void gauges_argv(const struct sim *sim, struct text *out);
void gauges_devices(const struct sim *sim, struct text *out);
double gauges_ram_total(void);
double gauges_ram_free(const struct sim *sim);

#endif
