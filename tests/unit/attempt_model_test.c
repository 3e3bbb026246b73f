/*
 * The states of an attempt against a model that knows nothing of the table: plain facts (was it
 * sent, did the backend have it, did it run) and what may follow from which. The whole product of
 * phase, evidence and event is walked, then everything that can be reached, then the whole product
 * behind a verdict.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "comfypool/core/attempt.h"
#include "comfypool/core/retry.h"
#include "suites.h"

/* ---- the model ------------------------------------------------------------------------------- */

/* An attempt as facts. */
struct facts {
    bool sending, posted, answered, known, absent, runs, has_node, over, given_up;
};

static bool is(const char *name, const char *wanted)
{
    return strcmp(name, wanted) == 0;
}

/* False: no attempt can be so. */
static bool facts_of(const struct attempt_state *s, struct facts *ret)
{
    const char *p = attempt_phase_name(s->phase);
    const char *e = attempt_evidence_name(s->evidence);
    const bool before_post = is(p, "intent") || is(p, "sending");
    *ret = (struct facts){
        .sending = is(p, "sending"),
        .posted = !is(e, "unsent"),
        .answered = is(e, "doubtful"),
        .known = is(e, "had") || is(e, "gone"),
        .absent = is(e, "never") || is(e, "gone"),
        .runs = is(p, "started") || is(p, "running"),
        .has_node = is(p, "running"),
        .over = is(p, "ended") || is(p, "givenUp"),
        .given_up = is(p, "givenUp"),
    };
    if (ret->posted ? before_post : is(p, "posted")) {
        return false;
    }
    if (ret->runs && !ret->known) {
        return false;
    }
    return !ret->given_up || (ret->posted && !ret->absent);
}

/* Each returns false when it cannot happen to an attempt with these facts. */
static bool send(struct facts *f)
{
    const bool may = !f->posted && !f->sending && !f->over;
    f->sending = true;
    return may;
}

static bool post(struct facts *f)
{
    const bool may = !f->posted && !f->over;
    f->posted = true;
    f->sending = false;
    return may;
}

static bool doubt(struct facts *f)
{
    const bool may = f->posted && !f->answered && !f->absent && !f->over;
    f->answered = !f->known;
    return may;
}

static bool see(struct facts *f)
{
    const bool may = f->posted && !f->absent && !f->over;
    f->known = true;
    f->answered = false;
    return may;
}

/* The answer to the POST may come behind the end that the socket told. */
static bool take(struct facts *f)
{
    const bool may = f->posted && !f->answered && !f->given_up &&
                     (f->over ? f->known || !f->absent : !f->absent);
    f->known = true;
    return may;
}

static bool start(struct facts *f)
{
    const bool may = f->known && !f->absent && !f->over;
    f->runs = true;
    return may;
}

static bool node(struct facts *f)
{
    const bool may = f->runs && !f->has_node && !f->absent;
    f->has_node = true;
    return may;
}

static bool deny(struct facts *f)
{
    const bool may = (f->posted || f->sending) && !f->absent && !f->over;
    f->absent = f->posted;
    f->answered = false;
    return may;
}

static bool vanish(struct facts *f)
{
    const bool may = f->known && !f->absent && !f->over;
    f->absent = true;
    return may;
}

static bool finish(struct facts *f)
{
    const bool may = (f->posted || f->sending) && !f->over;
    f->over = true;
    f->sending = f->runs = f->has_node = false;
    return may;
}

static bool give_up(struct facts *f)
{
    const bool may = f->over && !f->given_up && f->posted && !f->absent;
    f->given_up = true;
    return may;
}

static bool find(struct facts *f)
{
    const bool may = f->given_up;
    f->given_up = f->over = f->answered = false;
    f->known = true;
    return may;
}

