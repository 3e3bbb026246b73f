/* Queued writes: an op is a copy of all data of one write; and lists of ops. */
#ifndef COMFYPOOL_SRC_STORE_OPS_H
#define COMFYPOOL_SRC_STORE_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/err.h"
#include "comfypool/base/str.h"
#include "comfypool/base/time.h"
#include "comfypool/core/job.h"
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

enum op_kind {
    OP_INSERT,
    OP_INSERT_BATCH,
    OP_END_BATCH,
    OP_PUT_UPLOAD,
    OP_DELETE_UPLOAD,
    OP_PUT_OWNER,
    OP_DELETE_OWNER,
    OP_PUT_KEPT,
    OP_PUT_STAMPS,
    OP_DELETE_KEPT,
    OP_KEY_STATUS,
    OP_UPDATE_JOB,
    OP_REVIVE_JOB,
    OP_BEGIN_ATTEMPT,
    OP_END_ATTEMPT,
    OP_END_STRAY,
    OP_WITHDRAW_ATTEMPT,
    OP_MARK_CANCEL,
    OP_DELETE,
    OP_PUT_BACKEND,
    OP_DELETE_BACKEND,
    OP_PUT_SETTING,
    OP_ADD_DELIVERIES,
    OP_UPDATE_DELIVERY,
    OP_DELETE_DELIVERY,
    OP_FOLD,
    OP_PRUNE,
    OP_KIND_COUNT
};

/* One write: a copy of all its data, in one piece of memory. */
struct op {
    struct op *next;
    size_t size;   /* including the data behind it */
    unsigned pins; /* of recent.c */
    bool dropped;
    enum op_kind kind;
    enum err result;
    /* Its callback: at most one of these. */
    store_done_fn done;
    store_kept_fn kept_done;
    store_revived_fn revived;
    store_pruned_fn pruned;
    store_folded_fn folded;
    void *ctx;
    /* Data by kind; the texts lie behind the op. */
    struct job_record job;
    struct attempt_record attempt;
    struct key_record key;     /* key.key NULL: none */
    struct stray_record stray; /* stray.prompt_id "": none */
    struct backend_record backend;
    struct delivery_record delivery;
    struct batch_record batch;
    struct upload_record upload;
    struct owner_record owner;
    struct kept_record kept; /* kept.files NULL: none */
    struct job_record *jobs; /* of a new batch */
    size_t jobs_len;
    struct str text; /* the workflow, the profile, or a name */
    struct str extra;
    struct delivery_record *deliveries; /* new ones */
    size_t deliveries_len;
    struct str measurement;
    struct str credentials; /* of the job or batch; n == 0: none */
    unsigned withdraw;
    struct wall_us before;
    struct wall_us now;
    int64_t max_count;
    unsigned deleted;
    bool more;
    bool missing;               /* its row is gone; nothing was written */
    int delta[JOB_STATE_COUNT]; /* change of the counts by its commit */
};

const char *op_name(enum op_kind kind);
/* True if it may be refused while the disk is not writable; others are kept. See store/store.h. */
bool op_is_refusable(enum op_kind kind);

/* First in, first out. */
struct op_list {
    struct op *first;
    struct op *last;
};

void op_list_add(struct op_list *l, struct op *op);
/* Moves all of `more` to the end of l. */
void op_list_append(struct op_list *l, struct op_list *more);
struct op *op_list_take(struct op_list *l);

#endif
