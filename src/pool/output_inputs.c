/* Outputs as inputs; see the header. A job's row names the hash before the job may run. */
#include "output_inputs.h"

#include <stdlib.h>
#include <unistd.h>

#include "comfypool/base/list.h"
#include "comfypool/base/log.h"
#include "comfypool/base/pending.h"
#include "comfypool/files/output_copies.h"
#include "comfypool/files/output_fetch.h"
#include "comfypool/files/output_stamps.h"
#include "comfypool/files/uploads.h"
#include "comfypool/store/finds.h"
#include "comfypool/store/jobs.h"

#include "backends.h"
#include "dependencies.h"
#include "dispatch.h"
#include "inputs.h"
#include "jobs.h"
#include "state.h"

enum {
    TRIES = 11,      /* two minutes in all */
    PAUSE_MS = 1000, /* after the first failed try; doubled each time */
    PAUSE_MOST_MS = 15000,
};

struct source {
    struct pool *pool;
    struct source *next, **link;
    char job_id[UUID_SIZE];
    int64_t n;
    char *extension; /* of the file name; NULL: not known yet */
    struct store_read read;
    struct fetch *fetch;
    bool keeping; /* a text is being written to a file */
    unsigned tries;
    struct deadline again;
    struct input *inputs; /* inputs that wait for it */
};

/* ---- lists ----------------------------------------------------------------------------------- */

static void input_join(struct input *in, struct source *s)
{
    in->source = s;
    list_push(&s->inputs, in, source_next, source_link);
}

static void source_free(struct source *s)
{
    deadline_clear(&s->pool->deadlines, &s->again);
    store_read_forget(&s->read);
    if (s->fetch != NULL) {
        fetch_cancel(s->fetch);
    }
    list_remove(s, next, link);
    free(s->extension);
    free(s);
}

static void input_leave(struct input *in)
{
    struct source *s = in->source;
    if (s == NULL) {
        return;
    }
    list_remove(in, source_next, source_link);
    in->source = NULL;
    if (s->inputs == NULL && !s->keeping) {
        source_free(s);
    }
}

void output_inputs_leave(struct job *j)
{
    for (size_t i = 0; i < j->files.len; i++) {
        input_leave(&j->files.inputs[i]);
    }
}

void output_inputs_done(struct pool *p)
{
    for (struct source *s = p->sources, *next = NULL; s != NULL; s = next) {
        next = s->next;
        source_free(s);
    }
}

static bool has_all(const struct job *j)
{
    size_t i = 0;
    while (i < j->files.len && j->files.inputs[i].file.sha256[0] != '\0') {
        i++;
    }
    return i == j->files.len;
}

/* ---- the end of the wait --------------------------------------------------------------------- */

static void written(void *ctx)
{
    struct pool *p = ctx;
    pending_remove(&p->pending);
}

static void go_on(struct job *j)
{
    struct pool *p = j->pool;
    free(j->r.attachments);
    j->r.attachments = inputs_write_again(j);
    pending_add(&p->pending);
    store_update_job(p->store, &j->r, NULL, written, p);
    dependencies_unblock(j);
}

static void fail(struct source *s, const char *why)
{
    AUTO_BUF struct buf b;
    buf_init(&b, 1024);
    buf_printf(&b, "output %lld of job %s: %s", (long long)s->n, s->job_id, why);
    s->keeping = true; /* keeps the source until the end of this function */
    while (s->inputs != NULL) {
        struct job *j = s->inputs->job;
        output_inputs_leave(j);
        j->pool->ops->end_job_soon(j, ERR_OUTPUT_UNAVAILABLE, buf_text(&b));
    }
    source_free(s);
}

static void settle(struct source *s, const char *sha256, uint64_t size)
{
    struct pool *p = s->pool;
    s->keeping = true; /* keeps the source until the end of this function */
    while (s->inputs != NULL) {
        struct input *in = s->inputs;
        struct upload *u = uploads_add(p->uploads, sha256, size);
        if (u == NULL) {
            fail(s, "uploads.maxBytes has no room for it");
            return;
        }
        if (in->file.extension[0] == '\0' && s->extension != NULL) {
            free(in->file.extension);
            in->file.extension = mem_strdup(s->extension);
        }
        inputs_hold(in, u);
        input_leave(in);
        if (has_all(in->job)) {
            go_on(in->job);
        }
    }
    source_free(s);
    p->ops->give_jobs(p);
}

/* ---- bringing it ----------------------------------------------------------------------------- */

static void start(void *ctx);

static void try_again(struct source *s, const char *why)
{
    if (++s->tries >= TRIES) {
        fail(s, why);
        return;
    }
    LOG(LOG_INFO, "an output that a job waits for cannot be had yet", LOG_S("job", s->job_id),
        LOG_S("why", why));
    const int64_t pause = (int64_t)PAUSE_MS << (s->tries - 1);
    deadline_set(&s->pool->deadlines, &s->again,
                 mono_add(time_mono(), dur_ms(pause < PAUSE_MOST_MS ? pause : PAUSE_MOST_MS)),
                 start, s);
}

