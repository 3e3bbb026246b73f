/*
 * What people want of a job that is there: to be cancelled, to be moved in the queue, to be tried
 * again, to be deleted.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comfypool/base/pending.h"
#include "comfypool/core/credentials.h"
#include "comfypool/files/output_copies.h"
#include "comfypool/notify/webhooks.h"
#include "comfypool/pool/jobs.h"
#include "comfypool/store/batches.h"
#include "comfypool/store/jobs.h"
#include "comfypool/store/store.h"

#include "changes.h"
#include "event_publish.h"
#include "inputs.h"
#include "intake.h"
#include "job_texts.h"
#include "jobs.h"
#include "state.h"

static struct job *find(struct pool *p, const char *id)
{
    return job_find(p, (struct str){id, UUID_TEXT});
}

/* ---- cancel ---------------------------------------------------------------------------------- */

/* Who waits for the mark of a running job's cancel to be durable. */
struct marking {
    struct pool *pool;
    uint64_t ticket;
    char job_id[UUID_SIZE];
};

static void marked(void *ctx)
{
    struct marking *m = ctx;
    struct pool *p = m->pool;
    struct job *j = find(p, m->job_id);
    if (j != NULL) {
        j->end.cancel_durable = true;
    }
    pool_wake(p, m->ticket);
    free(m);
    pending_remove(&p->pending);
}

static void mark_cancel(struct job *j, uint64_t ticket)
{
    struct marking *m = mem_alloc(sizeof *m);
    *m = (struct marking){.pool = j->pool, .ticket = ticket};
    memcpy(m->job_id, j->r.id, sizeof m->job_id);
    pending_add(&j->pool->pending);
    store_mark_cancel(j->pool->store, &j->r, marked, m);
}

bool pool_cancel_job(struct pool *p, const char *id, uint64_t ticket)
{
    struct job *j = find(p, id);
    if (j != NULL && !j->r.cancel_requested) {
        job_cancel(j);
    }
    if (j == NULL || !store_is_writable(p->store)) { /* nobody knows when it will be durable */
        return false;
    }
    if (j->end.ending || j->r.state == JOB_QUEUED) { /* its end is being stored */
        job_add_waiter(j, ticket);
        return true;
    }
    if (!j->end.cancel_durable) {
        mark_cancel(j, ticket);
        return true;
    }
    return false;
}

/* ---- delete ---------------------------------------------------------------------------------- */

bool pool_delete_job(struct pool *p, const char *id, pool_done_fn done, void *ctx,
                     struct refusal *ret)
{
    if (find(p, id) != NULL) {
        return refusal_say(ret, ERR_JOB_ACTIVE,
                           "only a job that has ended can be deleted; cancel it first");
    }
    struct job_record r = {0};
    const enum err e = store_get_job(p->store, (struct str){id, UUID_TEXT}, &r);
    if (e == ERR_NONE) {
        copies_forget(p->copies, id);
        store_delete(p->store, r.seq, change_stored, change_new(p, id, done, ctx));
    }
    job_record_done(&r);
    return e == ERR_NONE || refusal_set(ret, e);
}

/* ---- priority -------------------------------------------------------------------------------- */

bool pool_change_priority(struct pool *p, const char *id, int priority, pool_done_fn done,
                          void *ctx, struct refusal *ret)
{
    if (!change_is_storable(p, ret)) {
        return false;
    }
    struct job *j = find(p, id);
    if (j == NULL || !job_waits(j)) {
        struct job_record r = {0};
        const enum err e =
            j != NULL ? ERR_NONE : store_get_job(p->store, (struct str){id, UUID_TEXT}, &r);
        job_record_done(&r);
        return e != ERR_NONE ? refusal_set(ret, e)
                             : refusal_say(ret, ERR_JOB_NOT_QUEUED,
                                           "the priority can be changed while the job is queued");
    }
    const bool is_in_queue = heap_holds(&j->entry.node);
    j->r.priority = priority;
    if (is_in_queue) {
        queue_remove(&p->queue, &j->entry);
        job_enqueue(j);
    }
    store_update_job(p->store, &j->r, NULL, change_stored, change_new(p, id, done, ctx));
    return true;
}

/* ---- retry ----------------------------------------------------------------------------------- */

/* Its row may be gone by now (DELETE, retention): then it never was. */
static void revived(void *ctx, bool found)
{
    struct change *c = ctx;
    struct pool *p = c->pool;
    struct job *j = find(p, c->job_id);
    if (j != NULL && !found) {
        job_forget(j);
    } else if (j != NULL && p->callers.wake != NULL) {
        j->insert.stored = true;
        webhooks_take(p->webhooks, &j->end.outbox);
        publish_queued(j);
        job_wait_first(j);
    }
    change_over(c, found ? ERR_NONE : ERR_JOB_NOT_FOUND);
}

