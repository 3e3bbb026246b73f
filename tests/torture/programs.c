/*
 * The daemon and the simulators as processes: started, killed, ended, and what they leave in their
 * logs. All of them die with this process.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "torture.h"

enum { START_S = 20, END_S = 20 };

static void child(char *const argv[], const char *out, const char *err)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)setpgid(0, 0);
    (void)dup2(open("/dev/null", O_RDONLY), 0);
    (void)dup2(open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600), 1);
    (void)dup2(open(err, O_WRONLY | O_CREAT | O_APPEND, 0600), 2);
    /* A quarantine of freed memory would look like a leak. */
    (void)setenv("ASAN_OPTIONS", "detect_leaks=1:quarantine_size_mb=4", 1);
    (void)execv(argv[0], argv);
    _exit(127);
}

/* The port of "listening on http://127.0.0.1:PORT"; 0: not yet. */
static int port_in(const char *out)
{
    char line[256] = "";
    FILE *f = fopen(out, "r");
    if (f != NULL) {
        (void)!fgets(line, sizeof line, f);
        (void)fclose(f);
    }
    const char *colon = strchr(line, '\n') == NULL ? NULL : strrchr(line, ':');
    return strstr(line, "listening on http://") == NULL || colon == NULL ? 0 : atoi(colon + 1);
}

static void start(struct program *p, char *const argv[], const char *out)
{
    (void)unlink(out);
    p->pid = fork();
    if (p->pid == 0) {
        child(argv, out, p->err);
    }
    const double until = now_s() + START_S;
    while (p->pid > 0 && now_s() < until) {
        p->port = port_in(out);
        if (p->port != 0) {
            return;
        }
        if (waitpid(p->pid, NULL, WNOHANG) == p->pid) {
            break;
        }
        sleep_ms(5);
    }
    die("%s did not start; see %s", argv[0], p->err);
}

void sim_begin(struct storm *s, unsigned i)
{
    /* The last one, which has two prompts of ours at a time, interrupts whatever runs. */
    static const char *const versions[SIMS] = {"0.28", "0.3", "0.28", "0.3.45"};
    struct sim *sim = &s->sims[i];
    char out[256];
    char weather[64];
    (void)snprintf(out, sizeof out, "%s/sim%u.out", s->dir, i);
    (void)snprintf(sim->program.err, sizeof sim->program.err, "%s/sim%u.err", s->dir, i);
    (void)snprintf(sim->ledger, sizeof sim->ledger, "%s/ledger%u", s->dir, i);
    (void)snprintf(sim->truth, sizeof sim->truth, "%s/truth%u", s->dir, i);
    (void)snprintf(weather, sizeof weather, "%llu:%.3f", (unsigned long long)(s->seed * SIMS + i),
                   s->rate);
    const char *const argv[] = {s->sim_path,    "--port",    "0",          "--ledger", sim->ledger,
                                "--truth",      sim->truth,  "--no-cache", "--storm",  weather,
                                "--version-as", versions[i], NULL};
    start(&sim->program, (char *const *)(uintptr_t)argv, out);
}

/* Short times, so that a storm of a minute sees them all; settling is longer than anything that
   turns up late. */
static void write_config(const struct storm *s, const char *path)
{
    FILE *f = fopen(path, "w");
    if (f == NULL) {
        die("cannot write %s: %s", path, strerror(errno));
    }
    fprintf(f, "backends:\n");
    for (unsigned i = 0; i < SIMS; i++) {
        fprintf(f, "  - {name: s%u, url: 'http://127.0.0.1:%d', maxInFlight: %u}\n", i,
                s->sims[i].program.port, 1 + i % 2);
    }
    fprintf(
        f,
        "link: {pingIntervalMs: 500, pongTimeoutMs: 1000, connectTimeoutMs: 1000,\n"
        "       requestTimeoutMs: 2000, submitTimeoutMs: 1000, submitSettleMs: 4500,\n"
        "       quietPollMs: 500, backendLostMs: 4000}\n"
        "jobs: {retryDelayMs: 100, executionStartTimeoutMs: 3000, nodeExecutionTimeoutMs: 2500,\n"
        "       jobTimeoutMs: 20000, cancelGraceMs: 1500}\n"
        "breaker: {failures: 3, openMs: 1000}\n"
        "quarantine: {failures: 5, deadWorkerMs: 3000}\n"
        "profiling: {enabled: true}\n"
        "webhooks: {urls: ['http://127.0.0.1:%d/'], allow: [127.0.0.1]}\n",
        s->receiver_port);
    (void)fclose(f);
}

