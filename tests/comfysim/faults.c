/* The table of faults and when they strike. What each does is where it strikes: prompts.c for
 * posts, executor.c for jobs. A new mode is a row here and a case there. */
#include "faults.h"

#include <stdlib.h>
#include <string.h>

enum place { AT_POST, AT_REPEATED_POST, AT_JOB };

static const struct {
    const char *name;
    enum fault mode;
    enum place place;
} modes[] = {
    {"http500", FAULT_HTTP500, AT_POST},
    {"http429", FAULT_HTTP429, AT_POST},
    {"reject", FAULT_REJECT, AT_POST},
    {"http500-accepted", FAULT_HTTP500_ACCEPTED, AT_POST},
    {"slow-accept", FAULT_SLOW_ACCEPT, AT_POST},
    {"late-accept", FAULT_LATE_ACCEPT, AT_POST},
    {"lost-accept", FAULT_LOST_ACCEPT, AT_POST},
    {"refuse", FAULT_REFUSE, AT_POST},
    {"keepalive-cut", FAULT_KEEPALIVE_CUT, AT_REPEATED_POST},
    {"drop-ws", FAULT_DROP_WS, AT_JOB},
    {"silent-ws", FAULT_SILENT_WS, AT_JOB},
    {"deaf", FAULT_SILENT_WS, AT_JOB},
    {"half-open", FAULT_HALF_OPEN, AT_JOB},
    {"crash", FAULT_CRASH, AT_JOB},
    {"hang", FAULT_HANG, AT_JOB},
    {"stall-start", FAULT_STALL_START, AT_JOB},
    {"never-finish", FAULT_NEVER_FINISH, AT_JOB},
    {"late-finish", FAULT_LATE_FINISH, AT_JOB},
    {"garbage", FAULT_GARBAGE, AT_JOB},
    {"dup", FAULT_DUP, AT_JOB},
    {"reorder", FAULT_REORDER, AT_JOB},
    {"oom", FAULT_OOM, AT_JOB},
};

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
           "    keepalive-cut    a second POST on a connection is read, then the connection is\n"
           "                     closed: not answered, not queued (WHEN counts such POSTs)\n"
           "  while the job runs\n"
           "    drop-ws          cuts all WebSockets    silent-ws (deaf) they get nothing more\n"
           "    half-open        they are neither read nor written nor closed\n"
           "    crash            everything closes and is lost; back after ARG\n"
           "    hang             the first node never ends (until /interrupt)\n"
           "    stall-start      the job stays pending until the fault is changed\n"
           "    never-finish     all nodes run, then no end and no history (until /interrupt)\n"
           "    late-finish      the end is sent ARG after its timestamp\n"
           "    garbage          malformed and foreign messages between the real ones\n"
           "    dup              every message twice    reorder          neighbours swapped\n"
           "    oom              the first node fails, out of memory\n";
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

bool faults_set(struct faults *faults, const char *spec)
{
    *faults = (struct faults){.arg_ms = 2000};
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
    *faults = (struct faults){.arg_ms = 2000};
    return false;
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

enum fault faults_at_post(struct faults *faults, bool repeated)
{
    faults->posts++;
    faults->repeats += repeated;
    if (faults->mode == FAULT_NONE) {
        return FAULT_NONE;
    }
    enum place place = place_of(faults->mode);
    if ((place == AT_POST && strikes(faults, faults->posts)) ||
        (place == AT_REPEATED_POST && repeated && strikes(faults, faults->repeats))) {
        return faults->mode;
    }
    return FAULT_NONE;
}

enum fault faults_at_job(const struct faults *faults)
{
    if (faults->mode == FAULT_NONE || place_of(faults->mode) != AT_JOB) {
        return FAULT_NONE;
    }
    return strikes(faults, faults->jobs + 1) ? faults->mode : FAULT_NONE;
}

void faults_count_job(struct faults *faults)
{
    faults->jobs++;
}
