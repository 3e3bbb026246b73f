/*
 * Strays: prompts that may still be, or turn up, on a backend though no job waits for them. Their
 * job was cancelled while the backend was unreachable, or their attempt was given up. Each is
 * searched for (at once when the backend's queue changes, else after 1 s, backing off to 10 s). If
 * it is found while the job waits for its retry, and it was not told to stop, the attempt is
 * resumed; else it is told to stop. One that completed while the job waits is the job's result. A
 * stray is over when the backend has it in /history, has it no more or, if it was never seen there,
 * did not turn up for a while. The store has strays as well, so that a restart forgets none.
 */
#include "strays.h"

#include <stdlib.h>
#include <string.h>

#include "comfypool/base/list.h"
#include "comfypool/base/log.h"
#include "comfypool/core/retry.h"
#include "comfypool/store/attempts.h"

#include "attempt.h"
#include "backends.h"
#include "jobs.h"
#include "state.h"
#include "trust.h"

enum {
    FIRST_MS = 1000,
    LAST_MS = 10000,
    SOON_MS = 50,
    AT_ONCE_MS = 0,
    /* How long a prompt whose POST was never answered may take to turn up, behind a proxy or a
       blocked server. Seconds were observed. */
    TURN_UP_MS = 120000,
    /* Unseen strays that are searched for on one backend; a sick one makes more. */
    MAX_UNSEEN = 64,
    /* How long after the start a job waits for the backend that may have its prompt, before it goes
       elsewhere. */
    START_MS = 5000,
};

static void ask(void *ctx);

static void ask_in(struct stray *s, int64_t ms)
{
    const struct mono_us at = mono_add(time_mono(), dur_ms(ms));
    if (!heap_holds(&s->search.poll.node) || mono_before(at, s->search.poll.at)) {
        deadline_set(&s->backend->pool->deadlines, &s->search.poll, at, ask, s);
    }
}

static void plan(struct stray *s)
{
    s->search.poll_ms = s->search.poll_ms * 2 > LAST_MS ? LAST_MS : s->search.poll_ms * 2;
    ask_in(s, s->search.poll_ms);
}

/* Detaches the stray from its job. */
static void leave_job(struct stray *s)
{
    if (s->job != NULL) {
        list_remove(s, job_next, job_link);
        s->job = NULL;
    }
    if (s->kept != NULL) {
        attempt_free(s->kept);
        s->kept = NULL;
    }
    s->search.in_doubt = false;
    store_read_forget(&s->reading);
    attempt_past_done(&s->past);
}

static void past_came(void *ctx, const struct store_found *f)
{
    struct stray *s = ctx;
    attempt_past_find(&s->past, f, s->r.number);
    if (s->past.r.number != 0) {
        ask_in(s, AT_ONCE_MS);
    }
}

/* Reads the attempt of a stray from before a restart, before its server tells where it is. */
static void read_past(struct stray *s)
{
    if (s->kept == NULL && s->past.r.number == 0 && s->reading.find == NULL) {
        struct store_wish wish = {.wants = STORE_WANT_ATTEMPTS};
        memcpy(wish.id, s->job->r.id, sizeof wish.id);
        store_find_job(s->backend->pool->store, &wish, &s->reading, past_came, s);
    }
}

static void join_job(struct stray *s, struct job *j)
{
    s->job = j;
    list_push(&j->strays, s, job_next, job_link);
}

static void stray_free(struct stray *s)
{
    struct backend *b = s->backend;
    list_remove(s, stray_next, stray_link);
    if (s->search.locate != NULL) {
        comfy_locate_cancel(s->search.locate);
    }
    deadline_clear(&b->pool->deadlines, &s->search.poll);
    leave_job(s);
    stray_record_done(&s->r);
    free(s);
}

/* Frees the stray's slot; with the last one the backend leaves quarantine. */
static void give_slot_back(struct stray *s)
{
    struct backend *b = s->backend;
    s->r.holds_slot = false;
    scheduler_release(&b->pool->scheduler, &b->slot);
    bool held = false;
    for (const struct stray *o = b->strays; o != NULL; o = o->stray_next) {
        held = held || o->r.holds_slot;
    }
    if (!held && b->trust.quarantine == QUARANTINE_HELD) {
        LOG(LOG_INFO, "backend out of quarantine: nothing holds it any more",
            LOG_S("backend", b->name));
        backend_lift_quarantine(b, false);
    }
}

