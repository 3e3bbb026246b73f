/*
 * From a submission to a stored job or batch: limits, Idempotency-Keys, what the job needs, and the
 * insert; see the header. A call may stop at any step to wait; the next call starts over and finds
 * what is done.
 */
#include "intake.h"

#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/pending.h"
#include "comfypool/core/submission.h"
#include "comfypool/notify/webhooks.h"
#include "comfypool/pool/intake.h"
#include "comfypool/pool/walls.h"
#include "comfypool/store/jobs.h"
#include "comfypool/store/keys.h"
#include "comfypool/store/store.h"

#include "batches.h"
#include "clients.h"
#include "dependencies.h"
#include "dispatch.h"
#include "eligible.h"
#include "event_publish.h"
#include "inputs.h"
#include "jobs.h"
#include "key_look.h"
#include "known_jobs.h"
#include "state.h"
#include "submission_check.h"

void intake_init(struct intake *in)
{
    *in = (struct intake){.caller = "", .key = "", .digest = "", .trace = ""};
    buf_init(&in->dry, BUF_NO_LIMIT);
}

static void drop_key(struct intake *in)
{
    key_look_free(in->look);
    in->look = NULL;
    if (in->claim != NULL) {
        (void)map_remove(in->claims, str_of(in->claim));
        free(in->claim);
        in->claim = NULL;
    }
}

/* What is known of other jobs is old as soon as it has decided. */
static void drop_known(struct intake *in)
{
    known_jobs_free(in->known);
    in->known = NULL;
}

void intake_done(struct intake *in)
{
    drop_key(in);
    drop_known(in);
    if (in->job != NULL) {
        in->job->insert.intake = NULL;
    }
    if (in->batch != NULL) {
        batch_loses_intake(in->batch);
    }
    submission_done(&in->submission);
    refusal_done(&in->refusal);
    buf_done(&in->dry);
}

/* ---- limits ---------------------------------------------------------------------------------- */

unsigned pool_ended_last_minute(const struct pool *p)
{
    const int64_t second = time_mono().us / 1000000;
    unsigned n = 0;
    for (int64_t s = second - 59; s <= second; s++) {
        if (s <= p->counts.minute_at && s > p->counts.minute_at - 60 && s >= 0) {
            n += p->counts.minute[s % 60];
        }
    }
    return n;
}

/* Returns the seconds until a place is free, by the rate at which jobs ended in the last minute. */
static int drain_seconds(const struct pool *p)
{
    const unsigned ended = pool_ended_last_minute(p);
    return ended == 0 ? 60 : (int)((60 + ended - 1) / ended);
}

bool intake_queue_has_room(struct pool *p, size_t more, struct refusal *ret)
{
    return p->jobs.len - p->attempts + more <= p->options.queue_limit ||
           refusal_wait(ret, ERR_QUEUE_FULL,
                        more == 1 ? "queue.limit jobs are waiting already; try again later"
                                  : "queue.limit has no room for so many jobs; try again later, or "
                                    "with fewer",
                        drain_seconds(p));
}

bool intake_client_has_room(struct pool *p, const char *client, size_t more, struct refusal *ret)
{
    return client_has_room(p, client, more) ||
           refusal_wait(ret, ERR_QUEUE_FULL,
                        "jobs.maxPerClient: this client has as many queued and running jobs as it "
                        "may have; try again later",
                        drain_seconds(p));
}

/* ---- Idempotency-Key ------------------------------------------------------------------------- */

/* Reserves the key as soon as the store has said that it is new, so that of two requests with one
   key only one goes on. */
static void claim_key(struct pool *p, struct intake *in)
{
    in->claims = &p->keys;
    in->claim = mem_strdup(in->key);
    (void)map_put(&p->keys, str_of(in->claim), in);
}

char *intake_pass_key(struct intake *in, void *holder)
{
    char *key = in->claim;
    in->claim = NULL;
    if (key != NULL) {
        (void)map_put(in->claims, str_of(key), holder);
    }
    return key;
}

void intake_take_key(struct intake *in, char *take_key)
{
    in->claim = take_key;
    if (take_key != NULL) {
        (void)map_put(in->claims, str_of(take_key), in);
    }
}

/* Answers as the earlier submission with this key was answered. Its token may have submitted for
   another client, if it had a larger role then. */
