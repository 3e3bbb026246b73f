/*
 * Batches: one workflow, and an object of overrides for each job. The workflow is stored and held
 * in memory once; a job's text is made when its turn comes. Up to 10,000 jobs are made, queued and
 * cancelled some a turn, so that other work is not held up. A batch ends with its last job; the end
 * is told once, when it is durable.
 */
#include "batches.h"

#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/json_read.h"
#include "comfypool/base/pending.h"
#include "comfypool/core/batch.h"
#include "comfypool/core/credentials.h"
#include "comfypool/notify/events.h"
#include "comfypool/notify/hooks.h"
#include "comfypool/notify/webhooks.h"
#include "comfypool/pool/intake.h"
#include "comfypool/pool/jobs.h"
#include "comfypool/store/batches.h"
#include "comfypool/store/finds.h"
#include "comfypool/store/jobs.h"
#include "comfypool/store/keys.h"
#include "comfypool/store/store.h"

#include "eligible.h"
#include "eta.h"
#include "event_publish.h"
#include "inputs.h"
#include "intake.h"
#include "job_texts.h"
#include "jobs.h"
#include "state.h"
#include "submission_check.h"

/* Per turn of the loop; no further job is begun after FOR_US. */
enum { MADE_AT_ONCE = 1000, ADMITTED_AT_ONCE = 500, CANCELLED_AT_ONCE = 200, FOR_US = 10000 };

/* While its jobs are made. */
struct making {
    struct intake *intake; /* NULL: the client has gone */
    struct submission submission;
    char *trace;
    size_t rechecked;           /* intake.rechecked when the making began */
    size_t at;                  /* offset in the text of the overrides */
    char able[DIGEST_HEX_SIZE]; /* hash of a structure known to be runnable; "": none */
    struct workflow *workflow;
    struct override_hashes hashes;
    char *key; /* Idempotency-Key, or NULL */
    char digest[DIGEST_HEX_SIZE];
};

/* ---- life ------------------------------------------------------------------------------------ */

static struct batch *batch_new(struct pool *p, const struct batch_record *r)
{
    struct batch *b = mem_zero(1, sizeof *b);
    b->pool = p;
    b->r = *r;
    b->last = &b->jobs;
    buf_init(&b->end, BUF_NO_LIMIT);
    (void)map_put(&p->batches, (struct str){b->r.id, UUID_TEXT}, b);
    return b;
}

static void batch_free(struct batch *b)
{
    struct pool *p = b->pool;
    (void)map_remove(&p->batches, (struct str){b->r.id, UUID_TEXT});
    deadline_clear(&p->deadlines, &b->work);
    if (b->making != NULL && b->making->intake != NULL) {
        b->making->intake->batch = NULL;
    }
    batch_record_done(&b->r);
    deadline_clear(&p->deadlines, &b->count_again);
    store_read_forget(&b->counting);
    buf_done(&b->end);
    outbox_done(&b->outbox);
    free(b->workflow);
    free(b->extra_data);
    free(b->credentials);
    free(b);
}

void batches_done(struct pool *p)
{
    size_t at = 0;
    for (struct batch *b = map_next(&p->batches, &at); b != NULL;
         at = 0, b = map_next(&p->batches, &at)) {
        batch_free(b);
    }
    map_done(&p->batches);
}

void batch_join(struct job *j, struct batch *b)
{
    j->batch = b;
    j->batch_link = b->last;
    *b->last = j;
    b->last = &j->batch_next;
    b->active++;
}

/* Makes a batch from its record; takes the texts, which may be large. */
static struct batch *from_store(struct pool *p, struct store_batch *take)
{
    struct batch *b = batch_new(p, &take->r);
    take->r = (struct batch_record){.total = 0};
    b->workflow = take->workflow;
    b->workflow_len = take->workflow_len;
    b->extra_data = take->extra_data;
    b->credentials = take->credentials;
    take->workflow = take->extra_data = take->credentials = NULL;
    b->stored = true;
    return b;
}