static const struct {
    const char *event;
    bool (*happen)(struct facts *f);
} model[] = {
    {"send", send},     {"post", post},   {"doubt", doubt},    {"accept", take},
    {"see", see},       {"start", start}, {"node", node},      {"deny", deny},
    {"vanish", vanish}, {"end", finish},  {"giveUp", give_up}, {"find", find},
};

static bool happen(struct facts *f, enum attempt_event e)
{
    for (size_t i = 0; i < sizeof model / sizeof *model; i++) {
        if (is(model[i].event, attempt_event_name(e))) {
            return model[i].happen(f);
        }
    }
    ck_abort_msg("the model does not know the event %s", attempt_event_name(e));
    return false;
}

static bool agree(const struct facts *a, const struct facts *b)
{
    return a->sending == b->sending && a->posted == b->posted && a->answered == b->answered &&
           a->known == b->known && a->absent == b->absent && a->runs == b->runs &&
           a->has_node == b->has_node && a->over == b->over && a->given_up == b->given_up;
}

/* What never happens, whatever the event. */
static void promises_hold(const struct attempt_state *from, const struct attempt_state *to,
                          enum attempt_event e)
{
    const char *event = attempt_event_name(e);
    ck_assert(!attempt_is_posted(from) || attempt_is_posted(to)); /* no POST is undone... */
    ck_assert(is(event, "post") || attempt_is_posted(from) == attempt_is_posted(to));
    ck_assert(!is(event, "post") || !attempt_is_posted(from)); /* ... nor made twice */
    ck_assert(!attempt_was_there(from) || attempt_was_there(to));
    ck_assert(!attempt_is_nowhere(from) || !attempt_is_posted(from) ||
              to->evidence == from->evidence);
    ck_assert(is(event, "find") || to->phase >= from->phase);
    ck_assert(!attempt_is_over(from) || attempt_is_over(to) || is(event, "find"));
    ck_assert(to->phase != PHASE_ENDED || from->phase == PHASE_ENDED || is(event, "end"));
    ck_assert(!attempt_is_started(to) || attempt_was_there(to));
}

static void walk(enum attempt_phase p, enum attempt_evidence v, enum attempt_event e)
{
    const struct attempt_state from = {.phase = p, .evidence = v};
    struct attempt_state to = from;
    struct facts expected;
    struct facts found;
    const bool taken = attempt_apply(&to, e);
    const bool may = facts_of(&from, &expected) && happen(&expected, e);
    ck_assert_msg(taken == may, "%s, %s + %s is %s", attempt_phase_name(p),
                  attempt_evidence_name(v), attempt_event_name(e), taken ? "taken" : "refused");
    if (!taken) {
        ck_assert(to.phase == p && to.evidence == v);
        return;
    }
    ck_assert(facts_of(&to, &found));
    ck_assert_msg(agree(&expected, &found), "%s, %s + %s becomes %s, %s", attempt_phase_name(p),
                  attempt_evidence_name(v), attempt_event_name(e), attempt_phase_name(to.phase),
                  attempt_evidence_name(to.evidence));
    promises_hold(&from, &to, e);
}

START_TEST(whole_product_agrees_with_the_model)
{
    for (int p = 0; p < PHASE_COUNT; p++) {
        for (int v = 0; v < EVIDENCE_COUNT; v++) {
            for (int e = 0; e < ATTEMPT_EVENT_COUNT; e++) {
                walk((enum attempt_phase)p, (enum attempt_evidence)v, (enum attempt_event)e);
            }
        }
    }
}
END_TEST

/* ---- what can be reached --------------------------------------------------------------------- */

static bool reached[PHASE_COUNT][EVIDENCE_COUNT];

static void reach(struct attempt_state from)
{
    if (reached[from.phase][from.evidence]) {
        return;
    }
    reached[from.phase][from.evidence] = true;
    for (int e = 0; e < ATTEMPT_EVENT_COUNT; e++) {
        struct attempt_state to = from;
        if (attempt_apply(&to, (enum attempt_event)e)) {
            reach(to);
        }
    }
}

