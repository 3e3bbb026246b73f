/*
 * Mapping of the records of the contract and of core/job.h to rows: one table each, from which
 * statements, binding, reading, copying and freeing follow. A new column is a line here and a
 * migration of each engine. The engines make the statements.
 */
#include "columns.h"

#include <stdlib.h>
#include <string.h>

#include "comfypool/core/event.h"
#include "comfypool/core/summary_group.h"
#include "comfypool/store/attempts.h"
#include "comfypool/store/batches.h"
#include "comfypool/store/deliveries.h"
#include "comfypool/store/keys.h"
#include "comfypool/store/outputs.h"
#include "comfypool/store/settings.h"
#include "comfypool/store/uploads.h"

/* The numbers are on disk. */
_Static_assert(JOB_QUEUED == 0 && JOB_RUNNING == 1 && JOB_COMPLETED == 2 && JOB_FAILED == 3 &&
                   JOB_CANCELLED == 4,
               "jobs.state");
_Static_assert(ATTEMPT_OPEN == 0 && ATTEMPT_COMPLETED == 1 && ATTEMPT_FAILED == 2 &&
                   ATTEMPT_CANCELLED == 3 && ATTEMPT_LOST == 4 && ATTEMPT_TIMED_OUT == 5 &&
                   ATTEMPT_REJECTED == 6,
               "attempts.outcome, attempts.late");
_Static_assert(RETRY_TRANSIENT == 0 && RETRY_LOST == 1 && RETRY_OUT_OF_MEMORY == 2 &&
                   RETRY_TIMEOUT == 3 && RETRY_NODE_ERROR == 4,
               "jobs.retry_on has a bit for each");
_Static_assert(DELIVERY_PENDING == 0 && DELIVERY_FAILING == 1 && DELIVERY_DEAD == 2 &&
                   DELIVERY_FORBIDDEN == 3,
               "deliveries.state");
_Static_assert(GROUP_CLASS == 0 && GROUP_NODE == 1 && GROUP_WORKFLOW == 2 && GROUP_BACKEND == 3 &&
                   GROUP_RUN == 4,
               "rollups.kind");
_Static_assert(EVENT_QUEUED == 0 && EVENT_ACCEPTED == 1 && EVENT_STARTED == 2 &&
                   EVENT_OUTPUT == 6 && EVENT_RETRYING == 7 && EVENT_COMPLETED == 8 &&
                   EVENT_FAILED == 9 && EVENT_CANCELLED == 10,
               "jobs.hook_events has a bit for each");
_Static_assert(sizeof(enum job_state) == 4 && sizeof(enum attempt_outcome) == 4 &&
                   sizeof(int) == 4 && sizeof(unsigned) == 4 && sizeof(struct wall_us) == 8,
               "COLUMN_INT and COLUMN_INT64");

#define COLUMN(type, column, member, column_kind, is_constant)                                     \
    {                                                                                              \
        .name = (column), .kind = (column_kind), .constant = (is_constant),                        \
        .offset = offsetof(struct type, member), .size = sizeof(((struct type *)0)->member)        \
    }
#define JOB(column, member, kind) COLUMN(job_record, column, member, kind, false)
/* A text from a backend, of any size. */
#define JOB_BULKY(column, member)                                                                  \
    {                                                                                              \
        .name = (column), .kind = COLUMN_TEXT, .bulky = true,                                      \
        .offset = offsetof(struct job_record, member),                                             \
        .size = sizeof(((struct job_record *)0)->member)                                           \
    }
#define JOB_CONSTANT(column, member, kind) COLUMN(job_record, column, member, kind, true)
#define JOB_APART(column, member, column_kind, is_constant)                                        \
    {                                                                                              \
        .name = (column), .kind = (column_kind), .apart = true, .constant = (is_constant),         \
        .offset = offsetof(struct job_record, member),                                             \
        .size = sizeof(((struct job_record *)0)->member)                                           \
    }
