/*
 * Jobs that follow others. An edge ties a job to each active job that it waits for; the store is
 * asked about jobs that have ended. A job's row names the jobs that it still waits for and is
 * rewritten whenever the list gets shorter, so that a restart, or the deletion of an ended job,
 * changes nothing. What is found at submission counts from then on, even before the row is written:
 * a job that ends and is deleted while the insert is under way has ended all the same.
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
#include "known_jobs.h"
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

/* True if the job is active and its existence may be told. */
static bool is_there(const struct job *j)
{
    return j != NULL && j->insert.stored;
}

enum err dependencies_check(struct pool *p, const char *wall, const struct known_jobs *known,
                            const char *after, struct str *ret_id, size_t *ret_place)
{
    struct js_reader r;
    known_ids_begin(&r, after);
    *ret_place = 0;
    for (struct str id = known_ids_next(&r); id.n > 0; id = known_ids_next(&r)) {
        const struct job *j = job_find(p, id);
        const struct known_job *k = known_jobs_find(known, id);
        *ret_id = id;
        if (!is_there(j) && k != NULL && k->error != ERR_NONE) {
            return k->error;
        }
        const bool is_known = is_there(j) || (k != NULL && k->state != JOB_STATE_COUNT);
        if (!is_known || !wall_lets(wall, is_there(j) ? j->r.client : k->client)) {
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
    known_ids_begin(&r, j->r.after);
    AUTO_BUF struct buf b;
    buf_init(&b, BUF_NO_LIMIT);
    struct js_out o = js_out_to(&b);
    bool any = false;
    js_open(&o, '[');
    for (struct str id = known_ids_next(&r); id.n > 0; id = known_ids_next(&r)) {
        if (stays(j, id, ctx)) {
            js_str(&o, id);
            any = true;
        }
    }
    js_close(&o, ']');
    free(j->r.after);
    j->r.after = any ? buf_take(&b) : NULL;
}

/* Ids of jobs that ended in an unwanted state stay, and fail this job when it is admitted. */
static bool is_waited_for(struct job *j, struct str id, const void *known)
{
    struct job *other = job_find(j->pool, id);
    if (other != NULL) {
        edge_new(j, other);
        return true;
    }
    const struct known_job *k = known_jobs_find(known, id);
    return k == NULL || k->error != ERR_NONE || !accepts(j, k->state);
}

void dependencies_begin(struct job *j, const struct known_jobs *known)
{
    if (j->r.after != NULL) {
        filter(j, is_waited_for, known);
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

/* Writes a row that is behind: a job that it waits for ended during the insert. */
static void catch_up(struct job *j);

/* Judges a job that is not active: *ret_why says why it fails this one, or is NULL. False: the
   store cannot be read now. */
static bool judge(struct job *j, struct str id, char **ret_why)
{
    const struct known_job *k = known_jobs_find(j->chain.known, id);
    if (k == NULL || k->error != ERR_NONE) {
        return false;
    }
    *ret_why = accepts(j, k->state) ? NULL : why_failed(id, what_became(k->state));
    return true;
}

/* Ties the job to active jobs and judges the others. False: the store cannot be read now. */
static bool tie_all(struct job *j, char **ret_why)
{
    struct js_reader r;
    known_ids_begin(&r, j->r.after);
    *ret_why = NULL;
    for (struct str id = known_ids_next(&r); id.n > 0 && *ret_why == NULL;
         id = known_ids_next(&r)) {
        struct job *other = job_find(j->pool, id);
        if (other == NULL || other == j) {
            if (!judge(j, id, ret_why)) {
                return false;
            }
        } else if (!is_tied(j, other)) {
            edge_new(j, other);
        }
    }
    return true;
}

static void admit_again(void *ctx)
{
    struct job *j = ctx;
    struct pool *p = j->pool;
    p->ops->admit_job(j);
    p->ops->give_jobs(p);
}

void dependencies_forget(struct job *j)
{
    known_jobs_free(j->chain.known);
    j->chain.known = NULL;
    deadline_clear(&j->pool->deadlines, &j->chain.again);
}

enum tied dependencies_tie(struct job *j, char **ret_why)
{
    *ret_why = NULL;
    if (j->chain.known == NULL) {
        j->chain.known = known_jobs_new(j->pool);
    }
    if (known_jobs_must_wait(j->chain.known, j->r.after, admit_again, j)) {
        return TIED_ASKING;
    }
    const bool is_read = tie_all(j, ret_why);
    dependencies_forget(j);
    if (!is_read) {
        deadline_set(&j->pool->deadlines, &j->chain.again,
                     mono_add(time_mono(), dur_ms(STORE_PAUSE_MS)), admit_again, j);
        return TIED_ASKING;
    }
    if (*ret_why != NULL) {
        return TIED_FAILED;
    }
    write_rest(j);
    catch_up(j);
    return j->chain.deps != NULL ? TIED : TIED_TO_NOBODY;
}

/* ---- the end of what is waited for ----------------------------------------------------------- */

/* Called when the shorter list is durable. */
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

void dependencies_vanished(struct job *j)
{
    struct edge *next = NULL;
    for (struct edge *e = j->chain.dependents; e != NULL; e = next) {
        struct job *waits = e->waits;
        next = e->next_dependent;
        edge_free(e);
        if (waits->chain.blocked && !waits->end.ending && waits->doom.code == ERR_NONE) {
            waits->chain.blocked = false; /* when this one is gone */
            waits->chain.was_blocked = true;
            deadline_set(&j->pool->deadlines, &waits->chain.again, time_mono(), admit_again, waits);
        }
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
            continue; /* cancelled, or about to fail */
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
