/* Checked values of the path, the query and the body of a request. */
#ifndef COMFYPOOL_SRC_API_ARGS_H
#define COMFYPOOL_SRC_API_ARGS_H

#include <stdbool.h>
#include <stdint.h>

#include "comfypool/base/digest.h"
#include "comfypool/base/text.h"
#include "comfypool/base/time.h"
#include "comfypool/base/uuid.h"
#include "comfypool/core/backend_change.h"
#include "comfypool/core/submission.h"
#include "comfypool/core/summary_group.h"
#include "comfypool/http/http.h"

struct api_args {
    /* From the path: */
    char job_id[UUID_SIZE]; /* {id}, of a job or a batch: a canonical UUID */
    unsigned number;        /* {n}: number of an output, from 0, or of an attempt, from 1 */
    char backend[TEXT_NAME_MOST + 1]; /* {name}, unescaped; or ?backend= */
    char delivery[UUID_SIZE];         /* {delivery} */
    char sha256[DIGEST_HEX_SIZE];     /* {sha256}; "": none */
    /* From the query: */
    bool traceback;
    bool live;
    bool dry_run;
    char batch[UUID_SIZE];               /* "": not given */
    unsigned state_mask;                 /* 1u << state each; all when none was named */
    unsigned limit;                      /* 1 to 1000, default 50 */
    int64_t cursor;                      /* 0: from the newest */
    unsigned event_types;                /* 1u << event_type each */
    bool previews;                       /* for event streams */
    bool names_previews;                 /* the types include them, which requests them, too */
    struct wall_us since;                /* 0: not given */
    struct wall_us until;                /* INT64_MAX: not given */
    char workflow_hash[DIGEST_HEX_SIZE]; /* "": not given */
    char base[UUID_SIZE];                /* of a comparison: a job, or "" for the baseline */
    char target[UUID_SIZE];
    unsigned runs; /* of a baseline: 1 to 100, default 20 */
    enum group_by group_by;
    unsigned delivery_states; /* 1u << state each; all when none was named */
    /* From the body: */
    struct submission submission;         /* may be taken by clearing it */
    char body_digest[DIGEST_HEX_SIZE];    /* SHA-256 of the request, for its Idempotency-Key */
    struct backend_change backend_change; /* may be taken by clearing it */
    int priority;
};

void api_args_init(void *args);
void api_args_done(void *args);

static inline struct api_args *args_of(const struct http_request *rq)
{
    return rq->args;
}

#endif
