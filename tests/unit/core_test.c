/* core: the job table, the scheduler, retries, the timeline, progress. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "comfypool/core/credentials.h"
#include "comfypool/core/event.h"
#include "comfypool/core/format.h"
#include "comfypool/core/frame.h"
#include "comfypool/core/summary_group.h"
#include "comfypool/core/job.h"
#include "comfypool/core/progress.h"
#include "comfypool/core/breaker.h"
#include "comfypool/core/retry.h"
#include "comfypool/core/scheduler.h"
#include "comfypool/core/timeline.h"
#include "comfypool/core/verdict.h"
#include "comfypool/core/webhook.h"
#include "suites.h"

/* ---- the job table --------------------------------------------------------------------------- */

static const struct {
    enum job_state from;
    enum job_event event;
    enum job_state to;
} allowed[] = {
    {JOB_QUEUED, JOB_EVENT_ASSIGN, JOB_RUNNING},      {JOB_QUEUED, JOB_EVENT_FAIL, JOB_FAILED},
    {JOB_QUEUED, JOB_EVENT_CANCEL, JOB_CANCELLED},    {JOB_RUNNING, JOB_EVENT_REQUEUE, JOB_QUEUED},
    {JOB_RUNNING, JOB_EVENT_COMPLETE, JOB_COMPLETED}, {JOB_RUNNING, JOB_EVENT_FAIL, JOB_FAILED},
    {JOB_RUNNING, JOB_EVENT_CANCEL, JOB_CANCELLED},   {JOB_FAILED, JOB_EVENT_RETRY, JOB_QUEUED},
    {JOB_CANCELLED, JOB_EVENT_RETRY, JOB_QUEUED},
};

START_TEST(table_holds_over_the_whole_product)
{
    size_t found = 0;
    for (int s = 0; s < JOB_STATE_COUNT; s++) {
        for (int e = 0; e < JOB_EVENT_COUNT; e++) {
            enum job_state to = JOB_STATE_COUNT;
            const bool ok = job_transition((enum job_state)s, (enum job_event)e, &to);
            bool want = false;
            for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
                if ((int)allowed[i].from == s && (int)allowed[i].event == e) {
                    want = true;
                    ck_assert_int_eq(to, allowed[i].to);
                }
            }
            ck_assert_msg(ok == want, "%s + %s", job_state_name((enum job_state)s),
                          job_event_name((enum job_event)e));
            ck_assert(ok || to == JOB_STATE_COUNT);
            found += ok;
        }
    }
    ck_assert_uint_eq(found, sizeof allowed / sizeof *allowed);
}
END_TEST

START_TEST(names_come_back)
{
    for (int s = 0; s < JOB_STATE_COUNT; s++) {
        ck_assert_int_eq(job_state_from_name(str_of(job_state_name((enum job_state)s))), s);
    }
    ck_assert_int_eq(job_state_from_name(STR("paused")), JOB_STATE_COUNT);
    for (int o = 1; o < ATTEMPT_OUTCOME_COUNT; o++) {
        ck_assert_int_eq(
            attempt_outcome_from_name(str_of(attempt_outcome_name((enum attempt_outcome)o))), o);
    }
    ck_assert(job_state_is_terminal(JOB_CANCELLED) && !job_state_is_terminal(JOB_RUNNING));
}
END_TEST

/* ---- what is remembered of pairs ------------------------------------------------------------- */

static const struct breaker_limits limits = {
    .failures = 3, .open = {60000000}, .remembered = {600000000}};

static struct mono_us at_s(int64_t s)
{
    return (struct mono_us){1000000000 + s * 1000000};
}

START_TEST(a_refusal_is_remembered_for_a_while)
{
    struct breaker m;
    breaker_init(&m, &limits);
    ck_assert(!breaker_knows(&m, STR("h")));
    breaker_refused(&m, STR("h"), 1, at_s(0), "no such model");
    ck_assert(breaker_knows(&m, STR("h")) && !breaker_knows(&m, STR("g")));
    const struct breaker_view v = breaker_view(&m, STR("h"), 1, at_s(599));
    ck_assert(v.refused && !v.open);
    ck_assert_str_eq(v.reason, "no such model");
    ck_assert(!breaker_view(&m, STR("h"), 2, at_s(1)).refused);
    ck_assert(!breaker_view(&m, STR("h"), 1, at_s(600)).refused);
    breaker_refused(&m, STR("g"), 1, at_s(0), "again");
    breaker_refused(&m, STR("g"), 2, at_s(0), "again");
    breaker_forget_refusals(&m, 1); /* it restarted */
    ck_assert(!breaker_knows(&m, STR("h")) && breaker_knows(&m, STR("g")));
    breaker_forget_backend(&m, 2);
    ck_assert(!breaker_knows(&m, STR("g")));
    breaker_done(&m);
}
END_TEST

