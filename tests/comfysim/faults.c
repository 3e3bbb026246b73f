/* The table of faults and when they strike. What each does is where it strikes: prompts.c for
 * posts, executor.c for jobs. A new mode is a row here and a case there. */
#include "faults.h"

#include <stdlib.h>
#include <string.h>

enum place { AT_POST, AT_REPEATED_POST, AT_JOB };

/* least, most: the argument in a storm; most 0: it has none. */
static const struct {
    const char *name;
    enum fault mode;
    enum place place;
    double least, most;
} modes[] = {
    {"http500", FAULT_HTTP500, AT_POST, 0, 0},
    {"http429", FAULT_HTTP429, AT_POST, 0, 0},
    {"reject", FAULT_REJECT, AT_POST, 0, 0},
    {"http500-accepted", FAULT_HTTP500_ACCEPTED, AT_POST, 0, 0},
    {"slow-accept", FAULT_SLOW_ACCEPT, AT_POST, 50, 1500},
    {"late-accept", FAULT_LATE_ACCEPT, AT_POST, 50, 1500},
    {"lost-accept", FAULT_LOST_ACCEPT, AT_POST, 0, 0},
    {"refuse", FAULT_REFUSE, AT_POST, 50, 1500},
    {"late-turn-up", FAULT_LATE_TURN_UP, AT_POST, 50, 3000},
    {"gateway", FAULT_GATEWAY, AT_POST, 50, 1500},
    {"page-accepted", FAULT_PAGE_ACCEPTED, AT_POST, 0, 0},
    {"keepalive-cut", FAULT_KEEPALIVE_CUT, AT_REPEATED_POST, 0, 0},
    {"drop-ws", FAULT_DROP_WS, AT_JOB, 0, 0},
    {"silent-ws", FAULT_SILENT_WS, AT_JOB, 0, 0},
    {"mute", FAULT_MUTE, AT_JOB, 0, 0},
    {"half-open", FAULT_HALF_OPEN, AT_JOB, 0, 0},
    {"crash", FAULT_CRASH, AT_JOB, 20, 800},
    {"vanish", FAULT_VANISH, AT_JOB, 2000, 5000},
    {"hang", FAULT_HANG, AT_JOB, 0, 0},
    {"ignore-interrupt", FAULT_IGNORE_INTERRUPT, AT_JOB, 0, 0},
    {"dead-worker", FAULT_DEAD_WORKER, AT_JOB, 0, 0},
    {"dead-worker-mid", FAULT_DEAD_WORKER_MID, AT_JOB, 0, 0},
    {"stall-start", FAULT_STALL_START, AT_JOB, 50, 1500},
    {"never-finish", FAULT_NEVER_FINISH, AT_JOB, 0, 0},
    {"late-finish", FAULT_LATE_FINISH, AT_JOB, 50, 1500},
    {"garbage", FAULT_GARBAGE, AT_JOB, 0, 0},
    {"dup", FAULT_DUP, AT_JOB, 0, 0},
    {"reorder", FAULT_REORDER, AT_JOB, 0, 0},
    {"oom", FAULT_OOM, AT_JOB, 0, 0},
    {"sick", FAULT_SICK, AT_JOB, 300, 2000},
    {"hold", FAULT_HOLD, AT_JOB, 50, 1500},
    {"clock-step", FAULT_CLOCK_STEP, AT_JOB, -5000, 5000},
    /* Other names; not drawn in a storm. */
    {"deaf", FAULT_SILENT_WS, AT_JOB, 0, 0},
};

enum { ALIASES = 1 };

#define N_MODES (sizeof(modes) / sizeof(modes[0]))

const char *faults_help(void)
{
    return "Fault modes (WHEN: N the N-th prompt, %K each K-th, * every one; ARG in ms)\n"
           "  at POST /prompt\n"
           "    http500          500, not queued        http429          429, not queued\n"
           "    reject           400 value_not_in_list  http500-accepted queued, but 500\n"
           "    slow-accept      queued and answered ARG later\n"
           "    late-accept      queued at once, answered ARG later\n"
           "    lost-accept      queued, the connection is cut without an answer\n"
           "    refuse           accepted and answered, then a crash of ARG\n"
           "    late-turn-up     the connection is cut without an answer, queued ARG later\n"
           "    gateway          this and all others of the next ARG ms: 401, 403, 404, 405, 413\n"
           "                     or 502 (by ARG) with an HTML page, not queued\n"
           "    page-accepted    queued, but 502 with an HTML page\n"
           "    keepalive-cut    a second POST on a connection is read, then the connection is\n"
           "                     closed: not answered, not queued (WHEN counts such POSTs)\n"
           "  while the job runs\n"
           "    drop-ws          cuts all WebSockets    silent-ws (deaf) they get nothing more\n"
           "    mute             they are unregistered: pings are answered, nothing else comes\n"
           "    half-open        they are neither read nor written nor closed\n"
           "    crash            everything closes and is lost; back after ARG\n"
           "    vanish           the same; in a storm, for longer\n"
           "    hang             the first node never ends (until /interrupt)\n"
           "    ignore-interrupt an interrupt is noticed before the next node only\n"
           "    dead-worker      execution_start, then nothing runs any more (until a crash)\n"
           "    dead-worker-mid  the same after the first `executing`\n"
           "    stall-start      the job stays pending until the fault is changed; in a storm, "
           "ARG\n"
           "    never-finish     all nodes run, then no end and no history (until /interrupt)\n"
           "    late-finish      the end is sent ARG after its timestamp\n"
           "    garbage          malformed and foreign messages between the real ones\n"
           "    dup              every message twice    reorder          neighbours swapped\n"
           "    oom              the first node fails, out of memory\n"
           "    sick             the first node of this and each later prompt fails with a CUDA\n"
           "                     error, until a crash or the fault is changed; in a storm, ARG\n"
           "    hold             no socket gets a frame for ARG, then all in order\n"
           "    clock-step       the server's clock steps by ARG (may be negative)\n";
}

