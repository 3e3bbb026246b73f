/* The files of jobs; see the header. */
#include "inputs.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "comfypool/base/json_read.h"
#include "comfypool/base/log.h"
#include "comfypool/pool/intake.h"
#include "attempt.h"
#include "backends.h"
#include "jobs.h"
#include "state.h"
#include "trust.h"
#include "comfypool/files/uploads.h"
#include "comfypool/pool/walls.h"
#include "sources.h"

/* ---- submissions -------------------------------------------------------------------------------
 */

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

/* Whether the job of an attachment may have such an output. counts: of the attachments before it,
   so that a job of many outputs is looked at once. */
static bool may_have_output(struct pool *p, const struct submission *s, size_t i,
                            int64_t counts[ATTACHMENTS_MOST])
{
    const struct attachment *a = &s->attachments[i];
    size_t k = 0;
    while (strcmp(s->attachments[k].job_id, a->job_id) != 0) { /* itself at the latest */
        k++;
    }
    counts[i] = k < i ? counts[k] : sources_count(p, a->job_id);
    return a->output < counts[i];
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
    int64_t counts[ATTACHMENTS_MOST] = {0};
    const struct submission *s = &in->submission;
    for (size_t i = 0; i < s->attachments_len; i++) {
        const struct attachment *a = &s->attachments[i];
        struct upload *u = uploads_seen(p->uploads, in->wall, a->sha256);
        if (u != NULL) {
            if (!in->kept) {
                uploads_touch(p->uploads, u);
            }
        } else if (a->job_id[0] == '\0' || !may_have_output(p, s, i, counts)) {
            return refuse_attachment(in, i);
        }
    }
    return true;
}

uint64_t inputs_largest_of(struct pool *p, const struct submission *s)
{
    uint64_t most = 0;
    for (size_t i = 0; i < s->attachments_len; i++) {
        const struct upload *u = uploads_find(p->uploads, s->attachments[i].sha256);
        most = u != NULL && u->size > most ? u->size : most;
    }
    return most;
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
    for (size_t i = 0; i < j->inputs_len; i++) {
        const struct input *in = &j->inputs[i];
        write_one(&o, in->node_id, in->name, in->sha256, in->extension, in->job_id, in->output);
    }
    js_close(&o, ']');
    return buf_take(&b);
}

/* ---- jobs --------------------------------------------------------------------------------------
 */

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
    j->largest_input = u->size > j->largest_input ? u->size : j->largest_input;
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
        j->inputs = mem_grow(j->inputs, (j->inputs_len + 1) * sizeof *j->inputs);
        j->inputs[j->inputs_len++] = in;
    }
}

void inputs_leave(struct job *j)
{
    sources_leave(j);
    for (size_t i = 0; i < j->inputs_len; i++) {
        struct input *in = &j->inputs[i];
        struct upload *u = uploads_find(j->pool->uploads, in->sha256);
        if (u != NULL) {
            uploads_release(j->pool->uploads, u, j->r.client);
        }
        input_done(in);
    }
    free(j->inputs);
    j->inputs = NULL;
    j->inputs_len = 0;
}

/* ---- sending -----------------------------------------------------------------------------------
 */

/* So many are remembered a backend: what is forgotten is sent once more. */
enum { SENT_MOST = 4096 };

struct sent_file {
    char *key;
    char *name; /* as the server named it, with its folder */
    struct sent_file *newer;
};

/* One file on its way to one backend; attempts that need it wait for it. */
struct transfer {
    struct backend *backend;
    struct transfer *next, **link;
    struct http_call *call;
    char *key;
    uint64_t size;
};

/* The file's name at the server: its content, and what servers look at. */
static char *key_of(const struct input *in)
{
    AUTO_BUF struct buf b;
    char name[33];
    buf_init(&b, 256);
    uploads_server_name(in->job->pool->uploads, in->sha256, name);
    buf_printf(&b, "%s%s", name, in->extension);
    return buf_take(&b);
}

static struct transfer *find_transfer(const struct backend *b, const char *key)
{
    struct transfer *t = b->sent.transfers;
    while (t != NULL && strcmp(t->key, key) != 0) {
        t = t->next;
    }
    return t;
}

static void transfer_free(struct transfer *t)
{
    *t->link = t->next;
    if (t->next != NULL) {
        t->next->link = t->link;
    }
    free(t->key);
    free(t);
}

static void forget_oldest(struct sent *s)
{
    struct sent_file *f = s->oldest;
    s->oldest = f->newer;
    s->newest = s->oldest == NULL ? NULL : s->newest;
    (void)map_remove(&s->names, str_of(f->key));
    free(f->key);
    free(f->name);
    free(f);
}

/* Nobody sends what is remembered: the key is new. */
static void remember(struct sent *s, const char *key, const char *name)
{
    struct sent_file *f = mem_alloc(sizeof *f);
    *f = (struct sent_file){mem_strdup(key), mem_strdup(name), NULL};
    *(s->oldest == NULL ? &s->oldest : &s->newest->newer) = f;
    s->newest = f;
    (void)map_put(&s->names, str_of(f->key), f);
    if (s->names.len > SENT_MOST) {
        forget_oldest(s);
    }
}

void inputs_forget(struct backend *b)
{
    while (b->sent.oldest != NULL) {
        forget_oldest(&b->sent);
    }
}

void inputs_done(struct backend *b)
{
    for (struct transfer *t = b->sent.transfers, *next = NULL; t != NULL; t = next) {
        next = t->next;
        http_call_cancel(t->call);
        transfer_free(t);
    }
    inputs_forget(b);
    map_done(&b->sent.names);
}

