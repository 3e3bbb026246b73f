/*
 * Prompts that may still be, or turn up, on a backend though nobody waits for them: their job was
 * cancelled while the backend could not be reached, or their attempt was given up. Each is looked
 * for (at once when the backend's queue changes, else after 1 s, backing off to 10 s) and told to
 * stop. It is over when the backend has it in its history, has it no more, or, for one that the
 * backend was never seen to have, when it did not turn up for a while. The store has them too, so
 * that a restart of the daemon forgets none.
 */
#include <stdlib.h>

#include "comfypool/base/log.h"
#include "inner.h"

enum {
    FIRST_MS = 1000,
    LAST_MS = 10000,
    SOON_MS = 50,
    AT_ONCE_MS = 0,
    /* How long a prompt whose POST was never answered may take to turn up: a proxy, or a server
       whose loop was blocked. Seconds were seen. */
    TURN_UP_MS = 120000,
    /* Of those that may turn up, as many are looked for on one backend; a sick one makes more. */
    MAX_UNSEEN = 64,
};

static void ask(void *ctx);

static void ask_in(struct stray *s, int64_t ms)
{
    const struct mono_us at = mono_add(time_mono(), dur_ms(ms));
    if (!heap_holds(&s->poll.node) || mono_before(at, s->poll.at)) {
        deadline_set(&s->backend->pool->deadlines, &s->poll, at, ask, s);
    }
}

static void plan(struct stray *s)
{
    s->poll_ms = s->poll_ms * 2 > LAST_MS ? LAST_MS : s->poll_ms * 2;
    ask_in(s, s->poll_ms);
}

static void stray_free(struct stray *s)
{
    struct backend *b = s->backend;
    *s->link = s->next;
    if (s->next != NULL) {
        s->next->link = s->link;
    }
    if (s->locate != NULL) {
        comfy_locate_cancel(s->locate);
    }
    deadline_clear(&b->pool->deadlines, &s->poll);
    stray_record_done(&s->r);
    free(s);
}

/* Its slot is free again; with the last one that held one the backend is as good as any. */
static void give_slot_back(struct stray *s)
{
    struct backend *b = s->backend;
    s->r.holds_slot = false;
    scheduler_release(&b->pool->scheduler, &b->slot);
    bool held = false;
    for (const struct stray *o = b->strays; o != NULL; o = o->next) {
        held = held || o->r.holds_slot;
    }
    if (!held && b->quarantine == QUARANTINE_HELD) {
        LOG(LOG_INFO, "backend out of quarantine: nothing holds it any more",
            LOG_S("backend", b->name));
        backend_lift_quarantine(b);
    }
}

static void stray_over(struct stray *s, enum attempt_outcome late)
{
    struct backend *b = s->backend;
    LOG(LOG_INFO, "a prompt that nobody waited for is over", LOG_S("backend", b->name),
        LOG_S("prompt", s->r.prompt_id), LOG_S("outcome", attempt_outcome_name(late)));
    store_end_stray(b->pool->store, &s->r, late);
    if (s->r.holds_slot) {
        give_slot_back(s);
    }
    stray_free(s);
    backend_maybe_reap(b);
    pool_dispatch(b->pool);
}

/* How history says that it ended. */
static enum attempt_outcome late_outcome(const struct history_answer *h)
{
    for (size_t i = 0; i < h->messages_len; i++) {
        if (h->messages[i].type == FRAME_INTERRUPTED) {
            return ATTEMPT_CANCELLED;
        }
    }
    return h->success ? ATTEMPT_COMPLETED : ATTEMPT_FAILED;
}

static void found_absent(struct stray *s, struct mono_us now)
{
    s->absent++;
    if (s->r.holds_slot && !s->seen) { /* it may turn up, but it holds nothing now */
        give_slot_back(s);
    }
    if (mono_before(s->since, s->backend->refused_at) || (s->seen && s->absent > 1) ||
        (!s->seen && mono_diff(now, s->since).us > (int64_t)TURN_UP_MS * 1000)) {
        stray_over(s, ATTEMPT_OPEN);
    } else if (s->seen) {
        ask_in(s, FIRST_MS);
    } else {
        plan(s);
    }
}

