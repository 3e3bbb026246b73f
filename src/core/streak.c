/* Failures in a row; see the header. The newest is the last of the list. */
#include "comfypool/core/streak.h"

#include <stdlib.h>

void streak_init(struct streak *s, unsigned limit, unsigned faults)
{
    *s = (struct streak){.limit = limit < 1 ? 1 : limit};
    s->faults = faults < 1 ? 1 : faults < s->limit ? faults : s->limit;
}

void streak_done(struct streak *s)
{
    free(s->list);
    free(s->text);
    *s = (struct streak){.limit = s->limit, .faults = s->faults};
}

static void remove_at(struct streak *s, size_t i)
{
    memmove(&s->list[i], &s->list[i + 1], (s->len - i - 1) * sizeof *s->list);
    s->len--;
}

void streak_add(struct streak *s, const struct streak_failure *f, struct str text)
{
    streak_forgive_job(s, f->job);
    if (s->len == (size_t)s->limit * STREAK_KEPT) {
        remove_at(s, 0);
    }
    if (s->len == s->cap) {
        s->cap = s->cap == 0 ? 8 : s->cap * 2;
        s->list = mem_grow(s->list, s->cap * sizeof *s->list);
    }
    struct streak_failure *last = &s->list[s->len];
    *last = *f;
    last->fresh = f->kind != STREAK_NODE;
    for (size_t i = 0; i < s->len && last->fresh; i++) {
        last->fresh = !s->list[i].fresh || strcmp(s->list[i].workflow, f->workflow) != 0;
    }
    s->len++;
    free(s->text);
    s->text = mem_copy(text);
}

void streak_clear(struct streak *s)
{
    s->len = 0;
    free(s->text);
    s->text = NULL;
}

void streak_lift(struct streak *s)
{
    while (streak_judge(s, NULL) != STREAK_NOTHING) {
        remove_at(s, 0);
    }
}

void streak_completed_elsewhere(struct streak *s, int64_t job, struct str workflow, uint64_t client)
{
    for (size_t i = 0; i < s->len; i++) {
        struct streak_failure *f = &s->list[i];
        const bool same_author = client != 0 && client == f->client;
        f->elsewhere =
            f->elsewhere || f->job == job || (!same_author && str_is(workflow, f->workflow));
        f->author_well = f->author_well || same_author;
        f->wins += same_author && str_is(workflow, f->workflow) ? 1 : 0;
    }
}

bool streak_forgive_exception(struct streak *s, struct str workflow, uint64_t exception)
{
    const size_t before = s->len;
    for (size_t i = s->len; i > 0; i--) {
        const struct streak_failure *f = &s->list[i - 1];
        if (f->kind == STREAK_NODE && f->exception == exception && str_is(workflow, f->workflow)) {
            remove_at(s, i - 1);
        }
    }
    return s->len < before;
}

void streak_forgive_job(struct streak *s, int64_t job)
{
    for (size_t i = s->len; i > 0; i--) {
        if (s->list[i - 1].job == job) {
            remove_at(s, i - 1);
        }
    }
}

/* ---- the rules ------------------------------------------------------------------------------- */

/* True if the last n are all server faults. */
static bool all_faults(const struct streak_failure *f, size_t n)
{
    size_t i = 0;
    while (i < n && f[i].kind == STREAK_FAULT) {
        i++;
    }
    return i == n;
}

/* True with two named clients, an unnamed one, or one whose prompts succeed elsewhere. */
static bool is_no_author(const struct streak_failure *f, size_t n)
{
    bool several = false;
    for (size_t i = 0; i < n && !several; i++) {
        several =
            f[i].client == 0 || f[i].client != f[0].client || f[i].elsewhere || f[i].author_well;
    }
    return several;
}

