/*
 * Requests about existing jobs: cancel, delete, change of priority, retry.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comfypool/base/list.h"
#include "comfypool/base/pending.h"
#include "comfypool/core/credentials.h"
#include "comfypool/files/output_copies.h"
#include "comfypool/notify/webhooks.h"
#include "comfypool/pool/jobs.h"
#include "comfypool/store/finds.h"
#include "comfypool/store/jobs.h"
#include "comfypool/store/store.h"

#include "changes.h"
#include "dependencies.h"
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

/* A request that waits until the cancel mark of a running job is durable. */
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
    if (j == NULL || !store_is_writable(p->store)) { /* it is unknown when it will be durable */
        return false;
    }
    if (j->end.ending || j->r.state == JOB_QUEUED) { /* the end is being stored */
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

static const char not_ended[] = "only a job that has ended can be deleted; cancel it first";

static void delete_found(void *ctx, const struct store_found *f)
{
    struct change *c = ctx;
    struct pool *p = c->pool;
    struct refusal why;
    if (p->stopping || f->error != ERR_NONE) {
        change_fail(c, p->stopping ? ERR_STORE_UNAVAILABLE : f->error);
    } else if (find(p, c->job_id) != NULL) { /* queued again meanwhile */
        (void)refusal_say(&why, ERR_JOB_ACTIVE, not_ended);
        change_refuse(c, &why);
    } else {
        copies_forget(p->copies, c->job_id);
        store_delete(p->store, f->job->seq, change_stored, c);
    }
}

/* Asks the store for a job that is not active. */
static void ask(struct change *c, unsigned wants, store_found_fn found, void *ctx)
{
    struct store_wish wish = {.wants = wants};
    memcpy(wish.id, c->job_id, sizeof wish.id);
    store_find_job(c->pool->store, &wish, NULL, found, ctx);
}

void pool_delete_job(struct pool *p, const char *id, pool_done_fn done, void *ctx)
{
    struct change *c = change_new(p, id, done, ctx);
    struct refusal why;
    if (find(p, id) != NULL) {
        (void)refusal_say(&why, ERR_JOB_ACTIVE, not_ended);
        change_refuse(c, &why);
    } else {
        ask(c, 0, delete_found, c);
    }
}

/* ---- priority -------------------------------------------------------------------------------- */

static void refuse_priority(struct change *c)
{
    struct refusal why;
    (void)refusal_say(&why, ERR_JOB_NOT_QUEUED,
                      "the priority can be changed while the job is queued");
    change_refuse(c, &why);
}

static void change_priority(struct job *j, int priority, struct change *c)
{
    struct pool *p = j->pool;
    if (!job_waits(j)) {
        refuse_priority(c);
        return;
    }
    const bool is_in_queue = heap_holds(&j->entry.node);
    j->r.priority = priority;
    if (is_in_queue) {
        queue_remove(&p->queue, &j->entry);
        job_enqueue(j);
    }
    store_update_job(p->store, &j->r, NULL, change_stored, c);
}

/* A change of priority that waits for the store. */
struct prioritizing {
    struct change *change;
    int priority;
};

static void priority_found(void *ctx, const struct store_found *f)
{
    const struct prioritizing t = *(struct prioritizing *)ctx;
    struct job *j = find(t.change->pool, t.change->job_id);
    free(ctx);
    if (f->error != ERR_NONE) {
        change_fail(t.change, f->error);
    } else if (j != NULL) { /* queued again meanwhile */
        change_priority(j, t.priority, t.change);
    } else {
        refuse_priority(t.change);
    }
}

void pool_change_priority(struct pool *p, const char *id, int priority, pool_done_fn done,
                          void *ctx)
{
    struct change *c = change_new(p, id, done, ctx);
    struct job *j = find(p, id);
    struct refusal why;
    if (!change_is_storable(p, &why)) {
        change_refuse(c, &why);
    } else if (j != NULL) {
        change_priority(j, priority, c);
    } else {
        struct prioritizing *t = mem_alloc(sizeof *t);
        *t = (struct prioritizing){c, priority};
        ask(c, 0, priority_found, t);
    }
}

/* ---- retry ----------------------------------------------------------------------------------- */

/* Called when the retry is stored. The row may be gone (DELETE, retention): then the retry never
   was. */
static void revived(void *ctx, bool found)
{
    struct change *c = ctx;
    struct pool *p = c->pool;
    struct job *j = find(p, c->job_id);
    if (j != NULL && !found) {
        dependencies_vanished(j);
        job_forget(j);
    } else if (j != NULL && p->callers.wake != NULL) {
        j->insert.stored = true;
        webhooks_take(p->webhooks, &j->end.outbox);
        publish_queued(j);
        job_wait_first(j);
    }
    if (found) {
        change_stored(c);
    } else {
        change_fail(c, ERR_JOB_NOT_FOUND);
    }
}

/* Checks that the job has the account keys that it needs, or is given them. */
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

/* Checks that anything given beside account keys equals what the job has. */
static bool keeps_extra_data(const struct store_found *f, const char *given, struct refusal *ret)
{
    const char *extra = f->batch != NULL ? f->batch->extra_data : f->whole->extra_data;
    AUTO_BUF struct buf other;
    buf_init(&other, BUF_NO_LIMIT);
    if (credentials_are_all(str_of(given), str_of(extra), &other)) {
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

/* Checks state, files and room. A file that its client has deleted is missing, even if another
   client sent the same. */
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

/* A retry that waits for the store. */
struct retrying {
    struct change *change;
    struct retrying *next, **link; /* in pool->retries */
    bool is_old;                   /* another request has retried the job since the question */
    char *wall;                    /* or NULL */
    char *extra_data;              /* extra data that is given anew, or NULL */
};

static void retrying_free(struct retrying *t)
{
    list_remove(t, next, link);
    free(t->wall);
    free(t->extra_data);
    free(t);
}

static void revive(struct pool *p, const struct store_found *f, struct retrying *t)
{
    struct job *j = job_revive(p, f->whole, f->batch);
    job_take_credentials(j, &t->extra_data);
    webhooks_of_job(p->webhooks, &j->r, EVENT_QUEUED, NULL, &j->end.outbox);
    struct store_beside beside = outbox_beside(&j->end.outbox);
    beside.credentials = str_of(j->texts.credentials);
    store_revive_job(p->store, &j->r, &beside, revived, t->change);
    for (struct retrying *other = p->retries; other != NULL; other = other->next) {
        other->is_old = other->is_old || strcmp(other->change->job_id, j->r.id) == 0;
    }
}

/* Checked before the store is asked, and again after. */
static bool has_room(struct pool *p, const char *id, struct refusal *ret)
{
    if (p->stopping) {
        return refusal_set(ret, ERR_STORE_UNAVAILABLE);
    }
    return change_is_storable(p, ret) && intake_queue_has_room(p, 1, ret) &&
           (find(p, id) == NULL || refusal_say(ret, ERR_JOB_NOT_RETRIABLE, "it has not ended"));
}

static void ask_for_retry(struct retrying *t);

static void retry_found(void *ctx, const struct store_found *f)
{
    struct retrying *t = ctx;
    struct change *c = t->change;
    struct pool *p = c->pool;
    struct refusal why;
    if (t->is_old && f->error == ERR_NONE && find(p, c->job_id) == NULL) {
        ask_for_retry(t); /* it has ended anew: what was read may be how it ended before */
        return;
    }
    const bool good = (f->error == ERR_NONE || refusal_set(&why, f->error)) &&
                      has_room(p, c->job_id, &why) && may_be_retried(p, f->job, t->wall, &why) &&
                      has_keys(f->job, credentials_in(str_of(t->extra_data)), &why) &&
                      keeps_extra_data(f, t->extra_data, &why);
    if (good) {
        revive(p, f, t);
    } else {
        change_refuse(c, &why);
    }
    retrying_free(t);
}

static void ask_for_retry(struct retrying *t)
{
    t->is_old = false;
    ask(t->change, STORE_WANT_TEXTS | STORE_WANT_BATCH, retry_found, t);
}

void pool_retry_job(struct pool *p, const char *id, const char *wall, char **take_extra_data,
                    pool_done_fn done, void *ctx)
{
    struct change *c = change_new(p, id, done, ctx);
    struct refusal why;
    if (!has_room(p, id, &why)) {
        change_refuse(c, &why);
        return;
    }
    struct retrying *t = mem_alloc(sizeof *t);
    *t = (struct retrying){.change = c, .wall = mem_strdup(wall), .extra_data = *take_extra_data};
    *take_extra_data = NULL;
    list_push(&p->retries, t, next, link);
    ask_for_retry(t);
}
