/*
 * Jobs that follow others. While those are active, an edge ties the two; what has ended already is
 * asked of the store. A job's row names what it still waits for, and is written each time when that
 * becomes less, so that a restart, or the deletion of a job that has ended, changes nothing.
 *
 * What is found when a job is submitted counts from then on, before its row is written: a job that
 * ends, and is deleted, while the insert is under way has ended all the same.
 */
#include "dependencies.h"

#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/json_read.h"
#include "comfypool/base/list.h"
#include "comfypool/base/pending.h"
#include "comfypool/pool/walls.h"
#include "comfypool/store/jobs.h"

#include "dispatch.h"
#include "job_texts.h"
#include "jobs.h"
#include "state.h"

/* ---- edges ----------------------------------------------------------------------------------- */

static void edge_new(struct job *waits, struct job *for_job)
{
    struct edge *e = mem_alloc(sizeof *e);
    *e = (struct edge){
        .waits = waits,
        .for_job = for_job,
    };
    list_push(&waits->chain.deps, e, next_dep, dep_link);
    list_push(&for_job->chain.dependents, e, next_dependent, dependent_link);
}

static void edge_free(struct edge *e)
{
    list_remove(e, next_dep, dep_link);
    list_remove(e, next_dependent, dependent_link);
    free(e);
}

void dependencies_untie(struct job *j)
{
    struct edge *next = NULL;
    for (struct edge *e = j->chain.deps; e != NULL; e = next) {
        next = e->next_dep;
        edge_free(e);
    }
    for (struct edge *e = j->chain.dependents; e != NULL; e = next) {
        next = e->next_dependent;
        edge_free(e);
    }
}

/* ---- what a job waits for -------------------------------------------------------------------- */

/* The state of a job that may have ended; JOB_STATE_COUNT: there is none that is seen there. */
static enum err state_of(struct pool *p, const char *wall, struct str id, enum job_state *ret)
{
    struct job_record r = {.state = JOB_STATE_COUNT};
    const enum err e = store_get_job(p->store, id, &r);
    *ret = e == ERR_NONE && wall_lets(wall, r.client) ? r.state : JOB_STATE_COUNT;
    job_record_done(&r);
    return e == ERR_JOB_NOT_FOUND ? ERR_NONE : e;
}

/* The ids of a list; they have no escapes. n == 0: the end. */
static struct str next_id(struct js_reader *r)
{
    const struct js_token t = js_next(r);
    return t.kind == JS_STRING ? t.text : (struct str){NULL, 0};
}

static void begin(struct js_reader *r, const char *after)
{
    js_read_strict(r, str_of(after == NULL ? "[]" : after), JS_MAX_DEPTH);
    (void)js_next(r);
}

enum err dependencies_check(struct pool *p, const char *wall, const char *after, struct str *ret_id,
                            size_t *ret_place)
{
    struct js_reader r;
    begin(&r, after);
    *ret_place = 0;
    for (struct str id = next_id(&r); id.n > 0; id = next_id(&r)) {
        enum job_state state = JOB_QUEUED;
        *ret_id = id;
        const struct job *j = job_find(p, id);
        const enum err e = j != NULL && j->insert.stored && wall_lets(wall, j->r.client)
                               ? ERR_NONE
                               : state_of(p, wall, id, &state);
        if (e != ERR_NONE) {
            return e;
        }
        if (state == JOB_STATE_COUNT) {
            return ERR_DEPENDENCY_NOT_FOUND;
        }
        (*ret_place)++;
    }
    return ERR_NONE;
}

static char *why_failed(struct str id, const char *what)
{
    AUTO_BUF struct buf b;
    buf_init(&b, 256);
    buf_printf(&b, "job %.*s %s", (int)id.n, id.p, what);
    return buf_take(&b);
}

static const char *what_became(enum job_state s)
{
    return s == JOB_FAILED      ? "failed"
           : s == JOB_CANCELLED ? "was cancelled"
                                : "is not known any more";
}

static bool accepts(const struct job *j, enum job_state s)
{
    return s == JOB_COMPLETED || (j->spec != NULL && j->spec->run_on_failure);
}

/* Keeps the ids of the job's list for which `stays` says so. */
static void filter(struct job *j, bool (*stays)(struct job *j, struct str id, const void *ctx),
                   const void *ctx)
{
    struct js_reader r;
    begin(&r, j->r.after);
    AUTO_BUF struct buf b;
    buf_init(&b, BUF_NO_LIMIT);
    struct js_out o = js_out_to(&b);
    bool any = false;
    js_open(&o, '[');
    for (struct str id = next_id(&r); id.n > 0; id = next_id(&r)) {
        if (stays(j, id, ctx)) {
            js_str(&o, id);
            any = true;
        }
    }
    js_close(&o, ']');
    free(j->r.after);
    j->r.after = any ? buf_take(&b) : NULL;
}

