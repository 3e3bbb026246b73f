/*
 * POST /jobs: the queue's limit, Idempotency-Keys, and the insert. 202 is sent when the job is
 * durable. A request that waits for its job comes here again, with rq->subject set.
 */
#include <stdio.h>
#include <stdlib.h>

#include "after.h"
#include "batches.h"
#include "clients.h"
#include "dispatch.h"
#include "eligible.h"
#include "inputs.h"
#include "jobs.h"
#include "serve.h"
#include "state.h"
#include "stats.h"
#include "submit.h"
#include "tell.h"
#include "walls.h"
#include "webhooks.h"

/* A key belongs to whoever sent it. Owner: the caller; NULL: none was sent. */
char *serve_key(const struct http_request *rq)
{
    if (rq->idempotency_key[0] == '\0') {
        return NULL;
    }
    AUTO_BUF struct buf b;
    buf_init(&b, HTTP_NAME_SIZE + HTTP_KEY_SIZE + 1);
    buf_printf(&b, "%s/%s", rq->caller, rq->idempotency_key);
    return buf_take(&b);
}

/* The job of a submission, new or of an earlier request with the same key. */
static void serve_submit_subject(struct pool *p, struct http_request *rq, struct http_ref x)
{
    struct job *j = job_find(p, serve_id(rq->subject));
    if (j != NULL && rq->waits && !rq->wait_over) {
        job_add_waiter(j, x);
        http_hold(p->server, x);
        return;
    }
    AUTO_FREE char *key = serve_key(rq);
    if (key != NULL && j == NULL && rq->replayed == 0) {
        store_set_key_status(p->store, key, 200);
    }
    serve_answer_job(p, rq, x, serve_id(rq->subject), 202);
}

static void inserted(void *ctx, enum err e)
{
    struct job *j = ctx;
    struct pool *p = j->pool;
    const struct http_ref x = j->submitter;
    if (p->server == NULL) { /* the daemon stops; the next one finds what was stored */
        pool_one_less(p, &p->writes);
        return;
    }
    if (e != ERR_NONE) {
        job_forget(j);
        serve_problem(p, x, e);
    } else {
        if (j->key != NULL) {
            (void)map_remove(&p->keys, str_of(j->key));
            free(j->key);
            j->key = NULL;
        }
        j->stored = true;
        webhooks_take(p, &j->outbox);
        tell_queued(j);
        job_admit(j);
        http_again(p->server, x);
        pool_dispatch(p);
    }
    pool_one_less(p, &p->writes);
}

/* The job of an earlier request: its first answer's status, and what it is now. */
static void replay(struct pool *p, struct http_request *rq, struct http_ref x,
                   const struct key_record *k)
{
    if (strcmp(k->digest, rq->body_digest) != 0) {
        http_problem(p->server, x, ERR_IDEMPOTENCY_KEY_REUSED,
                     "this Idempotency-Key came with another body before; use a new key for a new "
                     "job",
                     NULL);
        return;
    }
    const bool batch = rq->route == ROUTE_BATCH_SUBMIT;
    const char *wall = wall_of(p, rq);
    /* Its token may have submitted for another client, when its role was a larger one. */
    const enum err e = batch ? wall_batch(p, wall, k->job_id) : wall_job(p, wall, k->job_id);
    if (e != ERR_NONE) {
        serve_problem(p, x, e);
        return;
    }
    memcpy(rq->subject, k->job_id, sizeof rq->subject);
    rq->replayed = k->status;
    if (batch) {
        serve_batch_submit(p, rq, x);
    } else {
        serve_submit_subject(p, rq, x);
    }
}

bool serve_key_decides(struct pool *p, struct http_request *rq, struct http_ref x, const char *key)
{
    if (key == NULL) {
        return false;
    }
    if (map_get(&p->keys, str_of(key)) != NULL) {
        http_problem_retry(p->server, x, ERR_IDEMPOTENCY_IN_PROGRESS,
                           "another request with this Idempotency-Key is being stored", 1);
        return true;
    }
    struct key_record k = {0};
    const enum err e = store_get_key(p->store, key, time_wall(), &k);
    if (e != ERR_NONE) {
        serve_problem(p, x, e);
    } else if (k.key != NULL) {
        replay(p, rq, x, &k);
    }
    const bool decided = e != ERR_NONE || k.key != NULL;
    key_record_done(&k);
    return decided;
}

/* Seconds until a place is free, by the rate at which jobs ended in the last minute. */
int serve_drain_seconds(const struct pool *p)
{
    const unsigned ended = stats_ended_last_minute(p);
    return ended == 0 ? 60 : (int)((60 + ended - 1) / ended);
}