static void stray_over(struct stray *s, enum attempt_outcome late)
{
    struct backend *b = s->backend;
    LOG(LOG_INFO, "a prompt that nobody waited for is over", LOG_S("backend", b->name),
        LOG_S("prompt", s->r.prompt_id), LOG_S("outcome", attempt_outcome_name(late)));
    store_end_stray(b->pool->store, &s->r, late);
    if (late == ATTEMPT_CANCELLED) {
        interrupts_hit(comfy_interrupts(b->comfy), s->r.prompt_id);
    }
    if (s->r.holds_slot) {
        give_slot_back(s);
    }
    stray_free(s);
    b->pool->ops->reap_backend(b);
    b->pool->ops->give_jobs(b->pool);
}

/* Returns the outcome that /history tells. */
static enum attempt_outcome late_outcome(const struct history_answer *h)
{
    for (size_t i = 0; i < h->messages_len; i++) {
        if (h->messages[i].type == FRAME_INTERRUPTED) {
            return ATTEMPT_CANCELLED;
        }
    }
    return h->success ? ATTEMPT_COMPLETED : ATTEMPT_FAILED;
}

/* ---- its job --------------------------------------------------------------------------------- */

/* Whether the job waits for a retry that was not POSTed yet. */
enum waiting {
    WAITS,
    NOT_NOW, /* a write is under way, or the daemon stops: ask again */
    NEVER,   /* it ended, will end, or its retry was POSTed */
};

static enum waiting job_waits_for_it(const struct stray *s)
{
    const struct job *j = s->job;
    if (s->backend->pool->stopping) {
        return NOT_NOW;
    }
    if (j == NULL || j->end.timed_out || j->r.cancel_requested ||
        (j->end.ending && job_state_is_terminal(j->end.next.state))) {
        return NEVER;
    }
    if (j->end.ending) {
        return NOT_NOW;
    }
    const struct attempt *retry = j->attempt;
    if (retry != NULL) {
        return attempt_is_posted(&retry->state) ? NEVER
               : attempt_is_over(&retry->state) ? NOT_NOW
                                                : WAITS;
    }
    return job_waits(j) ? WAITS : NOT_NOW;
}

/* Also changes the record that is being stored. */
static void count_death(struct job *j, int by)
{
    if (j == NULL || (by < 0 && j->r.left_dead == 0)) {
        return;
    }
    j->r.left_dead = (unsigned)((int)j->r.left_dead + by);
    if (j->end.ending) {
        j->end.next.left_dead = j->r.left_dead;
    }
}

/* Takes back the death: its server lives. */
static void show_life(struct stray *s)
{
    s->alive = true;
    if (s->r.silent) {
        count_death(s->job, -1);
    }
    s->r.silent = false;
}

/* Counts the death of a server that came back without this prompt. */
static void note_death(struct stray *s)
{
    struct job *j = s->job;
    if (j == NULL || !s->r.started || s->r.silent || s->alive) {
        return;
    }
    count_death(j, 1);
    if (j->r.left_dead > RETRY_MAX_LEFT_DEAD && !j->end.ending && j->attempt == NULL &&
        job_waits(j)) {
        breaker_poisoned(&j->pool->breaker, job_hash(j));
        j->pool->ops->end_job(j, ERR_BACKEND_ERROR, poison_message);
    }
}

/* Resumes the attempt and frees the stray, whose row goes with the attempt's end. NULL: not
   possible now. */
static struct attempt *take_up(struct stray *s, bool goes_on)
{
    struct backend *b = s->backend;
    struct job *j = s->job;
    struct attempt *kept = s->kept;
    s->kept = NULL;
    struct attempt *a = attempt_take_up(j, b, kept, &s->past, goes_on);
    if (a == NULL) {
        s->kept = kept;
        read_past(s);
        return NULL;
    }
    LOG(LOG_INFO, "an attempt that was given up is found again: its job goes on with it",
        LOG_S("job", j->r.id), LOG_S("backend", b->name), LOG_S("prompt", s->r.prompt_id));
    if (s->r.holds_slot) {
        give_slot_back(s);
    }
    stray_free(s);
    return a;
}

/* ---- what its server says -------------------------------------------------------------------- */

/* True if the port refused since the POST, as far as known: the server that had it is gone. */
static bool has_restarted(const struct stray *s)
{
    const struct mono_us since = s->kept != NULL ? s->kept->post.at : s->since;
    return mono_before(since, s->backend->conn.refused_at);
}

static void found_absent(struct stray *s, struct mono_us now)
{
    s->search.absent++;
    const bool was_there = s->evidence == EVIDENCE_HAD;
    if (s->r.holds_slot && !was_there) { /* it may turn up, but holds no slot now */
        give_slot_back(s);
    }
    const bool restarted = has_restarted(s);
    if (restarted || (was_there && s->search.absent > 1) ||
        (!was_there && mono_diff(now, s->since).us > (int64_t)TURN_UP_MS * 1000)) {
        if (restarted) {
            note_death(s);
        }
        stray_over(s, ATTEMPT_OPEN);
    } else if (was_there) {
        ask_in(s, FIRST_MS);
    } else {
        plan(s);
    }
}