static void fetched(void *ctx, enum fetch_end end, const char *why, const char *sha256,
                    uint64_t size)
{
    struct source *s = ctx;
    s->fetch = NULL;
    if (end == FETCH_DONE) {
        settle(s, sha256, size);
    } else if (end == FETCH_GONE) {
        fail(s, why);
    } else {
        try_again(s, why);
    }
}

static void text_kept(void *ctx, enum err e, const char *why, const char *sha256)
{
    struct source *s = ctx;
    s->keeping = false;
    const struct upload *u = e == ERR_NONE ? uploads_find(s->pool->uploads, sha256) : NULL;
    if (s->inputs == NULL) { /* no input waits any more */
        source_free(s);
    } else if (u == NULL) {
        try_again(s, why);
    } else {
        settle(s, sha256, u->size);
    }
}

/* Uses a copy of the output, if there is one. */
static bool share_copy(struct source *s, size_t outputs_len)
{
    struct pool *p = s->pool;
    uint64_t size = 0;
    const char *sha256 = copies_find(p->copies, s->job_id, (size_t)s->n, outputs_len);
    if (sha256 == NULL || !blob_share(copies_blobs(p->copies), uploads_blobs(p->uploads), sha256)) {
        return false;
    }
    const int fd = uploads_open(p->uploads, sha256, &size);
    if (fd < 0) {
        return false;
    }
    (void)close(fd);
    settle(s, sha256, size);
    return true;
}

static void bring(struct source *s, const struct store_found *f, const struct render_output *list,
                  size_t len)
{
    struct pool *p = s->pool;
    const struct render_output *o = &list[s->n];
    free(s->extension);
    s->extension = str_extension(o->filename);
    if (o->text != NULL) {
        s->keeping = true;
        uploads_keep(p->uploads, str_of(o->text), NULL, text_kept, s);
        return;
    }
    if (share_copy(s, len)) {
        return;
    }
    if (!render_output_is_at_server(o)) {
        fail(s, fetch_was_streamed);
        return;
    }
    const char *name = f->job->backend;
    struct backend *b = name == NULL ? NULL : map_get(&p->backends_by_name, str_of(name));
    if (b == NULL) {
        fail(s, "its backend is not configured any more");
    } else if (!b->conn.up) {
        try_again(s, "its backend is not up");
    } else {
        const struct output_stamp stamp = stamps_find(p->stamps, f->stamps, (size_t)s->n);
        s->fetch = fetch_begin(b->file_server, &stamp, o, uploads_blobs(p->uploads),
                               p->options.uploads.file_bytes, fetched, s);
    }
}

static void job_found(void *ctx, const struct store_found *f)
{
    struct source *s = ctx;
    size_t len = 0;
    if (s->pool->stopping) { /* the next run of the daemon fetches it */
        return;
    }
    if (f->error == ERR_JOB_NOT_FOUND) {
        fail(s, "the job is not known any more");
        return;
    }
    if (f->error != ERR_NONE) {
        try_again(s, "the store cannot be read");
        return;
    }
    struct render_output *list = render_outputs_read(str_of(f->job->outputs), &len);
    if ((uint64_t)s->n >= len) {
        fail(s, "the job has no such output");
    } else {
        bring(s, f, list, len);
    }
    render_outputs_free(list, len);
}

static void start(void *ctx)
{
    struct source *s = ctx;
    struct store_wish wish = {.wants = STORE_WANT_STAMPS};
    memcpy(wish.id, s->job_id, sizeof wish.id);
    store_find_job(s->pool->store, &wish, &s->read, job_found, s);
}

/* ---- who asks -------------------------------------------------------------------------------- */

static struct source *find(struct pool *p, const char *job_id, int64_t n)
{
    struct source *s = p->sources;
    while (s != NULL && !(s->n == n && strcmp(s->job_id, job_id) == 0)) {
        s = s->next;
    }
    return s;
}

static struct source *source_new(struct pool *p, const char *job_id, int64_t n)
{
    struct source *s = mem_zero(1, sizeof *s);
    s->pool = p;
    memcpy(s->job_id, job_id, sizeof s->job_id);
    s->n = n;
    list_push(&p->sources, s, next, link);
    deadline_set(&p->deadlines, &s->again, time_mono(), start, s); /* in a turn of its own */
    return s;
}

bool output_inputs_wait(struct job *j)
{
    for (size_t i = 0; i < j->files.len; i++) {
        struct input *in = &j->files.inputs[i];
        if (in->file.sha256[0] == '\0') {
            struct source *s = find(j->pool, in->file.job_id, in->file.output);
            input_join(in, s != NULL ? s : source_new(j->pool, in->file.job_id, in->file.output));
        }
    }
    return !has_all(j);
}
