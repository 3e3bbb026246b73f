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

/* Files of one submission that are being written. */
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

/* Data of the body becomes files: their hashes are known, the files are there later. */
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

/* Whether the job of an attachment may have such an output: it has not ended, or is known. */
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

/* [{nodeId, inputName, sha256, extension, job, output}]; the last two of an output. */
static void write_one(struct js_out *o, const char *node_id, const char *name, const char *sha256,
                      const char *extension, const char *job_id, int64_t output)
{
    js_open(o, '{');
    js_member_string(o, "nodeId", node_id);
    js_member_string(o, "inputName", name);
    js_member_string(o, "sha256", sha256);
    js_member_string(o, "extension", extension);
    if (*job_id != '\0') {
        js_member_string(o, "job", job_id);
        js_member_int(o, "output", output);
    }
    js_close(o, '}');
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
        const struct attachment *a = &s->attachments[i];
        write_one(&o, a->node_id, a->input, a->sha256, a->extension, a->job_id, a->output);
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
        const struct input *in = &j->files.inputs[i];
        write_one(&o, in->node_id, in->name, in->sha256, in->extension, in->job_id, in->output);
    }
    js_close(&o, ']');
    return buf_take(&b);
}

/* ---- jobs ------------------------------------------------------------------------------------ */

static void read_member(struct js_token key, struct js_token value, struct input *in)
{
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    const struct str text = js_text(value, &scratch);
    if (js_is(key, "nodeId")) {
        in->node_id = mem_copy(text);
    } else if (js_is(key, "inputName")) {
        in->name = mem_copy(text);
    } else if (js_is(key, "extension")) {
        in->extension = mem_copy(text);
    } else if (js_is(key, "sha256")) {
        (void)snprintf(in->sha256, sizeof in->sha256, "%.*s", (int)text.n, text.p);
    } else if (js_is(key, "job")) {
        (void)snprintf(in->job_id, sizeof in->job_id, "%.*s", (int)text.n, text.p);
    } else if (js_is(key, "output")) {
        (void)js_int(value, &in->output);
    }
}

void inputs_hold(struct input *in, struct upload *u)
{
    struct job *j = in->job;
    memcpy(in->sha256, u->sha256, sizeof in->sha256);
    uploads_hold(j->pool->uploads, u, j->r.client);
    j->files.largest = u->size > j->files.largest ? u->size : j->files.largest;
}

static void begin_row(struct js_reader *r, const char *attachments)
{
    js_read_strict(r, str_of(attachments == NULL ? "[]" : attachments), JS_MAX_DEPTH);
    (void)js_next(r);
}

/* The next one of a row; false: there is no more. */
static bool read_row(struct js_reader *r, struct input *ret)
{
    *ret = (struct input){.job = NULL};
    if (js_next(r).kind != JS_OBJECT) {
        return false;
    }
    for (struct js_token key = js_next(r); key.kind == JS_KEY; key = js_next(r)) {
        read_member(key, js_next(r), ret);
    }
    return true;
}

static void input_done(struct input *in)
{
    free(in->node_id);
    free(in->name);
    free(in->extension);
}

bool inputs_are_kept(struct pool *p, const char *wall, const char *attachments)
{
    struct js_reader r;
    struct input in;
    bool kept = true;
    begin_row(&r, attachments);
    while (read_row(&r, &in)) {
        kept = kept && (in.job_id[0] != '\0' || uploads_seen(p->uploads, wall, in.sha256) != NULL);
        input_done(&in);
    }
    return kept;
}

void inputs_join(struct job *j)
{
    struct js_reader r;
    struct input in;
    begin_row(&r, j->r.attachments);
    while (read_row(&r, &in)) {
        in.job = j;
        struct upload *u = uploads_find(j->pool->uploads, in.sha256);
        if (u != NULL) {
            inputs_hold(&in, u);
        } else if (in.job_id[0] != '\0') {
            in.sha256[0] = '\0'; /* it can be had again */
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
        struct upload *u = uploads_find(j->pool->uploads, in->sha256);
        if (u != NULL) {
            uploads_release(j->pool->uploads, u, j->r.client);
        }
        input_done(in);
    }
    free(j->files.inputs);
    j->files.inputs = NULL;
    j->files.len = 0;
}
