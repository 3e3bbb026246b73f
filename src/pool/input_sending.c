/* Sends the files of jobs to backends; see the header. */
#include "input_sending.h"

#include <stdlib.h>

#include "comfypool/base/log.h"
#include "comfypool/files/input_transfers.h"

#include "attempt.h"
#include "backends.h"
#include "inputs.h"
#include "jobs.h"
#include "state.h"
#include "trust.h"

static char *key_of(const struct input *in)
{
    return input_key(in->job->pool->uploads, in->file.sha256, in->file.extension);
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

static void fail(struct attempt *a, const struct input_mishap *m)
{
    if (m->page || comfy_is_refusal(m->status)) {
        attempt_refused(a, m->status, m->page && !comfy_is_refusal(m->status), m->size);
        return;
    }
    struct job_error e = attempt_error(ERR_UPLOAD_FAILED, m->why);
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

/* Continues or fails the attempts that wait for this file. Each may end others: they are marked
   first, and searched again. */
static void transfer_ends(struct backend *b, const char *key, const struct input_mishap *m)
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

void inputs_sent(void *ctx, const char *key, const struct input_mishap *failed)
{
    struct backend *b = ctx;
    if (failed == NULL) {
        trust_file_accepted(b);
    } else {
        LOG(LOG_WARN, "an input cannot be sent to a backend", LOG_S("backend", b->name),
            LOG_S("why", failed->why));
    }
    transfer_ends(b, key, failed);
}

static void put_in(struct attempt *a, const struct input *in, const char *name)
{
    AUTO_BUF struct buf value;
    buf_init(&value, BUF_NO_LIMIT);
    struct js_out o = js_out_to(&value);
    js_string(&o, name);
    const struct str text = {a->job->texts.workflow, a->job->texts.workflow_len};
    (void)!splices_set_input(&a->splices, a->workflow, text, str_of(in->file.node_id),
                             str_of(in->file.input), buf_str(&value));
}

/* begins: files found there were sent for other attempts. */
static void send_files(struct attempt *a, bool begins)
{
    struct input_server *to = a->backend->input_server;
    bool all = true;
    for (size_t i = 0; i < a->job->files.len; i++) {
        const struct input *in = &a->job->files.inputs[i];
        AUTO_FREE char *key = key_of(in);
        const char *name = input_name(to, key);
        if (name != NULL) {
            a->sending.reuses = a->sending.reuses || begins;
            put_in(a, in, name);
            continue;
        }
        all = false;
        if (!input_send(to, in->file.sha256, key)) {
            fail(a, &(struct input_mishap){
                        .why = "the file of an input is gone from the state directory"});
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
        if (str_is(node_id, j->files.inputs[i].file.node_id)) {
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
    input_server_forget(a->backend->input_server);
    return true;
}