#define RANGE(type, column, member, largest, otherwise)                                            \
    {                                                                                              \
        .name = (column), .kind = COLUMN_INT, .most = (largest), .odd = (otherwise),               \
        .offset = offsetof(struct type, member), .size = sizeof(((struct type *)0)->member)        \
    }
#define ATTEMPT(column, member, kind) COLUMN(attempt_record, column, member, kind, false)
#define KEY(column, member, kind) COLUMN(key_record, column, member, kind, false)
#define STRAY(column, member, kind) COLUMN(stray_record, column, member, kind, false)
#define BACKEND(column, member, kind) COLUMN(backend_record, column, member, kind, false)
#define KEPT(column, member, kind) COLUMN(kept_record, column, member, kind, false)
#define UPLOAD(column, member, kind) COLUMN(upload_record, column, member, kind, false)
#define OWNER(column, member, kind) COLUMN(owner_record, column, member, kind, false)
#define BATCH(column, member, kind) COLUMN(batch_record, column, member, kind, false)
#define DELIVERY(column, member, kind) COLUMN(delivery_record, column, member, kind, false)
#define DELIVERY_CONSTANT(column, member, kind) COLUMN(delivery_record, column, member, kind, true)

enum { ATTEMPTS_MOST = 100000 };

/* Large texts last: columns before them are read without following overflow pages. */
static const struct column jobs[] = {
    JOB_CONSTANT("seq", seq, COLUMN_INT64),
    JOB_CONSTANT("id", id, COLUMN_FIXED),
    RANGE(job_record, "state", state, JOB_STATE_COUNT - 1, JOB_FAILED),
    JOB("priority", priority, COLUMN_INT),
    JOB("queued_at", queued_at, COLUMN_INT64),
    JOB("started_at", started_at, COLUMN_INT64),
    JOB("completed_at", completed_at, COLUMN_INT64),
    JOB("backend", backend, COLUMN_TEXT),
    JOB("prompt_id", prompt_id, COLUMN_FIXED),
    RANGE(job_record, "attempts", attempts, ATTEMPTS_MOST, 0),
    JOB("max_attempts", policy.max_attempts, COLUMN_INT64),
    JOB("cut_off", lost_by_restart, COLUMN_INT),
    JOB("waiting_since", waiting_since, COLUMN_INT64),
    JOB("budget_since", budget_since, COLUMN_INT64),
    JOB("free_attempts", free_attempts, COLUMN_INT),
    JOB("oom", oom, COLUMN_INT),
    JOB("left_dead", left_dead, COLUMN_INT),
    JOB("retry_delay_ms", policy.retry_delay_ms, COLUMN_INT64),
    JOB("queue_timeout_ms", policy.queue_timeout_ms, COLUMN_INT64),
    JOB("start_timeout_ms", policy.start_timeout_ms, COLUMN_INT64),
    JOB("node_timeout_ms", policy.node_timeout_ms, COLUMN_INT64),
    JOB("job_timeout_ms", policy.job_timeout_ms, COLUMN_INT64),
    JOB("retry_on", policy.retry_on, COLUMN_INT),
    JOB("nodes_total", nodes_total, COLUMN_INT),
    JOB("profiled", profiled, COLUMN_BOOL),
    JOB("cancel_requested", cancel_requested, COLUMN_BOOL),
    JOB("partial", partial, COLUMN_BOOL),
    JOB("workflow_hash", workflow_hash, COLUMN_FIXED),
    JOB_CONSTANT("client", client, COLUMN_TEXT),
    JOB_CONSTANT("batch_id", batch_id, COLUMN_FIXED),
    JOB_CONSTANT("not_before", not_before, COLUMN_INT64),
    JOB("auto_seeds", auto_seeds, COLUMN_TEXT),
    JOB("error_code", error.code, COLUMN_CODE),
    JOB("error_message", error.message, COLUMN_TEXT),
    JOB("error_node_id", error.node_id, COLUMN_TEXT),
    JOB("error_node_type", error.node_type, COLUMN_TEXT),
    JOB_CONSTANT("metadata", metadata, COLUMN_TEXT),
    JOB_BULKY("node_errors", node_errors),
    JOB_BULKY("outputs", outputs),
    JOB_BULKY("error_node_errors", error.node_errors),
    JOB_BULKY("error_traceback", error.traceback),
    /* After the large texts in the row, whatever the order here: lists leave these out. */
    JOB_APART("cost_key", cost_key, COLUMN_FIXED, false),
    JOB_APART("executed", executed, COLUMN_INT, false),
    JOB_APART("after_jobs", after, COLUMN_TEXT, false),
    JOB_APART("spec", spec, COLUMN_TEXT, true),
    JOB_APART("overrides", overrides, COLUMN_TEXT, true),
    JOB_APART("attachments", attachments, COLUMN_TEXT, false),
    JOB_APART("keep", keep, COLUMN_BOOL, true),
    JOB_APART("placement", placement, COLUMN_TEXT, false),
    JOB_APART("faults", faults, COLUMN_INT, false),
    JOB_APART("outputs_truncated", outputs_truncated, COLUMN_BOOL, false),
    JOB_APART("result_of", result_of, COLUMN_INT, false),
    JOB_APART("faulted_on", faulted_on, COLUMN_TEXT, false),
    JOB_APART("credentials", credentials, COLUMN_INT, false),
    JOB_APART("trace", trace, COLUMN_TEXT, true),
    JOB_APART("hook_url", hook.url, COLUMN_TEXT, true),
    JOB_APART("hook_events", hook.events, COLUMN_INT, true),
    JOB_APART("hook_secret", hook.secret, COLUMN_TEXT, true),
};

