/*
 * make torture: see torture.h for who does what.
 *
 *   torture COMFYPOOLD COMFYSIM DIR [SEED [SECONDS [RATE]]]
 *
 * All random choices follow from SEED; time does not. DIR keeps the logs, the ledgers and the
 * store. Exits with 1 when something did not hold, after saying what.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "torture.h"

enum { RUDE = 2, DRAIN_S = 120, MOST_SHOWN = 40 };

/* ---- time, chance, violations ---------------------------------------------------------------- */

static double clock_s(clockid_t id)
{
    struct timespec t;
    (void)clock_gettime(id, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double now_s(void)
{
    return clock_s(CLOCK_MONOTONIC);
}

double epoch_ms(void)
{
    return clock_s(CLOCK_REALTIME) * 1000;
}

void sleep_ms(int ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
    (void)nanosleep(&t, NULL);
}

/* splitmix64 */
uint64_t dice_roll(struct dice *d)
{
    uint64_t z = (d->state += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

struct dice dice_of(uint64_t seed, unsigned stream)
{
    struct dice d = {seed};
    for (unsigned i = 0; i < 3; i++) {
        d.state = dice_roll(&d) + stream;
    }
    return d;
}

int dice_between(struct dice *d, int least, int most)
{
    return least + (int)(dice_roll(d) % (uint64_t)(most - least + 1));
}

bool dice_chance(struct dice *d, double probability)
{
    return (double)(dice_roll(d) >> 11) / (double)(1ULL << 53) < probability;
}

void violation(struct storm *s, const char *format, ...)
{
    (void)pthread_mutex_lock(&s->lock);
    if (s->violations++ < MOST_SHOWN) {
        va_list args;
        va_start(args, format);
        printf("VIOLATION ");
        vprintf(format, args);
        printf("\n");
        (void)fflush(stdout);
        va_end(args);
    }
    (void)pthread_mutex_unlock(&s->lock);
}

_Noreturn void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "torture: ");
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    exit(1);
}

/* ---- the phases ------------------------------------------------------------------------------ */

static void run(struct worker *w, struct storm *s, unsigned number, void *(*body)(void *))
{
    *w = (struct worker){.storm = s, .number = number};
    if (pthread_create(&w->thread, NULL, body, w) != 0) {
        die("no thread: %s", strerror(errno));
    }
}

static void storm_begin(struct storm *s)
{
    for (unsigned i = 0; i < SIMS; i++) {
        sim_begin(s, i);
    }
    receiver_listen(s);
    daemon_begin(s);
}

static void rage(struct storm *s)
{
    struct worker clients[CLIENTS];
    struct worker watcher;
    struct worker breaker;
    struct worker operator;
    struct worker reader;
    struct worker rude[RUDE];
    run(&watcher, s, 0, watcher_run);
    run(&breaker, s, 0, breaker_run);
    run(&operator, s, 0, operator_run);
    run(&reader, s, 0, reader_run);
    for (unsigned i = 0; i < RUDE; i++) {
        run(&rude[i], s, i, rude_run);
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        run(&clients[i], s, i, client_run);
    }
    sleep_ms((int)(s->seconds * 1000));
    s->calm = true;
    for (unsigned i = 0; i < CLIENTS; i++) {
        (void)pthread_join(clients[i].thread, NULL);
    }
    (void)pthread_join(operator.thread, NULL);
    for (unsigned i = 0; i < RUDE; i++) {
        (void)pthread_join(rude[i].thread, NULL);
    }
    await_ends(s, DRAIN_S);
    await_deliveries(s, DRAIN_S);
    s->over = true;
    (void)pthread_join(breaker.thread, NULL);
    (void)pthread_join(watcher.thread, NULL);
    (void)pthread_join(reader.thread, NULL);
    while (!s->aside) {
        sleep_ms(10);
    }
}

static void account(struct storm *s)
{
    printf("torture: seed %llu, %.0f s, %.0f%% of prompts struck\n", (unsigned long long)s->seed,
           s->seconds, s->rate * 100);
    audit(s);
    print_table(s);
    daemon_end(s);
    sims_end(s);
    check_logs(s);
}

static void storm_free(struct storm *s)
{
    for (size_t i = 0; i < s->jobs_len; i++) {
        free(s->jobs[i]->body);
        free(s->jobs[i]);
    }
    for (unsigned i = 0; i < SIMS; i++) {
        json_decref(s->sims[i].last_told);
    }
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        die("torture COMFYPOOLD COMFYSIM DIR [SEED [SECONDS [RATE]]]");
    }
    static struct storm s = {.lock = PTHREAD_MUTEX_INITIALIZER};
    s.daemon_path = argv[1];
    s.sim_path = argv[2];
    (void)snprintf(s.dir, sizeof s.dir, "%s", argv[3]);
    s.seed = argc > 4 ? strtoull(argv[4], NULL, 10) : 1;
    s.seconds = argc > 5 ? strtod(argv[5], NULL) : 60;
    s.rate = argc > 6 ? strtod(argv[6], NULL) : 0.25;
    (void)signal(SIGPIPE, SIG_IGN);
    struct worker killer;
    struct worker receiver;
    storm_begin(&s);
    run(&receiver, &s, 0, receiver_run);
    run(&killer, &s, 0, killer_run);
    rage(&s);
    account(&s);
    s.gone = true;
    (void)pthread_join(killer.thread, NULL);
    (void)pthread_join(receiver.thread, NULL);
    storm_free(&s);
    printf("  %-10s  %d%s\n", "violations", s.violations,
           s.violations == 0 ? "" : "; see the lines above");
    return s.violations == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