START_TEST(just_what_can_be_is_reached)
{
    reach(attempt_state_begun());
    reach(attempt_state_adopted());
    reach(attempt_state_given_up());
    for (int p = 0; p < PHASE_COUNT; p++) {
        for (int v = 0; v < EVIDENCE_COUNT; v++) {
            const struct attempt_state s = {.phase = (enum attempt_phase)p,
                                            .evidence = (enum attempt_evidence)v};
            struct facts f;
            ck_assert_msg(reached[p][v] == facts_of(&s, &f), "%s, %s is %s",
                          attempt_phase_name(s.phase), attempt_evidence_name(s.evidence),
                          reached[p][v] ? "reached" : "never reached");
        }
    }
}
END_TEST

START_TEST(one_that_is_found_is_told_from_the_others)
{
    struct attempt_state s = attempt_state_given_up();
    s.verdict = VERDICT_COUNTED;
    ck_assert(attempt_apply(&s, ATTEMPT_EVENT_FIND));
    ck_assert_int_eq(s.origin, ORIGIN_FOUND);
    ck_assert_int_eq(s.verdict, VERDICT_NONE);
    ck_assert(attempt_apply(&s, ATTEMPT_EVENT_START));
    ck_assert_int_eq(s.origin, ORIGIN_FOUND);
}
END_TEST

/* ---- verdicts -------------------------------------------------------------------------------- */

/* One point of the product. */
struct end {
    struct attempt_state state;
    struct attempt_ending ending;
    struct job_record job;
    struct attempt_job_facts facts;
};

static bool spares(const struct attempt_ending *e)
{
    return e->probe == PROBE_SPARED || e->probe == PROBE_SICK;
}

static bool is_server_fault(const struct attempt_ending *e)
{
    return e->outcome == ATTEMPT_FAILED && e->error == ERR_SERVER_FAULT;
}

/* Which verdicts an end may have; the least in the order of what decides first. */
static const char *expected_verdict(const struct end *x)
{
    const struct attempt_ending *e = &x->ending;
    if (x->state.phase != PHASE_ENDED) {
        return "none";
    }
    if (e->outcome == ATTEMPT_COMPLETED) {
        return "completed"; /* whatever else is known */
    }
    const bool found = x->state.origin == ORIGIN_FOUND;
    const bool unseen = x->state.evidence != EVIDENCE_HAD && x->state.evidence != EVIDENCE_GONE;
    if (x->state.origin == ORIGIN_ADOPTED && unseen && e->outcome == ATTEMPT_LOST &&
        x->job.lost_by_restart + 1 <= RETRY_MAX_CUT_OFF) {
        return "cutOff";
    }
    if (e->excuse == EXCUSE_OURS) {
        return "free";
    }
    if (!found && e->outcome == ATTEMPT_REJECTED && e->excuse == EXCUSE_HERE) {
        return "elsewhere";
    }
    const bool too_many =
        x->job.faults + (is_server_fault(e) && e->fault_counts) >= RETRY_MAX_FAULTS;
    if (spares(e) && (found || !too_many)) {
        return "spared";
    }
    return found                             ? "settled"
           : is_server_fault(e)              ? "fault"
           : e->outcome == ATTEMPT_CANCELLED ? "cancelled"
                                             : "counted";
}

/* Another attempt is worth it, by the rules of core/retry.h or since this one cost nothing. */
static bool wants_another(const struct end *x, const char *verdict)
{
    return is(verdict, "cutOff") || is(verdict, "free") || is(verdict, "spared") ||
           is(verdict, "settled") || x->state.origin == ORIGIN_FOUND ||
           retry_wanted(&x->job, x->ending.outcome, x->ending.error);
}

