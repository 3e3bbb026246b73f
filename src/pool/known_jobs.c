/*
 * Sets of jobs that are not active; see the header. An id in several sets is read once: one entry
 * of the pool with a use for each set. Cost of a job's end: a lookup in a map.
 */
#include "known_jobs.h"

#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/list.h"
#include "comfypool/render/render.h"
#include "comfypool/store/finds.h"

#include "jobs.h"
#include "state.h"

struct entry {
    struct known_job job;
    struct pool *pool;
    struct store_read read; /* under way until known */
    bool is_known;
    struct use *uses;
};

/* An entry in a set. */
struct use {
    struct known_jobs *set;
    struct entry *entry;
    struct use *next, **link; /* of entry->uses */
    struct use *next_of_set;
};

struct known_jobs {
    struct pool *pool;
    struct use *uses;
    size_t missing; /* entries not known yet */
    struct deadline told;
    known_jobs_fn done;
    void *ctx;
};

/* ---- ids ------------------------------------------------------------------------------------- */

void known_ids_begin(struct js_reader *r, const char *after)
{
    js_read_strict(r, str_of(after == NULL ? "[]" : after), JS_MAX_DEPTH);
    (void)js_next(r);
}

struct str known_ids_next(struct js_reader *r)
{
    const struct js_token t = js_next(r);
    return t.kind == JS_STRING ? t.text : (struct str){NULL, 0};
}

/* ---- entries --------------------------------------------------------------------------------- */

static int64_t count_outputs(const struct job_record *r)
{
    size_t len = 0;
    if (r->state != JOB_COMPLETED) {
        return INT64_MAX;
    }
    struct render_output *list = render_outputs_read(str_of(r->outputs), &len);
    render_outputs_free(list, len);
    return (int64_t)len;
}

static void take_note(struct known_job *k, enum err e, const struct job_record *r)
{
    const bool is_there = e == ERR_NONE;
    k->error = is_there || e == ERR_JOB_NOT_FOUND ? ERR_NONE : e;
    k->state = is_there ? r->state : JOB_STATE_COUNT;
    free(k->client);
    k->client = is_there ? mem_strdup(r->client) : NULL;
    k->outputs = is_there ? count_outputs(r) : INT64_MAX;
}

static void tell(void *ctx)
{
    struct known_jobs *set = ctx;
    if (set->missing == 0) { /* else more ids were added */
        set->done(set->ctx);
    }
}

/* Tells complete sets in a turn of their own: a callback may free any set. */
static void settle(struct entry *e)
{
    e->is_known = true;
    for (struct use *u = e->uses; u != NULL; u = u->next) {
        struct known_jobs *set = u->set;
        if (--set->missing == 0) {
            deadline_set(&e->pool->deadlines, &set->told, time_mono(), tell, set);
        }
    }
}

static void found(void *ctx, const struct store_found *f)
{
    struct entry *e = ctx;
    take_note(&e->job, f->error, f->job);
    settle(e);
}

static void ask(struct entry *e)
{
    struct store_wish wish = {.wants = 0};
    memcpy(wish.id, e->job.id, sizeof wish.id);
    store_find_job(e->pool->store, &wish, &e->read, found, e);
}

static struct entry *entry_new(struct pool *p, struct str id)
{
    struct entry *e = mem_zero(1, sizeof *e);
    e->pool = p;
    (void)snprintf(e->job.id, sizeof e->job.id, "%.*s", (int)id.n, id.p);
    (void)map_put(&p->known, str_of(e->job.id), e);
    return e;
}

static void entry_free(struct entry *e)
{
    (void)map_remove(&e->pool->known, str_of(e->job.id));
    store_read_forget(&e->read);
    free(e->job.client);
    free(e);
}

void known_jobs_ended(const struct job *j)
{
    struct entry *e = map_get(&j->pool->known, str_of(j->r.id));
    if (e == NULL) {
        return;
    }
    take_note(&e->job, ERR_NONE, &j->r);
    if (!e->is_known) {
        store_read_forget(&e->read); /* its answer would be older */
        settle(e);
    }
}

/* ---- sets ------------------------------------------------------------------------------------ */

struct known_jobs *known_jobs_new(struct pool *p)
{
    struct known_jobs *k = mem_zero(1, sizeof *k);
    k->pool = p;
    return k;
}

static struct use *use_of(const struct known_jobs *k, struct str id)
{
    struct use *u = k->uses;
    while (u != NULL && !str_is(id, u->entry->job.id)) {
        u = u->next_of_set;
    }
    return u;
}

static void join(struct known_jobs *k, struct str id)
{
    struct entry *e = map_get(&k->pool->known, id);
    const bool is_new = e == NULL;
    e = is_new ? entry_new(k->pool, id) : e;
    struct use *u = mem_alloc(sizeof *u);
    *u = (struct use){.set = k, .entry = e, .next_of_set = k->uses};
    k->uses = u;
    list_push(&e->uses, u, next, link);
    k->missing += e->is_known ? 0 : 1;
    if (is_new) {
        ask(e);
    }
}

bool known_jobs_must_wait(struct known_jobs *k, const char *after, known_jobs_fn done, void *ctx)
{
    struct js_reader r;
    k->done = done;
    k->ctx = ctx;
    known_ids_begin(&r, after);
    for (struct str id = known_ids_next(&r); id.n > 0; id = known_ids_next(&r)) {
        const struct job *j = job_find(k->pool, id);
        if ((j == NULL || !j->insert.stored) && use_of(k, id) == NULL) {
            join(k, id);
        }
    }
    if (k->missing == 0) { /* all ids were answered from memory */
        deadline_clear(&k->pool->deadlines, &k->told);
    }
    return k->missing > 0;
}

const struct known_job *known_jobs_find(const struct known_jobs *k, struct str id)
{
    const struct use *u = k == NULL ? NULL : use_of(k, id);
    return u == NULL || !u->entry->is_known ? NULL : &u->entry->job;
}

void known_jobs_free(struct known_jobs *k)
{
    if (k == NULL) {
        return;
    }
    deadline_clear(&k->pool->deadlines, &k->told);
    for (struct use *u = k->uses, *next = NULL; u != NULL; u = next) {
        next = u->next_of_set;
        list_remove(u, next, link);
        if (u->entry->uses == NULL) {
            entry_free(u->entry);
        }
        free(u);
    }
    free(k);
}