static void replay(struct intake *in, const struct store_key *k)
{
    if (strcmp(k->record.digest, in->digest) != 0) {
        (void)refusal_say(&in->refusal, ERR_IDEMPOTENCY_KEY_REUSED,
                          "this Idempotency-Key came with another body before; use a new key for a "
                          "new job");
    } else if (k->subject_error != ERR_NONE || !wall_lets(in->wall, k->client)) {
        (void)refusal_set(&in->refusal, in->is_batch ? ERR_BATCH_NOT_FOUND : ERR_JOB_NOT_FOUND);
    } else {
        memcpy(in->subject, k->record.job_id, sizeof in->subject);
        in->total = k->total;
        in->replayed = k->record.status;
    }
}

static void key_came(void *ctx, enum err e, const struct store_key *k)
{
    struct intake *in = ctx;
    if (e != ERR_NONE) {
        (void)refusal_set(&in->refusal, e);
    } else if (k->record.key == NULL) {
        claim_key(in->pool, in);
    } else {
        replay(in, k);
    }
    pool_wake(in->pool, in->ticket);
}

/* True if the key decides this step; *ret says how. */
static bool key_decides(struct pool *p, struct intake *in, enum intake_step *ret)
{
    *ret = INTAKE_WAITS;
    if (in->key[0] == '\0' || in->dry_run || in->claim != NULL) {
        return false;
    }
    if (in->look != NULL) {
        return true;
    }
    if (map_get(&p->keys, str_of(in->key)) != NULL) {
        (void)refusal_wait(&in->refusal, ERR_IDEMPOTENCY_IN_PROGRESS,
                           "another request with this Idempotency-Key is being stored", 1);
        *ret = INTAKE_REFUSED;
        return true;
    }
    in->look = key_look_new(p, in->key, in->ticket);
    if (in->look != NULL) {
        key_look_begin(in->look, in->is_batch, key_came, in);
    }
    return true;
}

/* ---- what is asked for ----------------------------------------------------------------------- */

/* Sets the job's client: the caller, or the one that the body names. */
static bool settle_client(struct intake *in)
{
    struct submission *s = &in->submission;
    if (in->caller[0] == '\0' || (s->client != NULL && in->may_name_client)) {
        return true;
    }
    if (s->client != NULL && strcmp(s->client, in->caller) != 0) {
        return refusal_point(&in->refusal, ERR_FORBIDDEN,
                             "the client of a job is the name of its token; a token of the role "
                             "operate may say another one",
                             "/client");
    }
    free(s->client);
    s->client = mem_strdup(in->caller);
    return true;
}

static void others_came(void *ctx)
{
    const struct intake *in = ctx;
    pool_wake(in->pool, in->ticket);
}

/* True while the store is being asked about the jobs that this one is to follow. */
static bool must_wait_for_others(struct pool *p, struct intake *in)
{
    if (in->submission.after == NULL) {
        return false;
    }
    if (in->known == NULL) {
        in->known = known_jobs_new(p);
    }
    return known_jobs_must_wait(in->known, in->submission.after, others_came, in);
}

/* Checks that the jobs that this one is to follow exist. */
static bool check_after(struct pool *p, struct intake *in)
{
    const struct submission *s = &in->submission;
    struct str id = {"", 0};
    size_t place = 0;
    const enum err e = dependencies_check(p, in->wall, in->known, s->after, &id, &place);
    if (e != ERR_DEPENDENCY_NOT_FOUND) {
        return e == ERR_NONE || refusal_set(&in->refusal, e);
    }
    char pointer[48];
    (void)snprintf(pointer, sizeof pointer, "/after/%zu", place);
    for (size_t i = 0; i < s->attachments_len; i++) {
        if (str_is(id, s->attachments[i].job_id)) {
            (void)snprintf(pointer, sizeof pointer, "/attachments/%zu/job", i);
        }
    }
    return refusal_point(&in->refusal, e, "no job has this id; a chain is made of jobs that exist",
                         pointer);
}

/* Checks the webhook's address as far as it can be judged without a lookup. */
static bool check_webhook(struct pool *p, struct intake *in)
{
    const char *url = in->submission.webhook.url;
    return url == NULL || webhooks_may_call(p->webhooks, url) ||
           refusal_point(&in->refusal, ERR_FORBIDDEN,
                         "the webhook's address is not public; webhooks.allow of the configuration "
                         "can permit it",
                         "/webhook/url");
}

/* ---- the insert ------------------------------------------------------------------------------ */