static const struct column attempts[] = {
    ATTEMPT("number", number, COLUMN_INT),
    RANGE(attempt_record, "outcome", outcome, ATTEMPT_OUTCOME_COUNT - 1, ATTEMPT_LOST),
    ATTEMPT("backend", backend, COLUMN_TEXT),
    ATTEMPT("backend_url", backend_url, COLUMN_TEXT),
    ATTEMPT("prompt_id", prompt_id, COLUMN_FIXED),
    ATTEMPT("client_id", client_id, COLUMN_FIXED),
    ATTEMPT("intent_at", intent_at, COLUMN_INT64),
    ATTEMPT("submitted_at", submitted_at, COLUMN_INT64),
    ATTEMPT("started_at", started_at, COLUMN_INT64),
    ATTEMPT("completed_at", completed_at, COLUMN_INT64),
    RANGE(attempt_record, "late", late, ATTEMPT_OUTCOME_COUNT - 1, ATTEMPT_OPEN),
    ATTEMPT("error_code", error.code, COLUMN_CODE),
    ATTEMPT("error_message", error.message, COLUMN_TEXT),
    ATTEMPT("error_node_id", error.node_id, COLUMN_TEXT),
    ATTEMPT("error_node_type", error.node_type, COLUMN_TEXT),
    ATTEMPT("error_node_errors", error.node_errors, COLUMN_TEXT),
    ATTEMPT("error_traceback", error.traceback, COLUMN_TEXT),
};

static const struct column keys[] = {
    KEY("key", key, COLUMN_TEXT),        KEY("digest", digest, COLUMN_FIXED),
    KEY("job_id", job_id, COLUMN_FIXED), KEY("status", status, COLUMN_INT),
    KEY("at", at, COLUMN_INT64),
};

static const struct column strays[] = {
    STRAY("prompt_id", prompt_id, COLUMN_FIXED),
    STRAY("client_id", client_id, COLUMN_FIXED),
    STRAY("backend", backend, COLUMN_TEXT),
    STRAY("backend_url", backend_url, COLUMN_TEXT),
    STRAY("seq", seq, COLUMN_INT64),
    STRAY("number", number, COLUMN_INT),
    STRAY("since", since, COLUMN_INT64),
    STRAY("holds_slot", holds_slot, COLUMN_BOOL),
    STRAY("stopped", stopped, COLUMN_BOOL),
    STRAY("silent", silent, COLUMN_BOOL),
    STRAY("started", started, COLUMN_BOOL),
};

