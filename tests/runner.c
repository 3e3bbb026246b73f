/* Suites as processes; see the header. */
#include "runner.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 64 };

struct running {
    pid_t pid; /* 0: it does not run */
    FILE *said;
    double since;
};

static int run_suite(const struct named_suite *s)
{
    SRunner *r = srunner_create(s->make());
    srunner_run_all(r, CK_ENV);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}

static double seconds(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void start(struct running *r, const struct named_suite *s)
{
    r->said = tmpfile();
    r->since = seconds();
    (void)fflush(NULL);
    r->pid = fork();
    if (r->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)dup2(fileno(r->said), STDOUT_FILENO);
        (void)dup2(fileno(r->said), STDERR_FILENO);
        const int status = run_suite(s);
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

/* Waits for one; false when it failed. */
static bool finish_one(struct running *all, size_t n)
{
    int status = 0;
    const pid_t pid = wait(&status);
    for (size_t i = 0; i < n; i++) {
        if (all[i].pid == pid) {
            show(&all[i]);
        }
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool is_wanted(const char *name, int words_len, char *const *words)
{
    for (int i = 0; i < words_len; i++) {
        if (strstr(name, words[i]) != NULL) {
            return true;
        }
    }
    return words_len == 0;
}

int run_suites(const struct named_suite *suites, size_t n, int jobs, int words_len,
               char *const *words)
{
    static struct running running[MOST];
    int now = 0;
    int wanted = 0;
    bool good = true;
    for (size_t i = 0; i < n && i < MOST; i++) {
        if (!is_wanted(suites[i].name, words_len, words)) {
            continue;
        }
        wanted++;
        if (now == jobs) {
            good = finish_one(running, n) && good;
            now--;
        }
        start(&running[i], &suites[i]);
        now++;
    }
    for (; now > 0; now--) {
        good = finish_one(running, n) && good;
    }
    if (wanted == 0) {
        fprintf(stderr, "there is no such suite\n");
        return 2;
    }
    return good ? 0 : 1;
}
