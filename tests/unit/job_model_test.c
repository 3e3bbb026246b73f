/*
 * The job table against a model that knows nothing of states: a life is an attempt that is under
 * way or not, and an end or none. Random events (the seed is printed when something does not hold;
 * give it back as TEST_SEED) go to both; after each one they must agree, and the promises must
 * hold: an end is reached once, and only POST /jobs/<id>/retry, which a completed job refuses,
 * begins again.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "comfypool/core/job.h"
#include "suites.h"

enum { LIVES = 3000, EVENTS = 60 };

struct life {
    bool under_way;
    const char *end; /* NULL: none yet */
    /* What happened in it. */
    unsigned begun, given_back, ended, renewed, completed;
};

static bool assign(struct life *l)
{
    if (l->end != NULL || l->under_way) {
        return false;
    }
    l->under_way = true;
    l->begun++;
    return true;
}

static bool give_back(struct life *l)
{
    if (!l->under_way) {
        return false;
    }
    l->under_way = false;
    l->given_back++;
    return true;
}

static bool end(struct life *l, const char *how)
{
    if (l->end != NULL) {
        return false;
    }
    l->under_way = false;
    l->end = how;
    l->ended++;
    return true;
}

static bool complete(struct life *l)
{
    if (!l->under_way) {
        return false;
    }
    l->completed++;
    return end(l, "completed");
}

static bool failed(struct life *l)
{
    return end(l, "failed");
}

static bool cancel(struct life *l)
{
    return end(l, "cancelled");
}

static bool retry(struct life *l)
{
    if (l->end == NULL || strcmp(l->end, "completed") == 0) {
        return false;
    }
    l->end = NULL;
    l->renewed++;
    return true;
}

static const struct {
    const char *event;
    bool (*happen)(struct life *l);
} model[] = {
    {"assign", assign}, {"requeue", give_back}, {"complete", complete},
    {"fail", failed},   {"cancel", cancel},     {"retry", retry},
};

static bool happen(struct life *l, enum job_event e)
{
    for (size_t i = 0; i < sizeof model / sizeof *model; i++) {
        if (strcmp(model[i].event, job_event_name(e)) == 0) {
            return model[i].happen(l);
        }
    }
    ck_abort_msg("the model does not know the event %s", job_event_name(e));
    return false;
}

static const char *state_of(const struct life *l)
{
    return l->end != NULL ? l->end : l->under_way ? "running" : "queued";
}

static void promises_hold(const struct life *l, enum job_state state)
{
    ck_assert_int_eq(job_state_is_terminal(state), l->end != NULL);
    ck_assert_uint_eq(l->ended, l->renewed + (l->end != NULL ? 1 : 0));
    ck_assert_uint_le(l->given_back, l->begun);
    ck_assert_uint_le(l->completed, 1);
    ck_assert(l->completed == 0 || state == JOB_COMPLETED);
    ck_assert(l->begun > 0 || l->completed == 0);
}

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static void live(uint32_t seed, unsigned number, uint32_t *random)
{
    struct life l = {0};
    enum job_state state = JOB_QUEUED;
    for (unsigned i = 0; i < EVENTS; i++) {
        const enum job_event e = (enum job_event)(next_random(random) % JOB_EVENT_COUNT);
        const enum job_state before = state;
        const bool taken = job_transition(state, e, &state);
        ck_assert_msg(taken == happen(&l, e) && strcmp(job_state_name(state), state_of(&l)) == 0,
                      "TEST_SEED=%u, life %u, event %u: %s + %s is %s (%s), the model says %s",
                      seed, number, i, job_state_name(before), job_event_name(e),
                      job_state_name(state), taken ? "taken" : "refused", state_of(&l));
        ck_assert(taken || state == before);
        promises_hold(&l, state);
    }
}

START_TEST(random_lives_agree_with_the_model)
{
    const char *given = getenv("TEST_SEED");
    const uint32_t seed = given == NULL ? (uint32_t)time(NULL) : (uint32_t)strtoul(given, NULL, 10);
    uint32_t random = seed;
    for (unsigned i = 0; i < LIVES; i++) {
        live(seed, i, &random);
    }
}
END_TEST

Suite *job_model_suite(void)
{
    Suite *s = suite_create("job model");
    TCase *c = tcase_create("random");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, random_lives_agree_with_the_model);
    suite_add_tcase(s, c);
    return s;
}