static const struct column deliveries[] = {
    DELIVERY_CONSTANT("n", n, COLUMN_ROWID),
    DELIVERY_CONSTANT("id", id, COLUMN_FIXED),
    DELIVERY_CONSTANT("job_id", job_id, COLUMN_FIXED),
    DELIVERY_CONSTANT("type", type, COLUMN_TEXT),
    DELIVERY_CONSTANT("url", url, COLUMN_TEXT),
    DELIVERY_CONSTANT("host", host, COLUMN_TEXT),
    DELIVERY_CONSTANT("secret", secret, COLUMN_TEXT),
    DELIVERY_CONSTANT("configured", configured, COLUMN_BOOL),
    DELIVERY_CONSTANT("client", client, COLUMN_TEXT),
    RANGE(delivery_record, "state", state, DELIVERY_FORBIDDEN, DELIVERY_DEAD),
    DELIVERY("tries", tries, COLUMN_INT),
    DELIVERY("last_status", last_status, COLUMN_INT),
    DELIVERY("last_error", last_error, COLUMN_TEXT),
    DELIVERY("made_at", made_at, COLUMN_INT64),
    DELIVERY("next_at", next_at, COLUMN_INT64),
    {.name = "body",
     .kind = COLUMN_TEXT,
     .apart = true,
     .constant = true,
     .offset = offsetof(struct delivery_record, body),
     .size = sizeof(char *)},
};

static const struct column backends[] = {
    BACKEND("name", name, COLUMN_TEXT),
    BACKEND("url", url, COLUMN_TEXT),
    BACKEND("weight", weight, COLUMN_INT64),
    BACKEND("max_in_flight", max_in_flight, COLUMN_INT64),
    BACKEND("labels", labels, COLUMN_TEXT),
    BACKEND("removed", removed, COLUMN_BOOL),
    RANGE(backend_record, "admin", admin, 2, 0),
};

static const struct column uploads[] = {
    UPLOAD("sha256", sha256, COLUMN_FIXED),
    UPLOAD("size", size, COLUMN_INT64),
    UPLOAD("used_at", used_at, COLUMN_INT64),
};

static const struct column owners[] = {
    OWNER("sha256", sha256, COLUMN_FIXED),
    OWNER("client", client, COLUMN_TEXT),
};

static const struct column kept[] = {
    KEPT("seq", seq, COLUMN_INT64),
    KEPT("job_id", job_id, COLUMN_FIXED),
    KEPT("ended_at", ended_at, COLUMN_INT64),
    KEPT("files", files, COLUMN_TEXT),
};

static const struct column batches[] = {
    BATCH("id", id, COLUMN_FIXED),
    BATCH("made_at", made_at, COLUMN_INT64),
    BATCH("total", total, COLUMN_INT64),
    BATCH("told", told, COLUMN_BOOL),
    BATCH("client", client, COLUMN_TEXT),
    BATCH("hook_url", hook.url, COLUMN_TEXT),
    BATCH("hook_events", hook.events, COLUMN_INT),
    BATCH("hook_secret", hook.secret, COLUMN_TEXT),
};

#define COLUMNS(list, type)                                                                        \
    {                                                                                              \
        (list), sizeof(list) / sizeof *(list), sizeof(struct type)                                 \
    }

