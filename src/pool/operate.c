/*
 * What people change while the daemon runs: backends, the queue, a job's priority, another try of a
 * job. Everything is durable before it is answered, and outlives a restart: what people said of a
 * backend lies over what is configured.
 */
#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/json_write.h"
#include "comfypool/base/log.h"
#include "comfypool/core/credentials.h"
#include "backends.h"
#include "dispatch.h"
#include "eligible.h"
#include "inputs.h"
#include "job_texts.h"
#include "jobs.h"
#include "operate.h"
#include "serve.h"
#include "state.h"
#include "stats.h"
#include "submit.h"
#include "tell.h"
#include "trust.h"
#include "unlisted.h"
#include "walls.h"
#include "webhooks.h"

/* Who waits for a change to be durable. */
struct change {
    struct pool *pool;
    struct http_ref x;
    unsigned status;
    char backend[HTTP_NAME_SIZE];
    char job_id[UUID_SIZE];
};

static struct change *change_new(struct pool *p, const struct http_request *rq, struct http_ref x,
                                 unsigned status)
{
    struct change *c = mem_alloc(sizeof *c);
    *c = (struct change){.pool = p, .x = x, .status = status};
    (void)snprintf(c->backend, sizeof c->backend, "%s", rq->backend);
    (void)snprintf(c->job_id, sizeof c->job_id, "%s", rq->job_id);
    p->writes++;
    return c;
}

/* A change that could not be stored would be forgotten at the next start: it is not made. */
static bool is_storable(struct pool *p, struct http_ref x)
{
    if (!store_is_writable(p->store)) {
        serve_problem(p, x, ERR_STORE_UNAVAILABLE);
        return false;
    }
    return true;
}

/* True when it may be answered; else it was, or nobody is there any more. */
static bool change_is_good(const struct change *c, enum err e)
{
    if (c->pool->server != NULL && e != ERR_NONE) {
        serve_problem(c->pool, c->x, e);
    }
    return c->pool->server != NULL && e == ERR_NONE;
}

static void change_done(struct change *c)
{
    struct pool *p = c->pool;
    free(c);
    pool_one_less(p, &p->writes);
}

/* ---- backends ---------------------------------------------------------------------------------
 */

static void backend_changed(void *ctx, enum err e)
{
    struct change *c = ctx;
    if (change_is_good(c, e)) {
        const struct backend *b = map_get(&c->pool->backends_by_name, str_of(c->backend));
        struct http_answer a = http_answer_new(c->status);
        struct js_out o = js_out_to(&a.body);
        if (b != NULL && c->status != 204) {
            stats_render_backend(&o, b);
        }
        if (c->status == 201) {
            AUTO_BUF struct buf name; /* perhaps its URL */
            buf_init(&name, BUF_NO_LIMIT);
            url_encode(&name, str_of(c->backend));
            (void)snprintf(a.location, sizeof a.location, "/backends/%s", buf_text(&name));
        }
        http_answer(c->pool->server, c->x, &a);
    }
    change_done(c);
}

static struct backend *find(struct pool *p, const struct http_request *rq, struct http_ref x)
{
    struct backend *b = map_get(&p->backends_by_name, str_of(rq->backend));
    if (b == NULL || b->removing) {
        http_problem(p->server, x, ERR_BACKEND_NOT_FOUND, "GET /backends lists the backends", NULL);
        return NULL;
    }
    return is_storable(p, x) ? b : NULL;
}

/* The row of what people said of it, made when nothing was said yet. */
static struct backend_record *own_of(struct backend *b)
{
    if (b->own.name == NULL) {
        b->own =
            (struct backend_record){.name = mem_strdup(b->name), .weight = -1, .max_in_flight = -1};
    }
    return &b->own;
}

static void take_change(struct backend_record *own, struct backend_change *take)
{
    own->weight = take->weight >= 0 ? take->weight : own->weight;
    own->max_in_flight = take->max_in_flight >= 0 ? take->max_in_flight : own->max_in_flight;
    if (take->labels != NULL) {
        free(own->labels);
        own->labels = take->labels;
        take->labels = NULL;
    }
}