START_TEST(the_breaker_opens_after_failures_in_a_row)
{
    struct breaker m;
    struct mono_us until = {0};
    breaker_init(&m, &limits);
    ck_assert(!breaker_failed(&m, STR("h"), 1, at_s(0), &until));
    ck_assert(!breaker_failed(&m, STR("h"), 1, at_s(1), &until));
    breaker_worked(&m, STR("h"), 1); /* not in a row */
    ck_assert(!breaker_knows(&m, STR("h")));
    for (int i = 0; i < 2; i++) {
        ck_assert(!breaker_failed(&m, STR("h"), 1, at_s(i), &until));
        ck_assert(!breaker_failed(&m, STR("h"), 2, at_s(i), &until));
    }
    ck_assert(!breaker_next_close(&m, at_s(2), &until));
    ck_assert(breaker_failed(&m, STR("h"), 1, at_s(2), &until));
    ck_assert_int_eq(until.us, at_s(62).us);
    ck_assert(breaker_view(&m, STR("h"), 1, at_s(61)).open);
    ck_assert(!breaker_view(&m, STR("h"), 2, at_s(61)).open);
    ck_assert(!breaker_view(&m, STR("h"), 1, at_s(62)).open);
    ck_assert(breaker_next_close(&m, at_s(3), &until) && until.us == at_s(62).us);
    ck_assert(!breaker_next_close(&m, at_s(62), &until));
    /* It was tried again, and failed again: one failure is enough now. */
    ck_assert(!breaker_view(&m, STR("h"), 1, at_s(61)).trying);
    ck_assert(breaker_view(&m, STR("h"), 1, at_s(62)).trying);
    ck_assert(breaker_failed(&m, STR("h"), 1, at_s(70), &until) && until.us == at_s(130).us);
    breaker_worked(&m, STR("h"), 1);
    ck_assert(!breaker_view(&m, STR("h"), 1, at_s(131)).trying);
    breaker_done(&m);
}
END_TEST

START_TEST(a_hold_ends_when_it_is_released)
{
    struct breaker m;
    struct mono_us until = {0};
    breaker_init(&m, &limits);
    breaker_release(&m, STR("h"), 1); /* nothing to release */
    breaker_hold(&m, STR("h"), 1, at_s(60));
    ck_assert(breaker_view(&m, STR("h"), 1, at_s(59)).open);
    ck_assert(!breaker_view(&m, STR("h"), 1, at_s(60)).open);
    ck_assert(!breaker_view(&m, STR("h"), 1, at_s(60)).trying);
    ck_assert(breaker_next_close(&m, at_s(1), &until) && until.us == at_s(60).us);
    breaker_release(&m, STR("h"), 1);
    ck_assert(!breaker_knows(&m, STR("h")));
    for (int i = 0; i < 3; i++) {
        (void)breaker_failed(&m, STR("h"), 1, at_s(0), &until);
    }
    breaker_release(&m, STR("h"), 1); /* it is open by failures of its own */
    ck_assert(breaker_view(&m, STR("h"), 1, at_s(1)).open);
    breaker_forgive(&m, STR("h"), 1);
    ck_assert(!breaker_view(&m, STR("h"), 1, at_s(1)).open);
    breaker_forgive(&m, STR("h"), 1);
    breaker_forgive(&m, STR("h"), 1);
    ck_assert(!breaker_knows(&m, STR("h")));
    breaker_forgive(&m, STR("h"), 1); /* nothing to forgive */
    for (int i = 0; i < 3; i++) {
        (void)breaker_failed(&m, STR("h"), 1, at_s(0), &until);
    }
    breaker_try_again(&m, 2, true); /* another one */
    ck_assert(breaker_view(&m, STR("h"), 1, at_s(1)).open);
    breaker_try_again(&m, 1, false);
    ck_assert(!breaker_view(&m, STR("h"), 1, at_s(1)).open);
    ck_assert(breaker_view(&m, STR("h"), 1, at_s(1)).trying);
    breaker_try_again(&m, 1, true);
    ck_assert(!breaker_knows(&m, STR("h")));
    breaker_done(&m);
}
END_TEST

START_TEST(the_oldest_workflows_are_forgotten)
{
    struct breaker m;
    char hash[32];
    breaker_init(&m, &limits);
    breaker_poisoned(&m, STR("first"));
    for (int i = 0; i < ABILITY_MAX + 10; i++) {
        (void)snprintf(hash, sizeof hash, "h%d", i);
        breaker_refused(&m, str_of(hash), 1, at_s(0), "no");
    }
    ck_assert_uint_eq(m.by_hash.len, ABILITY_MAX);
    ck_assert(!breaker_knows(&m, STR("h0")) && breaker_knows(&m, str_of(hash)));
    breaker_poisoned(&m, str_of(hash));
    const void *at = NULL;
    ck_assert_str_eq(breaker_next_poison(&m, &at), hash);
    ck_assert_ptr_null(breaker_next_poison(&m, &at));
    breaker_done(&m);
}
END_TEST

/* ---- verdicts -------------------------------------------------------------------------------- */

static const char chain_text[] =
    "{\"1\":{\"class_type\":\"Loader\",\"inputs\":{\"ckpt\":\"x\"}},"
    "\"2\":{\"class_type\":\"Sampler\",\"inputs\":{\"model\":[\"1\",0]}},"
    "\"3\":{\"class_type\":\"Save\",\"inputs\":{\"images\":[\"2\",0]}},"
    "\"4\":{\"class_type\":\"Other\",\"inputs\":{\"a\":[\"5\",0]}},"
    "\"5\":{\"class_type\":\"Loop\",\"inputs\":{\"a\":[\"4\",0],\"b\":[\"1\",0]}},"
    "\"6\":{\"class_type\":\"Lost\",\"inputs\":{\"a\":[\"77\",0]}}}";

#define PROMPT_OUTPUTS "prompt_outputs_failed_validation"

