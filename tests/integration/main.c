/*
 * Runs the suites: integration [SUITE...]. Each suite is a process with its own report; a few run
 * at a time (INTEGRATION_JOBS, 3), since tests mostly wait. What a suite prints appears as a whole.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "suites.h"

/* The longest first. */
static const struct {
    const char *name;
    Suite *(*make)(void);
} suites[] = {
    {"events", events_suite},     {"numbers", numbers_suite},   {"exports", exports_suite},
    {"timeouts", timeouts_suite}, {"webhooks", webhooks_suite}, {"resources", resources_suite},
    {"live", live_suite},         {"push", push_suite},         {"retry", retry_suite},
    {"operate", operate_suite},   {"links", links_suite},       {"restart", restart_suite},
    {"cancel", cancel_suite},     {"dispatch", dispatch_suite}, {"ends", ends_suite},
    {"daemon", daemon_suite},     {"profiles", profiles_suite}, {"routes", routes_suite},
    {"outputs", outputs_suite},   {"disk", disk_suite},         {"schema", schema_suite},
    {"hooks", hooks_suite},
};

enum { SUITES = sizeof suites / sizeof *suites };

static int run_suite(size_t i)
{
    SRunner *r = srunner_create(suites[i].make());
    srunner_set_fork_status(r, CK_FORK);
    srunner_run_all(r, CK_NORMAL);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}

struct running {
    pid_t pid;
    FILE *said;
    double since;
};

static double seconds(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void start(struct running *r, size_t i)
{
    r->said = tmpfile();
    r->since = seconds();
    (void)fflush(NULL);
    r->pid = fork();
    if (r->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)dup2(fileno(r->said), STDOUT_FILENO);
        (void)dup2(fileno(r->said), STDERR_FILENO);
        const int status = run_suite(i);
        (void)fflush(NULL);
        exit(status);
    }
}

static void show(struct running *r)
{
    char piece[4096];
    size_t n = 0;
    rewind(r->said);
    while ((n = fread(piece, 1, sizeof piece, r->said)) > 0) {
        (void)fwrite(piece, 1, n, stdout);
    }
    printf("  (%.1f s)\n", seconds() - r->since);
    (void)fclose(r->said);
    (void)fflush(stdout);
    r->pid = 0;
}

/* Waits for one; 1 when it failed. */
static int finish_one(struct running *all)
{
    int status = 0;
    const pid_t pid = wait(&status);
    for (size_t i = 0; i < SUITES; i++) {
        if (all[i].pid == pid) {
            show(&all[i]);
        }
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : 1;
}

static int is_wanted(int argc, char **argv, const char *name)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], name) == 0) {
            return 1;
        }
    }
    return argc < 2;
}

int main(int argc, char **argv)
{
    static struct running running[SUITES];
    const char *jobs = getenv("INTEGRATION_JOBS");
    const int most = jobs == NULL || atoi(jobs) < 1 ? 3 : atoi(jobs);
    int now = 0;
    int failed = 0;
    int wanted = 0;
    for (size_t i = 0; i < SUITES; i++) {
        if (!is_wanted(argc, argv, suites[i].name)) {
            continue;
        }
        wanted++;
        if (now == most) {
            failed += finish_one(running);
            now--;
        }
        start(&running[i], i);
        now++;
    }
    for (; now > 0; now--) {
        failed += finish_one(running);
    }
    if (wanted == 0) {
        fprintf(stderr, "there is no such suite\n");
        return 2;
    }
    return failed == 0 ? 0 : 1;
}
