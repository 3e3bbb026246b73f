/*
 * The writes of the contract: each public function copies its arguments into one op (a single piece
 * of memory, made on the loop thread) and hands it to the writer. The engine applies ops.
 */
#include <stddef.h>
#include <string.h>

#include "comfypool/store/attempts.h"
#include "comfypool/store/batches.h"
#include "comfypool/store/deliveries.h"
#include "comfypool/store/jobs.h"
#include "comfypool/store/keys.h"
#include "comfypool/store/outputs.h"
#include "comfypool/store/rollups.h"
#include "comfypool/store/settings.h"
#include "comfypool/store/store.h"
#include "comfypool/store/uploads.h"

#include "columns.h"
#include "inner.h"
#include "ops.h"
#include "writer.h"

/* ---- making ops ------------------------------------------------------------------------------ */

enum op_record {
    REC_JOB,
    REC_ATTEMPT,
    REC_KEY,
    REC_STRAY,
    REC_BACKEND,
    REC_DELIVERY,
    REC_BATCH,
    REC_UPLOAD,
    REC_OWNER,
    REC_KEPT,
    REC_COUNT
};

static const struct {
    const struct columns *columns;
    size_t offset; /* in struct op */
} records[REC_COUNT] = {
    [REC_JOB] = {&job_columns, offsetof(struct op, job)},
    [REC_ATTEMPT] = {&attempt_columns, offsetof(struct op, attempt)},
    [REC_KEY] = {&key_columns, offsetof(struct op, key)},
    [REC_STRAY] = {&stray_columns, offsetof(struct op, stray)},
    [REC_BACKEND] = {&backend_columns, offsetof(struct op, backend)},
    [REC_DELIVERY] = {&delivery_columns, offsetof(struct op, delivery)},
    [REC_BATCH] = {&batch_columns, offsetof(struct op, batch)},
    [REC_UPLOAD] = {&upload_columns, offsetof(struct op, upload)},
    [REC_OWNER] = {&owner_columns, offsetof(struct op, owner)},
    [REC_KEPT] = {&kept_columns, offsetof(struct op, kept)},
};

/* Arguments of an op; missing ones are NULL or empty in it. */
struct source {
    const void *record[REC_COUNT];
    struct str text;
    struct str extra;
    const struct store_beside *beside;
    const struct job_record *const *jobs; /* of a batch */
    size_t jobs_len;
};

static size_t room_for_beside(const struct store_beside *b)
{
    size_t room = b->measurement.n + b->credentials.n;
    for (size_t i = 0; i < b->deliveries_len; i++) {
        room += sizeof *b->deliveries + columns_room(&delivery_columns, &b->deliveries[i]);
    }
    return room;
}

static size_t room_for(const struct source *from)
{
    size_t room = from->text.n + from->extra.n + _Alignof(struct delivery_record);
    room += from->beside == NULL ? 0 : room_for_beside(from->beside);
    for (size_t i = 0; i < from->jobs_len; i++) {
        room += sizeof *from->jobs[i] + columns_room(&job_columns, from->jobs[i]);
    }
    for (int i = 0; i < REC_COUNT; i++) {
        room += from->record[i] == NULL ? 0 : columns_room(records[i].columns, from->record[i]);
    }
    return room;
}

static struct str copy_str(struct str s, char **room)
{
    const struct str copy = {*room, s.n};
    if (s.n > 0) {
        memcpy(*room, s.p, s.n);
    }
    *room += s.n;
    return copy;
}

/* Copies deliveries; first in the room, which is aligned there. */
static void copy_deliveries(struct op *op, const struct store_beside *b, char **room)
{
    op->deliveries = (struct delivery_record *)(void *)*room;
    op->deliveries_len = b->deliveries_len;
    *room += b->deliveries_len * sizeof *op->deliveries;
    for (size_t i = 0; i < b->deliveries_len; i++) {
        columns_copy(&delivery_columns, &op->deliveries[i], &b->deliveries[i], room);
    }
}

/* Copies jobs; an array too, so before every text. */
static void copy_jobs(struct op *op, const struct source *from, char **room)
{
    op->jobs = (struct job_record *)(void *)*room;
    op->jobs_len = from->jobs_len;
    *room += op->jobs_len * sizeof *op->jobs;
    for (size_t i = 0; i < op->jobs_len; i++) {
        columns_copy(&job_columns, &op->jobs[i], from->jobs[i], room);
    }
}