static void apply_and_store(struct backend *b, const struct http_request *rq, struct http_ref x,
                            unsigned status)
{
    struct pool *p = b->pool;
    backend_apply_own(b);
    backend_settle(b);
    store_put_backend(p->store, &b->own, backend_changed, change_new(p, rq, x, status));
}

void serve_backend_change(struct pool *p, struct http_request *rq, struct http_ref x)
{
    struct backend *b = find(p, rq, x);
    if (b != NULL) {
        take_change(own_of(b), &rq->backend_change);
        trust_forget_refusals(b);
        apply_and_store(b, rq, x, 200);
    }
}

/* drain, resume, quarantine. */
void serve_backend_admin(struct pool *p, struct http_request *rq, struct http_ref x)
{
    struct backend *b = find(p, rq, x);
    if (b == NULL) {
        return;
    }
    own_of(b)->admin = rq->route == ROUTE_BACKEND_DRAIN        ? ADMIN_DRAINED
                       : rq->route == ROUTE_BACKEND_QUARANTINE ? ADMIN_QUARANTINED
                                                               : ADMIN_NONE;
    if (rq->route == ROUTE_BACKEND_RESUME) { /* somebody has looked at it */
        trust_forget_refusals(b);
        if (b->trust.quarantine != QUARANTINE_HELD) {
            backend_lift_quarantine(b, true);
        }
    }
    apply_and_store(b, rq, x, 200);
}

void serve_backend_refresh(struct pool *p, struct http_request *rq, struct http_ref x)
{
    struct backend *b = map_get(&p->backends_by_name, str_of(rq->backend));
    if (b == NULL || b->removing) {
        http_problem(p->server, x, ERR_BACKEND_NOT_FOUND, "GET /backends lists the backends", NULL);
        return;
    }
    ability_forget_refusals(&p->ability, b->id); /* somebody put there what it lacked */
    eligible_changed(p);
    eligible_read(b);
    backend_settle(b);
    struct http_answer a = http_answer_new(202);
    struct js_out o = js_out_to(&a.body);
    stats_render_backend(&o, b);
    http_answer(p->server, x, &a);
}

/* "host:port" when no name was given; the change's name is then set. */
static void name_change(struct backend_change *c)
{
    AUTO_BUF struct buf url;
    AUTO_BUF struct buf name;
    buf_init(&url, 65536);
    buf_init(&name, HTTP_NAME_SIZE - 1);
    if (c->name == NULL) {
        comfy_url_clean(c->url, &url, &name);
        c->name = buf_take(&name);
    }
}

/* There is one of this name. When it is on its way out, this takes the DELETE back. */
static void add_again(struct backend *b, struct http_request *rq, struct http_ref x)
{
    struct pool *p = b->pool;
    struct backend_change *c = &rq->backend_change;
    if (b->removing && backend_has_url(b, c->url)) {
        deadline_clear(&p->deadlines, &b->reap);
        b->removing = false;
        own_of(b)->removed = false;
        take_change(&b->own, c);
        (void)snprintf(rq->backend, sizeof rq->backend, "%s", b->name);
        apply_and_store(b, rq, x, 201);
        return;
    }
    http_problem(p->server, x, ERR_BACKEND_EXISTS,
                 b->removing
                     ? "one of this name, with another URL, goes when its prompts have ended"
                     : "PATCH /backends/<name> changes it; DELETE removes it",
                 "/name");
}

/* The backend with this URL, as --check-config compares them; NULL: there is none. */
static const struct backend *find_server(const struct pool *p, const char *url)
{
    AUTO_BUF struct buf clean;
    AUTO_BUF struct buf name;
    buf_init(&clean, BUF_NO_LIMIT);
    buf_init(&name, BUF_NO_LIMIT);
    comfy_url_clean(url, &clean, &name);
    for (size_t i = 0; i < p->backends_len; i++) {
        if (strcmp(p->backends[i]->url, buf_text(&clean)) == 0) {
            return p->backends[i];
        }
    }
    return NULL;
}

/* A server under two names would be given twice what it takes. */
static void refuse_twin(const struct backend *b, struct http_ref x)
{
    char why[HTTP_NAME_SIZE + 160];
    (void)snprintf(why, sizeof why, "this is the server of the backend \"%s\"%s", b->name,
                   b->removing ? ", which goes when its prompts have ended"
                               : "; PATCH /backends/<name> changes it; DELETE removes it");
    http_problem(b->pool->server, x, ERR_BACKEND_EXISTS, why, "/url");
}