void batch_join_again(struct job *j, struct store_batch *found)
{
    struct pool *p = j->pool;
    struct batch *b = map_get(&p->batches, (struct str){j->r.batch_id, UUID_TEXT});
    struct store_batch read = {.workflow = NULL};
    if (found != NULL) { /* what is not told is in memory, whatever was read before */
        found->r.told = true;
    }
    if (b == NULL && found == NULL &&
        store_load_batch(p->store, j->r.batch_id, &read) == ERR_NONE) {
        found = &read;
    }
    if (b == NULL && found != NULL) {
        b = from_store(p, found);
    }
    store_batch_done(&read);
    if (b != NULL) {
        batch_join(j, b);
    }
}

/* ---- the end --------------------------------------------------------------------------------- */

static void render_counts(struct js_out *o, const int64_t counts[JOB_STATE_COUNT])
{
    js_key(o, "counts");
    js_open(o, '{');
    for (int i = 0; i < JOB_STATE_COUNT; i++) {
        js_member_int(o, job_state_name((enum job_state)i), counts[i]);
    }
    js_close(o, '}');
}

static void render_end(const struct batch *b, const int64_t counts[JOB_STATE_COUNT],
                       struct buf *out)
{
    struct js_out o = js_out_to(out);
    js_open(&o, '{');
    js_member_string(&o, "id", b->r.id);
    js_member_int(&o, "total", b->r.total);
    render_counts(&o, counts);
    js_close(&o, '}');
}

static void end_stored(void *ctx)
{
    struct batch *b = ctx;
    struct pool *p = b->pool;
    struct buf data = b->end;
    buf_init(&b->end, BUF_NO_LIMIT);
    webhooks_take(p->webhooks, &b->outbox);
    hooks_tell(p->hooks, EVENT_BATCH, buf_str(&data));
    events_add(&p->events, EVENT_BATCH, (struct event_subject){"", b->r.client}, &data, 0, 0);
    b->r.told = true;
    b->ending = false;
    if (b->active == 0) { /* else one of its jobs was retried meanwhile */
        batch_free(b);
    }
    pending_remove(&p->pending);
}

static void count(void *ctx);

/* Ends the batch, unless one of its jobs was retried meanwhile. */
static void counted(void *ctx, enum err e, const struct batch_record *r,
                    const int64_t counts[JOB_STATE_COUNT])
{
    struct batch *b = ctx;
    struct pool *p = b->pool;
    (void)r;
    if (b->active > 0) {
        b->ending = false;
        return;
    }
    if (p->stopping) {
        batch_free(b);
        return;
    }
    if (e == ERR_STORE_UNAVAILABLE) { /* one that is gone went with its last job: it ends with 0 */
        const struct mono_us at = mono_add(time_mono(), dur_ms(STORE_PAUSE_MS));
        deadline_set(&p->deadlines, &b->count_again, at, count, b);
        return;
    }
    render_end(b, counts, &b->end);
    webhooks_of_batch(p->webhooks, &b->r, buf_str(&b->end), &b->outbox);
    const struct store_beside beside = outbox_beside(&b->outbox);
    pending_add(&p->pending);
    store_end_batch(p->store, b->r.id, &beside, end_stored, b);
}

static void count(void *ctx)
{
    struct batch *b = ctx;
    store_find_batch(b->pool->store, b->r.id, &b->counting, counted, b);
}

static void batch_end(struct batch *b)
{
    if (b->r.told || b->pool->stopping || !b->stored) {
        batch_free(b);
        return;
    }
    b->ending = true;
    count(b);
}

void batch_leave(struct job *j)
{
    struct batch *b = j->batch;
    if (b == NULL) {
        return;
    }
    b->next = b->next == j ? j->batch_next : b->next;
    *j->batch_link = j->batch_next;
    if (j->batch_next != NULL) {
        j->batch_next->batch_link = j->batch_link;
    } else {
        b->last = j->batch_link;
    }
    j->batch = NULL;
    b->active--;
    if (b->active == 0 && !b->ending && b->making == NULL) {
        batch_end(b);
    }
}