static enum job_event expected_event(const struct end *x, const char *verdict)
{
    const struct attempt_ending *e = &x->ending;
    const bool found = x->state.origin == ORIGIN_FOUND;
    if (is(verdict, "completed")) {
        return JOB_EVENT_COMPLETE;
    }
    if (is(verdict, "elsewhere")) {
        return JOB_EVENT_REQUEUE;
    }
    const bool lost = e->outcome == ATTEMPT_LOST || e->error == ERR_BACKEND_ERROR ||
                      e->error == ERR_UPLOAD_FAILED;
    if (x->job.cancel_requested && (found || lost)) {
        return JOB_EVENT_CANCEL;
    }
    if (!found && e->outcome == ATTEMPT_CANCELLED) {
        return JOB_EVENT_CANCEL;
    }
    const bool may = !x->facts.time_is_over && !x->facts.own_error;
    return may && wants_another(x, verdict) ? JOB_EVENT_REQUEUE : JOB_EVENT_FAIL;
}

/* What it adds to the job's counters. */
static bool counts_well(const struct end *x, const struct job_record *after, const char *verdict)
{
    const struct attempt_ending *e = &x->ending;
    const bool found = x->state.origin == ORIGIN_FOUND;
    const bool dead = e->remains == REMAINS_DEAD || e->remains == REMAINS_HUNG;
    const bool costs =
        is(verdict, "completed") || is(verdict, "cancelled") || is(verdict, "counted");
    const bool oom = e->outcome == ATTEMPT_FAILED && e->error == ERR_OUT_OF_MEMORY;
    const bool fault = is_server_fault(e) && e->fault_counts;
    return after->left_dead - x->job.left_dead == dead &&
           after->free_attempts - x->job.free_attempts == (!found && !costs) &&
           after->lost_by_restart - x->job.lost_by_restart == is(verdict, "cutOff") &&
           after->faults - x->job.faults == (!found && fault) &&
           after->oom - x->job.oom == (!found && oom) &&
           after->lost_by_restart <= RETRY_MAX_CUT_OFF;
}

/* Check's own assertions write to a pipe each: too slow for millions. */
static void judge(struct end *x)
{
    const enum attempt_verdict v = attempt_judge(&x->state, &x->ending, &x->job);
    const char *expected = expected_verdict(x);
    if (!is(attempt_verdict_name(v), expected)) {
        ck_abort_msg("%s, %s, origin %d: %s is %s, not %s", attempt_phase_name(x->state.phase),
                     attempt_evidence_name(x->state.evidence), (int)x->state.origin,
                     attempt_outcome_name(x->ending.outcome), attempt_verdict_name(v), expected);
    }
    if (v == VERDICT_NONE) {
        return;
    }
    struct attempt_state state = x->state;
    state.verdict = v;
    struct job_record after = x->job;
    attempt_count(&state, &x->ending, &after);
    struct end counted = *x;
    counted.job = after;
    const enum job_event e = attempt_decide(&state, &x->ending, &after, x->facts);
    if (!counts_well(x, &after, expected) || e != expected_event(&counted, expected) ||
        (e == JOB_EVENT_COMPLETE) != (x->ending.outcome == ATTEMPT_COMPLETED)) {
        ck_abort_msg("%s: %s, error %s: the job's event is %s, or its counters are wrong", expected,
                     attempt_outcome_name(x->ending.outcome), err_code(x->ending.error),
                     job_event_name(e));
    }
}

static const enum err errors[] = {
    ERR_NONE,         ERR_LOST,          ERR_BACKEND_ERROR, ERR_UPLOAD_FAILED,
    ERR_SERVER_FAULT, ERR_OUT_OF_MEMORY, ERR_NODE_FAILED,   ERR_START_TIMEOUT,
    ERR_NODE_TIMEOUT, ERR_JOB_TIMEOUT,   ERR_INTERRUPTED,   ERR_BACKEND_REFUSED,
};

enum { ERRORS = sizeof errors / sizeof *errors };