/* Asks again; a waiting job waits for the answer. */
static void ask_again_first(struct stray *s)
{
    s->search.in_doubt = s->job != NULL;
    ask_in(s, FIRST_MS);
}

/* Handles a stray found in /history. If it completed while the job waits, it is the job's result.
 */
static void found_ended(struct stray *s, const struct history_answer *h)
{
    struct pool *p = s->backend->pool;
    const enum waiting w = h->success ? job_waits_for_it(s) : NEVER;
    struct attempt *a = w == WAITS ? take_up(s, false) : NULL;
    if (a != NULL) {
        attempt_found_ended(a, time_mono(), h);
        p->ops->give_jobs(p);
    } else if (w == NEVER) {
        stray_over(s, late_outcome(h));
    } else {
        ask_again_first(s);
    }
}

/* True while something that resuming the attempt needs is being read. */
static bool is_being_read(const struct stray *s)
{
    return s->reading.find != NULL || (s->job != NULL && s->job->texts.reading.find != NULL);
}

/* Handles a stray found in /queue. If its worker was taken for dead it stays there in any case: it
   is resumed when it gives a sign of life. */
static void found_there(struct stray *s, enum comfy_place place)
{
    s->evidence = EVIDENCE_HAD;
    s->search.absent = 0;
    const enum waiting w = job_waits_for_it(s);
    const bool follow = w == WAITS && !s->r.stopped && (!s->r.silent || place == COMFY_PENDING);
    struct attempt *a = follow ? take_up(s, true) : NULL;
    if (a != NULL) {
        attempt_follow(a);
        return;
    }
    if (w == NEVER || (w == WAITS && s->r.stopped)) {
        comfy_cancel_prompt(s->backend->comfy, s->r.prompt_id);
    }
    if (w == NOT_NOW || (follow && is_being_read(s))) {
        ask_again_first(s);
    } else {
        plan(s);
    }
}

static void answered(void *ctx, struct comfy_locate_answer *answer)
{
    struct stray *s = ctx;
    struct pool *p = s->backend->pool;
    s->search.locate = NULL;
    const bool doubt = s->search.in_doubt;
    s->search.in_doubt = false;
    switch (answer->place) {
    case COMFY_UNREACHABLE:
        plan(s);
        break;
    case COMFY_UNTOLD:
        if (!answer->not_queued && !has_restarted(s)) {
            plan(s);
            break;
        } /* else it is over; its outcome is unknown */
        found_absent(s, time_mono());
        break;
    case COMFY_ABSENT:
        found_absent(s, time_mono());
        break;
    case COMFY_ENDED:
        show_life(s);
        found_ended(s, &answer->history);
        break;
    case COMFY_PENDING:
    case COMFY_RUNNING:
        found_there(s, answer->place);
        break;
    }
    if (doubt) {
        p->ops->give_jobs(p);
    }
}

/* True if the daemon has just started and the backend was not seen to be down. */
static bool may_come_up(const struct backend *b)
{
    const struct mono_us began = b->pool->began;
    return mono_diff(time_mono(), began).us < START_MS * INT64_C(1000) &&
           mono_before(b->conn.refused_at, began);
}

/* Only a backend that is up can answer; strays_up asks when it is. */
static void ask(void *ctx)
{
    struct stray *s = ctx;
    if (!s->backend->conn.up && s->search.in_doubt && may_come_up(s->backend)) {
        ask_in(s, FIRST_MS);
    } else if (!s->backend->conn.up) {
        const bool doubt = s->search.in_doubt;
        s->search.in_doubt = false; /* the backend left again */
        if (doubt) {
            s->backend->pool->ops->give_jobs(s->backend->pool);
        }
    } else if (s->search.locate == NULL) {
        s->search.asked = time_mono();
        s->search.locate = comfy_locate(s->backend->comfy, s->r.prompt_id, answered, s);
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
        .holds_slot = attempt_holds_slot(a->end.remains),
        .stopped = a->stop.why != STOP_NONE,
        .silent = attempt_left_dead(a->end.remains),
        .started = a->timeline.started.set,
    };
    memcpy(r.prompt_id, a->r.prompt_id, sizeof r.prompt_id);
    memcpy(r.client_id, a->r.client_id, sizeof r.client_id);
    return r;
}