const struct columns job_columns = COLUMNS(jobs, job_record);
const struct columns attempt_columns = COLUMNS(attempts, attempt_record);
const struct columns key_columns = COLUMNS(keys, key_record);
const struct columns stray_columns = COLUMNS(strays, stray_record);
const struct columns backend_columns = COLUMNS(backends, backend_record);
const struct columns upload_columns = COLUMNS(uploads, upload_record);
const struct columns owner_columns = COLUMNS(owners, owner_record);
const struct columns kept_columns = COLUMNS(kept, kept_record);
const struct columns batch_columns = COLUMNS(batches, batch_record);
const struct columns delivery_columns = COLUMNS(deliveries, delivery_record);

void columns_add_names(const struct columns *c, struct buf *sql)
{
    for (size_t i = 0; i < c->len; i++) {
        buf_printf(sql, "%s%s", i == 0 ? "" : ", ", c->list[i].name);
    }
}

void columns_add_light_names(const struct columns *c, struct buf *sql)
{
    for (size_t i = 0; i < c->len; i++) {
        const char *comma = i == 0 ? "" : ", ";
        const char *name = c->list[i].name;
        if (c->list[i].apart) {
            buf_printf(sql, "%sNULL", comma);
        } else if (c->list[i].bulky) {
            buf_printf(sql, "%sCASE WHEN length(%s) <= %d THEN %s END", comma, name,
                       COLUMNS_LIGHT_TEXT, name);
        } else {
            buf_printf(sql, "%s%s", comma, name);
        }
    }
}

void columns_add_sets(const struct columns *c, struct buf *sql)
{
    bool comma = false;
    for (size_t i = 0; i < c->len; i++) {
        if (!c->list[i].constant) {
            buf_printf(sql, "%s%s = ?", comma ? ", " : "", c->list[i].name);
            comma = true;
        }
    }
}

void columns_add_marks(const struct columns *c, struct buf *sql)
{
    for (size_t i = 0; i < c->len; i++) {
        buf_add_text(sql, i == 0 ? "?" : ", ?");
    }
}

size_t columns_room(const struct columns *c, const void *record)
{
    size_t room = 0;
    for (size_t i = 0; i < c->len; i++) {
        if (c->list[i].kind == COLUMN_TEXT) {
            const char *text =
                *(char *const *)(const void *)((const char *)record + c->list[i].offset);
            room += text == NULL ? 0 : strlen(text) + 1;
        }
    }
    return room;
}

void columns_copy(const struct columns *c, void *to, const void *from, char **room)
{
    memcpy(to, from, c->record_size);
    for (size_t i = 0; i < c->len; i++) {
        if (c->list[i].kind != COLUMN_TEXT) {
            continue;
        }
        char **text = (char **)(void *)((char *)to + c->list[i].offset);
        if (*text != NULL) {
            const size_t n = strlen(*text) + 1;
            memcpy(*room, *text, n);
            *text = *room;
            *room += n;
        }
    }
}

/* ---- the records of the contract
 * ------------------------------------------------------------------ */

static void free_record(const struct columns *c, void *record)
{
    for (size_t i = 0; i < c->len; i++) {
        if (c->list[i].kind == COLUMN_TEXT) {
            free(*(char **)(void *)((char *)record + c->list[i].offset));
        }
    }
    memset(record, 0, c->record_size);
}

void key_record_done(struct key_record *k)
{
    free_record(&key_columns, k);
}

void stray_record_done(struct stray_record *r)
{
    free_record(&stray_columns, r);
}

void backend_record_done(struct backend_record *r)
{
    free_record(&backend_columns, r);
}

void batch_record_done(struct batch_record *r)
{
    free_record(&batch_columns, r);
}

void owner_record_done(struct owner_record *r)
{
    free_record(&owner_columns, r);
}

void kept_record_done(struct kept_record *r)
{
    free_record(&kept_columns, r);
}

void delivery_record_done(struct delivery_record *d)
{
    free_record(&delivery_columns, d);
}

void store_batch_done(struct store_batch *b)
{
    batch_record_done(&b->r);
    free(b->workflow);
    free(b->extra_data);
    free(b->credentials);
    *b = (struct store_batch){.workflow = NULL};
}