void daemon_begin(struct storm *s)
{
    char config[256];
    char state[256];
    char listen[64];
    char out[256];
    struct program p = {0};
    (void)snprintf(config, sizeof config, "%s/config.yaml", s->dir);
    (void)snprintf(state, sizeof state, "%s/state", s->dir);
    (void)snprintf(listen, sizeof listen, "127.0.0.1:%d", s->port);
    (void)snprintf(out, sizeof out, "%s/daemon%u.out", s->dir, s->starts);
    (void)snprintf(p.err, sizeof p.err, "%s/daemon%u.err", s->dir, s->starts);
    if (s->starts == 0) {
        write_config(s, config);
    }
    const char *const argv[] = {s->daemon_path, "--config", config, "--listen",
                                listen,         "--state",  state,  NULL};
    start(&p, (char *const *)(uintptr_t)argv, out);
    s->daemon = p;
    s->port = p.port;
    if (s->starts == MAX_STARTS) {
        die("more than %d lives", (int)MAX_STARTS);
    }
    s->starts++;
}

static long peak_of(pid_t pid)
{
    char path[64];
    char line[256];
    long kib = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *f = fopen(path, "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        (void)sscanf(line, "VmHWM: %ld", &kib);
    }
    if (f != NULL) {
        (void)fclose(f);
    }
    return kib;
}

/* Its last moment: what it is known by is put away. Returns its pid. */
static pid_t take_daemon(struct storm *s)
{
    const pid_t pid = s->daemon.pid;
    s->peak_kib[s->starts - 1] = peak_of(pid);
    s->daemon.pid = 0;
    return pid;
}

void daemon_must_live(struct storm *s)
{
    int status = 0;
    if (waitpid(s->daemon.pid, &status, WNOHANG) == s->daemon.pid) {
        violation(s, "the daemon ended by itself with wait status %#x; see %s", (unsigned)status,
                  s->daemon.err);
        die("there is nothing left to torture");
    }
}

void daemon_kill(struct storm *s)
{
    daemon_must_live(s);
    const pid_t pid = take_daemon(s);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    s->kills++;
}

/* Nobody tells it: what it reads afterwards has waited for it. */
void daemon_freeze(struct storm *s, int ms)
{
    daemon_must_live(s);
    (void)kill(s->daemon.pid, SIGSTOP);
    sleep_ms(ms);
    (void)kill(s->daemon.pid, SIGCONT);
    s->freezes++;
}

void daemon_end(struct storm *s)
{
    daemon_must_live(s);
    const pid_t pid = take_daemon(s);
    int status = 0;
    (void)kill(pid, SIGTERM);
    const double until = now_s() + END_S;
    while (waitpid(pid, &status, WNOHANG) != pid) {
        if (now_s() > until) {
            violation(s, "the daemon does not end on SIGTERM within %d s", (int)END_S);
            (void)kill(pid, SIGKILL);
            (void)waitpid(pid, &status, 0);
            return;
        }
        sleep_ms(10);
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        violation(s, "the daemon ended on SIGTERM with wait status %#x", (unsigned)status);
    }
}

void sims_end(struct storm *s)
{
    for (unsigned i = 0; i < SIMS; i++) {
        (void)kill(s->sims[i].program.pid, SIGTERM);
        (void)waitpid(s->sims[i].program.pid, NULL, 0);
    }
}

/* ---- logs ------------------------------------------------------------------------------------ */

static const char *const alarms[] = {
    "ERROR: AddressSanitizer",
    "ERROR: LeakSanitizer",
    "runtime error:",
    "a transition that is not in the table",
    "the store refused a write",
    "a request was held again",
};

static void check_log(struct storm *s, const char *path)
{
    FILE *f = fopen(path, "r");
    char line[2048];
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        for (size_t i = 0; i < sizeof alarms / sizeof *alarms; i++) {
            if (strstr(line, alarms[i]) != NULL) {
                line[strcspn(line, "\n")] = '\0';
                violation(s, "%s: %.300s", path, line);
            }
        }
    }
    if (f != NULL) {
        (void)fclose(f);
    }
}

void check_logs(struct storm *s)
{
    char path[256];
    for (unsigned i = 0; i < s->starts; i++) {
        (void)snprintf(path, sizeof path, "%s/daemon%u.err", s->dir, i);
        check_log(s, path);
    }
    for (unsigned i = 0; i < SIMS; i++) {
        check_log(s, s->sims[i].program.err);
    }
}