static const struct job_record jobs[] = {
    {.attempts = 1},
    {.attempts = 1, .cancel_requested = true},
    {.attempts = 3},
    {.attempts = 6, .free_attempts = 5, .lost_by_restart = RETRY_MAX_CUT_OFF},
    {.attempts = 5, .free_attempts = 4, .faults = RETRY_MAX_FAULTS - 1},
    {.attempts = 6, .free_attempts = 5, .faults = RETRY_MAX_FAULTS},
    {.attempts = 2, .oom = RETRY_MAX_OOM, .left_dead = RETRY_MAX_LEFT_DEAD},
};

/* The digits of n in the bases of what an ending is made of. */
static struct attempt_ending ending_of(unsigned n)
{
    struct attempt_ending e = {.outcome = (enum attempt_outcome)(n % ATTEMPT_OUTCOME_COUNT)};
    n /= ATTEMPT_OUTCOME_COUNT;
    e.error = errors[n % ERRORS];
    n /= ERRORS;
    e.excuse = (enum attempt_excuse)(n % 3);
    n /= 3;
    e.remains = (enum attempt_remains)(n % 4);
    n /= 4;
    e.probe = (enum attempt_probe)(n % 4);
    n /= 4;
    e.fault_counts = n % 2 == 1;
    return e;
}

enum { ENDINGS = ATTEMPT_OUTCOME_COUNT * ERRORS * 3 * 4 * 4 * 2 };

static void judge_all_of(struct attempt_state s, const struct job_policy *policy)
{
    for (size_t j = 0; j < sizeof jobs / sizeof *jobs; j++) {
        for (unsigned n = 0; n < ENDINGS * 4; n++) {
            struct end x = {.state = s,
                            .ending = ending_of(n / 4),
                            .job = jobs[j],
                            .facts = {.time_is_over = n % 2 == 1, .own_error = n / 2 % 2 == 1}};
            x.job.policy = *policy;
            judge(&x);
        }
    }
}

/* One phase each. */
START_TEST(whole_product_of_verdicts)
{
    const struct job_policy policy = job_policy_default();
    for (int v = 0; v < EVIDENCE_COUNT; v++) {
        for (int o = ORIGIN_BEGUN; o <= ORIGIN_FOUND; o++) {
            judge_all_of((struct attempt_state){.phase = (enum attempt_phase)_i,
                                                .evidence = (enum attempt_evidence)v,
                                                .origin = (enum attempt_origin)o},
                         &policy);
        }
    }
}
END_TEST

START_TEST(an_orphan_counts_as_lost)
{
    const struct attempt_state s = attempt_state_orphaned();
    const struct attempt_ending e = {.outcome = ATTEMPT_LOST, .error = ERR_LOST};
    struct job_record j = {.attempts = 1, .policy = job_policy_default()};
    const struct attempt_job_facts none = {false, false};
    ck_assert(attempt_is_nowhere(&s));
    ck_assert(!attempt_verdict_is_at_once(s.verdict));
    ck_assert_int_eq(attempt_decide(&s, &e, &j, none), JOB_EVENT_REQUEUE);
    j.attempts = 3;
    ck_assert_int_eq(attempt_decide(&s, &e, &j, none), JOB_EVENT_FAIL);
    j.cancel_requested = true;
    ck_assert_int_eq(attempt_decide(&s, &e, &j, none), JOB_EVENT_CANCEL);
}
END_TEST

Suite *attempt_model_suite(void)
{
    Suite *s = suite_create("attempt model");
    TCase *c = tcase_create("states");
    tcase_add_test(c, whole_product_agrees_with_the_model);
    tcase_add_test(c, just_what_can_be_is_reached);
    tcase_add_test(c, one_that_is_found_is_told_from_the_others);
    suite_add_tcase(s, c);
    TCase *v = tcase_create("verdicts");
    tcase_set_timeout(v, 120);
    tcase_add_loop_test(v, whole_product_of_verdicts, 0, PHASE_COUNT);
    tcase_add_test(v, an_orphan_counts_as_lost);
    suite_add_tcase(s, v);
    return s;
}