/* What has not become what is wanted stays, and fails the job when it is admitted. */
static bool is_waited_for(struct job *j, struct str id, const void *ctx)
{
    struct job *other = job_find(j->pool, id);
    enum job_state state = JOB_STATE_COUNT;
    (void)ctx;
    if (other != NULL) {
        edge_new(j, other);
        return true;
    }
    return state_of(j->pool, NULL, id, &state) != ERR_NONE || !accepts(j, state);
}

void dependencies_begin(struct job *j)
{
    if (j->r.after != NULL) {
        filter(j, is_waited_for, NULL);
    }
}

static bool is_another(struct job *j, struct str id, const void *ended)
{
    (void)j;
    return !str_is(id, ended);
}

/* Writes the remaining dependencies into the job's record. */
static void write_rest(struct job *j)
{
    AUTO_BUF struct buf b;
    buf_init(&b, BUF_NO_LIMIT);
    struct js_out o = js_out_to(&b);
    js_open(&o, '[');
    for (const struct edge *e = j->chain.deps; e != NULL; e = e->next_dep) {
        js_string(&o, e->for_job->r.id);
    }
    js_close(&o, ']');
    free(j->r.after);
    j->r.after = j->chain.deps == NULL ? NULL : buf_take(&b);
}

static bool is_tied(const struct job *j, const struct job *other)
{
    const struct edge *e = j->chain.deps;
    while (e != NULL && e->for_job != other) {
        e = e->next_dep;
    }
    return e != NULL;
}

/* Its row is behind: it was inserted while a job ended. */
static void catch_up(struct job *j);

bool dependencies_tie(struct job *j, char **ret_why)
{
    struct pool *p = j->pool;
    struct js_reader r;
    begin(&r, j->r.after);
    *ret_why = NULL;
    for (struct str id = next_id(&r); id.n > 0 && *ret_why == NULL; id = next_id(&r)) {
        struct job *other = job_find(p, id);
        enum job_state state = JOB_STATE_COUNT;
        if (other != NULL && other != j) {
            if (!is_tied(j, other)) {
                edge_new(j, other);
            }
        } else if (state_of(p, NULL, id, &state) == ERR_NONE && !accepts(j, state)) {
            *ret_why = why_failed(id, what_became(state));
        }
    }
    if (*ret_why == NULL) {
        write_rest(j);
        catch_up(j);
    }
    return *ret_why == NULL && j->chain.deps != NULL;
}

/* ---- the end of what is waited for ----------------------------------------------------------- */

/* Written before it may run. */
static void written(void *ctx)
{
    struct pool *p = ctx;
    pending_remove(&p->pending);
}

void dependencies_block(struct job *j)
{
    j->chain.blocked = true;
    job_spare_texts(j);
}

void dependencies_unblock(struct job *j)
{
    j->chain.blocked = false;
    j->chain.was_blocked = true;
    j->pool->ops->admit_job(j);
}

static void write_row(struct job *j)
{
    j->chain.row_is_behind = false;
    pending_add(&j->pool->pending);
    store_update_job(j->pool->store, &j->r, NULL, written, j->pool);
}

static void catch_up(struct job *j)
{
    if (j->chain.row_is_behind) {
        write_row(j);
    }
}

static void one_less(struct job *j)
{
    struct pool *p = j->pool;
    write_rest(j);
    if (j->chain.deps == NULL) {
        dependencies_unblock(j);
    }
    write_row(j);
    if (j->chain.deps == NULL) {
        p->ops->give_jobs(p);
    }
}

void dependencies_ended(struct job *j)
{
    struct edge *next = NULL;
    for (struct edge *e = j->chain.dependents; e != NULL; e = next) {
        struct job *waits = e->waits;
        next = e->next_dependent;
        edge_free(e);
        if (waits->end.ending || waits->doom.code != ERR_NONE) {
            continue; /* cancelled; or it fails */
        }
        if (!waits->chain.blocked) { /* not admitted yet */
            if (accepts(waits, j->r.state)) {
                filter(waits, is_another, j->r.id);
                waits->chain.row_is_behind = true;
            }
            continue;
        }
        if (accepts(waits, j->r.state)) {
            one_less(waits);
            continue;
        }
        AUTO_FREE char *why = why_failed(str_of(j->r.id), what_became(j->r.state));
        waits->pool->ops->end_job_soon(waits, ERR_DEPENDENCY_FAILED, why);
    }
}