static void answered(void *ctx, struct comfy_locate_answer *answer)
{
    struct stray *s = ctx;
    s->locate = NULL;
    switch (answer->place) {
    case COMFY_UNREACHABLE:
        if (answer->refused) {
            s->backend->refused_at = time_mono();
        }
        plan(s);
        return;
    case COMFY_ABSENT:
        found_absent(s, time_mono());
        return;
    case COMFY_ENDED:
        stray_over(s, late_outcome(&answer->history));
        return;
    case COMFY_PENDING:
    case COMFY_RUNNING:
        break;
    }
    s->seen = true;
    s->absent = 0;
    comfy_cancel_prompt(s->backend->comfy, s->r.prompt_id);
    plan(s);
}

/* Only a backend that is up can answer; strays_up asks when it is. */
static void ask(void *ctx)
{
    struct stray *s = ctx;
    if (s->locate == NULL && s->backend->up) {
        s->asked = time_mono();
        s->locate = comfy_locate(s->backend->comfy, s->r.prompt_id, answered, s);
    }
}

struct stray_record stray_record_of(const struct attempt *a)
{
    struct stray_record r = {
        .backend = mem_strdup(a->r.backend),
        .backend_url = mem_strdup(a->r.backend_url),
        .seq = a->job->r.seq,
        .number = a->r.number,
        .since = time_wall(),
        .holds_slot = a->holds_slot,
    };
    memcpy(r.prompt_id, a->r.prompt_id, sizeof r.prompt_id);
    memcpy(r.client_id, a->r.client_id, sizeof r.client_id);
    return r;
}

/* The list begins with the newest. */
static void bound_unseen(struct backend *b)
{
    unsigned unseen = 0;
    struct stray *next = NULL;
    for (struct stray *s = b->strays; s != NULL; s = next) {
        next = s->next;
        if (!s->seen && ++unseen > MAX_UNSEEN) {
            stray_over(s, ATTEMPT_OPEN);
        }
    }
}

void stray_begin(struct backend *b, struct stray_record *take, bool seen)
{
    struct stray *s = mem_zero(1, sizeof *s);
    s->r = *take;
    *take = (struct stray_record){0};
    s->backend = b;
    s->seen = seen;
    const struct time_anchor now = time_anchor_now();
    s->since = mono_min(now.mono, anchor_mono(&now, s->r.since));
    s->poll_ms = FIRST_MS / 2;
    s->next = b->strays;
    s->link = &b->strays;
    if (s->next != NULL) {
        s->next->link = &s->next;
    }
    b->strays = s;
    if (s->r.holds_slot) {
        scheduler_take(&b->pool->scheduler, &b->slot);
    }
    plan(s);
    bound_unseen(b);
}

void strays_up(struct backend *b)
{
    for (struct stray *s = b->strays; s != NULL; s = s->next) {
        s->poll_ms = FIRST_MS / 2;
        ask_in(s, AT_ONCE_MS);
    }
}

void strays_status(struct backend *b)
{
    const struct mono_us now = time_mono();
    for (struct stray *s = b->strays; s != NULL; s = s->next) {
        const bool rested = mono_diff(now, s->asked).us > (int64_t)FIRST_MS * 1000;
        ask_in(s, rested ? SOON_MS : FIRST_MS);
    }
}

void strays_frame(struct backend *b, struct str prompt_id, enum frame_type type)
{
    for (struct stray *s = b->strays; s != NULL; s = s->next) {
        if (str_is(prompt_id, s->r.prompt_id)) {
            s->seen = true;
            if (type == FRAME_START) {
                comfy_cancel_prompt(b->comfy, s->r.prompt_id);
            }
            ask_in(s, SOON_MS);
            return;
        }
    }
}

void strays_free(struct backend *b)
{
    struct stray *next = NULL;
    for (struct stray *s = b->strays; s != NULL; s = next) {
        next = s->next;
        stray_free(s);
    }
}