void serve_backend_add(struct pool *p, struct http_request *rq, struct http_ref x)
{
    struct backend_change *c = &rq->backend_change;
    char why[160];
    if (!comfy_url_check(c->url, why, sizeof why)) {
        http_problem(p->server, x, ERR_MEMBER_INVALID, why, "/url");
        return;
    }
    name_change(c);
    if (!is_storable(p, x)) {
        return;
    }
    struct backend *there = map_get(&p->backends_by_name, str_of(c->name));
    if (there != NULL) {
        add_again(there, rq, x);
        return;
    }
    const struct backend *twin = find_server(p, c->url);
    if (twin != NULL) {
        refuse_twin(twin, x);
        return;
    }
    struct backend_record own = {.name = c->name, .url = c->url, .weight = -1, .max_in_flight = -1};
    c->name = c->url = NULL;
    take_change(&own, c);
    (void)snprintf(rq->backend, sizeof rq->backend, "%s", own.name);
    struct backend *b = backend_new(p, NULL, &own);
    LOG(LOG_INFO, "backend added", LOG_S("backend", b->name), LOG_S("url", b->url));
    apply_and_store(b, rq, x, 201);
}

void serve_backend_remove(struct pool *p, struct http_request *rq, struct http_ref x)
{
    struct backend *b = find(p, rq, x);
    if (b == NULL) {
        return;
    }
    b->removing = true;
    unlisted_forget(b);
    backend_settle(b);
    own_of(b)->removed = true; /* the row of an added one goes when it goes */
    store_put_backend(p->store, &b->own, backend_changed, change_new(p, rq, x, 204));
    backend_maybe_reap(b);
}

/* ---- the queue --------------------------------------------------------------------------------
 */

static void queue_changed(void *ctx, enum err e)
{
    struct change *c = ctx;
    if (change_is_good(c, e)) {
        struct http_answer a = http_answer_new(200);
        buf_printf(&a.body, "{\"paused\":%s}", c->pool->paused ? "true" : "false");
        http_answer(c->pool->server, c->x, &a);
    }
    change_done(c);
}

void serve_queue_pause(struct pool *p, struct http_request *rq, struct http_ref x)
{
    if (!is_storable(p, x)) {
        return;
    }
    p->paused = rq->route == ROUTE_QUEUE_PAUSE;
    LOG_PLAIN(LOG_INFO, p->paused ? "the queue is paused" : "the queue goes on");
    store_put_setting(p->store, "queue.paused", p->paused ? "true" : "false", queue_changed,
                      change_new(p, rq, x, 200));
    pool_dispatch(p);
}

/* ---- jobs -------------------------------------------------------------------------------------
 */

static void job_changed(void *ctx, enum err e)
{
    struct change *c = ctx;
    if (change_is_good(c, e)) {
        struct http_request rq = {.route = c->status == 202 ? ROUTE_RETRY : ROUTE_CHANGE};
        serve_answer_job(c->pool, &rq, c->x, (struct str){c->job_id, UUID_TEXT}, c->status);
    }
    change_done(c);
}

void serve_change(struct pool *p, struct http_request *rq, struct http_ref x)
{
    if (!is_storable(p, x)) {
        return;
    }
    const struct str id = {rq->job_id, UUID_TEXT};
    struct job *j = job_find(p, id);
    const bool waits = j != NULL && heap_holds(&j->entry.node);
    if (j == NULL || !job_waits(j)) {
        const enum err e = serve_is_stored(p, rq->job_id);
        if (e != ERR_NONE) {
            serve_problem(p, x, e);
        } else {
            http_problem(p->server, x, ERR_JOB_NOT_QUEUED,
                         "the priority can be changed while the job is queued", NULL);
        }
        return;
    }
    j->r.priority = rq->priority;
    if (waits) {
        queue_remove(&p->queue, &j->entry);
        job_enqueue(j);
    }
    store_update_job(p->store, &j->r, NULL, job_changed, change_new(p, rq, x, 200));
}