static void load_one(void *ctx, struct store_batch *found)
{
    (void)from_store(ctx, found);
}

bool batches_load(struct pool *p)
{
    return store_load_batches(p->store, load_one, p) == ERR_NONE;
}

void batches_settle(struct pool *p)
{
    struct batch **list = mem_alloc((p->batches.len + 1) * sizeof(struct batch *));
    size_t n = 0;
    size_t at = 0;
    for (struct batch *b = map_next(&p->batches, &at); b != NULL; b = map_next(&p->batches, &at)) {
        if (b->active == 0) {
            list[n++] = b;
        }
    }
    for (size_t i = 0; i < n; i++) {
        batch_end(list[i]);
    }
    free(list);
}

/* ---- POST /batches --------------------------------------------------------------------------- */

static void making_free(struct batch *b)
{
    struct making *m = b->making;
    b->making = NULL;
    if (m->intake != NULL) {
        m->intake->batch = NULL;
    }
    b->skeleton = NULL;
    override_hashes_end(&m->hashes);
    workflow_free(m->workflow);
    submission_done(&m->submission);
    free(m->trace);
    if (m->key != NULL) {
        (void)map_remove(&b->pool->keys, str_of(m->key));
    }
    free(m->key);
    free(m);
}

/* Queues some of the jobs, in order. */
static void admit_some(void *ctx)
{
    struct batch *b = ctx;
    struct pool *p = b->pool;
    const struct mono_us since = time_mono();
    for (size_t i = 0; b->next != NULL && i < ADMITTED_AT_ONCE &&
                       (i == 0 || mono_diff(time_mono(), since).us < FOR_US);
         i++) {
        struct job *j = b->next;
        b->next = j->batch_next;
        publish_queued(j);
        job_wait_first(j);
    }
    if (b->next != NULL) {
        deadline_set(&p->deadlines, &b->work, time_mono(), admit_some, b);
    } else if (b->cancelling) {
        batch_cancel(b);
    }
}

/* Frees all jobs of a batch that was not stored. */
static void drop_all(struct batch *b)
{
    const size_t n = b->active;
    for (size_t i = 0; i < n; i++) {
        job_forget(b->jobs); /* the last one frees the batch */
    }
}

/* Tells the submitter that the batch is stored, or why not. The batch may be freed already. */
static void tell_intake(struct pool *p, struct intake *in, enum err e)
{
    if (in == NULL) {
        return;
    }
    if (e != ERR_NONE) {
        in->subject[0] = '\0';
        (void)refusal_set(&in->refusal, e);
    }
    pool_wake(p, in->ticket);
}

static void batch_inserted(void *ctx, enum err e)
{
    struct batch *b = ctx;
    struct pool *p = b->pool;
    struct intake *in = b->making->intake;
    making_free(b);
    if (p->callers.wake == NULL) { /* the daemon stops; the next one finds what was stored */
        pending_remove(&p->pending);
        return;
    }
    if (e == ERR_NONE) {
        tell_intake(p, in, e);
        b->stored = true;
        for (struct job *j = b->jobs; j != NULL; j = j->batch_next) {
            j->insert.stored = true;
            webhooks_take(p->webhooks, &j->end.outbox);
        }
        b->next = b->jobs;
        admit_some(b);
    } else {
        drop_all(b);
        tell_intake(p, in, e);
    }
    pending_remove(&p->pending);
}