/* It has the account keys that it needs, or is given them. */
static bool has_keys(const struct job_record *r, unsigned given, struct refusal *ret)
{
    const unsigned lacks = (r->credentials & CREDENTIALS_GONE) != 0 ? r->credentials & ~given : 0;
    AUTO_BUF struct buf why;
    buf_init(&why, 512);
    for (int i = 0; i < CREDENTIAL_COUNT; i++) {
        if ((lacks >> i & 1u) != 0) {
            buf_printf(&why, "%s%s", why.len == 0 ? "" : " and ",
                       credential_name((enum credential)i));
        }
    }
    if (why.len == 0) {
        return true;
    }
    buf_add_text(&why, " left the store when the job ended; send them again: {\"extraData\": "
                       "{\"NAME\": \"...\"}}");
    return refusal_point(ret, ERR_CREDENTIALS_GONE, buf_text(&why), "/extraData");
}

/* What is given beside account keys must be what the job has. */
static bool keeps_extra_data(struct pool *p, const struct store_active *found, const char *given,
                             struct refusal *ret)
{
    struct store_batch batch = {.workflow = NULL};
    enum err e = ERR_NONE;
    if (given != NULL && found->job.batch_id[0] != '\0') {
        e = store_get_batch(p->store, found->job.batch_id, &batch);
    }
    const char *extra = batch.workflow != NULL ? batch.extra_data : found->extra_data;
    AUTO_BUF struct buf other;
    buf_init(&other, BUF_NO_LIMIT);
    const bool same = credentials_are_all(str_of(given), str_of(extra), &other);
    store_batch_done(&batch);
    if (e != ERR_NONE && e != ERR_BATCH_NOT_FOUND) {
        return refusal_set(ret, e);
    }
    if (same) {
        return true;
    }
    AUTO_BUF struct buf why;
    buf_init(&why, BUF_NO_LIMIT);
    buf_printf(&why,
               "extraData: %.100s is another one than the job was submitted with; only account "
               "keys can be given anew",
               buf_text(&other));
    return refusal_point(ret, ERR_MEMBER_INVALID, buf_text(&why), "/extraData");
}

/* A file that its client has deleted is none, though somebody else may have sent the same. */
static bool may_be_retried(struct pool *p, const struct job_record *r, const char *wall,
                           struct refusal *ret)
{
    if (r->state != JOB_FAILED && r->state != JOB_CANCELLED) {
        return refusal_say(ret, ERR_JOB_NOT_RETRIABLE,
                           "only a failed or a cancelled job can be tried again");
    }
    if (!inputs_are_kept(p, wall, r->attachments)) {
        return refusal_say(ret, ERR_JOB_NOT_RETRIABLE,
                           "a file that it is given is not kept any more; PUT it to /uploads "
                           "first");
    }
    return intake_client_has_room(p, r->client, 1, ret);
}

static void revive(struct pool *p, struct store_active *take, char **extra_data, struct change *c)
{
    struct job *j = job_revive(p, take);
    job_take_credentials(j, extra_data);
    webhooks_of_job(p->webhooks, &j->r, EVENT_QUEUED, NULL, &j->end.outbox);
    struct store_beside beside = outbox_beside(&j->end.outbox);
    beside.credentials = str_of(j->texts.credentials);
    store_revive_job(p->store, &j->r, &beside, revived, c);
}

bool pool_retry_job(struct pool *p, const char *id, const char *wall, char **extra_data,
                    pool_done_fn done, void *ctx, struct refusal *ret)
{
    if (!change_is_storable(p, ret) || !intake_queue_has_room(p, 1, ret)) {
        return false;
    }
    if (find(p, id) != NULL) {
        return refusal_say(ret, ERR_JOB_NOT_RETRIABLE, "it has not ended");
    }
    struct store_active found = {.has_attempt = false};
    const enum err e = store_load_job(p->store, (struct str){id, UUID_TEXT}, &found);
    bool good = e == ERR_NONE || refusal_set(ret, e);
    good = good && may_be_retried(p, &found.job, wall, ret) &&
           has_keys(&found.job, credentials_in(str_of(*extra_data)), ret) &&
           keeps_extra_data(p, &found, *extra_data, ret);
    if (good) {
        revive(p, &found, extra_data, change_new(p, id, done, ctx));
    }
    job_record_done(&found.job);
    free(found.workflow);
    free(found.extra_data);
    free(found.credentials);
    return good;
}