static const struct {
    const char *name;
    const char *type;
    const char *message;
    struct verdict_error errors[3];
    size_t len;
    bool elsewhere;
} verdicts[] = {
    {"a model that is not there",
     PROMPT_OUTPUTS,
     "",
     {{STR_INIT("1"), STR_INIT("value_not_in_list")}},
     1,
     true},
    {"a file that is not there",
     PROMPT_OUTPUTS,
     "",
     {{STR_INIT("1"), STR_INIT("custom_validation_failed")}},
     1,
     true},
    {"an input is missing",
     PROMPT_OUTPUTS,
     "",
     {{STR_INIT("2"), STR_INIT("required_input_missing")}},
     1,
     false},
    {"both on one node: the one may come of the other",
     PROMPT_OUTPUTS,
     "",
     {{STR_INIT("1"), STR_INIT("value_not_in_list")},
      {STR_INIT("1"), STR_INIT("invalid_input_type")}},
     2,
     true},
    {"downstream of it",
     PROMPT_OUTPUTS,
     "",
     {{STR_INIT("3"), STR_INIT("return_type_mismatch")},
      {STR_INIT("1"), STR_INIT("value_not_in_list")}},
     2,
     true},
    {"upstream of it",
     PROMPT_OUTPUTS,
     "",
     {{STR_INIT("1"), STR_INIT("required_input_missing")},
      {STR_INIT("3"), STR_INIT("value_not_in_list")}},
     2,
     false},
    {"around a cycle",
     PROMPT_OUTPUTS,
     "",
     {{STR_INIT("4"), STR_INIT("bad_linked_input")},
      {STR_INIT("1"), STR_INIT("value_not_in_list")}},
     2,
     true},
    {"a node that nobody knows",
     PROMPT_OUTPUTS,
     "",
     {{STR_INIT("99"), STR_INIT("bad_linked_input")},
      {STR_INIT("1"), STR_INIT("value_not_in_list")}},
     2,
     false},
    {"an exception",
     PROMPT_OUTPUTS,
     "",
     {{STR_INIT("2"), STR_INIT("exception_during_validation")}},
     1,
     true},
    {"an exception over a link to nowhere",
     PROMPT_OUTPUTS,
     "",
     {{STR_INIT("6"), STR_INIT("exception_during_validation")}},
     1,
     false},
    {"an exception in an inner node",
     PROMPT_OUTPUTS,
     "",
     {{STR_INIT("2"), STR_INIT("exception_during_inner_validation")}},
     1,
     true},
    {"an exception in an inner node over a link to nowhere",
     PROMPT_OUTPUTS,
     "",
     {{STR_INIT("6"), STR_INIT("exception_during_inner_validation")}},
     1,
     false},
    {"an input that another version may take",
     PROMPT_OUTPUTS,
     "",
     {{STR_INIT("2"), STR_INIT("invalid_dynamic_input")}},
     1,
     true},
    {"an input that another version may take, over a link to nowhere",
     PROMPT_OUTPUTS,
     "",
     {{STR_INIT("6"), STR_INIT("invalid_dynamic_input")},
      {STR_INIT("6"), STR_INIT("exception_during_inner_validation")}},
     2,
     true},
    {"0.28: an unknown class",
     "missing_node_type",
     "Node type not found",
     {{STR_INIT(""), STR_INIT("")}},
     0,
     true},
    {"0.3: an unknown class",
     "invalid_prompt",
     "Cannot execute because node X does not exist.: Node ID '#1'",
     {{STR_INIT(""), STR_INIT("")}},
     0,
     true},
    {"0.3: no class",
     "invalid_prompt",
     "Cannot execute because a node is missing the class_type property.",
     {{STR_INIT(""), STR_INIT("")}},
     0,
     false},
    {"no outputs",
     "prompt_no_outputs",
     "Prompt has no outputs",
     {{STR_INIT(""), STR_INIT("")}},
     0,
     false},
    {"0.3: a cycle", PROMPT_OUTPUTS, "", {{STR_INIT(""), STR_INIT("")}}, 0, false},
    {"nothing was said", "", "", {{STR_INIT(""), STR_INIT("")}}, 0, false},
};

START_TEST(verdicts_are_told_apart)
{
    struct workflow *w = NULL;
    struct workflow_problem problem;
    ck_assert(workflow_parse(str_of(chain_text), &w, &problem));
    ck_assert_msg(verdict_may_run_elsewhere(w, str_of(verdicts[_i].type),
                                            str_of(verdicts[_i].message), verdicts[_i].errors,
                                            verdicts[_i].len) == verdicts[_i].elsewhere,
                  "%s", verdicts[_i].name);
    workflow_free(w);
}
END_TEST

/* ---- the scheduler --------------------------------------------------------------------------- */

START_TEST(least_loaded_by_weight_comes_first)
{
    struct scheduler s;
    struct slot a, b, c;
    scheduler_init(&s);
    slot_init(&a, 1, 1);
    slot_init(&b, 1, 1);
    slot_init(&c, 3, 4);
    ck_assert_ptr_null(scheduler_first(&s));
    scheduler_set_up(&s, &a, true);
    scheduler_set_up(&s, &b, true);
    ck_assert_ptr_eq(scheduler_first(&s), &a);
    scheduler_take(&s, &a);
    ck_assert_ptr_eq(scheduler_first(&s), &b);
    scheduler_take(&s, &b);
    ck_assert_ptr_null(scheduler_first(&s));
    /* Weight 3 with room for 4: it takes three before it is as loaded as one with one. */
    scheduler_release(&s, &a);
    scheduler_set_up(&s, &c, true);
    for (int i = 0; i < 2; i++) {
        ck_assert_ptr_eq(scheduler_first(&s), &c);
        scheduler_take(&s, &c);
    }
    scheduler_take(&s, &c);
    ck_assert_ptr_eq(scheduler_first(&s), &a);
    scheduler_take(&s, &a);
    ck_assert_ptr_eq(scheduler_first(&s), &c);
    scheduler_take(&s, &c);
    ck_assert_ptr_null(scheduler_first(&s));
    scheduler_set_up(&s, &c, false);
    scheduler_release(&s, &c);
    ck_assert_ptr_null(scheduler_first(&s));
    scheduler_set_up(&s, &c, true);
    ck_assert_ptr_eq(scheduler_first(&s), &c);
    scheduler_done(&s);
}
END_TEST