static void insert(struct batch *b)
{
    struct pool *p = b->pool;
    struct making *m = b->making;
    const struct job_record **records = mem_alloc(b->active * sizeof(struct job_record *));
    size_t n = 0;
    struct outbox outbox = {.list = NULL};
    for (struct job *j = b->jobs; j != NULL; j = j->batch_next) {
        webhooks_of_job(p->webhooks, &j->r, EVENT_QUEUED, NULL, &j->end.outbox);
        outbox_join(&outbox, &j->end.outbox);
        records[n++] = &j->r;
    }
    struct key_record k = {.key = m->key, .status = 202, .at = b->r.made_at};
    memcpy(k.digest, m->digest, sizeof k.digest);
    memcpy(k.job_id, b->r.id, sizeof k.job_id);
    struct store_beside beside = outbox_beside(&outbox);
    beside.credentials = str_of(b->credentials);
    pending_add(&p->pending);
    store_insert_batch(p->store, &b->r, records, n, (struct str){b->workflow, b->workflow_len},
                       str_of(b->extra_data), m->key == NULL ? NULL : &k, &beside, batch_inserted,
                       b);
    free(outbox.list); /* the texts belong to the jobs */
    free(records);
}

static void hash(struct job *j, struct making *m, struct str one)
{
    const struct override_hash *h = override_hash_of(&m->hashes, one);
    if (h != NULL) {
        memcpy(j->r.workflow_hash, h->workflow_hash, sizeof j->r.workflow_hash);
        memcpy(j->r.cost_key, h->cost_key, sizeof j->r.cost_key);
    }
}

/* Gives the submission back to its intake, as received. */
static void give_back(struct batch *b)
{
    struct making *m = b->making;
    struct intake *in = m->intake;
    in->submission = m->submission;
    in->submission.workflow = b->workflow;
    in->submission.workflow_len = b->workflow_len;
    if (b->credentials != NULL) {
        AUTO_BUF struct buf whole;
        buf_init(&whole, BUF_NO_LIMIT);
        credentials_join(str_of(b->extra_data), str_of(b->credentials), &whole);
        free(b->extra_data);
        b->extra_data = buf_take(&whole);
    }
    in->submission.extra_data = b->extra_data;
    b->workflow = b->extra_data = NULL;
    intake_take_key(in, m->key);
    m->key = NULL;
    m->submission = (struct submission){.workflow = NULL};
    in->subject[0] = '\0';
}

/* Asks backends that seem to lack something for this job; then the intake begins anew. False: none
   to ask. */
static bool is_asked_first(struct batch *b, struct job *j)
{
    struct intake *in = b->making->intake;
    if (in->rechecked >= b->active || !eligible_ask_again(j, in->ticket)) {
        return false;
    }
    in->rechecked = b->active;
    give_back(b);
    return true;
}

/* True if the batch was dropped: no backend can run this job, or backends are asked first. They are
   asked once where some backend may be able, and for each job that surely none can run. */
static bool is_refused(struct batch *b, struct job *j)
{
    struct pool *p = b->pool;
    struct making *m = b->making;
    struct intake *in = m->intake;
    bool refused = false;
    const enum chance c = eligible_chance(j, false);
    if (c == CHANCE_YES || (c == CHANCE_MAYBE && m->rechecked > 0)) {
        return false;
    }
    if (in != NULL && !is_asked_first(b, j)) {
        if (eligible_chance(j, true) != CHANCE_NO) {
            return false;
        }
        char pointer[48];
        (void)snprintf(pointer, sizeof pointer, "/overrides/%zu", b->active - 1);
        eligible_refuse(j, pointer, &in->refusal);
        refused = true;
    }
    making_free(b);
    drop_all(b);
    if (refused) {
        in->subject[0] = '\0';
        pool_wake(p, in->ticket);
    }
    return true;
}

static void make_some(void *ctx)
{
    struct batch *b = ctx;
    struct pool *p = b->pool;
    struct making *m = b->making;
    const struct str all = str_of(m->submission.overrides);
    const struct mono_us since = time_mono();
    for (size_t i = 0; i < MADE_AT_ONCE && b->active < (size_t)b->r.total &&
                       mono_diff(time_mono(), since).us < FOR_US;
         i++) {
        const struct str one = override_next(all, &m->at);
        struct job *j = job_new_of_batch(
            p, &m->submission, m->intake == NULL ? NULL : m->intake->known, m->trace, b, one);
        hash(j, m, one);
        if (strcmp(m->able, j->r.workflow_hash) != 0 && is_refused(b, j)) {
            return;
        }
        memcpy(m->able, j->r.workflow_hash, sizeof m->able);
    }
    if (b->active < (size_t)b->r.total) {
        deadline_set(&p->deadlines, &b->work, time_mono(), make_some, b);
    } else {
        insert(b);
    }
}