static bool needs(const struct attempt *a, const char *key)
{
    for (size_t i = 0; i < a->job->inputs_len; i++) {
        AUTO_FREE char *mine = key_of(&a->job->inputs[i]);
        if (strcmp(mine, key) == 0) {
            return true;
        }
    }
    return false;
}

/* Why a file could not be sent. */
struct mishap {
    const char *why;
    unsigned status; /* of the answer; 0: there was none */
    bool page;       /* it was a gateway's */
    uint64_t size;   /* of the file */
};

static void fail(struct attempt *a, const struct mishap *m)
{
    if (m->page || comfy_is_refusal(m->status)) {
        attempt_refused(a, m->status, m->page && !comfy_is_refusal(m->status), m->size);
        return;
    }
    const char *why = m->why;
    struct job_error e = attempt_error(ERR_UPLOAD_FAILED, why);
    a->sending = false;
    a->gone = true; /* its prompt was never sent */
    attempt_end(a, time_mono(), 0, ATTEMPT_FAILED, &e);
}

static struct attempt *first_that_waits(const struct backend *b)
{
    struct attempt *a = b->attempts;
    while (a != NULL && !(a->waits_for_file && a->sending)) {
        a = a->next;
    }
    return a;
}

/* Those that wait for this file fail, or go on when they have all of theirs. Each may end others
   meanwhile: they are marked first, and looked for anew. */
static void transfer_ends(struct backend *b, const char *key, const struct mishap *m)
{
    struct attempt *a = NULL;
    for (a = b->attempts; a != NULL; a = a->next) {
        a->waits_for_file = a->sending && needs(a, key);
    }
    while ((a = first_that_waits(b)) != NULL) {
        a->waits_for_file = false;
        if (m != NULL) {
            fail(a, m);
        } else {
            inputs_send(a);
        }
    }
}

static void transferred(void *ctx, const char *name, unsigned status, bool is_page, const char *why)
{
    struct transfer *t = ctx;
    struct backend *b = t->backend;
    AUTO_FREE char *key = mem_strdup(t->key);
    const struct mishap m = {why, status, is_page, t->size};
    transfer_free(t);
    if (name != NULL) {
        remember(&b->sent, key, name);
        trust_file_accepted(b);
    } else {
        LOG(LOG_WARN, "an input cannot be sent to a backend", LOG_S("backend", b->name),
            LOG_S("why", why));
    }
    transfer_ends(b, key, name == NULL ? &m : NULL);
}

static bool start_transfer(struct backend *b, const struct input *in, const char *key)
{
    AUTO_BUF struct buf path;
    buf_init(&path, BUF_NO_LIMIT);
    uint64_t size = 0;
    const int fd = uploads_open(b->pool->uploads, in->sha256, &size);
    if (fd < 0) {
        return false;
    }
    (void)close(fd);
    blob_path(uploads_blobs(b->pool->uploads), in->sha256, &path);
    struct transfer *t = mem_zero(1, sizeof *t);
    t->backend = b;
    t->key = mem_strdup(key);
    t->size = size > 0 ? size : 1;
    t->next = b->sent.transfers;
    t->link = &b->sent.transfers;
    if (t->next != NULL) {
        t->next->link = &t->next;
    }
    b->sent.transfers = t;
    t->call = comfy_upload(b->comfy, buf_text(&path), key, b->pool->options.upload_subfolder,
                           transferred, t);
    return true;
}

static void put_in(struct attempt *a, const struct input *in, const char *name)
{
    AUTO_BUF struct buf value;
    buf_init(&value, BUF_NO_LIMIT);
    struct js_out o = js_out_to(&value);
    js_string(&o, name);
    const struct str text = {a->job->workflow, a->job->workflow_len};
    (void)!splices_set_input(&a->splices, a->workflow, text, str_of(in->node_id), str_of(in->name),
                             buf_str(&value));
}

void inputs_send(struct attempt *a)
{
    struct backend *b = a->backend;
    bool all = true;
    const bool begins = !a->sending;
    a->sending = true;
    for (size_t i = 0; i < a->job->inputs_len; i++) {
        const struct input *in = &a->job->inputs[i];
        AUTO_FREE char *key = key_of(in);
        const struct sent_file *f = map_get(&b->sent.names, str_of(key));
        if (f != NULL) {
            a->reuses_files = a->reuses_files || begins;
            put_in(a, in, f->name);
            continue;
        }
        all = false;
        if (find_transfer(b, key) == NULL && !start_transfer(b, in, key)) {
            fail(a,
                 &(struct mishap){.why = "the file of an input is gone from the state directory"});
            return;
        }
    }
    if (all) {
        a->sending = false;
        attempt_post(a);
    }
}

static bool is_given_file(const struct job *j, struct str node_id)
{
    for (size_t i = 0; i < j->inputs_len; i++) {
        if (str_is(node_id, j->inputs[i].node_id)) {
            return true;
        }
    }
    return false;
}

bool inputs_are_lost(struct attempt *a, const struct verdict_error *errors, size_t len)
{
    bool refused = false;
    for (size_t i = 0; i < len && !refused; i++) {
        refused = is_given_file(a->job, errors[i].node_id);
    }
    if (!refused || !a->reuses_files || a->job->sent_anew) {
        return false;
    }
    a->job->sent_anew = true;
    inputs_forget(a->backend);
    return true;
}