static void inserted(void *ctx, enum err e)
{
    struct job *j = ctx;
    struct pool *p = j->pool;
    struct intake *in = j->insert.intake;
    const uint64_t ticket = in == NULL ? 0 : in->ticket;
    if (p->callers.wake == NULL) { /* the daemon stops; the next one finds what was stored */
        pending_remove(&p->pending);
        return;
    }
    if (in != NULL) {
        in->job = NULL;
        j->insert.intake = NULL;
    }
    if (e != ERR_NONE) {
        job_forget(j);
        if (in != NULL) {
            in->subject[0] = '\0';
            (void)refusal_set(&in->refusal, e);
            pool_wake(p, ticket);
        }
    } else {
        if (j->insert.key != NULL) {
            (void)map_remove(&p->keys, str_of(j->insert.key));
            free(j->insert.key);
            j->insert.key = NULL;
        }
        j->insert.stored = true;
        webhooks_take(p->webhooks, &j->end.outbox);
        publish_queued(j);
        job_admit(j);
        if (in != NULL) {
            pool_wake(p, ticket);
        }
        pool_dispatch(p);
    }
    pending_remove(&p->pending);
}

static void insert_job(struct pool *p, struct intake *in)
{
    struct job *j = job_new(p, &in->submission, in->known, in->trace);
    memcpy(in->subject, j->r.id, sizeof in->subject);
    j->insert.intake = in;
    in->job = j;
    struct key_record k = {.status = 202, .at = j->r.queued_at};
    j->insert.key = intake_pass_key(in, j);
    if (j->insert.key != NULL) {
        k.key = j->insert.key;
        memcpy(k.digest, in->digest, sizeof k.digest);
        memcpy(k.job_id, j->r.id, sizeof k.job_id);
    }
    webhooks_of_job(p->webhooks, &j->r, EVENT_QUEUED, NULL, &j->end.outbox);
    struct store_beside beside = outbox_beside(&j->end.outbox);
    beside.credentials = str_of(j->texts.credentials);
    pending_add(&p->pending);
    store_insert(p->store, &j->r, (struct str){j->texts.workflow, j->texts.workflow_len},
                 str_of(j->texts.extra_data), k.key == NULL ? NULL : &k, &beside, inserted, j);
}

/* ---- the steps ------------------------------------------------------------------------------- */

/* Checks a submission; INTAKE_STORED means here that it may be stored. */
static enum intake_step check(struct pool *p, struct intake *in)
{
    if (!check_webhook(p, in) || !settle_client(in)) {
        return INTAKE_REFUSED;
    }
    if (must_wait_for_others(p, in)) {
        return INTAKE_WAITS;
    }
    if (!check_after(p, in)) {
        return INTAKE_REFUSED;
    }
    if (inputs_must_wait(p, in)) {
        return INTAKE_WAITS;
    }
    if (!inputs_are_there(p, in)) {
        return INTAKE_REFUSED;
    }
    static const enum intake_step steps[] = {[ELIGIBLE_SURE] = INTAKE_STORED,
                                             [ELIGIBLE_REFUSED] = INTAKE_REFUSED,
                                             [ELIGIBLE_ASKING] = INTAKE_WAITS,
                                             [ELIGIBLE_TRIED] = INTAKE_TRIED};
    const enum intake_step step = steps[eligible_check(p, in)];
    const size_t jobs = in->is_batch ? in->submission.overrides_len : 1;
    const bool has_room = step != INTAKE_STORED ||
                          (intake_queue_has_room(p, jobs, &in->refusal) &&
                           intake_client_has_room(p, in->submission.client, jobs, &in->refusal));
    return has_room ? step : INTAKE_REFUSED;
}

static enum intake_step go_on(struct pool *p, struct intake *in)
{
    enum intake_step step;
    if (in->refusal.code != ERR_NONE) { /* while it waited */
        return INTAKE_REFUSED;
    }
    if (in->subject[0] != '\0') {
        return in->job != NULL || in->batch != NULL ? INTAKE_WAITS : INTAKE_STORED;
    }
    if (p->stopping) {
        (void)refusal_wait(&in->refusal, ERR_STORE_UNAVAILABLE, "the daemon is stopping", 5);
        return INTAKE_REFUSED;
    }
    if (key_decides(p, in, &step)) {
        return step;
    }
    step = check(p, in);
    if (step != INTAKE_STORED) {
        return step;
    }
    if (in->is_batch) {
        batch_begin(p, in);
    } else {
        insert_job(p, in);
    }
    return in->refusal.code == ERR_NONE ? INTAKE_WAITS : INTAKE_REFUSED;
}

enum intake_step pool_submit(struct pool *p, struct intake *in)
{
    in->pool = p;
    const enum intake_step step = go_on(p, in);
    if (step != INTAKE_WAITS) {
        drop_key(in);
        drop_known(in);
    }
    return step;
}