static bool parse_when(struct faults *faults, const char *when)
{
    faults->every = 0;
    faults->at = 1;
    if (*when == '\0' || !strcmp(when, "*")) {
        faults->every = *when == '*';
        return true;
    }
    char *end;
    long n = strtol(when + (*when == '%'), &end, 10);
    if (*end != '\0' || n < 1 || n > 1000000) {
        return false;
    }
    if (*when == '%') {
        faults->every = (int)n;
    } else {
        faults->at = n;
    }
    return true;
}

/* All but what was counted since the start. */
static void clear(struct faults *faults)
{
    struct faults old = *faults;
    *faults = (struct faults){.arg_ms = 2000};
    memcpy(faults->struck, old.struck, sizeof(old.struck));
}

bool faults_set(struct faults *faults, const char *spec)
{
    clear(faults);
    if (!spec) {
        return true;
    }
    char copy[128];
    if (strlen(spec) >= sizeof(copy)) {
        return false;
    }
    strcpy(copy, spec);
    char *arg = strchr(copy, ':');
    if (arg) {
        *arg++ = '\0';
        char *end;
        faults->arg_ms = strtod(arg, &end);
        if (*arg == '\0' || *end != '\0') {
            return false;
        }
    }
    char *when = strchr(copy, '@');
    if (when) {
        *when++ = '\0';
    }
    if (!parse_when(faults, when ? when : "")) {
        return false;
    }
    for (size_t i = 0; i < N_MODES; i++) {
        if (!strcmp(modes[i].name, copy)) {
            faults->mode = modes[i].mode;
            return true;
        }
    }
    clear(faults);
    return false;
}

bool faults_set_storm(struct faults *faults, const char *spec)
{
    char *end;
    clear(faults);
    faults->storm_seed = strtoull(spec, &end, 10);
    faults->storm_rate = 0.3;
    if (end != spec && *end == ':') {
        spec = end + 1;
        faults->storm_rate = strtod(spec, &end);
    }
    return end != spec && *end == '\0' && faults->storm_rate >= 0 && faults->storm_rate <= 1;
}

static enum place place_of(enum fault mode)
{
    for (size_t i = 0; i < N_MODES; i++) {
        if (modes[i].mode == mode) {
            return modes[i].place;
        }
    }
    return AT_POST;
}

static bool strikes(const struct faults *faults, long n)
{
    return faults->every > 0 ? n % faults->every == 0 : n == faults->at;
}

/* splitmix64: a number for the n-th thing of a seed. */
static uint64_t draw(uint64_t seed, uint64_t n)
{
    uint64_t z = (seed * 0x9e3779b97f4a7c15U) + (n + 1) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

static double draw_unit(uint64_t seed, uint64_t n)
{
    return (double)(draw(seed, n) >> 11) / (double)(1ULL << 53);
}

static struct strike storm(const struct faults *faults, bool repeated)
{
    uint64_t n = (uint64_t)faults->posts * 3;
    if (draw_unit(faults->storm_seed, n) >= faults->storm_rate) {
        return (struct strike){0};
    }
    size_t i = (size_t)(draw(faults->storm_seed, n + 1) % (N_MODES - ALIASES));
    if (modes[i].place == AT_REPEATED_POST && !repeated) {
        return (struct strike){0};
    }
    double part = draw_unit(faults->storm_seed, n + 2);
    return (struct strike){modes[i].mode, modes[i].least + (modes[i].most - modes[i].least) * part};
}

struct strike faults_at_post(struct faults *faults, bool repeated)
{
    faults->posts++;
    faults->repeats += repeated;
    if (faults->storm_rate > 0) {
        return storm(faults, repeated);
    }
    enum place place = place_of(faults->mode);
    if (faults->mode != FAULT_NONE &&
        ((place == AT_POST && strikes(faults, faults->posts)) ||
         (place == AT_REPEATED_POST && repeated && strikes(faults, faults->repeats)))) {
        return (struct strike){faults->mode, faults->arg_ms};
    }
    return (struct strike){0};
}

bool faults_is_at_job(enum fault mode)
{
    return mode != FAULT_NONE && place_of(mode) == AT_JOB;
}

struct strike faults_at_job(const struct faults *faults)
{
    if (!faults_is_at_job(faults->mode) || !strikes(faults, faults->jobs + 1)) {
        return (struct strike){0};
    }
    return (struct strike){faults->mode, faults->arg_ms};
}

void faults_count_job(struct faults *faults)
{
    faults->jobs++;
}

void faults_note(struct faults *faults, enum fault mode)
{
    faults->struck[mode]++;
}

const char *fault_name(enum fault mode)
{
    for (size_t i = 0; i < N_MODES; i++) {
        if (modes[i].mode == mode) {
            return modes[i].name;
        }
    }
    return "none";
}