bool serve_queue_is_full(struct pool *p, size_t more, struct http_ref x)
{
    const bool full = p->jobs.len - p->attempts + more > p->options.queue_limit;
    if (full) {
        http_problem_retry(p->server, x, ERR_QUEUE_FULL,
                           more == 1 ? "queue.limit jobs are waiting already; try again later"
                                     : "queue.limit has no room for so many jobs; try again later, "
                                       "or with fewer",
                           serve_drain_seconds(p));
    }
    return full;
}

bool serve_client_is_full(struct pool *p, const char *client, size_t more, struct http_ref x)
{
    const bool full = !client_has_room(p, client, more);
    if (full) {
        http_problem_retry(p->server, x, ERR_QUEUE_FULL,
                           "jobs.maxPerClient: this client has as many queued and running jobs as "
                           "it may have; try again later",
                           serve_drain_seconds(p));
    }
    return full;
}

bool serve_client(struct pool *p, struct http_request *rq, struct http_ref x)
{
    struct submission *s = &rq->submission;
    if (rq->caller[0] == '\0' || (s->client != NULL && rq->role == ROLE_OPERATE)) {
        return true;
    }
    if (s->client != NULL && strcmp(s->client, rq->caller) != 0) {
        http_problem(p->server, x, ERR_FORBIDDEN,
                     "the client of a job is the name of its token; a token of the role operate "
                     "may say another one",
                     "/client");
        return false;
    }
    free(s->client);
    s->client = mem_strdup(rq->caller);
    return true;
}

bool serve_after(struct pool *p, const struct http_request *rq, struct http_ref x)
{
    const struct submission *s = &rq->submission;
    struct str id = {"", 0};
    size_t place = 0;
    const enum err e = after_check(p, wall_of(p, rq), s->after, &id, &place);
    if (e == ERR_NONE) {
        return true;
    }
    char pointer[48];
    (void)snprintf(pointer, sizeof pointer, "/after/%zu", place);
    for (size_t i = 0; i < s->attachments_len; i++) {
        if (str_is(id, s->attachments[i].job_id)) {
            (void)snprintf(pointer, sizeof pointer, "/attachments/%zu/job", i);
        }
    }
    if (e == ERR_DEPENDENCY_NOT_FOUND) {
        http_problem(p->server, x, e, "no job has this id; a chain is made of jobs that exist",
                     pointer);
    } else {
        serve_problem(p, x, e);
    }
    return false;
}

/* The address of its webhook may be told at once. */
bool serve_may_call(struct pool *p, const struct http_request *rq, struct http_ref x)
{
    const char *url = rq->submission.webhook.url;
    const bool may = url == NULL || webhooks_may_call(p, url);
    if (!may) {
        http_problem(p->server, x, ERR_FORBIDDEN,
                     "the webhook's address is not public; webhooks.allow of the configuration "
                     "can permit it",
                     "/webhook/url");
    }
    return may;
}

static void submit_new(struct pool *p, struct http_request *rq, struct http_ref x, const char *key)
{
    struct job *j = job_new(p, rq);
    memcpy(rq->subject, j->r.id, sizeof rq->subject);
    j->submitter = x;
    struct key_record k = {.status = 202, .at = j->r.queued_at};
    if (key != NULL) {
        j->key = mem_strdup(key);
        (void)map_put(&p->keys, str_of(j->key), j);
        k.key = j->key;
        memcpy(k.digest, rq->body_digest, sizeof k.digest);
        memcpy(k.job_id, j->r.id, sizeof k.job_id);
    }
    webhooks_of_job(p, &j->r, EVENT_QUEUED, NULL, &j->outbox);
    struct store_beside beside = outbox_beside(&j->outbox);
    beside.credentials = str_of(j->credentials);
    p->writes++;
    store_insert(p->store, &j->r, (struct str){j->workflow, j->workflow_len}, str_of(j->extra_data),
                 key == NULL ? NULL : &k, &beside, inserted, j);
}

void serve_submit(struct pool *p, struct http_request *rq, struct http_ref x)
{
    if (rq->subject[0] != '\0') { /* its job is stored */
        serve_submit_subject(p, rq, x);
        return;
    }
    if (p->stopping) {
        http_problem_retry(p->server, x, ERR_STORE_UNAVAILABLE, "the daemon is stopping", 5);
        return;
    }
    AUTO_FREE char *key = serve_key(rq);
    if (!rq->dry_run && serve_key_decides(p, rq, x, key)) {
        return;
    }
    if (!serve_may_call(p, rq, x) || !serve_client(p, rq, x) || !serve_after(p, rq, x) ||
        !inputs_resolve(p, rq, x) || !eligible_serve(p, rq, x) || serve_queue_is_full(p, 1, x) ||
        serve_client_is_full(p, rq->submission.client, 1, x)) {
        return;
    }
    submit_new(p, rq, x, key);
}