/* Drops the oldest unseen strays beyond MAX_UNSEEN; the list begins with the newest. */
static void bound_unseen(struct backend *b)
{
    unsigned unseen = 0;
    struct stray *next = NULL;
    for (struct stray *s = b->strays; s != NULL; s = next) {
        next = s->stray_next;
        if (s->evidence != EVIDENCE_HAD && ++unseen > MAX_UNSEEN) {
            stray_over(s, ATTEMPT_OPEN);
        }
    }
}

struct stray *stray_begin(struct backend *b, struct stray_record *take,
                          enum attempt_evidence evidence, struct job *j)
{
    struct stray *s = mem_zero(1, sizeof *s);
    s->r = *take;
    *take = (struct stray_record){0};
    s->backend = b;
    s->evidence = evidence;
    const struct time_anchor now = time_anchor_now();
    s->since = mono_min(now.mono, anchor_mono(&now, s->r.since));
    s->search.poll_ms = FIRST_MS / 2;
    list_push(&b->strays, s, stray_next, stray_link);
    if (j != NULL) {
        join_job(s, j);
    }
    if (s->r.holds_slot) {
        scheduler_take(&b->pool->scheduler, &b->slot);
    }
    plan(s);
    bound_unseen(b);
    return b->strays == s ? s : NULL;
}

void stray_keep(struct stray *s, struct attempt *take)
{
    s->kept = take;
}

void strays_leave(struct job *j)
{
    while (j->strays != NULL) {
        struct stray *s = j->strays;
        leave_job(s);
        ask_in(s, SOON_MS);
    }
}

void strays_hurry(struct job *j)
{
    for (struct stray *s = j->strays; s != NULL; s = s->job_next) {
        ask_in(s, SOON_MS);
    }
}

bool strays_doubt(const struct job *j)
{
    const struct stray *s = j->strays;
    while (s != NULL && !s->search.in_doubt) {
        s = s->job_next;
    }
    return s != NULL;
}

/* True if the stray may be of the job's present life: strays stopped before POST /retry are not. */
static bool may_be_of(const struct stray *s, const struct job *j)
{
    return !s->r.stopped || s->r.since.us >= j->r.budget_since.us;
}

void strays_rejoin(struct job *j)
{
    const struct pool *p = j->pool;
    for (size_t i = 0; i < p->backends_len; i++) {
        for (struct stray *s = p->backends[i]->strays; s != NULL; s = s->stray_next) {
            if (s->r.seq == j->r.seq && s->job == NULL && may_be_of(s, j)) {
                join_job(s, j);
                read_past(s);
            }
        }
    }
}

/* At the start: O(jobs + strays). */
void strays_join(struct pool *p)
{
    struct map by_seq;
    map_init(&by_seq);
    size_t at = 0;
    for (struct job *j = map_next(&p->jobs, &at); j != NULL; j = map_next(&p->jobs, &at)) {
        (void)map_put(&by_seq, (struct str){(const char *)&j->r.seq, sizeof j->r.seq}, j);
    }
    for (size_t i = 0; i < p->backends_len; i++) {
        for (struct stray *s = p->backends[i]->strays; s != NULL; s = s->stray_next) {
            struct job *j =
                map_get(&by_seq, (struct str){(const char *)&s->r.seq, sizeof s->r.seq});
            if (j != NULL && s->job == NULL && may_be_of(s, j)) {
                join_job(s, j);
                read_past(s);
                s->search.in_doubt = true; /* it may still run there: ask first */
            }
        }
    }
    map_done(&by_seq);
}

void strays_up(struct backend *b)
{
    for (struct stray *s = b->strays; s != NULL; s = s->stray_next) {
        s->search.poll_ms = FIRST_MS / 2;
        s->search.in_doubt = s->job != NULL;
        ask_in(s, AT_ONCE_MS);
    }
}

void strays_status(struct backend *b)
{
    const struct mono_us now = time_mono();
    for (struct stray *s = b->strays; s != NULL; s = s->stray_next) {
        const bool rested = mono_diff(now, s->search.asked).us > (int64_t)FIRST_MS * 1000;
        ask_in(s, rested ? SOON_MS : FIRST_MS);
    }
}

void strays_frame(struct backend *b, struct str prompt_id, enum frame_type type)
{
    for (struct stray *s = b->strays; s != NULL; s = s->stray_next) {
        if (str_is(prompt_id, s->r.prompt_id)) {
            s->evidence = EVIDENCE_HAD;
            show_life(s);
            if (type == FRAME_START && job_waits_for_it(s) == NEVER) {
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
        next = s->stray_next;
        stray_free(s);
    }
}
