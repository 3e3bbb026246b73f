/*
 * Files on their way to backends; see the header. One goes once to a backend, however many attempts
 * wait for it.
 */
#include "input_sending.h"

#include <stdlib.h>
#include <unistd.h>

#include "comfypool/base/log.h"
#include "attempt.h"
#include "backends.h"
#include "inputs.h"
#include "jobs.h"
#include "state.h"
#include "trust.h"
#include "comfypool/files/uploads.h"

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
    struct transfer *t = b->given.transfers;
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
    while (b->given.oldest != NULL) {
        forget_oldest(&b->given);
    }
}

void inputs_done(struct backend *b)
{
    for (struct transfer *t = b->given.transfers, *next = NULL; t != NULL; t = next) {
        next = t->next;
        http_call_cancel(t->call);
        transfer_free(t);
    }
    inputs_forget(b);
    map_done(&b->given.names);
}

static bool needs(const struct attempt *a, const char *key)
{
    for (size_t i = 0; i < a->job->files.len; i++) {
        AUTO_FREE char *mine = key_of(&a->job->files.inputs[i]);
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
    attempt_end(a, time_mono(), 0, ATTEMPT_FAILED, &e);
}

static struct attempt *first_that_waits(const struct backend *b)
{
    struct attempt *a = b->load.attempts;
    while (a != NULL && !(a->sending.waits && a->state.phase == PHASE_SENDING)) {
        a = a->backend_next;
    }
    return a;
}

static void send_files(struct attempt *a, bool begins);

/* Those that wait for this file fail, or go on when they have all of theirs. Each may end others
   meanwhile: they are marked first, and looked for anew. */
static void transfer_ends(struct backend *b, const char *key, const struct mishap *m)
{
    struct attempt *a = NULL;
    for (a = b->load.attempts; a != NULL; a = a->backend_next) {
        a->sending.waits = a->state.phase == PHASE_SENDING && needs(a, key);
    }
    while ((a = first_that_waits(b)) != NULL) {
        a->sending.waits = false;
        if (m != NULL) {
            fail(a, m);
        } else {
            send_files(a, false);
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
        remember(&b->given, key, name);
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
    t->next = b->given.transfers;
    t->link = &b->given.transfers;
    if (t->next != NULL) {
        t->next->link = &t->next;
    }
    b->given.transfers = t;
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
    const struct str text = {a->job->texts.workflow, a->job->texts.workflow_len};
    (void)!splices_set_input(&a->splices, a->workflow, text, str_of(in->node_id), str_of(in->name),
                             buf_str(&value));
}

/* begins: what it finds was sent for others. */
static void send_files(struct attempt *a, bool begins)
{
    struct backend *b = a->backend;
    bool all = true;
    for (size_t i = 0; i < a->job->files.len; i++) {
        const struct input *in = &a->job->files.inputs[i];
        AUTO_FREE char *key = key_of(in);
        const struct sent_file *f = map_get(&b->given.names, str_of(key));
        if (f != NULL) {
            a->sending.reuses = a->sending.reuses || begins;
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
        a->sending.ready(a);
    }
}

void inputs_send(struct attempt *a, void (*ready)(struct attempt *a))
{
    attempt_happens(a, ATTEMPT_EVENT_SEND);
    a->sending.ready = ready;
    send_files(a, true);
}

static bool is_given_file(const struct job *j, struct str node_id)
{
    for (size_t i = 0; i < j->files.len; i++) {
        if (str_is(node_id, j->files.inputs[i].node_id)) {
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
    if (!refused || !a->sending.reuses || a->job->files.sent_anew) {
        return false;
    }
    a->job->files.sent_anew = true;
    inputs_forget(a->backend);
    return true;
}
