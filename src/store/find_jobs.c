/*
 * Finds a job with its wanted parts, or the client of an object. A job that has just ended is still
 * in memory.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comfypool/store/attempts.h"
#include "comfypool/store/finds.h"

#include "engine.h"
#include "inner.h"

struct job_find {
    struct find find;
    struct store_wish wish;
    struct store_found found;
    struct store_active whole;
    struct store_batch batch;
    struct buf profile;
    struct buf workflow;
    struct buf stamps;
    struct buf profiles; /* the texts, concatenated */
    struct store_profile *list;
    store_found_fn done;
};

static bool wants(const struct job_find *f, unsigned what)
{
    return f->found.error == ERR_NONE && (f->wish.wants & what) != 0;
}

static void read_profiles(struct job_find *f, const struct engine *e, struct reader *r)
{
    const struct job_record *job = &f->whole.job;
    struct store_found *ret = &f->found;
    f->list = mem_alloc((job->attempts + 1) * sizeof *f->list);
    for (unsigned n = 0; n <= job->attempts && ret->error == ERR_NONE; n++) {
        const size_t from = f->profiles.len;
        const enum err found = e->profile(r, job->seq, n, &f->profiles);
        if (found == ERR_NONE) {
            f->list[ret->profiles_len++] =
                (struct store_profile){n, {NULL, f->profiles.len - from}};
        } else if (found != ERR_PROFILING_DISABLED) {
            ret->error = found;
        }
    }
}

static size_t length_of(const char *text)
{
    return text == NULL ? 0 : strlen(text);
}

static enum err read_job(struct find *find, const struct engine *e, struct reader *r)
{
    struct job_find *f = (struct job_find *)find;
    const struct store_wish *w = &f->wish;
    struct store_found *ret = &f->found;
    struct job_record *job = &f->whole.job;
    ret->error = (w->wants & STORE_WANT_TEXTS) != 0 ? e->whole_job(r, str_of(w->id), &f->whole)
                                                    : e->job(r, str_of(w->id), job);
    if (wants(f, STORE_WANT_PROFILE)) {
        const unsigned n = w->attempt != 0 ? w->attempt : job_told_attempt(job);
        ret->profile_error = e->profile(r, job->seq, n, &f->profile);
    }
    if (wants(f, STORE_WANT_ATTEMPTS)) {
        ret->error = e->attempts(r, job->seq, &ret->attempts, &ret->attempts_len);
    }
    if (wants(f, STORE_WANT_WORKFLOW)) {
        ret->error = e->workflow(r, job->seq, &f->workflow);
    }
    if (wants(f, STORE_WANT_PROFILES)) {
        read_profiles(f, e, r);
    }
    if (wants(f, STORE_WANT_STAMPS) &&
        e->stamps(r, job->seq, job->completed_at, &f->stamps) == ERR_STORE_UNAVAILABLE) {
        ret->error = ERR_STORE_UNAVAILABLE;
    }
    if (wants(f, STORE_WANT_BATCH) && job->batch_id[0] != '\0') {
        const enum err found = e->batch(r, job->batch_id, &f->batch);
        ret->error = found == ERR_BATCH_NOT_FOUND ? ERR_NONE : found;
    }
    find->size = f->profile.len + f->workflow.len + f->profiles.len + f->whole.workflow_len +
                 f->batch.workflow_len + length_of(f->whole.extra_data) + length_of(job->outputs);
    return ret->error;
}

static void point_profiles(struct job_find *f)
{
    const char *at = f->profiles.data;
    for (size_t i = 0; i < f->found.profiles_len; i++) {
        f->list[i].json.p = at;
        at += f->list[i].json.n;
    }
    f->found.profiles = f->list;
}

static void answer_job(struct find *find)
{
    struct job_find *f = (struct job_find *)find;
    struct store_found *found = &f->found;
    found->error = find->error;
    found->job = &f->whole.job;
    found->profile = buf_str(&f->profile);
    found->workflow = buf_str(&f->workflow);
    found->stamps = buf_str(&f->stamps);
    point_profiles(f);
    found->whole = (f->wish.wants & STORE_WANT_TEXTS) != 0 ? &f->whole : NULL;
    found->batch = f->batch.r.id[0] != '\0' ? &f->batch : NULL;
    f->done(find->ctx, found);
}