void batch_begin(struct pool *p, struct intake *in)
{
    struct batch_record record = {.made_at = time_wall(),
                                  .total = (int64_t)in->submission.overrides_len};
    uuid_v7(record.made_at, record.id);
    memcpy(in->subject, record.id, sizeof in->subject);
    in->total = record.total;
    struct batch *b = batch_new(p, &record);
    struct making *m = mem_zero(1, sizeof *m);
    b->making = m;
    b->skeleton = &m->hashes.skeleton;
    in->batch = b;
    m->intake = in;
    m->trace = mem_strdup(in->trace);
    m->rechecked = in->rechecked;
    m->submission = in->submission;
    in->submission = (struct submission){.workflow = NULL};
    struct submission *s = &m->submission;
    b->r.client = mem_strdup(s->client);
    b->r.hook = (struct webhook){.url = mem_strdup(s->webhook.url),
                                 .events = s->webhook.events,
                                 .secret = mem_strdup(s->webhook.secret)};
    const struct str text = {s->workflow, s->workflow_len};
    b->workflow = s->workflow;
    b->workflow_len = s->workflow_len;
    b->extra_data = s->extra_data;
    s->workflow = s->extra_data = NULL;
    (void)job_cut_credentials(&b->extra_data, &b->credentials);
    m->workflow = workflow_reparse(text);
    override_hashes_begin(&m->hashes, m->workflow, text);
    memcpy(m->digest, in->digest, sizeof m->digest);
    m->key = intake_pass_key(in, b);
    make_some(b);
}

void batch_loses_intake(struct batch *b)
{
    b->making->intake = NULL;
}

/* ---- cancel ---------------------------------------------------------------------------------- */

static void cancel_marked(void *ctx)
{
    struct pool *p = ctx;
    pending_remove(&p->pending);
}

static void cancel_one(struct job *j)
{
    struct pool *p = j->pool;
    if (j->r.cancel_requested) {
        return;
    }
    job_cancel(j);
    if (j->attempt != NULL && !j->end.ending) {
        pending_add(&p->pending);
        store_mark_cancel(p->store, &j->r, cancel_marked, p);
    }
}

/* Cancels some of the jobs; each profiled one gets a profile of its whole workflow. */
static void cancel_some(void *ctx)
{
    struct batch *b = ctx;
    struct pool *p = b->pool;
    const struct mono_us since = time_mono();
    for (size_t i = 0; b->next != NULL && i < CANCELLED_AT_ONCE &&
                       (i == 0 || mono_diff(time_mono(), since).us < FOR_US);
         i++) {
        struct job *j = b->next;
        b->next = j->batch_next;
        cancel_one(j);
    }
    if (b->next != NULL) {
        deadline_set(&p->deadlines, &b->work, time_mono(), cancel_some, b);
    }
}

void batch_cancel(struct batch *b)
{
    b->cancelling = true;
    if (b->next == NULL) { /* else jobs are still being queued or cancelled */
        b->next = b->jobs;
        cancel_some(b);
    }
}

/* ---- for others ------------------------------------------------------------------------------ */

void pool_cancel_batch(struct pool *p, const char *id)
{
    struct batch *b = map_get(&p->batches, (struct str){id, UUID_TEXT});
    if (b != NULL && b->stored) {
        batch_cancel(b);
    }
}

bool pool_forecast_batch(struct pool *p, const char *id, struct wall_us *ret)
{
    const struct batch *b = map_get(&p->batches, (struct str){id, UUID_TEXT});
    return b != NULL && eta_of_all(b->jobs, ret);
}