/* Its row may be gone by now (DELETE, retention): then it never was. */
static void revived(void *ctx, enum err e)
{
    struct change *c = ctx;
    struct job *j = job_find(c->pool, (struct str){c->job_id, UUID_TEXT});
    if (j != NULL && e != ERR_NONE) {
        job_forget(j);
        e = ERR_JOB_NOT_FOUND;
    } else if (j != NULL && c->pool->server != NULL) {
        j->stored = true;
        webhooks_take(j->pool, &j->outbox);
        tell_queued(j);
        job_wait_first(j);
    }
    job_changed(c, e);
}

/* The account keys that it needs and that are not given; true when it was said. */
static bool lacks_keys(struct pool *p, const struct job_record *r, unsigned given,
                       struct http_ref x)
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
        return false;
    }
    buf_add_text(&why, " left the store when the job ended; send them again: {\"extraData\": "
                       "{\"NAME\": \"...\"}}");
    http_problem(p->server, x, ERR_CREDENTIALS_GONE, buf_text(&why), "/extraData");
    return true;
}

/* What the body has beside account keys must be what the job has; true when it is not, and that was
   said. */
static bool changes_extra_data(struct pool *p, const struct store_active *found, const char *given,
                               struct http_ref x)
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
        serve_problem(p, x, e);
    } else if (!same) {
        AUTO_BUF struct buf why;
        buf_init(&why, BUF_NO_LIMIT);
        buf_printf(&why,
                   "extraData: %.100s is another one than the job was submitted with; only account "
                   "keys can be given anew",
                   buf_text(&other));
        http_problem(p->server, x, ERR_MEMBER_INVALID, buf_text(&why), "/extraData");
        return true;
    }
    return e != ERR_NONE && e != ERR_BATCH_NOT_FOUND;
}

/* What speaks against a job that has ended; true when it was said. A file that its client has
   deleted is none, though somebody else may have sent the same. */
static bool refuse_retry(struct pool *p, const struct job_record *r, const char *wall,
                         struct http_ref x)
{
    const char *why = NULL;
    if (r->state != JOB_FAILED && r->state != JOB_CANCELLED) {
        why = "only a failed or a cancelled job can be tried again";
    } else if (!inputs_are_kept(p, wall, r->attachments)) {
        why = "a file that it is given is not kept any more; PUT it to /uploads first";
    }
    if (why != NULL) {
        http_problem(p->server, x, ERR_JOB_NOT_RETRIABLE, why, NULL);
    }
    return why != NULL || serve_client_is_full(p, r->client, 1, x);
}

/* The account keys of the body are its own from now on. */
static void take_keys(struct job *j, struct http_request *rq)
{
    char *keys = NULL;
    const unsigned given = job_cut_credentials(&rq->submission.extra_data, &keys);
    if (given != 0) {
        free(j->credentials);
        j->credentials = keys;
    }
    j->r.credentials = given;
}

void serve_retry(struct pool *p, struct http_request *rq, struct http_ref x)
{
    if (!is_storable(p, x)) {
        return;
    }
    if (serve_queue_is_full(p, 1, x)) {
        return;
    }
    const struct str id = {rq->job_id, UUID_TEXT};
    struct store_active found = {.has_attempt = false};
    char *given = rq->submission.extra_data;
    const enum err e =
        job_find(p, id) != NULL ? ERR_JOB_NOT_RETRIABLE : store_load_job(p->store, id, &found);
    if (e == ERR_JOB_NOT_RETRIABLE) {
        http_problem(p->server, x, e, "it has not ended", NULL);
    } else if (e != ERR_NONE) {
        serve_problem(p, x, e);
    } else if (!refuse_retry(p, &found.job, wall_of(p, rq), x) &&
               !lacks_keys(p, &found.job, credentials_in(str_of(given)), x) &&
               !changes_extra_data(p, &found, given, x)) {
        struct job *j = job_revive(p, &found);
        take_keys(j, rq);
        webhooks_of_job(p, &j->r, EVENT_QUEUED, NULL, &j->outbox);
        struct store_beside beside = outbox_beside(&j->outbox);
        beside.credentials = str_of(j->credentials);
        store_update_job(p->store, &j->r, &beside, revived, change_new(p, rq, x, 202));
    }
    job_record_done(&found.job);
    free(found.workflow);
    free(found.extra_data);
    free(found.credentials);
}