static void release_job(struct find *find)
{
    struct job_find *f = (struct job_find *)find;
    job_record_done(&f->whole.job);
    free(f->whole.workflow);
    free(f->whole.extra_data);
    free(f->whole.credentials);
    store_batch_done(&f->batch);
    for (size_t i = 0; i < f->found.attempts_len; i++) {
        attempt_record_done(&f->found.attempts[i]);
    }
    free(f->found.attempts);
    free(f->list);
    buf_done(&f->profile);
    buf_done(&f->workflow);
    buf_done(&f->stamps);
    buf_done(&f->profiles);
}

/* True if the write of a job's end has all that is wanted: not so for an earlier attempt. */
static bool is_enough(const struct op *op, const struct store_wish *wish)
{
    const unsigned wanted = wish->attempt != 0 ? wish->attempt : job_told_attempt(&op->job);
    const bool has_it = op->attempt.number == wanted && op->text.n > 0;
    return wish->wants == 0 || (wish->wants == STORE_WANT_PROFILE && (has_it || !op->job.profiled));
}

/* Answers from a recent write. False: none, or not enough. */
static bool answer_from_memory(struct store *s, const struct store_wish *wish, store_found_fn done,
                               void *ctx)
{
    struct op *op = recent_pin(&s->recent, str_of(wish->id));
    if (op == NULL) {
        return false;
    }
    const bool enough = is_enough(op, wish);
    if (enough) {
        const bool has_profile = op->job.profiled && wish->wants != 0;
        const struct store_found found = {
            .job = &op->job,
            .profile_error = has_profile ? ERR_NONE : ERR_PROFILING_DISABLED,
            .profile = has_profile ? op->text : (struct str){NULL, 0},
        };
        done(ctx, &found);
    }
    recent_unpin(op);
    return enough;
}

static const struct find_kind job_kind = {read_job, answer_job, release_job};

void store_find_job(struct store *s, const struct store_wish *wish, struct store_read *read,
                    store_found_fn done, void *ctx)
{
    if (!s->closing && answer_from_memory(s, wish, done, ctx)) {
        return;
    }
    struct job_find *f = find_new(&job_kind, sizeof *f, ctx);
    f->wish = *wish;
    f->found.profile_error = ERR_PROFILING_DISABLED;
    buf_init(&f->profile, BUF_NO_LIMIT);
    buf_init(&f->workflow, BUF_NO_LIMIT);
    buf_init(&f->stamps, BUF_NO_LIMIT);
    buf_init(&f->profiles, BUF_NO_LIMIT);
    f->done = done;
    find_ask(s, &f->find, read);
}

/* ---- clients --------------------------------------------------------------------------------- */

struct client_find {
    struct find find;
    enum store_owned what;
    char id[UUID_SIZE];
    char *client;
    store_found_client_fn done;
};

static enum err read_client(struct find *find, const struct engine *e, struct reader *r)
{
    struct client_find *f = (struct client_find *)find;
    return e->client(r, f->what, f->id, &f->client);
}

static void answer_client(struct find *find)
{
    struct client_find *f = (struct client_find *)find;
    f->done(find->ctx, find->error, f->client);
}

static void release_client(struct find *find)
{
    struct client_find *f = (struct client_find *)find;
    free(f->client);
}

static const struct find_kind client_kind = {read_client, answer_client, release_client};

void store_find_client(struct store *s, enum store_owned what, const char *id,
                       struct store_read *read, store_found_client_fn done, void *ctx)
{
    struct client_find *f = find_new(&client_kind, sizeof *f, ctx);
    f->what = what;
    (void)snprintf(f->id, sizeof f->id, "%.36s", id);
    f->done = done;
    find_ask(s, &f->find, read);
}
