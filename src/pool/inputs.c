/* The files of jobs; see the header. */
#include "inputs.h"

#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/json_read.h"
#include "comfypool/files/uploads.h"
#include "comfypool/pool/intake.h"
#include "comfypool/pool/walls.h"

#include "jobs.h"
#include "known_jobs.h"
#include "output_inputs.h"
#include "state.h"

/* ---- submissions ----------------------------------------------------------------------------- */

/* Files of a submission that are being written. */
struct keeping {
    struct pool *pool;
    uint64_t ticket;
    unsigned pending;
};

static void kept(void *ctx, enum err e, const char *why, const char *sha256)
{
    struct keeping *k = ctx;
    (void)e; /* the next step looks whether the file is there */
    (void)why;
    (void)sha256;
    if (--k->pending == 0) {
        pool_wake(k->pool, k->ticket);
        free(k);
    }
}

/* Writes data of the body to files: the hashes are known now, the files are there later. */
static void keep_data(struct pool *p, struct intake *in)
{
    struct keeping *k = mem_alloc(sizeof *k);
    *k = (struct keeping){.pool = p, .ticket = in->ticket, .pending = 1};
    for (size_t i = 0; i < in->submission.attachments_len; i++) {
        struct attachment *a = &in->submission.attachments[i];
        if (a->data == NULL) {
            continue;
        }
        struct upload *u = uploads_find(p->uploads, a->sha256);
        if (u != NULL) {
            uploads_touch(p->uploads, u);
            uploads_own(p->uploads, u, in->caller);
        } else if (uploads_take(p->uploads, a->data_len)) {
            k->pending++;
            uploads_keep(p->uploads, (struct str){a->data, a->data_len}, in->caller, kept, k);
        }
        free(a->data);
        a->data = NULL;
    }
    kept(k, ERR_NONE, "", "");
}

static bool has_data(const struct submission *s)
{
    for (size_t i = 0; i < s->attachments_len; i++) {
        if (s->attachments[i].data != NULL) {
            return true;
        }
    }
    return false;
}

/* True if the attachment's job has this output, or has not ended. */
static bool may_have_output(struct pool *p, const struct intake *in, const struct attachment *a)
{
    const struct str id = {a->job_id, UUID_TEXT};
    const struct known_job *k = job_find(p, id) != NULL ? NULL : known_jobs_find(in->known, id);
    return k == NULL || a->output < k->outputs;
}

static bool refuse_attachment(struct intake *in, size_t i)
{
    char pointer[48];
    (void)snprintf(pointer, sizeof pointer, "/attachments/%zu", i);
    if (in->submission.attachments[i].job_id[0] != '\0') {
        return refusal_point(&in->refusal, ERR_OUTPUT_NOT_FOUND,
                             "the job has ended, and has no such output", pointer);
    }
    if (in->kept) {
        return refusal_point(&in->refusal, ERR_UPLOAD_TOO_LARGE,
                             "it could not be kept: it is larger than uploads.maxFileBytes, or "
                             "there is no room for it",
                             pointer);
    }
    return refusal_point(&in->refusal, ERR_UPLOAD_NOT_FOUND,
                         "no upload has this hash; POST it to /uploads first", pointer);
}

bool inputs_must_wait(struct pool *p, struct intake *in)
{
    const bool waits = has_data(&in->submission);
    if (waits) {
        in->kept = true;
        keep_data(p, in);
    }
    return waits;
}

bool inputs_are_there(struct pool *p, struct intake *in)
{
    const struct submission *s = &in->submission;
    for (size_t i = 0; i < s->attachments_len; i++) {
        const struct attachment *a = &s->attachments[i];
        struct upload *u = uploads_seen(p->uploads, in->wall, a->sha256);
        if (u != NULL) {
            if (!in->kept) {
                uploads_touch(p->uploads, u);
            }
        } else if (a->job_id[0] == '\0' || !may_have_output(p, in, a)) {
            return refuse_attachment(in, i);
        }
    }
    return true;
}

char *inputs_write(const struct submission *s)
{
    if (s->attachments_len == 0) {
        return NULL;
    }
    AUTO_BUF struct buf b;
    buf_init(&b, BUF_NO_LIMIT);
    struct js_out o = js_out_to(&b);
    js_open(&o, '[');
    for (size_t i = 0; i < s->attachments_len; i++) {
        attachment_write(&o, &s->attachments[i]);
    }
    js_close(&o, ']');
    return buf_take(&b);
}

char *inputs_write_again(const struct job *j)
{
    AUTO_BUF struct buf b;
    buf_init(&b, BUF_NO_LIMIT);
    struct js_out o = js_out_to(&b);
    js_open(&o, '[');
    for (size_t i = 0; i < j->files.len; i++) {
        attachment_write(&o, &j->files.inputs[i].file);
    }
    js_close(&o, ']');
    return buf_take(&b);
}

/* ---- jobs ------------------------------------------------------------------------------------ */

void inputs_hold(struct input *in, struct upload *u)
{
    struct job *j = in->job;
    memcpy(in->file.sha256, u->sha256, sizeof in->file.sha256);
    uploads_hold(j->pool->uploads, u, j->r.client);
    j->files.largest = u->size > j->files.largest ? u->size : j->files.largest;
}

bool inputs_are_kept(struct pool *p, const char *wall, const char *attachments)
{
    struct js_reader r;
    struct attachment a;
    bool kept = true;
    attachments_read(&r, attachments);
    while (attachments_next(&r, &a)) {
        kept = kept && (a.job_id[0] != '\0' || uploads_seen(p->uploads, wall, a.sha256) != NULL);
        attachment_done(&a);
    }
    return kept;
}

void inputs_join(struct job *j)
{
    struct js_reader r;
    struct input in = {.job = NULL};
    attachments_read(&r, j->r.attachments);
    while (attachments_next(&r, &in.file)) {
        in.job = j;
        struct upload *u = uploads_find(j->pool->uploads, in.file.sha256);
        if (u != NULL) {
            inputs_hold(&in, u);
        } else if (in.file.job_id[0] != '\0') {
            in.file.sha256[0] = '\0'; /* it can be fetched again */
        }
        j->files.inputs = mem_grow(j->files.inputs, (j->files.len + 1) * sizeof *j->files.inputs);
        j->files.inputs[j->files.len++] = in;
    }
}

void inputs_leave(struct job *j)
{
    output_inputs_leave(j);
    for (size_t i = 0; i < j->files.len; i++) {
        struct input *in = &j->files.inputs[i];
        struct upload *u = uploads_find(j->pool->uploads, in->file.sha256);
        if (u != NULL) {
            uploads_release(j->pool->uploads, u, j->r.client);
        }
        attachment_done(&in->file);
    }
    free(j->files.inputs);
    j->files.inputs = NULL;
    j->files.len = 0;
}
