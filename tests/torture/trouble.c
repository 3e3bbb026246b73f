/*
 * Those who make trouble beside the faults of the simulators' own storm: one kills the daemon every
 * few seconds (or stops it) and starts it again, or freezes it for a while, one crashes simulators
 * and cuts their sockets, and also restarts a server whose worker is dead; an operator drains
 * backends and pauses the queue.
 */
#include <stdio.h>
#include <string.h>

#include "torture.h"

void *killer_run(void *arg)
{
    struct worker *w = arg;
    struct storm *s = w->storm;
    struct dice d = dice_of(s->seed, 1);
    while (!s->calm) {
        const double until = now_s() + dice_between(&d, 500, 6000) / 1000.0;
        while (now_s() < until && !s->calm) {
            sleep_ms(20);
        }
        if (s->calm) {
            break;
        }
        if (dice_chance(&d, 0.3)) {
            daemon_freeze(s, dice_between(&d, 300, 3000));
            continue;
        }
        if (dice_chance(&d, 0.25)) {
            daemon_end(s);
            s->stops++;
        } else {
            daemon_kill(s);
        }
        sleep_ms(dice_chance(&d, 0.7) ? 0 : dice_between(&d, 100, 2000));
        daemon_begin(s);
    }
    while (!s->over) {
        daemon_must_live(s);
        sleep_ms(100);
    }
    s->aside = true;
    while (!s->gone) { /* the daemon dies with the thread that started it */
        sleep_ms(50);
    }
    return NULL;
}

static void tell(struct storm *s, unsigned i, const char *body)
{
    struct reply r;
    (void)ask(s->sims[i].program.port, "POST", "/__sim", NULL, body, 2, &r);
    reply_done(&r);
}

/* A worker that has been dead for some looks is seen by somebody, who restarts the server. */
static void look_after(struct storm *s, struct dice *d, unsigned i, int dead_looks[SIMS])
{
    struct reply r;
    if (ask(s->sims[i].program.port, "GET", "/__sim", NULL, NULL, 2, &r) && r.json != NULL) {
        const bool dead = json_is_true(json_object_get(r.json, "dead"));
        dead_looks[i] = dead ? dead_looks[i] + 1 : 0;
        if (dead_looks[i] > 20) {
            char body[64];
            (void)snprintf(body, sizeof body, "{\"crash\":%d}", dice_between(d, 50, 500));
            tell(s, i, body);
            s->revived++;
            dead_looks[i] = 0;
        }
    }
    reply_done(&r);
}

static void strike(struct storm *s, struct dice *d)
{
    char body[64];
    const unsigned i = (unsigned)dice_between(d, 0, SIMS - 1);
    if (dice_chance(d, 0.5)) {
        tell(s, (unsigned)dice_between(d, 0, SIMS - 1), "{\"emptied\":true}");
    }
    if (dice_chance(d, 0.5)) {
        (void)snprintf(body, sizeof body, "{\"crash\":%d}", dice_between(d, 20, 2500));
        s->crashes++;
    } else {
        (void)snprintf(body, sizeof body, "{\"drop\":true}");
        s->drops++;
    }
    tell(s, i, body);
}

void *breaker_run(void *arg)
{
    struct worker *w = arg;
    struct storm *s = w->storm;
    struct dice d = dice_of(s->seed, 2);
    int dead_looks[SIMS] = {0};
    double next = now_s() + 2;
    while (!s->over) {
        for (unsigned i = 0; i < SIMS; i++) {
            look_after(s, &d, i, dead_looks);
            if (s->calm) {
                tell(s, i, "{\"fault\":null}"); /* again and again: it may have been away */
            }
        }
        if (!s->calm && now_s() > next) {
            strike(s, &d);
            next = now_s() + dice_between(&d, 800, 5000) / 1000.0;
        }
        sleep_ms(200);
    }
    return NULL;
}

/* ---- the operator ---------------------------------------------------------------------------- */

static const struct {
    const char *path, *back;
} operations[] = {
    {"/backends/s0/drain", "/backends/s0/resume"},
    {"/backends/s1/quarantine", "/backends/s1/resume"},
    {"/backends/s2/drain", "/backends/s2/resume"},
    {"/queue/pause", "/queue/resume"},
    {"/backends/s1/drain", "/backends/s1/resume"},
};
enum { OPERATIONS = sizeof operations / sizeof *operations };

/* Until it is answered: the daemon may be away. */
static void operate(struct storm *s, const char *path)
{
    bool answered = false;
    while (!answered && !s->over) {
        struct reply r;
        answered = ask_daemon(s, "POST", path, NULL, NULL, 5, &r) && r.status != 503;
        if (answered && r.status != 200) {
            violation(s, "POST %s answered %ld", path, r.status);
        }
        reply_done(&r);
        if (!answered) {
            sleep_ms(100);
        }
    }
    s->operations++;
}

void *operator_run(void *arg)
{
    struct worker *w = arg;
    struct storm *s = w->storm;
    struct dice d = dice_of(s->seed, 3);
    while (!s->calm) {
        const int i = dice_between(&d, 0, OPERATIONS - 1);
        operate(s, operations[i].path);
        sleep_ms(dice_between(&d, 50, 1200));
        operate(s, operations[i].back);
        sleep_ms(dice_between(&d, 500, 2500));
    }
    return NULL;
}