START_TEST(equals_take_turns)
{
    struct scheduler s;
    struct slot slots[3];
    scheduler_init(&s);
    for (int i = 0; i < 3; i++) {
        slot_init(&slots[i], 1, 1);
        scheduler_set_up(&s, &slots[i], true);
    }
    struct slot *taken[9];
    for (int i = 0; i < 9; i++) {
        taken[i] = scheduler_first(&s);
        scheduler_take(&s, taken[i]);
        scheduler_release(&s, taken[i]);
        ck_assert(i < 1 || taken[i] != taken[i - 1]);
        ck_assert(i < 2 || taken[i] != taken[i - 2]);
        ck_assert(i < 3 || taken[i] == taken[i - 3]);
    }
    scheduler_done(&s);
}
END_TEST

/* ---- retries --------------------------------------------------------------------------------- */

enum {
    DEFAULT_ON = 1 << RETRY_TRANSIENT | 1 << RETRY_LOST | 1 << RETRY_OUT_OF_MEMORY |
                 1 << RETRY_TIMEOUT | 1 << RETRY_SERVER_FAULT
};

static const struct {
    const char *name;
    enum attempt_outcome outcome;
    enum err error;
    struct job_record job; /* its counters and policy */
    bool wanted;
} retries[] = {
#define JOB(...)                                                                                   \
    {                                                                                              \
        .policy = {.max_attempts = 3, .retry_on = DEFAULT_ON}, __VA_ARGS__                         \
    }
    {"lost", ATTEMPT_LOST, ERR_LOST, JOB(.attempts = 1), true},
    {"lost, the last one", ATTEMPT_LOST, ERR_LOST, JOB(.attempts = 3), false},
    {"lost, one was free", ATTEMPT_LOST, ERR_LOST, JOB(.attempts = 3, .free_attempts = 1), true},
    {"lost, told to stop", ATTEMPT_LOST, ERR_LOST, JOB(.attempts = 1, .cancel_requested = true),
     false},
    {"lost, and it was its second backend", ATTEMPT_LOST, ERR_LOST,
     JOB(.attempts = 2, .left_dead = 2), false},
    {"500", ATTEMPT_FAILED, ERR_BACKEND_ERROR, JOB(.attempts = 1), true},
    {"out of memory", ATTEMPT_FAILED, ERR_OUT_OF_MEMORY, JOB(.attempts = 1, .oom = 1), true},
    {"out of memory again", ATTEMPT_FAILED, ERR_OUT_OF_MEMORY, JOB(.attempts = 2, .oom = 2), false},
    {"a fault of its server", ATTEMPT_FAILED, ERR_SERVER_FAULT,
     JOB(.attempts = 1, .free_attempts = 1, .faults = 1), true},
    {"a fault of its server, a fourth time", ATTEMPT_FAILED, ERR_SERVER_FAULT,
     JOB(.attempts = 4, .free_attempts = 4, .faults = 4), true},
    {"the fifth fault of a server", ATTEMPT_FAILED, ERR_SERVER_FAULT,
     JOB(.attempts = 5, .free_attempts = 5, .faults = 5), false},
    {"no start", ATTEMPT_TIMED_OUT, ERR_START_TIMEOUT, JOB(.attempts = 1), true},
    {"no sign of a node", ATTEMPT_TIMED_OUT, ERR_NODE_TIMEOUT, JOB(.attempts = 1), true},
    {"the job took too long", ATTEMPT_TIMED_OUT, ERR_JOB_TIMEOUT, JOB(.attempts = 1), false},
    {"a node failed", ATTEMPT_FAILED, ERR_NODE_FAILED, JOB(.attempts = 1), false},
    {"refused", ATTEMPT_REJECTED, ERR_WORKFLOW_INVALID, JOB(.attempts = 1), false},
    {"interrupted", ATTEMPT_CANCELLED, ERR_INTERRUPTED, JOB(.attempts = 1), false},
    {"completed", ATTEMPT_COMPLETED, ERR_NONE, JOB(.attempts = 1), false},
#undef JOB
    {"a node failed, and that was asked for",
     ATTEMPT_FAILED,
     ERR_NODE_FAILED,
     {.policy = {.max_attempts = 2, .retry_on = 1u << RETRY_NODE_ERROR}, .attempts = 1},
     true},
    {"nothing is tried again",
     ATTEMPT_LOST,
     ERR_LOST,
     {.policy = {.max_attempts = 3, .retry_on = 0}, .attempts = 1},
     false},
};

START_TEST(retries_are_for_what_passes)
{
    ck_assert_msg(retry_wanted(&retries[_i].job, retries[_i].outcome, retries[_i].error) ==
                      retries[_i].wanted,
                  "%s", retries[_i].name);
}
END_TEST

START_TEST(policies_have_the_defaults_of_the_table)
{
    const struct job_policy p = job_policy_default();
    ck_assert_int_eq(p.max_attempts, 3);
    ck_assert_int_eq(p.start_timeout_ms, 60000);
    ck_assert_int_eq(p.job_timeout_ms, 0);
    ck_assert_uint_eq(p.retry_on, DEFAULT_ON);
    for (int i = 0; i < RETRY_CLASS_COUNT; i++) {
        ck_assert_int_eq(retry_class_from_name(str_of(retry_class_name((enum retry_class)i))), i);
    }
    ck_assert_int_eq(retry_class_from_name(STR("sometimes")), RETRY_CLASS_COUNT);
}
END_TEST