static bool one_exception(const struct streak_failure *f, size_t n, bool *ret_one_workflow)
{
    *ret_one_workflow = true;
    for (size_t i = 0; i < n; i++) {
        if (f[i].exception == 0 || f[i].kind == STREAK_EITHER || f[i].exception != f[0].exception) {
            return false;
        }
        *ret_one_workflow = *ret_one_workflow && strcmp(f[i].workflow, f[0].workflow) == 0;
    }
    return true;
}

static bool all_elsewhere(const struct streak_failure *f, size_t n)
{
    size_t i = 0;
    while (i < n && f[i].elsewhere && f[i].kind != STREAK_EITHER) {
        i++;
    }
    return i == n;
}

/* A client that succeeds twice has the right values: it is not trying out a wrong workflow. */
enum { WINS = 2 };

static bool wins_elsewhere(const struct streak_failure *f, size_t n)
{
    bool one_workflow = true;
    return f[0].wins >= WINS && one_exception(f, n, &one_workflow) && one_workflow;
}

/* True if enough different workflows failed. A forgotten fresh one is not recounted when its
   workflow fails again: at worst the rule applies one failure later. */
static bool many_workflows(const struct streak *s)
{
    size_t n = 0;
    size_t brought = 0; /* possibly the jobs' fault */
    for (size_t i = 0; i < s->len; i++) {
        const enum streak_kind kind = s->list[i].kind;
        n += s->list[i].fresh ? 1 : 0;
        brought += s->list[i].fresh && (kind == STREAK_EITHER || kind == STREAK_ANSWER) ? 1 : 0;
    }
    return n >= s->limit && (brought < n || is_no_author(s->list, s->len));
}

enum streak_rule streak_judge(const struct streak *s, struct buf *ret_why)
{
    static const char *const words[] = {
        [STREAK_NOTHING] = "",
        [STREAK_FAULTS] = "prompts in a row failed by a fault of this server",
        [STREAK_WORKFLOWS] = "different workflows failed here in a row",
        [STREAK_EXCEPTION] = "prompts in a row ended here with one exception",
        [STREAK_ELSEWHERE] = "jobs in a row failed here and went well elsewhere",
    };
    const size_t n = s->limit;
    bool one_workflow = true;
    enum streak_rule rule = STREAK_NOTHING;
    if (s->list == NULL || s->len < s->faults) {
        return rule;
    }
    const struct streak_failure *last = s->len < n ? NULL : &s->list[s->len - n];
    if (all_faults(&s->list[s->len - s->faults], s->faults)) {
        rule = STREAK_FAULTS;
    } else if (last == NULL) {
        return rule;
    } else if (all_elsewhere(last, n) || wins_elsewhere(last, n)) {
        rule = STREAK_ELSEWHERE;
    } else if (one_exception(last, n, &one_workflow) && !one_workflow && is_no_author(last, n)) {
        rule = STREAK_EXCEPTION;
    } else if (many_workflows(s)) {
        rule = STREAK_WORKFLOWS;
    }
    if (ret_why != NULL && rule != STREAK_NOTHING) {
        buf_printf(ret_why, "%u %s", rule == STREAK_FAULTS ? s->faults : s->limit, words[rule]);
        if (s->text != NULL && s->text[0] != '\0') {
            buf_printf(ret_why, ", the last one with: %s", s->text);
        }
    }
    return rule;
}

uint64_t streak_author(const struct streak *s)
{
    const size_t n = s->limit;
    bool one_workflow = true;
    if (s->list == NULL || s->len < n) {
        return 0;
    }
    const struct streak_failure *last = &s->list[s->len - n];
    const bool one = one_exception(last, n, &one_workflow) && !is_no_author(last, n);
    return one ? last[0].client : 0;
}

bool streak_is_open_question(const struct streak *s, struct str workflow)
{
    const size_t n = s->limit;
    bool one_workflow = true;
    return s->list != NULL && s->len >= n && s->list[s->len - 1].kind == STREAK_NODE &&
           str_is(workflow, s->list[s->len - 1].workflow) &&
           one_exception(&s->list[s->len - n], n, &one_workflow) && one_workflow;
}