static struct op *make_op(enum op_kind kind, const struct source *from)
{
    const size_t size = sizeof(struct op) + room_for(from);
    struct op *op = mem_alloc(size);
    memset(op, 0, sizeof *op);
    op->size = size;
    op->kind = kind;
    char *room = (char *)(op + 1);
    copy_jobs(op, from, &room);
    room += -(uintptr_t)room % _Alignof(struct delivery_record);
    if (from->beside != NULL) {
        copy_deliveries(op, from->beside, &room);
        op->measurement = copy_str(from->beside->measurement, &room);
        op->credentials = copy_str(from->beside->credentials, &room);
        op->withdraw = from->beside->withdraw;
    }
    for (int i = 0; i < REC_COUNT; i++) {
        if (from->record[i] != NULL) {
            columns_copy(records[i].columns, (char *)op + records[i].offset, from->record[i],
                         &room);
        }
    }
    op->text = copy_str(from->text, &room);
    op->extra = copy_str(from->extra, &room);
    return op;
}

static void add_kept(struct store *s, struct op *op, store_kept_fn done, void *ctx)
{
    op->kept_done = done;
    op->ctx = ctx;
    writer_add(s, op);
}

static void keep(struct store *s, enum op_kind kind, struct source from, store_kept_fn done,
                 void *ctx)
{
    add_kept(s, make_op(kind, &from), done, ctx);
}

static void try(struct store *s, enum op_kind kind, struct source from, store_done_fn done,
                void *ctx)
{
    struct op *op = make_op(kind, &from);
    op->done = done;
    op->ctx = ctx;
    writer_add(s, op);
}

/* ---- jobs ------------------------------------------------------------------------------------ */

void store_insert(struct store *s, const struct job_record *job, struct str workflow,
                  struct str extra_data, const struct key_record *key,
                  const struct store_beside *beside, store_done_fn done, void *ctx)
{
    try(s, OP_INSERT,
        (struct source){.record[REC_JOB] = job,
                        .record[REC_KEY] = key,
                        .text = workflow,
                        .extra = extra_data,
                        .beside = beside},
        done, ctx);
}

void store_insert_batch(struct store *s, const struct batch_record *batch,
                        const struct job_record *const *jobs, size_t n, struct str workflow,
                        struct str extra_data, const struct key_record *key,
                        const struct store_beside *beside, store_done_fn done, void *ctx)
{
    try(s, OP_INSERT_BATCH,
        (struct source){.record[REC_BATCH] = batch,
                        .record[REC_KEY] = key,
                        .text = workflow,
                        .extra = extra_data,
                        .beside = beside,
                        .jobs = jobs,
                        .jobs_len = n},
        done, ctx);
}

void store_end_batch(struct store *s, const char *id, const struct store_beside *beside,
                     store_kept_fn done, void *ctx)
{
    keep(s, OP_END_BATCH, (struct source){.text = str_of(id), .beside = beside}, done, ctx);
}

void store_set_key_status(struct store *s, const char *key, unsigned status)
{
    struct op *op = make_op(OP_KEY_STATUS, &(struct source){.text = str_of(key)});
    op->key.status = status;
    add_kept(s, op, NULL, NULL);
}

void store_update_job(struct store *s, const struct job_record *job,
                      const struct store_beside *beside, store_kept_fn done, void *ctx)
{
    keep(s, OP_UPDATE_JOB, (struct source){.record[REC_JOB] = job, .beside = beside}, done, ctx);
}

void store_revive_job(struct store *s, const struct job_record *job,
                      const struct store_beside *beside, store_revived_fn done, void *ctx)
{
    struct op *op =
        make_op(OP_REVIVE_JOB, &(struct source){.record[REC_JOB] = job, .beside = beside});
    op->revived = done;
    op->ctx = ctx;
    writer_add(s, op);
}

void store_begin_attempt(struct store *s, const struct job_record *job,
                         const struct attempt_record *attempt, const struct store_beside *beside,
                         store_kept_fn done, void *ctx)
{
    keep(s, OP_BEGIN_ATTEMPT,
         (struct source){.record[REC_JOB] = job, .record[REC_ATTEMPT] = attempt, .beside = beside},
         done, ctx);
}

void store_end_attempt(struct store *s, const struct job_record *job,
                       const struct attempt_record *attempt, struct str profile,
                       const struct stray_record *stray, const struct store_beside *beside,
                       store_kept_fn done, void *ctx)
{
    keep(s, OP_END_ATTEMPT,
         (struct source){.record[REC_JOB] = job,
                         .record[REC_ATTEMPT] = attempt,
                         .record[REC_STRAY] = stray,
                         .record[REC_KEPT] = beside == NULL ? NULL : beside->kept,
                         .text = profile,
                         .beside = beside},
         done, ctx);
}