START_TEST(delays_double_within_bounds)
{
    const struct dur_us first = dur_ms(1000);
    ck_assert_int_eq(retry_delay(first, 1, 0).us, 500000);
    ck_assert_int_eq(retry_delay(first, 1, UINT32_MAX).us, 1500000);
    ck_assert_int_eq(retry_delay(first, 3, 0).us, 2000000);
    ck_assert_int_eq(retry_delay(first, 60, 0).us, (int64_t)150 * 1000000);
    ck_assert_int_eq(retry_delay((struct dur_us){0}, 3, UINT32_MAX).us, 0);
}
END_TEST

/* ---- the timeline ---------------------------------------------------------------------------- */

/* The server's clock is 5 s behind ours; times in ms since the anchor. */
enum { BEHIND_MS = 5000 };

static const struct {
    const char *name;
    int64_t start_received, start_stamp, end_received, end_stamp; /* 0: none */
    int64_t offset;                                               /* 0: not known */
    int64_t started, ended;
} lines[] = {
    {"punctual", 100, 99, 300, 299, 1, 100, 300},
    {"the end came 150 ms late", 100, 99, 450, 299, 1, 100, 300},
    {"the start came late too", 250, 99, 450, 299, 1, 100, 300},
    {"no stamps", 100, 0, 300, 0, 1, 100, 300},
    {"the server's clock jumped ahead", 100, 99, 300, 9000, 1, 100, 300},
    {"the server's clock jumped back", 100, 99, 300, -9000, 1, 50, 50},
};

START_TEST(ends_are_the_servers_word)
{
    const struct time_anchor anchor = {.mono = {1000000000}, .wall = {1700000000000000}};
    const int64_t epoch_ms = anchor.wall.us / 1000 - BEHIND_MS;
    struct timeline t;
    timeline_init(&t, anchor, anchor.mono);
    t.intent = (struct time_mark){.set = true, .received = mono_add(anchor.mono, dur_ms(50))};
    t.clock.known = true;
    t.clock.offset_us = anchor.mono.us - (epoch_ms * 1000) + lines[_i].offset * 1000;
    t.clock.end_offset_us = t.clock.offset_us;
    (void)timeline_start(&t, mono_add(anchor.mono, dur_ms(lines[_i].start_received)),
                         lines[_i].start_stamp == 0 ? 0 : epoch_ms + lines[_i].start_stamp);
    timeline_end(&t, mono_add(anchor.mono, dur_ms(lines[_i].end_received)),
                 lines[_i].end_stamp == 0 ? 0 : epoch_ms + lines[_i].end_stamp);
    const struct timeline_points p = timeline_points(&t);
    ck_assert_msg(mono_diff(p.started, anchor.mono).us == lines[_i].started * 1000,
                  "%s: start %lld", lines[_i].name,
                  (long long)mono_diff(p.started, anchor.mono).us);
    ck_assert_msg(mono_diff(p.ended, anchor.mono).us == lines[_i].ended * 1000, "%s: end %lld",
                  lines[_i].name, (long long)mono_diff(p.ended, anchor.mono).us);
}
END_TEST

static const struct {
    enum frame_type type;
    const char *error_type;
    bool proves;
} firsts[] = {
    {FRAME_STATUS, "", false},
    {FRAME_PROGRESS, "", false}, /* of a thread that went on */
    {FRAME_MONITOR, "", false},
    {FRAME_CACHED, "", true},
    {FRAME_EXECUTING, "", true},
    {FRAME_STATE, "", true},
    {FRAME_EXECUTED, "", true},
    {FRAME_SUCCESS, "", true},
    {FRAME_INTERRUPTED, "", true},
    {FRAME_ERROR, "ValueError", true},
    {FRAME_ERROR, "ExecutionBlocked", false},
};

/* Which first frame of a prompt tells that its execution_start was lost. */
START_TEST(a_lost_start_is_proved)
{
    const struct frame f = {.type = firsts[_i].type, .error_type = str_of(firsts[_i].error_type)};
    ck_assert_int_eq(frame_proves_start(&f), firsts[_i].proves);
}
END_TEST

START_TEST(never_started_has_only_a_queue)
{
    const struct time_anchor anchor = {.mono = {1000}, .wall = {1700000000000000}};
    struct timeline t;
    timeline_init(&t, anchor, anchor.mono);
    timeline_end(&t, (struct mono_us){9000}, 0);
    const struct timeline_points p = timeline_points(&t);
    ck_assert(!p.has_started);
    ck_assert_int_eq(p.intent.us, 9000);
    ck_assert_int_eq(p.accepted.us, 9000);
    ck_assert_int_eq(p.started.us, 9000);
    ck_assert_int_eq(p.ended.us, 9000);
}
END_TEST

/* ---- progress -------------------------------------------------------------------------------- */

/* A run in a few words: "c1" is cached by the list, "e1" executing, "r1" running, "f1" finished,
   "x1" executed, "p1" progress, "!1" an error, "G" a gap, "S" success; and what is told of it. */
static const struct {
    const char *name;
    const char *run;
    const char *told;
    size_t done;
    size_t executed;
} runs[] = {
    {"plain", "c e1 r1 p1 f1 r2 e2 f2 S", "1 executing, 1 completed, 2 executing, 2 completed", 2,
     2},
    {"cached by the list", "c1 c1 r2 f2 S", "1 cached, 2 executing, 2 completed", 2, 1},
    {"said twice", "e1 e1 r1 r1 f1 f1 S S", "1 executing, 1 completed", 1, 1},
    {"finished without a start is cached", "r1 f2 f1", "1 executing, 2 cached, 1 completed", 2, 1},
    {"executed without a start is cached", "r1 x2 f1", "1 executing, 2 cached, 1 completed", 2, 1},
    {"executed while it runs is no end", "r1 x1", "1 executing", 0, 1},
    {"after a gap it is completed", "G f1", "1 completed", 1, 0},
    {"listed as cached, but it ran", "c1 e1 f1", "1 cached, 1 executing, 1 completed", 1, 1},
    {"what ended does not begin again", "r1 f1 r1 e1", "1 executing, 1 completed", 1, 1},
    {"lazy: it goes on", "r1 e1 r2 f2 e1 f1", "1 executing, 2 executing, 2 completed, 1 completed",
     2, 2},
    {"an error", "r1 !1", "1 executing, 1 failed", 0, 1},
    {"open at the success", "r1 r2 S", "1 executing, 2 executing, 1 completed, 2 completed", 2, 2},
    {"no progress_state: the next one ends it", "e1 e2 e3 S",
     "1 executing, 1 completed, 2 executing, 2 completed, 3 executing, 3 completed", 3, 3},
    {"expanded nodes are told and not counted", "r1 r1.0 f1.0 f1",
     "1 executing, 1.0 executing (expanded), 1.0 completed (expanded), 1 completed", 1, 1},
};

static void note_change(void *ctx, const struct progress_change *c)
{
    struct buf *out = ctx;
    buf_printf(out, "%s%.*s %s%s", out->len == 0 ? "" : ", ", (int)c->node_id.n, c->node_id.p,
               profile_status_name(c->status), c->expanded ? " (expanded)" : "");
}

static struct frame frame_of(const char *word, const struct str *id, struct frame_node *node)
{
    static const struct {
        char letter;
        enum frame_type type;
    } types[] = {{'c', FRAME_CACHED}, {'e', FRAME_EXECUTING}, {'r', FRAME_STATE},
                 {'f', FRAME_STATE},  {'x', FRAME_EXECUTED},  {'p', FRAME_PROGRESS},
                 {'!', FRAME_ERROR},  {'S', FRAME_SUCCESS}};
    struct frame f = {.node = *id, .value = 3, .max = 20, .ids = id, .ids_len = id->n > 0 ? 1 : 0};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        f.type = types[i].letter == *word ? types[i].type : f.type;
    }
    *node = (struct frame_node){.id = *id,
                                .state = *word == 'r' ? NODE_STATE_RUNNING : NODE_STATE_FINISHED};
    f.nodes = node;
    f.nodes_len = 1;
    return f;
}