void store_end_stray(struct store *s, const struct stray_record *stray, enum attempt_outcome late)
{
    struct op *op = make_op(OP_END_STRAY, &(struct source){.record[REC_STRAY] = stray});
    op->attempt.late = late;
    add_kept(s, op, NULL, NULL);
}

void store_withdraw_attempt(struct store *s, const struct job_record *job, unsigned number,
                            store_kept_fn done, void *ctx)
{
    struct op *op = make_op(OP_WITHDRAW_ATTEMPT, &(struct source){.record[REC_JOB] = job});
    op->attempt.number = number;
    add_kept(s, op, done, ctx);
}

void store_mark_cancel(struct store *s, const struct job_record *job, store_kept_fn done, void *ctx)
{
    keep(s, OP_MARK_CANCEL, (struct source){.record[REC_JOB] = job}, done, ctx);
}

void store_delete(struct store *s, int64_t seq, store_kept_fn done, void *ctx)
{
    struct op *op = make_op(OP_DELETE, &(struct source){0});
    op->job.seq = seq;
    add_kept(s, op, done, ctx);
}

/* ---- the rest -------------------------------------------------------------------------------- */

void store_put_backend(struct store *s, const struct backend_record *r, store_kept_fn done,
                       void *ctx)
{
    keep(s, OP_PUT_BACKEND, (struct source){.record[REC_BACKEND] = r}, done, ctx);
}

void store_delete_backend(struct store *s, const char *name, store_kept_fn done, void *ctx)
{
    keep(s, OP_DELETE_BACKEND, (struct source){.text = str_of(name)}, done, ctx);
}

void store_put_upload(struct store *s, const struct upload_record *r)
{
    keep(s, OP_PUT_UPLOAD, (struct source){.record[REC_UPLOAD] = r}, NULL, NULL);
}

void store_delete_upload(struct store *s, const char *sha256)
{
    keep(s, OP_DELETE_UPLOAD, (struct source){.text = str_of(sha256)}, NULL, NULL);
}

void store_put_owner(struct store *s, const struct owner_record *r, store_kept_fn done, void *ctx)
{
    keep(s, OP_PUT_OWNER, (struct source){.record[REC_OWNER] = r}, done, ctx);
}

void store_delete_owner(struct store *s, const struct owner_record *r, store_kept_fn done,
                        void *ctx)
{
    keep(s, OP_DELETE_OWNER, (struct source){.record[REC_OWNER] = r}, done, ctx);
}

void store_put_kept(struct store *s, const struct kept_record *r)
{
    keep(s, OP_PUT_KEPT, (struct source){.record[REC_KEPT] = r}, NULL, NULL);
}

void store_put_stamps(struct store *s, const struct kept_record *r)
{
    keep(s, OP_PUT_STAMPS, (struct source){.record[REC_KEPT] = r}, NULL, NULL);
}

void store_delete_kept(struct store *s, int64_t seq)
{
    struct op *op = make_op(OP_DELETE_KEPT, &(struct source){0});
    op->kept.seq = seq;
    add_kept(s, op, NULL, NULL);
}

void store_put_setting(struct store *s, const char *name, const char *value, store_kept_fn done,
                       void *ctx)
{
    keep(s, OP_PUT_SETTING, (struct source){.text = str_of(name), .extra = str_of(value)}, done,
         ctx);
}

void store_add_deliveries(struct store *s, const struct store_beside *beside, store_kept_fn done,
                          void *ctx)
{
    keep(s, OP_ADD_DELIVERIES, (struct source){.beside = beside}, done, ctx);
}

void store_update_delivery(struct store *s, const struct delivery_record *d, store_kept_fn done,
                           void *ctx)
{
    keep(s, OP_UPDATE_DELIVERY, (struct source){.record[REC_DELIVERY] = d}, done, ctx);
}

void store_delete_delivery(struct store *s, const char *id, store_kept_fn done, void *ctx)
{
    keep(s, OP_DELETE_DELIVERY, (struct source){.text = str_of(id)}, done, ctx);
}

void store_fold(struct store *s, store_folded_fn done, void *ctx)
{
    struct op *op = make_op(OP_FOLD, &(struct source){0});
    op->folded = done;
    op->ctx = ctx;
    writer_add(s, op);
}

void store_prune(struct store *s, struct wall_us before, int64_t max_count, store_pruned_fn done,
                 void *ctx)
{
    struct op *op = make_op(OP_PRUNE, &(struct source){0});
    op->before = before;
    op->now = time_wall();
    op->max_count = max_count;
    op->pruned = done;
    op->ctx = ctx;
    writer_add(s, op);
}