START_TEST(nodes_go_through_their_states)
{
    struct workflow *w = workflow_reparse(
        STR("{\"1\":{\"inputs\":{}},\"2\":{\"inputs\":{}},\"3\":{\"inputs\":{}}}"));
    struct progress p;
    progress_init(&p, w);
    AUTO_BUF struct buf told;
    buf_init(&told, BUF_NO_LIMIT);
    char run[128];
    (void)snprintf(run, sizeof run, "%s", runs[_i].run);
    char *rest = run;
    for (char *word = strtok_r(rest, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        const struct str id = str_of(word + 1);
        struct frame_node node;
        const struct frame f = frame_of(word, &id, &node);
        if (*word == 'G') {
            progress_gap(&p);
        } else {
            progress_feed(&p, &f, note_change, &told);
        }
    }
    ck_assert_msg(strcmp(buf_text(&told), runs[_i].told) == 0, "%s:\ngot  %s\nwant %s",
                  runs[_i].name, buf_text(&told), runs[_i].told);
    ck_assert_msg(p.nodes_done == runs[_i].done && p.executed == runs[_i].executed, "%s",
                  runs[_i].name);
    progress_done(&p);
    workflow_free(w);
}
END_TEST

START_TEST(progress_has_the_last_value)
{
    struct workflow *w = workflow_reparse(STR("{\"1\":{\"inputs\":{}},\"2\":{\"inputs\":{}}}"));
    struct progress p;
    progress_init(&p, w);
    progress_feed(&p, &(struct frame){.type = FRAME_EXECUTING, .node = STR("2")}, NULL, NULL);
    const uint64_t before = p.changes;
    progress_feed(&p,
                  &(struct frame){.type = FRAME_PROGRESS, .node = STR("2"), .value = 3, .max = 20},
                  NULL, NULL);
    ck_assert_uint_eq(p.changes, before + 1);
    ck_assert_str_eq(p.node_id, "2");
    ck_assert(p.has_value && p.value == 3 && p.max == 20);
    progress_feed(&p, &(struct frame){.type = FRAME_STATUS}, NULL, NULL);
    ck_assert_uint_eq(p.changes, before + 1);
    progress_feed(&p, &(struct frame){.type = FRAME_EXECUTING, .node = STR("1")}, NULL, NULL);
    ck_assert_str_eq(p.node_id, "1");
    ck_assert(!p.has_value);
    progress_feed(&p, &(struct frame){.type = FRAME_EXECUTING}, NULL, NULL);
    ck_assert_str_eq(p.node_id, "1");
    progress_done(&p);
    workflow_free(w);
}
END_TEST

/* ---- events, webhooks ------------------------------------------------------------------------ */

START_TEST(events_have_names)
{
    for (int t = 0; t < EVENT_TYPE_COUNT; t++) {
        ck_assert_int_eq(event_from_name(str_of(event_name((enum event_type)t))), t);
        ck_assert(!event_is_for_hooks((enum event_type)t) || event_is_durable((enum event_type)t));
    }
    ck_assert_int_eq(event_from_name(STR("job:moon")), EVENT_TYPE_COUNT);
    ck_assert_int_eq(event_of_end(JOB_CANCELLED), EVENT_CANCELLED);
    ck_assert(!event_is_durable(EVENT_NODE) && !event_is_durable(EVENT_PROGRESS) &&
              !event_is_durable(EVENT_PREVIEW) && !event_is_for_hooks(EVENT_BACKEND));
    ck_assert_int_eq(format_from_name(STR("folded")), FORMAT_FOLDED);
    ck_assert_int_eq(format_from_name(STR("events")), FORMAT_COUNT);
    ck_assert_int_eq(group_from_name(STR("")), GROUP_COUNT);
}
END_TEST

START_TEST(tries_become_rarer_over_a_day)
{
    const struct wall_us since = {1700000000000000};
    for (uint32_t random = 0; random < 1024; random += 1023) {
        struct wall_us now = since;
        struct dur_us pause;
        unsigned tries = 0;
        int64_t last_us = 0;
        while (webhook_pause(++tries, since, now, random, &pause)) {
            ck_assert_msg(pause.us > 0, "try %u", tries);
            ck_assert_msg(tries > 9 || pause.us > last_us, "try %u", tries);
            now.us += pause.us;
            last_us = pause.us;
            if (tries == 2) { /* the third try */
                ck_assert_int_lt(now.us - since.us, 20 * 1000000);
            }
            ck_assert_uint_lt(tries, 20);
        }
        ck_assert_int_eq(now.us - since.us, INT64_C(24) * 3600 * 1000000);
    }
}
END_TEST

/* A tenth more or less, whatever chance says; the last one lies at the end of the day. */
START_TEST(pauses_are_jittered)
{
    static const int64_t seconds[] = {3, 10, 60, 300, 900, 3600, 7200, 14400, 21600, 28800};
    const struct wall_us since = {1700000000000000};
    const struct wall_us evening = {since.us + INT64_C(86399) * 1000000};
    struct dur_us pause;
    for (unsigned i = 0; i < sizeof seconds / sizeof *seconds; i++) {
        ck_assert(webhook_pause(i + 1, since, since, 0, &pause));
        ck_assert_int_eq(pause.us, seconds[i] * 900000);
        ck_assert(webhook_pause(i + 1, since, since, UINT32_MAX, &pause));
        ck_assert_int_eq(pause.us, seconds[i] * 1100000);
    }
    ck_assert(webhook_pause(1000, since, since, 0, &pause)); /* asked for again and again */
    ck_assert_int_eq(pause.us, INT64_C(28800) * 900000);
    ck_assert(webhook_pause(3, since, evening, 7, &pause));
    ck_assert_int_eq(pause.us, 1000000);
    const struct wall_us next_day = {evening.us + 1000000};
    ck_assert(!webhook_pause(3, since, next_day, 0, &pause));
    ck_assert(webhook_pause(2, since, next_day, 0, &pause)); /* it waited for its first tries */
    ck_assert_int_eq(pause.us, 9000000);
}
END_TEST

/* The example of the Standard Webhooks specification, and the same with an empty body. */
static const struct {
    const char *body, *signature;
} signatures[] = {
    {"{\"test\": 2432232314}", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
    {"", "v1,v48jdbgvh29KJz2Qc+ghw8G6vG3nAKnujWBg8oM/62A="},
};

START_TEST(signatures_are_standard_webhooks)
{
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    webhook_sign(STR("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), STR("msg_p5jXN8AQM9LWM0D4loKWxJek"),
                 1614265330, str_of(signatures[_i].body), &out);
    ck_assert_str_eq(buf_text(&out), signatures[_i].signature);
}
END_TEST

static const struct {
    const char *text;
    bool good;
} secrets[] = {
    {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", true},
    {"whsec_c2VjcmV0", true},
    {"whsec_", false},
    {"whsec_!!", false},
    {"c2VjcmV0", false},
    {"whsec_c2VjcmV", false},
    {"whsec_c2VjcmV0\n", false},
    {"whsec_ c2VjcmV0", false},
    {"whsec_c2Vj=mV0", false},
    {"whsec_c2VjcmU=", true},
    {"whsec_-_-_", false},
    {"WHSEC_c2VjcmV0", false},
    {"whsec_====", false},
    {"", false},
};

START_TEST(secrets_are_base64)
{
    ck_assert_msg(webhook_secret_is_good(str_of(secrets[_i].text)) == secrets[_i].good, "%s",
                  secrets[_i].text);
}
END_TEST

/* ---- account keys ---------------------------------------------------------------------------- */

/* Quotes are ' here. keys, rest: what is cut; n == 0: the text is as it was. */
static const struct {
    const char *text;
    unsigned found;
    const char *rest, *keys;
} cut_rows[] = {
    {"", 0, "", ""},
    {"{}", 0, "{}", ""},
    {" {'a':1 } ", 0, " {'a':1 } ", ""},
    {"{'api_key_comfy_org':'k'}", 1, "{'api_key_comfy_org':null}", "{'api_key_comfy_org':'k'}"},
    {"{ 'auth_token_comfy_org' : 'a\\n' , 'x':18446744073709551615, 'api_key_comfy_org':'k'}", 3,
     "{ 'auth_token_comfy_org' : null , 'x':18446744073709551615, 'api_key_comfy_org':null}",
     "{'auth_token_comfy_org':'a\\n','api_key_comfy_org':'k'}"},
    {"{'api\\u005fkey_comfy_org':'k'}", 1, "{'api\\u005fkey_comfy_org':null}",
     "{'api_key_comfy_org':'k'}"},
    {"{'api_key_comfy_org':{'k':[1]}}", 1, "{'api_key_comfy_org':null}",
     "{'api_key_comfy_org':{'k':[1]}}"},
    {"{'api_key_comfy_org':null,'auth_token_comfy_org':''}", 0,
     "{'api_key_comfy_org':null,'auth_token_comfy_org':''}", ""},
    {"{'x':{'api_key_comfy_org':'k'}}", 0, "{'x':{'api_key_comfy_org':'k'}}", ""},
    {"['api_key_comfy_org']", 0, "['api_key_comfy_org']", ""},
    {"{'api_key_comfy_org':", 0, "{'api_key_comfy_org':", ""},
};

static char *quoted(const char *s)
{
    char *made = mem_strdup(s);
    for (char *p = made; *p != '\0'; p++) {
        *p = *p == '\'' ? '"' : *p;
    }
    return made;
}

static void joins(const char *rest, const char *keys, const char *want)
{
    AUTO_FREE char *a = quoted(rest);
    AUTO_FREE char *b = quoted(keys);
    AUTO_FREE char *c = quoted(want);
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    credentials_join(str_of(a), str_of(b), &out);
    ck_assert_str_eq(buf_text(&out), c);
}

START_TEST(keys_are_cut_and_joined)
{
    for (size_t i = 0; i < sizeof cut_rows / sizeof *cut_rows; i++) {
        AUTO_FREE char *text = quoted(cut_rows[i].text);
        AUTO_FREE char *want_rest = quoted(cut_rows[i].rest);
        AUTO_FREE char *want_keys = quoted(cut_rows[i].keys);
        AUTO_BUF struct buf rest;
        AUTO_BUF struct buf keys;
        buf_init(&rest, BUF_NO_LIMIT);
        buf_init(&keys, BUF_NO_LIMIT);
        ck_assert_uint_eq(credentials_cut(str_of(text), &rest, &keys), cut_rows[i].found);
        ck_assert_uint_eq(credentials_in(str_of(text)), cut_rows[i].found);
        ck_assert_str_eq(buf_text(&rest), want_rest);
        ck_assert_str_eq(buf_text(&keys), want_keys);
        AUTO_BUF struct buf whole;
        buf_init(&whole, BUF_NO_LIMIT);
        credentials_join(buf_str(&rest), buf_str(&keys), &whole);
        ck_assert_str_eq(buf_text(&whole), text);
    }
    joins("{'x':1}", "{'api_key_comfy_org':'k'}", "{'x':1,'api_key_comfy_org':'k'}");
    joins("{ }", "  {'api_key_comfy_org':'k'}", "{ 'api_key_comfy_org':'k'}");
    joins("", "{'api_key_comfy_org':'k'}", "{'api_key_comfy_org':'k'}");
    joins("{'auth_token_comfy_org':''} ", "{'api_key_comfy_org':'k','auth_token_comfy_org':'t'}",
          "{'auth_token_comfy_org':'t','api_key_comfy_org':'k'}");
    joins("", "", "");
}
END_TEST

START_TEST(keys_are_given_anew)
{
    static const struct {
        const char *given, *had, *other; /* "": all are */
    } rows[] = {
        {"", "", ""},
        {"{'api_key_comfy_org':'k'}", "", ""},
        {"{'api_key_comfy_org':'k','x':1}", "{'y':2,'x':1}", ""},
        {"{'x':1}", "{'x':1.0}", "x"},
        {"{'x':1}", "", "x"},
        {"{'\\u0078':1}", "{'x':1}", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        AUTO_FREE char *given = quoted(rows[i].given);
        AUTO_FREE char *had = quoted(rows[i].had);
        AUTO_BUF struct buf other;
        buf_init(&other, BUF_NO_LIMIT);
        const bool all = credentials_are_all(str_of(given), str_of(had), &other);
        ck_assert_msg(all == (rows[i].other[0] == '\0'), "row %zu", i);
        ck_assert_str_eq(buf_text(&other), rows[i].other);
    }
}
END_TEST

Suite *core_suite(void)
{
    Suite *s = suite_create("core");
    TCase *c = tcase_create("core");
    tcase_add_test(c, table_holds_over_the_whole_product);
    tcase_add_test(c, names_come_back);
    tcase_add_test(c, a_refusal_is_remembered_for_a_while);
    tcase_add_test(c, the_breaker_opens_after_failures_in_a_row);
    tcase_add_test(c, a_hold_ends_when_it_is_released);
    tcase_add_test(c, the_oldest_workflows_are_forgotten);
    tcase_add_loop_test(c, verdicts_are_told_apart, 0, sizeof verdicts / sizeof *verdicts);
    tcase_add_test(c, policies_have_the_defaults_of_the_table);
    tcase_add_test(c, least_loaded_by_weight_comes_first);
    tcase_add_test(c, equals_take_turns);
    tcase_add_loop_test(c, retries_are_for_what_passes, 0, sizeof retries / sizeof *retries);
    tcase_add_test(c, delays_double_within_bounds);
    tcase_add_loop_test(c, ends_are_the_servers_word, 0, sizeof lines / sizeof *lines);
    tcase_add_test(c, never_started_has_only_a_queue);
    tcase_add_loop_test(c, a_lost_start_is_proved, 0, sizeof firsts / sizeof *firsts);
    tcase_add_loop_test(c, nodes_go_through_their_states, 0, sizeof runs / sizeof *runs);
    tcase_add_test(c, progress_has_the_last_value);
    tcase_add_test(c, events_have_names);
    tcase_add_test(c, tries_become_rarer_over_a_day);
    tcase_add_test(c, pauses_are_jittered);
    tcase_add_test(c, keys_are_cut_and_joined);
    tcase_add_test(c, keys_are_given_anew);
    tcase_add_loop_test(c, signatures_are_standard_webhooks, 0,
                        sizeof signatures / sizeof *signatures);
    tcase_add_loop_test(c, secrets_are_base64, 0, sizeof secrets / sizeof *secrets);
    suite_add_tcase(s, c);
    return s;
}
